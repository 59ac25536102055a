package datatype_test

import (
	"bytes"
	"fmt"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/datatype/redistest"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/resp"
)

// maxString is the limit of strings, here and in the redis-server to compare with.
const maxString = 1 << 20

var wholeSpan = base.Span{Lo: 0, Hi: base.NumSlots}

// server is one partition that owns all slots, in memory.
type server struct {
	t     testing.TB
	txn   *keyspacetest.Txn
	table *command.Table
	eval  *command.Evaluator
	span  base.Span
	db    uint8
	proto uint8
	// expiring says that keys may be expired, so that also a command that fails removes some.
	expiring bool
}

func newServer(t testing.TB, seed uint64) *server {
	table, err := command.NewTable(datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	return &server{
		t: t, txn: keyspacetest.New(seed), table: table, span: wholeSpan, proto: 2,
		eval: command.NewEvaluator(table, keyspace.Limits{MaxString: maxString}),
	}
}

// run runs a command and returns its raw reply, which it checks to be one.
func (s *server) run(args ...string) []byte {
	s.t.Helper()
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	before := s.txn.Writes
	out, _ := s.eval.Evaluate(command.Call{Txn: s.txn, Partition: 1, Span: s.span, DB: s.db, Proto: s.proto, Args: list}, []byte("before"))
	out, ok := bytes.CutPrefix(out, []byte("before"))
	if n, err := resp.SkipReply(out); !ok || err != nil || n != len(out) {
		s.t.Fatalf("%q: reply %q is not one reply: %v", args, out, err)
	}
	if out[0] == '-' && s.txn.Writes != before && !s.expiring {
		s.t.Fatalf("%q: replied %q and left effects", args, out)
	}
	return out
}

func (s *server) want(reply string, args ...string) {
	s.t.Helper()
	if got := s.run(args...); string(got) != reply {
		s.t.Errorf("%q: reply %q, want %q", args, got, reply)
	}
}

func (s *server) check() {
	s.t.Helper()
	if err := keyspace.Check(s.txn, wholeSpan); err != nil {
		s.t.Fatalf("the keyspace is not consistent: %v", err)
	}
}

// startRedis starts a redis-server with this package's limits.
func startRedis(t testing.TB) (addr string) {
	return redistest.Start(t, "--proto-max-bulk-len", fmt.Sprint(maxString), "--hash-max-listpack-entries", "128", "--hash-max-listpack-value", "1024")
}
