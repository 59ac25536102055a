package redisfront

import (
	"coterie/internal/datatype/redistest"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// step is something that a client sends, and who gets how many replies then.
type step struct {
	who  int
	line string
	gets map[int]int // nil: one for who sent it
}

func pubsubSteps() []step {
	one := func(who int, lines ...string) (list []step) {
		for _, l := range lines {
			list = append(list, step{who, l, nil})
		}
		return list
	}
	all := one(0, "SUBSCRIBE", "PUBLISH a", "PUBLISH a b c", "PUBSUB", "PUBSUB FOO", "PUBSUB NUMSUB", "PUBSUB NUMSUB a b", "PUBSUB NUMPAT", "PUBSUB NUMPAT x",
		"PUBSUB CHANNELS", "PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB", "PUBSUB SHARDNUMSUB a",
		"UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE nosuch", "PUNSUBSCRIBE nosuch*", "SUNSUBSCRIBE nosuch", "PUBLISH a b", "SPUBLISH a b")
	all = append(all,
		step{0, "SUBSCRIBE a b a", map[int]int{0: 3}},
		step{1, "PUBLISH a hello", map[int]int{0: 1, 1: 1}},
		step{1, "PUBLISH c hello", nil},
		step{0, "PSUBSCRIBE ? [ab]* c", map[int]int{0: 3}},
		step{1, "PUBLISH c hello", map[int]int{0: 2, 1: 1}},
		step{0, "SSUBSCRIBE a", nil},
		step{1, "SPUBLISH a hello", map[int]int{0: 1, 1: 1}},
		step{1, "PUBSUB CHANNELS b", nil}, step{1, "PUBSUB CHANNELS c*", nil}, step{1, "PUBSUB NUMPAT", nil},
		step{1, "PUBSUB NUMSUB a b c", nil}, step{1, "PUBSUB SHARDCHANNELS", nil}, step{1, "PUBSUB SHARDNUMSUB a c", nil},
		step{0, "PING", nil}, step{0, "PING x", nil}, step{0, "PING x y", nil},
		step{0, "GET x", nil}, step{0, "CONFIG GET save", nil}, step{0, "HELLO", nil}, step{0, "FOO", nil}, step{0, "GET", nil}, step{0, "MULTI", nil}, step{0, "DISCARD", nil},
		step{0, "UNSUBSCRIBE b nosuch", map[int]int{0: 2}},
		step{1, "PUBLISH b hello", map[int]int{0: 2, 1: 1}},
		step{0, "PUNSUBSCRIBE c", nil}, step{0, "PUNSUBSCRIBE ?", nil}, step{0, "PUNSUBSCRIBE", nil},
		step{0, "UNSUBSCRIBE", nil}, step{0, "PING", nil}, step{0, "SUNSUBSCRIBE", nil}, step{0, "PING", nil}, step{0, "GET x", nil},
		step{1, "MULTI", nil}, step{1, "PUBLISH b b", nil}, step{1, "SUBSCRIBE a", nil}, step{1, "EXEC", nil},
		step{0, "PUBLISH a \"x\\r\\ny\"", map[int]int{0: 1, 1: 1}},
		step{1, "UNSUBSCRIBE a", nil},
		step{0, "SUBSCRIBE a", nil}, step{0, "RESET", nil}, step{1, "PUBLISH a x", nil}, step{0, "GET x", nil},
		step{1, "PUBSUB NUMSUB a", nil},
	)
	return all
}

// TestPubsubLikeRedis compares what two clients get with what redis-server
// gives them, byte by byte.
func TestPubsubLikeRedis(t *testing.T) {
	theirs := redistest.Start(t)
	ours, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	for _, proto := range []int{2, 3} {
		var a, b [2]*rawClient
		for i := range a {
			a[i], b[i] = dial(t, ours), dial(t, theirs)
			a[i].do("HELLO", fmt.Sprint(proto))
			b[i].do("HELLO", fmt.Sprint(proto))
		}
		for _, st := range pubsubSteps() {
			gets := st.gets
			if gets == nil {
				gets = map[int]int{st.who: 1}
			}
			a[st.who].send(st.line + "\r\n")
			b[st.who].send(st.line + "\r\n")
			for who, n := range gets {
				var got, want []string
				for range n {
					got, want = append(got, a[who].reply()), append(want, b[who].reply())
				}
				if strings.HasPrefix(st.line, "PUBLISH") { // the order of patterns is nobody's promise
					slices.Sort(got)
					slices.Sort(want)
				}
				if strings.HasPrefix(st.line, "HELLO") || strings.HasPrefix(st.line, "PUBSUB FOO") {
					got[0], want[0] = got[0][:1], want[0][:1]
				}
				if !slices.Equal(got, want) {
					t.Errorf("proto %d, %s: client %d gets %q, of redis-server %q", proto, st.line, who, got, want)
				}
			}
		}
	}
}

// TestPublishToSelf: the reply comes first, then the message, also for a
// transaction; and what was sent before is committed.
func TestPublishToSelf(t *testing.T) {
	for _, mode := range []fakeMode{fakeLoop, fakeSync, fakeDelays} {
		ours, _ := serveFake(t, newFake(t, mode, 3), Limits{})
		c := dial(t, ours)
		c.do("HELLO", "3")
		c.send("SUBSCRIBE foo bar\r\n")
		c.expect(">3\r\n$9\r\nsubscribe\r\n$3\r\nfoo\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$3\r\nbar\r\n:2\r\n")
		for range 20 {
			c.send("SET k 1\r\nPUBLISH foo x\r\n")
			c.expect("+OK\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$1\r\nx\r\n")
			c.send("MULTI\r\nPING abc\r\nPUBLISH foo 1\r\nSET a 1\r\nSET b 2\r\nPUBLISH bar 2\r\nUNSUBSCRIBE bar\r\nEXEC\r\n")
			c.expect("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 6) + "*6\r\n$3\r\nabc\r\n:1\r\n+OK\r\n+OK\r\n:0\r\n>3\r\n$11\r\nunsubscribe\r\n$3\r\nbar\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$1\r\n1\r\n")
			c.send("SUBSCRIBE bar\r\n")
			c.expect(">3\r\n$9\r\nsubscribe\r\n$3\r\nbar\r\n:2\r\n")
		}
	}
}

// TestNoPublishWithoutCommit: an EXEC that comes to nothing publishes nothing.
func TestNoPublishWithoutCommit(t *testing.T) {
	ours, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	a, b, sub := dial(t, ours), dial(t, ours), dial(t, ours)
	sub.do("SUBSCRIBE", "c")
	a.do("WATCH", "k")
	b.do("SET", "k", "1")
	a.send("MULTI\r\nPUBLISH c no\r\nSET x 1\r\nEXEC\r\n")
	a.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n")
	a.send("MULTI\r\nPUBLISH c no\r\nDISCARD\r\n")
	a.expect("+OK\r\n+QUEUED\r\n+OK\r\n")
	a.send("MULTI\r\nPUBLISH c yes\r\nEXEC\r\n")
	a.expect("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
	sub.expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\nyes\r\n")
}

// TestSilentSubscriber: CLIENT REPLY silences no messages.
func TestSilentSubscriber(t *testing.T) {
	ours, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	c, b := dial(t, ours), dial(t, ours)
	c.send("CLIENT REPLY OFF\r\nPSUBSCRIBE c*\r\nPING\r\n")
	c.expect("*3\r\n$10\r\npsubscribe\r\n$2\r\nc*\r\n:1\r\n")
	b.do("PUBLISH", "c", "x")
	c.expect("*4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$1\r\nc\r\n$1\r\nx\r\n")
}

// TestPubsubOrder: many messages from a pipeline, all in order, to a client of
// each protocol version.
func TestPubsubOrder(t *testing.T) {
	ours, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	two, three, b := dial(t, ours), dial(t, ours), dial(t, ours)
	three.do("HELLO", "3")
	two.do("SUBSCRIBE", "c")
	three.do("SUBSCRIBE", "c")
	var lines, replies strings.Builder
	const n = 3000
	for i := range n {
		fmt.Fprintf(&lines, "PUBLISH c %d\r\n", i)
		replies.WriteString(":2\r\n")
	}
	b.send(lines.String())
	b.expect(replies.String())
	for i := range n {
		text := fmt.Sprint(i)
		want := fmt.Sprintf("3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%s\r\n", len(text), text)
		two.expect("*" + want)
		three.expect(">" + want)
	}
}

// TestSlowSubscriber: one that does not read is closed at the hard limit, or
// after its time above the soft one, and takes no memory any more; others get
// everything.
func TestSlowSubscriber(t *testing.T) {
	for name, limits := range map[string]string{"hard": "pubsub 1mb 0 0", "soft": "pubsub 64mb 100kb 1"} {
		r := newFake(t, fakeLoop, 3)
		ours, _ := serveFake(t, r, Limits{})
		b := dial(t, ours)
		if got := b.do("CONFIG", "SET", "client-output-buffer-limit", limits); got != "+OK\r\n" {
			t.Fatal(got)
		}
		slow, fast := dial(t, ours), dial(t, ours)
		_ = slow.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		slow.do("SUBSCRIBE", "c")
		fast.do("SUBSCRIBE", "c")
		go func() {
			for {
				if _, err := fast.Conn.Read(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}()
		payload := strings.Repeat("x", 100_000)
		most := int64(0)
		var left string
		for start := time.Now(); left != ":1\r\n"; {
			if time.Since(start) > 10*time.Second {
				t.Fatalf("%s: the slow one is still there", name)
			}
			if left = b.do("PUBLISH", "c", payload); name == "soft" {
				time.Sleep(20 * time.Millisecond)
			}
			most = max(most, r.front.budget.inUse())
		}
		if name == "hard" && most > 40<<20 {
			t.Errorf("%s: %d bytes were held", name, most)
		}
		waitFor(t, "memory", func() bool { return r.front.budget.inUse() < 1<<20 })
	}
}

// TestShardedOnClusterListener: sharded channels follow the slots.
func TestShardedOnClusterListener(t *testing.T) {
	r := newFake(t, fakeLoop, 2, twoNodes()...)
	_, cluster := serveFake(t, r, Limits{})
	c := dial(t, cluster)
	ok, moved := 0, 0
	for i := range 20 {
		name := fmt.Sprint("c", i)
		switch got := c.do("SPUBLISH", name, "x"); {
		case got == ":0\r\n":
			ok++
		case strings.HasPrefix(got, "-MOVED "):
			moved++
			if got := c.do("SSUBSCRIBE", name); !strings.HasPrefix(got, "-MOVED ") {
				t.Errorf("SSUBSCRIBE %s: %q", name, got)
			}
		default:
			t.Errorf("SPUBLISH %s: %q", name, got)
		}
	}
	if ok == 0 || moved == 0 {
		t.Errorf("%d here, %d moved", ok, moved)
	}
	if got := c.do("SSUBSCRIBE", "a", "b"); !strings.HasPrefix(got, "-CROSSSLOT ") {
		t.Errorf("%q", got)
	}
}

// TestSubscribersEnd: whoever is gone is counted no more.
func TestSubscribersEnd(t *testing.T) {
	r := newFake(t, fakeLoop, 2)
	ours, _ := serveFake(t, r, Limits{})
	b := dial(t, ours)
	for i := range 30 {
		c := dial(t, ours)
		c.do("SUBSCRIBE", fmt.Sprint("c", i%3))
		c.do("PSUBSCRIBE", "c*")
		c.do("SSUBSCRIBE", "s")
		if got := b.do("INFO", "stats"); !strings.Contains(got, "pubsub_channels:1\r\npubsub_patterns:1\r\npubsubshard_channels:1\r\n") {
			t.Errorf("%q", got)
		}
		if got := b.do("CLIENT", "LIST", "TYPE", "pubsub"); !strings.Contains(got, "flags=P db=0 sub=1 psub=1 ssub=1") {
			t.Errorf("%q", got)
		}
		if i%2 == 0 {
			_ = c.Conn.Close()
		} else {
			b.do("CLIENT", "KILL", "TYPE", "pubsub")
		}
		waitFor(t, "the subscriber's end", func() bool { return r.front.broker.Stats().Bytes == 0 })
	}
}

// TestSeenToUnsubscribe: what CLIENT LIST says that a client has done last, of
// subscriptions, is done.
func TestSeenToUnsubscribe(t *testing.T) {
	r := newFake(t, fakeLoop, 1)
	addr, _ := serveFake(t, r, Limits{})
	for range 200 {
		one, other := dialFake(t, addr), dialFake(t, addr)
		one.ask(t, "SUBSCRIBE c")
		one.send("UNSUBSCRIBE\r\n")
		for !strings.Contains(other.ask(t, "CLIENT LIST"), "cmd=unsubscribe") {
			continue
		}
		if got := other.ask(t, "PUBLISH c hello"); got != ":0\r\n" {
			t.Fatalf("after UNSUBSCRIBE: %s", got)
		}
		one.Close()
		other.Close()
	}
}
