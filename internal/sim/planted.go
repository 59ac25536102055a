package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"coterie/internal/base"
	"coterie/internal/command"
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
func (e evaluator) evaluatedPlanted(txn kv.Txn, write bool, args [][]byte) kv.Txn {
	switch e.m.c.opts.Bug {
	case BugEarlyMail:
		if t, ok := txn.(*partition.Txn); ok {
			return earlyMail{t, e.m.proc.messages}
		}
	case BugScriptUndone:
		if last := string(args[len(args)-1]); last == "hole" || last == "FAIL" {
			return forgetful{txn}
		}
	case BugDroppedWrites:
		if write && e.m.c.chance(0.002) {
			return forgetful{txn}
		}
	case BugWallClock:
		return clocked{txn, base.Stamp(epoch + e.m.c.now + e.m.offset)}
	}
	return txn
}

// twicePlanted says whether a gateway runs a script that its leader has run, now and
// then.
func (g *gateway) twicePlanted(first *partition.Request) bool {
	return g.p.c.opts.Bug == BugScriptTwice && first.Status == partition.Done && g.p.c.chance(0.02)
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
func (e evaluator) argsPlanted(txn *partition.Txn, req *partition.Request) [][]byte {
	args := e.valuesPlanted(txn, req, req.Args)
	if e.m.c.opts.Bug != BugBlindWatch || req.Flags&partition.Group == 0 || string(args[0]) != "exec" {
		return args
	}
	watched, _ := binary.Uvarint(args[2])
	return append([][]byte{args[0], args[1], {0}}, args[3+watched:]...)
}

// resolvedPlanted changes what a participant is told of a transaction.
func (p *proc) resolvedPlanted(req *partition.Request) {
	const prepareArgs = 3 // in front of the group, see partition.PrepareArgs
	if req.Flags&partition.Transaction == 0 || len(req.Args[0]) == 0 {
		return
	}
	op := req.Args[0][0]
	switch bug := p.c.opts.Bug; {
	case bug == BugDroppedIntent && op == 'R':
		req.Args = append([][]byte{{'R', 0}}, req.Args[1:]...)
	case bug == BugLatePrepare && op == 'V':
		id, args := req.Partition, partition.ForgetArgs()
		args = append(args, bytes.Clone(req.Args[1]))
		p.after(milli, func() { p.forgetPlanted(id, args) })
	case bug == BugUncheckedReads && (op == 'P' || op == 'W') && len(req.Args) > prepareArgs && len(req.Args[0]) > 2 && req.Args[0][2] == 1:
		if r := p.shard.Replica(req.Partition); r != nil {
			_, term := r.Leader()
			req.Args = uncheckedPlanted(req.Args, term)
		}
	case bug == BugLockedFetch && op == 'D':
		p.fetchPlanted(req)
	case bug == BugReleasedLocks && op == 'W' && len(req.Args) > prepareArgs:
		p.validates[&req.Args[prepareArgs]] = true
	case bug == BugStaleValidate && op == 'W' && len(req.Args[1]) == partition.TokenLen:
		if r := p.shard.Replica(req.Partition); r != nil {
			_, term := r.Leader()
			req.Args = slices.Clone(req.Args)
			req.Args[1] = append(binary.BigEndian.AppendUint64(nil, term), req.Args[1][8:]...)
		}
	}
}

// lockedFetch marks a FETCH that is to be answered by the evaluator.
const lockedFetch = "FETCH without regard to locks"

// fetchPlanted turns a FETCH of locked slots into a read that no lock holds up.
func (p *proc) fetchPlanted(req *partition.Request) {
	r := p.shard.Replica(req.Partition)
	_, queries, ok := partition.DecodeFetch(req.Args)
	if r == nil || !ok || len(req.Args[1])+len(req.Args[2]) > 0 {
		return // under its own locks, or behind earlier reads
	}
	locked := lockedSlots(r)
	if slices.ContainsFunc(queries, func(q partition.Query) bool {
		slot, _ := keys.SlotOf(q.Key)
		return locked[slot]
	}) {
		req.Flags &^= partition.Transaction
		req.Args = append([][]byte{[]byte(lockedFetch)}, req.Args...)
	}
}

// answerFetchPlanted answers it. That PREPARE and VALIDATE look at the locks all
// the same is no part of the bug: by its round all is long ago.
func (e evaluator) answerFetchPlanted(txn *partition.Txn, req *partition.Request, reply []byte) []byte {
	_, queries, _ := partition.DecodeFetch(req.Args[1:])
	f := partition.Fetched{Term: txn.Term(), Stamp: txn.Now(), NextID: math.MaxUint32}
	f.Generations, _ = txn.Get(keys.GenerationsKey(req.Partition))
	return partition.AppendFetched(reply, &f, txn, queries)
}

// uncheckedPlanted is the work that a PREPARE brings, as if all that it read had
// been read just now.
func uncheckedPlanted(args [][]byte, term uint64) [][]byte {
	b := args[3]
	number := func() uint64 {
		x, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		return x
	}
	work := []byte{b[0]}
	b = b[1:]
	number() // of the leadership
	reads := number()
	work = binary.AppendUvarint(binary.AppendUvarint(work, term), reads)
	for range reads {
		work = binary.AppendUvarint(work, number())
		number() // of the round
		work = binary.AppendUvarint(work, math.MaxUint64)
	}
	args = slices.Clone(args)
	args[3] = append(work, b...)
	return args
}

// waitersPlanted are those whom a request may wake.
func (e evaluator) waitersPlanted(txn *partition.Txn, req *partition.Request) command.Waiters {
	if e.m.c.opts.Bug == BugDeafWaiter && req.Flags&(partition.Write|partition.Blocking) == partition.Write && e.m.c.chance(0.05) {
		return nil
	}
	return txn.Waiters()
}

// waitsPlanted lets a leader forget one who waits, as if he had never come.
func (p *proc) waitsPlanted(req *partition.Request) {
	if p.c.opts.Bug == BugForgottenWaiter && p.c.chance(0.05) {
		p.after(p.c.between(1, 5*milli), func() {
			if req.Waited() {
				p.shard.Abandon(req)
			}
		})
	}
}

// forgetPlanted lets a home forget an abort before the PREPARE has come.
func (p *proc) forgetPlanted(id base.PartitionID, args [][]byte) {
	r := p.shard.Replica(id)
	if r == nil || !r.Ready() {
		return
	}
	gateway, sequence := binary.BigEndian.Uint64(args[1]), binary.BigEndian.Uint64(args[1][8:])
	if v, ok := r.Overlay().Get(keys.VerdictKey(id, base.NodeID(gateway), sequence)); ok && v[1] == 0 { // behind the version
		p.router.Submit([]*partition.Request{{
			Partition: id, Proto: 2, Flags: partition.Write | partition.Whole | partition.Transaction, Args: args, Sink: nobody{},
		}})
	}
}

// lockedPlanted notes what is locked before a turn.
func (p *proc) lockedPlanted() {
	if p.c.opts.Bug != BugReleasedLocks {
		return
	}
	if len(p.validates) > 1000 {
		clear(p.validates)
	}
	for _, r := range p.shard.Replicas() {
		p.locked[r.Partition()] = lockedSlots(r)
	}
}

// lockedSlots reads the slots that intents lock.
func lockedSlots(r *partition.Replica) map[base.Slot]bool {
	locked := map[base.Slot]bool{}
	it := r.Overlay().Iter(keys.TxnBounds(r.Partition()))
	defer it.Close()
	for it.Next() {
		if _, _, verdict, ok := keys.ParseTxnKey(it.Key()); !ok || verdict {
			continue
		}
		b := it.Value()[1:] // behind the version
		number := func() uint64 {
			x, n := binary.Uvarint(b)
			b = b[max(n, 0):]
			return x
		}
		number() // stamp
		for range number() {
			number() // a participant
		}
		for range number() {
			locked[base.Slot(number())] = true
		}
	}
	return locked
}

// slotsPlanted are a VALIDATE's slots, without those that the round released.
func (e evaluator) slotsPlanted(req *partition.Request, visit func(base.Slot)) func(base.Slot) {
	p := e.m.proc
	if e.m.c.opts.Bug != BugReleasedLocks || p == nil || len(req.Args) == 0 || !p.validates[&req.Args[0]] {
		return visit
	}
	now := lockedSlots(p.shard.Replica(req.Partition))
	return func(s base.Slot) {
		if !p.locked[req.Partition][s] || now[s] {
			visit(s)
		}
	}
}

// overtakenPlanted takes what is reported of appends for those behind them that
// replace their entries.
func (p *proc) overtakenPlanted(done []partition.Append) {
	if p.c.opts.Bug != BugStaleAppend {
		return
	}
	for i := range done {
		old := &done[i]
		for j := range p.logQueue {
			w := &p.logQueue[j]
			for k := 0; k < len(w.appends); k++ {
				if next := w.appends[k]; next.Replica == old.Replica && replaces(next.Update.Entries, old.Update.Entries) {
					w.updates = append(w.updates, next.Update)
					w.appends = slices.Delete(w.appends, k, k+1)
					k--
					p.after(1, func() { p.shard.Appended([]partition.Append{next}) })
				}
			}
		}
	}
}

// replaces says whether entries replace some of those before them.
func replaces(next, old []*pb.Entry) bool {
	return len(next) > 0 && len(old) > 0 && next[0].GetIndex() <= old[len(old)-1].GetIndex()
}

// sentPlanted takes a stream for over when it begins.
func (p *proc) sentPlanted(out *outStream) {
	if p.c.opts.Bug == BugCutWhileSent {
		p.after(1, func() { p.shard.SnapshotSent(out.replica, out.to, true) })
	}
}

// valuesPlanted lets a transaction run if what it watched has its value again.
func (e evaluator) valuesPlanted(txn *partition.Txn, req *partition.Request, args [][]byte) [][]byte {
	if e.m.c.opts.Bug != BugValueWatch || req.Flags&partition.Group == 0 {
		return args
	}
	who := fmt.Sprint(req.Origin.Gateway, args[1])
	seen := e.watching(txn).values
	value := func(watched []byte) string {
		b, _ := e.real.Evaluate(command.Call{
			Txn: txn, Partition: txn.Partition(), Span: txn.Span(), DB: watched[0], Proto: 2, Args: [][]byte{[]byte("GET"), watched[1:]},
			Gateway: req.Origin.Gateway, Watches: e.watches(txn),
		}, nil)
		return string(b)
	}
	switch string(args[0]) {
	case "watch":
		for _, key := range args[2:] {
			seen[who+string(key)] = value(key)
		}
	case "exec":
		count, _ := binary.Uvarint(args[2])
		for _, key := range args[3 : 3+count] {
			if v, ok := seen[who+string(key)]; !ok || v != value(key) {
				return args
			}
		}
		return append([][]byte{args[0], args[1], {0}}, args[3+count:]...)
	}
	return args
}

// cutPlanted changes what a leader is told of a cut.
func (p *proc) cutPlanted(req *partition.Request) {
	if req.Flags&partition.Transaction == 0 {
		return
	}
	switch op := req.Args[0][0]; {
	case p.c.opts.Bug == BugCutBlind && op == 'd':
		req.Args = req.Args[:2]
	case p.c.opts.Bug == BugCutMoving && op == 'p':
		release := [][]byte{{'r'}, bytes.Clone(req.Args[1])}
		p.after(300*micro, func() {
			p.router.Submit([]*partition.Request{{
				Partition: req.Partition, Proto: 2, Flags: partition.Whole | partition.Transaction, Args: release, Sink: nobody{},
			}})
		})
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
