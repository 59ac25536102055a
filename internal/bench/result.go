package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a run measured. What was sent in the warm-up is not in it.
type Result struct {
	Config      Config  `json:"config"`
	Interrupted bool    `json:"interrupted,omitempty"`
	Elapsed     float64 `json:"elapsed_s"`

	Ops     int64       `json:"ops"`          // requests answered without an error
	Rate    float64     `json:"ops_per_s"`    // of them
	Latency Latency     `json:"latency"`      // of them
	Failed  int64       `json:"failed"`       // requests that ended in an error
	Errors  []ErrorKind `json:"errors"`       // the most frequent first
	Missing int64       `json:"null_replies"` // among Ops: keys that were not there
	Unsent  int64       `json:"unsent"`       // open loop: due before the end, never sent because the server was behind

	Redirects  int64 `json:"redirects"`  // MOVED and ASK followed
	Reconnects int64 `json:"reconnects"` // connections made anew

	Sent     int64 `json:"sent_bytes"`
	Received int64 `json:"received_bytes"`

	CPU     []ProcessCPU `json:"cpu"`     // the generator first
	Seconds []Second     `json:"seconds"` // whole seconds of the run
}

// Latency is in microseconds. In an open loop it counts from the time a
// request was due, otherwise from the time it was sent.
type Latency struct {
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p99_9_us"`
	Max  float64 `json:"max_us"`
}

// Second is one second of a run.
type Second struct {
	Second  int     `json:"second"` // from 1
	Ops     int64   `json:"ops"`
	Failed  int64   `json:"failed"`
	Latency Latency `json:"latency"`
}

// ProcessCPU is the processor time that a process used during a run.
type ProcessCPU struct {
	PID         int     `json:"pid"`
	Name        string  `json:"name"`
	Seconds     float64 `json:"cpu_s"`
	MicrosPerOp float64 `json:"us_per_op"`
	Error       string  `json:"error,omitempty"` // why it could not be told
}

func summarize(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	us := func(ns int64) float64 { return float64(ns) / 1000 }
	return Latency{
		Mean: h.Mean() / 1000,
		P50:  us(h.ValueAtQuantile(50)), P90: us(h.ValueAtQuantile(90)), P99: us(h.ValueAtQuantile(99)),
		P999: us(h.ValueAtQuantile(99.9)), Max: us(h.Max()),
	}
}

// sumUp fills in what is known when the workers have ended.
func (r *Result) sumUp(p *phase, workers []*worker, total *hdrhistogram.Histogram) error {
	now := p.now()
	r.Interrupted = p.stop.Load()
	r.Ops, r.Latency = total.TotalCount(), summarize(total)
	finished := int64(0)
	for _, w := range workers {
		if w.tally.fatal != nil {
			return w.tally.fatal
		}
		finished = max(finished, w.tally.finished)
		r.Missing += w.tally.missing
		r.Redirects += w.tally.redirects
		r.Reconnects += w.tally.reconnects
		r.Unsent += w.tally.unsent
		r.Sent += w.tally.sent
		r.Received += w.tally.received
		for _, e := range w.recorder.errors() {
			r.Errors = addError(r.Errors, e)
			r.Failed += e.Count
		}
	}
	slices.SortFunc(r.Errors, func(a, b ErrorKind) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Kind, b.Kind))
	})
	if finished == 0 {
		finished = now
	}
	if p.end <= now {
		finished = max(finished, p.end) // a quiet end belongs to the run
	}
	r.Elapsed = max(0, float64(finished-p.measure)/1e9)
	if r.Elapsed > 0 {
		r.Rate = float64(r.Ops) / r.Elapsed
	}
	return nil
}

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", r.Config.what(), r.Config.how())
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s"+format+"\n", append([]any{name}, args...)...)
	}
	if r.Interrupted {
		row("interrupted", "what follows is what there was until then")
	}
	row("requests", "%s in %.2f s", grouped(r.Ops), r.Elapsed)
	row("throughput", "%s requests/s, %s/s sent, %s/s received", grouped(int64(r.Rate+0.5)),
		perSecond(r.Sent, r.Elapsed), perSecond(r.Received, r.Elapsed))
	l := r.Latency
	row("latency", "p50 %s, p90 %s, p99 %s, p99.9 %s, max %s, mean %s",
		millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max), millis(l.Mean))
	row("errors", "%s%s", grouped(r.Failed), share(r.Failed, r.Ops+r.Failed))
	for _, e := range r.Errors {
		row("", "%s × %s: %s", grouped(e.Count), e.Kind, e.First)
	}
	if r.Missing > 0 {
		row("null", "%s replies%s", grouped(r.Missing), share(r.Missing, r.Ops))
	}
	if r.Unsent > 0 {
		row("unsent", "%s requests were due but the server was behind", grouped(r.Unsent))
	}
	if r.Redirects > 0 || r.Reconnects > 0 {
		row("routes", "%s redirects, %s reconnects", grouped(r.Redirects), grouped(r.Reconnects))
	}
	for _, c := range r.CPU {
		if c.Error != "" {
			row("cpu", "%d: %s", c.PID, c.Error)
			continue
		}
		row("cpu", "%.2f µs per request: %s (%d), %.2f cores", c.MicrosPerOp, c.Name, c.PID, ratio(c.Seconds, r.Elapsed))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Config) what() string {
	s := c.Command
	if c.Command == "mixed" {
		s = fmt.Sprintf("mixed, %.4g %% reads", 100*c.ReadShare)
	}
	return fmt.Sprintf("%s; %s keys of %d bytes, %s; values of %d bytes", s, grouped(int64(c.Keys)), c.KeySize,
		c.Distribution, c.ValueSize)
}

func (c Config) how() string {
	loop := "closed loop"
	if c.Rate > 0 {
		loop = fmt.Sprintf("open loop at %s requests/s", grouped(int64(c.Rate+0.5)))
	}
	to := strings.Join(c.Addrs, ", ")
	if c.Cluster {
		to = "the cluster of " + to
	}
	return fmt.Sprintf("%d connections to %s; pipeline %d; %s", c.Connections, to, c.Pipeline, loop)
}

func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func millis(us float64) string {
	switch {
	case us < 10_000:
		return fmt.Sprintf("%.3f ms", us/1000)
	case us < 1_000_000:
		return fmt.Sprintf("%.1f ms", us/1000)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}

func perSecond(bytes int64, elapsed float64) string {
	rate := ratio(float64(bytes), elapsed)
	if rate < 1e6 {
		return fmt.Sprintf("%.1f kB", rate/1e3)
	}
	return fmt.Sprintf("%.1f MB", rate/1e6)
}

func share(part, whole int64) string {
	if part == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.3g %%)", 100*ratio(float64(part), float64(whole)))
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// printer writes the live line.
type printer struct {
	w        io.Writer
	terminal bool
	label    string
	open     bool // the terminal's line has no end yet
	errors   int64
}

func (p *printer) second(s Second) {
	p.errors += s.Failed
	line := fmt.Sprintf("%4d s  %s requests/s  p50 %s  p99 %s  max %s  errors %s", s.Second, grouped(s.Ops),
		millis(s.Latency.P50), millis(s.Latency.P99), millis(s.Latency.Max), grouped(p.errors))
	if p.label != "" {
		line = p.label + line
	}
	// Progress is a courtesy: that nobody can read it ends no run.
	if p.terminal {
		p.open = true
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		return
	}
	_, _ = fmt.Fprintln(p.w, line)
}

func (p *printer) finish() {
	if p.open {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
