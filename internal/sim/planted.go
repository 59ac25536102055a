package sim

import (
	"context"
	"encoding/binary"
	"errors"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
	"coterie/internal/partition"
	"coterie/internal/placement"
	"coterie/internal/storage/logstore"
	"coterie/internal/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Planted bugs, as far as they take more than a line where they are planted.
// All of them are in the model around the core; none is in the core.

// sendsPlanted changes a message on its way out.
func (p *proc) sendsPlanted(m *partition.Message) {
	switch p.c.opts.Bug {
	case BugSelfConfirmedReads, BugReusedConfirmation:
		if m.Raft.GetType() != pb.MsgHeartbeat || len(m.Raft.Context) == 0 {
			return
		}
		if p.c.opts.Bug == BugReusedConfirmation && (p.confirmed[m.Partition] == 0 || p.c.now-p.confirmed[m.Partition] > 3*second) {
			return
		}
		answer := &pb.Message{
			Type: pb.MsgHeartbeatResp.Enum(), From: new(uint64(m.To)), To: new(uint64(m.From)), Term: new(m.Raft.GetTerm()),
			Context: m.Raft.Context,
		}
		id, to, from, node := m.Partition, m.To, m.From, m.Node
		p.after(1, func() { p.shard.Step(id, to, from, node, answer) })
	case BugLearnerCounted:
		r := p.shard.Replica(m.Partition)
		if m.Raft.GetType() != pb.MsgAppResp || m.Raft.GetReject() || r == nil || !isLearner(r) {
			return
		}
		for _, id := range r.State().Conf.Voters {
			if base.ReplicaID(id) != m.To {
				m.From, m.Raft.From = base.ReplicaID(id), new(id)
				return
			}
		}
	}
}

func isLearner(r *partition.Replica) bool {
	for _, id := range r.State().Conf.Learners {
		if base.ReplicaID(id) == r.ID() {
			return true
		}
	}
	return false
}

// receivesPlanted changes a message on its way in.
func (p *proc) receivesPlanted(it *wire.RaftItem) {
	switch p.c.opts.Bug {
	case BugReusedConfirmation:
		if it.Msg.GetType() == pb.MsgHeartbeatResp && len(it.Msg.Context) > 0 {
			p.confirmed[it.Partition] = p.c.now
		}
	case BugResurrected:
		if p.shard.Replica(it.Partition) == nil && p.creating[it.Partition] == 0 {
			if ls, ok := p.m.logs.state(it.Partition); !ok || isTombstone(&ls) {
				_ = p.m.logs.write([]logstore.Update{{Partition: it.Partition, Replica: ls.Replica, Remove: true}})
				p.createReplica(it.Partition, it.To)
			}
		}
	}
}

// evaluatedPlanted changes what a command sees or leaves behind.
func (e evaluator) evaluatedPlanted(txn kv.Txn, write bool) kv.Txn {
	switch e.m.c.opts.Bug {
	case BugDroppedWrites:
		if write && e.m.c.chance(0.002) {
			return forgetful{txn}
		}
	case BugWallClock:
		return clocked{txn, base.Stamp(epoch + e.m.c.now + e.m.offset)}
	}
	return txn
}

// forgetful takes writes and forgets them.
type forgetful struct{ kv.Txn }

func (forgetful) Set(_, _ []byte)         {}
func (forgetful) Delete([]byte)           {}
func (forgetful) DeleteRange(_, _ []byte) {}

// clocked has a time of its own.
type clocked struct {
	kv.Txn
	now base.Stamp
}

func (c clocked) Now() base.Stamp { return c.now }

// movedPlanted is a value on its way down: a deadline by this machine's clock.
func (p *proc) movedPlanted(key, value []byte) []byte {
	const record, hasExpiry = 0x01, 0x80
	if p.c.opts.Bug != BugFollowerClock || len(key) < 3 || key[2] != record || len(value) < 9 || value[0]&hasExpiry == 0 {
		return value
	}
	value = append([]byte(nil), value...)
	at := binary.BigEndian.Uint64(value[1:])
	binary.BigEndian.PutUint64(value[1:], at+uint64(p.m.offset/1000))
	return value
}

// openedPlanted is what a restarted replica takes for its state.
func (p *proc) openedPlanted(rec *partition.Recovered) {
	if p.c.opts.Bug == BugForgottenApplied && rec.State.Index > rec.Log.Mark.Index {
		rec.State.Index, rec.State.Term = rec.Log.Mark.Index, rec.Log.Mark.Term
	}
}

// wipedPlanted lets a machine come back without its disks, under its old name
// and with its old replicas.
func (m *machine) wipedPlanted() {
	c := m.c
	if c.opts.Bug != BugWipedOldID || m.incarnation < 2 || !c.chance(0.2) {
		return
	}
	var ups []logstore.Update
	for _, ls := range m.logs.replicas() {
		if !isTombstone(&ls) {
			ups = append(ups, logstore.Update{
				Partition: ls.Partition, Replica: ls.Replica, Reset: &logstore.Mark{}, HardState: &logstore.HardState{},
			})
		}
	}
	c.openDisks(m)
	if err := errors.Join(m.logs.open(), m.logs.write(ups)); err != nil {
		c.violate("n%d: log: %v", m.id, err)
	}
	c.trace("n%d has lost its disks", m.id)
}

// tornPlanted writes where a snapshot stands before what it holds, and may die
// in between. It says that it did.
func (p *proc) tornPlanted(a *partition.Append) (died bool) {
	if p.c.opts.Bug != BugTornIngest {
		return false
	}
	s := *a.Replica.State()
	s.Index, s.Term = a.Snapshot.Index, a.Update.Reset.Term
	b := p.m.states.NewBatch()
	b.Set(keys.StateKey(a.Replica.Partition()), partition.AppendState(nil, &s))
	if err := errors.Join(p.m.states.Commit(b), p.m.states.Flush(context.Background())); err != nil {
		p.c.violate("n%d: %v", p.m.id, err)
	}
	if !p.c.faulty || !p.c.chance(0.3) {
		return false
	}
	p.m.kill()
	p.c.restart(p.m, 100*milli)
	return true
}

// membersPlanted is what placement is told.
func (p *proc) membersPlanted(ms []placement.Member, commit uint64) []placement.Member {
	if p.c.opts.Bug == BugEarlyPromotion {
		for i := range ms {
			ms[i].Match, ms[i].Live = commit, true
		}
	}
	return ms
}

// argsPlanted changes a request's arguments.
func (e evaluator) argsPlanted(req *partition.Request) [][]byte {
	args := req.Args
	if e.m.c.opts.Bug != BugBlindWatch || req.Flags&partition.Group == 0 || string(args[0]) != "exec" {
		return args
	}
	watched, _ := binary.Uvarint(args[2])
	return append([][]byte{args[0], args[1], {0}}, args[3+watched:]...)
}

// resolvedPlanted changes what a participant is told of a transaction.
func (p *proc) resolvedPlanted(req *partition.Request) {
	if p.c.opts.Bug == BugDroppedIntent && req.Flags&partition.Transaction != 0 && req.Args[0][0] == 'R' {
		req.Args = append([][]byte{{'R', 0}}, req.Args[1:]...)
	}
}

// recoversPlanted gives up an intent that has been waiting.
func (p *proc) recoversPlanted(r partition.Recover) bool {
	if p.c.opts.Bug != BugImpatient {
		return false
	}
	p.router.Submit([]*partition.Request{{
		Partition: r.Partition, Proto: 2, Flags: partition.Write | partition.Whole | partition.Transaction,
		Args: partition.ResolveArgs(r.ID, false), Sink: nobody{},
	}})
	return true
}

// nobody waits for a request.
type nobody struct{}

func (nobody) Complete(*partition.Request) {}
