package catalog

import (
	"strings"
	"testing"
)

func TestScripts(t *testing.T) {
	txn := founded()
	check := func(want string, cmd string, arg any) {
		t.Helper()
		got, err := run(t, txn, cmd, arg)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s %v: %s, want %s", cmd, arg, got, want)
		}
	}
	lib := func(name string, functions ...string) Library {
		return Library{Name: name, Functions: functions, Code: []byte("code of " + name)}
	}
	check("0", CmdScriptsVersion, nil)
	check("1", CmdScriptLoad, "return 1")
	check("1", CmdScriptLoad, "return 1") // it is there
	check("2", CmdScriptLoad, "return 2")
	check("3", CmdLibraries, LibraryChange{Put: []Library{lib("a", "f", "g")}})
	check("Library 'a' already exists", CmdLibraries, LibraryChange{Put: []Library{lib("a", "h")}})
	check("Library a already exists", CmdLibraries, LibraryChange{Put: []Library{lib("a", "h")}, Restore: true})
	check("Function G already exists", CmdLibraries, LibraryChange{Put: []Library{lib("b", "G")}})
	check("4", CmdLibraries, LibraryChange{Put: []Library{lib("a", "f")}, Replace: true})
	check("5", CmdLibraries, LibraryChange{Put: []Library{lib("b", "G")}})
	check("Library not found", CmdLibraries, LibraryChange{Delete: "c"})
	check("6", CmdLibraries, LibraryChange{Delete: "a"})
	check("a library of the cluster has at most 1048576 bytes", CmdLibraries,
		LibraryChange{Put: []Library{{Name: "big", Functions: []string{"x"}, Code: make([]byte, MaxScriptBytes+1)}}})
	s, err := LoadScripts(txn)
	if err != nil || len(s.Bodies) != 2 || len(s.Libraries) != 1 || s.Libraries[0].Name != "b" {
		t.Errorf("%+v, %v", s, err)
	}
	check("7", CmdScriptFlush, nil)
	check("8", CmdLibraries, LibraryChange{Flush: true, Put: []Library{lib("c", "g")}})
	s, err = LoadScripts(txn)
	if err != nil || len(s.Bodies) != 0 || len(s.Libraries) != 1 || s.Libraries[0].Name != "c" {
		t.Errorf("%+v, %v", s, err)
	}
	v, err := Load(txn)
	if err != nil || v.Meta.ScriptsVersion != 8 || v.Meta.ScriptsFlushed != 1 || len(v.Partitions) != 3 || len(v.Nodes) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	body := strings.Repeat("x", MaxScriptBytes-10)
	for i := range MaxScriptsBytes/MaxScriptBytes + 1 {
		if _, err = run(t, txn, CmdScriptLoad, body+strings.Repeat("y", i%10)+strings.Repeat("z", i/10)); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "makes room") {
		t.Errorf("more than there is room for: %v", err)
	}
}
