package broker

import (
	"testing"

	"coterie/internal/base"
	"coterie/internal/pubsub"
)

// wires is connections between stepped brokers: what is sent waits.
type wires struct {
	brokers map[base.NodeID]*Broker
	sent    []func() error
}

type wireEnd struct {
	w    *wires
	self base.NodeID
}

func (e wireEnd) Send(to base.NodeID, msg []byte) bool {
	e.w.sent = append(e.w.sent, func() error { return e.w.brokers[to].Receive(e.self, msg) })
	return true
}

func (wireEnd) Queued(base.NodeID) int { return 0 }

// TestStepped: a broker without goroutines does nothing but in Step.
func TestStepped(t *testing.T) {
	w := &wires{brokers: map[base.NodeID]*Broker{}}
	for id := base.NodeID(1); id <= 2; id++ {
		w.brokers[id] = NewStepped(Config{Network: wireEnd{w, id}})
	}
	run := func() {
		for range 4 {
			sent := w.sent
			w.sent = nil
			for _, f := range sent {
				if err := f(); err != nil {
					t.Fatal(err)
				}
			}
			w.brokers[1].Step()
			w.brokers[2].Step()
		}
	}
	a, b, l := w.brokers[1], w.brokers[2], &listener{}
	a.PeerUp(2)
	b.PeerUp(1)
	subscribe(t, b, pubsub.Channel, "c", l)
	version := b.Version()
	if len(w.sent) > 0 || a.Told(2) {
		t.Error("it speaks before it is told to")
	}
	run()
	if !b.Known(version) || !b.Told(1) || publish(a, "c", "x") != 1 || len(l.got) > 0 {
		t.Errorf("known %v, got %q", b.Known(version), l.got)
	}
	run()
	l.await(t, "0 c c x")
	b.Lost(1)
	if b.Told(1) {
		t.Error("what was told over a lost connection counts")
	}
}
