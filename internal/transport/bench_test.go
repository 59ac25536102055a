package transport

import (
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/base"
)

// sink counts what it receives.
type sink struct {
	n    atomic.Int64
	want atomic.Int64
	done chan struct{}
}

func (s *sink) Receive(base.NodeID, Class, []byte) {
	if s.n.Add(1) == s.want.Load() {
		s.done <- struct{}{}
	}
}
func (s *sink) PeerUp(base.NodeID, uint64)                      {}
func (s *sink) PeerDown(base.NodeID, error)                     {}
func (s *sink) Undelivered(base.NodeID, Class, [][]byte)        {}
func (s *sink) Call(kind uint8, payload []byte) ([]byte, error) { return nil, nil }

// BenchmarkBurst sends bursts of 50 messages of 100 bytes to one peer over
// loopback in one process, and waits for each burst to arrive ("turns") or
// for all of them at the end ("stream").
func BenchmarkBurst(b *testing.B) {
	for _, how := range []string{"send", "post"} {
		for _, pace := range []string{"turns", "stream"} {
			b.Run(fmt.Sprintf("%s/%s", how, pace), func(b *testing.B) { benchBurst(b, how == "post", pace == "turns") })
		}
	}
}

func benchBurst(b *testing.B, post, wait bool) {
	const burst, size = 50, 100
	addrs := make(map[base.NodeID]string)
	start := func(id base.NodeID, s *sink) *Transport {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		addrs[id] = ln.Addr().String()
		tr, err := New(Config{Node: id, Cluster: testCluster, Incarnation: 1, Listener: ln, Handler: s,
			Resolve: func(id base.NodeID) (string, bool) { a, ok := addrs[id]; return a, ok }})
		if err != nil {
			b.Fatal(err)
		}
		tr.Start()
		b.Cleanup(tr.Close)
		return tr
	}
	s := &sink{done: make(chan struct{}, 1)}
	to, from := start(2, s), start(1, &sink{})
	for from.Connect(2); !from.Peers()[0].Connected; {
		runtime.Gosched()
	}
	payload := make([]byte, size) // never written: the transport may share it
	s.want.Store(int64(b.N) * burst)
	sent := int64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		sent += burst
		if wait {
			s.want.Store(sent)
		}
		for range burst {
			for post && !from.Post(2, Request, payload) || !post && !from.Send(2, Request, payload) {
				// Not Gosched: with one processor a loop that is always runnable
				// keeps the scheduler from polling the network.
				time.Sleep(50 * time.Microsecond)
			}
		}
		from.Flush()
		if wait {
			<-s.done
		}
	}
	if !wait {
		<-s.done
	}
	b.StopTimer()
	n := float64(sent)
	b.ReportMetric(n/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(from.Peers()[0].Writes)/float64(b.N), "writes/burst")
	b.ReportMetric(float64(to.Peers()[0].Reads)/float64(b.N), "reads/burst")
}
