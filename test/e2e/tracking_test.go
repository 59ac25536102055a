package e2e

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/resp"
)

// cacher is a client that caches what it reads, and forgets what it is told of.
type cacher struct {
	client
	node   *node
	keys   int
	cache  map[string]string
	pushes int
}

// connect opens the connection anew, with nothing cached.
func (c *cacher) connect() bool {
	c.close()
	c.addr, c.cache = c.node.redis, map[string]string{}
	if _, err := c.do("HELLO", "3"); err != nil {
		return false
	}
	v, err := c.do("CLIENT", "TRACKING", "ON")
	return err == nil && v.Err() == nil
}

// call runs a command, and takes what it is told meanwhile.
func (c *cacher) call(args ...string) (resp.Value, bool) {
	v, err := c.do(args...)
	for err == nil && v.Kind == '>' {
		c.told(v)
		if v, err = c.read(); err != nil {
			c.close()
		}
	}
	return v, err == nil
}

func (c *cacher) told(v resp.Value) {
	c.pushes++
	if what := v.Elems[1]; what.Null {
		clear(c.cache)
	} else {
		for _, k := range what.Elems {
			delete(c.cache, k.Text())
		}
	}
}

// use reads keys at random until it is to stop, from the cache if it can.
func (c *cacher) use(seed uint64, stop *atomic.Bool) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	for up := false; !stop.Load(); {
		if !up {
			if up = c.connect(); !up {
				time.Sleep(20 * time.Millisecond)
				continue
			}
		}
		key := fmt.Sprint("k", rnd.IntN(c.keys))
		if _, ok := c.cache[key]; ok {
			_, up = c.call("PING")
			continue
		}
		var v resp.Value
		if v, up = c.call("GET", key); up && v.Err() == nil {
			c.cache[key] = v.Text()
		}
	}
}

// TestCachesOfClients: clients on all nodes cache what they read, while others
// write through all nodes in many ways, keys expire, and a node is killed. In
// the end nobody has kept what is not so any more.
func TestCachesOfClients(t *testing.T) {
	c := newCluster(t, 3)
	const keys = 60
	var stop, quiet atomic.Bool
	var readers, writers sync.WaitGroup
	var all []*cacher
	for i := range 6 {
		x := &cacher{node: c.nodes[i%3], keys: keys}
		all = append(all, x)
		readers.Go(func() { x.use(uint64(i), &stop) })
	}
	for i := range 4 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			cl := &client{addr: c.nodes[i%2].redis}
			defer cl.close()
			for n := 0; !quiet.Load(); n++ {
				key := func() string { return fmt.Sprint("k", rnd.IntN(keys)) }
				value := fmt.Sprint(i, "-", n)
				cmds := [][]string{
					{"SET", key(), value},
					{"DEL", key()},
					{"MSET", key(), value, key(), value, key(), value},
					{"SET", key(), value, "PX", strconv.Itoa(1 + rnd.IntN(50))},
					{"RENAME", key(), key()},
					{"COPY", key(), key(), "REPLACE"},
					{"APPEND", key(), "x"},
				}
				if _, err := cl.do(cmds[rnd.IntN(len(cmds))]...); err != nil {
					time.Sleep(20 * time.Millisecond)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	time.Sleep(2 * time.Second)
	c.nodes[2].kill()
	time.Sleep(2 * time.Second)
	c.nodes[2].start()
	time.Sleep(2 * time.Second)
	quiet.Store(true)
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	pushes := 0
	for i, x := range all {
		if x.conn == nil && !x.connect() {
			t.Fatalf("cacher %d has no connection", i)
		}
		await(t, patience, func() string {
			if _, ok := x.call("PING"); !ok {
				return "the connection is broken"
			}
			fresh := &client{addr: c.nodes[0].redis}
			defer fresh.close()
			for key, have := range x.cache {
				if v, err := fresh.do("GET", key); err != nil || v.Text() != have {
					return fmt.Sprintf("cacher %d (node %d) has %s as %q: it is %q, %v", i, x.node.number, key, have, v.Text(), err)
				}
			}
			return ""
		})
		pushes += x.pushes
		x.close()
	}
	if pushes < 100 {
		t.Errorf("only %d messages came", pushes)
	}
}

// TestCachesOfScripts: of what a script names, only what it reads counts as read; and
// so does what it reads without naming it.
func TestCachesOfScripts(t *testing.T) {
	c := newCluster(t, 1)
	x, other := &cacher{node: c.nodes[0]}, &client{addr: c.nodes[0].redis}
	defer other.close()
	await(t, patience, func() string {
		if !x.connect() {
			return "no connection"
		}
		if v, ok := x.call("GET", "{t}end"); !ok || v.Err() != nil {
			return v.Text()
		}
		return ""
	})
	defer x.close()
	for _, s := range []struct {
		name string
		do   [][]string
		want string
	}{
		{"writes", [][]string{{"EVAL", "redis.call('SET', '{t}3', 'x')", "2", "{t}1", "{t}2"}}, ""},
		{"reads one", [][]string{{"EVAL", "return redis.call('GET', KEYS[2])", "2", "{t}1", "{t}2"}}, "{t}2"},
		{"EVAL_RO", [][]string{{"EVAL_RO", "redis.call('PING')", "2", "{t}1", "{t}2"}}, ""},
		{"EVAL_RO reads", [][]string{{"EVAL_RO", "redis.call('GET', KEYS[2])", "2", "{t}1", "{t}2"}}, "{t}2"},
		{"not named", [][]string{{"EVAL", "redis.call('GET', '{t}3')", "0"}}, "{t}3"},
		{"read before", [][]string{{"GET", "{t}1"}, {"EVAL", "redis.call('PING')", "1", "{t}1"}}, "{t}1"},
		{"transaction", [][]string{{"MULTI"}, {"GET", "{t}3"}, {"EVAL", "redis.call('GET', KEYS[2])", "3", "{t}1", "{t}2", "{t}3"}, {"EXEC"}}, "{t}2 {t}3"},
		{"partitions", [][]string{{"EVAL", "redis.call('GET', KEYS[2])", "3", "{t}1", "{t}2", "{u}1"}}, "{t}2"},
		{"partitions, not named", [][]string{{"EVAL", "redis.call('GET', '{t}1')", "1", "{u}1"}}, "{t}1"},
		{"partitions, writes", [][]string{{"EVAL", "redis.call('SET', KEYS[2], 1)", "3", "{t}1", "{t}2", "{u}1"}}, ""},
		{"refused", [][]string{{"EVAL", "return redis.call('NOSUCH')", "1", "{t}1"}}, ""},
		{"off by OPTOUT", [][]string{{"CLIENT", "TRACKING", "OFF"}, {"CLIENT", "TRACKING", "ON", "OPTOUT"}, {"GET", "{t}end"}, {"CLIENT", "CACHING", "NO"}, {"EVAL", "redis.call('GET', KEYS[1])", "1", "{t}1"}}, ""},
	} {
		x.cache = map[string]string{"{t}1": "", "{t}2": "", "{t}3": "", "{t}end": ""}
		for _, cmd := range append([][]string{{"GET", "{t}end"}}, s.do...) {
			if _, ok := x.call(cmd...); !ok {
				t.Fatalf("%s: %q failed", s.name, cmd)
			}
		}
		for _, cmd := range [][]string{{"SET", "{t}1", "1"}, {"SET", "{t}2", "2"}, {"SET", "{t}3", "3"}, {"SET", "{t}end", "4"}} {
			if v, err := other.do(cmd...); err != nil || v.Err() != nil {
				t.Fatalf("%q: %v %v", cmd, err, v.Text())
			}
		}
		await(t, patience, func() string {
			x.call("PING")
			if _, there := x.cache["{t}end"]; there {
				return "the last write is not told of"
			}
			return ""
		})
		var told []string
		for _, key := range []string{"{t}1", "{t}2", "{t}3"} {
			if _, there := x.cache[key]; !there {
				told = append(told, key)
			}
		}
		if got := strings.Join(told, " "); got != s.want {
			t.Errorf("%s: told of %q, want %q", s.name, got, s.want)
		}
	}
}
