package datatype_test

import (
	"fmt"
	"strings"
	"testing"

	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/keyspace"
	"coterie/internal/overlay"
	"coterie/internal/resp"
)

// faulty are commands with bugs.
var faulty = []command.Spec{
	{ // writes, and reads the state, when it panics
		Name: "fail", Arity: 2, Flags: command.Write, Keys: command.KeyRange{First: 1, Last: 1, Step: 1}, Group: "generic", Since: "1.0",
		Run: func(c *command.Ctx) {
			c.Out.Array(2)
			c.Call([][]byte{[]byte("set"), c.Args[1], []byte("left")}, c.Out)
			c.Call([][]byte{[]byte("hset"), []byte("{" + string(c.Args[1]) + "}h"), []byte("f"), []byte("left")}, c.Out)
			it := c.Txn.Iter([]byte{0}, []byte{255})
			defer func() { _ = it }()
			it.Next()
			var none *resp.Writer
			none.Buf = nil
		},
	},
	{ // meets a bug in what keeps the state
		Name: "failbelow", Arity: 2, Flags: command.Write, Keys: command.KeyRange{First: 1, Last: 1, Step: 1}, Group: "generic", Since: "1.0",
		Run: func(c *command.Ctx) { c.Txn.(stackTxn).Cut(overlay.Mark{Body: 1 << 30}) },
	},
}

// newFaulty is a stack that knows faulty's commands; faults are counted.
func newFaulty(t *testing.T) (s *stack, faults *[]command.Fault) {
	s, faults = newStack(t), new([]command.Fault)
	table, err := command.NewTable(datatype.All(), faulty)
	if err != nil {
		t.Fatal(err)
	}
	s.eval = command.NewEvaluator(table, keyspace.Limits{})
	s.eval.Fault = func(f command.Fault) { *faults = append(*faults, f) }
	return s, faults
}

func TestFaultOfCommand(t *testing.T) {
	s, faults := newFaulty(t)
	want := "-" + command.ErrFault + "\r\n"
	for i, args := range [][]string{
		{"fail", "k"},
		{"eval", "redis.call('set', KEYS[1], 'left') redis.call('fail', KEYS[1])", "1", "k"},
		{"eval", "pcall(function() redis.pcall('fail', KEYS[1]) end) return 1", "1", "k"},
		{"eval", "local c = coroutine.wrap(function() redis.call('fail', KEYS[1]) end) c()", "1", "k"},
	} {
		s.run("set", "before", fmt.Sprint(i))
		if got := s.run(args...); got != want {
			t.Fatalf("%q: %q", args, got)
		}
		if len(*faults) != i+1 {
			t.Fatalf("%q: %d faults", args, len(*faults))
		}
		f := (*faults)[i]
		if f.Command != args[0] || !strings.Contains(f.Panic, "nil pointer") || !strings.Contains(string(f.Stack), "fault_test.go") {
			t.Errorf("%q: the fault is %q, %q, stack:\n%s", args, f.Command, f.Panic, f.Stack)
		}
		// Nothing stays, and everything goes on.
		for reply, args := range map[string][]string{
			"*0\r\n":                              {"keys", "*k*"},
			fmt.Sprintf("$%d\r\n%d\r\n", 1, i):    {"get", "before"},
			":1\r\n":                              {"dbsize"},
			"*2\r\n$1\r\na\r\n$6\r\nbefore\r\n":   {"eval", "return {ARGV[1], KEYS[1]}", "1", "before", "a"},
			"$-1\r\n":                             {"eval", "return redis.call('get', KEYS[1])", "1", "k"},
			"-ERR " + "unknown command 'nothing'": {"nothing"},
		} {
			if got := s.run(args...); !strings.HasPrefix(got, reply) {
				t.Errorf("afterwards %q: %q", args, got)
			}
		}
	}
	s.move()
	if err := s.store.Close(); err != nil { // Pebble counts its iterators
		t.Errorf("closing the store: %v", err)
	}
}

// TestFaultInGroup: an EXEC with a command that panics leaves nothing.
func TestFaultInGroup(t *testing.T) {
	s, faults := newFaulty(t)
	group := command.ExecGroup(1, nil, []command.Grouped{
		{Args: [][]byte{[]byte("set"), []byte("k"), []byte("v")}},
		{Args: [][]byte{[]byte("fail"), []byte("k")}},
	})
	s.ov.Begin()
	got, _ := s.eval.Evaluate(command.Call{Txn: stackTxn{s.ov, s}, Partition: 1, Span: wholeSpan, Proto: 2, Args: group, Group: true}, nil)
	if string(got) != "-"+command.ErrFault+"\r\n" || len(*faults) != 1 || (*faults)[0].Command != "fail" || s.ov.Wrote() {
		t.Errorf("%q, %d faults, wrote %v", got, len(*faults), s.ov.Wrote())
	}
	s.ov.End()
	if got := s.run("dbsize"); got != ":0\r\n" {
		t.Errorf("afterwards there are %q", got)
	}
}

// TestFaultBelow plants a bug where the state is kept.
func TestFaultBelow(t *testing.T) {
	s, faults := newFaulty(t)
	defer func() {
		if recover() == nil || len(*faults) != 0 {
			t.Errorf("no panic, %d faults", len(*faults))
		}
	}()
	s.run("failbelow", "k")
}
