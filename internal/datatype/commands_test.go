package datatype_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/resp"
)

// strings runs a command that replies with an array of strings.
func (s *server) strings(args ...string) (out []string) {
	s.t.Helper()
	v, _, err := resp.ParseReply(s.run(args...))
	if err != nil || v.Elems == nil && v.Kind == '-' {
		s.t.Fatalf("%q: %v %v", args, v, err)
	}
	for _, e := range v.Elems {
		out = append(out, string(e.Str))
	}
	return out
}

// scanAll scans from 0 until the cursor is 0 again.
func (s *server) scanAll(name string, count int, key ...string) (out []string) {
	s.t.Helper()
	for cursor, steps := "0", 0; ; steps++ {
		args := append(append([]string{name}, key...), cursor, "COUNT", strconv.Itoa(count))
		v, _, err := resp.ParseReply(s.run(args...))
		if err != nil || len(v.Elems) != 2 || steps > 100_000 {
			s.t.Fatalf("%q: %v %v", args, v, err)
		}
		for _, e := range v.Elems[1].Elems {
			out = append(out, string(e.Str))
		}
		if cursor = string(v.Elems[0].Str); cursor == "0" {
			return out
		}
	}
}

func TestScanStaysInTheSpan(t *testing.T) {
	s := newServer(t, 1)
	want := map[base.Span][]string{}
	spans := []base.Span{{Lo: 0, Hi: 4000}, {Lo: 4000, Hi: 9000}, {Lo: 9000, Hi: base.NumSlots}}
	for i := range 300 {
		key := fmt.Sprint("key", i)
		s.want(okay, "set", key, "v")
		for _, span := range spans {
			if span.Contains(base.KeySlot([]byte(key))) {
				want[span] = append(want[span], key)
			}
		}
	}
	for i, span := range spans {
		s.span = span
		if got := s.scanAll("scan", 4); !sameStrings(got, want[span]) {
			t.Errorf("span %v: scan found %d keys, want %d", span, len(got), len(want[span]))
		}
		if got := s.strings("keys", "*"); !sameStrings(got, want[span]) {
			t.Errorf("span %v: keys found %d keys, want %d", span, len(got), len(want[span]))
		}
		s.want(integer(len(want[span])), "dbsize")
		// A cursor of the partition before goes on at this one's first slot.
		if i > 0 {
			v, _, _ := resp.ParseReply(s.run("scan", fmt.Sprint(uint64(spans[i-1].Lo)<<48+5), "count", "1000"))
			if len(v.Elems[1].Elems) != len(want[span]) {
				t.Errorf("span %v: a lower cursor finds %d keys", span, len(v.Elems[1].Elems))
			}
		}
		s.want("*2\r\n$1\r\n0\r\n*0\r\n", "scan", fmt.Sprint(uint64(span.Hi)<<48))
	}
	s.span = wholeSpan
	s.run("hset", "hash", "f", "v")
	got := s.strings("keys", "hash")
	v, _, _ := resp.ParseReply(s.run("scan", "0", "count", "10000", "type", "HASH"))
	if len(got) != 1 || len(v.Elems[1].Elems) != 1 {
		t.Error("SCAN TYPE hash finds the one hash")
	}
}

func TestKeysOfOtherPartitionsAreRefused(t *testing.T) {
	s := newServer(t, 1)
	s.span = base.Span{Lo: 0, Hi: base.NumSlots / 2}
	in, out := "bar", "foo" // slots 5061 and 12182
	s.want(okay, "mset", in, "1", "{bar}2", "2")
	for _, args := range [][]string{{"get", out}, {"mset", in, "x", out, "y"}, {"del", out, in}, {"rename", in, out}} {
		if got := string(s.run(args...)); !strings.HasPrefix(got, "-TRYAGAIN ") {
			t.Errorf("%q: %q", args, got)
		}
	}
	s.want(bulk("1"), "get", in)
}

func TestFlush(t *testing.T) {
	s := newServer(t, 1)
	for db := range 3 {
		s.db = uint8(db)
		s.run("set", "k", "v")
	}
	s.db = 1
	s.want(okay, "flushdb", "77")
	s.want(integer(0), "dbsize")
	s.want("-ERR syntax error\r\n", "flushdb", "now")
	s.db = 2
	s.want(integer(1), "dbsize")
	s.want(okay, "flushall")
	s.want(integer(0), "dbsize")
	s.want(null, "randomkey")
	s.check()
	if p := keyspace.SweepDead(s.txn, 1, wholeSpan, 0, 1000); p.Removed != 3 {
		t.Errorf("%d keys were swept", p.Removed)
	}
	s.check()
}

func TestCopyToAnotherNamespace(t *testing.T) {
	s := newServer(t, 1)
	s.run("set", "k", "v", "px", "1000")
	s.want(flag(true), "copy", "k", "k", "db", "3")
	s.want(flag(false), "copy", "k", "k", "db", "3")
	s.want(okay, "set", "k", "new")
	s.db = 3
	s.want(integer(1000), "pttl", "k")
	s.want(bulk("v"), "get", "k")
	s.check()
}

func TestHashEncodings(t *testing.T) {
	s := newServer(t, 1)
	for i := range 128 {
		s.want(flag(true), "hset", "n", fmt.Sprint("f", i), "v")
	}
	s.want(bulk("listpack"), "object", "encoding", "n")
	s.want(flag(true), "hset", "n", "one more", "v")
	s.want(bulk("hashtable"), "object", "encoding", "n")
	s.run("hset", "big", "f", strings.Repeat("x", 1024), "g", "v")
	s.want(bulk("listpack"), "object", "encoding", "big")
	s.run("hset", "big", "f", strings.Repeat("x", 1025))
	s.want(bulk("hashtable"), "object", "encoding", "big")
	s.want(bulk("v"), "hget", "big", "g")
	s.want(integer(2), "hdel", "big", "f", "g", "h")
	s.want("+none\r\n", "type", "big")
	for i := range 129 {
		s.want(flag(true), "hdel", "n", pickField(i))
		s.check()
	}
	if n := s.txn.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func pickField(i int) string {
	if i == 128 {
		return "one more"
	}
	return fmt.Sprint("f", i)
}

func TestRandomFields(t *testing.T) {
	s := newServer(t, 1)
	for _, n := range []int{20, 400} {
		seen := map[string]bool{}
		for i := range n {
			s.run("hset", "h", fmt.Sprint("f", i), fmt.Sprint(i))
		}
		for range 100 {
			for _, count := range []int{3, -7, n, n + 5} {
				pairs := s.strings("hrandfield", "h", strconv.Itoa(count), "withvalues")
				want, distinct := min(max(count, -count), n), map[string]bool{}
				if count < 0 {
					want = -count
				}
				for i := 0; i < len(pairs); i += 2 {
					if pairs[i] != "f"+pairs[i+1] {
						t.Fatalf("field %q has value %q", pairs[i], pairs[i+1])
					}
					distinct[pairs[i]], seen[pairs[i]] = true, true
				}
				if len(pairs) != 2*want || count > 0 && len(distinct) != want {
					t.Fatalf("%d of %d fields: %d, %d of them distinct", count, n, len(pairs)/2, len(distinct))
				}
			}
		}
		if len(seen) != n {
			t.Errorf("%d of %d fields ever came", len(seen), n)
		}
	}
}

func TestRepliesAreBounded(t *testing.T) {
	s := newServer(t, 1)
	s.eval = command.NewEvaluator(s.table, keyspace.Limits{MaxString: 100, MaxReply: 1000})
	for i := range 200 {
		s.run("set", fmt.Sprint("key", i), "v")
		s.run("hset", "h", fmt.Sprint("field", i), "v")
	}
	for _, args := range [][]string{{"keys", "*"}, {"hgetall", "h"}, {"hkeys", "h"}, {"hrandfield", "h", "-1000000"}} {
		s.want("-"+command.ErrReplyTooLarge+"\r\n", args...)
	}
	s.want("-"+command.ErrTooLong+"\r\n", "append", "a", strings.Repeat("x", 101))
	s.want("-"+command.ErrTooLong+"\r\n", "setrange", "a", "100", "x")
	s.want("-ERR bit offset is not an integer or out of range\r\n", "setbit", "a", "800", "1")
	s.want(flag(false), "setbit", "a", "799", "1")
}

// TestReadsLeaveNoEffects runs every command that is marked as a read.
func TestReadsLeaveNoEffects(t *testing.T) {
	s := newServer(t, 1)
	s.run("set", "s", "12345")
	s.run("hset", "h", "f", "1")
	s.run("set", "later", "v", "px", "5")
	try := func(row *command.Spec) {
		if row.Flags&command.ReadOnly == 0 || row.Run == nil {
			return
		}
		name := strings.Split(row.Full, "|")
		for _, key := range []string{"s", "h", "later", "none"} {
			for n := max(row.Arity, -row.Arity); n < 6; n++ {
				args := append([]string(nil), name...)
				for len(args) < n {
					args = append(args, pickArg(len(args), len(name), key))
				}
				before := s.txn.Writes
				if s.run(args...); s.txn.Writes != before {
					t.Errorf("%q left effects", args)
				}
			}
		}
	}
	for _, row := range s.table.Commands() {
		try(row)
		for i := range row.Sub {
			try(&row.Sub[i])
		}
	}
	// But a read that hides a key by the clock leaves the effect that it is gone.
	s.txn.Stamp += 5000
	before := s.txn.Writes
	if s.want(null, "get", "later"); s.txn.Writes == before {
		t.Error("an expired key was hidden without an effect")
	}
	s.check()
}

func pickArg(i, first int, key string) string {
	if i == first {
		return key
	}
	return strconv.Itoa(i - first)
}

func benchmark(b *testing.B, commands ...string) {
	s := newServer(b, 1)
	s.run("set", "string", strings.Repeat("x", 64))
	s.run("set", "number", "1")
	for i := range 10 {
		s.run("hset", "hash", fmt.Sprint("field", i), "some value")
	}
	var list [][][]byte
	for _, line := range commands {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		list = append(list, args)
	}
	gens := keyspace.LoadGenerations(s.txn, 1)
	var reply []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		reply, _ = s.eval.Evaluate(command.Call{Txn: s.txn, Partition: 1, Span: wholeSpan, Proto: 2, Args: list[i%len(list)], Generations: &gens}, reply[:0])
	}
}

func BenchmarkGet(b *testing.B)  { benchmark(b, "GET string") }
func BenchmarkSet(b *testing.B)  { benchmark(b, "SET string "+strings.Repeat("y", 64)) }
func BenchmarkIncr(b *testing.B) { benchmark(b, "INCR number") }
func BenchmarkHGet(b *testing.B) { benchmark(b, "HGET hash field9") }
func BenchmarkHSet(b *testing.B) { benchmark(b, "HSET hash field9 other") }
func BenchmarkMSet(b *testing.B) { benchmark(b, "MSET string a number 5") }
func BenchmarkZAdd(b *testing.B) { benchmark(b, "ZADD zset 5 some-member", "ZADD zset 7 some-member") }
