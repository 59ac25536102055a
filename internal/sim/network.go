package sim

import (
	"cmp"
	"slices"

	"coterie/internal/base"
)

// lane is a class of messages, as in package transport: each keeps its order
// and may overtake the others.
type lane uint8

const (
	laneControl lane = iota // votes, heartbeats, acknowledgements, reports
	laneAppend              // large entries
	laneRequest
	laneBulk // snapshots
	lanePublish
	lanes
)

// link is the connection from one machine to another: as in package
// transport it carries one direction, its receiver says PeerUp and PeerDown,
// and its sender gets back the requests that certainly never left.
//
// Requests, replies and snapshots keep to the connection: in order, and not at
// all from some message on when it breaks. Raft's own messages and reports do
// too, or they are treated worse (Options.Harsh): lost, doubled, overtaken,
// and delivered to a later process.
type link struct {
	from, to   *machine
	epoch      uint64 // counts connections
	up         bool   // the sender's side
	heard      bool   // the receiver's side: PeerUp was said
	dialing    bool
	backoff    int64
	sender     *proc
	receiver   *proc
	lastAt     [lanes]int64 // arrival of the last message in order
	slow       int64        // added to each message
	blocked    bool         // a partition lies between
	stalled    []parcel
	blockCount uint64
	latest     parcel // the last request sent
}

// parcel is a message in an ordered lane.
type parcel struct {
	number  int64 // in the order of sending
	epoch   uint64
	lane    lane
	request []byte // given back if it was never sent
	there   bool   // it came to where the connection was cut
	deliver func(*proc)
}

// weather is how the network is at the moment.
type weather struct {
	base, jitter             int64 // one way through it
	slow                     int64 // while it is slow
	loss, doubling, reorders float64
}

// climate draws what is usual in a run.
func climate(d dice, harsh bool) weather {
	w := one(d,
		weather{base: 30 * micro, jitter: 2 * milli},
		weather{base: 30 * micro, jitter: 2 * milli},
		weather{base: 300 * micro, jitter: 5 * milli},
		weather{base: 30 * micro, jitter: 150 * milli},
		weather{base: 5 * milli, jitter: 60 * milli})
	if loss := one(d, 0, 0.01, 0.05); harsh {
		w.loss, w.doubling, w.reorders = loss, loss/2, loss
	}
	return w
}

// latency is one way through the network.
func (c *cluster) latency() int64 { return c.skewed(c.net.base, c.net.jitter) + c.net.slow }

func (c *cluster) link(from, to base.NodeID) *link {
	for int(max(from, to)) > len(c.machines) { // a node that has an id, and does not know it yet
		c.addMachine()
	}
	return c.links[from-1][to-1]
}

// dialBackoff bounds the pauses between attempts to connect.
const dialBackoff = 2 * second

// dial opens the connection if both processes are there, and tries again if not.
func (c *cluster) dial(l *link) {
	if l.dialing || l.up || l.from == l.to {
		return
	}
	l.dialing, l.backoff = true, 20*milli
	p := l.from.proc
	c.after(c.skewed(200*micro, 20*milli), func() { c.tryDial(l, p) })
}

func (c *cluster) tryDial(l *link, p *proc) {
	l.dialing = false
	if now := l.from.proc; p != now && now != nil && !l.up {
		c.dial(l) // another process wanted it meanwhile
		return
	}
	if p == nil || p.dead || l.up {
		return
	}
	q, back := l.to.proc, c.link(l.to.id, l.from.id)
	if q == nil || !l.to.joined || l.from.paused || l.to.paused || l.blocked || back.blocked {
		l.dialing = true
		c.after(c.between(l.backoff/2, l.backoff*3/2), func() { c.tryDial(l, p) })
		l.backoff = min(l.backoff*2, dialBackoff)
		return
	}
	if l.heard { // the receiver had not noticed the end of the last one
		c.hangUp(l)
	}
	l.epoch++
	l.up, l.heard, l.sender, l.receiver, l.lastAt = true, true, p, q, [lanes]int64{}
	epoch := l.epoch
	c.trace("n%d -> n%d connected, %d", l.from.id, l.to.id, epoch)
	q.do(func() {
		if l.heard && l.epoch == epoch {
			q.peerUp(l.from.id)
		}
	})
	if r := c.link(l.to.id, l.from.id); !r.up {
		r.dialing = false // a peer that appears is dialed at once
		c.dial(r)
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
			c.met(eventGivenBack)
			p.do(func() { p.undelivered(to, msg) })
		}
	}
	to := l.to.id
	p.do(func() {
		p.messages.lost(to)
		p.router.Lost(to)
		p.loseStreams(to)
	})
	p.do(func() { c.dial(l) })
}

// breakLink ends a connection: each side notices in its own time, and what is
// under way meanwhile arrives.
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

// unblock takes it away. What TCP still holds arrives after all: at once if it
// had come as far as it could, for others that were sent behind it are still on
// their way; else behind those.
func (c *cluster) unblock(l *link) {
	if !l.blocked {
		return
	}
	l.blocked = false
	if l.up && l.receiver != nil && l.receiver.dead { // what TCP tries again meets nobody
		c.breakLink(l, true)
	}
	stalled := l.stalled
	l.stalled = nil
	for _, x := range stalled {
		if x.there {
			x.there = false
			c.arrive(l, x)
		} else {
			c.ordered(l, x)
		}
	}
}

// post sends a message in order. It is false if there is no connection: then
// it was certainly not sent.
func (c *cluster) post(from *proc, to base.NodeID, in lane, request []byte, deliver func(*proc)) bool {
	l := c.link(from.m.id, to)
	if !l.up || l.sender != from {
		return false
	}
	c.parcels++
	x := parcel{number: c.parcels, epoch: l.epoch, lane: in, request: request, deliver: deliver}
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
	at := c.now + c.latency() + l.slow
	if c.opts.Bug != BugReorderedRequests || x.lane != laneRequest {
		at = max(at, l.lastAt[x.lane])
	}
	l.lastAt[x.lane] = at
	c.after(at-c.now, func() { c.arrive(l, x) })
}

func (c *cluster) arrive(l *link, x parcel) {
	if l.blocked { // in front of what was sent since
		x.there = true
		i, _ := slices.BinarySearchFunc(l.stalled, x.number, func(y parcel, n int64) int { return cmp.Compare(y.number, n) })
		l.stalled = slices.Insert(l.stalled, i, x)
		return
	}
	q := l.receiver
	if x.epoch != l.epoch || !l.heard || q == nil || q.dead {
		return
	}
	q.do(func() { x.deliver(q) })
}

// scatter sends a message of Raft, or one that nobody misses: in order as
// everything else, or if the run is harsh lost, doubled or overtaken.
func (c *cluster) scatter(from *proc, to base.NodeID, in lane, deliver func(*proc)) {
	if !c.opts.Harsh {
		c.post(from, to, in, nil, deliver)
		return
	}
	l := c.link(from.m.id, to)
	copies := 1
	if c.net.loss > 0 && c.chance(c.net.loss) {
		copies = 0
	} else if c.net.doubling > 0 && c.chance(c.net.doubling) {
		copies = 2
	}
	for range copies {
		delay := c.latency() + l.slow
		if c.net.reorders > 0 && c.chance(c.net.reorders) {
			delay += c.skewed(0, second)
		}
		c.after(delay, func() {
			if q := l.to.proc; q != nil && !l.blocked {
				q.do(func() { deliver(q) })
			}
		})
	}
}
