package sim

import (
	"bytes"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/storage/state"
	"coterie/internal/wire"
)

// streamPatience is how long the sender of a snapshot waits for its end.
const streamPatience = 5 * second

// pendingImport is a received snapshot that raft has not decided on.
type pendingImport struct {
	imp    state.Import
	from   base.NodeID
	answer func(p *proc, ok bool)
}

// sendSnapshot exports the partition as it is now. The stream is one long
// message here: it arrives as a whole or not at all.
func (p *proc) sendSnapshot(s *partition.SendSnapshot) {
	r, to, node := s.Replica, s.To, s.Node
	meta := wire.AppendRaft(nil, r.Partition(), r.ID(), to, s.Raft)
	done := false
	end := func(ok bool) {
		if !done {
			done = true
			p.shard.SnapshotSent(r, to, ok)
		}
	}
	view, err := p.m.states.Pin()
	if err != nil {
		p.c.violate("n%d: pin: %v", p.m.id, err)
		return
	}
	var stream []byte
	err = view.Export(partitionBounds(r.Partition(), r.State().Span), 1<<10, func(chunk []byte) error {
		stream = append(stream, chunk...)
		return nil
	})
	if err != nil {
		p.c.violate("n%d: export: %v", p.m.id, err)
	}
	_ = view.Close()
	from := p.m.id
	p.c.trace("n%d -> n%d p%d snapshot at %d, %d bytes", from, node, r.Partition(), s.Raft.GetSnapshot().GetMetadata().GetIndex(), len(stream))
	p.c.stats.Snapshots++
	p.after(p.c.skewed(milli, 300*milli), func() { p.point("snapshot under way", 0.05) })
	answer := func(q *proc, ok bool) {
		p.c.scatter(q, from, func(back *proc) {
			if back == p {
				end(ok)
			}
		})
	}
	p.after(p.c.skewed(milli, 300*milli), func() {
		if !p.c.post(p, node, nil, func(q *proc) { q.receiveSnapshot(from, meta, stream, answer) }) {
			end(false)
		}
	})
	p.after(streamPatience, func() { end(false) })
}

func (p *proc) receiveSnapshot(from base.NodeID, meta, stream []byte, answer func(*proc, bool)) {
	it, ok := raftHead(meta)
	if r := p.shard.Replica(it.Partition); !ok || r == nil || r.ID() != it.To {
		answer(p, false)
		return
	}
	imp, err := p.m.states.NewImport()
	if err == nil {
		err = imp.Write(bytes.Clone(stream))
	}
	if err == nil {
		err = imp.Finish()
	}
	if err != nil {
		p.c.violate("n%d p%d: import: %v", p.m.id, it.Partition, err)
		return
	}
	p.after(p.c.skewed(100*micro, 30*milli)+p.m.slowDisk, func() {
		p.tokens++
		p.imports[p.tokens] = &pendingImport{imp: imp, from: from, answer: answer}
		p.shard.StepSnapshot(it.Partition, it.From, it.To, from, it.Msg, p.tokens)
	})
}

func (p *proc) discardImport(token uint64) {
	if i := p.imports[token]; i != nil {
		delete(p.imports, token)
		i.imp.Abort()
		i.answer(p, false)
	}
}

// install replaces a partition's state: first the state, then the log, then
// the answer. The process may die at each step.
func (p *proc) install(a partition.Append) {
	i := p.imports[a.Snapshot.Token]
	delete(p.imports, a.Snapshot.Token)
	id, old := a.Replica.Partition(), a.Replica.State().Span
	if i == nil {
		p.c.violate("n%d p%d: raft wants a snapshot that is not there", p.m.id, id)
		return
	}
	p.installing[id] = true // until then its overlay lies over another state
	p.after(p.c.skewed(100*micro, 50*milli)+p.m.slowDisk, func() {
		if err := p.m.states.Ingest(i.imp, partitionBounds(id, old)); err != nil {
			p.c.violate("n%d p%d: ingest: %v", p.m.id, id, err)
			return
		}
		if p.point("snapshot ingested", 0.1) {
			return
		}
		p.after(p.c.skewed(10*micro, 20*milli), func() { p.installed(a, i) })
	})
}

func (p *proc) installed(a partition.Append, i *pendingImport) {
	id := a.Replica.Partition()
	b, _, _ := p.m.states.Get(keys.StateKey(id), nil)
	s, err := partition.DecodeState(b)
	if err != nil || s.Index != a.Snapshot.Index {
		p.c.violate("n%d p%d: a snapshot announced at %d stands at %d (%v)", p.m.id, id, a.Snapshot.Index, s.Index, err)
		return
	}
	p.c.trace("n%d p%d snapshot installed at %d", p.m.id, id, s.Index)
	p.c.stats.Installed++
	i.answer(p, true)
	p.shard.Installed(a.Replica, s)
	delete(p.installing, id)
	if id == base.Catalog {
		p.catalogDirty = true
	}
	if p.point("snapshot installed, log not reset", 0.1) {
		return
	}
	a.Snapshot = nil
	p.enqueueLog(logWrite{appends: []partition.Append{a}})
}

// partitionBounds are the key ranges of a partition, as in package node.
func partitionBounds(p base.PartitionID, span base.Span) []state.Bounds {
	var b []state.Bounds
	if !span.Empty() {
		lo, hi := keys.SpanBounds(span)
		b = append(b, state.Bounds{Lower: lo, Upper: hi})
	}
	if p == base.Catalog {
		lo, hi := keys.CatalogBounds()
		b = append(b, state.Bounds{Lower: lo, Upper: hi})
	}
	lo, hi := keys.MetaBounds(p)
	return append(b, state.Bounds{Lower: lo, Upper: hi})
}
