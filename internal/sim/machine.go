package sim

import (
	"log/slog"
	"math/rand/v2"

	"coterie/internal/base"
	"coterie/internal/cut"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/routing"
	"coterie/internal/shard"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"
	"coterie/internal/txn"
)

// machine is what survives a process: disks, name, clock.
type machine struct {
	c           *cluster
	id          base.NodeID
	logs        nodeLog
	states      stateDisk
	disk        diskState
	incarnation uint64
	joined      bool // has stores and an id
	gone        bool // for good
	proc        *proc
	offset      int64   // of its wall clock, µs
	drift       float64 // of its monotonic clock
	paused      bool
	inbox       []func() // while paused
}

// stateDisk is a state store that can lose what it may lose.
type stateDisk interface {
	state.Store
	Crash(r *rand.Rand)
}

// addMachine makes room for one more node.
func (c *cluster) addMachine() *machine {
	m := &machine{c: c, id: base.NodeID(len(c.machines) + 1)}
	c.openDisks(m)
	m.offset = c.between(-second, second)
	if c.chance(0.2) {
		m.offset = c.between(-3600*second, 3600*second)
	}
	m.drift = (c.rand.Float64() - 0.5) * 0.02
	for i, row := range c.links {
		c.links[i] = append(row, &link{from: c.machines[i], to: m})
	}
	c.machines = append(c.machines, m)
	var row []*link
	for _, to := range c.machines {
		row = append(row, &link{from: m, to: to})
	}
	c.links = append(c.links, row)
	return m
}

// start begins a new process on the machine, through the same recovery as in
// production.
func (m *machine) start() {
	c := m.c
	m.incarnation++
	p := newProc(m)
	m.proc = p
	c.trace("n%d starts, incarnation %d", m.id, m.incarnation)
	m.wipedPlanted()
	p.guard(p.open)
	if p.dead {
		return
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

// open brings the replicas back.
func (p *proc) open() {
	m := p.m
	if err := m.logs.open(); err != nil {
		p.fail(err)
		return
	}
	for _, ls := range m.logs.replicas() {
		if isTombstone(&ls) {
			continue
		}
		r, err := p.openReplica(ls)
		if err != nil {
			p.fail(err)
			return
		}
		if r != nil {
			p.shard.Add(r)
		}
	}
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
	c.stats.Kills++
	p := m.proc
	p.noteDeath()
	p.dead, m.proc, m.paused, m.inbox = true, nil, false, nil
	p.endGateways()
	p.messages.end()
	p.shard.CloseViews()
	for _, s := range c.sessions {
		s.gatewayDied(p)
	}
	torn, err := m.logs.crash(c.dice)
	if err != nil {
		c.violate("n%d: log: %v", m.id, err)
	}
	if torn {
		c.met(eventTornTail)
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
			p.guard(f)
		}
	}
}

// openReplica opens a replica from what the disks hold. It returns an error
// if they cannot be read; then nothing is changed.
func (p *proc) openReplica(ls logstore.State) (*partition.Replica, error) {
	m, c := p.m, p.c
	b, ok, err := p.base().Get(keys.StateKey(ls.Partition), nil)
	if err != nil {
		return nil, err
	}
	rec := partition.Recovered{Log: ls}
	if ok {
		if rec.State, err = partition.DecodeState(b); err != nil {
			c.violate("n%d p%d: %v", m.id, ls.Partition, err)
			return nil, nil
		}
	}
	c.trace("n%d p%d opens: applied %d, log %d..%d, %+v", m.id, ls.Partition, rec.State.Index, ls.First, ls.Last, ls.HardState)
	if rec.State.Index < ls.Mark.Index {
		c.violate("n%d p%d: state stands at %d, the log begins after %d", m.id, ls.Partition, rec.State.Index, ls.Mark.Index)
		return nil, nil
	}
	p.openedPlanted(&rec)
	if c.opts.Bug != BugNoReconcile {
		if up := partition.Reconcile(&rec.State, &rec.Log, m.logs.reader(ls.Partition).Term); up != nil {
			c.trace("n%d p%d: the log starts anew at %d", m.id, ls.Partition, rec.State.Index)
			c.stats.Reconciled++
			c.met(eventReconcile)
			if err := m.logs.write([]logstore.Update{*up}); err != nil {
				c.violate("n%d: log: %v", m.id, err)
				return nil, nil
			}
		}
	}
	if rec.Log.HardState.Commit > rec.State.Index {
		c.met(eventStateBehind)
	}
	return p.newReplica(rec), nil
}

// base is the state store as the process reads it.
func (p *proc) base() state.Reader {
	if real, ok := p.m.states.(*realStores); ok {
		return faultyReader{real.Store, p} // of this life
	}
	return faultyReader{p.m.states, p}
}

func (p *proc) newReplica(rec partition.Recovered) *partition.Replica {
	p.c.noteReplica(rec.Log.Partition, rec.Log.Replica)
	r, err := partition.New(partition.Config{
		Partition: rec.Log.Partition, Replica: rec.Log.Replica, Node: p.m.id,
		Log: faultyLog{p.m.logs.reader(rec.Log.Partition), p}, Base: p.base(), Evaluator: p.evaluator,
		Logger: slog.New(slog.DiscardHandler), Rand: p.c.rand.Uint64, ReadOnly: func() string { return p.m.disk.full },
		ElectionTicks: p.c.opts.ElectionTicks, QueueTicks: requestTicks,
	}, rec)
	switch {
	case err == nil:
		return r
	case planned(err): // it looks for intents
		p.fail(err)
	default:
		p.c.violate("n%d p%d: %v", p.m.id, rec.Log.Partition, err)
	}
	return nil
}

// tombstoneVote marks the log of a removed replica, as in package node.
const tombstoneVote = ^uint64(0)

func isTombstone(s *logstore.State) bool { return s.HardState.Vote == tombstoneVote }

// newProc makes a process without replicas.
func newProc(m *machine) *proc {
	p := &proc{
		c: m.c, m: m, incarnation: m.incarnation, shard: shard.New(), startedAt: m.c.now,
		wallAt: base.Stamp(epoch + m.c.now + m.offset),
		heard:  map[base.NodeID]*heard{}, fences: map[base.NodeID]*routing.Fence{}, settled: map[base.PartitionID]bool{},
		creating: map[base.PartitionID]base.ReplicaID{}, imports: map[uint64]*pendingImport{},
		sentTo: map[base.ReplicaID]int{}, confs: map[base.PartitionID]partition.Conf{},
		outStreams: map[uint64]*outStream{}, inStreams: map[uint64]*inStream{},
		evaluator: m.newEvaluator(), confirmed: map[base.PartitionID]int64{},
		validates: map[*[]byte]bool{}, locked: map[base.PartitionID]map[base.Slot]bool{}, arrived: map[*partition.Request]int64{},
		digested: map[base.PartitionID]uint64{}, installing: map[base.PartitionID]bool{},
	}
	m.c.noteClock(m.offset)
	p.shard.Limit(m.c.opts.WriteBack, 64<<20)
	p.due = p.turnDue
	p.messages = newMessenger(p)
	p.router = routing.New(m.id, m.incarnation, requestTicks, &p.routed)
	p.txns, p.cuts = txn.New(p.router), cut.New(p.router)
	return p
}

// setDrift changes the pace of the machine's clock from now on.
func (m *machine) setDrift(drift float64) {
	if p := m.proc; p != nil {
		p.wallAt, p.startedAt = p.now(), m.c.now
	}
	m.drift = drift
}
