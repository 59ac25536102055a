package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"coterie/internal/resp"
)

// malformed is what a client sends, and all that it must get before the
// connection is closed.
var malformed = []struct{ name, send, want string }{
	{"negative bulk", "*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	{"huge bulk", "*2\r\n$3\r\nGET\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	{"overflowing bulk", "*1\r\n$99999999999999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	{"bulk that is no number", "*1\r\n$4x\r\nPING\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	{"bulk without a length", "*1\r\n$\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	{"huge array", "*99999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
	{"overflowing array", "*99999999999999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
	{"no number", "*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
	{"a sign", "*+1\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
	{"no dollar", "*1\r\n+PING\r\n", "-ERR Protocol error: expected '$', got '+'\r\n"},
	{"an array in an array", "*1\r\n*1\r\n$4\r\nPING\r\n", "-ERR Protocol error: expected '$', got '*'\r\n"},
	{"an endless number", "*" + strings.Repeat("1", 70<<10), "-ERR Protocol error: too big mbulk count string\r\n"},
	{"an endless bulk number", "*1\r\n$" + strings.Repeat("1", 70<<10), "-ERR Protocol error: too big bulk count string\r\n"},
	{"an endless line", strings.Repeat("x", 70<<10), "-ERR Protocol error: too big inline request\r\n"},
	{"unbalanced quotes", "SET k \"x\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
	{"text behind a quote", "SET k \"x\"y\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
	{"a good one first", "*1\r\n$4\r\nPING\r\n*1\r\n$-5\r\n", "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"},
	{"nothing after", "*1\r\n$-5\r\n*1\r\n$4\r\nPING\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	{"a browser that posts", "POST / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n", ""},
}

// harmless is what goes on: rubbish for which an error is enough.
var harmless = []struct{ send, want string }{
	{"\r\n\r\n*0\r\n*-1\r\nPING\r\n", "+PONG\r\n"},
	{"what is this\r\n", "-ERR unknown command 'what', with args beginning with: 'is' 'this' \r\n"},
	{"\x16\x03\x01\x02\r\n", "-ERR unknown command '\x16\x03\x01\x02', with args beginning with: \r\n"},
	{"*1\r\n$0\r\n\r\n", "-ERR unknown command '', with args beginning with: \r\n"},
}

// exchange sends bytes on a new connection and returns all that comes back
// until the other side closes it.
func exchange(t *testing.T, addr, send string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second * slow()))
	_, _ = io.WriteString(conn, send)
	got, err := io.ReadAll(conn)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("%.40q: the connection was not closed", send)
	}
	return string(got)
}

// TestMalformedRESP: what is not RESP gets Redis's error and a closed
// connection; what is cut off costs nobody anything.
func TestMalformedRESP(t *testing.T) {
	c := newCluster(t, 1)
	n := c.nodes[0]
	by := watch(t, n, true)
	redis := redisServer(t)
	for _, x := range malformed {
		if got := exchange(t, n.redis, x.send); got != x.want {
			t.Errorf("%s: %q, want %q and the end", x.name, got, x.want)
		}
		if redis != "" {
			if got := exchange(t, redis, x.send); got != x.want {
				t.Errorf("%s: redis-server says %q, not %q", x.name, got, x.want)
			}
		}
	}
	for _, x := range harmless {
		for _, addr := range []string{n.redis, redis} {
			if addr == "" {
				continue
			}
			if got, want := exchange(t, addr, x.send+"QUIT\r\n"), x.want+"+OK\r\n"; got != want {
				t.Errorf("%q: %q, want %q", x.send, got, want)
			}
		}
	}
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 300 { // noise, and cut-off commands
		conn, err := net.Dial("tcp", n.redis)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(garbage(r))
		conn.Close()
	}
	t.Log(by.end())
}

// TestDeclaredLengths: memory is taken for bytes that came, not for bytes that
// are announced.
func TestDeclaredLengths(t *testing.T) {
	if !osMeasures() {
		t.Skip("needs Linux")
	}
	c := newCluster(t, 1)
	n := c.nodes[0]
	pid := n.running().cmd.Process.Pid
	resetPeak(pid)
	before, _ := memory(t, pid)
	const conns = 300
	for i := range conns {
		conn, err := net.Dial("tcp", n.redis)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		send := []string{
			"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000000\r\nabc",
			"*262144\r\n$3\r\nDEL\r\n",
			"*2\r\n$60000000\r\n",
		}[i%3]
		if _, err := io.WriteString(conn, send); err != nil {
			t.Fatal(err)
		}
	}
	cl := &client{addr: n.redis}
	defer cl.close()
	for i := range 100 {
		if v, err := cl.do("SET", fmt.Sprint(i), "x"); err != nil || v.Err() != nil {
			t.Fatal(v.Text(), err)
		}
	}
	_, peak := memory(t, pid)
	t.Logf("%d connections that announce up to 60 MB each: %d KiB before, at most %d KiB", conns, before>>10, peak>>10)
	if limit := int64(96 << 20 * slow()); peak-before > limit {
		t.Errorf("%d MiB more are held; more than %d MiB", (peak-before)>>20, limit>>20)
	}
}

// garbage is a command that ends too soon, or noise, some of which looks like
// the protocol.
func garbage(r *rand.Rand) []byte {
	var w resp.Writer
	appendCommand(&w, []string{"SET", "garbage", strings.Repeat("x", r.IntN(2000))})
	switch r.IntN(3) {
	case 0:
		return w.Buf[:r.IntN(len(w.Buf))]
	case 1: // a command with some bytes changed
		for range 1 + r.IntN(5) {
			w.Buf[r.IntN(min(len(w.Buf), 40))] = byte(r.Uint32())
		}
		return bytes.Repeat(w.Buf, 1+r.IntN(4))
	}
	b := make([]byte, r.IntN(3000))
	const likely = "*$0123456789\r\n+-:,\"' abc"
	for i := range b {
		if b[i] = byte(r.Uint32()); r.IntN(3) > 0 {
			b[i] = likely[r.IntN(len(likely))]
		}
	}
	return b
}
