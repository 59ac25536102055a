package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// subscriber is a connection that only gets messages.
type subscriber struct {
	*client

	mu  sync.Mutex
	got map[string][]int // numbers by publisher
}

// subscribeAt opens a connection to a node with one subscription.
func subscribeAt(t testing.TB, n *node, command, topic string) *subscriber {
	t.Helper()
	s := &subscriber{client: &client{addr: n.redis}, got: map[string][]int{}}
	if v, err := s.do(command, topic); err != nil || len(v.Elems) != 3 || v.Elems[0].Text() != strings.ToLower(command) {
		t.Fatalf("%s at node %d: %v, %v", command, n.number, v, err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	_ = s.conn.SetDeadline(time.Time{})
	return s
}

// collect notes messages "publisher number" until the connection ends.
func (s *subscriber) collect() {
	for {
		v, err := s.read()
		if err != nil || len(v.Elems) == 0 {
			return
		}
		who, number, _ := strings.Cut(v.Elems[len(v.Elems)-1].Text(), " ")
		i, _ := strconv.Atoi(number)
		s.mu.Lock()
		s.got[who] = append(s.got[who], i)
		s.mu.Unlock()
	}
}

// count is how many messages of a publisher came, and whether they came in
// order, each once.
func (s *subscriber) count(who string) (n int, ordered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := -1
	for _, i := range s.got[who] {
		if i <= last {
			return len(s.got[who]), false
		}
		last = i
	}
	return len(s.got[who]), true
}

// TestPubsub: publishers on every node, subscribers on every node. While
// nothing happens all get everything, in order, and PUBLISH says so. When a
// node is killed, the others' subscriptions go on, and when it is back, it
// takes part again without anybody subscribing anew.
func TestPubsub(t *testing.T) {
	c := newCluster(t, 3)
	subs := map[int][]*subscriber{}
	for _, n := range c.nodes {
		for _, cmd := range []string{"SUBSCRIBE", "PSUBSCRIBE"} {
			s := subscribeAt(t, n, cmd, "news")
			go s.collect()
			subs[n.number] = append(subs[n.number], s)
		}
	}
	publish := func(n *node, who string, from, to int, want int64) {
		t.Helper()
		cl := &client{addr: n.redis}
		defer cl.close()
		for i := from; i < to; i++ {
			got, err := cl.do("PUBLISH", "news", fmt.Sprint(who, " ", i))
			if err != nil || got.Int != want {
				t.Errorf("PUBLISH at node %d: %v, %v, want %d", n.number, got.Int, err, want)
				return
			}
		}
	}
	all := func(who string, n int, nodes ...int) {
		t.Helper()
		await(t, patience, func() string {
			for _, id := range nodes {
				for i, s := range subs[id] {
					got, ordered := s.count(who)
					if !ordered {
						t.Fatalf("subscriber %d at node %d: the messages of %s came out of order, or twice", i, id, who)
					}
					if got != n {
						return fmt.Sprintf("subscriber %d at node %d has %d of the %d messages of %s", i, id, got, n, who)
					}
				}
			}
			return ""
		})
	}
	knows := func(n *node, want int64) {
		t.Helper()
		await(t, patience, func() string {
			cl := &client{addr: n.redis}
			defer cl.close()
			v, err := cl.do("PUBSUB", "NUMSUB", "news")
			if err != nil || len(v.Elems) != 2 || v.Elems[1].Int != want {
				return fmt.Sprintf("node %d: %v, %v; %d subscribers are wanted", n.number, v, err, want)
			}
			return ""
		})
	}
	const each = 500
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		wg.Go(func() { publish(n, fmt.Sprint("a", n.number), 0, each, 6) })
	}
	wg.Wait()
	for _, n := range c.nodes {
		all(fmt.Sprint("a", n.number), each, 1, 2, 3)
	}

	c.nodes[2].kill()
	knows(c.nodes[0], 2)
	knows(c.nodes[1], 2)
	publish(c.nodes[0], "b1", 0, each, 4)
	publish(c.nodes[1], "b2", 0, each, 4)
	all("b1", each, 1, 2)
	all("b2", each, 1, 2)

	c.nodes[2].start()
	knows(c.nodes[2], 2)
	publish(c.nodes[2], "c3", 0, each, 4)
	all("c3", each, 1, 2)
	late := subscribeAt(t, c.nodes[2], "SUBSCRIBE", "news")
	go late.collect()
	subs[3] = []*subscriber{late}
	publish(c.nodes[0], "d1", 0, each, 5) // known at once, everywhere
	publish(c.nodes[1], "d2", 0, each, 5)
	all("d1", each, 1, 2, 3)
	all("d2", each, 1, 2, 3)
}

// TestNotifications: events of keys anywhere reach a subscriber on any node,
// when they are committed; those of transactions over partitions too. The
// parameter is set on one node, holds on all, and after a restart.
func TestNotifications(t *testing.T) {
	c := newCluster(t, 3)
	clients := []*client{{addr: c.nodes[0].redis}, {addr: c.nodes[1].redis}, {addr: c.nodes[2].redis}}
	do := func(i int, want string, args ...string) {
		t.Helper()
		v, err := clients[i].do(args...)
		if err != nil || v.Err() != nil || want != "" && v.Text() != want {
			t.Fatalf("%q at node %d: %v, %v", args, i+1, v, err)
		}
	}
	do(0, "OK", "CONFIG", "SET", "notify-keyspace-events", "Exg$")
	await(t, patience, func() string {
		for i := range clients {
			v, err := clients[i].do("CONFIG", "GET", "notify-keyspace-events")
			if err != nil || len(v.Elems) != 2 || v.Elems[1].Text() != "g$xE" {
				return fmt.Sprintf("node %d: %v, %v", i+1, v, err)
			}
		}
		return ""
	})
	sub := subscribeAt(t, c.nodes[1], "PSUBSCRIBE", "__keyevent@0__:*")
	const keys = 60
	for i := range keys {
		do(i%3, "OK", "SET", fmt.Sprint("k", i), "1", "PX", "300")
	}
	do(0, "OK", "MULTI")
	do(0, "QUEUED", "SET", "x", "1")
	do(0, "QUEUED", "SET", "y", "1")
	do(0, "QUEUED", "SET", "z", "1")
	do(0, "", "EXEC")
	do(0, "", "MSETNX", "u", "1", "v", "1", "w", "1") // evaluated at the gateway
	heard := map[string]int{}
	want := map[string]int{"set": keys + 6, "expire": keys, "expired": keys}
	_ = sub.conn.SetReadDeadline(time.Now().Add(patience))
	for heard["set"] < want["set"] || heard["expired"] < want["expired"] {
		v, err := sub.read()
		if err != nil || len(v.Elems) != 4 {
			t.Fatalf("heard %v, then %v, %v", heard, v, err)
		}
		heard[strings.TrimPrefix(v.Elems[2].Text(), "__keyevent@0__:")]++
	}
	for event, n := range want {
		if heard[event] != n {
			t.Errorf("%d %s events, want %d", heard[event], event, n)
		}
	}
	if err := c.nodes[0].stop(); err != nil {
		t.Fatal(err)
	}
	c.nodes[0].start()
	c.awaitHealthy(3)
	clients[0].close()
	v, err := clients[0].do("CONFIG", "GET", "notify-keyspace-events")
	if err != nil || len(v.Elems) != 2 || v.Elems[1].Text() != "g$xE" {
		t.Errorf("after a restart: %v, %v", v, err)
	}
}
