package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"coterie/internal/sim"
)

// report is the output as JSON.
type report struct {
	*sim.Tally
	Pace   float64  `json:"simulated_seconds_per_second"`
	Hash   string   `json:"hash"`
	Missed []string `json:"missed,omitempty"`
}

// meter shows how far a campaign is, once a second.
type meter struct {
	out   io.Writer
	began time.Time
	shown time.Time
}

func (p *meter) show(t *sim.Tally) {
	if time.Since(p.shown) < time.Second {
		return
	}
	p.shown = time.Now()
	s := &t.Stats
	fmt.Fprintf(p.out, "\r%d seeds, %.1f/s, %v simulated, %.0f s/s, %s operations, %d faults, %d elections, %d snapshots, %d membership changes, %d violations ",
		t.Seeds, float64(t.Seeds)/max(t.Wall.Seconds(), 1e-3), t.Virtual.Round(time.Second), t.Pace(), thousands(s.Ops), s.Faults.Total(), s.Leaders, s.Installed, s.Membership(), len(t.Failures))
}

func (p *meter) end() {
	if !p.shown.IsZero() {
		fmt.Fprintln(p.out)
	}
}

// thousands writes a number with a comma between thousands.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// explain says what a run found, how to see it again, and what came before.
func (f *flags) explain(ctx context.Context, out, progress io.Writer, r *sim.Result) {
	violation(out, "VIOLATION", r)
	if f.shrink > 0 {
		fmt.Fprintf(progress, "\nlooking for a smaller run, for up to %v\n", f.shrink)
		small, runs := sim.Shrink(ctx, r, f.shrink)
		if small != r {
			violation(out, fmt.Sprintf("SMALLEST of %d further runs,", runs), small)
			r = small
		}
	}
	fmt.Fprintln(out, "the end of its history:")
	for _, l := range r.Tail {
		fmt.Fprintf(out, "  %s\n", l)
	}
	fmt.Fprintf(out, "again: %s --trace /tmp/trace\n", r.Asked.CommandLine())
}

func violation(out io.Writer, title string, r *sim.Result) {
	o, s := &r.Options, &r.Stats
	fmt.Fprintf(out, "\n%s in seed %d (%d nodes, %d partitions, %d sessions, %v of faults, store %s; %d operations, %d faults, %d lines of history):\n",
		title, o.Seed, o.Nodes, o.Partitions, o.Sessions, o.Duration, o.Store, s.Ops, s.Faults.Total(), r.Lines)
	for _, v := range r.Violations {
		fmt.Fprintf(out, "  %s\n", v)
	}
}

// summary says what a campaign came across.
func (f *flags) summary(out io.Writer, t *sim.Tally, missed []string) {
	s := &t.Stats
	fmt.Fprintf(out, "%d seeds from %d: %v simulated in %v (%.0f s/s; %.0f per second of CPU), %s operations (%d refused, %d unknown, %d cut off), %d transactions over partitions, %d violations\n",
		t.Seeds, t.First, t.Virtual.Round(time.Second), t.Wall.Round(time.Millisecond), t.Pace(), t.Virtual.Seconds()/max(cpuTime().Seconds(), 1e-3), thousands(s.Ops), s.NotRun, s.Unknown, s.Cut, s.Spanning, len(t.Failures))
	fmt.Fprintf(out, "%d elections, %d handovers, %d snapshots begun, %d installed, %d logs cut, %d membership changes, %d joins, %d replicas removed, %d processes ended, %d comparisons of replicas\n",
		s.Leaders, s.Transfers, s.Snapshots, s.Installed, s.Truncations, s.ConfChanges, s.Joins, s.Removed, s.Kills, s.Digests)
	if s.Inconclusive > 0 {
		fmt.Fprintf(out, "%d histories were too much for the checker\n", s.Inconclusive)
	}
	fmt.Fprintf(out, "%d faults:", s.Faults.Total())
	for _, k := range slices.Sorted(maps.Keys(s.Faults)) {
		fmt.Fprintf(out, " %s %d", k, s.Faults[k])
	}
	fmt.Fprintln(out)
	if f.coverage {
		table(out, "events", sim.Events(), s.Events)
		table(out, "deaths at labelled points", sim.Points(), s.Points)
	}
	for _, m := range missed {
		fmt.Fprintf(out, "MISSED %s\n", m)
	}
	for _, x := range t.Failures {
		fmt.Fprintf(out, "FAILED %s: %.200s\n", x.Command, x.Violations[0])
	}
}

func table(out io.Writer, title string, names []string, n sim.Count) {
	fmt.Fprintln(out, title+":")
	for _, name := range names {
		fmt.Fprintf(out, "%10d  %s\n", n[name], name)
	}
}
