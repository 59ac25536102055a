package sim

import (
	"testing"
	"time"
)

// TestGoodWeather: when all faults have ended the network does no more than TCP
// lets happen, however harsh the run was, and also if somebody was making it
// worse just then. Three lost answers to candidates had kept a partition without
// a leader for seven seconds of what was called good weather.
func TestGoodWeather(t *testing.T) {
	harsh := 0
	for seed := uint64(1); seed <= 20; seed++ {
		o := Options{
			Seed: seed, Nodes: 3, NoGrow: true, Harsh: true, Duration: 2 * time.Second,
			Faults: []string{"loss", "duplication", "reordering"}, FaultEvery: 100 * milli,
		}
		restore := seedElections(seed)
		c, err := build(&o)
		if err != nil {
			t.Fatal(err)
		}
		if c.net.loss > 0 {
			harsh++
		}
		c.found()
		c.play()
		if c.net.loss != 0 || c.net.doubling != 0 || c.net.reorders != 0 || len(c.broken) > 0 {
			t.Errorf("seed %d: %+v at the end, %v", seed, c.net, c.broken)
		}
		for _, m := range c.machines {
			if p := m.proc; p != nil {
				p.dead = true
				p.endGateways()
			}
		}
		c.closeDisks()
		restore()
	}
	if harsh == 0 {
		t.Error("no run lost messages to begin with")
	}
}
