package node

import (
	"errors"
	"fmt"
	"time"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"
	"coterie/internal/transport"
	"coterie/internal/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Limits of snapshot streams.
const (
	snapshotChunk   = 128 << 10 // bytes in one part
	snapshotWindow  = 16        // parts on their way
	snapshotTimeout = 20 * time.Second
	maxStreamsIn    = 16 // streams being received
	maxStreamsOut   = 16 // streams being sent; further ones fail and are tried again
)

// ackStatus of a snapshot part.
const (
	ackOK    = 0
	ackAbort = 1
)

// outStream is a snapshot being sent. Its goroutine waits on acks.
type outStream struct {
	node base.NodeID
	acks chan wire.SnapshotAck
	lost chan struct{} // closed when a connection with the receiver ended
	over bool          // lost is closed
}

// loseStreams ends the streams to a node: a part or an acknowledgement may be
// lost, and nothing would come any more.
func (n *Node) loseStreams(to base.NodeID) {
	for _, out := range n.outStreams {
		if out.node == to && !out.over {
			out.over = true
			close(out.lost)
		}
	}
}

// inStream is a snapshot being received.
type inStream struct {
	from     base.NodeID
	id       uint64
	replica  base.ReplicaID
	chunks   chan wire.SnapshotChunk
	lastTick uint64
}

// sendSnapshot pins the store as it is now, on the loop, and streams it.
func (n *Node) sendSnapshot(s *partition.SendSnapshot) {
	send := *s
	fail := func(err error) {
		n.log.Warn("snapshot not sent", "partition", send.Replica.Partition(), "to", send.Node, "err", err)
		n.inbox.putEvent(func() { n.shard.SnapshotSent(send.Replica, send.To, false) })
	}
	if len(n.outStreams) >= maxStreamsOut {
		fail(errors.New("too many streams at once"))
		return
	}
	view, err := n.states.Pin()
	if err != nil {
		fail(err)
		return
	}
	n.streamSeq++
	id := n.id.Incarnation<<32 | n.streamSeq
	out := &outStream{node: send.Node, acks: make(chan wire.SnapshotAck, 2*snapshotWindow), lost: make(chan struct{})}
	n.outStreams[id] = out
	bounds := partition.Bounds(send.Replica.Partition(), send.Replica.State().Span)
	n.metrics.snapshotsSent.Add(1)
	n.background.Add(1)
	go func() {
		defer n.background.Done()
		err := n.stream(id, &send, view, bounds, out)
		if cerr := view.Close(); err == nil {
			err = cerr
		}
		n.inbox.putEvent(func() {
			delete(n.outStreams, id)
			if err == nil {
				n.shard.SnapshotSent(send.Replica, send.To, true)
			}
		})
		if err != nil {
			fail(err)
		}
	}()
}

// stream sends a pinned partition in parts, at most snapshotWindow of them
// unacknowledged, and returns when the receiver has installed it.
func (n *Node) stream(id uint64, s *partition.SendSnapshot, view state.View, bounds []state.Bounds, out *outStream) error {
	ch := wire.SnapshotChunk{
		Partition: s.Replica.Partition(), From: s.Replica.ID(), To: s.To, Stream: id,
		Meta: wire.AppendRaft(nil, s.Replica.Partition(), s.Replica.ID(), s.To, s.Raft),
	}
	acked := uint32(0)
	wait := func(until uint32) error { // until parts [0, until) are acknowledged
		for acked < until {
			select {
			case a := <-out.acks:
				if a.Status != ackOK {
					return errors.New("the receiver gave up")
				}
				acked = max(acked, a.Seq+1)
			case <-out.lost:
				return errors.New("the connection was lost")
			case <-time.After(snapshotTimeout):
				return errors.New("the receiver does not answer")
			case <-n.quit:
				return errors.New("stopping")
			}
		}
		return nil
	}
	part := func(data []byte, last bool) error {
		if ch.Seq >= snapshotWindow {
			if err := wait(ch.Seq - snapshotWindow + 1); err != nil {
				return err
			}
		}
		ch.Data, ch.Last = data, last
		if !n.transport.Send(s.Node, transport.Bulk, wire.AppendSnapshotChunk(nil, &ch)) {
			return errors.New("not connected")
		}
		ch.Meta = nil
		ch.Seq++
		return nil
	}
	err := view.Export(bounds, snapshotChunk, func(chunk []byte) error { return part(chunk, false) })
	if err == nil {
		err = part(nil, true)
	}
	if err == nil {
		err = wait(ch.Seq)
	}
	return err
}

func (n *Node) receiveAck(m *received) error {
	a, err := wire.ReadSnapshotAck(m.msg)
	if err != nil {
		return err
	}
	if out := n.outStreams[a.Stream]; out != nil {
		select {
		case out.acks <- a:
		default: // more than its window: it gives up by its time-out
		}
	}
	return nil
}

// receiveChunk hands a part to its stream's goroutine; the first part starts
// one.
func (n *Node) receiveChunk(m *received) error {
	var ch wire.SnapshotChunk
	if err := wire.ReadSnapshotChunk(m.msg, &ch); err != nil {
		return err
	}
	in := n.inStreams[ch.Stream]
	if ch.Seq == 0 {
		r := n.shard.Replica(ch.Partition)
		if in != nil || len(n.inStreams) >= maxStreamsIn || r == nil || r.ID() != ch.To {
			n.ack(m.from, ch.Stream, ch.Seq, ackAbort)
			return nil
		}
		for _, other := range n.inStreams { // a newer stream to the same replica wins
			if other.replica == ch.To {
				n.endIn(other)
			}
		}
		in = &inStream{from: m.from, id: ch.Stream, replica: ch.To, chunks: make(chan wire.SnapshotChunk, snapshotWindow+1)}
		n.inStreams[ch.Stream] = in
		n.background.Add(1)
		go n.receiveStream(in)
	}
	if in == nil || in.from != m.from {
		n.ack(m.from, ch.Stream, ch.Seq, ackAbort)
		return nil
	}
	in.lastTick = n.ticks
	select {
	case in.chunks <- ch:
	default:
		n.endIn(in) // more than the window: not what we speak
	}
	return nil
}

func (n *Node) ack(to base.NodeID, stream uint64, seq uint32, status uint8) {
	n.transport.Send(to, transport.Control, wire.AppendSnapshotAck(nil, wire.SnapshotAck{Stream: stream, Seq: seq, Status: status}))
}

// endIn ends a stream from the loop's side.
func (n *Node) endIn(in *inStream) {
	if n.inStreams[in.id] == in {
		delete(n.inStreams, in.id)
		close(in.chunks)
	}
}

// receiveStream writes a stream to the disk. The last part is acknowledged
// when the snapshot is installed.
func (n *Node) receiveStream(in *inStream) {
	defer n.background.Done()
	err := n.receiveParts(in)
	if err != nil {
		n.log.Warn("snapshot not received", "from", in.from, "err", err)
		n.ack(in.from, in.id, 0, ackAbort)
		n.inbox.putEvent(func() { n.endIn(in) })
	}
}

func (n *Node) receiveParts(in *inStream) error {
	imp, err := n.states.NewImport()
	if err != nil {
		return err
	}
	var meta []byte
	next := uint32(0)
	for ch := range in.chunks {
		if ch.Seq != next {
			imp.Abort()
			return fmt.Errorf("part %d where %d was due", ch.Seq, next)
		}
		next++
		if ch.Seq == 0 {
			meta = append([]byte(nil), ch.Meta...)
		}
		if len(ch.Data) > 0 {
			if err := imp.Write(ch.Data); err != nil {
				imp.Abort()
				return err
			}
		}
		if !ch.Last {
			n.ack(in.from, in.id, ch.Seq, ackOK)
			continue
		}
		if err := imp.Finish(); err != nil {
			imp.Abort()
			return err
		}
		last := ch
		n.inbox.putEvent(func() { n.received(in, imp, meta, &last) })
		return nil
	}
	imp.Abort()
	return errors.New("broken off")
}

// pendingImport is a received snapshot that raft has not decided on.
type pendingImport struct {
	imp  state.Import
	from base.NodeID
	ack  wire.SnapshotAck
}

// received offers a complete snapshot to raft.
func (n *Node) received(in *inStream, imp state.Import, meta []byte, last *wire.SnapshotChunk) {
	n.endIn(in)
	n.streamSeq++
	token := n.streamSeq
	n.imports[token] = &pendingImport{imp: imp, from: in.from, ack: wire.SnapshotAck{Stream: in.id, Seq: last.Seq}}
	var it wire.RaftItem
	rd, err := wire.ReadRaft(meta)
	if err == nil {
		_, err = rd.Next(&it)
	}
	if err != nil || it.Msg.GetType() != pb.MsgSnap || it.Partition != last.Partition || it.To != last.To {
		n.log.Warn("snapshot with a malformed head", "from", in.from, "err", err)
		n.discardImport(token)
		return
	}
	n.shard.StepSnapshot(it.Partition, it.From, it.To, in.from, it.Msg, token)
}

func (n *Node) discardImport(token uint64) {
	if p := n.imports[token]; p != nil {
		delete(n.imports, token)
		p.imp.Abort()
		n.ack(p.from, p.ack.Stream, p.ack.Seq, ackAbort)
	}
}

// install replaces a partition's state by a snapshot that raft accepted:
// first the state, durably, then the log, then the answer. A crash in
// between is mended by partition.Reconcile.
func (n *Node) install(a partition.Append) {
	p := n.imports[a.Snapshot.Token]
	delete(n.imports, a.Snapshot.Token)
	pid, old := a.Replica.Partition(), a.Replica.State().Span
	n.metrics.snapshotsReceived.Add(1)
	n.background.Add(1)
	go func() {
		defer n.background.Done()
		s, err := n.ingest(p, pid, old)
		if err == nil && s.Index != a.Snapshot.Index {
			err = fmt.Errorf("its state stands at index %d, its head says %d", s.Index, a.Snapshot.Index)
		}
		n.inbox.putEvent(func() {
			if err != nil {
				n.fail(fmt.Errorf("install a snapshot of partition %d: %w", pid, err))
				return
			}
			n.log.Info("snapshot installed", "partition", pid, "index", s.Index, "from", p.from)
			n.ack(p.from, p.ack.Stream, p.ack.Seq, ackOK)
			n.shard.Installed(a.Replica, s)
			if pid == base.Catalog {
				n.catalogDirty = true
			}
			a.Snapshot = nil
			n.logWrites <- logWrite{appends: []partition.Append{a}}
		})
	}()
}

func (n *Node) ingest(p *pendingImport, pid base.PartitionID, old base.Span) (s partition.State, err error) {
	if p == nil {
		return s, errors.New("its files are gone")
	}
	if err := n.states.Ingest(p.imp, partition.Bounds(pid, old)); err != nil {
		return s, err
	}
	b, ok, err := n.states.Get(keys.StateKey(pid), nil)
	if err != nil || !ok {
		return s, fmt.Errorf("no state record in it: %w", err)
	}
	return partition.DecodeState(b)
}

// tombstoneVote marks the log of a replica that was removed: its id stays
// known for ever, so that no late word can bring it back to vote again.
const tombstoneVote = ^uint64(0)

func isTombstone(s *logstore.State) bool { return s.HardState.Vote == tombstoneVote }
