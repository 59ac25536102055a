package chaos

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The first bytes of a connection between nodes say who dials: see package
// transport's handshake.
const (
	helloSize   = 66
	helloNodeAt = 30
	helloWait   = 5 * time.Second
)

const (
	chunk      = 64 << 10             // bytes moved at once
	stallPause = 5 * time.Millisecond // between two looks at whether a stall is over
)

// flow is what happens to the bytes from one node to another, on connections
// of either.
type flow struct {
	stalled atomic.Bool
	delay   atomic.Int64 // ns
}

// web is the proxies of a cluster: one before each node's peer address.
type web struct {
	flows [][]*flow // [from][to], by node number from 0 on

	mu struct {
		sync.Mutex
		tubes  map[*tube]struct{}
		closed bool
	}
	listeners []net.Listener
	done      sync.WaitGroup
}

// tube is one connection through a proxy.
type tube struct {
	w        *web
	from, to int // node numbers; from is -1 if the dialer did not say
	near     net.Conn
	far      net.Conn
	hollow   atomic.Bool // half-open: nothing comes through any more
}

func newWeb(n int) *web {
	w := &web{}
	w.mu.tubes = map[*tube]struct{}{}
	for range n {
		row := make([]*flow, n)
		for i := range row {
			row[i] = &flow{}
		}
		w.flows = append(w.flows, row)
	}
	return w
}

// open puts a proxy before a node, and returns its address. number finds the
// node that a node id stands for, or -1.
func (w *web) open(to int, target string, number func(id uint64) int) (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	w.listeners = append(w.listeners, ln)
	w.done.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			w.done.Go(func() { w.serve(&tube{w: w, from: -1, to: to, near: near}, target, number) })
		}
	})
	return ln.Addr().String(), nil
}

// serve carries one connection.
func (w *web) serve(t *tube, target string, number func(uint64) int) {
	defer t.near.Close()
	hello := make([]byte, helloSize)
	_ = t.near.SetReadDeadline(time.Now().Add(helloWait))
	n, err := io.ReadAtLeast(t.near, hello, helloSize)
	if err == nil {
		t.from = number(binary.BigEndian.Uint64(hello[helloNodeAt:]))
	}
	_ = t.near.SetReadDeadline(time.Time{})
	if n == 0 {
		return
	}
	// A dial through a stall gets as far as TCP's handshake.
	if !t.wait(t.from, t.to) {
		return
	}
	far, err := net.DialTimeout("tcp", target, helloWait)
	if err != nil {
		return
	}
	defer far.Close()
	t.far = far
	if !w.add(t) {
		return
	}
	defer w.drop(t)
	if _, err := far.Write(hello[:n]); err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	go func() { t.carry(t.near, t.far, t.from, t.to); ended <- struct{}{} }()
	go func() { t.carry(t.far, t.near, t.to, t.from); ended <- struct{}{} }()
	<-ended
	if !t.hollow.Load() {
		t.near.Close()
		t.far.Close()
	}
	<-ended
}

func (w *web) add(t *tube) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mu.closed {
		w.mu.tubes[t] = struct{}{}
	}
	return !w.mu.closed
}

func (w *web) drop(t *tube) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.mu.tubes, t)
}

// carry moves bytes in one direction until the connection ends.
func (t *tube) carry(src, dst net.Conn, from, to int) {
	buf := make([]byte, chunk)
	for {
		n, err := src.Read(buf)
		if n > 0 && !t.hollow.Load() {
			if f := t.w.flow(from, to); f != nil {
				time.Sleep(time.Duration(f.delay.Load()))
			}
			if !t.wait(from, to) {
				return
			}
			if _, err := dst.Write(buf[:n]); err != nil && !t.hollow.Load() {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when a stall is over. It is false when everything ends.
func (t *tube) wait(from, to int) bool {
	f := t.w.flow(from, to)
	for f != nil && f.stalled.Load() {
		t.w.mu.Lock()
		closed := t.w.mu.closed
		t.w.mu.Unlock()
		if closed {
			return false
		}
		time.Sleep(stallPause)
	}
	return true
}

func (w *web) flow(from, to int) *flow {
	if from < 0 || to < 0 {
		return nil
	}
	return w.flows[from][to]
}

// between calls f for each connection between two nodes, dialed by either.
func (w *web) between(a, b int, f func(*tube)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.mu.tubes {
		if t.from == a && t.to == b || t.from == b && t.to == a {
			f(t)
		}
	}
}

// reset breaks all connections between two nodes, as a middlebox would.
func (w *web) reset(a, b int) {
	w.between(a, b, func(t *tube) {
		for _, c := range []net.Conn{t.near, t.far} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

// hollowOut makes connections between two nodes half-open: the dialed side
// sees them end, the dialing side sees nothing at all.
func (w *web) hollowOut(a, b int) {
	w.between(a, b, func(t *tube) {
		t.hollow.Store(true)
		_ = t.far.Close()
	})
}

// fill ends half-open connections.
func (w *web) fill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.mu.tubes {
		if t.hollow.Load() {
			_ = t.near.Close()
		}
	}
}

// close ends all proxies.
func (w *web) close() {
	w.mu.Lock()
	w.mu.closed = true
	for t := range w.mu.tubes {
		_ = t.near.Close()
		_ = t.far.Close()
	}
	w.mu.Unlock()
	for _, ln := range w.listeners {
		_ = ln.Close()
	}
	w.done.Wait()
}
