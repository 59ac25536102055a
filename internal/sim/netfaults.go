package sim

// Faults of the network.

// split puts the machines on two sides.
func (c *cluster) split(d dice, _ *machine) bool {
	side := make([]bool, len(c.machines))
	for i := range side {
		side[i] = d.chance(0.5)
	}
	long := d.skewed(200*milli, 8*second)
	c.trace("split %v", side)
	for i, row := range c.links {
		for j, l := range row {
			if side[i] != side[j] {
				c.cut(l, long)
			}
		}
	}
	return len(c.machines) > 1
}

// isolate takes a machine off the network.
func (c *cluster) isolate(d dice, m *machine) bool {
	long := d.skewed(200*milli, 8*second)
	c.trace("n%d is alone", m.id)
	for _, other := range c.machines {
		c.cutBoth(m, other, long)
	}
	return len(c.machines) > 1
}

// oneWay cuts one direction of one link.
func (c *cluster) oneWay(d dice, m *machine) bool {
	c.cut(c.links[m.id-1][d.rand.IntN(len(c.machines))], d.between(100*milli, 6*second))
	return len(c.machines) > 1
}

// bridge makes two sides that only one machine reaches both of.
func (c *cluster) bridge(d dice, m *machine) bool {
	if len(c.machines) < 3 {
		return false
	}
	long := d.skewed(500*milli, 8*second)
	side := make([]bool, len(c.machines))
	for i := range side {
		side[i] = i%2 == 0
	}
	d.rand.Shuffle(len(side), func(i, j int) { side[i], side[j] = side[j], side[i] })
	c.trace("bridge over n%d, %v", m.id, side)
	for i, a := range c.machines {
		for j, b := range c.machines[:i] {
			if side[i] != side[j] && a != m && b != m {
				c.cutBoth(a, b, long)
			}
		}
	}
	return true
}

// flapping cuts a link again and again.
func (c *cluster) flapping(d dice, m *machine) bool {
	other := c.machines[d.rand.IntN(len(c.machines))]
	if other == m {
		return false
	}
	both := d.chance(0.6)
	at := int64(0)
	for range 3 + d.rand.IntN(8) {
		at += d.between(50*milli, 800*milli)
		long := d.between(20*milli, 600*milli)
		c.after(at, func() {
			if !c.faulty {
				return
			}
			c.cut(c.link(m.id, other.id), long)
			if both {
				c.cut(c.link(other.id, m.id), long)
			}
		})
	}
	return true
}

// reset breaks a machine's connections; they come back.
func (c *cluster) reset(d dice, m *machine) bool {
	c.trace("connections of n%d break", m.id)
	for _, other := range c.machines {
		if d.chance(0.7) {
			c.breakLink(c.link(m.id, other.id), true)
		}
		if d.chance(0.7) {
			c.breakLink(c.link(other.id, m.id), true)
		}
	}
	return len(c.machines) > 1
}

func (c *cluster) slowNetwork(d dice, _ *machine) bool {
	c.net.slow = d.skewed(milli, 400*milli)
	c.trace("the network is slow: %v", micros(c.net.slow))
	c.after(d.between(100*milli, 3*second), func() { c.net.slow = 0 })
	return true
}

func (c *cluster) slowLink(d dice, m *machine) bool {
	l := c.links[m.id-1][d.rand.IntN(len(c.machines))]
	l.slow = d.skewed(5*milli, 2*second)
	c.trace("n%d -> n%d is slow: %v", l.from.id, l.to.id, micros(l.slow))
	c.after(d.between(100*milli, 5*second), func() { l.slow = 0 })
	return l.from != l.to
}

// losses, duplication and reordering befall Raft's own messages one by one,
// which is worse than what TCP lets happen: only where the run is harsh.
func (c *cluster) losses(d dice, _ *machine) bool {
	return c.turnWorse(d, &c.net.loss, &c.fair.loss)
}

func (c *cluster) duplication(d dice, _ *machine) bool {
	return c.turnWorse(d, &c.net.doubling, &c.fair.doubling)
}

func (c *cluster) reordering(d dice, _ *machine) bool {
	return c.turnWorse(d, &c.net.reorders, &c.fair.reorders)
}

func (c *cluster) turnWorse(d dice, now, usual *float64) bool {
	if !c.opts.Harsh {
		return false
	}
	*now = d.rand.Float64() * 0.5
	c.after(d.between(200*milli, 4*second), func() { *now = *usual })
	return true
}

func (c *cluster) cutBoth(a, b *machine, long int64) {
	c.cut(c.link(a.id, b.id), long)
	c.cut(c.link(b.id, a.id), long)
}

// cut blocks one direction for a while.
func (c *cluster) cut(l *link, long int64) {
	if l.from == l.to || !l.from.joined || !l.to.joined {
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
