package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"coterie/internal/base"
)

var testCluster = [16]byte{'t', 'e', 's', 't'}

// got is one received message.
type got struct {
	from  base.NodeID
	class Class
	msg   []byte
}

// node is a Transport under test and what its handler was told.
type node struct {
	*Transport
	t    *testing.T
	addr string

	mu        sync.Mutex
	news      chan struct{} // replaced at each event
	msgs      []got
	events    []string // "up 2@1", "down 2"
	returned  [][]byte
	onReceive func(got)
	onCall    func(kind uint8, payload []byte) ([]byte, error)
}

func (n *node) event(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.news)
	n.news = make(chan struct{})
}

func (n *node) Receive(from base.NodeID, class Class, msg []byte) {
	g := got{from, class, msg}
	if n.onReceive != nil {
		n.onReceive(g)
	}
	n.event(func() { n.msgs = append(n.msgs, g) })
}

func (n *node) PeerUp(id base.NodeID, inc uint64) {
	n.event(func() { n.events = append(n.events, fmt.Sprintf("up %d@%d", id, inc)) })
}

func (n *node) PeerDown(id base.NodeID, why error) {
	if why == nil {
		n.t.Error("PeerDown without a reason")
	}
	n.event(func() { n.events = append(n.events, fmt.Sprintf("down %d", id)) })
}

func (n *node) Undelivered(_ base.NodeID, class Class, msgs [][]byte) {
	if class != Request {
		n.t.Errorf("undelivered messages of class %s", class)
	}
	n.event(func() { n.returned = append(n.returned, msgs...) })
}

func (n *node) Call(kind uint8, payload []byte) ([]byte, error) {
	if n.onCall == nil {
		return nil, errors.New("no calls here")
	}
	return n.onCall(kind, payload)
}

// until waits for something that the handler is told.
func (n *node) until(what string, cond func() bool) {
	n.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		n.mu.Lock()
		ok, news := cond(), n.news
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-time.After(5 * time.Millisecond): // for conditions about stats
		case <-timeout:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("node %d: no %s; %d messages, events %v, peers %+v", n.cfg.Node, what, len(n.msgs), n.events, n.Peers())
		}
	}
}

// told is the events so far.
func (n *node) told() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.events)
}

// peerStats is what a node knows of one peer.
func (n *node) peerStats(id base.NodeID) PeerStats {
	for _, s := range n.Peers() {
		if s.ID == id {
			return s
		}
	}
	return PeerStats{}
}

// net is the nodes of one test and where they are.
type testNet struct {
	t  *testing.T
	mu sync.Mutex
	at map[base.NodeID]string
}

func newNet(t *testing.T) *testNet { return &testNet{t: t, at: make(map[base.NodeID]string)} }

func (tn *testNet) resolve(id base.NodeID) (string, bool) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	addr, ok := tn.at[id]
	return addr, ok
}

func (tn *testNet) place(id base.NodeID, addr string) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.at[id] = addr
}

// node starts a node; adjust may change its configuration and handler.
func (tn *testNet) node(id base.NodeID, adjust ...func(*Config, *node)) *node {
	tn.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tn.t.Fatal(err)
	}
	n := &node{t: tn.t, addr: ln.Addr().String(), news: make(chan struct{})}
	cfg := Config{Node: id, Cluster: testCluster, Incarnation: 1, Listener: ln, Resolve: tn.resolve, Handler: n}
	for _, f := range adjust {
		f(&cfg, n)
	}
	if n.Transport, err = New(cfg); err != nil {
		tn.t.Fatal(err)
	}
	tn.place(id, n.addr)
	n.Start()
	tn.t.Cleanup(n.Close)
	return n
}

func incarnation(i uint64) func(*Config, *node) {
	return func(c *Config, _ *node) { c.Incarnation = i }
}

// connect waits until n's own connection to the peer is there.
func (n *node) connect(to base.NodeID) {
	n.t.Helper()
	n.Connect(to)
	n.until(fmt.Sprintf("connection to %d", to), func() bool { return n.peerStats(to).Connected })
}

func (n *node) send(to base.NodeID, class Class, msg string) {
	n.t.Helper()
	if !n.Send(to, class, []byte(msg)) {
		n.t.Fatalf("Send(%d, %s) refused: %+v", to, class, n.peerStats(to))
	}
}

// dialAs opens a connection to n by hand.
func (n *node) dialAs(h hello) (net.Conn, error) {
	conn, _, err := dialer{dial: dialTCP}.open(context.Background(), n.addr, &h)
	if err == nil {
		n.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

func helloFrom(id, to base.NodeID, inc uint64) hello {
	return hello{minVersion: 1, maxVersion: 1, purpose: purposePeer, cluster: testCluster, node: id, incarnation: inc, destination: to}
}

// fake is a peer by hand: it welcomes whoever comes and hands out the connection.
func (tn *testNet) fake(id base.NodeID) <-chan net.Conn {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tn.t.Fatal(err)
	}
	tn.place(id, ln.Addr().String())
	conns := make(chan net.Conn, 16)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			tuneSocket(conn)
			if _, err := readHello(conn); err != nil {
				_ = conn.Close()
				continue
			}
			w := welcome{version: 1, minVersion: 1, maxVersion: 1, cluster: testCluster, node: id, incarnation: 1}
			_, _ = conn.Write(w.encode())
			conns <- conn
		}
	}()
	tn.t.Cleanup(func() { _ = ln.Close() })
	return conns
}

// frames is one message as the bytes of its frames.
func frames(class Class, msg []byte) []byte {
	var out bytes.Buffer
	var q queue
	for q.push(msg); !q.empty(); {
		b := batch{frames: []frame{q.cut(class)}}
		b.encode(true)
		out.Write(b.buf)
	}
	return out.Bytes()
}

func anyClass(Class) bool { return true }

func readAll(t *testing.T, stream []byte, limit int) (msgs []got, err error) {
	t.Helper()
	r := newReader(bytes.NewReader(stream), limit, anyClass)
	for {
		class, msg, err := r.next()
		if err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				err = nil
			}
			return msgs, err
		}
		msgs = append(msgs, got{class: class, msg: msg})
	}
}
