package hash

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype/generic"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/keyspace/tree"
)

const start = int64(1_700_000_000_000)

var wholeSpan = base.Span{Lo: 0, Hi: base.NumSlots}

// server is one partition with hashes and generic commands.
type server struct {
	t    testing.TB
	txn  *keyspacetest.Txn
	eval *command.Evaluator
}

func newServer(t testing.TB, seed uint64) *server {
	table, err := command.NewTable(Rows(), generic.Rows())
	if err != nil {
		t.Fatal(err)
	}
	return &server{t, keyspacetest.New(seed), command.NewEvaluator(table, keyspace.Limits{})}
}

func (s *server) run(line ...string) string {
	args := make([][]byte, len(line))
	for i, a := range line {
		args[i] = []byte(a)
	}
	out, _ := s.eval.Evaluate(command.Call{Txn: s.txn, Partition: 1, Span: wholeSpan, Proto: 2, Args: args}, nil)
	return string(out)
}

func (s *server) want(reply string, line ...string) {
	s.t.Helper()
	if got := s.run(line...); got != reply {
		s.t.Errorf("%q: reply %q, want %q", line, got, reply)
	}
}

func (s *server) sweep(budget int) keyspace.Progress {
	return keyspace.SweepExpired(s.txn, 1, wholeSpan, 0, budget, Due, 0)
}

// check verifies the keyspace, and of every hash that its due time is the
// first deadline of its fields and that the tree of deadlines holds them all.
func (s *server) check() {
	s.t.Helper()
	if err := keyspace.Check(s.txn, wholeSpan); err != nil {
		s.t.Fatal(err)
	}
	space := &keyspace.Space{}
	space.Bind(s.txn, 1, wholeSpan, 0, nil)
	space.Walk(0, 0, func(key []byte, r keyspace.Record) bool {
		if r.Type != keyspace.Hash {
			return true
		}
		h := load(space, bytes.Clone(key), r)
		first := int64(0)
		if !h.big {
			first = firstInline(h.body)
		} else {
			var want, got []string
			it := space.ElementsFrom(h.slot, h.obj.ID, 0)
			for it.Next() {
				e, _ := keys.ParseElementKey(it.Key())
				if _, at := flagged(it.Value()); at != 0 {
					want = append(want, string(timeKey(at, e.Elem)))
				}
			}
			it.Close()
			slices.Sort(want)
			if h.obj.NextNode > 0 {
				if err := tree.Check(space.Nodes(h.slot, &h.obj), h.root, func(uint64) {}); err != nil {
					s.t.Fatal(err)
				}
				h.tree().Scan(0, func(k, _ []byte) bool { got = append(got, string(k)); return true })
			}
			if !slices.Equal(got, want) {
				s.t.Fatalf("hash %q: the tree of deadlines has %d entries, the fields have %d", key, len(got), len(want))
			}
			if len(want) > 0 {
				first = int64(binary.BigEndian.Uint64([]byte(want[0])))
			}
		}
		if first != r.DueAt {
			s.t.Fatalf("hash %q is due at %d, but its first deadline is %d", key, r.DueAt, first)
		}
		return true
	})
}

type field struct {
	value string
	at    int64
}

// model is hashes with deadlines of fields, as plain as they can be.
type model struct {
	now    int64
	hashes map[string]map[string]field
}

// settle forgets what is past its deadline.
func (m *model) settle() {
	for key, h := range m.hashes {
		for name, f := range h {
			if f.at != 0 && f.at <= m.now {
				delete(h, name)
			}
		}
		if len(h) == 0 {
			delete(m.hashes, key)
		}
	}
}

func integer(n int64) string { return fmt.Sprintf(":%d\r\n", n) }

func (m *model) run(a []string) string {
	m.settle()
	defer m.settle()
	h := m.hashes[a[1]]
	if h == nil {
		h = map[string]field{}
		if a[0] == "hset" || a[0] == "hincrby" {
			m.hashes[a[1]] = h
		}
	}
	before := len(h)
	switch a[0] {
	case "hset":
		for i := 2; i < len(a); i += 2 {
			h[a[i]] = field{value: a[i+1]}
		}
		return integer(int64(len(h) - before))
	case "hincrby":
		f := h["n"]
		n, _ := strconv.Atoi(f.value)
		h["n"] = field{strconv.Itoa(n + 1), f.at}
		return integer(int64(n + 1))
	case "hdel":
		for _, name := range a[2:] {
			delete(h, name)
		}
		return integer(int64(before - len(h)))
	case "hlen":
		return integer(int64(before))
	case "hget":
		if f, ok := h[a[2]]; ok {
			return fmt.Sprintf("$%d\r\n%s\r\n", len(f.value), f.value)
		}
		return "$-1\r\n"
	case "del":
		delete(m.hashes, a[1])
		return integer(int64(min(before, 1)))
	case "copy":
		if before == 0 {
			return integer(0)
		}
		c := map[string]field{}
		for name, f := range h {
			c[name] = f
		}
		m.hashes[a[2]] = c
		return integer(1)
	case "rename":
		if before == 0 {
			return "-ERR no such key\r\n"
		}
		delete(m.hashes, a[1])
		m.hashes[a[2]] = h
		return "+OK\r\n"
	}
	return m.runTimes(a, h)
}

func (m *model) runTimes(a []string, h map[string]field) string {
	i := slices.Index(a, "FIELDS") + 2
	out := fmt.Sprintf("*%d\r\n", len(a)-i)
	for _, name := range a[i:] {
		f, ok := h[name]
		answer := int64(1)
		switch {
		case !ok:
			answer = -2
		case a[0] == "hpexpire":
			ms, _ := strconv.ParseInt(a[2], 10, 64)
			at, cond := m.now+ms, ""
			if i == 6 {
				cond = a[3]
			}
			no := cond == "NX" && f.at != 0 || cond == "XX" && f.at == 0 ||
				cond == "GT" && (f.at == 0 || at <= f.at) || cond == "LT" && f.at != 0 && at >= f.at
			switch {
			case no:
				answer = 0
			case ms == 0:
				delete(h, name)
				answer = 2
			default:
				h[name] = field{f.value, at}
			}
		case f.at == 0:
			answer = -1
		case a[0] == "hpttl":
			answer = f.at - m.now
		case a[0] == "hexpiretime":
			answer = (f.at + 999) / 1000
		default: // hpersist
			h[name] = field{value: f.value}
		}
		out += integer(answer)
	}
	return out
}

func anyCommand(rnd *rand.Rand) []string {
	key := func() string { return []string{"a", "b", "{a}c", "big"}[rnd.IntN(4)] }
	name := func(list []string, n int) []string {
		for range 1 + rnd.IntN(n) {
			list = append(list, fmt.Sprint("f", rnd.IntN(250)))
		}
		return list
	}
	numbered := func(list []string) []string {
		fields := name(nil, 30)
		return append(append(list, "FIELDS", strconv.Itoa(len(fields))), fields...)
	}
	k := key()
	switch rnd.IntN(16) {
	case 0, 1, 2:
		args := []string{"hset", k}
		for range 1 + rnd.IntN(50) {
			args = append(args, fmt.Sprint("f", rnd.IntN(250)), strings.Repeat("v", rnd.IntN(30)))
		}
		return args
	case 3:
		return name([]string{"hdel", k}, 30)
	case 4:
		return []string{"hget", k, fmt.Sprint("f", rnd.IntN(250))}
	case 5:
		return []string{"hlen", k}
	case 6:
		return []string{"hincrby", k, "n", "1"}
	case 7:
		return numbered([]string{"hpersist", k})
	case 8:
		return numbered([]string{[]string{"hpttl", "hexpiretime"}[rnd.IntN(2)], k})
	case 9:
		if rnd.IntN(3) > 0 {
			return []string{"hlen", k}
		}
		return []string{"del", k}
	case 10:
		if to := key(); to != k {
			return []string{[]string{"copy", "copy", "rename"}[rnd.IntN(3)], k, to, "replace"}
		}
		return []string{"hlen", k}
	}
	args := []string{"hpexpire", k, strconv.Itoa(rnd.IntN(300))}
	if rnd.IntN(2) == 0 {
		args = append(args, []string{"NX", "XX", "GT", "LT"}[rnd.IntN(4)])
	}
	return numbered(args)
}

// TestAgainstModel runs random commands here and in the model, with a clock
// that moves and a sweep that comes now and then.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		s := newServer(t, seed)
		s.txn.Stamp = base.StampFromMillis(start)
		m := &model{now: start, hashes: map[string]map[string]field{}}
		rnd := rand.New(rand.NewPCG(seed, 0))
		for i := range 400 {
			args := anyCommand(rnd)
			if args[0] == "rename" {
				args = args[:3]
			}
			if args[0] == "del" || args[0] == "copy" || args[0] == "rename" {
				s.run("hlen", args[1]) // a hash that nobody looked into exists until then
			}
			want := m.run(args)
			if got := s.run(args...); got != want {
				t.Fatalf("seed %d, command %d %q:\n  got  %q\n  want %q", seed, i, args, got, want)
			}
			if rnd.IntN(3) == 0 {
				m.now += int64(rnd.IntN(40))
				s.txn.Stamp = base.StampFromMillis(m.now)
			}
			if rnd.IntN(10) == 0 {
				s.sweep(1 + rnd.IntN(20))
			}
			if i%20 == 0 {
				s.check()
			}
		}
		m.settle()
		for p := s.sweep(50); p.Removed > 0 || p.Next != wholeSpan.Hi; p = s.sweep(50) {
			s.check()
		}
		for _, key := range []string{"a", "b", "{a}c", "big"} {
			s.want(integer(int64(min(len(m.hashes[key]), 1))), "exists", key)
			s.want(integer(int64(len(m.hashes[key]))), "hlen", key)
		}
		s.check()
	}
}

// TestManyAtOnce: a hash with more fields past their deadline than one command
// removes shows none of them, to anybody.
func TestManyAtOnce(t *testing.T) {
	const all, timed = 3000, 2000
	fill := func(s *server, n int) {
		for i := range all {
			s.run("hset", "h", fmt.Sprint("f", i), "v")
		}
		for i := range n {
			s.want("*1\r\n:1\r\n", "hpexpire", "h", "10", "fields", "1", fmt.Sprint("f", i))
		}
		s.check()
		s.txn.Stamp += 20_000
	}
	s := newServer(t, 1)
	fill(s, timed)
	s.want(integer(all-timed), "hlen", "h")
	s.want("$-1\r\n", "hget", "h", "f7")
	s.want("*2\r\n:-2\r\n:-1\r\n", "hpttl", "h", "fields", "2", "f8", fmt.Sprint("f", timed))
	s.want(integer(1), "hset", "h", "f1999", "v")
	s.want(integer(all-timed+1), "hlen", "h")
	s.want(integer(0), "hdel", "h", "f10", "f1998")
	s.check()
	s = newServer(t, 1)
	fill(s, timed)
	if n := strings.Count(s.run("hkeys", "h"), "$"); n != all-timed {
		t.Errorf("%d fields, want %d", n, all-timed)
	}
	for range 50 {
		n := len(strings.SplitAfter(s.run("hrandfield", "h", "200"), "$")) - 1
		if n != 200 {
			t.Fatalf("%d fields, want 200", n)
		}
	}
	for steps := 0; s.sweep(100).Removed > 0; steps++ {
		if steps > timed/50 {
			t.Fatal("the sweep does not come to an end")
		}
		s.check()
	}
	s.want(integer(all-timed), "hlen", "h")

	s = newServer(t, 1)
	fill(s, all)
	before := s.txn.Writes
	s.want(integer(0), "hlen", "h")
	if n := s.txn.Writes - before; n > 10 {
		t.Errorf("a hash without a field left took %d writes to go", n)
	}
	if n := s.txn.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestFieldsExpireInTheBackground(t *testing.T) {
	s := newServer(t, 1)
	for _, n := range []int{1, 100, 500} {
		key := fmt.Sprint("h", n)
		for i := range n {
			s.run("hset", key, fmt.Sprint("f", i), "v")
			s.run("hpexpire", key, strconv.Itoa(100+i), "FIELDS", "1", fmt.Sprint("f", i))
		}
		s.want(integer(1), "pexpire", key, "100000")
	}
	s.txn.Stamp += 50_000
	if p := s.sweep(1000); p.Removed != 0 {
		t.Errorf("%+v before any deadline", p)
	}
	s.txn.Stamp += 100_000 // 150 ms
	for s.sweep(30).Removed > 0 {
		s.check()
	}
	s.want(integer(0), "exists", "h1", "h100x")
	s.want(integer(49), "hlen", "h100")
	s.want(integer(449), "hlen", "h500")
	s.txn.Stamp += 1_000_000
	for s.sweep(1000).Removed > 0 {
		s.check()
	}
	if n := s.txn.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// TestFlushedHashes: the sweep does not look into hashes of a namespace that was flushed.
func TestFlushedHashes(t *testing.T) {
	s := newServer(t, 1)
	for i := range 300 {
		s.run("hset", "h", fmt.Sprint("f", i), "v")
	}
	s.run("hpexpire", "h", "10", "FIELDS", "1", "f1")
	s.run("hset", "small", "f", "v")
	s.run("hpexpire", "small", "10", "FIELDS", "1", "f")
	s.run("flushall")
	s.txn.Stamp += 100_000
	s.sweep(1000)
	s.check()
	keyspace.SweepDead(s.txn, 1, wholeSpan, 0, 1000)
	s.check()
	if n := s.txn.Len(); n != 1 { // the map of generations
		t.Errorf("%d entries are left", n)
	}
}

func TestErrors(t *testing.T) {
	s := newServer(t, 1)
	space := &keyspace.Space{}
	space.Bind(s.txn, 1, wholeSpan, 0, nil)
	space.Put([]byte("s"), keyspace.Record{}, keyspace.Record{Type: keyspace.String})
	s.run("hset", "h", "f", "v")
	const (
		wrong  = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
		place  = "-ERR Mandatory argument FIELDS is missing or not at the right position\r\n"
		number = "-ERR Parameter `numFields` should be greater than 0\r\n"
		match  = "-ERR The `numfields` parameter must match the number of arguments\r\n"
	)
	for _, c := range []struct{ reply, line string }{
		{wrong, "hexpire s x fields 1 f"},
		{wrong, "httl s fields 1 f"},
		{"-ERR value is not an integer or out of range\r\n", "hexpire h x fields 1 f"},
		{"-ERR invalid expire time, must be >= 0\r\n", "hexpire h -1 fields 1 f"},
		{"-ERR invalid expire time in 'hexpire' command\r\n", "hexpire h 70368744178 fields 1 f"},
		{"-ERR invalid expire time in 'hpexpireat' command\r\n", "hpexpireat h 70368744177664 fields 1 f"},
		{place, "hexpire h 1 nofields 1 f"},
		{place, "hexpire h 1 NX 1 f f"},
		{number, "hexpire h 1 FIELDS 0 f"},
		{number, "hexpire h 1 FIELDS x f"},
		{match, "hexpire h 1 FIELDS 2 f"},
		{match, "hexpire h 1 XX FIELDS 1 f g"},
		{"-ERR Number of fields must be a positive integer\r\n", "hpersist h FIELDS 0 f"},
		{"-ERR wrong number of arguments for 'hexpire' command\r\n", "hexpire h 1 FIELDS 1"},
		{"*2\r\n:-2\r\n:-2\r\n", "hexpire none 1 FIELDS 2 f g"},
		{"*1\r\n:2\r\n", "hexpireat h 1 FIELDS 1 f"},
		{integer(0), "exists h"},
	} {
		s.want(c.reply, strings.Fields(c.line)...)
	}
	s.check()
}

// TestTimedFormat pins the stored bytes of hashes with deadlines.
func TestTimedFormat(t *testing.T) {
	s := newServer(t, 1)
	s.run("hset", "h", "f", "v", "g", "w")
	s.run("hpexpireat", "h", "1700000000300", "FIELDS", "1", "g")
	at := fmt.Sprintf("%016x", 1700000000300)
	stored := func() string {
		v, _ := s.txn.Get(keys.RecordKey(nil, base.KeySlot([]byte("h")), 0, []byte("h")))
		return hex.EncodeToString(v)
	}
	if got, want := stored(), "42"+at+"0402"+"01660176"+"00"+"01670177"+"acd295ffbc31"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	s.want("*1\r\n:1\r\n", "hpersist", "h", "FIELDS", "1", "g")
	if got, want := stored(), "02"+"0002"+"01660176"+"01670177"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	s.run("hset", "h", "long", strings.Repeat("x", maxInlineItem+1))
	s.run("hpexpireat", "h", "1700000000300", "FIELDS", "1", "g")
	if got, want := stored(), "42"+at+"03"+"0000000000000001"+"0000000000000003"+"0000000000000002"+"0000000000000001"+"00"+"0000000000000001"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	v, _ := s.txn.Get(keys.ElementKey(nil, base.KeySlot([]byte("h")), 1, []byte("g")))
	if got, want := hex.EncodeToString(v), "01"+at+"77"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

// TestEveryFieldHasTheSameChance picks fields one by one, from hashes of many
// sizes, and from one whose fields all have high hashes.
func TestEveryFieldHasTheSameChance(t *testing.T) {
	for _, size := range []int{129, 500, 1500} {
		s := newServer(t, uint64(size))
		for i := range size {
			s.run("hset", "h", fmt.Sprint("f", i), strings.Repeat("v", i%2*1100))
		}
		space := &keyspace.Space{}
		space.Bind(s.txn, 1, wholeSpan, 0, nil)
		h := load(space, []byte("h"), space.Lookup([]byte("h")))
		if !h.big {
			t.Fatal("the hash is not a large one")
		}
		counts := map[string]int{}
		const each = 30
		for range each * size {
			f, _ := h.random()
			counts[string(f)]++
		}
		x := float64(each * (size - len(counts)))
		for _, n := range counts {
			x += float64((n-each)*(n-each)) / each
		}
		if limit := float64(size) + 6*1.4142*float64(isqrt(size)); x > limit {
			t.Errorf("%d fields: chi square is %.0f, more than %.0f", size, x, limit)
		}
	}
	s := newServer(t, 1)
	for i := range 4000 {
		s.run("hset", "h", fmt.Sprint("f", i), "v")
	}
	left := map[string]bool{}
	for i := range 4000 {
		name := fmt.Sprint("f", i)
		if keys.Hash48([]byte(name)) < 15<<44 {
			s.run("hdel", "h", name)
		} else {
			left[name] = true
		}
	}
	for range 8000 {
		if len(left) == 0 {
			return
		}
		_, name, _ := strings.Cut(s.run("hrandfield", "h"), "\r\n")
		delete(left, strings.TrimSpace(name))
	}
	t.Errorf("%d fields never came", len(left))
}

func isqrt(n int) (r int) {
	for (r+1)*(r+1) <= n {
		r++
	}
	return r
}
