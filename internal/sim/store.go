package sim

import (
	"coterie/internal/storage/memstate"
)

// openDisks gives a machine its stores.
func (c *cluster) openDisks(m *machine) {
	log := newLogDisk()
	log.forgetful = c.opts.Bug == BugForgottenVote
	m.logs, m.states = log, memstate.New()
}
