package datatype_test

import (
	"bytes"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype/redistest"
)

// A flush changes only what was there.
func TestFlushAndWatch(t *testing.T) {
	for _, tc := range []struct {
		key, flush string
		db         uint8
		runs       bool
	}{
		{"there", "flushall", 0, false}, {"there", "FLUSHDB", 0, false},
		{"absent", "flushall", 0, true}, {"absent", "flushdb", 0, true},
		{"there", "flushdb", 1, true}, {"there", "flushall", 1, false},
		{"there", "swapdb 0 1", 0, false}, {"absent", "swapdb 0 1", 0, false}, {"there", "swapdb 0 1", 5, false},
	} {
		s := newServer(t, 1)
		watches := &command.Watches{}
		call := func(group bool, db uint8, args ...[]byte) string {
			out, _ := s.eval.Evaluate(command.Call{Txn: s.txn, Partition: 1, Span: s.span, DB: db, Proto: 2, Args: args, Group: group, Watches: watches}, nil)
			return string(out)
		}
		s.run("set", "there", "x")
		s.run("set", "other", "x")
		watched := command.WatchedKey(0, []byte(tc.key))
		call(true, 0, command.WatchGroup(7, watched)...)
		if got := call(false, tc.db, bytes.Fields([]byte(tc.flush))...); got != "+OK\r\n" {
			t.Fatalf("%s: %q", tc.flush, got)
		}
		got := call(true, 0, command.ExecGroup(7, [][]byte{watched}, []command.Grouped{{Args: [][]byte{[]byte("exists"), []byte("there")}}})...)
		if (got != "*-1\r\n") != tc.runs {
			t.Errorf("%s is watched, %s in database %d: EXEC answers %q", tc.key, tc.flush, tc.db, got)
		}
	}
}

// waiting are the waiters of a partition; one is enough.
type waiting struct{ waits int }

func (w *waiting) Any() bool                            { return true }
func (w *waiting) Touch([]byte)                         {}
func (w *waiting) TouchAll()                            {}
func (w *waiting) Wait(_, _ [][]byte, _ string, _ bool) { w.waits++ }

// Who waits for a list goes on waiting when something else comes under its key.
func TestWaitsOnThroughOtherTypes(t *testing.T) {
	s := newServer(t, 1)
	s.run("set", "other", "x")
	s.run("rpush", "list", "v")
	s.run("zadd", "zset", "1", "m")
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"", redistest.List("blpop", "other", "0")}, {"", redistest.List("brpop", "other", "zset", "0")}, {"*2\r\n$4\r\nlist\r\n$1\r\nv\r\n", redistest.List("blpop", "other", "list", "0")},
		{"", redistest.List("blmove", "other", "list", "left", "left", "0")}, {"", redistest.List("brpoplpush", "zset", "list", "0")}, {"", redistest.List("blmpop", "0", "2", "other", "zset", "left")},
		{"", redistest.List("bzpopmin", "other", "list", "0")}, {"", redistest.List("bzmpop", "0", "1", "other", "min")}, {"*3\r\n$4\r\nzset\r\n$1\r\nm\r\n$1\r\n1\r\n", redistest.List("bzpopmax", "other", "zset", "0")},
	} {
		var args [][]byte
		for _, a := range tc.args {
			args = append(args, []byte(a))
		}
		for _, waited := range []bool{false, true} {
			w := &waiting{}
			call := command.Call{Txn: s.txn, Partition: 1, Span: base.Span{Lo: 0, Hi: base.NumSlots}, Proto: 2, Args: args, Waiters: w, Blocking: true, Waited: waited}
			got, _ := s.eval.Evaluate(call, nil)
			switch want := tc.want; {
			case !waited:
				if string(got) != "-"+command.ErrWrongType+"\r\n" {
					t.Errorf("%q, at first: %q", tc.args, got)
				}
			case string(got) != want || (w.waits > 0) != (want == ""):
				t.Errorf("%q, after a wait: %q, waits %d times", tc.args, got, w.waits)
			}
		}
	}
}
