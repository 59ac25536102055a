package bench

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in nanoseconds with three digits, from a microsecond to
// ten minutes; what is longer counts as ten minutes.
const (
	latencyUnit = int64(time.Microsecond)
	latencyMax  = int64(10 * time.Minute)
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(latencyUnit, latencyMax, 3) }

// maxErrorKinds bounds what one run tells apart; the rest is "other".
const maxErrorKinds = 32

// ErrorKind is how often one kind of error came, and the text it first had.
type ErrorKind struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
	First string `json:"first"`
}

// recorder takes a worker's measurements, and gives them away once a second.
type recorder struct {
	mu struct {
		sync.Mutex
		latency *hdrhistogram.Histogram
		failed  int64
		errors  []ErrorKind
	}
}

func newRecorder() *recorder {
	r := &recorder{}
	r.mu.latency = newHistogram()
	return r
}

// done records n requests that took as long.
func (r *recorder) done(latency, n int64) {
	latency = min(max(latency, 0), latencyMax)
	r.mu.Lock()
	_ = r.mu.latency.RecordValues(latency, n) // cannot fail within the bounds
	r.mu.Unlock()
}

// fail records n requests that ended in an error.
func (r *recorder) fail(kind, text string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.failed += n
	r.mu.errors = addError(r.mu.errors, ErrorKind{kind, n, text})
}

func addError(list []ErrorKind, e ErrorKind) []ErrorKind {
	i := slices.IndexFunc(list, func(o ErrorKind) bool { return o.Kind == e.Kind })
	if i < 0 && len(list) >= maxErrorKinds-1 && e.Kind != otherErrors {
		return addError(list, ErrorKind{otherErrors, e.Count, e.First})
	}
	if i < 0 {
		return append(list, e)
	}
	list[i].Count += e.Count
	return list
}

const otherErrors = "other"

// take swaps the histogram for an empty one, and returns the failures so far.
func (r *recorder) take(empty *hdrhistogram.Histogram) (full *hdrhistogram.Histogram, failed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	full, r.mu.latency = r.mu.latency, empty
	return full, r.mu.failed
}

func (r *recorder) errors() []ErrorKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.errors)
}

// errorKind is the first word of an error reply: "ERR", "MOVED".
func errorKind(text string) string {
	kind, _, _ := strings.Cut(text, " ")
	if kind == "" || kind != strings.ToUpper(kind) || len(kind) > 32 {
		return "ERR"
	}
	return kind
}
