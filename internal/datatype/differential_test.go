package datatype_test

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"
)

const (
	differentialRounds   = 60
	differentialCommands = 300 // in one round, over one keyspace
)

// TestAgainstRedis runs random commands here and in a real redis-server, and
// compares what both reply.
func TestAgainstRedis(t *testing.T) {
	dial := startRedis(t)
	for _, proto := range []uint8{2, 3} {
		t.Run(fmt.Sprint("RESP", proto), func(t *testing.T) {
			r := dial()
			r.t = t
			r.run([]string{"hello", fmt.Sprint(proto)})
			for seed := range uint64(differentialRounds) {
				if differ(t, r, proto, seed); t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func differ(t *testing.T, r *redis, proto uint8, seed uint64) {
	s := newServer(t, seed)
	s.proto = proto
	g := generator{rand.New(rand.NewPCG(seed, uint64(proto)))}
	commands := make([][]string, differentialCommands)
	for i := range commands {
		commands[i] = g.command()
	}
	r.run([]string{"flushall"})
	replies := r.run(commands...)
	s.txn.Stamp = base.StampFromMillis(time.Now().UnixMilli())
	for i, args := range commands {
		got := s.run(args...)
		if !alike(args, replies[i], got) {
			t.Errorf("command %d %q:\n  here  %q\n  redis %q", i, args, got, replies[i])
			return
		}
		s.txn.Stamp++
	}
	s.check()
	checkSame(t, s, r)
}

// checkSame compares all values at the end.
func checkSame(t *testing.T, s *server, r *redis) {
	for _, key := range []string{"a", "b", "c", "{t}1", "{t}2", "", "h1", "h2", "{t}h3", "big", "s1", "s2", "{t}s3", "bigset"} {
		for _, name := range []string{"get", "hgetall", "smembers", "type"} {
			args := []string{name, key}
			want, got := r.run(args)[0], s.run(args...)
			if !alike(args, want, got) {
				t.Errorf("at the end %q:\n  here  %q\n  redis %q", args, got, want)
			}
		}
	}
}

// alike says whether two replies are the same, but for the order where none
// is promised, and for what time and chance do.
func alike(args []string, want, got []byte) bool {
	if string(want) == string(got) {
		return true
	}
	a, _, errA := resp.ParseReply(want)
	b, _, errB := resp.ParseReply(got)
	if errA != nil || errB != nil || a.Kind != b.Kind {
		return false
	}
	switch name := strings.ToLower(args[0]); name {
	case "hgetall":
		return sameElements(a, b, 2)
	case "hkeys", "hvals", "keys", "smembers", "sinter", "sunion", "sdiff", "spop":
		return sameElements(a, b, 1)
	case "hscan", "sscan":
		n := 2
		if name == "sscan" {
			n = 1
		}
		return len(a.Elems) == 2 && len(b.Elems) == 2 && (args[2] != "0" ||
			string(a.Elems[0].Str) != "0" || string(b.Elems[0].Str) != "0" || sameElements(a.Elems[1], b.Elems[1], n))
	case "hrandfield", "srandmember":
		if len(args) == 2 || args[2] != "1000" {
			return len(a.Elems) == len(b.Elems)
		}
		if len(args) == 4 && len(a.Elems) > 0 && len(a.Elems[0].Elems) == 0 {
			return sameElements(a, b, 2)
		}
		return sameElements(a, b, 1)
	case "ttl", "pttl", "expiretime", "pexpiretime":
		return a.Int > 0 && b.Int > 0 && max(a.Int-b.Int, b.Int-a.Int) < 3000
	case "expire", "pexpire": // LT and GT compare moments that differ by what a command takes
		return len(args) > 3 && a.Int >= 0 && b.Int >= 0
	case "dbsize": // there, a key set to a time in the past counts until it is met
		return a.Int >= b.Int && a.Int-b.Int < 4
	case "object":
		return a.Int > 0 && b.Int >= 0
	}
	return false
}

// sameElements compares arrays as sets of groups of n elements.
func sameElements(a, b resp.Value, n int) bool {
	groups := func(v resp.Value) (list []string) {
		for i := 0; i+n <= len(v.Elems); i += n {
			list = append(list, fmt.Sprintf("%v", v.Elems[i:i+n]))
		}
		sort.Strings(list)
		return list
	}
	return fmt.Sprint(groups(a)) == fmt.Sprint(groups(b))
}
