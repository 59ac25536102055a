package partition

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/kv"
	"coterie/internal/overlay"
	"coterie/internal/storage/logstore"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// Limits and pace of a replica. Ticks are the shard's.
const (
	// ElectionTicks is how long a follower waits for its leader, at least, where
	// Config does not say; raft draws between one and two times this.
	ElectionTicks = 20
	// HeartbeatTicks is the pace of heartbeats.
	HeartbeatTicks = 2
	// maxMessageBytes bounds the entries in one Raft message (one larger entry
	// still goes alone).
	maxMessageBytes = 1 << 20
	// maxInflightMessages and maxInflightBytes bound what is sent to one
	// follower and not acknowledged.
	maxInflightMessages = 256
	maxInflightBytes    = 64 << 20
	// maxApplyBytes bounds the committed entries applied in one turn.
	maxApplyBytes = 8 << 20
	// maxRoundBytes and maxRoundRequests bound one round.
	maxRoundBytes    = 1 << 20
	maxRoundRequests = 4096
)

// Evaluator runs commands. It is the floor above: partitions know requests
// only as bytes.
type Evaluator interface {
	// Evaluate runs one request over txn and appends its reply to reply.
	Evaluate(txn *Txn, req *Request, reply []byte) []byte
	// Slots visits the slots that a request may touch; it is false when that is
	// the whole partition.
	Slots(req *Request, visit func(base.Slot)) bool
	// Wrote says that a transaction over partitions, evaluated now or before, has
	// written a body of operations (see WrittenSlots); whole: in it there is something
	// of the whole partition, such as its map of generations.
	Wrote(txn *Txn, body []byte, whole bool)
	// Background does a bounded piece of housekeeping (expiry, sweeping) on a
	// leader, and says whether there is more to do soon.
	Background(txn *Txn) (more bool)
}

// Config makes a replica.
type Config struct {
	Partition base.PartitionID
	Replica   base.ReplicaID
	Node      base.NodeID
	Log       LogReader
	Base      overlay.Base
	Evaluator Evaluator
	Logger    *slog.Logger
	// Rand is the random source that commands see.
	Rand func() uint64
	// ElectionTicks is the election timeout; 0: ElectionTicks.
	ElectionTicks int
	// QueueTicks is how long a request may wait to be evaluated: once gateways
	// have given it up, the work would be for nobody. 0: for ever.
	QueueTicks uint64
	// ReadOnly says why the node takes no writes at the moment, or "".
	ReadOnly func() string
	// WaitLimit bounds what waits on the node; nil: the default, for this
	// replica alone.
	WaitLimit *WaitLimit
}

// round is an evaluated and proposed round.
type round struct {
	term, number, index uint64
	requests            []*Request
	bytes               int
	layer               bool // it has effects, and so a layer of the overlay
}

// Replica is one member of a partition.
type Replica struct {
	cfg   Config
	rn    *raft.RawNode
	log   *logView
	ov    *overlay.Overlay
	txn   Txn
	state State

	role     raft.StateType
	lead     base.ReplicaID
	term     uint64
	txns     transactions
	versions versions
	waiters  Waiters
	cuts     cuts
	rounds   uint64 // evaluated
	ready    bool   // leads, and the empty entry of its term is applied
	handover int    // ticks left of a handover of leadership
	campaign int    // ticks until it stands for election; 0: not planned

	queue      []*Request
	current    *round     // proposed by this leadership
	reads      []*Request // evaluated, waiting for readID's confirmation
	mail       []kv.Mail  // of the round under way
	mailBytes  int
	readID     uint64
	replyBytes int               // of the round under way
	highest    highWater         // of each gateway's requests in the round being evaluated
	answers    []effects.Answers // of a round, for reuse
	scratch    []answer          // likewise
	unrecorded []answer          // of writes that left no entry, until the next one
	// unrecordedHigh has each gateway's highest sequence among those.
	unrecordedHigh highWater
	background     bool   // housekeeping wants a turn
	confIndex      uint64 // own configuration change under way
	// confBarrier is the first index that this leadership could propose after
	// it had applied the last configuration change: see ConfKnown.
	confBarrier uint64
	senders     map[base.ReplicaID]base.NodeID // that spoke to this replica, and are no members by its state

	moving     *State        // the state record on its way down
	moved      State         // the last one that got there
	snapshots  []*pb.Message // MsgSnaps waiting for the next move down
	streams    int           // snapshots being streamed from here
	installing bool
	removed    bool
	ticks      uint64
	active     map[base.ReplicaID]uint64 // members that answered this leadership, and the last tick before which they did
}

// Recovered is what the stores say about a replica at start.
type Recovered struct {
	State State          // zero if there is no state record yet
	Log   logstore.State // mark, last index and hard state
}

// New makes a replica from what the stores hold. The log must contain the
// applied position (see Reconcile).
func New(cfg Config, rec Recovered) (*Replica, error) {
	r := &Replica{cfg: cfg, ov: overlay.New(cfg.Base), state: rec.State, moved: rec.State}
	if r.state.Members == nil {
		r.state.Members = map[base.ReplicaID]base.NodeID{}
	}
	if r.state.Answers == nil {
		r.state.Answers = Answers{}
	}
	r.txn.r, r.txn.ov = r, r.ov
	if r.waiters.limit = cfg.WaitLimit; r.waiters.limit == nil {
		r.waiters.limit = NewWaitLimit()
	}
	hs := rec.Log.HardState
	hs.Commit = max(hs.Commit, rec.State.Index)
	r.log = &logView{
		reader: cfg.Log,
		hard:   &pb.HardState{Term: new(hs.Term), Vote: new(hs.Vote), Commit: new(hs.Commit)},
		conf:   rec.State.Conf.toRaft(),
		mark:   rec.Log.Mark,
		last:   rec.Log.Last,
		stable: rec.Log.Last,
	}
	r.log.snapshotAt = r.snapshot
	rn, err := raft.NewRawNode(&raft.Config{
		ID:                        uint64(cfg.Replica),
		ElectionTick:              r.electionTicks(),
		HeartbeatTick:             HeartbeatTicks,
		Storage:                   r.log,
		Applied:                   rec.State.Index,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             maxMessageBytes,
		MaxCommittedSizePerReady:  maxApplyBytes,
		MaxInflightMsgs:           maxInflightMessages,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{cfg.Logger},
	})
	if err != nil {
		return nil, fmt.Errorf("partition %d: start raft: %w", cfg.Partition, err)
	}
	r.rn, r.term = rn, hs.Term
	if err := r.loadTransactions(); err != nil {
		return nil, fmt.Errorf("partition %d: transactions: %w", cfg.Partition, err)
	}
	if v := rec.State.Conf; len(v.Voters) == 1 && v.Voters[0] == uint64(cfg.Replica) && !v.Joint() {
		_ = rn.Campaign() // nobody to wait for
	}
	return r, nil
}

// Reconcile decides, at start, whether the log can carry on from the applied
// state. If it lacks the applied position (a crash between installing a
// snapshot and resetting the log), it is started anew there; term and vote
// are kept. The returned update, if any, must be appended first.
func Reconcile(s *State, l *logstore.State, termAt func(uint64) (uint64, error)) *logstore.Update {
	have := s.Index >= l.Mark.Index && s.Index <= l.Last
	if have {
		t, err := termAt(s.Index)
		have = err == nil && t == s.Term
	}
	if have {
		return nil
	}
	mark := logstore.Mark{Index: s.Index, Term: s.Term}
	l.Mark, l.First, l.Last = mark, mark.Index+1, mark.Index
	l.HardState.Commit = s.Index
	l.HardState.Term = max(l.HardState.Term, s.Term)
	hs := l.HardState
	return &logstore.Update{Partition: l.Partition, Replica: l.Replica, Reset: &mark, HardState: &hs}
}

// snapshot tells raft what a snapshot would contain. The stream itself is
// made at the next move down, and may be newer.
func (r *Replica) snapshot() (*pb.Snapshot, error) {
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		Index: new(r.state.Index), Term: new(r.state.Term), ConfState: r.state.Conf.toRaft(),
	}}, nil
}

func (r *Replica) electionTicks() int { return cmp.Or(r.cfg.ElectionTicks, ElectionTicks) }

// Partition is the partition's id.
func (r *Replica) Partition() base.PartitionID { return r.cfg.Partition }

// ID is the replica's own id.
func (r *Replica) ID() base.ReplicaID { return r.cfg.Replica }

// State is the applied state record. It must not be changed.
func (r *Replica) State() *State { return &r.state }

// Leads says whether this replica is leader.
func (r *Replica) Leads() bool { return r.role == raft.StateLeader }

// Ready says whether it is leader and evaluates.
func (r *Replica) Ready() bool { return r.ready }

// Leader is the node of the leader as far as this replica knows, and the
// term; 0 if there is none.
func (r *Replica) Leader() (base.NodeID, uint64) {
	if r.lead == 0 {
		return 0, r.term
	}
	return r.state.Members[r.lead], r.term
}

// ConfKnown says that this replica leads, and that a quorum of the applied
// configuration knows durably that it is in force. Raft goes by what was
// applied: as long as a majority might wake up in the configuration before,
// its members are needed, also those that are members no more.
//
// An entry that was proposed after the change had been applied tells it: it
// carries the commit index of the change, which its receivers make durable
// with it.
func (r *Replica) ConfKnown() bool { return r.ready && r.state.Index >= r.confBarrier }

// Removed says that this replica is no member any more.
func (r *Replica) Removed() bool { return r.removed }

// Initialized says whether it has any state: a new member has none until its
// first snapshot.
func (r *Replica) Initialized() bool { return r.state.Index > 0 }

// Storing says whether the stores are at work for this replica: a move down or
// an incoming snapshot. It must not be removed meanwhile, for that would bring
// back what the removal takes away, its tombstone included.
func (r *Replica) Storing() bool { return r.moving != nil || r.installing }

// Overlay gives read access to the applied and evaluated state.
func (r *Replica) Overlay() *overlay.Overlay { return r.ov }

// Step takes a Raft message from another replica.
func (r *Replica) Step(m *pb.Message) {
	// Errors say that the message is of no use here (a response from a removed
	// member): raft tolerates any loss.
	_ = r.rn.Step(m)
}

// Tick advances raft's clock.
func (r *Replica) Tick() {
	if r.installing {
		return
	}
	r.noteActive()
	r.tickCuts()
	r.rn.Tick()
	if r.handover > 0 {
		r.handover--
	}
	if r.ready && r.log.last < r.confBarrier && r.handover == 0 && r.confIndex <= r.state.Index {
		_ = r.rn.Propose(nil) // dropped: the next tick tries again
	}
	r.leaveJoint()
	if r.campaign > 0 {
		if r.campaign--; r.campaign == 0 && r.lead == 0 {
			_ = r.rn.Campaign()
		}
	}
}

// NodeDown says that a node's process is gone. Its followers forget it as
// leader, for they would refuse each other's votes until the election timeout
// otherwise, and one after the other stands for election.
func (r *Replica) NodeDown(node base.NodeID) {
	r.txns.nodeDown(node, r.ticks)
	if r.lead == 0 || r.state.Members[r.lead] != node || r.Leads() {
		return
	}
	_ = r.rn.ForgetLeader()
	if !r.state.Conf.Voter(r.cfg.Replica) {
		return
	}
	rank := 0
	for _, id := range r.state.Conf.Voters {
		if id < uint64(r.cfg.Replica) && r.state.Members[base.ReplicaID(id)] != node {
			rank++
		}
	}
	r.campaign = 1 + 3*rank
}

// Unreachable says that messages to a node are being lost.
func (r *Replica) Unreachable(node base.NodeID) {
	if !r.Leads() {
		return
	}
	for id, n := range r.state.Members {
		if n == node {
			r.rn.ReportUnreachable(uint64(id))
		}
	}
}

// Transfer starts handing leadership to the replica on another node, and says
// whether it did.
func (r *Replica) Transfer(node base.NodeID) bool {
	if !r.Leads() || r.handover > 0 || r.confIndex > r.state.Index {
		return false
	}
	for _, id := range r.state.Conf.Voters {
		if r.state.Members[base.ReplicaID(id)] == node {
			r.rn.TransferLeader(id)
			// As long as raft drops proposals: it gives up after an election timeout.
			r.handover = r.electionTicks()
			return true
		}
	}
	return false
}

// ProposeConf proposes a configuration change; joined are the new members.
// Only one may be under way.
func (r *Replica) ProposeConf(changes []*pb.ConfChangeSingle, joint bool, joined map[base.ReplicaID]base.NodeID) bool {
	if !r.ConfKnown() || r.handover > 0 || r.state.Conf.Joint() || r.confIndex > r.state.Index {
		return false
	}
	transition := pb.ConfChangeTransition_ConfChangeTransitionAuto
	if joint {
		transition = pb.ConfChangeTransition_ConfChangeTransitionJointExplicit // leaveJoint ends it
	}
	cc := &pb.ConfChangeV2{Transition: transition.Enum(), Changes: changes, Context: AppendMembers(nil, joined)}
	if err := r.rn.ProposeConfChange(cc); err != nil {
		return false
	}
	r.confIndex = math.MaxUint64 // until the entry's index is known
	return true
}

// leaveJoint takes a leader's next step out of a joint configuration. One that
// will not vote any more hands over first: the one that ends the
// configuration has to be in the next one. Else it would be the first to know
// that the change is committed, go, and might leave members behind that cannot
// find out without it.
func (r *Replica) leaveJoint() {
	if !r.ready || !r.state.Conf.Joint() || r.state.Conf.AutoLeave || r.handover > 0 || r.confIndex > r.state.Index {
		return
	}
	if slices.Contains(r.state.Conf.Voters, uint64(r.cfg.Replica)) {
		if r.rn.ProposeConfChange(&pb.ConfChangeV2{}) == nil {
			r.confIndex = math.MaxUint64 // until the entry's index is known
		}
		return
	}
	var to base.NodeID
	var best uint64
	r.Progress(func(id base.ReplicaID, node base.NodeID, _ bool, match uint64, live bool) {
		if live && slices.Contains(r.state.Conf.Voters, uint64(id)) && match >= best {
			to, best = node, match
		}
	})
	if to != 0 {
		r.Transfer(to)
	}
}

// noteActive remembers who answered. Raft forgets it at each of its checks of
// the quorum: who looks at the same pace as raft checks, and just after it,
// would take every idle member for silent.
func (r *Replica) noteActive() {
	r.ticks++
	if !r.Leads() {
		clear(r.active)
		return
	}
	if r.active == nil {
		r.active = map[base.ReplicaID]uint64{}
	}
	r.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if pr.RecentActive {
			r.active[base.ReplicaID(id)] = r.ticks
		}
	})
}

// Progress reports what the leader knows of each member's log. A member is
// live if it answered within an election timeout and follows without gaps.
func (r *Replica) Progress(visit func(id base.ReplicaID, node base.NodeID, learner bool, match uint64, live bool)) {
	if !r.Leads() {
		return
	}
	r.rn.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		last, known := r.active[base.ReplicaID(id)]
		active := pr.RecentActive || known && r.ticks-last < uint64(r.electionTicks())
		visit(base.ReplicaID(id), r.state.Members[base.ReplicaID(id)], typ == raft.ProgressTypeLearner, pr.Match,
			id == uint64(r.cfg.Replica) || active && pr.State == tracker.StateReplicate)
	})
}

// Commit and last index of the log, for status.
func (r *Replica) Positions() (commit, last uint64) {
	st := r.rn.BasicStatus()
	return st.HardState.GetCommit(), r.log.last
}

// Submit queues a request. Where this replica does not lead in the term that
// the request was routed to, it is refused at once.
func (r *Replica) Submit(req *Request, out *Output) {
	if !r.Leads() || req.Term != r.term {
		r.refuse(req, out)
		return
	}
	req.Route.Queued = r.ticks
	req.wait, req.arrived, req.changed, req.round = nil, 0, false, 0 // of another leadership
	if isCut(req) {
		r.submitCut(req)
		return
	}
	r.queue = append(r.queue, req)
}

// refuse ends a request that was not run.
func (r *Replica) refuse(req *Request, out *Output) {
	req.Status, req.Reply = NotRun, nil
	req.Leader, req.Term = r.Leader()
	out.Finished = append(out.Finished, req)
}

// WantsRound says whether Evaluate would have something to do.
func (r *Replica) WantsRound() bool {
	if r.cuts.barrier != nil {
		return r.ready && !r.stands(0)
	}
	return r.ready && (len(r.queue) > 0 || r.background || len(r.waiters.due) > 0 || r.txns.released && len(r.txns.parked) > 0 ||
		slices.ContainsFunc(r.txns.parked, r.overdue))
}

// Inflight is the size of the round under way, in bytes: its entry and its
// replies.
func (r *Replica) Inflight() int {
	switch {
	case r.current != nil:
		return r.current.bytes + r.replyBytes
	case len(r.reads) > 0:
		return r.replyBytes
	}
	return 0
}

// Busy says whether a round or a read confirmation is under way.
func (r *Replica) Busy() bool { return r.current != nil || len(r.reads) > 0 }

// WantBackground asks for housekeeping in the next round.
func (r *Replica) WantBackground() {
	if r.ready {
		r.background = true
	}
}

// readContext encodes a read's number for raft.
func readContext(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// Close refuses or gives up everything that waits in the replica.
func (r *Replica) Close(out *Output) {
	r.stepDown(out)
}
