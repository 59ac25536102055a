package partition

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Pace of what becomes of transactions that their coordinator left, in ticks.
const (
	recoverTicks = 40  // until an intent is asked about, and between two times
	settleTicks  = 100 // until a verdict's participants are told, likewise
	inheritTicks = 10  // until then for a new leader: the coordinator had some time already
)

// transactions is what a replica knows of the transactions over several
// partitions that take part here. Intents, verdicts and held slots follow the
// applied state on every replica; on the leader they are ahead of it by the
// round under way, with a way back. What is parked is the leader's alone.
type transactions struct {
	intents  map[TxnID]*intent
	verdicts map[TxnID]*verdict
	held     map[base.Slot]TxnID
	undo     []func() // of the round under way, oldest first

	parked   []*Request // wait for locks, in order
	released bool       // locks were released since they were parked
	reported uint64     // tick of the last look at the age of all
}

// intent is a transaction's part here, prepared and not resolved.
type intent struct {
	stamp        base.Stamp
	participants []base.PartitionID // home first
	slots        []base.Slot
	body         []byte // operations, in the format of package effects
	due          uint64 // tick at which this leadership asks what became of it
	// mail is what the group says to subscribers once it is committed. It is
	// this leadership's alone: with it the messages are lost.
	mail []kv.Mail
}

// verdict is how a transaction ended, kept by its home.
type verdict struct {
	committed    bool
	participants []base.PartitionID
	due          uint64 // tick at which this leadership tells the participants
}

const txnRecordVersion = 1

// wholePartition stands among an intent's slots for all of them.
const wholePartition base.Slot = base.NumSlots

// locked says whether a transaction holds a slot.
func (t *transactions) locked(s base.Slot) bool {
	if _, all := t.held[wholePartition]; all {
		return true
	}
	_, one := t.held[s]
	return one
}

func (i *intent) encode() []byte {
	b := []byte{txnRecordVersion}
	b = binary.AppendUvarint(b, uint64(i.stamp))
	b = appendCounted(b, i.participants)
	b = appendCounted(b, i.slots)
	return append(b, i.body...)
}

func (v *verdict) encode() []byte {
	b := []byte{txnRecordVersion, 0}
	if v.committed {
		b[1] = 1
	}
	return appendCounted(b, v.participants)
}

func appendCounted[T ~uint16 | ~uint32](b []byte, list []T) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, x := range list {
		b = binary.AppendUvarint(b, uint64(x))
	}
	return b
}

func counted[T ~uint16 | ~uint32](r *stateReader) []T {
	var list []T
	for range r.count() {
		x := r.uvarint()
		if uint64(T(x)) != x {
			r.bad = true
		}
		list = append(list, T(x))
	}
	return list
}

func decodeIntent(b []byte) (*intent, error) {
	if len(b) == 0 || b[0] != txnRecordVersion {
		return nil, fmt.Errorf("%w: intent of another version", ErrState)
	}
	r := stateReader{b: b[1:]}
	i := &intent{stamp: base.Stamp(r.uvarint()), participants: counted[base.PartitionID](&r), slots: counted[base.Slot](&r)}
	if r.bad || len(i.participants) == 0 {
		return nil, fmt.Errorf("%w: intent of %d bytes", ErrState, len(b))
	}
	i.body = slices.Clone(r.b)
	return i, nil
}

func decodeVerdict(b []byte) (*verdict, error) {
	if len(b) < 2 || b[0] != txnRecordVersion || b[1] > 1 {
		return nil, fmt.Errorf("%w: verdict of another version", ErrState)
	}
	r := stateReader{b: b[2:]}
	v := &verdict{committed: b[1] == 1, participants: counted[base.PartitionID](&r)}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: verdict of %d bytes", ErrState, len(b))
	}
	return v, nil
}

// TxnsAtRest is the number of intents and verdicts here that should go by
// themselves: all, except the verdict *aborted* on a transaction whose gateway
// is gone, and cannot say any more that it has done with it.
func (r *Replica) TxnsAtRest(gone func(base.NodeID) bool) int {
	n := len(r.txns.intents)
	for id, v := range r.txns.verdicts {
		if v.committed || !gone(id.Gateway) {
			n++
		}
	}
	return n
}

// loadTransactions reads them from the state.
func (r *Replica) loadTransactions() error {
	t := transactions{
		intents: map[TxnID]*intent{}, verdicts: map[TxnID]*verdict{}, held: map[base.Slot]TxnID{}, parked: r.txns.parked,
	}
	r.txns = t
	it := r.ov.Iter(keys.TxnBounds(r.cfg.Partition))
	defer it.Close()
	for it.Next() {
		if err := r.noteRecord(effects.Op{Kind: effects.Set, Key: it.Key(), Value: it.Value()}); err != nil {
			return err
		}
	}
	return r.ov.Err()
}

// noteTransactions follows an entry that was evaluated elsewhere.
func (r *Replica) noteTransactions(d effects.Decoder) error {
	for {
		op, ok := d.Next()
		if !ok {
			return d.Err()
		}
		if len(op.Key) > 0 && op.Key[0] == keys.MetaPrefix && op.Kind != effects.DeleteRange {
			if err := r.noteRecord(op); err != nil {
				return err
			}
		}
	}
}

func (r *Replica) noteRecord(op effects.Op) error {
	gateway, sequence, isVerdict, ok := keys.ParseTxnKey(op.Key)
	if !ok {
		return nil
	}
	id, t := TxnID{gateway, sequence}, &r.txns
	switch {
	case op.Kind == effects.Delete && isVerdict:
		delete(t.verdicts, id)
	case op.Kind == effects.Delete:
		t.drop(id)
	case isVerdict:
		v, err := decodeVerdict(op.Value)
		if err != nil {
			return err
		}
		t.verdicts[id] = v
	default:
		i, err := decodeIntent(op.Value)
		if err != nil {
			return err
		}
		t.hold(id, i)
	}
	return nil
}

func (t *transactions) hold(id TxnID, i *intent) {
	t.drop(id)
	t.intents[id] = i
	for _, s := range i.slots {
		t.held[s] = id
	}
}

func (t *transactions) drop(id TxnID) {
	if i := t.intents[id]; i != nil {
		for _, s := range i.slots {
			delete(t.held, s)
		}
		delete(t.intents, id)
	}
}

// rollback takes back what the round under way did here.
func (t *transactions) rollback() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
	clear(t.undo)
	t.undo = t.undo[:0]
	t.released = true // parked requests look again
}

// inherit begins to count the age of what is here, for a new leadership.
func (t *transactions) inherit(tick uint64) {
	for _, i := range t.intents {
		i.due = tick + inheritTicks
	}
	for _, v := range t.verdicts {
		v.due = tick + settleTicks
	}
}

// nodeDown has those intents asked about whose coordinator's process is gone,
// as far as can be seen from here.
func (t *transactions) nodeDown(node base.NodeID, tick uint64) {
	for id, i := range t.intents {
		if id.Gateway == node {
			i.due = min(i.due, tick+1)
		}
	}
}

// contended says whether any request could have to wait.
func (t *transactions) contended() bool { return len(t.held) > 0 || len(t.parked) > 0 }

func (t *transactions) park(req *Request) { t.parked = append(t.parked, req) }

// unpark puts what is parked in front of the queue when locks were released.
// Who takes locks comes last: the others run and are gone, while behind each
// PREPARE they would wait again for as long as a transaction takes. (No session
// sends anything behind a PREPARE before its transaction has ended.)
func (r *Replica) unpark() {
	if slices.ContainsFunc(r.txns.parked, r.overdue) {
		r.txns.released = true // those are answered, the others parked again
	}
	if t := &r.txns; t.released && len(t.parked) > 0 {
		last := slices.Clone(t.parked)
		first := slices.DeleteFunc(t.parked, isPrepare)
		last = slices.DeleteFunc(last, func(req *Request) bool { return !isPrepare(req) })
		r.queue = slices.Concat(first, last, r.queue)
		t.parked = nil
	}
	r.txns.released = false
}

// isPrepare says whether a request takes locks.
func isPrepare(req *Request) bool {
	return req.Flags&Transaction != 0 && len(req.Args) > 0 && len(req.Args[0]) > 0 && req.Args[0][0] == txnPrepare
}

// mustWait says whether a request has to be parked: its slots are locked, or
// something parked before it, of its session or with one of its slots, must come
// first. A PREPARE that does not wait is answered instead.
func (r *Replica) mustWait(req *Request) bool {
	switch {
	case req.Flags&(Confirm|Track) != 0, r.cfg.Partition == base.Catalog:
		return false
	case req.Flags&Cancel != 0:
		return r.comesTooEarly(req)
	}
	return waitsForLocks(req) && r.conflicts(req)
}

// conflicts says whether a request has to come behind a lock or something that
// is parked.
func (r *Replica) conflicts(req *Request) bool {
	t := &r.txns
	mine, whole := r.slotsOf(req)
	for _, s := range mine {
		if t.locked(s) {
			return true
		}
	}
	if whole && len(t.held) > 0 {
		return true
	}
	for _, other := range t.parked {
		if req.Session != 0 && other.Session == req.Session && other.Origin.Gateway == req.Origin.Gateway {
			return true
		}
		theirs, all := r.slotsOf(other)
		if all || whole {
			// Whoever waits for the whole partition is not overtaken by those
			// that would lock more of it. Those that only read may: others may
			// hold the locks that he waits for until they have.
			if all && isPrepare(req) || whole && isPrepare(other) {
				return true
			}
			continue
		}
		for _, s := range mine {
			if slices.Contains(theirs, s) {
				return true
			}
		}
	}
	return false
}

// slotsOf lists a request's slots.
func (r *Replica) slotsOf(req *Request) (slots []base.Slot, whole bool) {
	what, whole := req, false
	if req.Flags&Transaction != 0 {
		named, group, err := named(req.Args)
		if err != nil {
			return nil, false
		}
		if slots = named; len(group) == 0 {
			return slots, false
		}
		g := *req
		g.Args, g.Flags = group, Write|Group
		what = &g
	}
	ok := r.cfg.Evaluator.Slots(what, func(s base.Slot) {
		if !slices.Contains(slots, s) {
			slots = append(slots, s)
		}
	})
	return slots, whole || !ok
}

// reportTransactions names, once per tick at most, what has been waiting for
// its coordinator for too long.
func (r *Replica) reportTransactions(out *Output) {
	t := &r.txns
	if !r.ready || t.reported == r.ticks || len(t.intents)+len(t.verdicts) == 0 {
		return
	}
	t.reported = r.ticks
	for _, id := range slices.SortedFunc(maps.Keys(t.intents), compareTxnIDs) {
		if i := t.intents[id]; r.ticks >= i.due {
			i.due = r.ticks + recoverTicks
			out.Recovers = append(out.Recovers, Recover{Partition: r.cfg.Partition, Home: i.participants[0], ID: id})
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(t.verdicts), compareTxnIDs) {
		if v := t.verdicts[id]; v.committed && r.ticks >= v.due {
			v.due = r.ticks + settleTicks
			out.Settles = append(out.Settles, Settle{ID: id, Participants: v.participants})
		}
	}
}
