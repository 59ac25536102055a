package datatype_test

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/command"
	"coterie/internal/datatype/redistest"
	"coterie/internal/keyspace"
	"coterie/internal/resp"
)

// zmodel is sorted sets as plain as they can be.
type zmodel map[string]map[string]float64

// sorted is a set's members in order.
func (m zmodel) sorted(key string) (list []string) {
	set := m[key]
	for member := range set {
		list = append(list, member)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return set[a] < set[b] || set[a] == set[b] && a < b
	})
	return list
}

func (m zmodel) reply(key string, list []string, withScores bool) string {
	n := len(list)
	if withScores {
		n *= 2
	}
	out := fmt.Sprintf("*%d\r\n", n)
	for _, member := range list {
		out += bulk(member)
		if withScores {
			out += bulk(string(resp.AppendDouble(nil, m[key][member])))
		}
	}
	return out
}

func (m zmodel) delete(key string, list []string) {
	for _, member := range list {
		delete(m[key], member)
	}
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// within is the members with scores from least to most.
func (m zmodel) within(key string, least, most float64) (list []string) {
	for _, member := range m.sorted(key) {
		if s := m[key][member]; s >= least && s <= most {
			list = append(list, member)
		}
	}
	return list
}

func cutRanks(list []string, start, stop int) []string {
	if start < 0 {
		start = max(0, start+len(list))
	}
	if stop < 0 {
		stop += len(list)
	}
	stop = min(stop, len(list)-1)
	if start > stop {
		return nil
	}
	return list[start : stop+1]
}

func (m zmodel) run(a []string) string {
	key := a[1]
	num := func(i int) float64 { f, _ := strconv.ParseFloat(a[i], 64); return f }
	at := func(i int) int { n, _ := strconv.Atoi(a[i]); return n }
	switch a[0] {
	case "zadd":
		added := 0
		for i := 2; i < len(a); i += 2 {
			if m[key] == nil {
				m[key] = map[string]float64{}
			}
			if _, had := m[key][a[i+1]]; !had {
				added++
			}
			m[key][a[i+1]] = num(i)
		}
		return integer(added)
	case "zincrby":
		if m[key] == nil {
			m[key] = map[string]float64{}
		}
		m[key][a[3]] += num(2)
		return bulk(string(resp.AppendDouble(nil, m[key][a[3]])))
	case "zrem":
		before := len(m[key])
		m.delete(key, a[2:])
		return integer(before - len(m[key]))
	case "zcard":
		return integer(len(m[key]))
	case "zscore", "zrank", "zrevrank":
		s, had := m[key][a[2]]
		if !had {
			return null
		}
		rank := slices.Index(m.sorted(key), a[2])
		switch a[0] {
		case "zscore":
			return bulk(string(resp.AppendDouble(nil, s)))
		case "zrank":
			return integer(rank)
		}
		return integer(len(m[key]) - 1 - rank)
	case "zrange":
		return m.reply(key, cutRanks(m.sorted(key), at(2), at(3)), len(a) > 4)
	case "zrevrange":
		list := m.sorted(key)
		slices.Reverse(list)
		return m.reply(key, cutRanks(list, at(2), at(3)), len(a) > 4)
	case "zcount":
		return integer(len(m.within(key, num(2), num(3))))
	case "zrangebyscore":
		list := m.within(key, num(2), num(3))
		list = list[min(at(5), len(list)):]
		return m.reply(key, list[:min(at(6), len(list))], false)
	case "zremrangebyscore":
		list := m.within(key, num(2), num(3))
		m.delete(key, list)
		return integer(len(list))
	case "zremrangebyrank":
		list := cutRanks(m.sorted(key), at(2), at(3))
		m.delete(key, list)
		return integer(len(list))
	case "zpopmin", "zpopmax":
		list := m.sorted(key)
		if a[0] == "zpopmax" {
			slices.Reverse(list)
		}
		list = list[:min(at(2), len(list))]
		out := m.reply(key, list, true)
		m.delete(key, list)
		return out
	case "rename":
		if m[key] == nil {
			return "-ERR no such key\r\n"
		}
		set := m[key]
		delete(m, key)
		m[a[2]] = set
		return okay
	case "zunionstore":
		sum := map[string]float64{}
		for _, k := range a[3:] {
			for member, s := range m[k] {
				sum[member] += s
			}
		}
		delete(m, key)
		if len(sum) > 0 {
			m[key] = sum
		}
		return integer(len(sum))
	}
	panic(a[0])
}

// TestSortedSetsAgainstModel runs random commands here and in the model.
func TestSortedSetsAgainstModel(t *testing.T) {
	for seed := range uint64(15) {
		s := newServer(t, seed)
		m := zmodel{}
		g := redistest.NewGenerator(seed, 1)
		members := redistest.Pick(g, 16, 200, 2000)
		for i := range 200 {
			args := g.ZModelCommand(members)
			want, got := m.run(args), string(s.run(args...))
			if got != want {
				t.Fatalf("seed %d, command %d %q:\n  got  %q\n  want %q", seed, i, args, got, want)
			}
		}
		s.check()
		for key := range m {
			s.want(m.reply(key, m.sorted(key), true), "zrange", key, "0", "-1", "withscores")
			var pairs []string
			for member, score := range m[key] {
				pairs = append(pairs, member, string(resp.AppendDouble(nil, score)))
			}
			if got := s.scanAll("ZSCAN", 7, key); !sameStrings(got, pairs) {
				t.Errorf("set %q: a scan found %q, want %q", key, got, pairs)
			}
		}
	}
}

// TestSortedSetOfOneScore is about ranges of bytes, in a large set.
func TestSortedSetOfOneScore(t *testing.T) {
	s := newServer(t, 1)
	var all []string
	for i := range 1000 {
		all = append(all, fmt.Sprintf("m%03d", i))
		s.want(flag(true), "zadd", "z", "7", all[i])
	}
	m := zmodel{}
	g := redistest.NewGenerator(1, 1)
	for range 200 {
		i, j := g.IntN(1000), g.IntN(1000)
		i, j = min(i, j), max(i, j)
		s.want(integer(j-i+1), "zlexcount", "z", "["+all[i], "["+all[j])
		s.want(m.reply("", all[i:j], false), "zrangebylex", "z", "["+all[i], "("+all[j])
		back := slices.Clone(all[i+1:])
		slices.Reverse(back)
		s.want(m.reply("", back[:min(3, len(back))], false), "zrevrangebylex", "z", "+", "("+all[i], "LIMIT", "0", "3")
	}
	s.want(integer(998), "zremrangebylex", "z", "(m000", "(m999")
	s.want(m.reply("", redistest.List("m000", "m999"), false), "zrange", "z", "-", "+", "BYLEX")
	s.check()
}

// TestRandomMembersOfSortedSets: every member comes, as often as any other.
func TestRandomMembersOfSortedSets(t *testing.T) {
	for _, n := range []int{20, 400} {
		s := newServer(t, 1)
		for i := range n {
			s.run("zadd", "z", strconv.Itoa(i), fmt.Sprint("m", i))
		}
		const draws = 200
		for _, count := range []int{-10, 10} {
			seen := map[string]int{}
			for range draws * n / 10 {
				pairs := s.strings("zrandmember", "z", strconv.Itoa(count), "withscores")
				distinct := map[string]bool{}
				for i := 0; i < len(pairs); i += 2 {
					if pairs[i] != "m"+pairs[i+1] {
						t.Fatalf("member %q has score %q", pairs[i], pairs[i+1])
					}
					seen[pairs[i]]++
					distinct[pairs[i]] = true
				}
				if len(pairs) != 20 || count > 0 && len(distinct) != 10 {
					t.Fatalf("%d members: %q", count, pairs)
				}
			}
			square := 0.0
			for i := range n {
				d := float64(seen[fmt.Sprint("m", i)] - draws)
				square += d * d / draws
			}
			if limit := float64(n) * 1.6; square > limit {
				t.Errorf("%d members, %d at once: chi-square is %.0f, above %.0f", n, count, square, limit)
			}
		}
	}
}

func TestSortedSetEncodings(t *testing.T) {
	s := newServer(t, 1)
	for i := range 128 {
		s.want(flag(true), "zadd", "n", strconv.Itoa(i), fmt.Sprint("m", i))
	}
	s.want(bulk("listpack"), "object", "encoding", "n")
	s.want(flag(true), "zadd", "n", "0.5", "one more")
	s.want(bulk("skiplist"), "object", "encoding", "n")
	s.want("+zset\r\n", "type", "n")
	s.run("zadd", "big", "1", strings.Repeat("x", 64), "2", "b")
	s.want(bulk("listpack"), "object", "encoding", "big")
	s.run("zadd", "big", "3", strings.Repeat("x", 65))
	s.want(bulk("skiplist"), "object", "encoding", "big")
	s.want(integer(1), "zrank", "big", "b")
	s.want("*2\r\n:2\r\n$1\r\n3\r\n", "zrank", "big", strings.Repeat("x", 65), "withscore")
	s.want("*-1\r\n", "zrank", "big", "none", "withscore")
	s.want(integer(3), "zremrangebyrank", "big", "0", "-1")
	for i := range 128 {
		s.want(flag(true), "zrem", "n", fmt.Sprint("m", i))
		s.check()
	}
	s.want("*2\r\n$8\r\none more\r\n$3\r\n0.5\r\n", "zpopmax", "n")
	s.check()
	if n := s.txn.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// TestTrimmedSortedSets: a large set of which little is left, or nothing.
func TestTrimmedSortedSets(t *testing.T) {
	s := newServer(t, 1)
	fill := func() (m zmodel) {
		m = zmodel{"z": {}}
		for i := range 3000 {
			member := fmt.Sprint("m", i)
			s.want(flag(true), "zadd", "z", strconv.Itoa(i%500), member)
			m["z"][member] = float64(i % 500)
		}
		return m
	}
	m := fill()
	for _, args := range [][]string{
		{"zremrangebyrank", "z", "100", "-200"}, {"zadd", "z", "7", "new"}, {"zrange", "z", "0", "-1", "WITHSCORES"}, {"zrank", "z", "new"}, {"zpopmax", "z", "290"},
	} {
		if want, got := m.run(args), string(s.run(args...)); got != want {
			t.Errorf("%q:\n  got  %q\n  want %q", args, got, want)
		}
		s.check()
	}
	s.want(bulk("skiplist"), "object", "encoding", "z")
	for _, member := range m.sorted("z") { // one by one, until nothing is left
		s.want(flag(true), "zrem", "z", member)
		s.check()
	}
	for _, last := range [][]string{{"zremrangebyrank", "z", "0", "-1"}, {"zpopmin", "z", "5000"}, {"del", "z"}, {"zunionstore", "z", "1", "none"}, {"set", "z", "v"}} {
		fill()
		s.run(last...)
		s.check()
		s.run("del", "z")
		if n := s.txn.Len(); n != 0 {
			t.Errorf("after %q, %d entries are left", last, n)
		}
	}
}

// TestRangeOfBytesOverScores: what ranges of bytes find among different scores
// is not specified, but they find something, and end.
func TestRangeOfBytesOverScores(t *testing.T) {
	for _, n := range []int{10, 300} {
		s := newServer(t, 1)
		for i := range n {
			s.run("zadd", "z", strconv.Itoa(i/5), fmt.Sprintf("m%03d", i))
		}
		s.want(integer(n-3), "zlexcount", "z", "[m001", fmt.Sprintf("(m%03d", n-2))
		s.want("*2\r\n$4\r\nm003\r\n$4\r\nm004\r\n", "zrangebylex", "z", "(m002", "[m004")
	}
}

// TestBlockingPopsOfSortedSets: where they may not wait, they answer at once.
func TestBlockingPopsOfSortedSets(t *testing.T) {
	s := newServer(t, 1)
	s.run("zadd", "z", "1", "a", "2", "b", "3", "c", "4", "d")
	s.want("*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n", "bzpopmin", "none", "z", "0")
	s.want("*3\r\n$1\r\nz\r\n$1\r\nd\r\n$1\r\n4\r\n", "bzpopmax", "z", "0.5")
	s.want("*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n", "bzmpop", "0", "2", "none", "z", "max", "count", "9")
	s.want("*-1\r\n", "bzpopmin", "z", "0")
	s.want("*-1\r\n", "bzmpop", "0", "1", "z", "min")
	s.want("-ERR timeout is negative\r\n", "bzpopmin", "z", "-1")
	s.want("-ERR timeout is not a float or out of range\r\n", "bzmpop", "x", "1", "z", "min")
	s.want("-ERR syntax error\r\n", "bzmpop", "x", "1", "z", "middle")
	s.want("-ERR numkeys should be greater than 0\r\n", "bzmpop", "0", "0", "z", "min")
	s.run("set", "s", "v")
	s.want(wrongType, "bzpopmin", "none", "s", "0")
}

// TestSortedSetRepliesAreBounded: what would be too large is an error, and pops
// nothing.
func TestSortedSetRepliesAreBounded(t *testing.T) {
	s := newServer(t, 1)
	s.eval = command.NewEvaluator(s.table, keyspace.Limits{MaxReply: 1000})
	for i := range 200 {
		s.run("zadd", "z", strconv.Itoa(i), fmt.Sprint("member", i))
		s.run("geoadd", "g", "1", "1", fmt.Sprint("member", i))
	}
	for _, line := range []string{"zrange z 0 -1", "zpopmin z 150", "zmpop 1 z max count 150", "zrandmember z -100000000", "zrandmember z 190", "zrandmember z 60 withscores", "zunion 1 z",
		"georadius g 1 1 1 km", "geosearch g frommember member1 byradius 1 km withdist"} {
		s.want("-"+command.ErrReplyTooLarge+"\r\n", strings.Fields(line)...)
	}
	s.want("-ERR value is out of range\r\n", "zrandmember", "z", "-9223372036854775807", "withscores")
	s.want(integer(200), "zcard", "z")
	s.want(integer(200), "zunionstore", "y", "1", "z")
}
