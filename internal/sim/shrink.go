package sim

import (
	"context"
	"slices"
	"strings"
	"time"

	"coterie/internal/workload"
)

// otherSeeds is how many further seeds a smaller run is tried with: with one
// thing less everything after it comes otherwise, and what was to be met may
// need another throw of the dice.
const otherSeeds = 4

// Shrink looks for a smaller run that still meets the kind of violation of the
// given one: fewer nodes, sessions, partitions and faults, and less time. It
// returns the smallest found, and the number of runs that it took.
func Shrink(ctx context.Context, r *Result, limit time.Duration) (smallest *Result, runs int) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s := &shrinker{ctx: ctx, best: r, kind: kindOf(r)}
	for s.better() {
	}
	return s.best, s.runs
}

type shrinker struct {
	ctx  context.Context
	best *Result
	kind string
	runs int
}

// kindOf is what a violation is about, without its numbers and names.
func kindOf(r *Result) string {
	if len(r.Violations) == 0 {
		return ""
	}
	_, text, _ := strings.Cut(r.Violations[0], " s: ")
	text, _, _ = strings.Cut(text, "\n")
	words := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ':' })
	words = slices.DeleteFunc(words, func(w string) bool { return strings.ContainsAny(w, "0123456789") })
	return strings.Join(words[:min(4, len(words))], " ")
}

// better tries what is smaller than the best until something fails, too.
func (s *shrinker) better() bool {
	for _, o := range smaller(s.best) {
		for i := range uint64(1 + otherSeeds) {
			if s.ctx.Err() != nil {
				return false
			}
			x := o
			x.Trace, x.Seed = nil, o.Seed+i*1_000_003
			s.runs++
			r := Run(x)
			if len(r.Violations) > 0 && kindOf(r) == s.kind {
				s.best = r
				return true
			}
		}
	}
	return false
}

// smaller lists runs that have less of something, what saves most first. What
// the seed drew is made explicit as far as it is reduced.
func smaller(r *Result) (all []Options) {
	now, asked := r.Options, r.Asked
	add := func(change func(o *Options)) {
		o := asked
		change(&o)
		all = append(all, o)
	}
	if until := violatedAt(r); until > 0 && until < now.Duration*3/4 {
		add(func(o *Options) { o.Duration = until.Round(100*time.Millisecond) + 100*time.Millisecond })
	}
	if now.Duration > 2*time.Second {
		add(func(o *Options) { o.Duration = (now.Duration * 2 / 3).Round(100 * time.Millisecond) })
	}
	for _, n := range []int{1, 3, now.Nodes - 2, now.Nodes - 1} {
		if n > 0 && n < now.Nodes {
			add(func(o *Options) { o.Nodes = n })
		}
	}
	if now.Grow {
		add(func(o *Options) { o.Grow, o.NoGrow = false, true })
	}
	if now.Partitions > 1 {
		add(func(o *Options) { o.Partitions = 1 })
	}
	for _, n := range []int{1, now.Sessions / 2} {
		if n > 0 && n < now.Sessions {
			add(func(o *Options) { o.Sessions = n })
		}
	}
	if len(r.Stats.Faults) > 0 {
		add(func(o *Options) { o.Faults = []string{FaultsNone} })
	}
	add(func(o *Options) { o.FaultRate = max(o.FaultRate, 1) / 2; o.FaultRate = max(o.FaultRate, 1.0/64) })
	for _, kind := range sortedKeys(r.Stats.Faults) {
		add(func(o *Options) {
			if o.Faults == nil {
				o.Faults = []string{FaultsSwarm}
			}
			o.Faults = append(slices.Clone(o.Faults), "-"+kind)
		})
	}
	for _, k := range workload.Kinds() {
		add(func(o *Options) { o.Workload = k.Name })
	}
	if now.Harsh && !asked.Tame {
		add(func(o *Options) { o.Tame = true })
	}
	// What is the same already is no step; of workloads, none once there is one.
	return slices.DeleteFunc(all, func(o Options) bool {
		if asked.Workload != "" && o.Workload != asked.Workload && !strings.Contains(asked.Workload, ",") {
			return true
		}
		return o.CommandLine() == asked.CommandLine()
	})
}

// violatedAt is when the first violation was met.
func violatedAt(r *Result) time.Duration {
	at, _, _ := strings.Cut(r.Violations[0], " s: ")
	d, err := time.ParseDuration(strings.TrimSpace(at) + "s")
	if err != nil {
		return 0
	}
	return d
}
