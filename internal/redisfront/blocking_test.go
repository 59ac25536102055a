package redisfront

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"coterie/internal/resp"
)

// blockingFront runs a test over a plain socket and over a connection of
// another kind.
func blockingFront(t *testing.T, test func(t *testing.T, r *fakeRouter, addr string)) {
	t.Run("socket", func(t *testing.T) {
		r := newFake(t, fakeLoop, 1)
		addr, _ := serveFake(t, r, Limits{})
		test(t, r, addr)
	})
	t.Run("other", func(t *testing.T) {
		r := newFake(t, fakeLoop, 1)
		serveFake(t, r, Limits{})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = r.front.Serve(hideTCP{l}, Standalone) }()
		test(t, r, l.Addr().String())
	})
}

func (r *fakeRouter) blocked(t *testing.T, n int) {
	t.Helper()
	waitFor(t, "clients are blocked", func() bool { return r.front.blocked.clients.Load() == int64(n) })
}

// What waits is served in order, and what its connection sent behind it comes
// behind it.
func TestBlocking(t *testing.T) {
	blockingFront(t, func(t *testing.T, r *fakeRouter, addr string) {
		a, b, c := dial(t, addr), dial(t, addr), dial(t, addr)
		for range 2 * firstReads {
			a.do("PING")
		}
		c.do("SET", "x", "before")
		a.send("GET x\r\nTAKE k l 0\r\nGET x\r\nTAKE m 0\r\nPI")
		a.expect("$6\r\nbefore\r\n")
		r.blocked(t, 1)
		b.send("TAKE k 0\r\n")
		r.blocked(t, 2)
		if got := c.do("INFO", "clients"); !strings.Contains(got, "blocked_clients:2\r\n") {
			t.Error(got)
		}
		if got := c.do("CLIENT", "LIST"); strings.Count(got, "flags=b ") != 2 {
			t.Error(got)
		}
		c.do("SET", "x", "after")
		c.do("SET", "k", "1")
		a.expect("*2\r\n$1\r\nk\r\n$1\r\n1\r\n$5\r\nafter\r\n")
		r.blocked(t, 2)
		a.send("NG\r\n")
		c.do("SET", "k", "2")
		b.expect("*2\r\n$1\r\nk\r\n$1\r\n2\r\n")
		c.do("SET", "m", "3")
		a.expect("*2\r\n$1\r\nm\r\n$1\r\n3\r\n+PONG\r\n")
		r.blocked(t, 0)
		if got := c.do("EXISTS", "k", "l", "m"); got != ":0\r\n" {
			t.Error(got)
		}
		for _, s := range r.front.sessions() {
			s.mu.Lock()
			if s.buf != nil && s.buf.refs != 0 {
				t.Errorf("a buffer is still held %d times", s.buf.refs)
			}
			s.mu.Unlock()
		}
		if n := r.front.blocked.bytes.Load(); n != 0 {
			t.Errorf("%d bytes are still blocked", n)
		}
	})
}

func TestBlockingTimeouts(t *testing.T) {
	blockingFront(t, func(t *testing.T, r *fakeRouter, addr string) {
		a := dial(t, addr)
		began := time.Now()
		a.send("TAKE k 0.05\r\nPING\r\n")
		a.expect("*-1\r\n+PONG\r\n")
		if d := time.Since(began); d < 50*time.Millisecond {
			t.Error("it took", d)
		}
		for _, x := range [][2]string{
			{"x", "-ERR timeout is not a float or out of range\r\n"},
			{"-1", "-ERR timeout is negative\r\n"},
			{"1e300", "-ERR timeout is out of range\r\n"},
		} {
			if got := a.do("TAKE", "k", x[0]); got != x[1] {
				t.Errorf("%s: %q", x[0], got)
			}
		}
		a.do("MULTI")
		a.do("TAKE", "k", "0")
		if got := a.do("EXEC"); got != "*1\r\n*-1\r\n" {
			t.Error(got)
		}
		a.do("HELLO", "3")
		if got := a.do("TAKE", "k", "0.01"); got != "_\r\n" {
			t.Errorf("%q", got)
		}
		a.do("SET", "k", "v")
		if got := a.do("TAKE", "k", "0.01"); !strings.HasPrefix(got, "*2\r\n") {
			t.Errorf("%q", got)
		}
		r.blocked(t, 0)
	})
}

func TestUnblock(t *testing.T) {
	blockingFront(t, func(t *testing.T, r *fakeRouter, addr string) {
		a, b := dial(t, addr), dial(t, addr)
		id := strings.Trim(a.do("CLIENT", "ID"), ":\r\n")
		for _, x := range []struct{ how, want string }{
			{"", "*-1\r\n"}, {"TIMEOUT", "*-1\r\n"}, {"error", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"},
		} {
			a.send("TAKE k 0\r\n")
			r.blocked(t, 1)
			if got := b.do(append([]string{"CLIENT", "UNBLOCK", id}, strings.Fields(x.how)...)...); got != ":1\r\n" {
				t.Error(x.how, got)
			}
			a.expect(x.want)
			r.blocked(t, 0)
			if got := b.do("CLIENT", "UNBLOCK", id); got != ":0\r\n" {
				t.Error(got)
			}
		}
		if got := b.do("CLIENT", "UNBLOCK", "x"); got != "-ERR value is not an integer or out of range\r\n" {
			t.Error(got)
		}
		if got := b.do("CLIENT", "UNBLOCK", id, "x"); got != "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n" {
			t.Error(got)
		}
	})
}

// A client that hangs up waits no more: what comes is for others.
func TestBlockedClientIsGone(t *testing.T) {
	blockingFront(t, func(t *testing.T, r *fakeRouter, addr string) {
		for i, hangUp := range []func(c *rawClient){
			func(c *rawClient) { _ = c.Close() },
			func(c *rawClient) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
			func(c *rawClient) { c.send("GET y\r\n"); _ = c.Close() },
			func(c *rawClient) { dial(t, addr).do("CLIENT", "KILL", "TYPE", "normal") },
		} {
			a := dial(t, addr)
			for range 2 * firstReads {
				a.do("PING")
			}
			a.send("TAKE k 0\r\n")
			r.blocked(t, 1)
			hangUp(a)
			r.blocked(t, 0)
			b := dial(t, addr)
			b.do("SET", "k", "v")
			if got := b.do("GET", "k"); got != "$1\r\nv\r\n" {
				t.Errorf("%d: %q", i, got)
			}
			b.do("DEL", "k")
			_ = b.Close()
			waitFor(t, "all sessions end", func() bool { return r.front.Connections() <= 2 })
		}
	})
}

// Whoever sends a lot behind a blocked command has it taken when its turn
// comes.
func TestBlockedClientSendsOn(t *testing.T) {
	blockingFront(t, func(t *testing.T, r *fakeRouter, addr string) {
		a, b := dial(t, addr), dial(t, addr)
		a.send("TAKE k 0\r\n")
		r.blocked(t, 1)
		const n = 3 * blockedAhead / 6
		go a.send(strings.Repeat("PING\r\n", n))
		time.Sleep(20 * time.Millisecond)
		b.do("SET", "k", "v")
		a.expect("*2\r\n$1\r\nk\r\n$1\r\nv\r\n" + strings.Repeat("+PONG\r\n", n))
	})
}

// At the bound a command is refused, and the connection goes on.
func TestTooManyBlocked(t *testing.T) {
	r := newFake(t, fakeLoop, 1)
	addr, _ := serveFake(t, r, Limits{})
	r.front.blocked.bytes.Store(maxBlockedBytes)
	a := dial(t, addr)
	if got := a.do("TAKE", "k", "0"); got != "-ERR too many blocked clients\r\n" {
		t.Error(got)
	}
	r.front.blocked.bytes.Store(0)
	a.do("SET", "k", "v")
	if got := a.do("TAKE", "k", "0"); got != "*2\r\n$1\r\nk\r\n$1\r\nv\r\n" {
		t.Error(got)
	}
}

// Keys in several partitions: whichever has something first serves.
func TestBlockingAcross(t *testing.T) {
	for _, mode := range []fakeMode{fakeLoop, fakeDelays} {
		r := newFake(t, mode, 7)
		addr, _ := serveFake(t, r, Limits{})
		a, b := dial(t, addr), dial(t, addr)
		id := strings.Trim(a.do("CLIENT", "ID"), ":\r\n")
		keys := []string{"a", "b", "c", "d", "e"}
		take := append(append([]string{"TAKE"}, keys...), "0")
		for _, key := range keys {
			a.send(string(resp.AppendCommand(nil, take...)))
			r.blocked(t, 1)
			b.do("SET", key, "v")
			if got := a.reply(); got != "*2\r\n$1\r\n"+key+"\r\n$1\r\nv\r\n" {
				t.Errorf("%q", got)
			}
			r.blocked(t, 0)
		}
		b.do("SET", "d", "1")
		b.do("SET", "c", "2")
		if got := a.do(take...); got != "*2\r\n$1\r\nc\r\n$1\r\n2\r\n" {
			t.Errorf("%q", got)
		}
		a.do(take...)
		take[len(take)-1] = "0.05"
		if got := a.do(take...); got != "*-1\r\n" {
			t.Errorf("%q", got)
		}
		take[len(take)-1] = "0"
		a.send(string(resp.AppendCommand(nil, take...)) + "PING\r\n")
		r.blocked(t, 1)
		if got := b.do("CLIENT", "UNBLOCK", id); got != ":1\r\n" {
			t.Error(got)
		}
		a.expect("*-1\r\n+PONG\r\n")
		a.send(string(resp.AppendCommand(nil, take...)))
		r.blocked(t, 1)
		_ = a.Close()
		r.blocked(t, 0)
		waitFor(t, "nobody waits any more", func() bool {
			n := 0
			for _, p := range r.parts {
				p.mu.Lock()
				n += len(p.waits)
				p.mu.Unlock()
			}
			return n == 0 && r.front.Connections() == 1
		})
	}
}

// TestReadFromNowOnAcross: $ is the last entry of each stream when the command comes.
func TestReadFromNowOnAcross(t *testing.T) {
	for _, mode := range []fakeMode{fakeLoop, fakeDelays} {
		r := newFake(t, mode, 7)
		addr, _ := serveFake(t, r, Limits{})
		a, b := dial(t, addr), dial(t, addr)
		b.do("XADD", "s", "1-1", "f", "old")
		b.do("XADD", "t", "5-1", "f", "old")
		entry := func(key, id, value string) string {
			return fmt.Sprintf("*1\r\n*2\r\n$1\r\n%s\r\n*1\r\n*2\r\n$3\r\n%s\r\n*2\r\n$1\r\nf\r\n$3\r\n%s\r\n", key, id, value)
		}
		for i, key := range []string{"s", "t", "u", "v"} {
			a.send("XREAD BLOCK 0 STREAMS s t u v $ $ $ $\r\n")
			r.blocked(t, 1)
			b.do("SET", "other", "1")
			id := fmt.Sprintf("%d-%d", 6+i, 2)
			b.do("XADD", key, id, "f", "new")
			if got := a.reply(); got != entry(key, id, "new") {
				t.Errorf("%s: %q", key, got)
			}
			r.blocked(t, 0)
		}
		// Some ids are given: what is there already is an answer, and no other.
		if got := a.do("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "u", "$", "5-1", "$"); got != entry("t", "7-2", "new") {
			t.Errorf("%q", got)
		}
		if got := a.do("XREAD", "BLOCK", "30", "STREAMS", "s", "t", "u", "$", "7-2", "$"); got != "*-1\r\n" {
			t.Errorf("%q", got)
		}
		if got := a.do("XREAD", "BLOCK", "30", "STREAMS", "s", "t", "other", "$", "$", "$"); !strings.HasPrefix(got, "-WRONGTYPE") {
			t.Errorf("%q", got)
		}
		a.send("XREAD BLOCK 0 STREAMS s t + +\r\n") // the last entry alone, if there is one
		if got := a.reply(); !strings.HasPrefix(got, "*2\r\n") {
			t.Errorf("%q", got)
		}
	}
}

// TestKilledTakesNothing: what is pushed after a blocked client was killed is not for it.
func TestKilledTakesNothing(t *testing.T) {
	blockingFront(t, func(t *testing.T, r *fakeRouter, addr string) {
		b := dial(t, addr)
		for i := range 200 {
			a := dial(t, addr)
			id := strings.Trim(a.do("CLIENT", "ID"), ":\r\n")
			a.send(string(resp.AppendCommand(nil, "TAKE", "k", "0")))
			r.blocked(t, 1)
			kill := resp.AppendCommand(nil, "CLIENT", "KILL", "ID", id)
			b.send(string(resp.AppendCommand(kill, "SET", "k", "v")))
			b.expect(":1\r\n+OK\r\n")
			if got := b.do("GET", "k"); got != "$1\r\nv\r\n" {
				t.Fatalf("round %d: it was taken: %q", i, got)
			}
			b.do("DEL", "k")
			_ = a.Close()
			r.blocked(t, 0)
		}
	})
}
