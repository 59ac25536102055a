package scripting_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/datatype/redistest"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/kv"
	"coterie/internal/redisfront"
	"coterie/internal/resp"
)

var rewrite = flag.Bool("scripts.rewrite", false, "write testdata/scripts.want anew, by what redis-server says")

// server is one partition that owns all slots, in memory.
type server struct {
	t     testing.TB
	txn   *keyspacetest.Txn
	eval  *command.Evaluator
	span  base.Span
	proto uint8
}

func newServer(t testing.TB) *server {
	table, err := command.NewTable(redisfront.Specs(), datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	return &server{t: t, txn: keyspacetest.New(1), span: base.Span{Lo: 0, Hi: base.NumSlots}, proto: 2,
		eval: command.NewEvaluator(table, keyspace.Limits{})}
}

func (s *server) run(args ...string) string {
	s.t.Helper()
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	out, _ := s.eval.Evaluate(command.Call{Txn: s.txn, Partition: 1, Span: s.span, Proto: s.proto, Args: list}, nil)
	if n, err := resp.SkipReply(out); err != nil || n != len(out) {
		s.t.Fatalf("%q: reply %q is not one reply: %v", args, out, err)
	}
	return string(out)
}

func commands(t testing.TB) (list [][]string) {
	b, err := os.ReadFile("testdata/scripts.json")
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// plain makes what Redis 7.0, with which the replies were recorded, and 7.2 word
// differently the same.
func plain(reply string) string { return reply }

// TestScripts compares replies with those of redis-server, as recorded.
func TestScripts(t *testing.T) {
	list := commands(t)
	for _, proto := range []uint8{2, 3} {
		file := fmt.Sprintf("testdata/scripts-resp%d.want", proto)
		if *rewrite {
			record(t, list, proto, file)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		if len(want) != len(list) {
			t.Fatalf("%d commands, %d replies: run with -scripts.rewrite", len(list), len(want))
		}
		s := newServer(t)
		s.proto = proto
		for i, args := range list {
			if got := fmt.Sprintf("%q", s.run(args...)); got != plain(want[i]) {
				t.Errorf("RESP%d %q\n got %s\nwant %s", proto, args, got, want[i])
			}
		}
	}
}

// record asks redis-server. What ends it does not belong in the list.
func record(t *testing.T, list [][]string, proto uint8, file string) {
	redis := redistest.Dial(t, redistest.Start(t))
	redis.Run(t, []string{"hello", fmt.Sprint(proto)})
	var out strings.Builder
	for _, args := range list {
		fmt.Fprintf(&out, "%q\n", redis.Run(t, args)[0])
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDivert: a script that needs what is not here, or more than a leader gives, has
// done nothing.
func TestDivert(t *testing.T) {
	s := newServer(t)
	s.span.Hi = base.NumSlots / 2
	here, elsewhere := "", ""
	for i := 0; here == "" || elsewhere == ""; i++ {
		if key := fmt.Sprint("k", i); s.span.Contains(base.KeySlot([]byte(key))) {
			here = key
		} else {
			elsewhere = key
		}
	}
	s.run("set", here, "before")
	for _, src := range []string{
		"redis.call('set',KEYS[1],'x') redis.call('publish','c','m') return redis.call('get',ARGV[1])",
		"redis.call('set',KEYS[1],'x') pcall(redis.call,'get',ARGV[1]) return 1",
		"redis.call('set',KEYS[1],'x') while true do end",
		"redis.call('set',KEYS[1],'x') pcall(function() while true do end end)",
		"redis.call('set',KEYS[1],'x') local s = string.rep('x', 1e6) for i = 1, 20 do redis.call('set',KEYS[1],s) end",
		"redis.call('set',KEYS[1],'x') return redis.call('dbsize')",
	} {
		if got := s.run("eval", src, "1", here, elsewhere); got != command.DivertReply {
			t.Errorf("%s: %q", src, got)
		}
		if got := s.run("get", here); got != "$6\r\nbefore\r\n" {
			t.Errorf("%s: has left %q", src, got)
		}
	}
	if got := s.run("fcall", "nosuch", "0"); got != command.DivertReply {
		t.Errorf("a function that this node does not know yet: %q", got)
	}
	if err := keyspace.Check(s.txn, s.span); err != nil {
		t.Error(err)
	}
}

// BenchmarkEval is what a small script costs a leader; BenchmarkIncr is its command
// alone.
func BenchmarkEval(b *testing.B) {
	bench(b, "eval", "return redis.call('incr', KEYS[1])", "1", "counter")
}

func BenchmarkIncr(b *testing.B) { bench(b, "incr", "counter") }

func bench(b *testing.B, args ...string) {
	s := newServer(b)
	var list [][]byte
	for _, a := range args {
		list = append(list, []byte(a))
	}
	call := command.Call{Txn: noSavepoint{s.txn}, Partition: 1, Span: s.span, Proto: 2, Args: list}
	var reply []byte
	b.ReportAllocs()
	for b.Loop() {
		reply, _ = s.eval.Evaluate(call, reply[:0])
	}
}

// noSavepoint keeps a benchmark from measuring the test's own savepoints, which copy
// everything.
type noSavepoint struct{ kv.Txn }
