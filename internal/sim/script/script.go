// Package script runs golden scripts, as data-driven tests do: a file holds
// commands, and under each, after a line of four dashes, what it must print.
// A blank line ends the output; lines that begin with # are comments.
//
//	submit a b p=1
//	----
//	a -> n2
//
// With the flag -script.rewrite the outputs in the files are replaced by the
// actual ones: look at the difference before it is committed. Only tests use
// this package.
package script

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("script.rewrite", false, "replace the outputs in golden scripts by the actual ones")

// Command is one command of a script: a name, words, and key=value pairs.
type Command struct {
	t     *testing.T
	where string
	line  string
	Name  string
	Args  []string
	vals  map[string]string
}

// Has says whether a key=value pair or a word is there.
func (c *Command) Has(key string) bool {
	for _, a := range c.Args {
		if a == key {
			return true
		}
	}
	_, ok := c.vals[key]
	return ok
}

// Text is the value of a key, or a default.
func (c *Command) Text(key, otherwise string) string {
	if v, ok := c.vals[key]; ok {
		return v
	}
	return otherwise
}

// Num is the value of a key as a number, or a default.
func (c *Command) Num(key string, otherwise uint64) uint64 {
	v, ok := c.vals[key]
	if !ok {
		return otherwise
	}
	return c.number(v)
}

// Arg is the i-th word as a number.
func (c *Command) Arg(i int) uint64 {
	if i >= len(c.Args) {
		c.Fatal("word %d is missing", i+1)
	}
	return c.number(c.Args[i])
}

func (c *Command) number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		c.Fatal("not a number: %q", s)
	}
	return n
}

// Nums is the value of a key as a list of numbers separated by commas.
func (c *Command) Nums(key string) []uint64 {
	var ns []uint64
	for _, s := range strings.Split(c.Text(key, ""), ",") {
		if s != "" {
			ns = append(ns, c.number(s))
		}
	}
	return ns
}

// Fatal ends the test at this command.
func (c *Command) Fatal(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf(c.where+": "+c.line+": "+format, args...)
}

// Run runs every script that matches the pattern. start begins a script and
// returns what carries out its commands.
func Run(t *testing.T, pattern string, start func(t *testing.T) func(*Command) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts match %s (%v)", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runFile(t, file, start(t)) })
	}
}

func runFile(t *testing.T, file string, do func(*Command) string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	var out strings.Builder
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out.WriteString(line + "\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cmd := parse(t, file+":"+strconv.Itoa(i+1), line)
		got := strings.TrimRight(do(cmd), "\n")
		out.WriteString("----\n")
		if got != "" {
			out.WriteString(got + "\n")
		}
		var want []string
		if i+1 < len(lines) && lines[i+1] == "----" {
			for i += 2; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				want = append(want, lines[i])
			}
			i--
		}
		if !*rewrite && got != strings.Join(want, "\n") {
			t.Fatalf("%s: %s\ngot:\n%s\nwant:\n%s", cmd.where, line, got, strings.Join(want, "\n"))
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func parse(t *testing.T, where, line string) *Command {
	c := &Command{t: t, where: where, line: line, vals: map[string]string{}}
	for i, w := range strings.Fields(line) {
		k, v, pair := strings.Cut(w, "=")
		switch {
		case i == 0:
			c.Name = w
		case pair:
			c.vals[k] = v
		default:
			c.Args = append(c.Args, w)
		}
	}
	return c
}
