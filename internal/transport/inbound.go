package transport

import (
	"coterie/internal/env"

	"crypto/tls"
	"net"
	"sync"
	"time"
)

// inbound is a peer's connection to this node.
type inbound struct {
	conn        net.Conn
	incarnation uint64
	done        chan struct{} // closed when its last handler call returned

	mu struct {
		sync.Mutex
		why error // set by whoever ends it
	}
}

// end closes the connection for a reason of this node's.
func (in *inbound) end(why error) {
	in.mu.Lock()
	if in.mu.why == nil {
		in.mu.why = why
	}
	in.mu.Unlock()
	_ = in.conn.Close()
}

func (in *inbound) why(err error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.mu.why != nil {
		return in.mu.why
	}
	return endError(err)
}

// serve shakes hands on an accepted connection and serves its purpose.
func (t *Transport) serve(conn net.Conn) {
	defer t.wg.Done()
	defer t.release(conn)
	settled := sync.OnceFunc(func() { <-t.pending })
	defer settled()
	h, secured, ok := t.greet(conn)
	switch {
	case !ok:
	case h.purpose == purposePeer:
		settled()
		t.servePeer(secured, &h)
	case h.purpose == purposeCall:
		t.serveCall(secured, &h, settled)
	}
}

// greet reads the hello. A connection without one is not talked to.
func (t *Transport) greet(conn net.Conn) (hello, net.Conn, bool) {
	tuneSocket(conn)
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if t.cfg.TLS != nil {
		conn = tls.Server(conn, t.cfg.TLS)
	}
	h, err := readHello(conn)
	if err != nil {
		t.cfg.Logger.Debug("refused a connection", "from", conn.RemoteAddr().String(), "err", err)
		return h, conn, false
	}
	return h, conn, true
}

// answer sends the welcome and, if it is one, takes the deadline away.
func (t *Transport) answer(conn net.Conn, h *hello, status uint8) bool {
	w := welcome{
		status: status, version: min(h.maxVersion, maxVersion), minVersion: minVersion, maxVersion: maxVersion,
		cluster: t.cfg.Cluster, node: t.cfg.Node, incarnation: t.cfg.Incarnation,
	}
	if _, err := conn.Write(w.encode()); err != nil || status != statusWelcome {
		if status != statusWelcome {
			t.logRefusal(h, status)
		}
		return false
	}
	return conn.SetDeadline(time.Time{}) == nil
}

// logRefusal logs the first refusal of a node for a reason.
func (t *Transport) logRefusal(h *hello, status uint8) {
	key := refusal{h.node, status}
	t.mu.Lock()
	_, known := t.mu.refused[key]
	if !known {
		if len(t.mu.refused) >= maxRefusals {
			clear(t.mu.refused)
		}
		t.mu.refused[key] = struct{}{}
	}
	t.mu.Unlock()
	if known {
		return
	}
	w := welcome{status: status, minVersion: minVersion, maxVersion: maxVersion, cluster: t.cfg.Cluster, node: t.cfg.Node}
	t.cfg.Logger.Warn("refused a node's connection", "node", h.node, "incarnation", h.incarnation, "told", w.refusal(h))
}

// check is the part of the answer that does not depend on other connections.
func (t *Transport) check(h *hello) uint8 {
	switch {
	case h.maxVersion < minVersion || h.minVersion > maxVersion:
		return statusNoVersion
	case h.cluster != t.cfg.Cluster && (h.purpose == purposePeer || h.cluster != [16]byte{}):
		return statusOtherCluster
	case h.destination != t.cfg.Node && (h.purpose == purposePeer || h.destination != 0):
		return statusWrongNode
	case h.purpose == purposeCall:
		return statusWelcome
	case h.node == t.cfg.Node || h.node == 0:
		return statusSameNode
	case t.cfg.Removed(h.node):
		return statusRemoved
	}
	return statusWelcome
}

// admit makes a peer's connection the current one. The one before it is ended
// and waited for, so that the handler sees one after the other.
func (t *Transport) admit(h *hello, conn net.Conn) (*peer, *inbound, uint8) {
	p := t.peer(h.node)
	if p == nil {
		return nil, nil, statusBusy
	}
	in := &inbound{conn: conn, incarnation: h.incarnation, done: make(chan struct{})}
	p.mu.Lock()
	if h.incarnation < p.mu.incarnation || h.incarnation == p.mu.incarnation && h.attempt < p.mu.attempt {
		p.mu.Unlock()
		return nil, nil, statusOldIncarnation
	}
	if p.mu.dropped {
		p.mu.Unlock()
		return nil, nil, statusBusy
	}
	p.saw(h.incarnation)
	p.mu.attempt = h.attempt
	before, out := p.mu.in, p.mu.out
	p.mu.in = in
	p.mu.Unlock()
	if out != nil && out.incarnation < h.incarnation {
		p.breakOff(out, errStale)
	}
	if before != nil {
		before.end(errReplaced)
		<-before.done
	}
	return p, in, statusWelcome
}

// servePeer hands a peer's messages to the handler until its connection ends.
func (t *Transport) servePeer(conn net.Conn, h *hello) {
	if status := t.check(h); status != statusWelcome {
		t.answer(conn, h, status)
		return
	}
	p, in, status := t.admit(h, conn)
	if status != statusWelcome {
		t.answer(conn, h, status)
		return
	}
	defer func() {
		p.mu.Lock()
		if p.mu.in == in {
			p.mu.in = nil
		}
		p.mu.Unlock()
		close(in.done)
	}()
	if !t.answer(conn, h, statusWelcome) {
		return
	}
	p.appeared()
	t.cfg.Handler.PeerUp(p.id, h.incarnation)
	why := in.why(t.receive(p, conn))
	_ = conn.Close()
	t.cfg.Logger.Info("connection from peer ended", "peer", p.id, "why", why)
	t.cfg.Handler.PeerDown(p.id, why)
}

// receive hands out messages until the connection ends, and says why it did.
func (t *Transport) receive(p *peer, conn net.Conn) error {
	r := newReader(env.Conn(conn), t.cfg.Limits.MaxMessage, func(c Class) bool { return c < NumClasses })
	defer p.received(r)
	id, handler := p.id, t.cfg.Handler
	for {
		class, msg, err := r.next()
		if err != nil {
			return err
		}
		handler.Receive(id, class, msg)
		if r.drained() {
			p.received(r)
		}
	}
}

// received moves the reader's counts to the peer's.
func (p *peer) received(r *reader) {
	c := &p.count
	c.reads.Add(r.reads)
	c.framesIn.Add(r.frames)
	c.messagesIn.Add(r.messages)
	c.bytesIn.Add(r.bytes)
	r.reads, r.frames, r.messages, r.bytes = 0, 0, 0, 0
}
