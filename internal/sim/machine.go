package sim

import (
	"log/slog"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/routing"
	"coterie/internal/shard"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/memstate"
)

// machine is what survives a process: disks, name, clock.
type machine struct {
	c           *cluster
	id          base.NodeID
	logs        *logDisk
	states      *memstate.Store
	incarnation uint64
	joined      bool // has stores and an id
	proc        *proc
	offset      int64   // of its wall clock, µs
	drift       float64 // of its monotonic clock
	paused      bool
	inbox       []func() // while paused
	slowDisk    int64    // added to each disk access, µs
}

// start begins a new process on the machine, through the same recovery as in
// production.
func (m *machine) start() {
	c := m.c
	m.incarnation++
	p := newProc(m)
	m.proc = p
	c.trace("n%d starts, incarnation %d", m.id, m.incarnation)
	for _, ls := range m.logs.replicas() {
		if isTombstone(&ls) {
			continue
		}
		if r := p.openReplica(ls); r != nil {
			p.shard.Add(r)
		}
	}
	p.catalogDirty = true
	for _, l := range c.links[m.id-1] {
		if l.to.joined {
			c.dial(l)
		}
	}
	p.after(c.between(0, tick), p.tick)
	p.wake()
}

// kill ends the process in the middle of whatever it does. The state store
// keeps a seeded prefix of what is not flushed; the batch under way to the log
// may be there or not.
func (m *machine) kill() {
	if m.proc == nil {
		return
	}
	c := m.c
	c.trace("n%d dies", m.id)
	p := m.proc
	p.dead, m.proc, m.paused, m.inbox = true, nil, false, nil
	for _, s := range c.sessions {
		s.gatewayDied(p)
	}
	if err := m.logs.crash(c.rand); err != nil {
		c.violate("n%d: log: %v", m.id, err)
	}
	m.states.Crash(c.rand)
	for _, other := range c.machines {
		out, in := c.link(m.id, other.id), c.link(other.id, m.id)
		out.up, out.stalled = false, nil
		c.breakLink(out, !out.blocked)
		in.heard = false
		c.breakLink(in, !in.blocked)
	}
}

// pause stops the process; what reaches it waits.
func (m *machine) pause() {
	if m.proc != nil && !m.paused {
		m.c.trace("n%d pauses", m.id)
		m.paused = true
	}
}

func (m *machine) resume() {
	if !m.paused {
		return
	}
	m.c.trace("n%d resumes", m.id)
	m.paused = false
	inbox := m.inbox
	m.inbox = nil
	p := m.proc
	for _, f := range inbox {
		if !p.dead {
			f()
		}
	}
}

// openReplica opens a replica from what the disks hold.
func (p *proc) openReplica(ls logstore.State) *partition.Replica {
	m, c := p.m, p.c
	b, ok, err := m.states.Get(keys.StateKey(ls.Partition), nil)
	if err != nil {
		c.violate("n%d: read state: %v", m.id, err)
		return nil
	}
	rec := partition.Recovered{Log: ls}
	if ok {
		if rec.State, err = partition.DecodeState(b); err != nil {
			c.violate("n%d p%d: %v", m.id, ls.Partition, err)
			return nil
		}
	}
	c.trace("n%d p%d opens: applied %d, log %d..%d, %+v", m.id, ls.Partition, rec.State.Index, ls.First, ls.Last, ls.HardState)
	if rec.State.Index < ls.Mark.Index {
		c.violate("n%d p%d: state stands at %d, the log begins after %d", m.id, ls.Partition, rec.State.Index, ls.Mark.Index)
		return nil
	}
	if c.opts.Bug != BugNoReconcile {
		if up := partition.Reconcile(&rec.State, &rec.Log, logReader{m.logs, ls.Partition}.Term); up != nil {
			c.trace("n%d p%d: the log starts anew at %d", m.id, ls.Partition, rec.State.Index)
			c.stats.Reconciled++
			if err := m.logs.write([]logstore.Update{*up}); err != nil {
				c.violate("n%d: log: %v", m.id, err)
				return nil
			}
		}
	}
	return p.newReplica(rec)
}

func (p *proc) newReplica(rec partition.Recovered) *partition.Replica {
	r, err := partition.New(partition.Config{
		Partition: rec.Log.Partition, Replica: rec.Log.Replica, Node: p.m.id,
		Log: logReader{p.m.logs, rec.Log.Partition}, Base: p.m.states, Evaluator: p.evaluator,
		Logger: slog.New(slog.DiscardHandler), Rand: p.c.rand.Uint64, ReadOnly: func() string { return "" },
		ElectionTicks: p.c.opts.ElectionTicks,
	}, rec)
	if err != nil {
		p.c.violate("n%d p%d: %v", p.m.id, rec.Log.Partition, err)
		return nil
	}
	return r
}

// tombstoneVote marks the log of a removed replica, as in package node.
const tombstoneVote = ^uint64(0)

func isTombstone(s *logstore.State) bool { return s.HardState.Vote == tombstoneVote }

// newProc makes a process without replicas.
func newProc(m *machine) *proc {
	p := &proc{
		c: m.c, m: m, incarnation: m.incarnation, shard: shard.New(), startedAt: m.c.now,
		wallAt: base.Stamp(epoch + m.c.now + m.offset),
		heard:  map[base.NodeID]*heard{}, settled: map[base.PartitionID]bool{},
		creating: map[base.PartitionID]base.ReplicaID{}, imports: map[uint64]*pendingImport{},
		evaluator: m.c.newEvaluator(),
		digested:  map[base.PartitionID]uint64{}, installing: map[base.PartitionID]bool{},
	}
	p.shard.Limit(m.c.opts.WriteBack, 64<<20)
	p.router = routing.New(m.id, m.incarnation, requestTicks, &p.routed)
	return p
}
