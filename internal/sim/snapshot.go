package sim

import (
	"bytes"
	"fmt"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/storage/state"
	"coterie/internal/wire"
)

// Snapshots go as in package node: parts in the bulk lane, at most a window
// of them unacknowledged, and the last one acknowledged when the snapshot is
// installed. Parts and window are smaller here, so that there are several.
const (
	snapshotChunk  = 512 // bytes in one part
	snapshotWindow = 4   // parts on their way
	streamPatience = 20 * second
	maxStreamsIn   = 16
	maxStreamsOut  = 16
)

// ackStatus of a snapshot part.
const (
	ackOK    = 0
	ackAbort = 1
)

// outStream is a snapshot being sent.
type outStream struct {
	id       uint64
	replica  *partition.Replica
	index    uint64 // where the snapshot stands
	to       base.ReplicaID
	node     base.NodeID
	meta     []byte
	parts    [][]byte // the last one is empty and says that it is the last
	sent     int
	acked    int
	patience int64 // until when an acknowledgement has to come
}

// inStream is a snapshot being received.
type inStream struct {
	busy    int64 // until then the part before is being written
	from    base.NodeID
	id      uint64
	replica base.ReplicaID
	imp     state.Import
	meta    []byte
	next    uint32
}

// pendingImport is a received snapshot that raft has not decided on.
type pendingImport struct {
	imp  state.Import
	from base.NodeID
	ack  wire.SnapshotAck
}

// sendSnapshot exports the partition as it is now and streams it.
func (p *proc) sendSnapshot(s *partition.SendSnapshot) {
	r := s.Replica
	if len(p.outStreams) >= maxStreamsOut {
		p.after(1, func() { p.shard.SnapshotSent(r, s.To, false) })
		return
	}
	p.tokens++
	out := &outStream{
		id: p.incarnation<<32 | p.tokens, replica: r, index: s.Raft.GetSnapshot().GetMetadata().GetIndex(), to: s.To, node: s.Node,
		meta: wire.AppendRaft(nil, r.Partition(), r.ID(), s.To, s.Raft),
	}
	var err error
	if out.parts, err = p.export(r); err != nil {
		p.fail(err)
		return
	}
	if p.sentTo[s.To] > 0 {
		p.c.met(eventSnapTwice)
	}
	p.sentTo[s.To]++
	p.outStreams[out.id] = out
	p.c.trace("n%d -> n%d p%d snapshot %x at %d, %d parts", p.m.id, s.Node, r.Partition(), out.id, out.index, len(out.parts))
	p.c.stats.Snapshots++
	p.sentPlanted(out)
	if p.point(pointSnapPinned) {
		return
	}
	p.afterDisk(p.c.skewed(milli, 100*milli), func() { p.streamOn(out) })
}

// export is a partition's stream in parts.
func (p *proc) export(r *partition.Replica) (parts [][]byte, err error) {
	if err := p.m.readFault(); err != nil {
		return nil, err
	}
	view, err := p.m.states.Pin()
	if err != nil {
		return nil, err
	}
	err = view.Export(partition.Bounds(r.Partition(), r.State().Span), snapshotChunk, func(chunk []byte) error {
		parts = append(parts, bytes.Clone(chunk))
		return nil
	})
	if cerr := view.Close(); err == nil {
		err = cerr
	}
	return append(parts, nil), err
}

// streamOn sends as many parts as the window has room for.
func (p *proc) streamOn(out *outStream) {
	for p.outStreams[out.id] == out && out.sent < len(out.parts) && out.sent < out.acked+snapshotWindow {
		ch := wire.SnapshotChunk{
			Partition: out.replica.Partition(), From: out.replica.ID(), To: out.to, Stream: out.id,
			Seq: uint32(out.sent), Data: out.parts[out.sent], Last: out.sent == len(out.parts)-1,
		}
		if out.sent == 0 {
			ch.Meta = out.meta
		}
		from, msg := p.m.id, wire.AppendSnapshotChunk(nil, &ch)
		if !p.c.post(p, out.node, laneBulk, nil, func(q *proc) { q.receiveChunk(from, msg) }) {
			p.c.met(eventSnapBroken)
			p.endOut(out, false)
			return
		}
		out.sent++
		if p.point(pointSnapPart) {
			return
		}
	}
	p.watchOut(out)
}

// watchOut gives a stream up when no acknowledgement comes for too long.
func (p *proc) watchOut(out *outStream) {
	due := p.c.now + streamPatience
	out.patience = due
	p.after(streamPatience, func() {
		if p.outStreams[out.id] == out && out.patience == due {
			p.c.met(eventSnapOverdue)
			p.endOut(out, false)
		}
	})
}

func (p *proc) endOut(out *outStream, ok bool) {
	if p.outStreams[out.id] != out {
		return
	}
	delete(p.outStreams, out.id)
	p.c.trace("n%d -> n%d p%d snapshot %x over: %v", p.m.id, out.node, out.replica.Partition(), out.id, ok)
	if p.c.opts.Bug != BugCutWhileSent {
		p.after(1, func() { p.shard.SnapshotSent(out.replica, out.to, ok) })
	}
}

// loseStreams ends the streams to a node, as in package node.
func (p *proc) loseStreams(to base.NodeID) {
	for _, id := range sortedKeys(p.outStreams) {
		if out := p.outStreams[id]; out.node == to {
			p.c.met(eventSnapBroken)
			p.endOut(out, false)
		}
	}
}

func (p *proc) ack(to base.NodeID, stream uint64, seq uint32, status uint8) {
	msg := wire.AppendSnapshotAck(nil, wire.SnapshotAck{Stream: stream, Seq: seq, Status: status})
	p.c.scatter(p, to, laneControl, func(q *proc) { q.receiveAck(msg) })
}

func (p *proc) receiveAck(msg []byte) {
	a, err := wire.ReadSnapshotAck(msg)
	if err != nil {
		p.c.violate("n%d: acknowledgement: %v", p.m.id, err)
		return
	}
	out := p.outStreams[a.Stream]
	if out == nil {
		return
	}
	if a.Status != ackOK {
		p.endOut(out, false)
		return
	}
	if out.acked = max(out.acked, int(a.Seq)+1); out.acked == len(out.parts) {
		p.endOut(out, true)
		return
	}
	p.streamOn(out)
}

// receiveChunk takes the next part of a stream; the first part begins one.
func (p *proc) receiveChunk(from base.NodeID, msg []byte) {
	var ch wire.SnapshotChunk
	if err := wire.ReadSnapshotChunk(bytes.Clone(msg), &ch); err != nil {
		p.c.violate("n%d: snapshot part: %v", p.m.id, err)
		return
	}
	in := p.inStreams[ch.Stream]
	if ch.Seq == 0 {
		if in = p.beginIn(from, &ch); in == nil {
			p.c.met(eventSnapUnwanted)
			p.ack(from, ch.Stream, ch.Seq, ackAbort)
			return
		}
	}
	if in == nil || in.from != from {
		p.ack(from, ch.Stream, ch.Seq, ackAbort)
		return
	}
	in.busy = max(in.busy, p.c.now+p.m.access(p.c.skewed(10*micro, 2*milli))) // parts do not overtake
	p.after(in.busy-p.c.now, func() {
		if p.inStreams[in.id] == in {
			p.receivePart(in, &ch)
		}
	})
}

// beginIn starts to receive a stream, if its replica is here. A newer stream
// to the same replica wins.
func (p *proc) beginIn(from base.NodeID, ch *wire.SnapshotChunk) *inStream {
	r := p.shard.Replica(ch.Partition)
	if p.inStreams[ch.Stream] != nil || len(p.inStreams) >= maxStreamsIn || r == nil || r.ID() != ch.To {
		return nil
	}
	for _, id := range sortedKeys(p.inStreams) {
		if other := p.inStreams[id]; other.replica == ch.To {
			p.endIn(other)
			p.ack(other.from, other.id, 0, ackAbort)
		}
	}
	imp, err := p.m.states.NewImport()
	if err != nil {
		p.c.violate("n%d: import: %v", p.m.id, err)
		return nil
	}
	in := &inStream{from: from, id: ch.Stream, replica: ch.To, imp: imp, meta: ch.Meta}
	p.inStreams[in.id] = in
	return in
}

func (p *proc) endIn(in *inStream) {
	if p.inStreams[in.id] == in {
		delete(p.inStreams, in.id)
		in.imp.Abort()
	}
}

func (p *proc) receivePart(in *inStream, ch *wire.SnapshotChunk) {
	err := error(nil)
	switch {
	case ch.Seq != in.next:
		err = fmt.Errorf("part %d where %d was due", ch.Seq, in.next)
	case p.m.disk.noSpace:
		err = errPlanned
	case len(ch.Data) > 0:
		err = in.imp.Write(ch.Data)
	}
	in.next++
	if err == nil && ch.Last {
		err = in.imp.Finish()
	}
	if err != nil {
		p.c.trace("n%d gives snapshot %x up: %v", p.m.id, in.id, err)
		p.c.met(eventSnapBroken)
		p.endIn(in)
		p.ack(in.from, in.id, ch.Seq, ackAbort)
		return
	}
	if p.point(pointSnapReceived) {
		return
	}
	if !ch.Last {
		p.ack(in.from, in.id, ch.Seq, ackOK)
		return
	}
	delete(p.inStreams, in.id)
	if p.point(pointSnapComplete) {
		return
	}
	p.received(in, ch)
}

// received offers a complete snapshot to raft.
func (p *proc) received(in *inStream, last *wire.SnapshotChunk) {
	p.tokens++
	token := p.tokens
	p.imports[token] = &pendingImport{imp: in.imp, from: in.from, ack: wire.SnapshotAck{Stream: in.id, Seq: last.Seq}}
	it, ok := raftHead(in.meta)
	if !ok || it.Partition != last.Partition || it.To != last.To {
		p.c.violate("n%d: a snapshot with a malformed head", p.m.id)
		return
	}
	p.shard.StepSnapshot(it.Partition, it.From, it.To, in.from, it.Msg, token)
}

func (p *proc) discardImport(token uint64) {
	if i := p.imports[token]; i != nil {
		delete(p.imports, token)
		p.c.met(eventSnapUnwanted)
		i.imp.Abort()
		p.ack(i.from, i.ack.Stream, i.ack.Seq, ackAbort)
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
	p.afterDisk(p.c.skewed(100*micro, 50*milli), func() {
		if p.point(pointSnapAccepted) {
			return
		}
		if p.m.disk.noSpace || p.m.disk.failSync {
			p.fail(fmt.Errorf("ingest: %w", errPlanned))
			return
		}
		if p.tornPlanted(&a) {
			return
		}
		if err := p.m.states.Ingest(i.imp, partition.Bounds(id, old)); err != nil {
			p.c.violate("n%d p%d: ingest: %v", p.m.id, id, err)
			return
		}
		if p.point(pointSnapIngested) {
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
	p.ack(i.from, i.ack.Stream, i.ack.Seq, ackOK)
	p.shard.Installed(a.Replica, s)
	delete(p.installing, id)
	if id == base.Catalog {
		p.catalogDirty = true
	}
	if p.point(pointSnapInstalled) {
		return
	}
	a.Snapshot = nil
	p.enqueueLog(logWrite{appends: []partition.Append{a}, done: func() { p.point(pointSnapLogReset) }})
}
