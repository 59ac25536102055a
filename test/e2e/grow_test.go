package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/status"
)

// TestGrow: a cluster grows from one node to four under load. No client sees
// an error; copies rise as documented, and leaders spread.
func TestGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	c := newCluster(t, 1)
	var stop atomic.Bool
	var written atomic.Int64
	var wg sync.WaitGroup
	load := func(n *node) {
		for w := range 3 {
			cl := &client{addr: n.redis}
			wg.Go(func() {
				defer cl.close()
				for i := 1; !stop.Load(); i++ {
					key := fmt.Sprintf("g:%d:%d:%d", n.number, w, i%50)
					vs, err := cl.pipeline([][]string{{"SET", key, fmt.Sprint(i)}, {"GET", key}, {"INCR", fmt.Sprintf("g:%d:%d:count", n.number, w)}})
					if err != nil {
						t.Errorf("client of node %d: %v", n.number, err)
						return
					}
					for _, v := range vs {
						if v.Err() != nil {
							t.Errorf("client of node %d: %v", n.number, v.Err())
						}
					}
					if len(vs) == 3 && (vs[1].Text() != fmt.Sprint(i) || vs[2].Int != int64(i)) {
						t.Errorf("client of node %d: wrote %d, read %q, counted %d", n.number, i, vs[1].Text(), vs[2].Int)
					}
					written.Add(1)
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	load(c.nodes[0])
	for size := 2; size <= 4; size++ {
		n := c.add()
		load(n)
		start := time.Now()
		await(t, 2*patience*slow(), func() string {
			if m := c.unhealthy(size); m != "" {
				return m
			}
			return c.copies(size)
		})
		t.Logf("%d nodes: in order %v after the start, %d writes so far", size, time.Since(start).Round(time.Millisecond), written.Load())
	}
	time.Sleep(300 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	stdout, stderr, code := runBinary(t, patience, "status", "--http", c.nodes[3].web)
	if code != 0 {
		t.Errorf("status: exit code %d\n%s", code, stderr)
	}
	t.Logf("\n%s", stdout)
}

// copies says what is missing from the documented number of copies: two nodes
// are a voter and a learner, from three on there are three voters.
func (c *cluster) copies(nodes int) string {
	s, err := c.nodes[0].status()
	if err != nil {
		return err.Error()
	}
	voters, learners := 3, 0
	switch nodes {
	case 1:
		voters = 1
	case 2:
		voters, learners = 1, 1
	}
	on := map[uint64]bool{}
	for _, p := range s.Partitions {
		v, l := 0, 0
		for _, r := range p.Replicas {
			if r.Role == status.Voter {
				v++
			} else {
				l++
			}
			if p.Slots != "" {
				on[r.Node] = true
			}
		}
		if p.Slots == "" { // every node may hold a copy of the catalog
			if v != voters {
				return fmt.Sprintf("the catalog has %d voters, not %d", v, voters)
			}
			continue
		}
		if v != voters || l != learners {
			return fmt.Sprintf("partition %d has %d voters and %d learners, not %d and %d", p.ID, v, l, voters, learners)
		}
	}
	if len(on) != nodes {
		return fmt.Sprintf("copies on %d of %d nodes", len(on), nodes)
	}
	return ""
}
