// Package shard runs the replicas that share one loop, in turns. Rounds
// belong to the loop, not to the partition: in one turn all replicas with
// work are stepped, evaluated and made ready, so that the driver pays one
// log append, one frame per peer and one batch of replies for all of them.
//
// It is a state machine without I/O: inputs are Step, Submit, Tick, the
// Peer… methods and the completions (Appended, Moved, …); Turn does what has
// come up and returns the Output. The driver is package node; tests drive
// whole clusters of shards from one loop.
//
// Invariants:
//   - Replicas are visited in order of their partition id: same inputs, same
//     outputs.
//   - A new node round starts when every partition of the last one has
//     finished, or when HoldTurns ticks' worth of patience ran out, so that one
//     slow group cannot hold the others up for ever; and not while the log is
//     being written: a proposal would only wait for the write to end.
package shard

import (
	"fmt"
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// holdMicros is how long a round may wait for the slowest partition of
	// the round before it.
	holdMicros = 2000
	// defaultWriteBack is how much applied state all replicas together gather
	// before it is moved down into the state store. Bytes.
	defaultWriteBack = 64 << 20
	// defaultInflight bounds the rounds proposed and not yet applied, all
	// partitions together. Bytes.
	defaultInflight = 64 << 20
	// minReplicas divides the write-back: a node with few replicas leaves room
	// for more.
	minReplicas = 4
	// backgroundTicks is the pace of housekeeping on leaders.
	backgroundTicks = 2
	// hungDiskTicks is how long an append may be under way before the node
	// falls silent, so that others take over what it leads.
	hungDiskTicks = 2 * partition.ElectionTicks
)

// Shard is the replicas of one loop.
type Shard struct {
	replicas map[base.PartitionID]*partition.Replica
	order    []*partition.Replica
	touched  map[*partition.Replica]struct{}
	again    []*partition.Replica
	out      partition.Output

	writeBack int
	inflight  int
	held      partition.Held

	roundAt  base.Stamp // when the node round under way was started; 0: none
	ticks    uint64
	appends  uint64 // appends under way
	appendAt uint64 // tick at which the last append completed or began
}

// New returns an empty shard.
func New() *Shard {
	return &Shard{
		replicas:  map[base.PartitionID]*partition.Replica{},
		touched:   map[*partition.Replica]struct{}{},
		writeBack: defaultWriteBack, inflight: defaultInflight,
	}
}

// Limit sets the bounds of the write-back and of the rounds under way, in
// bytes.
func (s *Shard) Limit(writeBack, inflight int) { s.writeBack, s.inflight = writeBack, inflight }

// Hold says whether the requests of a gateway are to wait, because too many
// of its replies wait to be sent to it.
func (s *Shard) Hold(gateway base.NodeID, hold bool) {
	switch {
	case !hold:
		delete(s.held, gateway)
	case s.held == nil:
		s.held = partition.Held{gateway: true}
	default:
		s.held[gateway] = true
	}
}

// Add takes a replica in.
func (s *Shard) Add(r *partition.Replica) {
	if _, ok := s.replicas[r.Partition()]; ok {
		panic(fmt.Sprintf("shard: two replicas of partition %d", r.Partition()))
	}
	s.replicas[r.Partition()] = r
	s.order = append(s.order, r)
	slices.SortFunc(s.order, func(a, b *partition.Replica) int { return int(a.Partition()) - int(b.Partition()) })
	s.touch(r)
}

// GiveUp refuses or gives up everything that waits, for a node that has
// stopped: its replicas are not to be ticked or stepped any more.
func (s *Shard) GiveUp() {
	for _, r := range s.order {
		r.Close(&s.out)
	}
}

// Remove drops a replica; what waits in it is refused.
func (s *Shard) Remove(p base.PartitionID) {
	r := s.replicas[p]
	if r == nil {
		return
	}
	r.Close(&s.out)
	delete(s.replicas, p)
	delete(s.touched, r)
	s.order = slices.DeleteFunc(s.order, func(x *partition.Replica) bool { return x == r })
}

// Replica returns the replica of a partition, or nil.
func (s *Shard) Replica(p base.PartitionID) *partition.Replica { return s.replicas[p] }

// Replicas returns all replicas in order of their partition.
func (s *Shard) Replicas() []*partition.Replica { return s.order }

func (s *Shard) touch(r *partition.Replica) { s.touched[r] = struct{}{} }

// Touch makes the next turn look at a replica.
func (s *Shard) Touch(r *partition.Replica) { s.touch(r) }

// Step takes a Raft message. A message for another replica id than the one
// here is late, and dropped.
func (s *Shard) Step(p base.PartitionID, from, to base.ReplicaID, node base.NodeID, m *pb.Message) {
	r := s.replicas[p]
	if r == nil || r.ID() != to {
		return
	}
	if _, term := r.Leader(); s.HungDisk() && answersLeader(m) && m.GetTerm() == term {
		return
	}
	r.LearnSender(from, node)
	r.Step(m)
	s.touch(r)
}

// answersLeader says whether a message is an answer by which a leader knows that
// it is heard. A node that has fallen silent takes none of its own term: they
// are to what it said before, may be late by as long as others' disks were
// hanging, and each would keep it in office.
func answersLeader(m *pb.Message) bool {
	return m.GetType() == pb.MsgAppResp || m.GetType() == pb.MsgHeartbeatResp
}

// StepSnapshot takes the MsgSnap at the end of a received stream; token names
// the import that the driver keeps.
func (s *Shard) StepSnapshot(p base.PartitionID, from, to base.ReplicaID, node base.NodeID, m *pb.Message, token uint64) {
	r := s.replicas[p]
	if r == nil || r.ID() != to {
		s.out.Discarded = append(s.out.Discarded, token)
		return
	}
	r.LearnSender(from, node)
	r.StepSnapshot(m, token, &s.out)
	s.touch(r)
}

// Submit takes a request for a partition that this node is said to lead.
func (s *Shard) Submit(req *partition.Request) {
	r := s.replicas[req.Partition]
	if r == nil {
		req.Status, req.Leader, req.Term = partition.NotRun, 0, 0
		s.out.Finished = append(s.out.Finished, req)
		return
	}
	r.Submit(req, &s.out)
	s.touch(r)
}

// Abandon forgets an evaluated request that its gateway gave up.
func (s *Shard) Abandon(req *partition.Request) {
	if r := s.replicas[req.Partition]; r != nil {
		r.Abandon(req)
	}
	s.out.Finished = slices.DeleteFunc(s.out.Finished, func(x *partition.Request) bool { return x == req })
	s.out.Waiting = slices.DeleteFunc(s.out.Waiting, func(x partition.Notice) bool { return x.Request == req })
}

// Tick advances all replicas' clocks by one tick.
func (s *Shard) Tick() {
	s.ticks++
	for _, r := range s.order {
		r.Tick()
		if s.ticks%backgroundTicks == 0 {
			r.WantBackground()
		}
		s.touch(r)
	}
}

// PeerDown says that a node's process is gone.
func (s *Shard) PeerDown(node base.NodeID) {
	for _, r := range s.order {
		r.NodeDown(node)
		r.GatewayDown(node, &s.out)
		r.Unreachable(node)
		s.touch(r)
	}
}

// Unreachable says that messages to a node were lost.
func (s *Shard) Unreachable(node base.NodeID) {
	for _, r := range s.order {
		r.Unreachable(node)
		s.touch(r)
	}
}

// Appended says that appends of an earlier output are durable.
func (s *Shard) Appended(appends []partition.Append) {
	s.appends -= uint64(len(appends))
	s.appendAt = s.ticks
	for i := range appends {
		r := appends[i].Replica
		r.Appended(&appends[i], &s.out)
		s.touch(r)
	}
}

// Installed says that a snapshot of an earlier output has replaced a
// partition's state, durably. Appended follows for the same append.
func (s *Shard) Installed(r *partition.Replica, state partition.State) {
	if err := r.Installed(state); err != nil && s.out.Fatal == nil {
		s.out.Fatal = err
	}
	s.touch(r)
}

// Moved says that a move down of an earlier output is in the state store.
func (s *Shard) Moved(r *partition.Replica, state *partition.State) {
	r.Moved(state, &s.out)
	s.touch(r)
}

// Pinned brings a view that an earlier output asked for.
func (s *Shard) Pinned(p *partition.Pin, view state.View) {
	p.Replica.Pinned(p.ID, view)
	s.touch(p.Replica)
}

// CloseViews drops all views of cuts, before the state store is closed.
func (s *Shard) CloseViews() {
	for _, r := range s.order {
		r.CloseViews()
	}
}

// SnapshotSent reports the end of a snapshot stream.
func (s *Shard) SnapshotSent(r *partition.Replica, to base.ReplicaID, ok bool) {
	r.SnapshotSent(to, ok)
	s.touch(r)
}

// MoveAll asks every replica with anything new to move it down, so that the
// log can be truncated.
func (s *Shard) MoveAll() {
	for _, r := range s.order {
		if r.Dirty() {
			r.Move(&s.out)
		}
	}
}

// Truncate cuts the logs: durable says how far each partition's state is
// durable in the state store; keep entries stay for slow followers.
func (s *Shard) Truncate(durable func(base.PartitionID) uint64, keep uint64) []logstore.Update {
	var ups []logstore.Update
	for _, r := range s.order {
		if u := r.TruncateTo(durable(r.Partition()), keep); u != nil {
			ups = append(ups, *u)
		}
	}
	return ups
}

// HungDisk says that the log store has not finished an append for so long
// that this node should not lead: the driver then sends nothing, and what its
// leaders are answered counts for nothing, so that they step down.
func (s *Shard) HungDisk() bool {
	return s.appends > 0 && s.ticks-s.appendAt > hungDiskTicks
}

// Turn does what has come up since the last one and returns what is to be
// done. The output is valid until the next call of any method. now is the
// node's clock. wake, if not 0, is when the next turn is due at the latest,
// apart from ticks: requests are held back until then.
func (s *Shard) Turn(now base.Stamp) (out *partition.Output, wake base.Stamp) {
	// First what raft says of the past: roles, commits, replies. Then new
	// rounds. Then raft again for the replicas that got one.
	again := s.again[:0]
	moveBytes := s.writeBack / max(minReplicas, len(s.order))
	for _, r := range s.order {
		if _, ok := s.touched[r]; ok {
			if r.HandleReady(&s.out) {
				again = append(again, r)
			}
			if r.ServeCuts(now, &s.out) {
				again = append(again, r)
			}
			if r.WantsMove(moveBytes) {
				r.Move(&s.out)
			}
		}
	}
	s.again = again
	wake = s.startRound(now)
	clear(s.touched)
	for _, r := range s.again {
		s.touch(r)
		wake = now
	}
	if len(s.out.Appends) > 0 && s.appends == 0 {
		s.appendAt = s.ticks
	}
	s.appends += uint64(len(s.out.Appends))
	return &s.out, wake
}

// Done empties the output of the last turn, once it is carried out.
func (s *Shard) Done() { s.out.Reset() }

// startRound starts a round on every replica that wants one, if no partition
// of the last node round is still under way.
func (s *Shard) startRound(now base.Stamp) (wake base.Stamp) {
	busy, want, inflight := false, false, 0
	for _, r := range s.order {
		inflight += r.Inflight()
		busy = busy || r.Busy()
		want = want || r.WantsRound() && !r.Busy()
	}
	if !busy {
		s.roundAt = 0
	}
	if !want {
		return 0
	}
	if s.appends > 0 {
		// The log is being written: what is proposed now would wait for that
		// write anyway. Its completion brings the next turn, and a fuller round.
		return 0
	}
	if busy && s.roundAt != 0 && now < s.roundAt+holdMicros {
		return s.roundAt + holdMicros
	}
	s.roundAt = now
	for _, r := range s.order {
		if inflight >= s.inflight {
			return 0 // an append that completes brings the next turn
		}
		if r.WantsRound() && !r.Busy() {
			r.Evaluate(now, s.held, &s.out)
			if r.HandleReady(&s.out) {
				s.again = append(s.again, r)
			}
			inflight += r.Inflight()
		}
	}
	return 0
}
