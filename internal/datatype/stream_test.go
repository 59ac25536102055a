package datatype_test

import (
	"fmt"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/datatype/redistest"
)

// TestStreamsAgainstRedis runs random commands about streams here and in a real
// redis-server, and compares what both reply.
func TestStreamsAgainstRedis(t *testing.T) {
	addr := startRedis(t)
	for _, proto := range []uint8{2, 3} {
		t.Run(fmt.Sprint("RESP", proto), func(t *testing.T) {
			r := redistest.Dial(t, addr)
			r.Run(t, []string{"hello", fmt.Sprint(proto)})
			for seed := range uint64(200) {
				if differStreams(t, r, proto, seed); t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func differStreams(t *testing.T, r *redistest.Conn, proto uint8, seed uint64) {
	s := newServer(t, seed)
	s.proto = proto
	g := redistest.NewGenerator(seed, 100+uint64(proto))
	commands := g.StreamCommands(differentialCommands)
	r.Run(t, []string{"flushall"})
	replies := r.Run(t, commands...)
	s.txn.Stamp = base.StampFromMillis(time.Now().UnixMilli())
	for i, args := range commands {
		got := s.run(args...)
		if !redistest.Alike(args, replies[i], got) {
			for _, args := range commands[max(0, i-20):i] {
				t.Logf("%q", args)
			}
			t.Errorf("command %d %q:\n  here  %q\n  redis %q", i, args, got, replies[i])
			return
		}
		s.txn.Stamp++
	}
	s.check()
}
