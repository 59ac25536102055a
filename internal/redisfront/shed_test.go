package redisfront

import (
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"
)

// What a client asks for is asked of the partitions in portions, the smaller
// the larger the replies have been.
func TestWindowFollowsReplies(t *testing.T) {
	const size = 1_000_000
	r := newFake(t, fakeDelays, 4)
	addr, _ := serveFake(t, r, Limits{})
	stuck := r.parts[r.Directory().BySlot(base.KeySlot([]byte("a"))).ID] // "a" and "b" are in different partitions
	stuck.mu.Lock()
	c := dial(t, addr)
	c.send("GET a\r\n" + strings.Repeat("BIG b 1000000\r\n", 100))
	waitFor(t, "replies behind the first", func() bool { return r.front.budget.inUse() >= 2*size })
	for range 30 { // and no more come
		time.Sleep(10 * time.Millisecond)
		if n := r.front.budget.inUse(); n > 5*size {
			t.Fatalf("%d bytes are held behind one reply", n)
		}
	}
	stuck.mu.Unlock()
	c.expect("$-1\r\n")
	for range 100 {
		c.reply()
	}
	s := r.front.sessions()[0]
	s.mu.Lock()
	if w := s.replyWindow(); w != 1 {
		t.Errorf("a window of %d for replies of %d bytes", w, size)
	}
	s.mu.Unlock()
	for range 200 {
		c.do("GET", "a")
	}
	s.mu.Lock()
	if w := s.replyWindow(); w != s.f.opts.Limits.Pending {
		t.Errorf("a window of %d for small replies", w)
	}
	s.mu.Unlock()
}

// When unread replies use the memory up, those who do not read lose their
// connections, and nobody else does.
func TestShed(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{RequestMemory: 16 << 20})
	good := dial(t, addr)
	good.do("PING")
	const idlers = 30
	for range idlers {
		c := dial(t, addr)
		go func() { _, _ = c.Write([]byte(strings.Repeat("BIG k 1000000\r\n", 50))) }()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			good.send(string(resp.AppendCommand(nil, "BIG", "k", "1000000")))
			good.reply()
		}
	}()
	waitFor(t, "some of those who do not read are gone", func() bool { return r.front.Connections() < idlers })
	waitFor(t, "there is memory again", func() bool { return r.front.budget.inUse() <= 16<<20 })
	<-done
	if n := r.front.Connections(); n < 3 {
		t.Errorf("%d connections are left", n)
	}
	if got := good.do("PING"); got != "+PONG\r\n" {
		t.Errorf("then: %q", got)
	}
}
