package command

import (
	"testing"

	"coterie/internal/base"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
)

// TestAfterPanic: who recovers from a panic himself (package spanning, of a command that
// read what could not be fetched) may go on with the evaluator.
func TestAfterPanic(t *testing.T) {
	fails := Spec{Name: "fails", Arity: 1, Flags: Write, Group: "generic", Run: func(c *Ctx) {
		c.Divert()
		panic("torn")
	}}
	works := Spec{Name: "works", Arity: 1, Flags: ReadOnly, Group: "generic", Run: func(c *Ctx) { c.Out.Simple("OK") }}
	table, err := NewTable([]Spec{fails, works})
	if err != nil {
		t.Fatal(err)
	}
	e, txn := NewEvaluator(table, keyspace.Limits{}), keyspacetest.New(1)
	run := func(group bool, args ...[]byte) string {
		reply, _ := e.Evaluate(Call{Txn: txn, Partition: 1, Span: base.Span{Hi: base.NumSlots}, Proto: 2, Args: args, Group: group}, nil)
		return string(reply)
	}
	failing, working := [][]byte{[]byte("fails")}, [][]byte{[]byte("works")}
	for _, group := range []bool{false, true} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			if group {
				failing = ExecGroup(1, nil, []Grouped{{Args: failing}})
			}
			run(group, failing...)
		}()
		if got := run(false, working...); got != "+OK\r\n" {
			t.Errorf("group %v: afterwards %q", group, got)
		}
	}
}
