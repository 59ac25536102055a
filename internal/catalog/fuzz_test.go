package catalog

import (
	"testing"
)

// FuzzRun: a command's argument may come from any node. Whatever it says, the
// catalog can be loaded afterwards, and a refused command changes nothing.
func FuzzRun(f *testing.F) {
	commands := []string{CmdJoin, CmdUpdate, CmdPlace, CmdGeneration}
	f.Add(uint8(0), []byte(`{"token":"t","peer":"127.0.0.1:1","version":"v"}`))
	f.Add(uint8(1), []byte(`{"id":1,"peer":"127.0.0.1:2","redis":"127.0.0.1:3","zone":"z"}`))
	f.Add(uint8(2), []byte(`{"id":1,"version":1,"lo":0,"hi":5461,"replicas":[{"node":1,"replica":7}],"preferred":1}`))
	f.Add(uint8(3), []byte(nil))
	f.Fuzz(func(t *testing.T, cmd uint8, arg []byte) {
		txn := founded()
		before := dump(txn)
		_, err := Run(txn, [][]byte{[]byte(commands[int(cmd)%len(commands)]), arg})
		if _, loadErr := Load(txn); loadErr != nil {
			t.Fatalf("the catalog cannot be loaded any more: %v", loadErr)
		}
		if err != nil && dump(txn) != before {
			t.Errorf("refused (%v), and changed all the same", err)
		}
	})
}
