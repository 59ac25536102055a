// Package placement decides where replicas belong and who should lead: pure
// functions from a picture of the cluster to decisions. It does not carry
// them out.
//
// Plan runs at the catalog's leader and changes the catalog's wishes; Next
// runs at each partition's leader and takes the next step from what the
// partition is to what the catalog wishes.
//
// Invariants:
//   - A partition has one voter until Replication nodes can hold it, then
//     Replication voters, in one joint step: never an even number.
//   - A voter is replaced only by a node that is alive, and only when the old
//     one is dead, or to even out the load while everything is settled.
//   - One change at a time per partition, learners first.
package placement

import (
	"cmp"
	"fmt"
	"slices"

	"coterie/internal/base"
	"coterie/internal/catalog"
)

// Health is what is known of a node.
type Health uint8

const (
	Alive   Health = iota
	Suspect        // not heard of, but for too short a time to act on
	Dead           // not heard of for so long that its replicas are rebuilt
)

// Node is a node in the picture.
type Node struct {
	ID     base.NodeID
	Zone   string
	Health Health
}

// Picture is what Plan decides on.
type Picture struct {
	Replication int
	Nodes       []Node
	Partitions  []catalog.Partition
	// Settled says of each partition whether it is already as the catalog
	// wishes.
	Settled map[base.PartitionID]bool
}

func (p *Picture) health(id base.NodeID) Health {
	for _, n := range p.Nodes {
		if n.ID == id {
			return n.Health
		}
	}
	return Dead
}

// load counts the replicas that each node is to hold, the catalog's aside.
func (p *Picture) load() map[base.NodeID]int {
	load := map[base.NodeID]int{}
	for _, part := range p.Partitions {
		if part.ID == base.Catalog {
			continue
		}
		for _, r := range part.Replicas {
			load[r.Node]++
		}
	}
	return load
}

// Plan returns the partitions whose record should change, each with the
// reason. It changes nothing in the picture.
func Plan(pic *Picture) []catalog.Partition {
	var changes []catalog.Partition
	load := pic.load()
	parts := slices.Clone(pic.Partitions)
	for i := range parts {
		if c, ok := replicas(pic, &parts[i], load); ok {
			parts[i] = c
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		if c, ok := rebalance(pic, parts, load); ok {
			return []catalog.Partition{c}
		}
	}
	return preferences(pic, parts, changes)
}

// replicas brings one partition's members to what the living nodes allow.
func replicas(pic *Picture, p *catalog.Partition, load map[base.NodeID]int) (catalog.Partition, bool) {
	c := *p
	c.Replicas = slices.Clone(p.Replicas)
	voters := 0
	for _, r := range c.Replicas {
		if !r.Learner {
			voters++
		}
	}
	usable := 0
	for _, n := range pic.Nodes {
		if n.Health != Dead {
			usable++
		}
	}
	switch {
	case voters < pic.Replication && voters+candidates(pic, &c) >= pic.Replication:
		c.Reason = fmt.Sprintf("%d nodes: %d copies that vote", usable, pic.Replication)
		promote(pic, &c, pic.Replication-voters, load)
	case voters < pic.Replication:
		if !addLearners(pic, &c, usable-1, load) && p.ID != base.Catalog {
			return c, false
		}
		c.Reason = fmt.Sprintf("%d nodes: a copy that does not vote yet", usable)
	default:
		c.Reason = "a member is dead"
		if !replaceDead(pic, &c, load) {
			c.Reason = p.Reason
		}
	}
	if p.ID == base.Catalog {
		addLearners(pic, &c, len(pic.Nodes), load)
	}
	return c, !slices.Equal(c.Replicas, p.Replicas)
}

// candidates is how many members could become voters now.
func candidates(pic *Picture, c *catalog.Partition) int {
	n := 0
	for _, node := range pic.Nodes {
		on := c.On(node.ID)
		if on == nil && node.Health == Alive || on != nil && on.Learner && node.Health != Dead {
			n++
		}
	}
	return n
}

// promote makes n more members voters, living learners first.
func promote(pic *Picture, c *catalog.Partition, n int, load map[base.NodeID]int) {
	for i := range c.Replicas {
		if n > 0 && c.Replicas[i].Learner && pic.health(c.Replicas[i].Node) != Dead {
			c.Replicas[i].Learner = false
			n--
		}
	}
	for ; n > 0; n-- {
		id := spare(pic, c, load)
		if id == 0 {
			return
		}
		c.Replicas = append(c.Replicas, catalog.Replica{Node: id})
		load[id]++
	}
}

// addLearners adds learners on nodes without a replica, up to limit learners.
func addLearners(pic *Picture, c *catalog.Partition, limit int, load map[base.NodeID]int) (added bool) {
	learners := 0
	for _, r := range c.Replicas {
		if r.Learner {
			learners++
		}
	}
	for ; learners < limit; learners++ {
		id := spare(pic, c, load)
		if id == 0 {
			return added
		}
		c.Replicas = append(c.Replicas, catalog.Replica{Node: id, Learner: true})
		load[id]++
		added = true
	}
	return added
}

// replaceDead swaps one dead voter for a living node.
func replaceDead(pic *Picture, c *catalog.Partition, load map[base.NodeID]int) bool {
	for i, r := range c.Replicas {
		if r.Learner || pic.health(r.Node) != Dead {
			continue
		}
		for j, l := range c.Replicas { // a living learner of the catalog is at hand
			if l.Learner && pic.health(l.Node) == Alive {
				c.Replicas[j].Learner = false
				c.Replicas = slices.Delete(c.Replicas, i, i+1)
				return true
			}
		}
		id := spare(pic, c, load)
		if id == 0 {
			return false
		}
		c.Replicas[i] = catalog.Replica{Node: id}
		load[id]++
		return true
	}
	return false
}

// spare picks the node for one more replica: alive, without one, in a zone
// that has fewest of them, then the least loaded, then the lowest id.
func spare(pic *Picture, c *catalog.Partition, load map[base.NodeID]int) base.NodeID {
	zones := map[string]int{}
	for _, n := range pic.Nodes {
		if c.On(n.ID) != nil {
			zones[n.Zone]++
		}
	}
	var best *Node
	for i := range pic.Nodes {
		n := &pic.Nodes[i]
		if n.Health != Alive || c.On(n.ID) != nil {
			continue
		}
		if best == nil || cmp.Or(
			cmp.Compare(zones[n.Zone], zones[best.Zone]),
			cmp.Compare(load[n.ID], load[best.ID]),
			cmp.Compare(n.ID, best.ID)) < 0 {
			best = n
		}
	}
	if best == nil {
		return 0
	}
	return best.ID
}

// rebalance moves one replica from the fullest to the emptiest node, when
// everything is settled and the difference is worth it.
func rebalance(pic *Picture, parts []catalog.Partition, load map[base.NodeID]int) (catalog.Partition, bool) {
	var full, empty base.NodeID
	for _, n := range pic.Nodes {
		if n.Health != Alive {
			return catalog.Partition{}, false
		}
		if full == 0 || load[n.ID] > load[full] {
			full = n.ID
		}
		if empty == 0 || load[n.ID] < load[empty] {
			empty = n.ID
		}
	}
	for _, p := range parts {
		if !pic.Settled[p.ID] {
			return catalog.Partition{}, false
		}
	}
	if full == 0 || load[full]-load[empty] < 2 {
		return catalog.Partition{}, false
	}
	for _, p := range parts {
		r := p.On(full)
		if p.ID == base.Catalog || r == nil || r.Learner || p.On(empty) != nil {
			continue
		}
		c := p
		c.Replicas = slices.Clone(p.Replicas)
		*c.On(full) = catalog.Replica{Node: empty}
		c.Reason = fmt.Sprintf("node %d holds %d replicas, node %d %d", full, load[full], empty, load[empty])
		if c.Preferred == full {
			c.Preferred = empty
		}
		return c, true
	}
	return catalog.Partition{}, false
}

// preferences spreads the leaders evenly over the living voters, and changes
// as few as that takes.
func preferences(pic *Picture, parts, changes []catalog.Partition) []catalog.Partition {
	leads := map[base.NodeID]int{}
	for i := range parts {
		p := &parts[i]
		if on := p.On(p.Preferred); on != nil && !on.Learner && pic.health(p.Preferred) == Suspect {
			leads[p.Preferred]++ // too early to act on
			continue
		}
		var voters []base.NodeID
		for _, r := range p.Replicas {
			if !r.Learner && pic.health(r.Node) == Alive {
				voters = append(voters, r.Node)
			}
		}
		if len(voters) == 0 {
			continue
		}
		slices.SortFunc(voters, func(a, b base.NodeID) int {
			keep := func(n base.NodeID) int {
				if n == p.Preferred {
					return 0
				}
				return 1
			}
			return cmp.Or(cmp.Compare(leads[a], leads[b]), cmp.Compare(keep(a), keep(b)), cmp.Compare(a, b))
		})
		best := voters[0]
		leads[best]++
		if best == p.Preferred {
			continue
		}
		if j := slices.IndexFunc(changes, func(c catalog.Partition) bool { return c.ID == p.ID }); j >= 0 {
			changes[j].Preferred = best
			continue
		}
		c := *p
		c.Preferred, c.Reason = best, "leaders spread evenly"
		changes = append(changes, c)
	}
	return changes
}
