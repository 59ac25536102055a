package sim

import (
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/placement"
	"coterie/internal/storage/logstore"
	"coterie/internal/workload"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

// position is a place in a partition's history.
type position struct {
	partition base.PartitionID
	index     uint64
}

// digestEvery is at which applied indexes replicas are compared.
const digestEvery = 40

// digest compares what replicas hold at equal positions.
func (c *cluster) digest(p *proc) {
	for _, r := range p.shard.Replicas() {
		s := r.State()
		if s.Index == p.digested[r.Partition()] || s.Index%digestEvery != 0 && !c.atRest || r.Overlay().Layers() > 0 ||
			!r.Initialized() || p.installing[r.Partition()] {
			continue
		}
		p.digested[r.Partition()] = s.Index
		h := xxhash.New()
		h.Write(partition.AppendState(nil, s)) //nolint:errcheck // never fails
		bounds := partition.Bounds(r.Partition(), s.Span)
		for _, b := range bounds[:len(bounds)-1] {
			it := r.Overlay().Iter(b.Lower, b.Upper)
			for it.Next() {
				h.Write(it.Key())   //nolint:errcheck // never fails
				h.Write(it.Value()) //nolint:errcheck // never fails
			}
			it.Close()
		}
		at, sum := position{r.Partition(), s.Index}, h.Sum64()
		if before, ok := c.digests[at]; !ok {
			c.digests[at] = sum
		} else if before != sum {
			c.violate("n%d p%d differs from another replica at index %d: %+v", p.m.id, at.partition, at.index, *s)
		}
		c.stats.Digests++
	}
}

// verify checks the history when everything is over.
func (c *cluster) verify() {
	if len(c.broken) > 0 {
		return // the first violation is the one to look at
	}
	for _, p := range c.machines {
		if p.proc != nil && p.proc.router.Waiting() > 0 {
			c.violate("n%d still has %d requests under way", p.id, p.proc.router.Waiting())
		}
	}
	if left := c.leftovers(); left != "" {
		c.violate("at rest %s", left)
	}
	c.checkSizes()
	// Clocks differ by their offsets, and by what they drift in a run.
	slack := c.clockHigh - c.clockLow + c.now/40
	for _, ch := range c.chapters {
		r := ch.kind.Judge(&workload.History{Ops: ch.history, Slack: slack, Quiet: true})
		for _, v := range r.Violations {
			c.violate("%s: %v", ch.kind.Name, v)
		}
		c.stats.Inconclusive += r.Inconclusive
	}
}

// noteClock learns the offset of a wall clock that a process starts with.
func (c *cluster) noteClock(offset int64) {
	c.clockLow, c.clockHigh = min(c.clockLow, offset), max(c.clockHigh, offset)
}

// grave is a replica that was removed from its machine for good.
type grave struct {
	partition base.PartitionID
	replica   base.ReplicaID
}

// noteReplica: the id of a removed replica never comes back.
func (c *cluster) noteReplica(p base.PartitionID, id base.ReplicaID) {
	if c.graves[grave{p, id}] {
		c.violate("p%d replica %d was removed, and is back", p, id)
	}
}

// checkPromotions: who becomes a voter is live and has caught up.
func (c *cluster) checkPromotions(r *partition.Replica, ms []placement.Member, changes []*pb.ConfChangeSingle, commit uint64) {
	for _, change := range changes {
		for _, m := range ms {
			if change.GetType() == pb.ConfChangeType_ConfChangeAddNode && uint64(m.Replica) == change.GetNodeId() &&
				(!m.Live || m.Match+placement.CaughtUpEntries < commit) {
				c.violate("p%d replica %d becomes a voter, live %v, with %d of %d entries", r.Partition(), m.Replica, m.Live, m.Match, commit)
			}
		}
	}
}

// sentEntry is an index of a partition's log as the leader of a term has it.
type sentEntry struct {
	partition   base.PartitionID
	term, index uint64
}

// checkAcknowledged: what a member tells its leader to have is on its disk. It
// looks at messages on their way out.
func (c *cluster) checkAcknowledged(p *proc, m *partition.Message) {
	r := m.Raft
	switch {
	case r.GetType() == pb.MsgApp:
		for _, e := range r.GetEntries() {
			c.entries[sentEntry{m.Partition, r.GetTerm(), e.GetIndex()}] = e.GetTerm()
		}
	case r.GetType() == pb.MsgAppResp && !r.GetReject():
		want, known := c.entries[sentEntry{m.Partition, r.GetTerm(), r.GetIndex()}]
		if !known {
			return
		}
		if ls, ok := p.m.logs.state(m.Partition); ok && isTombstone(&ls) {
			return // removed with its log while the message was on its way out
		}
		// A later term may have replaced it in the same write: it was accepted all the same.
		if have, ok := p.m.logs.synced(m.Partition, r.GetIndex()); !ok || have != want && have != 0 && have <= r.GetTerm() {
			c.violate("n%d p%d acknowledges index %d of term %d, and its disk holds there an entry of term %d", p.m.id, m.Partition, r.GetIndex(), want, have)
		}
	}
}

// hungGrace is how long a leader's disk may hang, in ticks, before the node
// falls silent, as in package shard.
const hungGrace = 40

// checkHung: a leader whose disk hangs does not stay one. It falls silent, and
// steps down when it hears nobody any more.
func (p *proc) checkHung() {
	if !p.logBusy || !p.appending {
		return
	}
	if p.hungTicks++; p.hungTicks <= hungGrace+4*p.c.opts.ElectionTicks {
		return
	}
	for _, r := range p.shard.Replicas() {
		if r.Leads() && len(r.State().Conf.Voters) > 1 {
			p.c.violate("n%d leads p%d, and its disk has been hanging for %d ticks", p.m.id, r.Partition(), p.hungTicks)
		}
	}
}

// checkCut: no log is cut behind a snapshot that is being sent.
func (p *proc) checkCut(ups []logstore.Update) {
	for i := range ups {
		for _, id := range sortedKeys(p.outStreams) {
			out := p.outStreams[id]
			if !out.replica.Leads() {
				continue // whoever leads now will not go on where the snapshot ends
			}
			if t := ups[i].Truncate; t != nil && out.replica.Partition() == ups[i].Partition && t.Index > out.index {
				p.c.violate("n%d cuts the log of p%d at %d, and sends a snapshot that stands at %d", p.m.id, ups[i].Partition, t.Index, out.index)
			}
		}
	}
}

// election is when a term of a partition got its leader.
type election struct {
	term uint64
	at   int64
}

// arrives notes when a read came to its leader.
func (p *proc) arrives(req *partition.Request) {
	if cut := req.Flags&partition.Transaction != 0 && req.Args[0][0] >= 'a'; !cut && req.Flags&partition.Write == 0 {
		p.arrived[req] = p.c.now // what cuts say to leaders is no read of the moment
	}
}

// checkRead: a leader that answers a read was none that others had replaced when
// the read came. It looks at what a shard has finished.
func (p *proc) checkRead(req *partition.Request) {
	at, ok := p.arrived[req]
	if delete(p.arrived, req); !ok || req.Status != partition.Done {
		return
	}
	r := p.shard.Replica(req.Partition)
	if r == nil || !r.Leads() {
		return
	}
	_, term := r.Leader()
	for _, e := range slices.Backward(p.c.elections[req.Partition]) {
		if e.term > term && e.at < at {
			p.c.violate("n%d p%d answers a read in term %d that came when there was a leader of term %d", p.m.id, req.Partition, term, e.term)
			return
		}
	}
}
