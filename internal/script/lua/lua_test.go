package lua

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"coterie/internal/datatype/redistest"
	"coterie/internal/resp"
)

var rewrite = flag.Bool("programs.rewrite", false, "write testdata/programs.want anew, by what redis-server says")

// programs reads the scripts of testdata: one a line.
func programs(t testing.TB) []string {
	b, err := os.ReadFile("testdata/programs.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// show is a script's outcome in one line.
func show(v Value, err *Error) string {
	if err != nil {
		if _, ok := err.Value.Text(); ok {
			return "error " + fmt.Sprintf("%q", err.Error())
		}
		if t, ok := err.Value.Table(); ok {
			if s, ok := t.GetString("err").Text(); ok {
				return "error " + fmt.Sprintf("%q", s)
			}
		}
		return fmt.Sprintf("error %q", NewState().plainText(err.Value))
	}
	switch o := v.o.(type) {
	case number:
		return fmt.Sprint("number ", Integer(v.n))
	case string:
		return fmt.Sprintf("string %q", o)
	case *Table:
		return "table"
	case bool:
		if o {
			return "number 1"
		}
	}
	return "nil"
}

func runProgram(src string) string {
	s := NewState()
	s.MemoryLimit = 64 << 20
	protect(s)
	s.Begin(1 << 40)
	p, err := Compile(src, "user_script")
	if err != nil {
		return show(Nil, err)
	}
	return show(s.Run(s.Load(p)))
}

// protect makes globals as Redis has them.
func protect(s *State) {
	m := NewTable(0)
	m.SetString("__index", s.Function("index", func(c *Call) {
		name, _ := c.Arg(2).Text()
		c.Fail("Script attempted to access nonexistent global variable '%s'", name)
	}))
	os := NewTable(0)
	s.Globals.SetString("os", FromTable(os))
	s.Globals.SetMeta(m)
	s.Globals.SetReadonly(true)
	s.Caught = func(v Value) Value {
		if t, ok := v.Table(); ok {
			if e := t.GetString("err"); !e.IsNil() {
				return e
			}
		}
		return v
	}
}

// TestPrograms compares what scripts do with what they do in Redis, as recorded.
func TestPrograms(t *testing.T) {
	list := programs(t)
	if *rewrite {
		record(t, list)
	}
	b, err := os.ReadFile("testdata/programs.want")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(want) != len(list) {
		t.Fatalf("%d programs, %d outcomes: run with -programs.rewrite", len(list), len(want))
	}
	for i, src := range list {
		if got := runProgram(src); got != want[i] {
			t.Errorf("line %d: %s\n got %s\nwant %s", i+1, src, got, want[i])
		}
	}
}

// record asks redis-server. A script that ends it does not belong in the list.
func record(t *testing.T, list []string) {
	redis := redistest.Dial(t, redistest.Start(t))
	var out strings.Builder
	for _, src := range list {
		v, _, err := resp.ParseReply(redis.Run(t, []string{"eval", src, "0"})[0])
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(showReply(v) + "\n")
	}
	if err := os.WriteFile("testdata/programs.want", []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func showReply(v resp.Value) string {
	switch v.Kind {
	case '-':
		text, _, _ := strings.Cut(string(v.Str), " script: ")
		text = strings.TrimPrefix(text, "ERR ")
		text = strings.TrimPrefix(text, "Error compiling script (new function): ")
		if text == "unknown error" || text == "(null)" {
			return "error object"
		}
		return fmt.Sprintf("error %q", text)
	case ':':
		return fmt.Sprint("number ", v.Int)
	case '$':
		if v.Null {
			return "nil"
		}
		return fmt.Sprintf("string %q", v.Str)
	case '*':
		return "table"
	}
	return fmt.Sprintf("%c", v.Kind)
}
