package command

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Table finds commands by name. It is not changed once made, and may be used
// from many goroutines.
type Table struct {
	byName map[string]*Spec // by full name, "get" and "config|get"
	top    []*Spec          // commands, without subcommands, in the order given
}

// NewTable joins rows into a table. It refuses what would not work: a name
// twice, or a row whose parts contradict each other.
func NewTable(rows ...[]Spec) (*Table, error) {
	t := &Table{byName: map[string]*Spec{}}
	for _, group := range rows {
		for i := range group {
			row := group[i]
			if err := t.add(&row, ""); err != nil {
				return nil, err
			}
			t.top = append(t.top, &row)
		}
	}
	return t, nil
}

func (t *Table) add(row *Spec, parent string) error {
	row.Full = row.Name
	if parent != "" {
		row.Full = parent + "|" + row.Name
	}
	switch {
	case row.Name == "" || row.Name != strings.ToLower(row.Name) || len(row.Full) > maxName:
		return fmt.Errorf("command %q: bad name", row.Full)
	case row.Arity == 0:
		return fmt.Errorf("command %q: no arity", row.Full)
	case t.byName[row.Full] != nil:
		return fmt.Errorf("command %q: two rows", row.Full)
	case row.Keys.First > 0 && row.Keys.Step <= 0:
		return fmt.Errorf("command %q: keys without a step", row.Full)
	}
	if row.table = t; row.FindKeys != nil || row.Wraps > 0 {
		row.Flags |= MovableKeys
	}
	t.byName[row.Full] = row
	row.Sub = append([]Spec(nil), row.Sub...)
	for i := range row.Sub {
		if err := t.add(&row.Sub[i], row.Full); err != nil {
			return err
		}
	}
	return nil
}

// maxName is the length in bytes of the longest full name there can be.
const maxName = 64

// Lookup finds the row for a command's arguments, its name first, in any case
// of letters: the subcommand's row where there is one. It returns nil when
// there is no such command, or the command has no such subcommand; Unknown
// then gives the error.
func (t *Table) Lookup(args [][]byte) *Spec {
	if len(args) == 0 {
		return nil
	}
	var buf [maxName]byte
	name, ok := appendLower(buf[:0], args[0])
	if !ok {
		return nil
	}
	row := t.byName[string(name)]
	if row == nil || len(row.Sub) == 0 || len(args) == 1 {
		if bytes.IndexByte(name, '|') >= 0 {
			return nil
		}
		return row
	}
	if name, ok = appendLower(append(name, '|'), args[1]); !ok {
		return nil
	}
	return t.byName[string(name)]
}

// find finds a row by its full name, as COMMAND's own arguments give it.
func (t *Table) find(full []byte) *Spec {
	var buf [maxName]byte
	name, ok := appendLower(buf[:0], full)
	if !ok {
		return nil
	}
	return t.byName[string(name)]
}

// appendLower appends p in lower case, unless that is longer than any name.
func appendLower(dst, p []byte) ([]byte, bool) {
	if len(dst)+len(p) > maxName {
		return dst, false
	}
	for _, c := range p {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, true
}

// Commands is the table's rows without subcommands, in the order given.
func (t *Table) Commands() []*Spec { return t.top }

// maxShown is how many bytes of a client's words an error repeats.
const maxShown = 128

// Unknown is the error for arguments that Lookup finds no row for.
func (t *Table) Unknown(args [][]byte) string {
	if row := t.Lookup(args[:1]); row != nil && len(args) > 1 {
		return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", shown(args[1], maxShown), strings.ToUpper(row.Name))
	}
	var list []byte
	for _, a := range args[1:] {
		if len(list) >= maxShown {
			break
		}
		list = fmt.Appendf(list, "'%s' ", shown(a, maxShown-len(list)))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", shown(args[0], maxShown), list)
}

// Quoted is a client's own words as an error that ends with them repeats them.
func Quoted(p []byte) string { return strings.TrimRight(string(shown(p, len(p))), "\r\n") }

// shown is what C's "%.*s" prints of p: at most n bytes, up to a zero byte.
func shown(p []byte, n int) []byte {
	if len(p) > n {
		p = p[:n]
	}
	if end := bytes.IndexByte(p, 0); end >= 0 {
		p = p[:end]
	}
	return p
}

// CheckArity says whether n arguments, the name included, are right.
func (s *Spec) CheckArity(n int) bool {
	return n == s.Arity || s.Arity < 0 && n >= -s.Arity
}

// ArityError is the error for a wrong number of arguments.
func (s *Spec) ArityError() string {
	return "ERR wrong number of arguments for '" + s.Full + "' command"
}

// HasKeys says whether a command may name keys at all; one that does not
// speaks of a partition or a database as a whole.
func (s *Spec) HasKeys() bool { return s.Keys.First > 0 || s.FindKeys != nil }

// AppendKeys appends the positions of the keys in args, which have passed
// CheckArity.
func (s *Spec) AppendKeys(dst []int, args [][]byte) []int {
	if s.FindKeys != nil {
		return s.FindKeys(dst, args)
	}
	dst = s.Keys.appendTo(dst, len(args))
	if inner := s.Wrapped(args); inner != nil && inner.Wraps == 0 {
		n := len(dst)
		dst = inner.AppendKeys(dst, args[s.Wraps:])
		for ; n < len(dst); n++ {
			dst[n] += s.Wraps
		}
	}
	return dst
}

// Wrapped is the row of the command that the arguments of this one are from
// Wraps on; nil if there is none, or of another arity.
func (s *Spec) Wrapped(args [][]byte) *Spec {
	if s.Wraps == 0 || s.Wraps >= len(args) {
		return nil
	}
	if inner := s.table.Lookup(args[s.Wraps:]); inner != nil && inner.CheckArity(len(args)-s.Wraps) {
		return inner
	}
	return nil
}

// Runs says whether a command runs others that it does not name, itself or by
// the command that it wraps.
func (s *Spec) Runs(args [][]byte) bool {
	inner := s.Wrapped(args)
	return s.Flags&RunsOthers != 0 || inner != nil && inner.Flags&RunsOthers != 0
}

// NumberedKeys makes a FindKeys for commands whose argument `at` is the number
// of keys that follow it, and which have a key at each of the positions before.
func NumberedKeys(at int, before ...int) func(dst []int, args [][]byte) []int {
	return func(dst []int, args [][]byte) []int {
		if at >= len(args) {
			return dst
		}
		n, err := strconv.Atoi(string(args[at]))
		if err != nil || n < 0 || n > len(args)-at-1 {
			return dst
		}
		dst = append(dst, before...)
		for i := range n {
			dst = append(dst, at+1+i)
		}
		return dst
	}
}

func (k KeyRange) appendTo(dst []int, n int) []int {
	if k.First <= 0 {
		return dst
	}
	last := k.Last
	if last < 0 {
		last += n
	}
	for i := k.First; i <= min(last, n-1); i += k.Step {
		dst = append(dst, i)
	}
	return dst
}
