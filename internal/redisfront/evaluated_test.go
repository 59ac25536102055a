package redisfront

import (
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
)

func runFails(c *command.Ctx) { inSlot(c, func() { panic("a bug") }) }

// TestFaultOfFrontsCommand: what the front has partitions run is a command like any
// other: a panic ends nothing but itself.
func TestFaultOfFrontsCommand(t *testing.T) {
	table, err := command.NewTable([]command.Spec{{Name: "fails", Arity: 3, Flags: command.ReadOnly, Group: "server", Run: runFails}})
	if err != nil {
		t.Fatal(err)
	}
	faults := 0
	e := command.NewEvaluator(table, keyspace.Limits{})
	e.Fault = func(command.Fault) { faults++ }
	reply, _ := e.Evaluate(command.Call{
		Txn: keyspacetest.New(1), Partition: 1, Span: base.Span{Hi: base.NumSlots}, Proto: 2, Args: [][]byte{[]byte("fails"), {}, []byte("0")},
	}, nil)
	if string(reply) != "-"+command.ErrFault+"\r\n" || faults != 1 {
		t.Errorf("%q, %d faults", reply, faults)
	}
}
