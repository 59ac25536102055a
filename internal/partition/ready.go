package partition

import (
	"encoding/binary"
	"fmt"
	"math"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/storage/logstore"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// HandleReady takes what raft has ready and adds it to out. It is to be
// called once per turn for every replica that was touched. While a snapshot
// is being installed nothing is taken: what follows it must stay behind it.
//
// It says whether there is more to take, for a next turn.
func (r *Replica) HandleReady(out *Output) (more bool) {
	r.reportTransactions(out)
	for range 3 { // applying may make raft ready again: taking that too saves a turn
		if r.installing || !r.rn.HasReady() {
			return false
		}
		rd := r.rn.Ready()
		r.noteState(&rd, out)
		for _, rs := range rd.ReadStates {
			if len(rs.RequestCtx) == 8 && binary.BigEndian.Uint64(rs.RequestCtx) == r.readID && len(r.reads) > 0 {
				r.finishReads(out)
			}
		}
		for _, m := range rd.Messages {
			r.handleMessage(m, out)
		}
	}
	return !r.installing && r.rn.HasReady()
}

// noteState follows changes of role, leader and term. It comes before
// anything is applied, so that entries of an old leadership find its layers
// gone.
func (r *Replica) noteState(rd *raft.Ready, out *Output) {
	term := r.term
	if !raft.IsEmptyHardState(rd.HardState) {
		term = rd.HardState.GetTerm()
	}
	role, lead := r.role, r.lead
	if rd.SoftState != nil {
		role, lead = rd.SoftState.RaftState, base.ReplicaID(rd.SoftState.Lead)
	}
	if role == r.role && lead == r.lead && term == r.term {
		return
	}
	wasLeader := r.Leads()
	deposed := wasLeader && (role != raft.StateLeader || term != r.term)
	r.role, r.lead, r.term = role, lead, term
	if deposed {
		r.stepDown(out)
	}
	if lead != 0 {
		r.campaign = 0
	}
	out.Changed = append(out.Changed, r)
}

func (r *Replica) handleMessage(m *pb.Message, out *Output) {
	switch m.GetType() {
	case pb.MsgStorageAppend:
		r.handleAppend(m, out)
	case pb.MsgStorageApply:
		for _, e := range m.GetEntries() {
			if err := r.apply(e, out); err != nil {
				out.fail(err)
				return
			}
		}
		r.log.shrink(r.state.Index)
		for _, resp := range m.GetResponses() {
			_ = r.rn.Step(resp)
		}
	case pb.MsgSnap:
		// Streamed by the driver as of the next move down.
		r.snapshots = append(r.snapshots, m)
	default:
		r.send(m, out)
	}
}

func (r *Replica) send(m *pb.Message, out *Output) {
	to := base.ReplicaID(m.GetTo())
	node, ok := r.nodeOf(to)
	if !ok {
		return // a member that was removed
	}
	out.Messages = append(out.Messages, Message{
		Node: node, Partition: r.cfg.Partition, From: r.cfg.Replica, To: to, Raft: m,
	})
}

// maxSenders bounds the senders that a replica remembers.
const maxSenders = 64

// LearnSender notes where a message came from. A replica that is behind, or
// new, is spoken to by members that its own state does not know yet: leaders
// that bring it up to date, candidates that need its vote. They must get their
// answers. A replica id never moves to another node.
func (r *Replica) LearnSender(id base.ReplicaID, node base.NodeID) {
	if !r.Initialized() {
		r.state.Members[id] = node
		return
	}
	if r.state.Members[id] == node || r.senders[id] == node {
		return
	}
	if r.senders == nil || len(r.senders) >= maxSenders {
		r.senders = map[base.ReplicaID]base.NodeID{}
	}
	r.senders[id] = node
}

// nodeOf says on which node a replica lives, as far as it is known here.
func (r *Replica) nodeOf(id base.ReplicaID) (node base.NodeID, ok bool) {
	if node, ok = r.state.Members[id]; !ok {
		node, ok = r.senders[id]
	}
	return node, ok
}

func (r *Replica) handleAppend(m *pb.Message, out *Output) {
	a := Append{
		Replica:   r,
		Update:    logstore.Update{Partition: r.cfg.Partition, Replica: r.cfg.Replica, Entries: m.GetEntries()},
		Responses: m.GetResponses(),
	}
	if m.Term != nil {
		a.Update.HardState = &logstore.HardState{Term: m.GetTerm(), Vote: m.GetVote(), Commit: m.GetCommit()}
	}
	if snap := m.GetSnapshot(); snap != nil && snap.GetMetadata().GetIndex() > 0 {
		md := snap.GetMetadata()
		mark := logstore.Mark{Index: md.GetIndex(), Term: md.GetTerm()}
		a.Update.Reset = &mark
		a.Snapshot = &Install{Token: binary.BigEndian.Uint64(snap.GetData()), Index: mark.Index}
		r.log.reset(mark)
		r.installing = true
	}
	if err := r.log.append(m.GetEntries()); err != nil {
		out.fail(err)
		return
	}
	if r.Leads() {
		r.noteIndex(m.GetEntries())
	}
	out.Appends = append(out.Appends, a)
}

// noteIndex learns the index that raft gave to the proposals under way.
func (r *Replica) noteIndex(ents []*pb.Entry) {
	for _, e := range ents {
		if e.GetTerm() != r.term {
			continue
		}
		switch {
		case e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 && r.current != nil && r.current.index == 0:
			r.current.index = e.GetIndex()
		case e.GetType() == pb.EntryConfChangeV2 && r.confIndex == math.MaxUint64:
			r.confIndex = e.GetIndex()
		case e.GetType() == pb.EntryNormal && len(e.GetData()) == 0 && r.confIndex == math.MaxUint64:
			r.confIndex = 0 // raft refused the change and left an empty entry
		}
	}
}

// Appended says that an append is durable: its responses are due.
func (r *Replica) Appended(a *Append, out *Output) {
	if n := len(a.Update.Entries); n > 0 {
		if i := a.Update.Entries[n-1].GetIndex(); i <= r.log.last {
			r.log.stable = max(r.log.stable, i)
		}
	}
	for _, m := range a.Responses {
		if base.ReplicaID(m.GetTo()) == r.cfg.Replica {
			_ = r.rn.Step(m)
		} else {
			r.send(m, out)
		}
	}
}

// Installed says that a received snapshot is the partition's state now,
// durably. It comes before Appended for the same append.
func (r *Replica) Installed(s State) error {
	r.ov.Reset()
	r.state, r.moved, r.moving = s, s, nil
	r.installing = false
	return r.loadTransactions()
}

// apply applies one committed entry.
func (r *Replica) apply(e *pb.Entry, out *Output) error {
	index, term := e.GetIndex(), e.GetTerm()
	if index != r.state.Index+1 {
		return fmt.Errorf("partition %d: apply index %d after %d", r.cfg.Partition, index, r.state.Index)
	}
	var err error
	switch e.GetType() {
	case pb.EntryNormal:
		if len(e.GetData()) == 0 {
			if r.Leads() && term == r.term {
				r.ready = true
				r.txns.inherit(r.ticks)
				out.Changed = append(out.Changed, r)
			}
		} else {
			err = r.applyRound(e)
		}
	case pb.EntryConfChangeV2:
		err = r.applyConf(e, out)
	default:
		err = fmt.Errorf("entry type %v", e.GetType())
	}
	if err != nil {
		return fmt.Errorf("partition %d: apply index %d: %w", r.cfg.Partition, index, err)
	}
	r.state.Index, r.state.Term = index, term
	if r.current != nil && r.current.index == index {
		r.finishRound(out)
	}
	return nil
}

func (r *Replica) applyRound(e *pb.Entry) error {
	var answers [8]effects.Answers
	list := answers[:0]
	h, d, err := effects.Decode(e.GetData(), func(a effects.Answers) { list = append(list, a) })
	if err != nil {
		return err
	}
	want := uint64(1)
	if r.state.RoundTerm == e.GetTerm() {
		want = r.state.Round + 1
	}
	if h.Term != e.GetTerm() || h.Round != want {
		return fmt.Errorf("round %d of term %d where round %d of term %d is due", h.Round, h.Term, want, e.GetTerm())
	}
	if h.Stamp <= r.state.Stamp {
		return fmt.Errorf("stamp %d after %d", h.Stamp, r.state.Stamp)
	}
	if r.current != nil && r.current.index == e.GetIndex() {
		if r.current.layer {
			r.ov.Committed() // evaluated here: the layer is this entry
		}
		r.txns.undo = r.txns.undo[:0]
	} else {
		if h.Transactions {
			if err := r.noteTransactions(d); err != nil {
				return err
			}
		}
		if err := r.ov.Apply(&d); err != nil {
			return err
		}
	}
	r.state.RoundTerm, r.state.Round = h.Term, h.Round
	r.state.Stamp, r.state.NextObjectID = h.Stamp, h.NextObjectID
	for _, a := range list {
		r.state.Answers.note(a)
	}
	return nil
}

func (r *Replica) applyConf(e *pb.Entry, out *Output) error {
	cc := &pb.ConfChangeV2{}
	if err := proto.Unmarshal(e.GetData(), cc); err != nil {
		return fmt.Errorf("configuration change: %w", err)
	}
	joined := map[base.ReplicaID]base.NodeID{}
	if len(cc.GetContext()) > 0 { // raft's own step out of a joint configuration has none
		var err error
		if joined, err = DecodeMembers(cc.GetContext()); err != nil {
			return err
		}
	}
	r.state.Conf = confFromRaft(r.rn.ApplyConfChange(cc))
	members := map[base.ReplicaID]base.NodeID{}
	for _, m := range []map[base.ReplicaID]base.NodeID{r.state.Members, joined} {
		for id, node := range m {
			if r.state.Conf.Has(id) {
				members[id] = node
			}
		}
	}
	r.state.Members = members
	r.removed = !r.state.Conf.Has(r.cfg.Replica)
	r.confBarrier = 0
	if r.Leads() {
		r.confBarrier = r.log.last + 1
		if len(r.reads) > 0 { // those that raft asked may be members no more
			r.readID++
			r.rn.ReadIndex(readContext(r.readID))
		}
	}
	out.Changed = append(out.Changed, r)
	return nil
}

// Dirty says whether anything was applied since the last move down.
func (r *Replica) Dirty() bool { return r.state.Index > r.moved.Index }

// WantsMove says whether applied state should be moved down: because there
// is much of it, or a snapshot waits for it.
func (r *Replica) WantsMove(bytes int) bool {
	if _, armed := r.armedFor(); armed || r.moving != nil || r.installing || !r.Initialized() {
		return false
	}
	return r.ov.Bytes() > bytes || r.ov.NeedsFreeze() || len(r.snapshots) > 0
}

// Move freezes the applied state and asks for it to be moved down.
func (r *Replica) Move(out *Output) {
	if _, armed := r.armedFor(); armed || r.moving != nil || r.installing || !r.Initialized() {
		return
	}
	s := r.state.clone()
	r.moving = &s
	out.MoveDowns = append(out.MoveDowns, MoveDown{
		Replica: r, Frozen: r.ov.Freeze(), Record: AppendState(nil, &s), State: s,
	})
}

// Moved says that the frozen state and its record are in the state store.
// Views and snapshots that waited for it are due: the driver pins the store
// before it writes anything else of this partition there.
func (r *Replica) Moved(s *State, out *Output) {
	if r.moving == nil || r.moving.Index != s.Index {
		return // a snapshot was installed meanwhile
	}
	r.ov.Moved()
	r.moved, r.moving = *s, nil
	r.askPins(out)
	for _, m := range r.snapshots {
		to := base.ReplicaID(m.GetTo())
		node, ok := r.state.Members[to]
		if !ok || !r.Leads() || m.GetTerm() != r.term {
			r.rn.ReportSnapshot(uint64(to), raft.SnapshotFailure)
			continue
		}
		m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
			Index: new(s.Index), Term: new(s.Term), ConfState: s.Conf.toRaft(),
		}}
		r.streams++
		out.Snapshots = append(out.Snapshots, SendSnapshot{Replica: r, Node: node, To: to, Raft: m})
	}
	r.snapshots = nil
}

// SnapshotSent reports the end of a stream.
func (r *Replica) SnapshotSent(to base.ReplicaID, ok bool) {
	r.streams--
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	r.rn.ReportSnapshot(uint64(to), status)
}

// StepSnapshot takes a MsgSnap whose stream has been received completely; the
// token names the import. If raft does not want it, it is discarded. One that
// is not new raft has to see, too: its answer is how the leader learns that
// this replica is as far already.
func (r *Replica) StepSnapshot(m *pb.Message, token uint64, out *Output) {
	if r.installing || r.moving != nil {
		out.Discarded = append(out.Discarded, token)
		return
	}
	m.Snapshot.Data = binary.BigEndian.AppendUint64(nil, token)
	before := len(out.Appends)
	_ = r.rn.Step(m)
	r.HandleReady(out)
	for i := before; i < len(out.Appends); i++ {
		if s := out.Appends[i].Snapshot; s != nil && s.Token == token && out.Appends[i].Replica == r {
			return
		}
	}
	out.Discarded = append(out.Discarded, token)
}

// TruncateTo says how far the log may be cut, given what the state store
// holds durably: keep is the number of entries to leave for slow followers.
// It returns nil if there is nothing to do. While a snapshot is being
// streamed the log is left alone: the receiver needs what follows it.
func (r *Replica) TruncateTo(durable, keep uint64) *logstore.Update {
	if r.streams > 0 {
		return nil
	}
	to := min(durable, r.state.Index, r.log.stable)
	if to <= keep || to-keep <= r.log.mark.Index {
		return nil
	}
	to -= keep
	term, err := r.log.Term(to)
	if err != nil {
		return nil
	}
	mark := logstore.Mark{Index: to, Term: term}
	r.log.truncate(mark)
	return &logstore.Update{Partition: r.cfg.Partition, Replica: r.cfg.Replica, Truncate: &mark}
}

// LogLen is the number of entries in the log.
func (r *Replica) LogLen() uint64 { return r.log.last - r.log.mark.Index }

// clone copies the record so that later changes do not show.
func (s *State) clone() State {
	c := *s
	c.Members = make(map[base.ReplicaID]base.NodeID, len(s.Members))
	for id, node := range s.Members {
		c.Members[id] = node
	}
	return c
}
