package sim

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "run this seed alone, or begin with it; cmd/coterie-sim has more flags")
	seedsFlag = flag.Uint64("sim.seeds", 0, "how many seeds to run")
)

// Seeds of an ordinary test run: about a minute of one core.
const (
	budget     = 300
	budgetRace = 25
	budgetReal = 40 // on the real stores
)

func seeds(n uint64) uint64 {
	switch {
	case *seedsFlag > 0:
		return *seedsFlag
	case *seedFlag > 0:
		return 1
	case raceEnabled || testing.Short():
		return min(n, budgetRace)
	}
	return n
}

// reportTo fails the test with everything that is needed to see it again.
func reportTo(t *testing.T, r *Result) {
	t.Helper()
	if len(r.Violations) > 0 {
		t.Errorf("seed %d (%d nodes, %d partitions, grow %v): %s\nsee it with: go run ./cmd/%s --trace /tmp/trace",
			r.Options.Seed, r.Options.Nodes, r.Options.Partitions, r.Options.Grow,
			strings.Join(r.Violations, "\n  "), r.Asked.CommandLine())
	}
}

func runSeeds(t *testing.T, store string, n uint64) *Stats {
	c := Campaign{Options: Options{Seed: max(*seedFlag, 1), Store: store}, Seeds: seeds(n), KeepGoing: true}
	c.Progress = func(_ *Tally, r *Result) { reportTo(t, r) }
	tally := c.Run(t.Context())
	t.Logf("%d seeds from %d: %v in %v, %d operations, %d faults: %+v", tally.Seeds, tally.First, tally.Virtual.Round(time.Second),
		tally.Wall.Round(time.Millisecond), tally.Stats.Ops, tally.Stats.Faults.Total(), tally.Stats)
	return &tally.Stats
}

// TestSeeds runs clusters under faults, one seed after the other.
func TestSeeds(t *testing.T) {
	s := runSeeds(t, StoreModel, budget)
	if *seedFlag > 0 {
		return
	}
	if s.Kills == 0 || s.Installed == 0 || s.Truncations == 0 || s.Unknown == 0 || s.Digests == 0 {
		t.Errorf("the faults do not reach what they should: %+v", s)
	}
	if seeds(budget) < budget {
		return
	}
	for _, f := range FaultKinds() {
		if s.Faults[f] == 0 {
			t.Errorf("no %s in %d seeds", f, budget)
		}
	}
	for _, e := range events {
		if !e.rare && s.Events[string(e.name)] == 0 {
			t.Errorf("not met in %d seeds: %s", budget, e.name)
		}
	}
}

// TestRealStores does the same on the production log and state stores.
func TestRealStores(t *testing.T) { runSeeds(t, StorePebble, budgetReal) }

// regressions are runs that met a bug once. A change of the simulator makes
// another run of a seed: what was found is kept as a script beside the package
// at fault, too, see docs/correctness.md.
var regressions = []Options{{Seed: 1065}, {Seed: 20479}, {Seed: 30353}}

func TestRegressions(t *testing.T) {
	for _, o := range regressions {
		reportTo(t, Run(o))
	}
}

// TestSameSeedSameHistory: the options and the seed are the whole history,
// byte by byte.
func TestSameSeedSameHistory(t *testing.T) {
	hashes := map[uint64]Options{}
	for seed := range seeds(40) {
		o := Options{Seed: seed + 1, Duration: 3 * time.Second}
		switch seed % 4 { // the seed's own run, and some that differ from it
		case 1:
			o.Nodes, o.Faults = 5, []string{FaultsAll}
		case 2:
			o.Grow, o.Sessions, o.FaultRate = true, 3, 4
		case 3:
			o.Tame, o.Nodes, o.Faults = true, 3, []string{FaultsSwarm, "-crash", "wipe-node"}
		}
		var one, two bytes.Buffer
		o.Trace = &one
		a := Run(o)
		o.Trace = &two
		b := Run(o)
		if a.Hash != b.Hash || a.Lines != b.Lines || a.Events != b.Events || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Errorf("seed %d: %016x after %d lines and %d events, then %016x after %d and %d",
				o.Seed, a.Hash, a.Lines, a.Events, b.Hash, b.Lines, b.Events)
		}
		o.Trace = nil
		if c := Run(o); c.Hash != a.Hash {
			t.Errorf("seed %d: to write the history changes it", o.Seed)
		}
		if before, ok := hashes[a.Hash]; ok {
			t.Errorf("seeds %d and %d have the same history", before.Seed, o.Seed)
		}
		hashes[a.Hash] = o
	}
}

// TestOptionsOverride: to set one option leaves what is drawn of the others.
func TestOptionsOverride(t *testing.T) {
	for seed := uint64(1); seed < 200; seed++ {
		drawn := Options{Seed: seed}
		if err := drawn.fill(); err != nil {
			t.Fatal(err)
		}
		set := Options{Seed: seed, Sessions: 1, Partitions: 2, Duration: time.Second, Faults: []string{"crash"}}
		if err := set.fill(); err != nil {
			t.Fatal(err)
		}
		drawn.Sessions, drawn.Partitions, drawn.Duration, drawn.Faults = 1, 2, time.Second, []string{"crash"}
		if fmt.Sprintf("%+v", drawn) != fmt.Sprintf("%+v", set) {
			t.Fatalf("seed %d: drawn\n%+v, with options set\n%+v", seed, drawn, set)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for _, x := range []struct{ list, kind, want string }{
		{"swarm", "crash", "drawn"}, {"", "crash", "drawn"}, {"all", "crash", "yes"}, {"none", "crash", "no"},
		{"crash,split", "crash", "yes"}, {"crash,split", "pause", "no"}, {"swarm,-crash", "crash", "no"},
		{"swarm,-crash", "split", "drawn"}, {"-crash", "split", "drawn"}, {"all,-crash", "crash", "no"}, {"swarm,split", "split", "yes"},
	} {
		kinds, err := ParseFaults(x.list)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Faults: kinds}
		got := "drawn"
		if a, b := o.allows(x.kind, true), o.allows(x.kind, false); a == b {
			got = map[bool]string{true: "yes", false: "no"}[a]
		}
		if got != x.want {
			t.Errorf("--faults %s: %s happens: %s, want %s", x.list, x.kind, got, x.want)
		}
	}
	if _, err := ParseFaults("crash,earthquake"); err == nil || !strings.Contains(err.Error(), "earthquake") {
		t.Errorf("an unknown fault: %v", err)
	}
}
