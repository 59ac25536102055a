package redisfront

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"
)

// rawClient is a client that sees bytes.
type rawClient struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *rawClient {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return &rawClient{t: t, Conn: c, r: bufio.NewReader(c)}
}

func (c *rawClient) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads exactly what is wanted.
func (c *rawClient) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		c.t.Fatalf("got %q, err %v; want %q", clipText(got[:n]), err, clipText([]byte(want)))
	}
}

func clipText(p []byte) []byte { return p[:min(len(p), 400)] }

// line reads one line, without its end.
func (c *rawClient) line() string {
	c.t.Helper()
	l, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("read: %v after %q", err, l)
	}
	return strings.TrimRight(l, "\r\n")
}

// do sends one command and returns its whole reply.
func (c *rawClient) do(args ...string) string {
	c.t.Helper()
	c.send(string(resp.AppendCommand(nil, args...)))
	return c.reply()
}

func (c *rawClient) reply() string {
	c.t.Helper()
	var b strings.Builder
	c.readInto(&b)
	return b.String()
}

func (c *rawClient) readInto(b *strings.Builder) {
	l, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	b.WriteString(l)
	n := 0
	_, _ = fmt.Sscanf(l[1:], "%d", &n)
	switch l[0] {
	case '$', '=':
		if n >= 0 {
			body := make([]byte, n+2)
			if _, err := io.ReadFull(c.r, body); err != nil {
				c.t.Fatal(err)
			}
			b.Write(body)
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range max(n, 0) {
			c.readInto(b)
		}
	}
}

func (c *rawClient) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil && !strings.Contains(err.Error(), "reset") || len(rest) > 0 {
		c.t.Fatalf("the connection goes on: %q, %v", clipText(rest), err)
	}
}

// hideTCP is a listener whose connections are not known to be TCP.
type hideTCP struct{ net.Listener }

func (h hideTCP) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

func TestRepliesKeepOrder(t *testing.T) {
	for _, mode := range []fakeMode{fakeLoop, fakeSync, fakeDelays} {
		for _, hidden := range []bool{false, true} {
			t.Run(fmt.Sprintf("mode%d/hidden=%v", mode, hidden), func(t *testing.T) {
				r := newFake(t, mode, 5)
				addr, _ := serveFake(t, r, Limits{Pending: 100})
				if hidden {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					addr = l.Addr().String()
					go func() { _ = r.front.Serve(hideTCP{l}, Standalone) }()
				}
				checkOrder(t, addr)
			})
		}
	}
}

// checkOrder sends random pipelines, cut at random places, and compares every
// byte that comes back.
func checkOrder(t *testing.T, addr string) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := dial(t, addr)
	data := make(map[string]string)
	for range 30 {
		var in, want []byte
		for range 1 + rng.IntN(400) {
			in, want = randomCommand(rng, data, in, want)
		}
		go func() {
			for len(in) > 0 {
				n := min(len(in), 1+rng.IntN(20000))
				_, _ = c.Write(in[:n])
				in = in[n:]
			}
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.r, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			i := 0
			for got[i] == want[i] {
				i++
			}
			t.Fatalf("replies differ at byte %d: got %q, want %q", i, clipText(got[i:]), clipText(want[i:]))
		}
	}
}

func randomCommand(rng *rand.Rand, data map[string]string, in, want []byte) (_, _ []byte) {
	key := func() string { return fmt.Sprintf("k%d", rng.IntN(50)) }
	w := resp.Writer{Buf: want, Proto: 2}
	get := func(k string) {
		if v, ok := data[k]; ok {
			w.BulkString(v)
		} else {
			w.Null()
		}
	}
	switch rng.IntN(9) {
	case 0:
		in = append(in, "PING\r\n"...)
		w.Simple("PONG")
	case 1:
		in = resp.AppendCommand(in, "echo", "hello")
		w.BulkString("hello")
	case 2:
		a, b := key(), key()
		in = resp.AppendCommand(in, "MGET", a, b, "nokey")
		w.Array(3)
		get(a)
		get(b)
		w.Null()
	case 3:
		a, b := key()+"x", key()+"y"
		in = resp.AppendCommand(in, "mset", a, "1", b, "2")
		data[a], data[b] = "1", "2"
		w.Simple("OK")
	case 4:
		in = resp.AppendCommand(in, "nosuch", "x")
		w.Error("ERR unknown command 'nosuch', with args beginning with: 'x' ")
	case 5:
		k := key()
		in = resp.AppendCommand(in, "GET", k)
		get(k)
	case 6:
		k, v := key(), strings.Repeat("v", rng.IntN(3000))
		in = resp.AppendCommand(in, "SET", k, v)
		data[k] = v
		w.Simple("OK")
	case 7:
		in = resp.AppendCommand(in, "BIG", "k", "50000")
		w.Bulk(make([]byte, 50000))
	default:
		k, v := key(), fmt.Sprint(rng.IntN(1000))
		in = resp.AppendCommand(in, "set", k, v)
		data[k] = v
		w.Simple("OK")
	}
	return in, w.Buf
}

func TestHugePipelineWithoutReading(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	const n = 100_000
	value := strings.Repeat("x", 100)
	c.send(string(resp.AppendCommand(nil, "SET", "k", value)))
	one := resp.AppendCommand(nil, "GET", "k")
	c.send(string(bytes.Repeat(one, n)))
	c.expect("+OK\r\n")
	c.expect(strings.Repeat("$100\r\n"+value+"\r\n", n))
	if got := c.do("PING"); got != "+PONG\r\n" {
		t.Fatalf("then: %q", got)
	}
	waitFor(t, "memory is given back", func() bool { return r.front.budget.inUse() <= 3*bufferMax })
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func TestSlowReaderIsClosed(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{OutputBuffer: 8 << 20, Pending: 64, MemoryWait: 300 * time.Millisecond})
	c := dial(t, addr)
	other := dial(t, addr)
	c.do("PING")
	other.do("PING")
	go func() {
		for range 200 {
			if _, err := c.Write(resp.AppendCommand(nil, "BIG", "k", "1000000")); err != nil {
				return
			}
		}
	}()
	waitFor(t, "the slow reader is gone", func() bool { return r.front.Connections() == 1 })
	if got := other.do("PING"); got != "+PONG\r\n" {
		t.Fatalf("another client: %q", got)
	}
	waitFor(t, "memory is given back", func() bool { return r.front.budget.inUse() <= 2*bufferMax })
}

// A client that sends without reading is held back, and gone once it has not
// read for long enough.
func TestSenderWhoNeverReads(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{OutputBuffer: 64 << 20, Pending: 2, MemoryWait: 200 * time.Millisecond})
	c := dial(t, addr)
	go func() {
		for {
			if _, err := c.Write(resp.AppendCommand(nil, "BIG", "k", "1000000")); err != nil {
				return
			}
		}
	}()
	waitFor(t, "the sender is gone", func() bool { return r.front.Connections() == 0 })
	waitFor(t, "memory is given back", func() bool { return r.front.budget.inUse() == 0 })
}

// Replies that wait for one before them count too.
func TestRepliesPileUpBehindOne(t *testing.T) {
	r := newFake(t, fakeDelays, 4)
	addr, _ := serveFake(t, r, Limits{OutputBuffer: 2 << 20})
	stuck := r.parts[r.Directory().BySlot(base.KeySlot([]byte("a"))).ID] // "a" and "b" are in different partitions
	stuck.mu.Lock()
	c := dial(t, addr)
	c.send("GET a\r\n" + strings.Repeat("BIG b 1000000\r\n", 20))
	waitFor(t, "the connection is given up", func() bool {
		r.front.mu.Lock()
		defer r.front.mu.Unlock()
		for _, s := range r.front.mu.sessions {
			s.mu.Lock()
			dead := s.mu.dead
			s.mu.Unlock()
			return dead
		}
		return true
	})
	stuck.mu.Unlock()
	waitFor(t, "memory is given back", func() bool { return r.front.Connections() == 0 && r.front.budget.inUse() == 0 })
}

func TestProtocolErrors(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	other := dial(t, addr)
	other.do("PING")
	for _, tc := range []struct{ in, want string }{
		{"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"*-5x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"*2000000\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'\r\n"},
		{"*1\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"set \"unbalanced\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{strings.Repeat("a", 70<<10), "-ERR Protocol error: too big inline request\r\n"},
		{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$x\r\nPING\r\n", "+OK\r\n-ERR Protocol error: invalid bulk length\r\n"},
	} {
		c := dial(t, addr)
		c.send(tc.in)
		c.expect(tc.want)
		c.expectEnd()
	}
	if got := other.do("PING"); got != "+PONG\r\n" {
		t.Fatalf("another client: %q", got)
	}
	if n := r.front.counters.protocolErrors.Load(); n != 8 {
		t.Errorf("%d protocol errors counted", n)
	}
}

func TestTruncatedCommandAllocatesNothing(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	c.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\nabc")
	time.Sleep(50 * time.Millisecond)
	if n := r.front.budget.inUse(); n > 2*bufferMin {
		t.Errorf("%d bytes held for a declared length", n)
	}
	_ = c.Close()
	waitFor(t, "the session ends", func() bool { return r.front.Connections() == 0 })
}

func TestLargeValue(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	value := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	go c.send(string(resp.AppendCommand(nil, "SET", "big", value)) + "GET big\r\nPING\r\n")
	c.expect("+OK\r\n")
	c.expect(fmt.Sprintf("$%d\r\n%s\r\n+PONG\r\n", len(value), value))
	for range 5 {
		c.do("PING")
	}
	waitFor(t, "the buffer shrinks", func() bool { return r.front.budget.inUse() <= 2*bufferMax })
}

func TestRequestMemory(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{RequestMemory: 1 << 20, MemoryWait: 100 * time.Millisecond})
	c := dial(t, addr)
	go func() {
		_, _ = c.Write([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000000\r\n" + strings.Repeat("x", 4000000)))
	}()
	c.expect("-ERR the node's memory for requests is used up\r\n")
	waitFor(t, "memory is given back", func() bool { return r.front.budget.inUse() == 0 })
}

func TestTooManyClients(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{Connections: 2})
	a, b := dial(t, addr), dial(t, addr)
	a.do("PING")
	b.do("PING")
	c := dial(t, addr)
	c.expect("-ERR max number of clients reached\r\n")
	c.expectEnd()
	_ = a.Close()
	waitFor(t, "a place is free", func() bool { return r.front.Connections() == 1 })
	if got := dial(t, addr).do("PING"); got != "+PONG\r\n" {
		t.Fatal(got)
	}
}

// A client that has long been busy and then sends its last command together
// with its end of stream gets the reply, and its connection is closed.
func TestEndOfStreamAfterManyReads(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	for range 3 * firstReads {
		c.do("PING")
	}
	c.send("SET a 1\r\nGET a\r\n")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	c.expect("+OK\r\n$1\r\n1\r\n")
	c.expectEnd()
	waitFor(t, "the session ends", func() bool { return r.front.Connections() == 0 })
}

func TestSweepDisturbsNobody(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	for range 2 * firstReads {
		c.do("PING")
	}
	time.Sleep(3 * sweepEvery)
	if got := c.do("SET", "a", "b"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	for range 50 {
		c.send("GE")
		time.Sleep(5 * time.Millisecond)
		c.send("T a\r\n")
		c.expect("$1\r\nb\r\n")
	}
}

func TestQuitAndKill(t *testing.T) {
	r := newFake(t, fakeDelays, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	c.send("SET a 1\r\nQUIT\r\nSET a 2\r\n")
	c.expect("+OK\r\n+OK\r\n")
	c.expectEnd()
	a, b := dial(t, addr), dial(t, addr)
	id := a.do("CLIENT", "ID")
	if got := b.do("CLIENT", "KILL", "ID", strings.Trim(id, ":\r\n")); got != ":1\r\n" {
		t.Fatal(got)
	}
	a.expectEnd()
	waitFor(t, "only one is left", func() bool { return r.front.Connections() == 1 })
	b.send("CLIENT KILL TYPE normal SKIPME no\r\n")
	b.expect(":1\r\n")
	b.expectEnd()
}

func TestClientReply(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	c.send("CLIENT REPLY OFF\r\nPING\r\nSET a 1\r\nMGET a b c d\r\nFOO\r\nCLIENT REPLY ON\r\n")
	c.expect("+OK\r\n")
	c.send("CLIENT REPLY SKIP\r\nGET a\r\nGET a\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO x\r\n")
	c.expect("$1\r\n1\r\n$1\r\nx\r\n")
	// In a transaction it silences EXEC, whose array would be too short.
	for _, others := range []string{"PING", "SET a 1", "MSET a 1 b 2", "RENAME a b"} {
		c.send("MULTI\r\n" + others + "\r\nCLIENT REPLY OFF\r\nEXEC\r\nPING\r\nCLIENT REPLY ON\r\nECHO x\r\n")
		c.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+OK\r\n$1\r\nx\r\n")
	}
}

func TestMonitor(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	m, c := dial(t, addr), dial(t, addr)
	m.send("MONITOR\r\n")
	m.expect("+OK\r\n")
	c.do("SET", "a\n\"", "b\x01")
	if l := m.line(); !strings.HasPrefix(l, "+") || !strings.HasSuffix(l, `] "SET" "a\n\"" "b\x01"`) {
		t.Fatalf("%q", l)
	}
	_ = m.Close()
	waitFor(t, "nobody watches", func() bool { return r.front.monitors.Load() == 0 })
}

func TestCloseWithRequestsInFlight(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	r.stall = make(chan struct{})
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	c.send(strings.Repeat("SET a 1\r\n", 5000))
	time.Sleep(20 * time.Millisecond)
	done := make(chan struct{})
	go func() {
		r.front.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Close waits for requests")
	}
	close(r.stall) // the late completions find a closed session
	waitFor(t, "memory is given back", func() bool { return r.front.budget.inUse() == 0 })
}
