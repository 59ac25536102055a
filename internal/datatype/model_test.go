package datatype_test

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/datatype/redistest"
)

// model is a keyspace as plain as it can be: maps, whole values, a clock that
// the test moves. It takes sensible arguments only; what commands say to
// others is compared with a real server.
type model struct {
	now  int64
	keys map[string]*item
}

type item struct {
	str  string
	hash map[string]string // nil unless a hash
	set  map[string]bool   // nil unless a set
	list []string          // nil unless a list
	at   int64             // deadline, 0 for none
}

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
func integer(n int) string { return fmt.Sprintf(":%d\r\n", n) }
func flag(b bool) string {
	if b {
		return ":1\r\n"
	}
	return ":0\r\n"
}

const (
	null = "$-1\r\n"
	okay = "+OK\r\n"
)

func (it *item) isString() bool { return it.hash == nil && it.set == nil && it.list == nil }

func (m *model) get(key string) *item {
	it := m.keys[key]
	if it != nil && it.at != 0 && it.at <= m.now {
		delete(m.keys, key)
		return nil
	}
	return it
}

// str returns a string, made if missing; ok is false for another type.
func (m *model) str(key string, add bool) (it *item, ok bool) {
	it = m.get(key)
	if it == nil {
		it = &item{}
		if add {
			m.keys[key] = it
		}
	}
	return it, it.isString()
}

func (m *model) hash(key string, add bool) (it *item, ok bool) {
	it = m.get(key)
	if it == nil {
		it = &item{hash: map[string]string{}}
		if add {
			m.keys[key] = it
		}
	}
	return it, it.hash != nil
}

func (m *model) run(a []string) string {
	switch a[0] {
	case "hset", "hdel", "hget", "hlen", "hincrby", "hmget":
		return m.runHash(a)
	case "del", "exists", "type", "rename", "copy", "dbsize", "keys":
		return m.runKeys(a)
	case "sadd", "srem", "sismember", "scard", "smove", "sinterstore", "sunionstore", "sdiffstore", "sintercard":
		return m.runSet(a)
	case "lpush", "rpush", "lpushx", "rpushx", "lpop", "rpop", "llen", "lindex", "lset", "linsert", "lrange", "ltrim", "lrem", "lpos", "lmove", "lmpop", "blpop":
		return m.runList(a)
	case "pexpire", "pttl", "persist", "psetex", "getex":
		return m.runExpiry(a)
	}
	return m.runString(a)
}

func (m *model) runString(a []string) string {
	switch a[0] {
	case "set":
		m.keys[a[1]] = &item{str: a[2]}
		return okay
	case "mset":
		for i := 1; i < len(a); i += 2 {
			m.keys[a[i]] = &item{str: a[i+1]}
		}
		return okay
	case "mget":
		out := fmt.Sprintf("*%d\r\n", len(a)-1)
		for _, k := range a[1:] {
			if it := m.get(k); it != nil && it.isString() {
				out += bulk(it.str)
			} else {
				out += null
			}
		}
		return out
	}
	it, ok := m.str(a[1], a[0] == "append" || a[0] == "setrange" || a[0] == "setbit")
	if !ok {
		return wrongType
	}
	switch a[0] {
	case "get":
		if m.get(a[1]) == nil {
			return null
		}
		return bulk(it.str)
	case "append":
		it.str += a[2]
		return integer(len(it.str))
	case "setrange":
		at, _ := strconv.Atoi(a[2])
		if missing := at + len(a[3]) - len(it.str); missing > 0 {
			it.str += strings.Repeat("\x00", missing)
		}
		it.str = it.str[:at] + a[3] + it.str[at+len(a[3]):]
		return integer(len(it.str))
	case "setbit":
		at, _ := strconv.Atoi(a[2])
		b := []byte(it.str)
		for len(b) <= at/8 {
			b = append(b, 0)
		}
		old := b[at/8]>>(7-at%8)&1 == 1
		b[at/8] = b[at/8]&^(1<<(7-at%8)) | (a[3][0]-'0')<<(7-at%8)
		it.str = string(b)
		return flag(old)
	case "incrby":
		n, err := strconv.Atoi(it.str)
		if err != nil && m.get(a[1]) != nil || strconv.Itoa(n) != it.str && it.str != "" {
			return "-ERR value is not an integer or out of range\r\n"
		}
		by, _ := strconv.Atoi(a[2])
		it.str = strconv.Itoa(n + by)
		m.keys[a[1]] = it
		return integer(n + by)
	}
	panic(a[0])
}

func (m *model) runHash(a []string) string {
	it, ok := m.hash(a[1], a[0] == "hset" || a[0] == "hincrby")
	if !ok {
		return wrongType
	}
	defer func() {
		if len(it.hash) == 0 {
			delete(m.keys, a[1])
		}
	}()
	switch a[0] {
	case "hset":
		before := len(it.hash)
		for i := 2; i < len(a); i += 2 {
			it.hash[a[i]] = a[i+1]
		}
		return integer(len(it.hash) - before)
	case "hdel":
		before := len(it.hash)
		for _, f := range a[2:] {
			delete(it.hash, f)
		}
		return integer(before - len(it.hash))
	case "hlen":
		return integer(len(it.hash))
	case "hget":
		if v, ok := it.hash[a[2]]; ok {
			return bulk(v)
		}
		return null
	case "hmget":
		out := fmt.Sprintf("*%d\r\n", len(a)-2)
		for _, f := range a[2:] {
			if v, ok := it.hash[f]; ok {
				out += bulk(v)
			} else {
				out += null
			}
		}
		return out
	case "hincrby":
		v, had := it.hash[a[2]]
		n, err := strconv.Atoi(v)
		if had && (err != nil || strconv.Itoa(n) != v) {
			return "-ERR hash value is not an integer\r\n"
		}
		by, _ := strconv.Atoi(a[3])
		it.hash[a[2]] = strconv.Itoa(n + by)
		return integer(n + by)
	}
	panic(a[0])
}

func (m *model) runKeys(a []string) string {
	n := 0
	switch a[0] {
	case "del", "exists":
		for _, k := range a[1:] {
			if m.get(k) != nil {
				n++
				if a[0] == "del" {
					delete(m.keys, k)
				}
			}
		}
		return integer(n)
	case "type":
		switch it := m.get(a[1]); {
		case it == nil:
			return "+none\r\n"
		case it.hash != nil:
			return "+hash\r\n"
		case it.set != nil:
			return "+set\r\n"
		case it.list != nil:
			return "+list\r\n"
		}
		return "+string\r\n"
	case "rename":
		it := m.get(a[1])
		if it == nil {
			return "-ERR no such key\r\n"
		}
		delete(m.keys, a[1])
		m.keys[a[2]] = it
		return okay
	case "copy":
		it := m.get(a[1])
		if a[1] == a[2] {
			return "-ERR source and destination objects are the same\r\n"
		}
		if it == nil || m.get(a[2]) != nil {
			return flag(false)
		}
		c := *it
		if it.hash != nil {
			c.hash = map[string]string{}
			for f, v := range it.hash {
				c.hash[f] = v
			}
		}
		c.set = maps.Clone(it.set)
		c.list = slices.Clone(it.list)
		m.keys[a[2]] = &c
		return flag(true)
	}
	panic(a[0])
}

func (m *model) runExpiry(a []string) string {
	it := m.get(a[1])
	switch a[0] {
	case "psetex":
		ms, _ := strconv.Atoi(a[2])
		m.keys[a[1]] = &item{str: a[3], at: m.now + int64(ms)}
		return okay
	case "pexpire":
		ms, _ := strconv.Atoi(a[2])
		if it != nil {
			it.at = m.now + int64(ms)
			m.get(a[1])
		}
		return flag(it != nil)
	case "persist":
		had := it != nil && it.at != 0
		if had {
			it.at = 0
		}
		return flag(had)
	case "getex":
		switch {
		case it == nil:
			return null
		case !it.isString():
			return wrongType
		}
		ms, _ := strconv.Atoi(a[3])
		it.at = m.now + int64(ms)
		return bulk(it.str)
	}
	switch { // pttl
	case it == nil:
		return integer(-2)
	case it.at == 0:
		return integer(-1)
	}
	return integer(int(it.at - m.now))
}

// TestAgainstModel runs random commands here and in the model, with a clock
// that moves.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		s := newServer(t, seed)
		s.expiring = true
		m := &model{now: s.txn.Stamp.Millis(), keys: map[string]*item{}}
		g := redistest.NewGenerator(seed, 1)
		for i := range 300 {
			args := g.ModelCommand()
			want, got := m.run(args), string(s.run(args...))
			if got != want {
				t.Fatalf("seed %d, command %d %q:\n  got  %q\n  want %q", seed, i, args, got, want)
			}
			if g.IntN(4) == 0 {
				m.now += int64(g.IntN(20))
				s.txn.Stamp = base.StampFromMillis(m.now)
			}
		}
		s.check()
		m.compare(t, s)
	}
}

// compare compares all that is there.
func (m *model) compare(t *testing.T, s *server) {
	t.Helper()
	live := []string{}
	for key := range m.keys {
		if m.get(key) != nil {
			live = append(live, key)
		}
	}
	if got := s.scanAll("SCAN", 3); !sameStrings(got, live) {
		t.Errorf("scan found %q, want %q", got, live)
	}
	s.want(integer(len(live)), "dbsize") // the scan met and removed the expired ones
	for _, key := range live {
		it := m.keys[key]
		if it.set != nil {
			m.compareSet(s, key, it.set)
			continue
		}
		if it.list != nil {
			m.compareList(s, key, it.list)
			continue
		}
		if it.hash == nil {
			s.want(bulk(it.str), "get", key)
			continue
		}
		var want []string
		for f, v := range it.hash {
			want = append(want, f, v)
		}
		for _, got := range [][]string{s.strings("hgetall", key), s.scanAll("HSCAN", 7, key)} {
			if !sameStrings(got, want) {
				t.Errorf("hash %q: got %q, want %q", key, got, want)
			}
		}
	}
}

func sameStrings(a, b []string) bool {
	a, b = append([]string(nil), a...), append([]string(nil), b...)
	sort.Strings(a)
	sort.Strings(b)
	return fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b)
}
