package sim

import (
	"cmp"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
)

// This file notes which interesting situations a run came into.

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func (p *proc) leadsAny() bool {
	return slices.ContainsFunc(p.shard.Replicas(), (*partition.Replica).Leads)
}

// noteCut looks at what a leader answers to a message of a cut.
func (c *cluster) noteCut(req *partition.Request) {
	if req.Flags&partition.Transaction == 0 || req.Status != partition.Done || len(req.Reply) == 0 {
		return
	}
	switch op := req.Args[0][0]; {
	case op == 'r' && req.Reply[0] == partition.CutGone:
		c.met(eventCutBroken)
	case op == 'd' && req.Reply[0] == partition.CutYes && len(req.Args) > 2:
		c.met(eventCutOpen)
	}
}

// noteDeath looks at what a process dies in the middle of.
func (p *proc) noteDeath() {
	c := p.c
	for _, r := range p.shard.Replicas() {
		if r.Leads() && r.Inflight() > 0 {
			c.met(eventLeaderLost)
		}
		if r.Initialized() && r.State().Conf.Joint() {
			c.met(eventJointCrash)
			if r.Leads() {
				c.met(eventJointLeader)
			}
		}
	}
	if !slices.ContainsFunc(c.machines, func(m *machine) bool { return m.proc != nil && m.proc != p }) {
		c.met(eventAllDown)
	}
}

// noteRefusal: the router sends again what certainly did not run.
func (p *proc) noteRefusal(req *partition.Request) {
	if req.Status == partition.NotRun {
		p.c.met(eventResent)
	}
}

// noteElection looks at what a new leader means.
func (c *cluster) noteElection(part base.PartitionID, leader base.NodeID) {
	if c.faulty && slices.ContainsFunc(c.sessions, func(s *session) bool { return len(s.open) > 0 }) {
		c.met(eventElectionUnderLoad)
	}
	for _, m := range c.machines {
		if m.proc == nil || m.id == leader {
			continue
		}
		if r := m.proc.shard.Replica(part); r != nil && r.Leads() {
			c.met(eventTwoLeaders)
			if m.paused {
				c.met(eventPausedLeader)
			}
		}
	}
}

// noteConf follows a partition's configuration.
func (p *proc) noteConf(r *partition.Replica) {
	if !r.Initialized() {
		return
	}
	conf, before := r.State().Conf, p.confs[r.Partition()]
	if slices.Equal(conf.Voters, before.Voters) && slices.Equal(conf.Learners, before.Learners) && conf.Joint() == before.Joint() {
		return
	}
	p.confs[r.Partition()] = conf
	if len(before.Voters) == 0 {
		return // the first one known
	}
	p.point(pointConfApplied)
	if conf.Joint() {
		p.c.met(eventJoint)
		p.point(pointConfJoint)
	}
}
