package broker

import (
	"fmt"
	"slices"
	"time"

	"coterie/internal/base"
	"coterie/internal/pubsub"
	"coterie/internal/wire"
)

const (
	// tellTopics is how many topics go into one message to another node, and
	// tellBytes about how many bytes.
	tellTopics = 512
	// tellQueued is how much may wait for a node that is told everything anew,
	// before it gets more. Bytes.
	tellQueued = 1 << 20
	// retryEvery is how soon a node that took no message is tried again.
	retryEvery = 50 * time.Millisecond
	// forgetTopics is how many topics are forgotten before others get a turn.
	forgetTopics = 1024
)

// peer is another node, as its being told of subscriptions goes.
type peer struct {
	// life counts its connections from here: what was sent over an earlier one
	// may be lost.
	life   uint64
	state  peerState
	place  pubsub.Place // how far the walk is
	since  uint64       // the version as of which the walk began
	knows  uint64       // the version up to which it has confirmed
	silent bool         // it is not reachable: nobody waits for it
}

type peerState uint8

const (
	peerNew   peerState = iota // nothing was told
	peerWalk                   // the walk over all topics is under way
	peerKnows                  // changes are enough
)

// PeerUp says that another node can be reached, or that it may be worth trying.
func (b *Broker) PeerUp(id base.NodeID) {
	b.peers.Lock()
	p := b.peers.m[id]
	if p == nil {
		p = &peer{silent: true}
		b.peers.m[id] = p
	}
	fresh := p.state == peerNew
	b.peers.Unlock()
	if fresh {
		b.wakeTeller()
	}
}

// PeerDown says that the connection from another node has ended: what it told
// does not count any more.
func (b *Broker) PeerDown(id base.NodeID) {
	for more := true; more; {
		b.reg.Lock()
		more = b.reg.r.Forget(id, forgetTopics)
		b.reg.Unlock()
	}
}

// Lost says that the connection to another node has ended, and what was sent
// over it may be lost. Nothing goes over the next one before it has returned.
func (b *Broker) Lost(id base.NodeID) {
	b.peers.Lock()
	p := b.peers.m[id]
	if p == nil {
		p = &peer{}
		b.peers.m[id] = p
	}
	*p = peer{life: p.life + 1, silent: true}
	b.confirm()
	b.peers.Unlock()
	b.wakeTeller()
}

func (b *Broker) wakeTeller() {
	select {
	case b.toTell <- struct{}{}:
	default:
	}
}

// confirm has those look again who wait for confirmations. The caller holds
// the peers.
func (b *Broker) confirm() {
	close(b.peers.confirmed)
	b.peers.confirmed = make(chan struct{})
}

// Settle waits until all nodes that can be reached know of the subscriptions
// made so far, at most for SettleWait.
func (b *Broker) Settle() {
	version := b.Version()
	var timer *time.Timer
	for {
		b.peers.Lock()
		confirmed := b.peers.confirmed
		b.peers.Unlock()
		if b.Known(version) {
			return
		}
		if timer == nil {
			timer = time.NewTimer(b.cfg.Limits.SettleWait)
			defer timer.Stop()
		}
		select {
		case <-confirmed:
		case <-timer.C:
			return
		case <-b.quit:
			return
		}
	}
}

// Version counts the changes of subscriptions here.
func (b *Broker) Version() uint64 {
	b.reg.RLock()
	defer b.reg.RUnlock()
	return b.reg.version
}

// Known says whether all nodes that can be reached know of the subscriptions as of
// a version.
func (b *Broker) Known(version uint64) bool {
	b.peers.Lock()
	defer b.peers.Unlock()
	for _, p := range b.peers.m {
		if !p.silent && p.knows < version {
			return false
		}
	}
	return true
}

// Told says whether a node was told of all subscriptions, over a connection that has
// not broken since.
func (b *Broker) Told(id base.NodeID) bool {
	b.peers.Lock()
	defer b.peers.Unlock()
	p := b.peers.m[id]
	return p != nil && p.state == peerKnows
}

// tell tells the other nodes of subscriptions, until the broker is closed. It
// is the only one that does: so what it says last is what is true.
func (b *Broker) tell() {
	defer b.done.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var changes []pubsub.Change
	for {
		select {
		case <-b.toTell:
		case <-timer.C:
		case <-b.quit:
			return
		}
		changes = b.tellNow(changes)
		if b.unsettled() {
			timer.Reset(retryEvery)
		}
	}
}

// tellNow tells the other nodes of subscriptions as far as they take it, or until the
// broker is closed. It returns the memory that it was given.
func (b *Broker) tellNow(changes []pubsub.Change) []pubsub.Change {
	for again, more := true, false; again || more; {
		select {
		case <-b.quit:
			return changes
		default:
		}
		b.reg.Lock()
		changes, more = b.reg.r.Changes(changes[:0], tellTopics)
		version := b.reg.version
		b.reg.Unlock()
		if more {
			version = 0 // not all of it yet
		}
		again = b.tellAll(changes, version)
	}
	return changes
}

// unsettled says whether some node has yet to be told everything.
func (b *Broker) unsettled() bool {
	b.peers.Lock()
	defer b.peers.Unlock()
	for _, p := range b.peers.m {
		if p.state != peerKnows {
			return true
		}
	}
	return false
}

// tellAll tells every node the changes, and some more topics to those that are
// told everything anew. It says whether it is to be called again at once.
func (b *Broker) tellAll(changes []pubsub.Change, version uint64) (again bool) {
	b.peers.Lock()
	ids := make([]base.NodeID, 0, len(b.peers.m))
	for id := range b.peers.m {
		ids = append(ids, id)
	}
	b.peers.Unlock()
	slices.Sort(ids)
	for _, id := range ids {
		b.peers.Lock()
		p := *b.peers.m[id]
		b.peers.Unlock()
		before := p
		if p.state != peerNew && len(changes) > 0 && !b.tellOne(id, wire.InterestHeader{Version: version}, changes) {
			p = peer{life: p.life, silent: true}
		}
		if p.state != peerKnows {
			again = b.walk(id, &p) || again
		}
		b.peers.Lock()
		if now := b.peers.m[id]; now.life == p.life {
			p.knows = now.knows
			if p.state == peerNew {
				p.knows = 0
			}
			if *now = p; before.silent != p.silent || before.state != p.state {
				b.confirm()
			}
		}
		b.peers.Unlock()
	}
	return again
}

// walk tells a node some of all topics. It says whether it can go on at once.
func (b *Broker) walk(id base.NodeID, p *peer) (again bool) {
	queued := b.cfg.Network.Queued(id)
	if queued < 0 {
		return false
	}
	if p.state == peerNew {
		b.reg.RLock()
		p.since = b.reg.version
		b.reg.RUnlock()
		if !b.tellOne(id, wire.InterestHeader{Reset: true}, nil) {
			return false
		}
		p.state, p.place, p.silent = peerWalk, pubsub.Place{}, false
	}
	if queued > tellQueued {
		return false
	}
	b.reg.RLock()
	list, next, over := b.reg.r.Walk(nil, p.place, tellTopics)
	b.reg.RUnlock()
	h := wire.InterestHeader{}
	if over {
		h.Version = p.since
	}
	if !b.tellOne(id, h, list) {
		*p = peer{life: p.life, silent: true}
		return false
	}
	if p.place = next; over {
		p.state = peerKnows
	}
	return !over
}

func (b *Broker) tellOne(id base.NodeID, h wire.InterestHeader, list []pubsub.Change) bool {
	msg := wire.AppendInterest(nil, h)
	for i := range list {
		c := &list[i]
		msg = wire.AppendInterestItem(msg, &wire.InterestItem{Kind: uint8(c.Kind), Count: c.Count, Name: []byte(c.Name)})
	}
	return b.cfg.Network.Send(id, msg)
}

// Receive takes a message of another node's broker. It never waits.
func (b *Broker) Receive(from base.NodeID, msg []byte) error {
	kind, err := wire.KindOf(msg)
	if err != nil {
		return err
	}
	switch kind {
	case wire.KindPublish:
		return b.receivePublish(msg)
	case wire.KindInterest:
		return b.receiveInterest(from, msg)
	case wire.KindInterestAck:
		version, err := wire.ReadInterestAck(msg)
		if err != nil {
			return err
		}
		b.peers.Lock()
		if p := b.peers.m[from]; p != nil && p.state != peerNew && p.knows < version {
			p.knows = version
			b.confirm()
		}
		b.peers.Unlock()
		return nil
	}
	return fmt.Errorf("%w: %s is not for the broker", wire.ErrMalformed, kind)
}

func (b *Broker) receivePublish(msg []byte) error {
	rd, err := wire.ReadPublish(msg)
	if err != nil {
		return err
	}
	var it wire.PublishItem
	for {
		ok, err := rd.Next(&it)
		if err != nil || !ok {
			return err
		}
		b.counts.received.Add(1)
		b.enqueue(it.Sharded, it.Channel, it.Payload, false)
	}
}

func (b *Broker) receiveInterest(from base.NodeID, msg []byte) error {
	rd, h, err := wire.ReadInterest(msg)
	if err != nil {
		return err
	}
	if h.Reset {
		b.PeerDown(from)
	}
	b.PeerUp(from)
	var it wire.InterestItem
	b.reg.Lock()
	for {
		var ok bool
		if ok, err = rd.Next(&it); err != nil || !ok {
			break
		}
		if it.Kind < pubsub.NumKinds && (it.Count == 0 || b.reg.r.Bytes() < 2*b.cfg.Limits.RegistryBytes) {
			b.reg.r.Told(from, pubsub.Kind(it.Kind), it.Name, it.Count)
		}
	}
	b.reg.Unlock()
	if err == nil && h.Version > 0 {
		b.cfg.Network.Send(from, wire.AppendInterestAck(nil, h.Version))
	}
	return err
}
