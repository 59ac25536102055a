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

// TestOrderThroughCuts: what a connection carries stays in order, also when it is
// cut for a while between two arrivals.
func TestOrderThroughCuts(t *testing.T) {
	o := Options{Seed: 1, Nodes: 3, NoGrow: true, Calm: true, Tame: true, Sessions: 1, Duration: 10 * time.Second}
	restore := seedElections(1)
	defer restore()
	c, err := build(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.closeDisks()
	c.found()
	run := func(long int64) { c.run(c.now+long, func() bool { return false }) }
	l, got := c.link(1, 2), ""
	c.run(10*second, func() bool { return l.up })
	post := func(name string, slow int64) {
		l.slow = slow
		if !c.post(c.machines[0].proc, 2, laneRequest, nil, func(*proc) { got += name }) {
			t.Fatal("there is no connection")
		}
	}
	post("a", 50*milli)
	post("b", 60*milli)
	post("c", 400*milli)
	run(40 * milli)
	c.block(l)
	post("d", 400*milli)
	run(260 * milli) // a and b have come to the cut
	l.slow = second
	c.unblock(l)
	run(3 * second)
	if got != "abcd" {
		t.Errorf("sent a, b, c, d; got %s", got)
	}
	for _, m := range c.machines {
		m.proc.dead = true
		m.proc.endGateways()
	}
}
