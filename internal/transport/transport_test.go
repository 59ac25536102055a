package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"coterie/internal/base"
)

func TestOrderPerClass(t *testing.T) {
	for name, send := range map[string]func(*node, Class, []byte) bool{
		"send": func(n *node, c Class, m []byte) bool { return n.Send(2, c, m) },
		"post": func(n *node, c Class, m []byte) bool {
			ok := n.Post(2, c, m)
			n.Flush()
			return ok
		},
	} {
		t.Run(name, func(t *testing.T) {
			tn := newNet(t)
			a, b := tn.node(1), tn.node(2)
			a.connect(2)
			const each = 2000
			for i := range uint32(each) {
				for c := range Class(NumClasses) {
					msg := binary.BigEndian.AppendUint32(nil, i)
					if i%500 == 7 {
						msg = append(msg, make([]byte, 300<<10)...)
					}
					for !send(a, c, msg) {
						time.Sleep(100 * time.Microsecond) // the queue is full: let it drain
					}
				}
			}
			b.until("all messages", func() bool { return len(b.msgs) == each*NumClasses })
			var next [NumClasses]uint32
			for _, m := range b.msgs {
				if i := binary.BigEndian.Uint32(m.msg); m.from != 1 || i != next[m.class] {
					t.Fatalf("class %s: message %d from %d, want %d", m.class, i, m.from, next[m.class])
				}
				next[m.class]++
			}
			a.until("counts", func() bool { return a.peerStats(2).MessagesOut == each*NumClasses })
			b.until("counts", func() bool { return b.peerStats(1).BytesIn == a.peerStats(2).BytesOut })
		})
	}
}

// TestPriority queues 50 MB of Bulk to a peer that does not read, then a
// heartbeat, and counts the frames in front of it when the peer reads.
func TestPriority(t *testing.T) {
	tn := newNet(t)
	a := tn.node(1)
	conns := tn.fake(2)
	a.connect(2)
	conn := <-conns
	big := make([]byte, 50<<20)
	if !a.Send(2, Bulk, big) {
		t.Fatal("the message was refused")
	}
	// Wait until the sockets are full and the writer waits.
	for last := -1; last != a.peerStats(2).QueuedBytes[Bulk]; time.Sleep(20 * time.Millisecond) {
		last = a.peerStats(2).QueuedBytes[Bulk]
	}
	a.send(2, Control, "beat")
	a.send(2, Request, "request")
	r := newReader(conn, 64<<20, anyClass)
	before := 0
	for {
		h, _, err := r.frame()
		if err != nil {
			t.Fatal(err)
		}
		if h.class == Control {
			break
		}
		before++
	}
	// The sockets' buffers (the kernel doubles them), the write under way, and
	// one frame more.
	if most := (4*socketBuffer+writeBytes+MaxFrame)/MaxFrame + 1; before > most {
		t.Errorf("%d frames went before the heartbeat, want at most %d", before, most)
	}
	if h, _, err := r.frame(); err != nil || h.class != Request {
		t.Errorf("the request did not come next: %v %v", h.class, err)
	}
	var rest int
	for rest < len(big)-before*MaxFrame {
		h, _, err := r.frame()
		if err != nil {
			t.Fatal(err)
		}
		rest += h.length
	}
}

func TestSendRefused(t *testing.T) {
	tn := newNet(t)
	a := tn.node(1, func(c *Config, _ *node) {
		c.Limits.MaxMessage = 1000
		c.Removed = func(id base.NodeID) bool { return id == 9 }
	})
	tn.node(2)
	for _, to := range []base.NodeID{0, 1, 9} {
		if a.Send(to, Control, nil) {
			t.Errorf("a message to node %d was taken", to)
		}
	}
	if a.Send(3, Control, nil) {
		t.Error("a message to a node without an address was taken")
	}
	a.connect(2)
	if a.Send(2, Control, make([]byte, 1001)) {
		t.Error("a message over the limit was taken")
	}
	if d := a.peerStats(2).Dropped[Control]; d != 1 {
		t.Errorf("%d drops counted", d)
	}
	if err := a.peerStats(3).Err; !errors.Is(err, errNoAddress) {
		t.Errorf("node 3: %v", err)
	}
}

// TestSlowReader: a peer that reads nothing costs the queue limits, no more.
func TestSlowReader(t *testing.T) {
	tn := newNet(t)
	a := tn.node(1, func(c *Config, _ *node) {
		c.Limits.QueueBytes = [NumClasses]int{1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20}
	})
	conns := tn.fake(2)
	a.connect(2)
	<-conns
	refused := 0
	for range 4000 {
		for c := range Class(NumClasses) {
			if !a.Send(2, c, make([]byte, 1000)) {
				refused++
			}
		}
	}
	s := a.peerStats(2)
	for c, n := range s.QueuedBytes {
		if n > 1<<20 {
			t.Errorf("class %s: %d bytes queued", Class(c), n)
		}
	}
	if refused == 0 || s.Dropped[Append] == 0 {
		t.Errorf("%d of 16 MB refused, %v counted", refused, s.Dropped)
	}
}

// TestCorruptFrame: it ends the connection that it came on, and no other.
func TestCorruptFrame(t *testing.T) {
	tn := newNet(t)
	a, b := tn.node(1), tn.node(2)
	a.connect(2)
	conn, err := b.dialAs(helloFrom(3, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	good := frames(Request, []byte("good"))
	bad := bytes.Clone(good)
	bad[frameHeader]++
	if _, err := conn.Write(slices.Concat(good, bad, good)); err != nil {
		t.Fatal(err)
	}
	b.until("end of the connection", func() bool { return slices.Contains(b.events, "down 3") })
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	a.send(2, Control, "still here")
	b.until("message", func() bool { return len(b.msgs) == 2 })
	if m := b.msgs[0]; m.from != 3 || string(m.msg) != "good" {
		t.Errorf("got %+v", m)
	}
	if slices.Contains(b.told(), "down 1") {
		t.Errorf("events %v", b.told())
	}
}

func TestOversized(t *testing.T) {
	tn := newNet(t)
	b := tn.node(2, func(c *Config, _ *node) { c.Limits.MaxMessage = 1 << 20 })
	conn, err := b.dialAs(helloFrom(3, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = conn.Write(frames(Bulk, make([]byte, 2<<20))) }()
	b.until("end of the connection", func() bool { return slices.Contains(b.events, "down 3") })
	if len(b.msgs) != 0 {
		t.Error("the message was delivered")
	}
}

// TestReconnect restarts a node at another address and incarnation.
func TestReconnect(t *testing.T) {
	tn := newNet(t)
	a, b := tn.node(1), tn.node(2)
	a.connect(2)
	b.connect(1)
	a.until("up", func() bool { return slices.Contains(a.events, "up 2@1") })
	b.Close()
	a.until("down", func() bool { return slices.Contains(a.events, "down 2") })
	a.until("loss of the connection", func() bool { return !a.peerStats(2).Connected })
	// Long enough for the retries to become rare.
	time.Sleep(300 * time.Millisecond)
	if err := a.peerStats(2).Err; !errors.Is(err, ErrRefused) {
		t.Errorf("while the node was down: %v", err)
	}
	b = tn.node(2, incarnation(2))
	b.connect(1)
	a.until("connection", func() bool { return a.peerStats(2).Connected })
	a.send(2, Request, "again")
	b.until("message", func() bool { return len(b.msgs) == 1 })
	if want := []string{"up 2@1", "down 2", "up 2@2"}; !slices.Equal(a.told(), want) {
		t.Errorf("events %v, want %v", a.told(), want)
	}
}

func TestOldIncarnation(t *testing.T) {
	tn := newNet(t)
	b := tn.node(2)
	old, err := b.dialAs(helloFrom(3, 2, 5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.dialAs(helloFrom(3, 2, 4)); !errors.Is(err, ErrOldIncarnation) {
		t.Errorf("an older incarnation: %v", err)
	}
	newer, err := b.dialAs(helloFrom(3, 2, 6))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Read(make([]byte, 1)); err == nil {
		t.Error("the older connection is still open")
	}
	again, err := b.dialAs(helloFrom(3, 2, 6))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newer.Read(make([]byte, 1)); err == nil {
		t.Error("the replaced connection is still open")
	}
	_ = again.Close()
	b.until("last end", func() bool { return len(b.events) == 6 })
	want := []string{"up 3@5", "down 3", "up 3@6", "down 3", "up 3@6", "down 3"}
	if !slices.Equal(b.told(), want) {
		t.Errorf("events %v, want %v", b.told(), want)
	}
}

// TestLateConnection: a connection given up before the one in use was dialed
// does not displace it.
func TestLateConnection(t *testing.T) {
	tn := newNet(t)
	b := tn.node(2)
	h := helloFrom(3, 2, 1)
	h.attempt = 8
	conn, err := b.dialAs(h)
	if err != nil {
		t.Fatal(err)
	}
	h.attempt = 7
	if _, err := b.dialAs(h); !errors.Is(err, ErrOldIncarnation) {
		t.Errorf("an earlier attempt: %v", err)
	}
	if _, err := conn.Write(frames(Control, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	b.until("message", func() bool { return len(b.msgs) == 1 })
	h.incarnation, h.attempt = 2, 1
	if _, err := b.dialAs(h); err != nil {
		t.Errorf("the first attempt of the next incarnation: %v", err)
	}
}

// TestQuietRetries: a peer that is down is reported once, however often it is
// dialed, and dialed at once when it appears.
func TestQuietRetries(t *testing.T) {
	var log lockedBuffer
	tn := newNet(t)
	var dials atomic.Int64
	a := tn.node(1, func(c *Config, _ *node) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			dials.Add(1)
			return nil, syscall.ECONNREFUSED
		}
	})
	tn.place(2, "127.0.0.1:1")
	a.Connect(2)
	a.until("retries", func() bool { return dials.Load() >= 5 })
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	p := newPeer(a.Transport, 3)
	p.appeared()
	if !p.pause(time.Hour) {
		t.Error("a pause was not cut short")
	}
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestNewIncarnationEndsOutbound: hearing from a later incarnation of a peer
// ends the connection to the earlier one.
func TestNewIncarnationEndsOutbound(t *testing.T) {
	tn := newNet(t)
	a := tn.node(1)
	conns := tn.fake(2)
	a.connect(2)
	first := <-conns
	if _, err := a.dialAs(helloFrom(2, 1, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection to incarnation 1 ended with %v", err)
	}
	a.until("refusal of incarnation 1", func() bool { return errors.Is(a.peerStats(2).Err, errStale) })
}

func TestHandshakeRefusals(t *testing.T) {
	tn := newNet(t)
	b := tn.node(2, func(c *Config, _ *node) { c.Removed = func(id base.NodeID) bool { return id == 66 } })
	for _, tc := range []struct {
		name   string
		adjust func(*hello)
		want   error
	}{
		{"other cluster", func(h *hello) { h.cluster[0]++ }, ErrOtherCluster},
		{"no cluster", func(h *hello) { h.cluster = [16]byte{} }, ErrOtherCluster},
		{"older than the peer", func(h *hello) { h.minVersion, h.maxVersion = 0, 0 }, ErrNewerProtocol},
		{"newer than the peer", func(h *hello) { h.minVersion, h.maxVersion = 2, 3 }, ErrOlderProtocol},
		{"wrong node", func(h *hello) { h.destination = 4 }, ErrWrongNode},
		{"same node", func(h *hello) { h.node = 2 }, ErrWrongNode},
		{"removed", func(h *hello) { h.node = 66 }, ErrRemoved},
	} {
		h := helloFrom(3, 2, 1)
		tc.adjust(&h)
		if _, err := b.dialAs(h); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	if len(b.told()) != 0 {
		t.Errorf("the handler heard of them: %v", b.told())
	}
	h := helloFrom(3, 2, 1)
	h.maxVersion = 9 // also newer ones
	if _, err := b.dialAs(h); err != nil {
		t.Error(err)
	}
}

// TestLaterHandshake: a later version may add fields; this one skips them.
func TestLaterHandshake(t *testing.T) {
	h := helloFrom(3, 2, 1)
	b := h.encode()
	b = append(b[:len(b)-4], "more"...)
	binary.BigEndian.PutUint16(b[8:], uint16(len(b)+4-prefixBytes))
	b = binary.BigEndian.AppendUint32(b, checksum(append(make([]byte, 8), b[:4]...), b[4:]))
	if got, err := readHello(bytes.NewReader(b)); err != nil || got != h {
		t.Errorf("%+v %v", got, err)
	}
}

// TestUndelivered breaks a connection under queued messages: each request
// either arrived, or came back, or was being written; none twice.
func TestUndelivered(t *testing.T) {
	tn := newNet(t)
	a := tn.node(1)
	conns := tn.fake(2)
	a.connect(2)
	conn := <-conns
	const total = 200
	for i := range total {
		msg := make([]byte, 50_000)
		binary.BigEndian.PutUint32(msg, uint32(i))
		if !a.Send(2, Request, msg) {
			t.Fatal("refused")
		}
	}
	for range 20 { // some are lost, whatever the share of their class
		a.send(2, Append, "append")
	}
	r := newReader(conn, 1<<20, anyClass)
	seen := 0
	for seen < 20 {
		class, msg, err := r.next()
		if err != nil || class == Request && binary.BigEndian.Uint32(msg) != uint32(seen) {
			t.Fatal(seen, err)
		}
		if class == Request {
			seen++
		}
	}
	_ = conn.Close()
	a.until("undelivered messages", func() bool { return len(a.returned) > 0 })
	first := int(binary.BigEndian.Uint32(a.returned[0]))
	if first < seen || len(a.returned) != total-first {
		t.Errorf("%d arrived, %d came back from %d on", seen, len(a.returned), first)
	}
	for i, m := range a.returned {
		if got := int(binary.BigEndian.Uint32(m)); got != first+i {
			t.Fatalf("message %d came back as number %d", got, i)
		}
	}
	// Between the two are only those in the sockets and the write under way.
	if between := (first - seen) * 50_000; between > 6*socketBuffer {
		t.Errorf("%d bytes neither arrived nor came back", between)
	}
	s := a.peerStats(2)
	if s.Undelivered != uint64(len(a.returned)) || s.Lost == 0 {
		t.Errorf("counted %d undelivered, %d lost", s.Undelivered, s.Lost)
	}
}

// TestOneWrite: what a turn posts leaves in one write, and mostly arrives in
// one read.
func TestOneWrite(t *testing.T) {
	tn := newNet(t)
	a, b := tn.node(1), tn.node(2)
	a.connect(2)
	const turns, each = 100, 50
	for i := range turns {
		for range each {
			if !a.Post(2, Request, make([]byte, 100)) {
				t.Fatal("refused")
			}
		}
		a.Flush()
		b.until("messages", func() bool { return len(b.msgs) == (i+1)*each })
	}
	if w := a.peerStats(2).Writes; w != turns {
		t.Errorf("%d writes for %d turns", w, turns)
	}
	if rtt := a.peerStats(2).RTT; runtime.GOOS == "linux" && (rtt <= 0 || rtt > time.Second) {
		t.Errorf("a round trip of %v", rtt)
	}
}

// TestFlushUnderLoad has posts, sends and flushes from several goroutines.
func TestFlushUnderLoad(t *testing.T) {
	tn := newNet(t)
	a, b := tn.node(1), tn.node(2)
	a.connect(2)
	const senders, each = 4, 3000
	for s := range senders {
		go func() {
			for i := range each {
				msg := binary.BigEndian.AppendUint32([]byte{byte(s)}, uint32(i))
				if s%2 == 0 {
					a.Post(2, Request, msg)
					a.Flush()
				} else {
					a.Send(2, Request, msg)
				}
			}
		}()
	}
	b.until("all messages", func() bool { return len(b.msgs) == senders*each })
	var next [senders]uint32
	for _, m := range b.msgs {
		if i := binary.BigEndian.Uint32(m.msg[1:]); i != next[m.msg[0]] {
			t.Fatalf("sender %d: %d, want %d", m.msg[0], i, next[m.msg[0]])
		}
		next[m.msg[0]]++
	}
}

func TestDrop(t *testing.T) {
	tn := newNet(t)
	var removed atomic.Bool
	a := tn.node(1, func(c *Config, _ *node) { c.Removed = func(id base.NodeID) bool { return id == 2 && removed.Load() } })
	b := tn.node(2)
	a.connect(2)
	b.connect(1)
	a.until("up", func() bool { return len(a.events) == 1 })
	removed.Store(true)
	a.Drop(2)
	a.until("down", func() bool { return slices.Contains(a.events, "down 2") })
	b.until("refusal", func() bool { return errors.Is(b.peerStats(1).Err, ErrRemoved) })
	if a.Send(2, Control, nil) || len(a.Peers()) != 0 {
		t.Errorf("still a peer: %+v", a.Peers())
	}
}

// TestCloseWhileBusy closes nodes in the middle of traffic; with -race.
func TestCloseWhileBusy(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		tn := newNet(t)
		nodes := []*node{tn.node(1), tn.node(2), tn.node(3)}
		stop := make(chan struct{})
		done := make(chan struct{})
		for _, n := range nodes {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					n.Send(base.NodeID(i%3+1), Class(i%NumClasses), make([]byte, i%5000))
					n.Post(base.NodeID(i%3+1), Class(i%NumClasses), make([]byte, i%500))
					n.Flush()
				}
			}()
		}
		for _, n := range nodes {
			time.Sleep(10 * time.Millisecond)
			n.Close()
		}
		close(stop)
		for range nodes {
			<-done
		}
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if time.Sleep(10 * time.Millisecond); i > 500 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// testTLS is a configuration for both ends, of a certificate made on the spot.
func testTLS(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func TestTLS(t *testing.T) {
	cfg := testTLS(t)
	tn := newNet(t)
	secure := func(c *Config, n *node) {
		c.TLS = cfg
		n.onCall = func(kind uint8, p []byte) ([]byte, error) { return append(p, kind), nil }
	}
	a, b := tn.node(1, secure), tn.node(2, secure)
	a.connect(2)
	for i := range 100 {
		if !a.Post(2, Request, fmt.Appendf(nil, "%d", i)) {
			t.Fatal("refused")
		}
		a.Flush()
	}
	a.send(2, Bulk, string(make([]byte, 1<<20)))
	b.until("messages", func() bool { return len(b.msgs) == 101 })
	if answer, err := Call(context.Background(), b.addr, nil, 'x', []byte("ab"), cfg); err != nil || string(answer) != "abx" {
		t.Errorf("call: %q %v", answer, err)
	}
	if _, err := Call(context.Background(), b.addr, nil, 1, nil, nil); !errors.Is(err, ErrNotCoterie) {
		t.Errorf("a plain call to a TLS node: %v", err)
	}
	plain := tn.node(3)
	if _, err := Call(context.Background(), plain.addr, nil, 1, nil, cfg); !errors.Is(err, ErrNotCoterie) {
		t.Errorf("a TLS call to a plain node: %v", err)
	}
}
