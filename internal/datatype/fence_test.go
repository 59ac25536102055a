package datatype_test

import (
	"strconv"
	"strings"
	"testing"

	"coterie/internal/command"
)

func (s *server) token(key string) int {
	s.t.Helper()
	reply := string(s.run("fencetoken", key))
	n, err := strconv.Atoi(strings.Trim(reply, ":\r\n"))
	if err != nil {
		s.t.Fatalf("token of %s: %q", key, reply)
	}
	return n
}

// TestFencing: tokens of a lock rise with each holder, and a command behind an
// older one is refused.
func TestFencing(t *testing.T) {
	s := newServer(t, 1)
	s.want(okay, "set", "lock", "me", "nx", "px", "1000")
	first := s.token("lock")
	one := strconv.Itoa(first)
	s.want(null, "fencetoken", "lock", "you")
	s.want(integer(first), "fencetoken", "lock", "me")
	s.want(okay, "fence", "lock", one)
	s.want(integer(5), "fence", "lock", one, "incrby", "n", "5")
	s.want(null, "set", "lock", "you", "nx", "px", "1000")
	s.want(integer(1), "pexpire", "lock", "5000") // its holder prolongs it, in either way
	s.want(okay, "set", "lock", "me", "xx", "px", "9000")
	s.want(integer(first), "fencetoken", "lock")
	s.run("rename", "lock", "l")
	s.run("rename", "l", "lock")
	s.want(integer(first), "fencetoken", "lock")
	s.want(integer(1), "del", "lock")
	s.want(null, "fencetoken", "lock")
	for _, take := range [][]string{{"set", "lock", "b", "nx"}, {"setnx", "lock", "c"}, {"msetnx", "lock", "d", "other", "e"}} {
		s.run("del", "lock")
		s.run(take...)
		next := s.token("lock")
		if next <= first {
			t.Errorf("%q: token %d behind %d", take, next, first)
		}
		first = next
		if got := string(s.run("fence", "lock", one, "set", "n", "late")); !strings.HasPrefix(got, "-FENCED ") {
			t.Errorf("a late write: %q", got)
		}
		s.want(bulk("5"), "get", "n")
	}
	s.want(okay, "set", "lock", "x") // written over: no lock any more
	s.want(null, "fencetoken", "lock")
	for _, bad := range [][]string{
		{"fence", "lock", strconv.Itoa(first), "set", "n", "1"}, {"fence", "none", "1"}, {"fence", "lock", "-1"}, {"fence", "lock", "x"},
		{"fence", "n", "1", "nosuch"}, {"fence", "lock"}, {"fencetoken"}, {"fencetoken", "a", "b", "c"},
	} {
		if got := s.run(bad...); got[0] != '-' {
			t.Errorf("%q: %q", bad, got)
		}
	}
	s.check()
}

// TestFencedTransaction: without a command of its own FENCE is a condition for
// a whole transaction.
func TestFencedTransaction(t *testing.T) {
	s := newServer(t, 1)
	s.run("set", "lock", "me", "nx")
	token := strconv.Itoa(s.token("lock"))
	exec := func(token string) string {
		group := command.ExecGroup(1, nil, []command.Grouped{
			{Args: words("incr n")}, {Args: words("fence lock " + token)}, {Args: words("incr n")},
		})
		out, _ := s.eval.Evaluate(command.Call{Txn: s.txn, Partition: 1, Span: s.span, Proto: 2, Args: group, Group: true}, nil)
		return string(out)
	}
	if got := exec(token); got != "*3\r\n:1\r\n+OK\r\n:2\r\n" {
		t.Errorf("%q", got)
	}
	if got := exec("999999"); !strings.HasPrefix(got, "-FENCED") {
		t.Errorf("%q", got)
	}
	s.want(bulk("2"), "get", "n")
}

func words(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}
