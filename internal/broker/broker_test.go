package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/pubsub"
)

// mesh is brokers of some nodes, and connections between them that can break.
type mesh struct {
	t       testing.TB
	brokers map[base.NodeID]*Broker
	mu      sync.Mutex
	links   map[[2]base.NodeID]*link
}

// link is a connection in one direction.
type link struct {
	ch   chan []byte
	quit chan struct{}
	done chan struct{}
}

// end is one node's end of the mesh.
type end struct {
	m    *mesh
	self base.NodeID
}

func (e end) Send(to base.NodeID, msg []byte) bool {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	l := e.m.links[[2]base.NodeID{e.self, to}]
	if l == nil {
		return false
	}
	select {
	case l.ch <- msg:
		return true
	default:
		return false
	}
}

func (e end) Queued(to base.NodeID) int {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	l := e.m.links[[2]base.NodeID{e.self, to}]
	if l == nil {
		return -1
	}
	return len(l.ch) * 100
}

func newMesh(t testing.TB, n int, limits Limits) *mesh {
	m := &mesh{t: t, brokers: map[base.NodeID]*Broker{}, links: map[[2]base.NodeID]*link{}}
	for i := range n {
		id := base.NodeID(i + 1)
		m.brokers[id] = New(Config{Network: end{m, id}, Limits: limits})
	}
	t.Cleanup(func() {
		for _, b := range m.brokers {
			b.Close()
		}
		for a := range m.brokers {
			for b := range m.brokers {
				m.cut(a, b)
			}
		}
	})
	for a := range m.brokers {
		for b := range m.brokers {
			m.connect(a, b)
		}
	}
	m.settle()
	return m
}

// connect opens the connection from a to b.
func (m *mesh) connect(a, b base.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := [2]base.NodeID{a, b}
	if a == b || m.links[k] != nil {
		return
	}
	l := &link{ch: make(chan []byte, 4096), quit: make(chan struct{}), done: make(chan struct{})}
	m.links[k] = l
	m.brokers[b].PeerUp(a)
	m.brokers[a].PeerUp(b)
	go func() {
		defer close(l.done)
		for {
			select {
			case msg := <-l.ch:
				if err := m.brokers[b].Receive(a, msg); err != nil {
					m.t.Error(err)
				}
			case <-l.quit:
				return
			}
		}
	}()
}

// cut breaks it; what was on its way is lost.
func (m *mesh) cut(a, b base.NodeID) {
	m.mu.Lock()
	k := [2]base.NodeID{a, b}
	l := m.links[k]
	delete(m.links, k)
	m.mu.Unlock()
	if l == nil {
		return
	}
	close(l.quit)
	<-l.done
	m.brokers[b].PeerDown(a)
	m.brokers[a].Lost(b)
}

// settle waits until every node has told all others everything.
func (m *mesh) settle() {
	m.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for id, b := range m.brokers {
		for b.unsettled() {
			if time.Now().After(deadline) {
				m.t.Fatalf("node %d has not told the others", id)
			}
			time.Sleep(time.Millisecond)
		}
		b.Settle()
	}
}

// listener notes what it gets.
type listener struct {
	mu      sync.Mutex
	got     []string
	flushed int
	hold    chan struct{} // if set, Deliver waits for it
}

func (l *listener) Deliver(m *Message) bool {
	if l.hold != nil {
		<-l.hold
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, fmt.Sprintf("%d %s %s %s", m.Kind, m.Topic, m.Channel, m.Payload))
	return true
}

func (l *listener) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushed = len(l.got)
}

func (l *listener) await(t testing.TB, want ...string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		l.mu.Lock()
		got, flushed := slices.Clone(l.got), l.flushed
		l.mu.Unlock()
		if slices.Equal(got, want) && flushed == len(want) {
			return
		}
		if time.Now().After(deadline) || len(got) > len(want) {
			t.Fatalf("got %q (%d flushed), want %q", got, flushed, want)
		}
		time.Sleep(time.Millisecond)
	}
}

func subscribe(t testing.TB, b *Broker, k pubsub.Kind, name string, s Subscriber) {
	t.Helper()
	if err := b.Subscribe(k, []byte(name), s); err != nil {
		t.Fatal(err)
	}
}

func publish(b *Broker, channel, payload string) int64 {
	return b.Publish(false, []byte(channel), []byte(payload), true)
}

// TestAnyToAny: from any node to any, counted, and known at once to those who
// were told that the subscription is made.
func TestAnyToAny(t *testing.T) {
	m := newMesh(t, 3, Limits{})
	for round := range 20 {
		name := fmt.Sprint("c", round)
		var ls [4]*listener
		for id := range ls {
			ls[id] = &listener{}
			if id > 0 {
				b := m.brokers[base.NodeID(id)]
				subscribe(t, b, pubsub.Channel, name, ls[id])
				b.Settle()
			}
		}
		subscribe(t, m.brokers[2], pubsub.Pattern, name+"*", ls[0])
		subscribe(t, m.brokers[2], pubsub.Shard, name, ls[0])
		m.brokers[2].Settle()
		for id, b := range m.brokers {
			if n := publish(b, name, fmt.Sprint(id)); n != 4 {
				t.Fatalf("node %d: %d receivers", id, n)
			}
			if n := b.Publish(true, []byte(name), nil, true); n != 1 {
				t.Fatalf("node %d: %d receivers of a sharded message", id, n)
			}
			if got := b.Names(pubsub.Channel, nil); !slices.Equal(got, []string{name}) || b.Len(pubsub.Pattern) != 1 {
				t.Fatalf("node %d: %q", id, got)
			}
		}
		for id, l := range ls[1:] {
			var want []string
			deadline := time.Now().Add(5 * time.Second)
			for len(want) < 3 && time.Now().Before(deadline) {
				l.mu.Lock()
				want = slices.Clone(l.got)
				l.mu.Unlock()
				time.Sleep(time.Millisecond)
			}
			slices.Sort(want)
			if !slices.Equal(want, []string{"0 " + name + " " + name + " 1", "0 " + name + " " + name + " 2", "0 " + name + " " + name + " 3"}) {
				t.Fatalf("node %d got %q", id+1, want)
			}
			b := m.brokers[base.NodeID(id+1)]
			b.Unsubscribe(pubsub.Channel, []byte(name), l)
			b.Settle()
		}
		m.brokers[2].Unsubscribe(pubsub.Pattern, []byte(name+"*"), ls[0])
		m.brokers[2].Unsubscribe(pubsub.Shard, []byte(name), ls[0])
		m.brokers[2].Settle()
		for id, b := range m.brokers {
			if n := publish(b, name, ""); n != 0 || b.Stats().Bytes != 0 {
				t.Fatalf("node %d: %d receivers when all have left, %+v", id, n, b.Stats())
			}
		}
	}
}

// TestOrder: what one publisher says on a channel arrives in its order, once,
// also over a node that publishes without waiting.
func TestOrder(t *testing.T) {
	m := newMesh(t, 2, Limits{})
	l := &listener{}
	subscribe(t, m.brokers[2], pubsub.Channel, "c", l)
	m.brokers[2].Settle()
	var want []string
	for i := range 500 {
		m.brokers[1].Publish(false, []byte("c"), fmt.Append(nil, i), i%2 == 0)
		want = append(want, fmt.Sprintf("0 c c %d", i))
		time.Sleep(10 * time.Microsecond)
	}
	l.await(t, want...)
}

// TestReconnect: after any cuts and changes every node knows the truth again.
func TestReconnect(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		m := newMesh(t, 3, Limits{SettleWait: 10 * time.Millisecond})
		l := &listener{}
		have := map[base.NodeID]map[string]bool{1: {}, 2: {}, 3: {}}
		for range 2000 {
			id, name := base.NodeID(rng.IntN(3)+1), fmt.Sprint("c", rng.IntN(700))
			switch rng.IntN(40) {
			case 0:
				m.cut(id, base.NodeID(rng.IntN(3)+1))
			case 1:
				m.connect(id, base.NodeID(rng.IntN(3)+1))
			case 2:
				m.brokers[id].Settle()
			default:
				if rng.IntN(3) > 0 {
					subscribe(t, m.brokers[id], pubsub.Channel, name, l)
					have[id][name] = true
				} else {
					m.brokers[id].Unsubscribe(pubsub.Channel, []byte(name), l)
					delete(have[id], name)
				}
			}
		}
		for a := range m.brokers {
			for b := range m.brokers {
				m.connect(a, b)
			}
		}
		m.settle()
		truth := func() string {
			for id, b := range m.brokers {
				for i := range 700 {
					name := fmt.Sprint("c", i)
					want := int64(0)
					for _, h := range have {
						if h[name] {
							want++
						}
					}
					if got := b.Count(pubsub.Channel, []byte(name)); got != want {
						return fmt.Sprintf("node %d believes in %d subscribers of %s, there are %d", id, got, name, want)
					}
				}
			}
			return ""
		}
		wrong := truth()
		for deadline := time.Now().Add(5 * time.Second); wrong != "" && time.Now().Before(deadline); wrong = truth() {
			time.Sleep(5 * time.Millisecond)
		}
		if wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
	}
}

// TestBounds: what finds no room is dropped and counted, and a publisher on
// the loop never waits.
func TestBounds(t *testing.T) {
	m := newMesh(t, 2, Limits{QueueBytes: 10_000, RegistryBytes: 10_000})
	l := &listener{hold: make(chan struct{})}
	b := m.brokers[1]
	subscribe(t, b, pubsub.Channel, "c", l)
	dropped := 0
	for range 100 {
		if b.Publish(false, []byte("c"), make([]byte, 1000), false) == 0 {
			dropped++
		}
	}
	if st := b.Stats(); dropped < 85 || st.DroppedHere != uint64(dropped) {
		t.Errorf("%d dropped, %+v", dropped, st)
	}
	waited := make(chan int64)
	go func() { waited <- b.Publish(false, []byte("c"), make([]byte, 5000), true) }()
	select {
	case <-waited:
		t.Error("a publisher found room where there was none")
	case <-time.After(20 * time.Millisecond):
	}
	close(l.hold)
	if n := <-waited; n != 1 {
		t.Errorf("%d receivers", n)
	}
	full := 0
	for i := range 1000 {
		if b.Subscribe(pubsub.Channel, fmt.Append(nil, i), l) != nil {
			full++
		}
	}
	if full < 900 {
		t.Errorf("%d of 1000 subscriptions refused", full)
	}
}

// TestSilentPeer: a node that confirms nothing holds nobody up for long, and
// one whose connection broke not at all.
func TestSilentPeer(t *testing.T) {
	m := newMesh(t, 2, Limits{SettleWait: 200 * time.Millisecond})
	m.cut(2, 1) // its confirmations do not arrive
	start := time.Now()
	subscribe(t, m.brokers[1], pubsub.Channel, "c", &listener{})
	m.brokers[1].Settle()
	if took := time.Since(start); took < 150*time.Millisecond || took > 2*time.Second {
		t.Errorf("settled after %v", took)
	}
	m.cut(1, 2)
	start = time.Now()
	subscribe(t, m.brokers[1], pubsub.Channel, "d", &listener{})
	m.brokers[1].Settle()
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("settled after %v", took)
	}
}
