package broker

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/base"
	"coterie/internal/pubsub"
	"coterie/internal/wire"
)

// Message is one message for one subscriber.
type Message struct {
	Kind    pubsub.Kind // of the topic that it comes by
	Topic   string      // the channel, or the pattern
	Channel []byte
	Payload []byte
	// Forms is where subscribers keep the message as they write it, by protocol
	// version: it is the same for all of one topic.
	Forms [2][]byte
}

// Subscriber is a client. Its methods are called on one goroutine, must not
// block, and must not call the broker.
type Subscriber interface {
	// Deliver takes a message, whose memory is not to be changed. It says
	// whether it wants Flush to be called, after some more messages.
	Deliver(*Message) (flush bool)
	Flush()
}

// Network brings messages to other nodes' Receive, in order or not at all.
type Network interface {
	// Send is false when the message was certainly dropped. It never waits.
	Send(to base.NodeID, msg []byte) bool
	// Queued is how many bytes wait for a node; below zero if there is no
	// connection to it.
	Queued(to base.NodeID) int
}

// Limits bound what a broker holds. A zero field stands for its default.
type Limits struct {
	QueueBytes    int           // messages that wait for delivery here; default 32 MiB
	PeerBytes     int           // messages that wait for one other node; default 12 MiB
	RegistryBytes int64         // subscriptions, of all nodes together; default 256 MiB
	SettleWait    time.Duration // how long Settle waits for other nodes; default 1 s
}

func (l Limits) withDefaults() Limits {
	if l.QueueBytes <= 0 {
		l.QueueBytes = 32 << 20
	}
	if l.PeerBytes <= 0 {
		l.PeerBytes = 12 << 20
	}
	if l.RegistryBytes <= 0 {
		l.RegistryBytes = 256 << 20
	}
	if l.SettleWait <= 0 {
		l.SettleWait = time.Second
	}
	return l
}

// Config is what a broker is made of.
type Config struct {
	Network Network // nil: there are no other nodes
	Limits  Limits
	Log     *slog.Logger
}

// ErrFull: subscriptions take all the memory that they may.
var ErrFull = errors.New("too many subscriptions")

// Broker brings messages to subscribers. Its methods may be called from any
// goroutine.
type Broker struct {
	cfg  Config
	quit chan struct{}
	done sync.WaitGroup

	reg struct {
		sync.RWMutex
		r       *pubsub.Registry[Subscriber]
		version uint64 // counts changes here
		names   atomic.Int64
	}
	queue queue
	peers struct {
		sync.Mutex
		m map[base.NodeID]*peer
		// confirmed is closed, and replaced, when some node may know more.
		confirmed chan struct{}
	}
	toTell chan struct{}

	counts struct {
		published, forwarded, received, delivered, droppedHere, droppedThere atomic.Uint64
	}
}

// New makes a broker and starts its goroutines.
func New(cfg Config) *Broker {
	b := NewStepped(cfg)
	b.done.Add(2)
	go b.deliver()
	go b.tell()
	return b
}

// NewStepped makes a broker that has no goroutines: the caller does their work by
// Step, on one goroutine as everything else. Then it is free of I/O and of time.
func NewStepped(cfg Config) *Broker {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{cfg: cfg, quit: make(chan struct{}), toTell: make(chan struct{}, 1)}
	b.reg.r = pubsub.New[Subscriber]()
	b.queue.init(cfg.Limits.QueueBytes)
	b.peers.m = map[base.NodeID]*peer{}
	b.peers.confirmed = make(chan struct{})
	return b
}

// Step hands what waits here to subscribers, and tells the other nodes what they do
// not know yet. It says whether some of them could not be told everything, so that
// it is to be called again after a while. Only for brokers of NewStepped.
func (b *Broker) Step() (unsettled bool) {
	var d delivery
	for jobs := b.queue.taken(); len(jobs) > 0; jobs = b.queue.taken() {
		b.handAll(&d, jobs)
	}
	b.tellNow(nil)
	return b.unsettled()
}

// Close ends the broker's goroutines. What waits is dropped.
func (b *Broker) Close() {
	close(b.quit)
	b.queue.close()
	b.done.Wait()
}

// Subscribe notes a client's subscription; a second one to the same topic
// changes nothing.
func (b *Broker) Subscribe(k pubsub.Kind, name []byte, s Subscriber) error {
	b.reg.Lock()
	defer b.reg.Unlock()
	if b.reg.r.Bytes()+int64(len(name)) > b.cfg.Limits.RegistryBytes {
		return ErrFull
	}
	if b.reg.r.Subscribe(k, name, s) {
		b.changed()
	}
	return nil
}

// Unsubscribe ends a client's subscription.
func (b *Broker) Unsubscribe(k pubsub.Kind, name []byte, s Subscriber) {
	b.reg.Lock()
	defer b.reg.Unlock()
	if b.reg.r.Unsubscribe(k, name, s) {
		b.changed()
	}
}

// changed says that a number of subscribers here has changed. The caller holds
// the registry.
func (b *Broker) changed() {
	b.reg.version++
	b.wakeTeller()
}

// Publish sends a message to its subscribers everywhere, and says how many
// they are. With wait it may wait for room; without, which is for the node's
// loop, a message that finds none is dropped. It keeps neither slice.
func (b *Broker) Publish(sharded bool, channel, payload []byte, wait bool) int64 {
	var room [8]pubsub.Share
	b.reg.RLock()
	here, elsewhere := b.reg.r.Audience(room[:0], sharded, channel)
	b.reg.RUnlock()
	b.counts.published.Add(1)
	if here > 0 && !b.enqueue(sharded, channel, payload, wait) {
		here = 0
	}
	if len(elsewhere) == 0 {
		return here
	}
	item := wire.PublishItem{Sharded: sharded, Channel: channel, Payload: payload}
	msg := wire.AppendPublish(make([]byte, 0, 16+len(channel)+len(payload)), &item)
	for i, share := range elsewhere {
		queued := b.cfg.Network.Queued(share.Node)
		to := msg
		if i < len(elsewhere)-1 {
			to = slices.Clone(msg) // each is the network's own
		}
		if queued < 0 || queued+len(to) > b.cfg.Limits.PeerBytes || !b.cfg.Network.Send(share.Node, to) {
			b.counts.droppedThere.Add(1)
			continue
		}
		b.counts.forwarded.Add(1)
		here += share.Count
	}
	return here
}

// Receivers is how many subscribers a message to a channel would have.
func (b *Broker) Receivers(sharded bool, channel []byte) int64 {
	var room [8]pubsub.Share
	b.reg.RLock()
	n, elsewhere := b.reg.r.Audience(room[:0], sharded, channel)
	b.reg.RUnlock()
	for _, s := range elsewhere {
		n += s.Count
	}
	return n
}

// Count is the number of a topic's subscribers.
func (b *Broker) Count(k pubsub.Kind, name []byte) int64 {
	b.reg.RLock()
	defer b.reg.RUnlock()
	return b.reg.r.Count(k, name)
}

// Len is the number of topics that have subscribers.
func (b *Broker) Len(k pubsub.Kind) int {
	b.reg.RLock()
	defer b.reg.RUnlock()
	return b.reg.r.Len(k)
}

// Names are the topics that have subscribers and match a pattern; a nil
// pattern matches all.
func (b *Broker) Names(k pubsub.Kind, pattern []byte) []string {
	b.reg.RLock()
	defer b.reg.RUnlock()
	return b.reg.r.Names(k, pattern)
}

// Stats are counts since the start, and what there is.
type Stats struct {
	Published     uint64 // messages published on this node
	Forwarded     uint64 // sent to other nodes; one for each
	Received      uint64 // that came from other nodes
	Delivered     uint64 // handed to clients of this node; one for each
	DroppedHere   uint64 // no room in the queue here
	DroppedThere  uint64 // no room in the queue to another node
	Subscriptions int    // of this node's clients
	Bytes         int64  // what subscriptions take
}

// Stats is how the broker is.
func (b *Broker) Stats() Stats {
	b.reg.RLock()
	n, size := b.reg.r.Subscriptions(), b.reg.r.Bytes()
	b.reg.RUnlock()
	c := &b.counts
	return Stats{
		Published: c.published.Load(), Forwarded: c.forwarded.Load(), Received: c.received.Load(), Delivered: c.delivered.Load(),
		DroppedHere: c.droppedHere.Load(), DroppedThere: c.droppedThere.Load(), Subscriptions: n, Bytes: size,
	}
}
