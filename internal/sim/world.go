package sim

import (
	"fmt"
	"io"
	"strconv"
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

// eventHeap is a heap with four children to a node, which is shallower than
// one with two.
type eventHeap []event

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

func (h *eventHeap) push(e event) {
	q := append(*h, e)
	*h = q
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q[up]) {
			break
		}
		q[i], i = q[up], up
	}
	q[i] = e
}

func (h *eventHeap) pop() event {
	q := *h
	top, last := q[0], q[len(q)-1]
	q[len(q)-1] = event{}
	q = q[:len(q)-1]
	*h = q
	i := 0
	for {
		least := 4*i + 1
		if least >= len(q) {
			break
		}
		for k := least + 1; k < min(4*i+5, len(q)); k++ {
			if q[k].before(&q[least]) {
				least = k
			}
		}
		if !q[least].before(&last) {
			break
		}
		q[i], i = q[least], least
	}
	if len(q) > 0 {
		q[i] = last
	}
	return top
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
	w.queue.push(event{at: w.now + max(delay, 0), seq: w.seq, run: f})
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
		e := w.queue.pop()
		w.now = e.at
		w.events++
		e.run()
	}
}

// trace writes a line of the history: what the run's hash is made of.
func (w *world) trace(format string, args ...any) {
	w.endLine(fmt.Appendf(w.beginLine(), format, args...))
}

// beginLine and endLine are trace for lines that are too many for package fmt.
func (w *world) beginLine() []byte {
	line := w.line[:0]
	for n := int64(1e9); n > w.now && n > 1; n /= 10 { // times stand below each other
		line = append(line, ' ')
	}
	return append(strconv.AppendInt(line, w.now, 10), ' ')
}

func (w *world) endLine(line []byte) {
	line = append(line, '\n')
	w.line = line[:0]
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
