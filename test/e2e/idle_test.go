package e2e

import (
	"testing"
	"time"
)

// TestIdleCPU: a cluster at rest costs next to nothing.
func TestIdleCPU(t *testing.T) {
	if testing.Short() || !osMeasures() || *flagRace {
		t.Skip("takes seconds, Linux and a build without the race detector")
	}
	const wanted, limit = 2.0, 6.0 // percent of one core; the machine may be busy with other tests
	c := newCluster(t, 3)
	time.Sleep(time.Second)
	const rest = 5 * time.Second
	before := make([]int64, 3)
	for i, n := range c.nodes {
		before[i] = cpuTicks(t, n.running().cmd.Process.Pid)
	}
	time.Sleep(rest)
	for i, n := range c.nodes {
		used := time.Duration(cpuTicks(t, n.running().cmd.Process.Pid)-before[i]) * 10 * time.Millisecond
		percent := 100 * used.Seconds() / rest.Seconds()
		t.Logf("node %d at rest: %.1f %% of one core (wanted: under %.0f %%)", n.number, percent, wanted)
		if percent > limit {
			t.Errorf("node %d at rest uses %.1f %% of one core", n.number, percent)
		}
	}
}
