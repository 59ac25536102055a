package sim

import (
	"cmp"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
)

// This file notes which interesting situations a run came into.

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func (p *proc) leadsAny() bool {
	return slices.ContainsFunc(p.shard.Replicas(), (*partition.Replica).Leads)
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

// noteCut: a follower may still be on its way to a snapshot from before.
func (p *proc) noteCut(ups []logstore.Update) {
	for _, id := range sortedKeys(p.outStreams) {
		out := p.outStreams[id]
		if slices.ContainsFunc(ups, func(u logstore.Update) bool { return u.Partition == out.replica.Partition() }) {
			p.c.met(eventSnapWhileCut)
		}
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
	joint := r.Initialized() && r.State().Conf.Joint()
	if joint == p.joint[r.Partition()] {
		return
	}
	p.joint[r.Partition()] = joint
	if joint {
		p.c.met(eventJoint)
		p.point(pointConfJoint)
	}
}
