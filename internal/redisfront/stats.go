package redisfront

import (
	"bytes"
	"math/bits"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// latencyBuckets is the number of latency classes of a command: class i holds
// what took less than 2^i microseconds, the last one everything longer
// (2^24 µs are 16.8 s).
const latencyBuckets = 26

// cmdStats counts one command's calls.
type cmdStats struct {
	name     string
	calls    atomic.Uint64
	failed   atomic.Uint64 // answered with an error by whoever ran it
	rejected atomic.Uint64 // refused before it ran
	nanos    atomic.Uint64
	buckets  [latencyBuckets]atomic.Uint64
}

// record counts a call that took so many nanoseconds, its latency if that is
// wanted.
func (c *cmdStats) record(nanos int64, failed, latency bool) {
	nanos = max(nanos, 0)
	c.calls.Add(1)
	c.nanos.Add(uint64(nanos))
	if latency {
		c.buckets[min(bits.Len64(uint64(nanos)/1000), latencyBuckets-1)].Add(1)
	}
	if failed {
		c.failed.Add(1)
	}
}

// percentile estimates the latency, in microseconds, that a share of the
// calls stayed below: the upper bound of the class it falls into. Without
// calls it is none.
func (c *cmdStats) percentile(share float64) (micros float64, ok bool) {
	total := uint64(0)
	var n [latencyBuckets]uint64
	for i := range n {
		n[i] = c.buckets[i].Load()
		total += n[i]
	}
	want, sum := share*float64(total), uint64(0)
	for i, k := range n {
		if sum += k; sum > 0 && float64(sum) >= want {
			return float64(uint64(1) << i), true
		}
	}
	return 0, false
}

func (c *cmdStats) reset() {
	for _, a := range []*atomic.Uint64{&c.calls, &c.failed, &c.rejected, &c.nanos} {
		a.Store(0)
	}
	for i := range c.buckets {
		c.buckets[i].Store(0)
	}
}

// errorKindsMax bounds how many kinds of errors are told apart.
const errorKindsMax = 64

// counters are the front's own numbers.
type counters struct {
	connections         atomic.Uint64
	rejectedConnections atomic.Uint64
	protocolErrors      atomic.Uint64
	errors              atomic.Uint64
	bytesIn, bytesOut   atomic.Uint64
	untracked           atomic.Bool // latency-tracking is off
	shares              atomic.Pointer[[]percentile]
	then                atomic.Pointer[Stats] // the node's, as of CONFIG RESETSTAT

	mu struct {
		sync.Mutex
		kinds map[string]uint64 // error replies by their first word

		// The last two looks at the totals, for the rates that INFO shows.
		sampleAt        int64
		commands        uint64
		in, out         uint64
		opsRate         float64
		inRate, outRate float64
	}
}

// percentile is one that INFO's latencystats shows.
type percentile struct {
	name  string
	share float64 // 0 to 1
}

// setPercentiles chooses them; list was checked.
func (c *counters) setPercentiles(list string) {
	var all []percentile
	for _, w := range strings.Fields(list) {
		f, _ := strconv.ParseFloat(w, 64)
		all = append(all, percentile{w, f / 100})
	}
	c.shares.Store(&all)
}

// countErrorReply counts an error reply, "-KIND text".
func (f *Front) countErrorReply(reply []byte) {
	kind := reply[1:]
	if i := bytes.IndexAny(kind, " \r"); i >= 0 {
		kind = kind[:i]
	}
	f.countKind(kind)
}

func (f *Front) countError(text string) {
	kind := []byte(text)
	if i := bytes.IndexByte(kind, ' '); i >= 0 {
		kind = kind[:i]
	}
	f.countKind(kind)
}

func (f *Front) countKind(kind []byte) {
	c := &f.counters
	c.errors.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.kinds == nil {
		c.mu.kinds = make(map[string]uint64)
	}
	if _, ok := c.mu.kinds[string(kind)]; !ok && (len(c.mu.kinds) >= errorKindsMax || len(kind) > 64) {
		kind = []byte("OTHER")
	}
	c.mu.kinds[string(kind)]++
}

// errorKinds are the kinds of errors and their counts, sorted.
func (c *counters) errorKinds() (kinds []string, counts map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts = make(map[string]uint64, len(c.mu.kinds))
	for k, n := range c.mu.kinds {
		kinds, counts[k] = append(kinds, k), n
	}
	sort.Strings(kinds)
	return kinds, counts
}

// CommandsRun is the number of commands processed since start.
func (f *Front) CommandsRun() uint64 {
	n := uint64(0)
	for _, c := range f.table.stats {
		n += c.calls.Load()
	}
	return n
}

// rates are the operations and bytes per second since about a second ago, or
// since the last look if that is longer.
func (f *Front) rates() (ops, in, out float64) {
	c := &f.counters
	now, commands := f.nanos(), f.CommandsRun()
	c.mu.Lock()
	defer c.mu.Unlock()
	if dt := float64(now-c.mu.sampleAt) / 1e9; dt >= 0.9 {
		bin, bout := c.bytesIn.Load(), c.bytesOut.Load()
		// The counters may have been reset in between.
		c.mu.opsRate = max(float64(int64(commands-c.mu.commands))/dt, 0)
		c.mu.inRate = max(float64(int64(bin-c.mu.in))/dt, 0)
		c.mu.outRate = max(float64(int64(bout-c.mu.out))/dt, 0)
		c.mu.sampleAt, c.mu.commands, c.mu.in, c.mu.out = now, commands, bin, bout
	}
	return c.mu.opsRate, c.mu.inRate, c.mu.outRate
}

// account counts a command that a partition has answered.
func (f *Front) account(o *op, reply []byte) {
	took := f.turnNanos() - o.start
	failed := len(reply) > 0 && reply[0] == '-' // a dead session's command may have lost its reply
	if failed {
		f.countErrorReply(reply)
	}
	f.measure(o.s, o.cmd, o.args, took, failed)
}

// measure notes what a command has taken.
func (f *Front) measure(s *session, e *entry, args [][]byte, took int64, failed bool) {
	e.stats.record(took, failed, !f.counters.untracked.Load())
	if limit := f.slow.threshold.Load(); limit >= 0 && took >= limit {
		f.slow.add(s, e, args, took)
	}
	if limit := f.latency.threshold.Load(); limit > 0 && took >= limit {
		f.latency.add(e, took)
	}
}

// resetStats is CONFIG RESETSTAT.
func (f *Front) resetStats() {
	for _, c := range f.table.stats {
		c.reset()
	}
	c := &f.counters
	for _, a := range []*atomic.Uint64{&c.connections, &c.rejectedConnections, &c.protocolErrors, &c.errors, &c.bytesIn, &c.bytesOut} {
		a.Store(0)
	}
	c.mu.Lock()
	c.mu.kinds = nil
	c.mu.Unlock()
	then := f.router.Stats()
	c.then.Store(&then)
}

// statsThen is what the node had counted when its counters were reset.
func (f *Front) statsThen() Stats {
	if then := f.counters.then.Load(); then != nil {
		return *then
	}
	return Stats{}
}
