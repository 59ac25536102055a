package sim

import (
	"coterie/internal/base"
)

// link is the connection from one machine to another: as in package
// transport it carries one direction, its receiver says PeerUp and PeerDown,
// and its sender gets back the requests that certainly never left.
//
// Requests and replies keep to the connection: in order, and not at all from
// some message on when it breaks. Raft's own messages and reports are treated
// worse: lost, doubled, overtaken, and delivered to a later process.
type link struct {
	from, to   *machine
	epoch      uint64 // counts connections
	up         bool   // the sender's side
	heard      bool   // the receiver's side: PeerUp was said
	dialing    bool
	sender     *proc
	receiver   *proc
	lastAt     int64 // arrival of the last message in order
	blocked    bool  // a partition lies between
	stalled    []parcel
	blockCount uint64
	latest     parcel // the last request sent
}

// parcel is a message in the ordered lane.
type parcel struct {
	epoch   uint64
	request []byte // given back if it was never sent
	deliver func(*proc)
}

func (c *cluster) link(from, to base.NodeID) *link { return c.links[from-1][to-1] }

// dial opens the connection if both processes are there, and tries again if not.
func (c *cluster) dial(l *link) {
	if l.dialing || l.up || l.from == l.to {
		return
	}
	l.dialing = true
	p := l.from.proc
	c.after(c.skewed(200*micro, 20*milli), func() { c.tryDial(l, p) })
}

func (c *cluster) tryDial(l *link, p *proc) {
	l.dialing = false
	if p == nil || p.dead || l.up {
		return
	}
	q, back := l.to.proc, c.link(l.to.id, l.from.id)
	if q == nil || !l.to.joined || l.from.paused || l.to.paused || l.blocked || back.blocked {
		l.dialing = true
		c.after(c.between(20*milli, 150*milli), func() { c.tryDial(l, p) })
		return
	}
	if l.heard { // the receiver had not noticed the end of the last one
		c.hangUp(l)
	}
	l.epoch++
	l.up, l.heard, l.sender, l.receiver, l.lastAt = true, true, p, q, c.now
	epoch := l.epoch
	c.trace("n%d -> n%d connected, %d", l.from.id, l.to.id, epoch)
	q.do(func() {
		if l.heard && l.epoch == epoch {
			q.peerUp(l.from.id)
		}
	})
	if r := c.link(l.to.id, l.from.id); !r.up {
		c.dial(r) // a peer that appears is dialed at once
	}
}

// hangUp tells the receiver that the connection has ended. Nothing that is
// under way on it arrives any more.
func (c *cluster) hangUp(l *link) {
	if !l.heard {
		return
	}
	l.heard = false
	from, q := l.from.id, l.receiver
	if q != nil && !q.dead {
		c.trace("n%d lost n%d", l.to.id, from)
		q.do(func() { q.peerDown(from) })
	}
}

// drop ends the sender's side. Of what could not be delivered yet the last
// part was never handed to the kernel, and comes back.
func (c *cluster) drop(l *link) {
	if !l.up {
		return
	}
	l.up = false
	stalled := l.stalled
	l.stalled = nil
	p := l.sender
	if p == nil || p.dead {
		return
	}
	unsent := stalled[c.rand.IntN(len(stalled)+1):]
	if c.opts.Bug == BugWronglyUndelivered && l.latest.request != nil {
		unsent = []parcel{l.latest}
	}
	for _, x := range unsent {
		if x.request != nil {
			to, msg := l.to.id, x.request
			p.do(func() { p.undelivered(to, msg) })
		}
	}
	p.do(func() { c.dial(l) })
}

// breakLink ends a connection: each side notices in its own time.
func (c *cluster) breakLink(l *link, fast bool) {
	epoch := l.epoch
	lo, hi := 50*micro, 5*milli
	if !fast {
		lo, hi = 500*milli, 3*second
	}
	c.after(c.between(lo, hi), func() {
		if l.epoch == epoch {
			c.hangUp(l)
		}
	})
	c.after(c.between(lo, hi), func() {
		if l.epoch == epoch {
			c.drop(l)
		}
	})
}

// block puts a partition between two machines, in one direction.
func (c *cluster) block(l *link) {
	if l.blocked || l.from == l.to {
		return
	}
	l.blocked = true
	l.blockCount++
	n := l.blockCount
	c.after(c.between(second, 4*second), func() { // TCP gives up
		if l.blocked && l.blockCount == n {
			c.breakLink(l, true)
		}
	})
}

// unblock takes it away. What TCP still holds arrives after all.
func (c *cluster) unblock(l *link) {
	if !l.blocked {
		return
	}
	l.blocked = false
	stalled := l.stalled
	l.stalled = nil
	for _, x := range stalled {
		c.ordered(l, x)
	}
}

// post sends a message in the ordered lane. It is false if there is no
// connection: then it was certainly not sent.
func (c *cluster) post(from *proc, to base.NodeID, request []byte, deliver func(*proc)) bool {
	l := c.link(from.m.id, to)
	if !l.up || l.sender != from {
		return false
	}
	x := parcel{epoch: l.epoch, request: request, deliver: deliver}
	if request != nil {
		l.latest = x
	}
	c.ordered(l, x)
	return true
}

func (c *cluster) ordered(l *link, x parcel) {
	if l.blocked || len(l.stalled) > 0 {
		l.stalled = append(l.stalled, x)
		return
	}
	at := c.now + c.latency()
	if c.opts.Bug != BugReorderedRequests {
		at = max(at, l.lastAt)
	}
	l.lastAt = at
	c.after(at-c.now, func() { c.arrive(l, x) })
}

func (c *cluster) arrive(l *link, x parcel) {
	if l.blocked {
		l.stalled = append(l.stalled, x)
		return
	}
	q := l.receiver
	if x.epoch != l.epoch || !l.heard || q == nil || q.dead {
		return
	}
	q.do(func() { x.deliver(q) })
}

// scatter sends a message that may be lost, doubled or overtaken.
func (c *cluster) scatter(from *proc, to base.NodeID, deliver func(*proc)) {
	l := c.link(from.m.id, to)
	copies := 1
	if c.chance(c.lossy) {
		copies = 0
	} else if c.chance(c.lossy / 2) {
		copies = 2
	}
	for range copies {
		delay := c.latency()
		if c.chance(c.lossy) {
			delay += c.skewed(0, second)
		}
		c.after(delay, func() {
			if q := l.to.proc; q != nil && !l.blocked {
				q.do(func() { deliver(q) })
			}
		})
	}
}

// latency is one way through the network.
func (c *cluster) latency() int64 { return c.skewed(30*micro, 2*milli) + c.slowNet }
