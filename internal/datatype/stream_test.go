package datatype_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/datatype/redistest"
	"coterie/internal/resp"
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
	commands := [][]string{redistest.List("set", "str", "v"), redistest.List("xgroup", "create", "x", "g1", "0", "mkstream")}
	for range differentialCommands {
		args := g.StreamCommand()
		switch args[0] { // a later version makes the consumer in any case
		case "xclaim", "xautoclaim":
			commands = append(commands, redistest.Join("xgroup", redistest.List("createconsumer"), args[1:4]))
		case "xreadgroup":
			for _, k := range []string{"x", "y", "{t}z"} {
				commands = append(commands, redistest.Join("xgroup", redistest.List("createconsumer", k), args[2:4]))
			}
		}
		commands = append(commands, args)
	}
	for _, k := range []string{"x", "y", "{t}z"} {
		commands = append(commands, redistest.List("xinfo", "stream", k, "full", "count", "0"), redistest.List("xinfo", "groups", k))
	}
	r.Run(t, []string{"flushall"})
	replies := r.Run(t, commands...)
	s.txn.Stamp = base.StampFromMillis(time.Now().UnixMilli())
	for i, args := range commands {
		got := s.run(args...)
		if string(got) == string(replies[i]) {
			continue
		}
		if a, b := streamReply(t, args, replies[i]), streamReply(t, args, got); a != b {
			for _, args := range commands[max(0, i-20):i] {
				t.Logf("%q", args)
			}
			t.Errorf("command %d %q:\n  here  %s\n  redis %s", i, args, b, a)
			return
		}
		s.txn.Stamp++
	}
	s.check()
}

// streamReply is a reply as text, without what differs between versions and
// times.
func streamReply(t *testing.T, args []string, reply []byte) string {
	t.Helper()
	v, _, err := resp.ParseReply(reply)
	if err != nil {
		t.Fatal(err)
	}
	switch strings.ToLower(args[0]) {
	case "xinfo":
		return infoText(v)
	case "xpending":
		for _, e := range v.Elems {
			if len(e.Elems) == 4 {
				e.Elems[2].Int = (e.Elems[2].Int + 5000) / 10000
				if e.Elems[2].Int > 1e6 {
					e.Elems[2].Int = 1e6
				}
			}
		}
	}
	return replyText(v)
}

func replyText(v resp.Value) string {
	if len(v.Elems) == 0 {
		return fmt.Sprintf("%c %d %q %v", v.Kind, v.Int, v.Str, v.Null)
	}
	var list []string
	for _, e := range v.Elems {
		list = append(list, replyText(e))
	}
	return fmt.Sprintf("%c(%s)", v.Kind, strings.Join(list, ", "))
}

// infoText is a reply of XINFO as text.
func infoText(v resp.Value) string {
	if len(v.Elems) == 0 {
		if v.Kind == ':' && v.Int > 1e9 {
			return "time"
		}
		return replyText(v)
	}
	var list []string
	for i := 0; i < len(v.Elems); i++ {
		switch string(v.Elems[i].Str) {
		case "inactive", "active-time": // later than the server to compare with
			i++
			continue
		case "radix-tree-keys", "radix-tree-nodes", "idle", "seen-time":
			i++
			continue
		}
		list = append(list, infoText(v.Elems[i]))
	}
	return fmt.Sprintf("(%s)", strings.Join(list, " "))
}
