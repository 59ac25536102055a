package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"coterie/internal/resp"
)

// The workload of TestLinearizable.
const (
	clientsPerNode = 4
	stringKeys     = 12 // spread over all partitions
	hashKeys       = 6
	// chapter is how long a set of keys is in use. Then come fresh ones: the
	// checker's work grows with the number of lost writes a key has seen.
	chapter = 8 * time.Second
	// checkLimit bounds the search for one key's order.
	checkLimit = 60 * time.Second
)

// workload is the clients of TestLinearizable and what they saw.
type workload struct {
	t       *testing.T
	start   time.Time
	chapter atomic.Int64
	stop    atomic.Bool
	next    atomic.Int64 // values are unique
	clients int

	acked, lost, refused, unsent atomic.Int64

	mu       sync.Mutex
	chapters map[int64]*pages
	checked  int
	checks   sync.WaitGroup
	checking chan struct{} // bounds the checks at once
	broken   []string
}

// pages is what the clients wrote in one chapter.
type pages struct {
	delivered int
	keys      map[int][]op // by key number
}

func (w *workload) now() int64 { return time.Since(w.start).Nanoseconds() }

// keyName names key number k of a chapter; the numbers from stringKeys on are
// hashes.
func keyName(chapter int64, k int) (name string, hash bool) {
	if k >= stringKeys {
		return fmt.Sprintf("h%d:%d", chapter, k), true
	}
	return fmt.Sprintf("s%d:%d", chapter, k), false
}

func (w *workload) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.broken) < 20 {
		w.broken = append(w.broken, fmt.Sprintf(format, args...))
	}
}

// run is one client: small pipelines on random keys, one after the other.
func (w *workload) run(id int, addr string, r *rand.Rand) {
	c := &client{addr: addr}
	defer c.close()
	page, chapter := map[int][]op{}, w.chapter.Load()
	for {
		if now := w.chapter.Load(); now != chapter || w.stop.Load() {
			w.deliver(chapter, page)
			page, chapter = map[int][]op{}, now
			if w.stop.Load() {
				return
			}
		}
		size := 1
		if id%3 == 0 {
			size = 1 + r.IntN(4)
		}
		w.batch(c, id, chapter, size, r, page)
		time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
	}
}

// batch runs a pipeline of random operations and records it.
func (w *workload) batch(c *client, id int, chapter int64, size int, r *rand.Rand, page map[int][]op) {
	var ops []op
	var on []int
	var cmds [][]string
	for range size {
		k := r.IntN(stringKeys + hashKeys)
		name, hash := keyName(chapter, k)
		o := op{kind: randomKind(r, hash), client: id, arg: w.next.Add(1) * 1000}
		if o.kind == incr {
			o.arg = 1
		}
		ops, on, cmds = append(ops, o), append(on, k), append(cmds, o.command(name, hash))
	}
	call := w.now()
	vs, err := c.pipeline(cmds)
	ret := w.now()
	if errors.Is(err, errNotSent) {
		w.unsent.Add(int64(size))
		time.Sleep(20 * time.Millisecond)
		return
	}
	for i := range ops {
		o := ops[i]
		o.call, o.ret = call, ret
		if i >= len(vs) {
			o.lost = true
		} else if !w.take(&o, vs[i], cmds[i]) {
			continue
		}
		if o.lost {
			w.lost.Add(1)
		} else {
			w.acked.Add(1)
		}
		page[on[i]] = append(page[on[i]], o)
	}
}

// take judges one answer. It is false if the operation has no place in the
// history: an error that promises "not run" is taken at its word, so that the
// checker finds what such an operation left behind.
func (w *workload) take(o *op, v resp.Value, cmd []string) bool {
	switch {
	case notRun(v):
		if w.refused.Add(1) <= 3 {
			w.t.Logf("%7.2fs client %d refused after %v: %s", time.Since(w.start).Seconds(), o.client, time.Duration(o.ret-o.call), v.Text())
		}
		return false
	case unknownOutcome(v):
		o.lost = true
		if o.kind.reads() {
			w.fail("a read got %s", v.Text())
		}
	case v.Err() != nil:
		w.fail("%s: %v", strings.Join(cmd, " "), v.Err())
		return false
	default:
		if !o.fill(v) {
			w.fail("%s: answer %q of kind %c", strings.Join(cmd, " "), v.Text(), v.Kind)
			return false
		}
	}
	return true
}

func randomKind(r *rand.Rand, hash bool) kind {
	switch n := r.IntN(100); {
	case n < 40:
		return get
	case n < 60:
		return set
	case n < 80:
		return incr
	case n < 88:
		return setnx
	case n < 92:
		return del
	case hash:
		return incr
	case n < 97:
		return swap
	}
	return take
}

// deliver hands a client's page in; the last one starts the check.
func (w *workload) deliver(chapter int64, page map[int][]op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.chapters[chapter]
	if p == nil {
		p = &pages{keys: map[int][]op{}}
		w.chapters[chapter] = p
	}
	for k, ops := range page {
		p.keys[k] = append(p.keys[k], ops...)
	}
	if p.delivered++; p.delivered == w.clients {
		delete(w.chapters, chapter)
		w.checks.Add(1)
		go w.check(chapter, p)
	}
}

func (w *workload) check(chapter int64, p *pages) {
	defer w.checks.Done()
	w.checking <- struct{}{}
	defer func() { <-w.checking }()
	for k, history := range p.keys {
		name, hash := keyName(chapter, k)
		switch check(history, hash, checkLimit*slow()) {
		case porcupine.Illegal:
			w.fail("the history of key %s (%d operations) is not linearizable: %s", name, len(history), w.dump(name, history))
		case porcupine.Unknown:
			w.fail("the history of key %s (%d operations) could not be checked within %v: %s", name, len(history), checkLimit, w.dump(name, history))
		}
		w.mu.Lock()
		w.checked += len(history)
		w.mu.Unlock()
	}
}

// dump writes a history to a file, for the search for what went wrong.
func (w *workload) dump(name string, history []op) string {
	sort.Slice(history, func(i, j int) bool { return history[i].call < history[j].call })
	var b strings.Builder
	for _, o := range history {
		fmt.Fprintf(&b, "%12.6f %12.6f client %d %s(%d) -> %+v lost=%v\n", float64(o.call)/1e9, float64(o.ret)/1e9, o.client, o.kind, o.arg, o.out, o.lost)
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("coterie-history-%d-%s.txt", os.Getpid(), strings.ReplaceAll(name, ":", "-")))
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return err.Error()
	}
	return path
}

// disturb is the schedule of faults: one node at a time, and now and then all
// at once.
func disturb(t *testing.T, c *cluster, r *rand.Rand, until time.Time, say func(string, ...any)) {
	allAt := time.Now().Add(time.Until(until) / 2)
	for time.Now().Before(until) {
		time.Sleep(time.Duration(300+r.IntN(1200)) * time.Millisecond)
		n := c.nodes[r.IntN(len(c.nodes))]
		switch x := r.IntN(100); {
		case time.Now().After(allAt):
			allAt = time.Now().Add(45 * time.Second)
			say("kill -9 all nodes")
			c.killAll()
			if err := c.launchAll(); err != nil {
				t.Error(err)
				return
			}
		case x < 45:
			down := time.Duration(50+r.IntN(1500)) * time.Millisecond
			say("kill -9 node %d for %v", n.number, down)
			n.kill()
			time.Sleep(down)
			if err := n.launch(); err != nil {
				t.Error(err)
				return
			}
		case x < 85:
			d := time.Duration(100+r.IntN(2900)) * time.Millisecond
			say("SIGSTOP node %d for %v", n.number, d)
			n.pause(d)
		default:
			say("stop and restart node %d", n.number)
			if err := n.stop(); err != nil {
				t.Errorf("node %d: %v", n.number, err)
			}
			if err := n.launch(); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// killAll sends kill -9 to all nodes before it waits for any.
func (c *cluster) killAll() {
	var ps []*process
	for _, n := range c.nodes {
		if p := n.take(); p != nil {
			ps = append(ps, p)
		}
	}
	for _, p := range ps {
		_ = p.cmd.Process.Kill()
	}
	for _, p := range ps {
		<-p.done
	}
}

// launchAll starts all nodes at once.
func (c *cluster) launchAll() error {
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		wg.Go(func() { errs[i] = n.launch() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// TestLinearizable: whatever happens to the nodes, every key behaves as one
// register that each command reads and writes at one point between its start
// and its answer.
func TestLinearizable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes -e2e.for")
	}
	s := seed(t)
	c := newCluster(t, 3)
	w := &workload{
		t: t, start: time.Now(), clients: clientsPerNode * len(c.nodes),
		chapters: map[int64]*pages{}, checking: make(chan struct{}, 1),
	}
	var wg sync.WaitGroup
	for i := range w.clients {
		addr, r := c.nodes[i%len(c.nodes)].redis, rand.New(rand.NewPCG(s, uint64(i)))
		wg.Go(func() { w.run(i, addr, r) })
	}
	turn := time.NewTicker(chapter)
	turned := make(chan struct{})
	go func() {
		for {
			select {
			case <-turn.C:
				w.chapter.Add(1)
			case <-turned:
				return
			}
		}
	}()
	faults := 0
	disturb(t, c, rand.New(rand.NewPCG(s, 1<<32)), time.Now().Add(*flagFor), func(format string, args ...any) {
		faults++
		t.Logf("%7.2fs "+format, append([]any{time.Since(w.start).Seconds()}, args...)...)
	})
	turn.Stop()
	close(turned)
	// All nodes are there again: every client gets something done.
	before := w.acked.Load()
	await(t, patience*slow(), func() string {
		if w.acked.Load() < before+int64(20*w.clients) {
			return "the clients get nothing done after the faults"
		}
		return ""
	})
	c.awaitHealthy(len(c.nodes))
	t.Logf("%7.2fs all copies in order, leaders spread", time.Since(w.start).Seconds())
	w.stop.Store(true)
	wg.Wait()
	w.checks.Wait()
	t.Logf("%7.2fs checked", time.Since(w.start).Seconds())
	for _, b := range w.broken {
		t.Error(b)
	}
	t.Logf("%d faults; %d operations checked: %d acknowledged, %d lost, %d refused, %d not sent",
		faults, w.checked, w.acked.Load(), w.lost.Load(), w.refused.Load(), w.unsent.Load())
}
