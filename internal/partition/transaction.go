package partition

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/keys"
	"coterie/internal/overlay"
)

// TxnID names a transaction over several partitions: it is the origin of the
// PREPARE that went to its home.
type TxnID struct {
	Gateway  base.NodeID
	Sequence uint64
}

// The requests of transactions carry the flag Transaction, and one of these as
// their first argument; what follows is described where the arguments are
// made. See docs/internals/transactions.md.
const (
	txnPrepare  = 'P'
	txnCommit   = 'C'
	txnResolve  = 'R'
	txnForget   = 'F'
	txnRecover  = 'V'
	txnRead     = 'G'
	txnValidate = 'W'
	txnFetch    = 'D'
)

// The first byte of a participant's answer. What follows a vote is the reply
// of the group.
const (
	TxnPrepared  = 'P' // the group was run and is kept, unseen
	TxnDeclined  = 'N' // the group itself came to nothing: a watched key had changed
	TxnBusy      = 'B' // others hold its locks, and it was not to wait
	TxnAborted   = 'A' // the transaction was aborted before
	TxnCommitted = 'C'
	TxnResolved  = 'R'
	TxnRead      = 'G' // a token, then the group's reply
	TxnFetched   = 'D' // see DecodeFetched
	TxnValid     = 'Y'
	TxnChanged   = 'X'
)

// TokenLen is the length of the token in the answer to READ.
const TokenLen = 16

// PrepareArgs makes the arguments of PREPARE: the op and whether to wait for
// locks, the id (empty for the request to home: it is that request's own
// origin), the participants, home first, and the group.
func PrepareArgs(id TxnID, participants []base.PartitionID, wait bool, group [][]byte) [][]byte {
	op, name := []byte{txnPrepare, 0}, []byte{}
	if wait {
		op[1] = 1
	}
	if id != (TxnID{}) {
		name = appendTxnID(nil, id)
	}
	return append([][]byte{op, name, appendPartitions(nil, participants)}, group...)
}

// CommitArgs makes the arguments of COMMIT.
func CommitArgs(id TxnID) [][]byte { return [][]byte{{txnCommit}, appendTxnID(nil, id)} }

// ResolveArgs makes the arguments of RESOLVE.
func ResolveArgs(id TxnID, commit bool) [][]byte {
	op := []byte{txnResolve, 0}
	if commit {
		op[1] = 1
	}
	return [][]byte{op, appendTxnID(nil, id)}
}

// ForgetArgs makes the arguments of FORGET.
func ForgetArgs(ids ...TxnID) [][]byte {
	args := [][]byte{{txnForget}}
	for _, id := range ids {
		args = append(args, appendTxnID(nil, id))
	}
	return args
}

// RecoverArgs makes the arguments of RECOVER.
func RecoverArgs(id TxnID) [][]byte { return [][]byte{{txnRecover}, appendTxnID(nil, id)} }

// ReadArgs makes the arguments of READ: a group that only reads.
func ReadArgs(group [][]byte) [][]byte {
	return append([][]byte{{txnRead, 1}, nil, nil}, group...)
}

// ValidateArgs makes the arguments of VALIDATE: has anything changed that a
// READ of the same group saw? token is from its answer.
func ValidateArgs(token []byte, group [][]byte) [][]byte {
	return append([][]byte{{txnValidate, 0}, token, nil}, group...)
}

func appendTxnID(dst []byte, id TxnID) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(id.Gateway))
	return binary.BigEndian.AppendUint64(dst, id.Sequence)
}

func decodeTxnID(b []byte) (TxnID, error) {
	if len(b) != 16 {
		return TxnID{}, fmt.Errorf("transaction id of %d bytes", len(b))
	}
	return TxnID{Gateway: base.NodeID(binary.BigEndian.Uint64(b)), Sequence: binary.BigEndian.Uint64(b[8:])}, nil
}

func appendPartitions(dst []byte, ids []base.PartitionID) []byte {
	for _, id := range ids {
		dst = binary.BigEndian.AppendUint32(dst, uint32(id))
	}
	return dst
}

func decodePartitions(b []byte) ([]base.PartitionID, error) {
	if len(b)%4 != 0 {
		return nil, fmt.Errorf("partitions of %d bytes", len(b))
	}
	var ids []base.PartitionID
	for ; len(b) > 0; b = b[4:] {
		ids = append(ids, base.PartitionID(binary.BigEndian.Uint32(b)))
	}
	return ids, nil
}

// String is the id as in traces.
func (id TxnID) String() string {
	return fmt.Sprintf("%d.%d.%d", id.Gateway, id.Sequence>>44, id.Sequence&(1<<44-1))
}

// Recover says that a transaction's intent has been waiting here for longer
// than its coordinator should take: home is to be asked (RECOVER), and the
// answer to be brought here (RESOLVE).
type Recover struct {
	Partition, Home base.PartitionID
	ID              TxnID
}

// Settle says that a committed transaction's verdict has been kept for longer
// than its coordinator should take: all participants are to be told (RESOLVE),
// and then this partition, its home (FORGET).
type Settle struct {
	ID           TxnID
	Participants []base.PartitionID // home first
}

func compareTxnIDs(a, b TxnID) int {
	return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Sequence, b.Sequence))
}

// operation is the op of a transaction's message; 0 if it is none.
func operation(req *Request) byte {
	if req.Flags&Transaction == 0 || len(req.Args) == 0 || len(req.Args[0]) == 0 {
		return 0
	}
	return req.Args[0][0]
}

// endsTransaction says whether a request is a transaction's message that takes
// no lock and meets none: it runs also where nothing new is taken.
func endsTransaction(req *Request) bool {
	switch operation(req) {
	case 0, txnPrepare, txnRead, txnFetch:
		return false
	}
	return true
}

// waitsForLocks says whether a request is to wait when others hold its locks.
func waitsForLocks(req *Request) bool {
	switch operation(req) {
	case 0:
		return req.Flags&Transaction == 0
	case txnPrepare, txnRead, txnFetch:
		return len(req.Args[0]) > 1 && req.Args[0][1] == 1
	}
	return false
}

// runTransaction evaluates a transaction's message. What it does to locks,
// intents and verdicts holds at once, and is taken back with the round.
func (r *Replica) runTransaction(req *Request, reply []byte) []byte {
	args := req.Args
	if len(args) == 0 || len(args[0]) == 0 {
		return append(reply, replyMalformed...)
	}
	if args[0][0] == txnForget {
		for _, b := range args[1:] {
			if id, err := decodeTxnID(b); err == nil {
				r.setVerdict(id, nil)
			}
		}
		return append(reply, TxnResolved)
	}
	switch args[0][0] {
	case cutRelease:
		return r.release(req, reply)
	case txnRead:
		return r.readGroup(req, reply)
	case txnFetch:
		return r.fetch(req, reply)
	case txnValidate:
		return append(reply, r.validate(req))
	}
	id := TxnID{req.Origin.Gateway, req.Origin.Sequence}
	if len(args) < 2 {
		return append(reply, replyMalformed...)
	}
	if len(args[1]) > 0 {
		var err error
		if id, err = decodeTxnID(args[1]); err != nil {
			return append(reply, replyMalformed...)
		}
	}
	switch args[0][0] {
	case txnPrepare:
		return r.prepare(req, id, reply)
	case txnCommit:
		return append(reply, r.commit(id))
	case txnResolve:
		r.resolve(id, len(args[0]) > 1 && args[0][1] == 1)
		return append(reply, TxnResolved)
	case txnRecover:
		return append(reply, r.recover(id))
	}
	return append(reply, replyMalformed...)
}

const replyMalformed = "N-ERR internal: malformed message of a transaction\r\n"

// prepare runs a transaction's group, and keeps what it wrote as an intent; or
// keeps what its gateway evaluated, if what that saw still holds.
func (r *Replica) prepare(req *Request, id TxnID, reply []byte) []byte {
	if len(req.Args) < 3 {
		return append(reply, replyMalformed...)
	}
	participants, err := decodePartitions(req.Args[2])
	if err != nil || len(participants) == 0 {
		return append(reply, replyMalformed...)
	}
	if r.txns.verdicts[id] != nil {
		return append(reply, TxnAborted)
	}
	work, err := workOf(req.Args)
	if err != nil {
		return append(reply, replyMalformed...)
	}
	own := r.txns.intents[id]
	switch {
	case work != nil && work.Held && own == nil:
		return append(reply, TxnAborted)
	case work != nil && len(work.Reads) > 0 && r.changedByNow(work, own):
		return append(reply, TxnBusy)
	case own == nil && (work == nil || len(work.Reads) == 0) && r.txns.contended() && r.conflicts(req):
		return append(reply, TxnBusy) // it was not to wait, or would have been parked
	}
	slots, whole := r.slotsOf(req)
	if whole {
		slots = append(slots, wholePartition)
	}
	vote := len(reply)
	reply = append(reply, TxnPrepared)
	mark, mails := r.ov.Mark(), len(r.mail)
	if args := groupOf(req.Args); len(args) > 0 {
		group := *req
		group.Args, group.Flags = args, Write|Group
		r.waiters.quiet = true
		reply = r.evaluate(&r.txn, &group, reply)
		r.waiters.quiet = false
		if !isArray(reply[vote+1:]) { // null: a watched key has changed; or an error
			r.ov.Cut(mark)
			r.mail = r.mail[:mails]
			reply[vote] = TxnDeclined
			return reply
		}
	}
	body := r.ov.Cut(mark)
	mail := slices.Clone(r.mail[mails:])
	r.mail = r.mail[:mails]
	if work != nil {
		body = append(body, work.Body...)
		r.txn.nextID = max(r.txn.nextID, work.NextID)
	}
	if own != nil {
		slots = union(own.slots, slots)
	}
	r.setIntent(id, &intent{stamp: r.txn.now, participants: participants, slots: slots, body: body, due: r.ticks + recoverTicks, mail: mail})
	return reply
}

// isArray says whether a reply is an array, and not the null one.
func isArray(reply []byte) bool { return len(reply) > 1 && reply[0] == '*' && reply[1] != '-' }

// commit is the commit point, at home.
func (r *Replica) commit(id TxnID) byte {
	i := r.txns.intents[id]
	if i == nil {
		if v := r.txns.verdicts[id]; v != nil && v.committed {
			return TxnCommitted
		}
		return TxnAborted
	}
	r.carryOut(i)
	r.setIntent(id, nil)
	if len(i.participants) > 1 {
		r.setVerdict(id, &verdict{committed: true, participants: i.participants, due: r.ticks + settleTicks})
	}
	return TxnCommitted
}

// resolve ends a transaction's part here.
func (r *Replica) resolve(id TxnID, commit bool) {
	i := r.txns.intents[id]
	if i == nil {
		return
	}
	if commit {
		r.carryOut(i)
	}
	r.setIntent(id, nil)
}

// recover decides, at home, a transaction whose coordinator says nothing. If
// its PREPARE has not come here yet, it must not succeed any more; unless its
// gateway has done with it, a verdict keeps it from that.
func (r *Replica) recover(id TxnID) byte {
	v := r.txns.verdicts[id]
	switch {
	case v != nil && v.committed:
		return TxnCommitted
	case v != nil:
	case r.txns.intents[id] != nil:
		r.setIntent(id, nil)
	case !r.prepareOver(id):
		r.setVerdict(id, &verdict{})
	}
	return TxnAborted
}

// carryOut writes what an intent holds.
func (r *Replica) carryOut(i *intent) {
	r.mail = append(r.mail, i.mail...)
	whole := false
	d := effects.Body(i.body)
	for {
		op, ok := d.Next()
		if !ok {
			break
		}
		if _, ofSlot := keys.SlotOf(op.Key); !ofSlot {
			whole = true
		}
		overlay.Write(&r.txn, op)
		r.waiters.touchWritten(op)
	}
	if d.Err() != nil {
		panic(fmt.Sprintf("partition %d: intent: %v", r.cfg.Partition, d.Err()))
	}
	if len(i.body) > 0 {
		r.cfg.Evaluator.Wrote(&r.txn, i.body, whole)
	}
}

// WrittenSlots are the slots of the keys that a body of operations writes.
func WrittenSlots(body []byte) map[base.Slot]bool {
	slots := map[base.Slot]bool{}
	d := effects.Body(body)
	for op, ok := d.Next(); ok; op, ok = d.Next() {
		if slot, ofSlot := keys.SlotOf(op.Key); ofSlot {
			slots[slot] = true
		}
	}
	return slots
}

// setIntent writes an intent and takes its locks, or removes it and releases
// them. An intent that takes the place of another covers its slots.
func (r *Replica) setIntent(id TxnID, i *intent) {
	t := &r.txns
	before := t.intents[id]
	key := keys.IntentKey(r.cfg.Partition, id.Gateway, id.Sequence)
	t.drop(id)
	if i != nil {
		r.ov.Set(key, i.encode())
		t.hold(id, i)
	} else {
		r.ov.Delete(key)
		r.versions.noteRelease(before.slots)
		t.released = true
	}
	t.undo = append(t.undo, func() {
		t.drop(id)
		if before != nil {
			t.hold(id, before)
		}
	})
}

// setVerdict writes a verdict, or removes it.
func (r *Replica) setVerdict(id TxnID, v *verdict) {
	t := &r.txns
	before := t.verdicts[id]
	key := keys.VerdictKey(r.cfg.Partition, id.Gateway, id.Sequence)
	switch {
	case v != nil:
		r.ov.Set(key, v.encode())
		t.verdicts[id] = v
	case before != nil:
		r.ov.Delete(key)
		delete(t.verdicts, id)
	default:
		return
	}
	t.undo = append(t.undo, func() {
		if before == nil {
			delete(t.verdicts, id)
		} else {
			t.verdicts[id] = before
		}
	})
}

// prepareOver says whether a transaction's PREPARE can never run here any more.
func (r *Replica) prepareOver(id TxnID) bool {
	return r.state.Answers.lowWater(id.Gateway) > id.Sequence
}

// forgetAborted drops the verdicts on transactions whose PREPARE can never run
// here any more: their gateway has done with it.
func (r *Replica) forgetAborted() {
	if len(r.txns.verdicts) == 0 {
		return
	}
	for _, id := range slices.SortedFunc(maps.Keys(r.txns.verdicts), compareTxnIDs) {
		if !r.txns.verdicts[id].committed && r.prepareOver(id) {
			r.setVerdict(id, nil)
		}
	}
}
