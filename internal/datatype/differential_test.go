package datatype_test

import (
	"fmt"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/datatype/redistest"
)

const (
	differentialRounds   = 60
	differentialCommands = 300 // in one round, over one keyspace
)

// TestAgainstRedis runs random commands here and in a real redis-server, and
// compares what both reply.
func TestAgainstRedis(t *testing.T) {
	addr := startRedis(t)
	for _, proto := range []uint8{2, 3} {
		t.Run(fmt.Sprint("RESP", proto), func(t *testing.T) {
			r := redistest.Dial(t, addr)
			r.Run(t, []string{"hello", fmt.Sprint(proto)})
			for seed := range uint64(differentialRounds) {
				if differ(t, r, proto, seed); t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func differ(t *testing.T, r *redistest.Conn, proto uint8, seed uint64) {
	s := newServer(t, seed)
	s.proto = proto
	g := redistest.NewGenerator(seed, uint64(proto))
	commands := make([][]string, differentialCommands)
	for i := range commands {
		commands[i] = g.Command()
	}
	r.Run(t, []string{"flushall"})
	replies := r.Run(t, commands...)
	s.txn.Stamp = base.StampFromMillis(time.Now().UnixMilli())
	for i, args := range commands {
		got := s.run(args...)
		if !redistest.Alike(args, replies[i], got) {
			t.Errorf("command %d %q:\n  here  %q\n  redis %q", i, args, got, replies[i])
			return
		}
		s.txn.Stamp++
	}
	s.check()
	checkSame(t, s, r)
}

// checkSame compares all values at the end.
func checkSame(t *testing.T, s *server, r *redistest.Conn) {
	for _, args := range redistest.Everything() {
		want, got := r.Run(t, args)[0], s.run(args...)
		if !redistest.Alike(args, want, got) {
			t.Errorf("at the end %q:\n  here  %q\n  redis %q", args, got, want)
		}
	}
}
