package datatype_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

func (m *model) list(key string) (list []string, ok bool) {
	it := m.get(key)
	if it == nil {
		return nil, true
	}
	return it.list, it.list != nil
}

// keepList makes a list a key's value, with the deadline that the key has.
func (m *model) keepList(key string, list []string) {
	at := m.deadline(key)
	if delete(m.keys, key); len(list) > 0 {
		m.keys[key] = &item{list: list, at: at}
	}
}

func bulks(list []string) string {
	out := fmt.Sprintf("*%d\r\n", len(list))
	for _, s := range list {
		out += bulk(s)
	}
	return out
}

const nullArray = "*-1\r\n"

func (m *model) runList(a []string) string {
	switch a[0] {
	case "lmpop":
		return m.popFirst(a[2:4], a[4] == "left", a[6])
	case "blpop":
		for _, key := range a[1:3] {
			l, ok := m.list(key)
			if !ok {
				return wrongType
			}
			if len(l) > 0 {
				m.keepList(key, l[1:])
				return bulks([]string{key, l[0]})
			}
		}
		return nullArray
	}
	l, ok := m.list(a[1])
	if !ok {
		return wrongType
	}
	l = slices.Clone(l)
	out, l := m.runOneList(a, l)
	if !strings.HasPrefix(out, "-") {
		m.keepList(a[1], l)
	}
	if a[0] == "lmove" && len(l) >= 0 {
		return m.lmove(a)
	}
	return out
}

func (m *model) popFirst(keys []string, front bool, count string) string {
	n, _ := strconv.Atoi(count)
	for _, key := range keys {
		l, ok := m.list(key)
		if !ok {
			return wrongType
		}
		if len(l) == 0 {
			continue
		}
		taken, rest := takeEnd(slices.Clone(l), front, n)
		m.keepList(key, rest)
		return "*2\r\n" + bulk(key) + bulks(taken)
	}
	return nullArray
}

// takeEnd takes n values off an end.
func takeEnd(l []string, front bool, n int) (taken, rest []string) {
	n = min(n, len(l))
	if front {
		return l[:n], l[n:]
	}
	taken = slices.Clone(l[len(l)-n:])
	slices.Reverse(taken)
	return taken, l[:len(l)-n]
}

func (m *model) lmove(a []string) string {
	source, _ := m.list(a[1])
	if len(source) == 0 {
		return null
	}
	if _, ok := m.list(a[2]); !ok {
		return wrongType
	}
	taken, rest := takeEnd(slices.Clone(source), a[3] == "left", 1)
	if a[1] != a[2] || len(rest) > 0 {
		m.keepList(a[1], rest)
		to, _ := m.list(a[2])
		if a[4] == "left" {
			m.keepList(a[2], append(slices.Clone(taken), to...))
		} else {
			m.keepList(a[2], append(slices.Clone(to), taken...))
		}
	}
	return bulk(taken[0])
}

// runOneList returns the reply and what the list is then.
func (m *model) runOneList(a, l []string) (string, []string) {
	n := func(i int) int { n, _ := strconv.Atoi(a[i]); return n }
	at := func(i int) int {
		if i < 0 {
			return i + len(l)
		}
		return i
	}
	switch a[0] {
	case "lpush", "rpush", "lpushx", "rpushx":
		if len(a[0]) == 6 && len(l) == 0 {
			return integer(0), l
		}
		more := slices.Clone(a[2:])
		if a[0][0] == 'r' {
			l = append(l, more...)
		} else {
			slices.Reverse(more)
			l = append(more, l...)
		}
		return integer(len(l)), l
	case "lpop", "rpop":
		if len(l) == 0 {
			return pickReply(len(a) == 2, null, nullArray), l
		}
		if len(a) == 2 {
			taken, l := takeEnd(l, a[0] == "lpop", 1)
			return bulk(taken[0]), l
		}
		taken, l := takeEnd(l, a[0] == "lpop", n(2))
		return bulks(taken), l
	case "llen", "lmove":
		return integer(len(l)), l
	case "lindex":
		if i := at(n(2)); i >= 0 && i < len(l) {
			return bulk(l[i]), l
		}
		return null, l
	case "lset":
		i := at(n(2))
		switch {
		case len(l) == 0:
			return "-ERR no such key\r\n", l
		case i < 0 || i >= len(l):
			return "-ERR index out of range\r\n", l
		}
		l[i] = a[3]
		return okay, l
	case "lrange":
		from, to := max(at(n(2)), 0), min(at(n(3)), len(l)-1)
		if from > to {
			return bulks(nil), l
		}
		return bulks(l[from : to+1]), l
	case "ltrim":
		from, to := max(at(n(2)), 0), min(at(n(3)), len(l)-1)
		if from > to {
			return okay, nil
		}
		return okay, l[from : to+1]
	}
	return m.runSearch(a, l)
}

func pickReply(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func (m *model) runSearch(a, l []string) (string, []string) {
	n := func(i int) int { n, _ := strconv.Atoi(a[i]); return n }
	switch a[0] {
	case "linsert":
		i := slices.Index(l, a[3])
		switch {
		case len(l) == 0:
			return integer(0), l
		case i < 0:
			return integer(-1), l
		case a[2] == "after":
			i++
		}
		l = slices.Insert(l, i, a[4])
		return integer(len(l)), l
	case "lrem":
		count, removed := n(2), 0
		back := count < 0
		if back {
			slices.Reverse(l)
			count = -count
		}
		var kept []string
		for _, v := range l {
			if v == a[3] && (count == 0 || removed < count) {
				removed++
			} else {
				kept = append(kept, v)
			}
		}
		if back {
			slices.Reverse(kept)
		}
		return integer(removed), kept
	case "lpos":
		return lposModel(l, a[2], n(4), n(6), n(8)), l
	}
	panic(a[0])
}

func lposModel(l []string, want string, rank, count, maxLen int) string {
	var found []int
	for i := range l {
		at := i
		if rank < 0 {
			at = len(l) - 1 - i
		}
		if (maxLen == 0 || i < maxLen) && l[at] == want {
			found = append(found, at)
		}
	}
	found = found[min(max(rank, -rank)-1, len(found)):]
	if count > 0 {
		found = found[:min(count, len(found))]
	}
	out := fmt.Sprintf("*%d\r\n", len(found))
	for _, i := range found {
		out += integer(i)
	}
	return out
}

func (m *model) compareList(s *server, key string, want []string) {
	s.t.Helper()
	s.want(bulks(want), "lrange", key, "0", "-1")
	s.want(integer(len(want)), "llen", key)
	s.checkNodes(key)
}

// checkNodes verifies the tree of a large list, and that the store holds no
// other nodes of it.
func (s *server) checkNodes(key string) {
	s.t.Helper()
	var space keyspace.Space
	space.Bind(s.txn, 1, wholeSpan, int(s.db), nil)
	r := space.Lookup([]byte(key))
	obj, large := r.Object()
	if !large {
		return
	}
	slot, stored := space.Slot([]byte(key)), 0
	it := s.txn.Iter(keys.NodeBounds(slot, obj.ID))
	for it.Next() {
		stored++
	}
	it.Close()
	root := tree.Root{Node: binary.BigEndian.Uint64(r.Rest()), Height: r.Rest()[8], Count: obj.Count}
	if err := tree.Check(space.Nodes(slot, &obj), root, func(uint64) { stored-- }); err != nil || stored != 0 {
		s.t.Fatalf("list %q has %d nodes too many: %v", key, stored, err)
	}
}

func TestListEncodings(t *testing.T) {
	s := newServer(t, 1)
	encoding := func(want, key string) {
		t.Helper()
		s.want(bulk(want), "object", "encoding", key)
		s.check()
	}
	s.run("rpush", "l", strings.Repeat("x", 1000), "y")
	encoding("listpack", "l")
	s.run("lset", "l", "1", strings.Repeat("y", 100))
	encoding("quicklist", "l")
	s.run("ltrim", "l", "0", "0")
	encoding("quicklist", "l")
	s.want(bulk(strings.Repeat("x", 1000)), "lpop", "l")
	s.want("+none\r\n", "type", "l")
	s.run("rpush", "one", strings.Repeat("x", 4000))
	encoding("listpack", "one")
	s.run("lset", "one", "0", strings.Repeat("x", 5000))
	encoding("quicklist", "one")
	s.run("rpush", "many", "v", "w")
	s.want("+list\r\n", "type", "many")
	for _, key := range []string{"one", "many"} {
		s.want(okay, "rename", key, "elsewhere")
		s.want(flag(true), "copy", "elsewhere", key)
		s.want(flag(true), "del", "elsewhere")
		s.check()
	}
	s.want(bulk(strings.Repeat("x", 5000)), "rpop", "one")
	s.want(bulk("w"), "rpop", "many")
	s.want(bulk("v"), "rpop", "many")
	if n := s.txn.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// TestListsLeaveNothing takes large lists back to nothing, in every way that
// values can go.
func TestListsLeaveNothing(t *testing.T) {
	for _, size := range []int{3, 500, 5000} {
		for _, last := range [][]string{
			{"del", "l"}, {"ltrim", "l", "1", "0"}, {"lpop", "l", "100000"}, {"rpop", "l", strconv.Itoa(size)},
			{"lrem", "l", "0", "value"}, {"lrem", "l", "-100000", "value"}, {"lmpop", "1", "l", "left", "count", "99999"},
			{"set", "l", "v"}, {"pexpire", "l", "0"},
		} {
			s := newServer(t, 1)
			args := []string{"rpush", "l"}
			for range size {
				args = append(args, "value")
			}
			s.run(args...)
			s.check()
			s.run(last...)
			s.check()
			s.run("del", "l")
			if n := s.txn.Len(); n != 0 {
				t.Errorf("%d values, %q: %d entries are left", size, last, n)
			}
		}
	}
}

func TestListRepliesAreBounded(t *testing.T) {
	s := newServer(t, 1)
	for i := range 300 {
		s.run("rpush", "l", fmt.Sprint("value", i))
	}
	s.eval = command.NewEvaluator(s.table, keyspace.Limits{MaxString: 100, MaxReply: 1000})
	for _, args := range [][]string{{"lrange", "l", "0", "-1"}, {"lpop", "l", "299"}, {"rpop", "l", "1000"}, {"lmpop", "1", "l", "left", "count", "1000"}} {
		s.want("-"+command.ErrReplyTooLarge+"\r\n", args...)
	}
	s.want(integer(300), "llen", "l")
}

func BenchmarkLPushRPop(b *testing.B) { benchmark(b, "LPUSH list element", "RPOP list") }
func BenchmarkLRange(b *testing.B) {
	benchmark(b, "RPUSH list element element element element", "LRANGE list 0 3", "LTRIM list 0 3")
}
