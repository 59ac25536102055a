package sim

import (
	"context"
	"runtime/debug"
	"time"
)

// Campaign is many runs, one after the other.
type Campaign struct {
	Options          // of each run, but for the seed
	Seeds     uint64 // how many, from Options.Seed on; 0: until the time is over
	For       time.Duration
	KeepGoing bool // after a violation
	// Progress is called after each run.
	Progress func(t *Tally, r *Result)
}

// Tally is what the runs of a campaign came to.
type Tally struct {
	Seeds    uint64        `json:"seeds"`
	First    uint64        `json:"first_seed"`
	Events   int           `json:"simulator_events"`
	Virtual  time.Duration `json:"simulated_nanos"`
	Wall     time.Duration `json:"wall_nanos"`
	Stats    Stats         `json:"stats"`
	Failures []Failure     `json:"failures"`
}

// Failure is a run that met a violation.
type Failure struct {
	Seed       uint64   `json:"seed"`
	Violations []string `json:"violations"`
	Command    string   `json:"command"`
	Result     *Result  `json:"-"`
}

// Pace is how many simulated seconds passed per second.
func (t *Tally) Pace() float64 { return t.Virtual.Seconds() / max(t.Wall.Seconds(), 1e-9) }

// Run carries a campaign out, until ctx ends.
func (c *Campaign) Run(ctx context.Context) *Tally {
	// Runs are short, and leave much behind of which nothing lives: collect seldom,
	// in the same memory.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(gcLimit))
	t := &Tally{First: c.Seed}
	start := time.Now()
	for ctx.Err() == nil {
		if c.Seeds > 0 && t.Seeds >= c.Seeds || c.For > 0 && time.Since(start) >= c.For {
			break
		}
		o := c.Options
		o.Seed = c.Seed + t.Seeds
		r := Run(o)
		t.Seeds++
		t.Events += r.Events
		t.Virtual += r.Virtual
		t.Wall = time.Since(start)
		t.Stats.Add(&r.Stats)
		if len(r.Violations) > 0 {
			t.Failures = append(t.Failures, Failure{Seed: o.Seed, Violations: r.Violations, Command: r.Asked.CommandLine(), Result: r})
		}
		if c.Progress != nil {
			c.Progress(t, r)
		}
		if len(t.Failures) > 0 && !c.KeepGoing || len(t.Failures) >= maxFailures {
			break
		}
	}
	return t
}

const (
	gcLimit     = 512 << 20 // bytes at which it is collected; several times of what lives
	maxFailures = 100       // after so many a campaign ends in any case
)
