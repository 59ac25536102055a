package shard

import (
	"errors"
	"log/slog"
	"testing"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/memstate"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

const electionTicks = 10

// nothing is a log store that holds nothing: what the tests read is in memory.
type nothing struct{}

func (nothing) Entries(_, _, _ uint64) ([]*pb.Entry, error) { return nil, raft.ErrUnavailable }
func (nothing) Term(uint64) (uint64, error)                 { return 0, errors.New("no such entry") }

// idle evaluates nothing.
type idle struct{}

func (idle) Evaluate(_ *partition.Txn, _ *partition.Request, reply []byte) []byte { return reply }
func (idle) Slots(*partition.Request, func(base.Slot)) bool                       { return false }
func (idle) Wrote(*partition.Txn, []byte, bool)                                   {}
func (idle) Background(*partition.Txn) bool                                       { return false }

// one is a shard with replica 1 of partition 1, which replicas 2 and 3 are
// members of, too. The test speaks for those.
type one struct {
	t     *testing.T
	s     *Shard
	r     *partition.Replica
	now   base.Stamp
	hangs bool // appends do not end
	held  []partition.Append
}

func newOne(t *testing.T) *one {
	state := partition.State{
		Index: 1, Term: 1, NextObjectID: 1, Epoch: 1, Span: base.Span{Hi: 16384},
		Members: map[base.ReplicaID]base.NodeID{1: 1, 2: 2, 3: 3}, Conf: partition.Conf{Voters: []uint64{1, 2, 3}},
	}
	r, err := partition.New(partition.Config{
		Partition: 1, Replica: 1, Node: 1, Log: nothing{}, Base: memstate.New(), Evaluator: idle{}, ElectionTicks: electionTicks,
		Logger: slog.New(slog.DiscardHandler), Rand: func() uint64 { return 4 }, ReadOnly: func() string { return "" },
	}, partition.Recovered{State: state, Log: logstore.State{
		Partition: 1, Replica: 1, Mark: logstore.Mark{Index: 1, Term: 1}, First: 2, Last: 1, HardState: logstore.HardState{Term: 1, Commit: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	o := &one{t: t, s: New(), r: r}
	o.s.Add(r)
	return o
}

// turn does what there is to do, and returns what is said to replica 2.
func (o *one) turn() (said []*pb.Message) {
	for range 5 {
		o.now += 1000
		out, _ := o.s.Turn(o.now)
		if out.Fatal != nil {
			o.t.Fatal(out.Fatal)
		}
		for i := range out.Messages {
			if m := &out.Messages[i]; m.To == 2 {
				said = append(said, m.Raft)
			}
		}
		o.held = append(o.held, out.Appends...)
		o.s.Done()
		if !o.hangs && len(o.held) > 0 {
			done := o.held
			o.held = nil
			o.s.Appended(done)
		}
	}
	return said
}

// hear is a message of replica 2.
func (o *one) hear(typ pb.MessageType, term, index uint64) {
	o.s.Step(1, 2, 1, 2, &pb.Message{Type: typ.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(term), Index: new(index)})
}

// lead makes replica 1 leader, and returns its term.
func (o *one) lead() (term uint64) {
	for range 10 * electionTicks {
		o.s.Tick()
		for said := o.turn(); len(said) > 0; said = o.turn() {
			m := said[0]
			switch m.GetType() {
			case pb.MsgPreVote:
				o.hear(pb.MsgPreVoteResp, m.GetTerm(), 0)
			case pb.MsgVote:
				o.hear(pb.MsgVoteResp, m.GetTerm(), 0)
			}
		}
		if o.r.Leads() {
			_, term = o.r.Leader()
			return term
		}
	}
	o.t.Fatal("it does not become leader")
	return 0
}

// hang lets the log hang with an append under way, until the node falls silent.
func (o *one) hang(term uint64) {
	o.turn()
	o.hangs = true
	learner := []*pb.ConfChangeSingle{{Type: pb.ConfChangeType_ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(4))}}
	if !o.r.ProposeConf(learner, false, map[base.ReplicaID]base.NodeID{4: 4}) {
		o.t.Fatal("it proposes nothing")
	}
	o.s.Touch(o.r)
	o.turn()
	for ticks := 0; !o.s.HungDisk(); ticks++ {
		if ticks > hungDiskTicks {
			o.t.Fatalf("it has not fallen silent after %d ticks", ticks)
		}
		o.s.Tick()
		o.hear(pb.MsgHeartbeatResp, term, 0)
		o.turn()
	}
	if !o.r.Leads() {
		o.t.Fatal("it leads no more, although it was answered")
	}
}

// TestSilentLeader: a leader that has fallen silent because its log hangs steps
// down, whatever answers to its former words arrive late, and also if it was just
// about to hand over.
func TestSilentLeader(t *testing.T) {
	o := newOne(t)
	term := o.lead()
	o.hear(pb.MsgAppResp, term, 2)
	o.hang(term)
	for ticks := 1; o.r.Leads(); ticks++ {
		if ticks > 4*electionTicks {
			t.Fatalf("it still leads %d ticks after it has fallen silent", ticks)
		}
		o.s.Tick()
		if ticks == electionTicks/2 {
			o.r.Transfer(2)
		}
		o.hear(pb.MsgAppResp, term, 2)
		o.hear(pb.MsgHeartbeatResp, term, 0)
		o.turn()
	}
}

// TestSilentLeaderHearsNews: what others say of a later term it does hear.
func TestSilentLeaderHearsNews(t *testing.T) {
	o := newOne(t)
	term := o.lead()
	o.hear(pb.MsgAppResp, term, 2)
	o.hang(term)
	o.hear(pb.MsgAppResp, term+1, 2)
	if o.turn(); o.r.Leads() {
		t.Error("it still leads, although there is a later term")
	}
}

// TestHeardAgain: a disk that works again ends the silence.
func TestHeardAgain(t *testing.T) {
	o := newOne(t)
	term := o.lead()
	o.hear(pb.MsgAppResp, term, 2)
	o.hang(term)
	o.hangs = false
	done := o.held
	o.held = nil
	o.s.Appended(done)
	for range 6 * electionTicks {
		o.s.Tick()
		o.hear(pb.MsgHeartbeatResp, term, 0)
		o.turn()
	}
	if o.s.HungDisk() || !o.r.Leads() {
		t.Errorf("hangs %v, leads %v", o.s.HungDisk(), o.r.Leads())
	}
}
