package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/resp"
)

// bystander is a client that does nothing unusual beside those that do. A
// strict one must not be disturbed; another may be told to wait or to give up.
type bystander struct {
	strict  bool
	failed  int
	t       *testing.T
	n       *node
	stop    atomic.Bool
	done    int
	slowest time.Duration
	wg      sync.WaitGroup
}

func watch(t *testing.T, n *node, strict bool) *bystander {
	b := &bystander{t: t, n: n, strict: strict}
	cl := &client{addr: n.redis, wait: replyPatience}
	b.wg.Go(func() {
		defer cl.close()
		for i := 0; !b.stop.Load(); i++ {
			start := time.Now()
			key := fmt.Sprintf("by:%d:%d", n.number, i%10)
			vs, err := cl.pipeline([][]string{{"SET", key, fmt.Sprint(i)}, {"GET", key}})
			switch {
			case err == nil && vs[0].Err() == nil && vs[1].Text() == fmt.Sprint(i):
				b.done++
			case strict:
				t.Errorf("a bystander on node %d was disturbed: %v %v", n.number, vs, err)
				return
			default:
				b.failed++
			}
			b.slowest = max(b.slowest, time.Since(start))
			time.Sleep(2 * time.Millisecond)
		}
	})
	return b
}

func (b *bystander) end() string {
	b.stop.Store(true)
	b.wg.Wait()
	return fmt.Sprintf("node %d: %d requests, %d failed, slowest %v", b.n.number, b.done, b.failed, b.slowest.Round(time.Millisecond))
}

// The limits that the flooded nodes run with, and what they may then hold in
// all: the limits together, what is proposed and applied, what Go keeps free
// between collections, and the program itself.
var floodFlags = []string{
	"--max-request-memory", "64MiB", "--max-output-buffer", "16MiB", "--max-inflight-bytes", "32MiB",
	"--cache-size", "16MiB", "--write-back-size", "16MiB", "--max-value-size", "8MiB",
}

const floodBound = 640 << 20

// TestSlowReadersAndFloods: large pipelines from many connections, clients
// that never read and lengths that are never sent cost bounded memory, and
// others are served again at once when it is over.
func TestSlowReadersAndFloods(t *testing.T) {
	if testing.Short() || !osMeasures() || *flagRace {
		t.Skip("takes ten seconds, Linux and a build without the race detector")
	}
	c := newCluster(t, 3, floodFlags...)
	target := c.nodes[0]
	cl := &client{addr: target.redis}
	big := strings.Repeat("v", 1<<20)
	for i := range 6 {
		if v, err := cl.do("SET", fmt.Sprintf("big%d", i), big); err != nil || v.Err() != nil {
			t.Fatal(v.Text(), err)
		}
	}
	cl.close()
	for _, f := range []struct {
		name  string
		conns int
		bytes func(*rand.Rand) []byte
	}{
		{"large pipelines of writes, replies never read", 100, floodOfWrites},
		{"large replies never read", 100, floodOfReads},
		{"lengths that are never sent", 400, func(*rand.Rand) []byte {
			return []byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\nabc")
		}},
		{"many arguments that never end", 50, func(*rand.Rand) []byte {
			return append([]byte("*200000\r\n"), bytes.Repeat([]byte("$1\r\nx\r\n"), 150000)...)
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			for _, n := range c.nodes {
				resetPeak(n.running().cmd.Process.Pid)
			}
			near, far := watch(t, target, false), watch(t, c.nodes[1], false)
			sent, closed := flood(target.redis, f.conns, 1500*time.Millisecond, f.bytes)
			t.Logf("%d connections sent %d MiB, %d were closed; bystanders on %s; on %s", f.conns, sent>>20, closed, near.end(), far.end())
			for _, b := range []*bystander{near, far} {
				if b.done == 0 || b.failed > 0 {
					t.Errorf("of the bystander's requests on node %d, %d were answered, %d failed", b.n.number, b.done, b.failed)
				}
			}
			for _, n := range c.nodes {
				now, peak := memory(t, n.running().cmd.Process.Pid)
				t.Logf("node %d holds %d MiB, at most %d MiB meanwhile", n.number, now>>20, peak>>20)
				if peak > floodBound {
					t.Errorf("node %d held %d MiB; the bound is %d MiB", n.number, peak>>20, floodBound>>20)
				}
			}
			start := time.Now()
			await(t, patience, func() string { return c.serves() })
			t.Logf("all nodes serve %v after the flood", time.Since(start).Round(time.Millisecond))
		})
	}
}

// serves says which node does not serve every partition within a second.
func (c *cluster) serves() string {
	for _, n := range c.nodes {
		cl := &client{addr: n.redis, wait: time.Second}
		for i := range 20 {
			if v, err := cl.do("SET", fmt.Sprintf("serves%d", i), "1"); err != nil || v.Err() != nil {
				cl.close()
				return fmt.Sprintf("node %d: %q %v", n.number, v.Text(), err)
			}
		}
		cl.close()
	}
	return ""
}

// flood writes as much as the server takes on many connections, and never
// reads.
func flood(addr string, conns int, d time.Duration, make func(*rand.Rand) []byte) (sent int64, closed int32) {
	var total atomic.Int64
	var ended atomic.Int32
	var wg sync.WaitGroup
	for i := range conns {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		wg.Go(func() {
			conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
			if err != nil {
				ended.Add(1)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(d))
			for {
				n, err := conn.Write(make(r))
				total.Add(int64(n))
				if err != nil {
					if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
						ended.Add(1)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	return total.Load(), ended.Load()
}

func floodOfWrites(r *rand.Rand) []byte {
	var w resp.Writer
	value := strings.Repeat("w", 16<<10)
	for range 64 {
		appendCommand(&w, []string{"SET", fmt.Sprintf("f%d", r.IntN(200)), value})
	}
	return w.Buf
}

func floodOfReads(r *rand.Rand) []byte {
	var w resp.Writer
	for range 256 {
		appendCommand(&w, []string{"GET", fmt.Sprintf("big%d", r.IntN(6))})
	}
	return w.Buf
}
