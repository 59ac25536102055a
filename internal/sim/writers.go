package sim

import (
	"context"
	"fmt"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/keys"
	"coterie/internal/overlay"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
)

// This file is what writes to the disks: the log writer and the mover of
// package node, as events.

// writeLog hands appends to the log writer; those that install a snapshot go
// their own way first.
func (p *proc) writeLog(appends []partition.Append) {
	var w logWrite
	for _, a := range appends {
		a.Update = copyUpdate(a.Update)
		if a.Snapshot != nil {
			p.install(a)
			continue
		}
		w.appends = append(w.appends, a)
	}
	if len(w.appends) == 0 {
		return
	}
	if p.c.opts.Bug == BugEarlyAck { // says that they are durable before they are
		early := w.appends
		p.after(1, func() { p.shard.Appended(early) })
		for i := range early {
			w.updates = append(w.updates, early[i].Update)
		}
		w.appends = nil
	}
	p.enqueueLog(w)
}

func (p *proc) enqueueLog(w logWrite) {
	p.logQueue = append(p.logQueue, w)
	p.writeMore()
}

// writeMore is the group commit: all that waits is one write.
func (p *proc) writeMore() {
	if p.dead || p.logBusy || len(p.logQueue) == 0 {
		return
	}
	batch := p.logQueue
	p.logQueue = nil
	var ups []logstore.Update
	p.appending, p.hungTicks = false, 0
	for _, w := range batch {
		p.appending = p.appending || len(w.appends) > 0
		for i := range w.appends {
			ups = append(ups, w.appends[i].Update)
		}
		ups = append(ups, w.updates...)
	}
	p.logBusy = true
	durable, err := p.m.logs.begin(ups)
	if err != nil {
		p.c.violate("n%d: write the log: %v", p.m.id, err)
		return
	}
	voted := p.votes(ups)
	if !durable {
		p.after(1, func() { p.reportLog(batch, voted) })
		return
	}
	written := p.c.skewed(30*micro, milli)
	p.after(written, func() {
		if p.point(pointAppendWritten) {
			return
		}
		p.syncLog(batch, voted)
	})
}

// syncLog is the fsync of a batch. One that fails stops the node.
func (p *proc) syncLog(batch []logWrite, voted bool) {
	p.afterDisk(p.c.skewed(30*micro, 4*milli), func() {
		if p.m.disk.failSync || p.m.disk.noSpace {
			p.m.disk.failSync = false
			p.fail(fmt.Errorf("write the log: %w", errPlanned))
			return
		}
		if err := p.m.logs.finish(); err != nil {
			p.c.violate("n%d: write the log: %v", p.m.id, err)
			return
		}
		p.reportLog(batch, voted)
	})
}

// votes says whether updates hold a new vote.
func (p *proc) votes(ups []logstore.Update) bool {
	for i := range ups {
		l, ok := p.m.logs.state(ups[i].Partition)
		if h := ups[i].HardState; ok && h != nil && h.Vote != 0 && h.Vote != l.HardState.Vote {
			return true
		}
	}
	return false
}

// reportLog tells the shard that a batch is in the log.
func (p *proc) reportLog(batch []logWrite, voted bool) {
	if p.point(pointAppendSynced) {
		return
	}
	p.logBusy = false
	for _, w := range batch {
		p.overtakenPlanted(w.appends)
		p.shard.Appended(w.appends)
		if w.done != nil {
			w.done()
		}
	}
	if p.point(pointAppendReported) {
		return
	}
	if voted {
		p.after(p.c.skewed(100*micro, 20*milli), func() { p.point(pointVoteSynced) })
	}
	p.writeMore()
}

func (p *proc) enqueueMove(j moveJob) {
	p.moveQueue = append(p.moveQueue, j)
	p.moveMore()
}

// moveMore is the mover: one job after another.
func (p *proc) moveMore() {
	if p.dead || p.moveBusy || len(p.moveQueue) == 0 {
		return
	}
	j := p.moveQueue[0]
	p.moveQueue = p.moveQueue[1:]
	p.moveBusy = true
	delay := p.c.skewed(100*micro, 20*milli)
	if j.move != nil && p.c.opts.Bug == BugTornState {
		p.commitRecord(j.move) // first where the state stands, later the state
		delay += 20 * milli
	}
	p.afterDisk(delay, func() {
		p.moveBusy = false
		if j.flush {
			p.flushState()
		} else {
			if p.point(pointMoveBefore) {
				return
			}
			if p.commitMove(j.move); p.dead || p.point(pointMoveAfter) {
				return
			}
			p.after(p.c.between(1, milli), func() { p.shard.Moved(j.move.Replica, &j.move.State) })
		}
		p.moveMore()
	})
}

func (p *proc) commitRecord(m *partition.MoveDown) {
	b := p.m.states.NewBatch()
	b.Set(keys.StateKey(m.Replica.Partition()), m.Record)
	if err := p.m.states.Commit(b); err != nil {
		p.c.violate("n%d: %v", p.m.id, err)
	}
}

func (p *proc) commitMove(m *partition.MoveDown) {
	b := p.m.states.NewBatch()
	for i, op := range m.Frozen.Ops() {
		if p.c.opts.Bug == BugLostEffect && i == 1 {
			continue
		}
		if op.Kind == effects.Set {
			op.Value = p.movedPlanted(op.Key, op.Value)
		}
		overlay.Write(b, op)
	}
	b.Set(keys.StateKey(m.Replica.Partition()), m.Record)
	if err := p.m.states.Commit(b); err != nil {
		p.c.violate("n%d: %v", p.m.id, err)
	}
	p.c.stats.Moves++
}

// flushState makes the state durable and cuts the logs by what is.
func (p *proc) flushState() {
	if p.point(pointFlushBefore) {
		return
	}
	if p.m.disk.failSync || p.m.disk.noSpace {
		p.m.disk.failSync = false
		p.fail(fmt.Errorf("flush the state store: %w", errPlanned))
		return
	}
	durable := map[base.PartitionID]uint64{}
	err := p.m.states.Flush(context.Background())
	for _, r := range p.shard.Replicas() {
		b, ok, gerr := p.m.states.GetDurable(keys.StateKey(r.Partition()))
		if err != nil || gerr != nil || !ok {
			continue
		}
		s, derr := partition.DecodeState(b)
		if derr != nil {
			p.c.violate("n%d: %v", p.m.id, derr)
		}
		durable[r.Partition()] = s.Index
	}
	if p.point(pointFlushAfter) {
		return
	}
	p.after(p.c.between(1, milli), func() {
		p.flushing = false
		p.truncate(func(id base.PartitionID) uint64 { return durable[id] })
	})
}

func (p *proc) truncate(durable func(base.PartitionID) uint64) {
	if len(p.outStreams) > 0 {
		p.c.met(eventSnapWhileCut)
	}
	if ups := p.shard.Truncate(durable, p.c.opts.KeepEntries); len(ups) > 0 {
		p.c.stats.Truncations += len(ups)
		p.checkCut(ups)
		p.enqueueLog(logWrite{updates: ups, done: func() { p.point(pointLogCut) }})
	}
}

// housekeep moves everything down, flushes and truncates.
func (p *proc) housekeep() {
	if p.c.opts.Bug == BugEarlyTruncate {
		p.truncate(func(id base.PartitionID) uint64 { return p.shard.Replica(id).State().Index })
		return
	}
	if p.flushing {
		return
	}
	p.flushing = true
	p.shard.MoveAll()
	// The moves go out with the next turn; the flush comes behind them.
	p.after(100*micro, func() { p.enqueueMove(moveJob{flush: true}) })
}
