package sim

import (
	"coterie/internal/storage/memstate"
)

// openDisks gives a machine its stores.
func (c *cluster) openDisks(m *machine) {
	if c.opts.Store == StorePebble {
		real := newRealStores()
		m.logs, m.states = real, real
		return
	}
	log := newLogDisk()
	log.forgetful = c.opts.Bug == BugForgottenVote
	m.logs, m.states = log, memstate.New()
}

// closeDisks ends the stores of all machines.
func (c *cluster) closeDisks() {
	for _, m := range c.machines {
		if real, ok := m.logs.(*realStores); ok {
			real.close()
		}
	}
}
