package transport

import (
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/base"
)

// peer is what this node has with one other: its own connection to it, with
// the queues in front, and the other's connection.
type peer struct {
	t  *Transport
	id base.NodeID

	posted atomic.Bool   // Post was called since the last Flush
	wake   chan struct{} // there is something to write, or the connection broke
	retry  chan struct{} // dial now
	gone   chan struct{} // closed when the peer is dropped

	mu struct {
		sync.Mutex
		out         *outbound // nil: not connected
		in          *inbound  // nil: not connected
		q           queues
		awake       bool   // wake was sent, or the writer is at work
		incarnation uint64 // newest seen
		attempt     uint64 // newest connection seen, of that incarnation
		dropped     bool
		addr        string
		err         error // why out is nil
	}
	count counters
}

type counters struct {
	connects, writes, framesOut, messagesOut, bytesOut atomic.Uint64
	reads, framesIn, messagesIn, bytesIn               atomic.Uint64
	lost, undelivered                                  atomic.Uint64
	dropped                                            [NumClasses]atomic.Uint64
}

// outbound is this node's connection to a peer. The fields of its first block
// are guarded by the peer's mutex; the second belongs to whoever set writing.
type outbound struct {
	writing bool
	err     error // why it broke

	conn   net.Conn
	batch  batch
	prompt *prompt // nil: writes may wait
	flat   bool    // the connection cannot write several pieces at once

	incarnation uint64
}

func newPeer(t *Transport, id base.NodeID) *peer {
	return &peer{
		t: t, id: id,
		wake:  make(chan struct{}, 1),
		retry: make(chan struct{}, 1),
		gone:  make(chan struct{}),
	}
}

// run keeps a connection to the peer: dial, write until it breaks, again.
func (p *peer) run() {
	defer p.t.wg.Done()
	log := p.t.cfg.Logger.With("peer", p.id)
	delay, reported := minBackoff, ""
	for p.alive() {
		c, err := p.connect()
		if err == nil {
			log.Info("connected to peer", "addr", c.conn.RemoteAddr().String())
			began := time.Now()
			reported = ""
			p.write(c)
			err = p.disconnect(c)
			if time.Since(began) > maxBackoff {
				delay = minBackoff
			}
		}
		if !p.alive() {
			return
		}
		p.mu.Lock()
		p.mu.err = err
		p.mu.Unlock()
		// Once for each reason, not once for each attempt.
		if text := err.Error(); text != reported {
			log.Warn("no connection to peer", "err", err)
			reported = text
		}
		if p.pause(delay) {
			delay = minBackoff
		} else {
			delay = min(delay*2, maxBackoff)
		}
	}
}

func (p *peer) alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		return p.t.ctx.Err() == nil
	}
}

// pause waits for a jittered delay. It is true if the peer showed up before.
func (p *peer) pause(delay time.Duration) bool {
	timer := time.NewTimer(delay/2 + rand.N(delay))
	defer timer.Stop()
	select {
	case <-p.retry:
		return true
	case <-timer.C:
	case <-p.gone:
	case <-p.t.ctx.Done():
	}
	return false
}

// connect dials the peer and opens the queues.
func (p *peer) connect() (*outbound, error) {
	cfg := &p.t.cfg
	addr, ok := cfg.Resolve(p.id)
	if !ok {
		return nil, errNoAddress
	}
	h := hello{
		minVersion: minVersion, maxVersion: maxVersion, purpose: purposePeer,
		cluster: cfg.Cluster, node: cfg.Node, incarnation: cfg.Incarnation, destination: p.id,
		attempt: p.t.dials.Add(1),
	}
	conn, w, err := dialer{cfg.Dial, cfg.TLS}.open(p.t.ctx, addr, &h)
	if err != nil {
		return nil, err
	}
	c := &outbound{conn: conn, incarnation: w.incarnation, flat: true}
	if tcp, ok := conn.(*net.TCPConn); ok {
		c.prompt, c.flat = newPrompt(tcp), false
	}
	p.mu.Lock()
	if w.incarnation < p.mu.incarnation || p.mu.dropped || p.t.ctx.Err() != nil {
		p.mu.Unlock()
		_ = conn.Close()
		return nil, errStale
	}
	stale := p.saw(w.incarnation)
	p.mu.out, p.mu.err, p.mu.addr, p.mu.awake = c, nil, addr, true
	p.mu.Unlock()
	if stale != nil {
		stale.end(errStale)
	}
	p.count.connects.Add(1)
	p.t.wg.Add(1)
	go p.watch(c)
	return c, nil
}

// saw notes an incarnation of the peer, at least the newest seen, and gives
// the inbound connection of an older one. The caller holds the mutex.
func (p *peer) saw(incarnation uint64) (stale *inbound) {
	if incarnation > p.mu.incarnation {
		p.mu.incarnation, p.mu.attempt = incarnation, 0
	}
	if in := p.mu.in; in != nil && in.incarnation < incarnation {
		stale = in
	}
	return stale
}

// watch notices when the peer closes the connection, on which it sends nothing.
func (p *peer) watch(c *outbound) {
	defer p.t.wg.Done()
	var b [1]byte
	_, err := io.ReadFull(c.conn, b[:])
	if err == nil {
		err = errFrame
	}
	p.breakOff(c, endError(err))
}

// breakOff marks a connection as broken and has its writer see it.
func (p *peer) breakOff(c *outbound, err error) {
	p.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	p.mu.Unlock()
	_ = c.conn.Close() // ends a write that waits
	p.signal()
}

func (p *peer) fail(err error) {
	p.mu.Lock()
	c := p.mu.out
	p.mu.Unlock()
	if c != nil {
		p.breakOff(c, err)
	}
	p.signal()
}

func (p *peer) drop() {
	p.mu.Lock()
	p.mu.dropped = true
	in := p.mu.in
	close(p.gone)
	p.mu.Unlock()
	p.fail(errDropped)
	if in != nil {
		in.end(errDropped)
	}
}

func (p *peer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// post queues a message; now has the writer woken, if it sleeps.
func (p *peer) post(class Class, msg []byte, now bool) bool {
	limits := &p.t.cfg.Limits
	if class >= NumClasses {
		panic("transport: message of unknown " + class.String())
	}
	p.mu.Lock()
	c := p.mu.out
	q := &p.mu.q[class]
	if c == nil || c.err != nil || len(msg) > limits.MaxMessage ||
		!q.empty() && q.bytes+len(msg)+queueOverhead > limits.QueueBytes[class] {
		p.mu.Unlock()
		p.count.dropped[class].Add(1)
		return false
	}
	q.push(msg)
	wake := now && !p.mu.awake
	if wake {
		p.mu.awake = true
	}
	p.mu.Unlock()
	if wake {
		p.signal()
	} else if !now && !p.posted.Load() {
		p.posted.Store(true)
	}
	return true
}

// write is the writer: it writes what is queued until the connection breaks.
func (p *peer) write(c *outbound) {
	for p.acquire(c) {
		err := c.batch.write(c.conn)
		p.count.writes.Add(1)
		p.finish(c, err)
	}
}

// acquire waits until there is something to write and nobody else is writing,
// and prepares it. It is false when the connection is broken.
func (p *peer) acquire(c *outbound) bool {
	p.mu.Lock()
	for c.writing || c.err == nil && !c.batch.pending() && p.mu.q.empty() {
		p.mu.awake = false
		p.mu.Unlock()
		<-p.wake
		// Whoever woke this goroutine may have more to send in the same breath:
		// let it, and write it all at once.
		runtime.Gosched()
		p.mu.Lock()
		p.mu.awake = true
	}
	if c.err != nil {
		p.mu.Unlock()
		return false
	}
	c.writing = true
	fresh := !c.batch.pending()
	if fresh {
		c.batch.frames = p.mu.q.take(c.batch.frames[:0])
	}
	p.mu.Unlock()
	if fresh {
		c.batch.encode(c.flat)
	}
	return true
}

// finish gives the write side back after a write. It says whether there is more.
func (p *peer) finish(c *outbound, err error) (more bool) {
	if err == nil && !c.batch.pending() {
		p.count.framesOut.Add(uint64(len(c.batch.frames)))
		p.count.messagesOut.Add(c.batch.messages())
		p.count.bytesOut.Add(uint64(c.batch.size))
		c.batch.done()
	}
	p.mu.Lock()
	c.writing = false
	if err != nil && c.err == nil {
		c.err = err
	}
	more = c.err != nil || c.batch.pending() || !p.mu.q.empty()
	p.mu.Unlock()
	return more
}

// flush writes once without waiting and leaves the rest to the writer.
func (p *peer) flush() {
	p.mu.Lock()
	c := p.mu.out
	if c == nil || c.err != nil || c.writing || p.mu.q.empty() && !c.batch.pending() {
		// Nothing to do, or a writer is at it, which looks again when it is done.
		p.mu.Unlock()
		return
	}
	if c.prompt == nil || c.batch.pending() {
		p.mu.awake = true
		p.mu.Unlock()
		p.signal()
		return
	}
	c.writing = true
	c.batch.frames = p.mu.q.take(c.batch.frames[:0])
	p.mu.Unlock()
	c.batch.encode(c.flat)
	var err error
	if len(c.batch.left) == 1 {
		var n int
		n, err = c.prompt.write(c.batch.left[0])
		c.batch.wrote(n)
		p.count.writes.Add(1)
	}
	if p.finish(c, err) {
		p.signal()
	}
}

// disconnect closes a broken connection and deals with what was queued. It
// returns why it broke.
func (p *peer) disconnect(c *outbound) error {
	_ = c.conn.Close()
	p.mu.Lock()
	p.mu.out = nil
	unsent := c.batch.unsent()
	waiting := int(c.batch.messages())
	queued, n := p.mu.q.drain()
	err := c.err
	p.mu.Unlock()
	unsent = append(unsent, queued...)
	waiting += n
	p.count.undelivered.Add(uint64(len(unsent)))
	p.count.lost.Add(uint64(waiting - len(unsent)))
	p.t.cfg.Handler.Undelivered(p.id, Request, unsent)
	return err
}

// appeared has a peer dialed at once: it has just been heard of.
func (p *peer) appeared() {
	select {
	case p.retry <- struct{}{}:
	default:
	}
}

func (p *peer) stats() PeerStats {
	p.mu.Lock()
	s := PeerStats{
		ID: p.id, Addr: p.mu.addr, Incarnation: p.mu.incarnation, Err: p.mu.err,
		Connected: p.mu.out != nil, Inbound: p.mu.in != nil, QueuedBytes: p.mu.q.bytes(),
	}
	out := p.mu.out
	p.mu.Unlock()
	if out != nil {
		if tcp := tcpOf(out.conn); tcp != nil {
			s.RTT = roundTrip(tcp)
		}
	}
	c := &p.count
	s.Connects, s.Writes, s.Reads = c.connects.Load(), c.writes.Load(), c.reads.Load()
	s.FramesOut, s.FramesIn = c.framesOut.Load(), c.framesIn.Load()
	s.MessagesOut, s.MessagesIn = c.messagesOut.Load(), c.messagesIn.Load()
	s.BytesOut, s.BytesIn = c.bytesOut.Load(), c.bytesIn.Load()
	s.Lost, s.Undelivered = c.lost.Load(), c.undelivered.Load()
	for i := range s.Dropped {
		s.Dropped[i] = c.dropped[i].Load()
	}
	return s
}
