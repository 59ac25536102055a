package sim

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "run this seed alone, or begin with it")
	seedsFlag = flag.Uint64("sim.seeds", 0, "how many seeds to run; 0: as many as fit into the usual time")
	traceFlag = flag.String("sim.trace", "", "write the readable history of the last seed to this file")
)

// usual is how long the seeds of an ordinary test run may take.
const usual = 8 * time.Second

// reportTo fails the test with everything that is needed to see it again.
func reportTo(t *testing.T, r *Result) {
	t.Helper()
	if len(r.Violations) > 0 {
		t.Errorf("seed %d (%d nodes, %d partitions, grow %v): %s\nsee it with: go test ./internal/sim -run TestSeeds -sim.seed=%d -sim.seeds=1 -sim.trace=/tmp/trace\n%+v",
			r.Options.Seed, r.Options.Nodes, r.Options.Partitions, r.Options.Grow,
			strings.Join(r.Violations, "\n  "), r.Options.Seed, r.Stats)
	}
}

// TestSeeds runs clusters under faults, one seed after the other.
func TestSeeds(t *testing.T) {
	first, n := max(*seedFlag, 1), *seedsFlag
	if *seedFlag != 0 && n == 0 {
		n = 1
	}
	var total Stats
	start := time.Now()
	var ran uint64
	for ran < n || n == 0 && time.Since(start) < usual {
		o := Options{Seed: first + ran}
		ran++
		if *traceFlag != "" && ran == n {
			f, err := os.Create(*traceFlag)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			o.Trace = f
		}
		r := Run(o)
		reportTo(t, r)
		total.Add(&r.Stats)
		if testing.Verbose() && n > 0 && n < 20 {
			t.Logf("seed %d: %d nodes, %d partitions, %d events, %v virtual: %+v", o.Seed, r.Options.Nodes, r.Options.Partitions, r.Events, r.Virtual, r.Stats)
		}
	}
	t.Logf("%d seeds from %d in %v: %+v", ran, first, time.Since(start).Round(time.Millisecond), total)
	if n == 0 && (total.Kills == 0 || total.Snapshots == 0 || total.Truncations == 0 || total.Unknown == 0 || total.Digests == 0) {
		t.Errorf("the faults do not reach what they should: %+v", total)
	}
}

// TestSameSeedSameTrace: a seed is the whole history.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		o := Options{Seed: seed, Nodes: 3, Duration: 6 * time.Second}
		a, b := Run(o), Run(o)
		if a.Hash != b.Hash || a.Lines != b.Lines || a.Events != b.Events {
			t.Errorf("seed %d: %016x after %d lines and %d events, then %016x after %d and %d", seed, a.Hash, a.Lines, a.Events, b.Hash, b.Lines, b.Events)
		}
		if c := Run(Options{Seed: seed + 1000, Nodes: 3, Duration: 6 * time.Second}); c.Hash == a.Hash {
			t.Errorf("seeds %d and %d have the same trace", seed, seed+1000)
		}
	}
}
