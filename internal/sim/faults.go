package sim

import (
	"time"
)

// fault is a kind of thing that goes wrong. do lets it happen once, to the
// given machine or to something near it, with its end planned; it is false if
// it is not possible at the moment.
type fault struct {
	kind   string
	weight float64 // how often, beside the others
	do     func(c *cluster, d dice, m *machine) bool
}

// faultTable lists them all.
func faultTable() []fault {
	return []fault{
		{"crash", 3, (*cluster).crashFault},
		{"crash-point", 4, (*cluster).crashPoint},
		{"power-loss", 1, (*cluster).powerLoss},
		{"pause", 2, (*cluster).pauseFault},
		{"clock-jump", 0.7, (*cluster).clockJump},
		{"clock-drift", 0.5, (*cluster).clockDrift},

		{"split", 1, (*cluster).split},
		{"isolate", 1, (*cluster).isolate},
		{"one-way", 1, (*cluster).oneWay},
		{"bridge", 0.7, (*cluster).bridge},
		{"flapping", 0.7, (*cluster).flapping},
		{"reset", 1, (*cluster).reset},
		{"slow-network", 0.7, (*cluster).slowNetwork},
		{"slow-link", 0.7, (*cluster).slowLink},
		{"loss", 0.5, (*cluster).losses},
		{"duplication", 0.5, (*cluster).duplication},
		{"reordering", 0.5, (*cluster).reordering},

		{"slow-disk", 1, (*cluster).slowDisk},
		{"hung-disk", 1, (*cluster).hungDisk},
		{"failed-fsync", 0.7, (*cluster).failedSync},
		{"read-error", 0.5, (*cluster).readError},
		{"full-disk", 0.7, (*cluster).fullDisk},
		{"log-damage", 0.4, (*cluster).logDamage},
		{"state-damage", 0.4, (*cluster).stateDamage},

		{"transfer", 1, (*cluster).transfer},
		{"add-node", 0.5, (*cluster).addNode},
		{"wipe-node", 0.4, (*cluster).wipeNode},
		{"replace-node", 0.4, (*cluster).replaceNode},
	}
}

// FaultKinds lists the names.
func FaultKinds() []string {
	var kinds []string
	for _, f := range faultTable() {
		kinds = append(kinds, f.kind)
	}
	return kinds
}

func faultKind(name string) *fault {
	for _, f := range faultTable() {
		if f.kind == name {
			return &f
		}
	}
	return nil
}

// plan spreads faults over the run. Each seed draws its own kinds and rates,
// and each kind has a stream of chance of its own: to leave one out does not
// change the others. heal ends those that still last.
func (c *cluster) plan(until int64) {
	d := newDice(c.seed, "faults")
	share := one(d, 0.25, 0.5, 0.8)
	var total float64
	table := faultTable()
	for i := range table {
		f := &table[i]
		f.weight *= one(d, 0.3, 1, 1, 3)
		drawn := d.chance(share)
		if drawn {
			total += f.weight
		}
		if c.opts.allows(f.kind, drawn) {
			c.active = append(c.active, *f)
		}
	}
	for range 5 {
		c.favourites = append(c.favourites, d.rand.IntN(len(points)))
	}
	start := 2 * second
	if c.opts.Grow {
		start = d.between(300*milli, 6*second)
	}
	if start > until/2 {
		start = until / 2
	}
	c.after(start, func() { c.faulty = true })
	for i := range c.active {
		f := &c.active[i]
		mean := float64(c.opts.FaultEvery) * max(total, f.weight) / f.weight
		c.planKind(f, start, until, mean)
	}
	if len(c.active) > 0 {
		c.planStorms(d, start, until)
	}
}

// planKind lets one kind happen again and again.
func (c *cluster) planKind(f *fault, start, until int64, mean float64) {
	d := newDice(c.seed, "fault "+f.kind)
	var next func()
	wait := func() int64 { return int64(mean * (0.2 + 1.6*d.rand.Float64())) }
	next = func() {
		if c.now >= until {
			return
		}
		m := c.victim(d)
		c.fault(f, d, m)
		if d.chance(0.1) { // and another one with it
			g := &c.active[d.rand.IntN(len(c.active))]
			c.met(eventPair)
			c.after(d.skewed(0, 20*milli), func() {
				if c.now < until {
					c.fault(g, d, m)
				}
			})
		}
		c.after(wait(), next)
	}
	c.after(start+int64(float64(wait())*d.rand.Float64()), next)
}

// planStorms has many faults come at once, now and then.
func (c *cluster) planStorms(d dice, start, until int64) {
	var next func()
	next = func() {
		if c.now >= until {
			return
		}
		c.met(eventStorm)
		c.trace("a storm")
		long := d.between(200*milli, 2*second)
		for range 3 + d.rand.IntN(8) {
			f := &c.active[d.rand.IntN(len(c.active))]
			c.after(d.between(0, long), func() {
				if c.now < until {
					c.fault(f, d, c.victim(d))
				}
			})
		}
		c.after(d.between(5*second, 30*second), next)
	}
	c.after(start+d.between(0, 15*second), next)
}

// victim is some machine that is a member.
func (c *cluster) victim(d dice) *machine {
	for range 20 {
		if m := c.machines[d.rand.IntN(len(c.machines))]; m.joined {
			return m
		}
	}
	return c.machines[0]
}

// fault lets one thing go wrong.
func (c *cluster) fault(f *fault, d dice, m *machine) {
	if m.joined && f.do(c, d, m) {
		c.stats.Faults.add(f.kind)
	}
}

// crashFault kills a process and starts it again.
func (c *cluster) crashFault(d dice, m *machine) bool {
	if m.proc == nil {
		return false
	}
	c.crash(d, m)
	return true
}

func (c *cluster) crash(d dice, m *machine) {
	m.kill()
	down := d.skewed(5*milli, 8*second)
	if d.chance(0.3) {
		down = d.between(milli, 20*milli)
	}
	c.restart(m, down)
}

// restart starts a machine's process after a while.
func (c *cluster) restart(m *machine, down int64) {
	c.after(down, func() {
		if m.proc == nil && m.joined {
			m.start()
		}
	})
}

func (c *cluster) crashPoint(d dice, m *machine) bool {
	c.arm(d, m)
	return true
}

// powerLoss takes all machines at once.
func (c *cluster) powerLoss(d dice, _ *machine) bool {
	c.trace("power loss")
	for _, m := range c.machines {
		if m.joined {
			c.crash(d, m)
		}
	}
	return true
}

func (c *cluster) pauseFault(d dice, m *machine) bool {
	if m.proc == nil || m.paused {
		return false
	}
	m.pause()
	c.after(d.skewed(50*milli, 6*second), m.resume)
	return true
}

// clockJump restarts a machine with another wall clock: a process reads it
// when it starts, and goes by its monotonic clock from then on.
func (c *cluster) clockJump(d dice, m *machine) bool {
	before := m.offset
	m.offset = one(d, d.between(-3600*second, 3600*second), d.between(-second, second))
	if m.offset < before {
		c.met(eventClockBack)
	}
	c.trace("clock of n%d jumps by %v", m.id, micros(m.offset-before))
	c.crash(d, m)
	return true
}

// clockDrift makes a clock too fast or too slow for a while.
func (c *cluster) clockDrift(d dice, m *machine) bool {
	m.setDrift((d.rand.Float64() - 0.5) * one(d, 0.02, 0.2))
	c.trace("clock of n%d drifts by %.4f", m.id, m.drift)
	c.after(d.between(second, 5*second), func() { m.setDrift(0) })
	return true
}

// transfer hands a leadership to some other node.
func (c *cluster) transfer(d dice, m *machine) bool {
	p := m.proc
	if p == nil {
		return false
	}
	p.do(func() {
		for _, r := range p.shard.Replicas() {
			to := c.machines[d.rand.IntN(len(c.machines))]
			if to != m && r.Transfer(to.id) {
				c.trace("n%d p%d is made to hand over to n%d", m.id, r.Partition(), to.id)
				c.stats.Transfers++
				p.shard.Touch(r)
				p.point(pointHandover)
			}
		}
	})
	return true
}

// heal ends all faults: everything runs and reaches everything.
func (c *cluster) heal() {
	c.trace("all faults end")
	c.faulty = false
	// A connection that stands loses nothing: only the harsh weather of the faults does.
	c.fair.loss, c.fair.doubling, c.fair.reorders = 0, 0, 0
	c.net = c.fair
	clear(c.armed)
	for _, m := range c.machines {
		m.resume()
		m.disk.heal()
		m.setDrift(0)
		if m.joined && m.proc == nil {
			m.start()
		}
	}
	for _, row := range c.links {
		for _, l := range row {
			l.slow = 0
			c.unblock(l)
			if l.to.joined && l.from.joined {
				c.dial(l)
			}
		}
	}
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
