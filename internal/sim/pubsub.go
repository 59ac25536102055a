package sim

import (
	"cmp"
	"slices"

	"coterie/internal/base"
	"coterie/internal/broker"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
	"coterie/internal/partition"
	"coterie/internal/pubsub"
	"coterie/internal/resp"
	"coterie/internal/workload"
)

// messenger is the broker of a process, without goroutines.
type messenger struct {
	*broker.Broker
	p       *proc
	planned bool
	subs    []*subscriber
	came    []message // in this step
}

// message is one for one subscriber.
type message struct {
	to   *subscriber
	text workload.Command
}

// subscriber is a client's connection for one subscription.
type subscriber struct {
	m      *messenger
	of     *chapter
	number int
	name   string
	lastAt int64 // when its last message comes
}

// toldEvents are the keyspace events that the workload pubsub asks for.
const toldEvents = keyspace.ByKey | keyspace.StringEvent

// tells says whether keyspace events are told of: where somebody listens.
func (c *cluster) tells() keyspace.Classes {
	if slices.ContainsFunc(c.mix, func(k workload.Kind) bool { return k.Name == "pubsub" }) {
		return toldEvents
	}
	return 0
}

func newMessenger(p *proc) *messenger {
	m := &messenger{p: p}
	m.Broker = broker.NewStepped(broker.Config{Network: m})
	return m
}

// Send implements broker.Network.
func (m *messenger) Send(to base.NodeID, msg []byte) bool {
	from := m.p.m.id
	return m.p.c.post(m.p, to, lanePublish, nil, func(q *proc) {
		if err := q.messages.Receive(from, msg); err != nil {
			q.c.violate("n%d: message of n%d: %v", q.m.id, from, err)
		}
		q.messages.wake()
	})
}

// Queued implements broker.Network.
func (m *messenger) Queued(to base.NodeID) int {
	if l := m.p.c.link(m.p.m.id, to); !l.up || l.sender != m.p {
		return -1
	}
	return 0
}

// wake has the broker do its work a moment later.
func (m *messenger) wake() {
	if !m.planned && !m.p.dead {
		m.planned = true
		m.p.after(m.p.c.between(5*micro, 300*micro), func() { m.planned = false; m.step() })
	}
}

// tellAgain is how soon nodes that could not be told are tried again, as in package
// broker.
const tellAgain = 50 * milli

func (m *messenger) step() {
	if m.Step() {
		m.p.after(tellAgain, m.wake)
	}
	// The broker's order among subscribers is not one of the seed.
	slices.SortStableFunc(m.came, func(a, b message) int { return cmp.Compare(a.to.number, b.to.number) })
	for _, x := range m.came {
		x.to.take(x.text)
	}
	m.came = m.came[:0]
}

// publish sends a message, and says how many subscribers it has.
func (m *messenger) publish(channel, payload []byte) int64 {
	n := m.Publish(false, channel, payload, false)
	m.wake()
	return n
}

// mail sends what committed commands say.
func (m *messenger) mail(list []kv.Mail) {
	for _, x := range list {
		m.p.c.met(eventMail)
		m.publish(x.Channel, x.Payload)
	}
}

// lost says that a connection to another node has ended.
func (m *messenger) lost(to base.NodeID) {
	if m.p.c.opts.Bug != BugNotToldAnew {
		m.Lost(to)
	}
	m.wake()
}

// Deliver implements broker.Subscriber.
func (s *subscriber) Deliver(x *broker.Message) bool {
	s.m.came = append(s.m.came, message{s, workload.Command{"MESSAGE", s.name, string(x.Channel), string(x.Payload)}})
	return false
}

// Flush implements broker.Subscriber.
func (s *subscriber) Flush() {}

// take is a message on its way to the client: in order, or not at all when the node
// dies.
func (s *subscriber) take(text workload.Command) {
	c, p := s.of.c, s.m.p
	s.lastAt = max(s.lastAt, c.now+c.between(20*micro, 300*micro))
	c.after(s.lastAt-c.now, func() {
		if !p.dead {
			c.stats.Messages++
			s.note(text)
		}
	})
}

// note adds an operation to the history.
func (s *subscriber) note(text workload.Command) {
	now := s.of.c.now
	s.of.history = append(s.of.history, &workload.Op{Command: text, Call: now, Return: now, Outcome: workload.Done, Reply: []byte("+OK\r\n")})
}

// end ends all subscriptions with their node.
func (m *messenger) end() {
	for _, s := range m.subs {
		m.p.c.met(eventSubscriberLost)
		s.note(workload.Command{"END", s.name})
		s.of.workload.Returned(s.of.history[len(s.of.history)-1])
	}
	m.subs = nil
}

// settleWait is how long a subscription waits until the other nodes know of it, as
// in package broker.
const settleWait = second

// subscribeHere makes the op a subscription, on a connection for itself.
func (o *op) subscribeHere() {
	kind := pubsub.Channel
	if o.Command[0] == "PSUBSCRIBE" {
		kind = pubsub.Pattern
	}
	o.here = &gateway{o: o, run: func(g *gateway) (partition.Status, []byte) {
		p, c := g.p, g.p.c
		m := p.messages
		c.subscribers++
		s := &subscriber{m: m, of: o.of, number: c.subscribers, name: o.Command[1]}
		m.subs = append(m.subs, s)
		if err := m.Subscribe(kind, []byte(o.Command[2]), s); err != nil {
			c.violate("n%d: %v", p.m.id, err)
		}
		m.wake()
		version := m.Version()
		for since := c.now; !m.Known(version) && c.now-since < settleWait; {
			g.left = 1
			p.after(2*milli, g.came)
			if !g.wait(struct{}{}) || p.dead {
				return partition.Unknown, nil
			}
		}
		return partition.Done, []byte("+OK\r\n")
	}}
}

// publishHere makes the op one that publishes.
func (o *op) publishHere() {
	o.here = &gateway{o: o, run: func(g *gateway) (partition.Status, []byte) {
		w := resp.Writer{Proto: 2}
		w.Int(g.p.messages.publish([]byte(o.Command[1]), []byte(o.Command[2])))
		return partition.Done, w.Buf
	}}
}

// told says whether all nodes that serve are connected, and have told each other of
// their subscriptions.
func (c *cluster) told() bool {
	serving := c.serving()
	for _, m := range serving {
		for _, other := range serving {
			if m != other && (!c.link(m.id, other.id).up || !m.proc.messages.Told(other.id)) {
				return false
			}
		}
	}
	return true
}

// awaitTold runs until the end of the faults has come through to all brokers: what
// TCP has yet to notice, and what they tell each other then. Who serves no clients
// has no subscribers either.
func (c *cluster) awaitTold() {
	if c.tells() == 0 {
		return
	}
	const slowest = 5 * second // of a connection that breaks and of the next one
	c.run(c.now+slowest, func() bool { return false })
	if c.run(c.now+calmTicks*tick, c.told); !c.told() && len(c.broken) == 0 {
		c.violate("some nodes were not told of all subscriptions")
	}
	for _, m := range c.machines {
		if m.proc != nil && !slices.Contains(c.serving(), m) {
			m.proc.messages.end()
		}
	}
}

// earlyMail says what commands say before it is committed, for BugEarlyMail.
type earlyMail struct {
	*partition.Txn
	m *messenger
}

// Mail implements kv.Mailer.
func (x earlyMail) Mail(m kv.Mail) { x.m.publish(m.Channel, m.Payload) }
