package sim

import (
	"testing"
	"time"
)

// TestShrink: what is found small is smaller, fails alike, and its options
// say all that there is to say.
func TestShrink(t *testing.T) {
	var r *Result
	for seed := uint64(1); seed < 200; seed++ {
		if r = Run(Options{Seed: seed, Bug: BugEarlyTruncate}); len(r.Violations) > 0 {
			break
		}
	}
	if len(r.Violations) == 0 {
		t.Fatal("the planted bug was not found")
	}
	small, runs := Shrink(t.Context(), r, 20*time.Second)
	t.Logf("%d lines, %d nodes: %s\n%d lines, %d nodes after %d runs: %s", r.Lines, r.Options.Nodes, r.Asked.CommandLine(),
		small.Lines, small.Options.Nodes, runs, small.Asked.CommandLine())
	if small == r || kindOf(small) != kindOf(r) || small.Options.Duration > r.Options.Duration || small.Options.Nodes > r.Options.Nodes {
		t.Errorf("%q did not get smaller than %q", small.Violations[0], r.Violations[0])
	}
	if again := Run(small.Asked); again.Hash != small.Hash {
		t.Errorf("run again it has hash %016x, not %016x", again.Hash, small.Hash)
	}
}
