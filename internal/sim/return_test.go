package sim

import (
	"testing"
	"time"

	"coterie/internal/base"
)

// TestReturnOfTheDead: a node that was away for so long that others took its
// place learns of it when it is back, and becomes a member again.
func TestReturnOfTheDead(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		o := Options{
			Seed: seed, Nodes: 4, Replication: 3, Calm: true, Tame: true, NoGrow: true, DeadAfter: 4 * second,
			Sessions: 2, Duration: 40 * time.Second,
		}
		restore := seedElections(seed)
		c, err := build(&o)
		if err != nil {
			t.Fatal(err)
		}
		c.found()
		never := func() bool { return false }
		c.run(3*second, never)
		m := c.machines[1]
		old := m.proc.shard.Replica(base.Catalog).ID()
		for _, other := range c.machines {
			c.cutBoth(m, other, 12*second)
		}
		c.run(40*second, never)
		r := m.proc.shard.Replica(base.Catalog)
		switch newest := c.machines[0].proc.view; {
		case len(c.broken) > 0:
			t.Errorf("seed %d: %v", seed, c.broken)
		case r == nil || r.ID() == old:
			t.Errorf("seed %d: the returned node still has its old replica of the catalog", seed)
		case newest.Partition(base.Catalog).Version != m.proc.view.Partition(base.Catalog).Version:
			t.Errorf("seed %d: the returned node has an old catalog", seed)
		}
		c.closeDisks()
		restore()
	}
}
