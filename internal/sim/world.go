package sim

import (
	"container/heap"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Virtual time is in microseconds.
const (
	micro  = int64(1)
	milli  = 1000 * micro
	second = 1000 * milli
)

// event is something that happens at a time. Events of one time happen in
// the order in which they were planned.
type event struct {
	at, seq int64
	run     func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// world is the one place for time, chance and the trace.
type world struct {
	dice
	seed   uint64
	now    int64
	seq    int64
	queue  eventHeap
	hash   *xxhash.Digest
	lines  int
	line   []byte
	out    io.Writer // readable trace; may be nil
	broken []string  // violations
	events int
	recent [tailLines][]byte // the last lines
}

// tailLines is how many lines of the trace a violation comes with.
const tailLines = 60

// maxViolations bounds what one run reports.
const maxViolations = 10

func newWorld(seed uint64, trace io.Writer) *world {
	return &world{dice: newDice(seed, "world"), seed: seed, hash: xxhash.New(), out: trace}
}

// after plans f; delays of one event are counted from its time.
func (w *world) after(delay int64, f func()) {
	w.seq++
	heap.Push(&w.queue, event{at: w.now + max(delay, 0), seq: w.seq, run: f})
}

// run lets events happen until the given time, or until stop says so. A panic
// in the core is a violation and ends the run.
func (w *world) run(until int64, stop func() bool) {
	defer func() {
		if p := recover(); p != nil {
			w.violate("panic: %v\n%s", p, stack())
		}
	}()
	for len(w.queue) > 0 && len(w.broken) == 0 && !stop() {
		if w.queue[0].at > until {
			w.now = until
			return
		}
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.events++
		e.run()
	}
}

// trace writes a line of the history: what the run's hash is made of.
func (w *world) trace(format string, args ...any) {
	line := fmt.Appendf(w.line[:0], "%10d ", w.now)
	line = fmt.Appendf(line, format, args...)
	line = append(line, '\n')
	w.line = line
	w.hash.Write(line) //nolint:errcheck // never fails
	last := &w.recent[w.lines%tailLines]
	*last = append((*last)[:0], line...)
	w.lines++
	if w.out != nil {
		w.out.Write(line) //nolint:errcheck // a trace for a human
	}
}

// violate records that something which must hold does not.
func (w *world) violate(format string, args ...any) {
	if len(w.broken) < maxViolations {
		w.broken = append(w.broken, fmt.Sprintf("%.3f s: ", float64(w.now)/1e6)+fmt.Sprintf(format, args...))
	}
	w.trace("VIOLATION "+format, args...)
}

// tail is the end of the trace of a run that met a violation.
func (w *world) tail() []string {
	if len(w.broken) == 0 {
		return nil
	}
	var lines []string
	for i := max(w.lines-tailLines, 0); i < w.lines; i++ {
		lines = append(lines, strings.TrimSuffix(string(w.recent[i%tailLines]), "\n"))
	}
	return lines
}
