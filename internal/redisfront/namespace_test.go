package redisfront

import (
	"coterie/internal/datatype/redistest"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// makers build values of every type, small and large.
func makers(key string, n int) [][]string {
	many := func(name string, each func(i int) []string) []string {
		args := []string{name, key}
		for i := range n {
			args = append(args, each(i)...)
		}
		return args
	}
	one := func(i int) []string { return []string{fmt.Sprint("m", i)} }
	return [][]string{
		{"SET", key, strings.Repeat("v", n)},
		many("HSET", func(i int) []string { return []string{fmt.Sprint("f", i), fmt.Sprint(i)} }),
		many("RPUSH", one),
		many("SADD", one),
		many("ZADD", func(i int) []string { return []string{fmt.Sprint(i % 7), fmt.Sprint("m", i)} }),
		{"XADD", key, "7-1", "a", strings.Repeat("b", n)},
		{"PFADD", key, fmt.Sprint(n)},
	}
}

// contents are the lines that show all of a key.
func contents(key string) []string {
	return []string{"TYPE " + key, "EXPIRETIME " + key, "GET " + key, "HLEN " + key, "HGET " + key + " f1", "LRANGE " + key + " 0 -1", "SCARD " + key,
		"SISMEMBER " + key + " m2", "ZRANGE " + key + " 0 -1 WITHSCORES", "XRANGE " + key + " - +", "PFCOUNT " + key}
}

// TestNamespacesLikeRedis compares random commands about several databases,
// from several connections, with redis-server's.
func TestNamespacesLikeRedis(t *testing.T) {
	theirs := redistest.Start(t)
	for seed := range uint64(12) {
		ours, _ := serveFake(t, newFake(t, fakeLoop, int(seed%3)*2+1), Limits{})
		g := rand.New(rand.NewPCG(seed, 3))
		dial(t, theirs).do("FLUSHALL")
		var conns [3][2]*rawClient
		for i := range conns {
			conns[i] = [2]*rawClient{dial(t, ours), dial(t, theirs)}
		}
		var history []string
		both := func(i int, args ...string) {
			t.Helper()
			got, want := conns[i][0].do(args...), conns[i][1].do(args...)
			history = append(history, fmt.Sprintf("%d: %.60q", i, args))
			if got != want {
				t.Fatalf("seed %d:\n%s\n got %.300q\nwant %.300q", seed, strings.Join(history[max(0, len(history)-20):], "\n"), got, want)
			}
		}
		keys := []string{"a", "b", "{t}1", "{t}2"}
		pick := func(list []string) string { return list[g.IntN(len(list))] }
		db := func() string { return fmt.Sprint(g.IntN(4)) }
		for range 300 {
			c, key := g.IntN(len(conns)), pick(keys)
			switch g.IntN(10) {
			case 0, 1:
				list := makers(key, []int{3, 3, 200}[g.IntN(3)])
				both(c, "DEL", key)
				both(c, list[g.IntN(len(list))]...)
			case 2:
				both(c, "EXPIREAT", key, fmt.Sprint(4_000_000_000+g.IntN(9)))
			case 3, 4:
				both(c, "MOVE", key, db())
			case 5:
				both(c, "SWAPDB", db(), db())
			case 6:
				args := []string{"COPY", key, pick(keys), "DB", db()}
				if g.IntN(2) == 0 {
					args = append(args, "REPLACE")
				}
				both(c, args...)
			case 7:
				both(c, "SELECT", db())
			case 8:
				both(c, "DBSIZE")
			case 9: // does what another connection did touch what is watched?
				other := (c + 1) % len(conns)
				both(c, "WATCH", key)
				switch g.IntN(4) {
				case 0:
					both(other, "MOVE", key, db())
				case 1:
					both(c, "SET", key, "x") // else a swap of two databases without it touches nothing there
					both(other, "SWAPDB", "0", "1")
					both(other, "SWAPDB", "2", "3")
				case 2:
					both(other, "COPY", "other", key, "REPLACE") // of nothing
				}
				both(c, "MULTI")
				both(c, "MOVE", key, db())
				both(c, "SWAPDB", db(), db())
				both(c, "EXISTS", key)
				if pick(keys) == key {
					both(c, "DISCARD")
				} else {
					both(c, "EXEC")
				}
			}
		}
		for n := range 4 {
			both(0, "SELECT", fmt.Sprint(n))
			both(0, "DBSIZE")
			for _, key := range keys {
				for _, line := range contents(key) {
					both(0, strings.Fields(line)...)
				}
			}
		}
		info := func(i int) []string {
			lines := strings.Split(conns[0][i].do("INFO", "keyspace"), "\r\n")
			lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "db") })
			for i, l := range lines {
				lines[i], _, _ = strings.Cut(l, ",avg_ttl")
			}
			return lines
		}
		if got, want := info(0), info(1); !slices.Equal(got, want) {
			t.Errorf("seed %d: INFO says %q, of redis-server %q", seed, got, want)
		}
	}
}
