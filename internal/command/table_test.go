package command

import (
	"fmt"
	"strings"
	"testing"

	"coterie/internal/resp"
)

func words(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

func testTable(t testing.TB) *Table {
	t.Helper()
	table, err := NewTable([]Spec{
		{Name: "get", Arity: 2, Flags: ReadOnly | Fast, Keys: One, Group: "string", Since: "1.0.0", Summary: "s", Complexity: "O(1)", Args: []Arg{Key("key")}},
		{Name: "mset", Arity: -3, Flags: Write, Keys: Pairs, KeySpecs: []KeySpec{Use(Pairs, "OW", "update")}},
		{Name: "config", Arity: -2, Sub: []Spec{{Name: "get", Arity: -3, Flags: Admin}, {Name: "set", Arity: -4, Flags: Admin}}},
		{Name: "ping", Arity: -1, Flags: Fast},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLookup(t *testing.T) {
	table := testTable(t)
	for line, want := range map[string]string{
		"get a": "get", "GET a": "get", "gEt": "get", "config get x": "config|get", "CONFIG GET x": "config|get", "config": "config",
		"config foo": "", "config|get x": "", "foo": "", strings.Repeat("x", 100): "", "config " + strings.Repeat("x", 100): "",
	} {
		got := ""
		if s := table.Lookup(words(line)); s != nil {
			got = s.Full
		}
		if got != want {
			t.Errorf("Lookup(%q) = %q, want %q", line, got, want)
		}
	}
	args := words("GET key")
	if n := testing.AllocsPerRun(100, func() { table.Lookup(args) }); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
}

func TestErrors(t *testing.T) {
	table := testTable(t)
	for _, tc := range []struct{ line, want string }{
		{"foo a b", "ERR unknown command 'foo', with args beginning with: 'a' 'b' "},
		{"foo", "ERR unknown command 'foo', with args beginning with: "},
		{"CONFIG foo", "ERR unknown subcommand 'foo'. Try CONFIG HELP."},
		{strings.Repeat("f", 200), "ERR unknown command '" + strings.Repeat("f", 128) + "', with args beginning with: "},
		{"f " + strings.Repeat("a", 200) + " b", "ERR unknown command 'f', with args beginning with: '" + strings.Repeat("a", 128) + "' "},
		{"f " + strings.Repeat("a", 100) + " " + strings.Repeat("b", 100), "ERR unknown command 'f', with args beginning with: '" + strings.Repeat("a", 100) + "' '" + strings.Repeat("b", 25) + "' "},
	} {
		if got := table.Unknown(words(tc.line)); got != tc.want {
			t.Errorf("Unknown(%q)\n  = %q\n want %q", tc.line, got, tc.want)
		}
	}
	config := table.Lookup(words("config get"))
	if config.CheckArity(2) || !config.CheckArity(3) || !config.CheckArity(9) {
		t.Error("an arity of -3 means three or more")
	}
	if got := config.ArityError(); got != "ERR wrong number of arguments for 'config|get' command" {
		t.Error(got)
	}
}

func TestTableRefuses(t *testing.T) {
	for name, rows := range map[string][]Spec{
		"twice":     {{Name: "a", Arity: 1}, {Name: "a", Arity: 1}},
		"upper":     {{Name: "A", Arity: 1}},
		"no arity":  {{Name: "a"}},
		"no step":   {{Name: "a", Arity: 1, Keys: KeyRange{First: 1, Last: 1}}},
		"sub twice": {{Name: "a", Arity: 1, Sub: []Spec{{Name: "b", Arity: 1}, {Name: "b", Arity: 1}}}},
	} {
		if _, err := NewTable(rows); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDescribe(t *testing.T) {
	table := testTable(t)
	for _, tc := range []struct{ line, want string }{
		{"command count", ":4\r\n"},
		{"command getkeys mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{"command getkeysandflags get a", "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n"},
		{"command getkeys ping x", "-ERR The command has no key arguments\r\n"},
		{"command getkeys nosuch x", "-ERR Invalid command specified\r\n"},
		{"command getkeys get a b", "-ERR Invalid number of arguments specified for command\r\n"},
		{"command list filterby pattern C*S*", "*1\r\n$10\r\nconfig|set\r\n"},
		{"command list filterby aclcat write", "*1\r\n$4\r\nmset\r\n"},
		{"command list filterby module x", "*0\r\n"},
		{"command list foo", "-ERR syntax error\r\n"},
		{"command info nosuch", "*1\r\n$-1\r\n"},
		{"command docs get nosuch", "*2\r\n$3\r\nget\r\n*10\r\n$7\r\nsummary\r\n$1\r\ns\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\nstring\r\n" +
			"$10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n*8\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n" +
			"$12\r\ndisplay_text\r\n$3\r\nkey\r\n$14\r\nkey_spec_index\r\n:0\r\n"},
	} {
		w := resp.Writer{Proto: 2}
		table.Describe(&w, words(tc.line))
		if string(w.Buf) != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.line, w.Buf, tc.want)
		}
	}
}

// Every form of COMMAND gives one complete reply in both protocols.
func TestDescribeIsWellFormed(t *testing.T) {
	table := testTable(t)
	for _, line := range []string{"command", "command info", "command docs", "command list", "command info get config|set x"} {
		for _, proto := range []int{2, 3} {
			w := resp.Writer{Proto: proto}
			table.Describe(&w, words(line))
			if n, err := resp.SkipReply(w.Buf); err != nil || n != len(w.Buf) {
				t.Errorf("%s, RESP%d: %d of %d bytes are a reply: %v", line, proto, n, len(w.Buf), err)
			}
		}
	}
}

func TestNumberedKeys(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"zunionstore d 2 a b weights 1 2", "[1 3 4]"},
		{"zunionstore d 0", "[1]"},
		{"zunionstore d 3 a b", "[]"}, // nonsense has no keys
		{"zunionstore d x a b", "[]"},
		{"zunionstore d -1 a", "[]"},
		{"zunionstore d", "[]"},
	}
	find := NumberedKeys(2, 1)
	for _, tt := range tests {
		if got := fmt.Sprint(find(nil, words(tt.args))); got != tt.want {
			t.Errorf("%s: keys at %s, want %s", tt.args, got, tt.want)
		}
	}
}
