package datatype_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/command"
	"coterie/internal/resp"
)

func (m *model) set(key string) (set map[string]bool, ok bool) {
	it := m.get(key)
	if it == nil {
		return map[string]bool{}, true
	}
	return it.set, it.set != nil
}

// keep makes a set a key's value; its deadline stays if it was a set's before.
func (m *model) keep(key string, set map[string]bool, at int64) {
	if delete(m.keys, key); len(set) > 0 {
		m.keys[key] = &item{set: set, at: at}
	}
}

func (m *model) deadline(key string) int64 {
	if it := m.get(key); it != nil {
		return it.at
	}
	return 0
}

func (m *model) runSet(a []string) string {
	switch a[0] {
	case "sinterstore", "sunionstore", "sdiffstore":
		out, ok := m.combine(a[0][1:len(a[0])-5], a[2:])
		if !ok {
			return wrongType
		}
		m.keep(a[1], out, 0)
		return integer(len(out))
	case "sintercard":
		out, ok := m.combine("inter", a[2:])
		if !ok {
			return wrongType
		}
		return integer(len(out))
	}
	set, ok := m.set(a[1])
	if !ok {
		return wrongType
	}
	before := len(set)
	defer func() { m.keep(a[1], set, m.deadline(a[1])) }()
	switch a[0] {
	case "sadd":
		for _, x := range a[2:] {
			set[x] = true
		}
		return integer(len(set) - before)
	case "srem":
		for _, x := range a[2:] {
			delete(set, x)
		}
		return integer(before - len(set))
	case "sismember":
		return flag(set[a[2]])
	case "scard":
		return integer(before)
	case "smove":
		to, ok := m.set(a[2])
		switch {
		case before == 0:
			return flag(false)
		case !ok:
			return wrongType
		case a[1] == a[2] || !set[a[3]]:
			return flag(set[a[3]])
		}
		delete(set, a[3])
		to[a[3]] = true
		m.keep(a[2], to, m.deadline(a[2]))
		return flag(true)
	}
	panic(a[0])
}

func (m *model) combine(how string, keys []string) (out map[string]bool, ok bool) {
	out = map[string]bool{}
	for i, key := range keys {
		set, ok := m.set(key)
		if !ok {
			return nil, false
		}
		for x := range set {
			if i == 0 || how == "union" {
				out[x] = true
			} else if how == "diff" {
				delete(out, x)
			}
		}
		for x := range out {
			if how == "inter" && !set[x] {
				delete(out, x)
			}
		}
	}
	return out, true
}

func (m *model) compareSet(s *server, key string, set map[string]bool) {
	s.t.Helper()
	var want []string
	for x := range set {
		want = append(want, x)
	}
	for _, got := range [][]string{s.strings("smembers", key), s.scanAll("SSCAN", 7, key)} {
		if !sameStrings(got, want) {
			s.t.Errorf("set %q: got %q, want %q", key, got, want)
		}
	}
	for _, x := range want {
		s.want(flag(true), "sismember", key, x)
	}
}

func TestSetEncodings(t *testing.T) {
	s := newServer(t, 1)
	encoding := func(want, key string) {
		t.Helper()
		s.want(bulk(want), "object", "encoding", key)
	}
	add := func(key string, from, to int) {
		for i := from; i < to; i++ {
			s.want(flag(true), "sadd", key, strconv.Itoa(i))
		}
	}
	add("ints", 0, 512)
	encoding("intset", "ints")
	add("ints", 512, 513)
	encoding("hashtable", "ints")
	add("few", 0, 127)
	s.want(flag(true), "sadd", "few", "a")
	encoding("listpack", "few")
	s.want(flag(true), "srem", "few", "a")
	encoding("listpack", "few")
	add("few", 127, 129)
	encoding("hashtable", "few")
	add("more", 0, 128)
	s.want(flag(true), "sadd", "more", "a")
	encoding("hashtable", "more")
	add("long", 0, 3)
	s.want(flag(true), "sadd", "long", strings.Repeat("x", 64))
	encoding("listpack", "long")
	s.want(flag(true), "sadd", "long", strings.Repeat("x", 65))
	encoding("hashtable", "long")
	s.run("srem", "long", strings.Repeat("x", 65))
	encoding("hashtable", "long")
	s.want(integer(514), "sunionstore", "all", "few", "ints", "more")
	encoding("hashtable", "all")
	s.want(integer(3), "sinterstore", "common", "long", "ints", "more")
	encoding("intset", "common")
	many := []string{"sadd", "many"}
	for i := range 600 {
		many = append(many, strconv.Itoa(i))
	}
	s.run(many...)
	encoding("hashtable", "many")
	s.check()
}

// TestLargeSets takes sets over the edge and back to nothing, in every way
// that members can go.
func TestLargeSets(t *testing.T) {
	for _, how := range []string{"srem", "spop", "spop 7", "spop all", "smove"} {
		s := newServer(t, 1)
		for i := range 500 {
			s.want(flag(true), "sadd", "s", fmt.Sprint("member", i))
		}
		s.want(integer(500), "scard", "s")
		left := 500
		for i := 0; left > 0; i++ {
			switch how {
			case "srem":
				s.want(flag(true), "srem", "s", fmt.Sprint("member", (i*137)%500))
				left--
			case "spop":
				s.run("spop", "s")
				left--
			case "spop 7":
				left -= len(s.strings("spop", "s", "7"))
			case "spop all":
				got := s.strings("spop", "s", strconv.Itoa(pickCount(i)))
				left -= len(got)
				for _, m := range got {
					s.want(flag(false), "sismember", "s", m)
				}
			case "smove":
				s.want(flag(true), "smove", "s", "t", fmt.Sprint("member", i))
				left--
			}
			if i%16 == 0 || left < 3 {
				s.want(integer(left), "scard", "s")
				s.check()
			}
		}
		s.want(null, "spop", "s")
		s.run("del", "t")
		if n := s.txn.Len(); n != 0 {
			t.Errorf("%s: %d entries are left", how, n)
		}
	}
}

func pickCount(i int) int { return []int{10, 400, 60, 100}[i%4] }

// TestDrainedSet: what is left of a set that was large goes with its key.
func TestDrainedSet(t *testing.T) {
	for _, left := range []string{"64", "3", "100"} {
		s := newServer(t, 1)
		for i := range 500 {
			s.run("sadd", "s", fmt.Sprint("member", i))
		}
		for string(s.run("scard", "s")) != ":"+left+"\r\n" {
			s.run("spop", "s")
		}
		s.run("copy", "s", "t")
		s.run("set", "t", "v")
		s.run("del", "s", "t")
		if n := s.txn.Len(); n != 0 {
			t.Errorf("%s members: %d entries are left", left, n)
		}
	}
}

// TestScanMeetsWhoStays scans a set while members come and go.
func TestScanMeetsWhoStays(t *testing.T) {
	for seed := range uint64(20) {
		s := newServer(t, seed)
		stays := map[string]bool{}
		for i := range 600 {
			s.run("sadd", "s", fmt.Sprint("m", i))
			if i%3 == 0 {
				stays[fmt.Sprint("m", i)] = true
			}
		}
		next := uint64(0)
		for cursor := "0"; ; {
			v, _, _ := resp.ParseReply(s.run("sscan", "s", cursor, "count", "20"))
			for _, e := range v.Elems[1].Elems {
				delete(stays, string(e.Str))
			}
			if cursor = string(v.Elems[0].Str); cursor == "0" {
				break
			}
			for range 15 {
				next = (next*2862933555777941757 + seed + 3037000493)
				if i := next >> 33 % 600; i%3 != 0 {
					s.run("srem", "s", fmt.Sprint("m", i))
				}
				s.run("sadd", "s", fmt.Sprint("new", next%1000))
			}
		}
		if len(stays) > 0 {
			t.Fatalf("seed %d: the scan missed %d members that were there all the time", seed, len(stays))
		}
		s.check()
	}
}

// chiSquare says how far counts are from equal ones; with n counts it is
// about n, and rarely above n + 6·√(2n).
func chiSquare(counts map[string]int, n int) (x, limit float64) {
	sum := 0
	for _, c := range counts {
		sum += c
	}
	mean := float64(sum) / float64(n)
	for _, c := range counts {
		x += (float64(c) - mean) * (float64(c) - mean) / mean
	}
	x += float64(n-len(counts)) * mean // those that never came
	return x, float64(n) + 6*math.Sqrt(2*float64(n))
}

func TestRandomMembers(t *testing.T) {
	for _, size := range []int{10, 100, 1000} {
		s := newServer(t, uint64(size))
		var all []string
		for i := range size {
			all = append(all, fmt.Sprint("m", i))
		}
		s.run(append([]string{"sadd", "s"}, all...)...)
		for _, count := range []int{1, -1, -5, size / 5, size * 3 / 4, -2 * size, size, size + 5} {
			counts := map[string]int{}
			for range 100 * size / min(max(count, -count), size) {
				got := s.strings("srandmember", "s", strconv.Itoa(count))
				want := min(count, size)
				if count < 0 {
					want = -count
				}
				if len(got) != want {
					t.Fatalf("%d members, want %d", len(got), want)
				}
				for _, m := range got {
					counts[m]++
				}
				if slices.Sort(got); count > 0 && len(slices.Compact(got)) != want {
					t.Fatalf("a member came twice among %d", count)
				}
			}
			if x, limit := chiSquare(counts, size); x > limit {
				t.Errorf("%d of %d members: chi square is %.0f, more than %.0f", count, size, x, limit)
			}
		}
	}
}

func BenchmarkSAdd(b *testing.B) { benchmark(b, "SADD set a", "SADD set b", "SREM set a") }

// TestMoveLeavesWatchersAlone: a member that the destination has already
// changes nothing there, and who watches it goes on.
func TestMoveLeavesWatchersAlone(t *testing.T) {
	for _, member := range []string{"both", "one"} {
		s := newServer(t, 1)
		s.run("sadd", "from", "both", "one", "more")
		s.run("sadd", "to", "both")
		var watches command.Watches
		call := func(group bool, args [][]byte) string {
			out, _ := s.eval.Evaluate(command.Call{Txn: s.txn, Partition: 1, Span: wholeSpan, Proto: 2, Args: args, Group: group, Gateway: 1, Watches: &watches}, nil)
			return string(out)
		}
		watched := command.WatchedKey(0, []byte("to"))
		call(true, command.WatchGroup(7, watched))
		if got := call(false, [][]byte{[]byte("smove"), []byte("from"), []byte("to"), []byte(member)}); got != ":1\r\n" {
			t.Fatal(got)
		}
		want := "*1\r\n:1\r\n"
		if member == "one" {
			want = "*-1\r\n"
		}
		if got := call(true, command.ExecGroup(7, [][]byte{watched}, []command.Grouped{{Args: [][]byte{[]byte("scard"), []byte("to")}}})); got != want {
			t.Errorf("moving %q: EXEC answers %q, want %q", member, got, want)
		}
	}
}
