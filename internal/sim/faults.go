package sim

import (
	"cmp"
	"time"
)

// plan spreads faults over the run. Each is followed by its end, so that the
// cluster has a chance to come back; heal ends those that still last.
func (c *cluster) plan(until int64) {
	mean := cmp.Or(c.opts.FaultEvery, c.between(150*milli, 3*second))
	var next func()
	next = func() {
		if c.now >= until {
			return
		}
		c.fault()
		c.after(c.between(mean/4, mean*2), next)
	}
	start := 2 * second
	if c.opts.Grow {
		start = c.between(second, 8*second)
	}
	c.after(start, func() { c.faulty = true; next() })
}

// fault lets one thing go wrong.
func (c *cluster) fault() {
	m := c.machines[c.rand.IntN(len(c.machines))]
	if !m.joined {
		return
	}
	switch c.rand.IntN(13) {
	case 0, 1, 2:
		c.crash(m)
	case 3:
		c.powerLoss()
	case 4, 5:
		c.stats.Pauses++
		m.pause()
		c.after(c.skewed(50*milli, 6*second), m.resume)
	case 6:
		c.split()
	case 7:
		c.isolate(m)
	case 8: // one direction of one link
		c.cut(c.links[m.id-1][c.rand.IntN(len(c.machines))], c.between(100*milli, 6*second))
	case 9: // connections break, and come back
		c.stats.Resets++
		c.trace("connections of n%d break", m.id)
		for _, other := range c.machines {
			if c.chance(0.7) {
				c.breakLink(c.link(m.id, other.id), true)
			}
			if c.chance(0.7) {
				c.breakLink(c.link(other.id, m.id), true)
			}
		}
	case 10:
		m.slowDisk = c.skewed(milli, 800*milli)
		c.trace("disk of n%d is slow: %v", m.id, time.Duration(m.slowDisk)*time.Microsecond)
		c.after(c.between(100*milli, 4*second), func() { m.slowDisk = 0 })
	case 11:
		c.transfer(m)
	case 12:
		c.slowNet = c.skewed(milli, 400*milli)
		c.trace("the network is slow: %v", time.Duration(c.slowNet)*time.Microsecond)
		c.after(c.between(100*milli, 3*second), func() { c.slowNet = 0 })
	}
}

// crash kills a process and starts it again.
func (c *cluster) crash(m *machine) {
	c.stats.Kills++
	m.kill()
	down := c.skewed(5*milli, 8*second)
	if c.chance(0.3) {
		down = c.between(milli, 20*milli)
	}
	if c.chance(0.2) { // its wall clock may be another one then
		m.offset = c.between(-3600*second, 3600*second)
	}
	c.after(down, func() {
		if m.proc == nil {
			m.start()
		}
	})
}

// point is a place where a process may die, the more often the rarer it is
// reached. It says that it did: then the caller must do no more.
func (p *proc) point(where string, chance float64) (died bool) {
	c := p.c
	if p.dead || !c.faulty || !c.chance(chance) {
		return p.dead
	}
	c.trace("n%d at: %s", p.m.id, where)
	c.stats.Points++
	c.crash(p.m)
	return true
}

// powerLoss takes all machines at once.
func (c *cluster) powerLoss() {
	c.stats.PowerLosses++
	c.trace("power loss")
	for _, m := range c.machines {
		if m.joined {
			c.crash(m)
		}
	}
}

// split puts the machines on two sides.
func (c *cluster) split() {
	c.stats.Splits++
	side := make([]bool, len(c.machines))
	for i := range side {
		side[i] = c.chance(0.5)
	}
	long := c.skewed(200*milli, 8*second)
	c.trace("split %v", side)
	for i, row := range c.links {
		for j, l := range row {
			if side[i] != side[j] {
				c.cut(l, long)
			}
		}
	}
}

// isolate takes a machine off the network.
func (c *cluster) isolate(m *machine) {
	c.stats.Splits++
	long := c.skewed(200*milli, 8*second)
	c.trace("n%d is alone", m.id)
	for _, other := range c.machines {
		c.cut(c.link(m.id, other.id), long)
		c.cut(c.link(other.id, m.id), long)
	}
}

// cut blocks one direction for a while.
func (c *cluster) cut(l *link, long int64) {
	if l.from == l.to {
		return
	}
	c.trace("n%d -/> n%d", l.from.id, l.to.id)
	c.block(l)
	n := l.blockCount
	c.after(long, func() {
		if l.blockCount == n {
			c.unblock(l)
		}
	})
}

// transfer hands a leadership to some other node.
func (c *cluster) transfer(m *machine) {
	p := m.proc
	if p == nil {
		return
	}
	p.do(func() {
		for _, r := range p.shard.Replicas() {
			to := c.machines[c.rand.IntN(len(c.machines))]
			if to != m && r.Transfer(to.id) {
				c.trace("n%d p%d is made to hand over to n%d", m.id, r.Partition(), to.id)
				c.stats.Transfers++
				p.shard.Touch(r)
			}
		}
	})
}

// heal ends all faults: everything runs and reaches everything.
func (c *cluster) heal() {
	c.trace("all faults end")
	c.faulty, c.lossy, c.slowNet = false, 0, 0
	for _, m := range c.machines {
		m.resume()
		m.slowDisk = 0
		if m.proc == nil && m.joined {
			m.start()
		}
	}
	for _, row := range c.links {
		for _, l := range row {
			c.unblock(l)
			if l.to.joined && l.from.joined {
				c.dial(l)
			}
		}
	}
}
