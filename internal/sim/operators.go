package sim

import (
	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/partition"
)

// What operators do: add nodes, take them away, replace them, under load.
// There is no command that removes a node: one that is silent for longer than
// dead-after loses its replicas to others.

// maxMachines bounds the nodes that a run ever has.
const maxMachines = 12

func (c *cluster) addNode(d dice, _ *machine) bool {
	if len(c.machines) >= maxMachines || c.members() >= MaxNodes {
		return false
	}
	c.recruit()
	return true
}

// members counts the machines that are there.
func (c *cluster) members() (n int) {
	for _, m := range c.machines {
		if m.joined {
			n++
		}
	}
	return n
}

// wipeNode takes a machine's disk away. A new node joins in its place.
func (c *cluster) wipeNode(d dice, m *machine) bool {
	if !c.dispensable(m) || len(c.machines) >= maxMachines {
		return false
	}
	c.lost = m
	m.kill()
	c.after(d.skewed(100*milli, 3*second), func() { c.replaceDisk(m) })
	m.joined = false
	return true
}

// replaceDisk ends a machine's life under its old id.
func (c *cluster) replaceDisk(m *machine) {
	if m.gone {
		return
	}
	m.gone = true
	c.met(eventWiped)
	c.trace("n%d is given up", m.id)
	m.kill()
	m.joined = false
	if len(c.machines) < maxMachines {
		c.recruit()
	}
}

// replaceNode stops a machine for longer than dead-after, while another one
// joins. It comes back some time later, when its replicas may be elsewhere.
func (c *cluster) replaceNode(d dice, m *machine) bool {
	if m.proc == nil || len(c.machines) >= maxMachines || c.members() >= MaxNodes {
		return false
	}
	c.trace("n%d is taken away", m.id)
	m.kill()
	c.recruit()
	removed := c.stats.Removed
	c.after(d.between(c.opts.DeadAfter/2, c.opts.DeadAfter+8*second), func() {
		if m.proc == nil && m.joined {
			m.start()
			c.after(3*second, func() {
				if c.stats.Removed > removed {
					c.met(eventReturned)
				}
			})
		}
	})
	return true
}

// dispensable says whether all data survives the loss of a machine's disk: of
// any configuration that may decide, at most a minority is then gone. Only
// one machine is lost at a time, and the next one when the last one is a
// member of nothing any more.
func (c *cluster) dispensable(m *machine) bool {
	if !m.joined || c.lost != nil && c.lost != m && c.mentions(c.lost.id) {
		return false
	}
	if c.lost == m {
		return false
	}
	for _, other := range c.machines {
		if !other.joined {
			continue
		}
		p := other.proc
		if p == nil || p.view == nil {
			return false // nobody knows what it holds
		}
		for _, r := range p.shard.Replicas() {
			if conf := &r.State().Conf; r.Initialized() && (len(conf.Voters) < 3 || conf.Joint() && len(conf.VotersOutgoing) < 3) {
				return false
			}
		}
		for i := range p.view.Partitions {
			if voters(p.view.Partitions[i].Replicas) < 3 {
				return false
			}
		}
	}
	return true
}

// mentions says whether a node may still vote in some partition: by any
// machine's state, or by the catalog as any of them knows it.
func (c *cluster) mentions(id base.NodeID) bool {
	for _, m := range c.machines {
		if !m.joined {
			continue
		}
		p := m.proc
		if p == nil || p.view == nil {
			return true
		}
		for _, r := range p.shard.Replicas() {
			if votes(r.State(), id) {
				return true
			}
		}
		for i := range p.view.Partitions {
			if on := p.view.Partitions[i].On(id); on != nil && !on.Learner {
				return true
			}
		}
	}
	return false
}

// votes says whether a configuration has a voter on a node.
func votes(s *partition.State, id base.NodeID) bool {
	for replica, node := range s.Members {
		if node == id && s.Conf.Voter(replica) {
			return true
		}
	}
	return false
}

// voters counts those that are to vote.
func voters(rs []catalog.Replica) (n int) {
	for _, r := range rs {
		if !r.Learner {
			n++
		}
	}
	return n
}
