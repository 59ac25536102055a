package partition

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/overlay"
	"coterie/internal/storage/state"
)

// The messages of a consistent cut carry the flag Transaction, and one of these
// as their first argument; then its id, the TxnID of its first ARM. See
// docs/internals/transactions.md.
const (
	cutArm     = 'a'
	cutPin     = 'p'
	cutRelease = 'r'
	cutDecide  = 'd'
	cutRead    = 'q'
	cutEnd     = 'e'
)

// The first byte of an answer.
const (
	CutYes    = 'Y'
	CutPinned = 'P' // see DecodePinned
	CutBusy   = 'B' // with another cut, or with what must not be disturbed
	CutGone   = 'N' // the barrier or the view of this cut is not here, or not any more
	CutReply  = 'D' // the reply of a READ's command
)

// Bounds of what cuts may do to a leader.
const (
	armTicks     = 10      // for which no move down begins after an ARM
	barrierTicks = 3       // after which a barrier ends by itself
	viewTicks    = 1200    // after which a view that nobody reads is dropped
	maxViews     = 4       // of one partition
	maxCutReply  = 1 << 20 // bytes of replies in one turn
	maxViewCache = 8 << 20 // bytes that a view keeps in memory of what it has read
)

// ArmArgs makes the arguments of ARM; id is empty for the first of a cut: it is
// that request's own origin.
func ArmArgs(id TxnID) [][]byte {
	if id == (TxnID{}) {
		return [][]byte{{cutArm}, {}}
	}
	return cutArgs(cutArm, id)
}

// PinArgs makes the arguments of PIN.
func PinArgs(id TxnID) [][]byte { return cutArgs(cutPin, id) }

// ReleaseArgs makes the arguments of RELEASE.
func ReleaseArgs(id TxnID) [][]byte { return cutArgs(cutRelease, id) }

// DecideArgs makes the arguments of DECIDE: which transactions were committed.
func DecideArgs(id TxnID, committed []TxnID) [][]byte {
	args := cutArgs(cutDecide, id)
	for _, c := range committed {
		args = append(args, appendTxnID(nil, c))
	}
	return args
}

// CutReadArgs makes the arguments of READ: a command to be run over the view.
func CutReadArgs(id TxnID, command ...[]byte) [][]byte {
	return append(cutArgs(cutRead, id), command...)
}

// CutEndArgs makes the arguments of END.
func CutEndArgs(id TxnID) [][]byte { return cutArgs(cutEnd, id) }

func cutArgs(op byte, id TxnID) [][]byte { return [][]byte{{op}, appendTxnID(nil, id)} }

// Pinned is the answer to PIN.
type Pinned struct {
	Open      []OpenIntent // of other homes
	Committed []TxnID      // by verdicts that are kept here
}

// OpenIntent is an intent in a cut.
type OpenIntent struct {
	ID   TxnID
	Home base.PartitionID
}

// DecodePinned reads an answer to PIN, behind its first byte.
func DecodePinned(b []byte) (p Pinned, err error) {
	r := stateReader{b: b}
	for range r.count() {
		p.Open = append(p.Open, OpenIntent{ID: r.txnID(), Home: base.PartitionID(r.uvarint())})
	}
	for range r.count() {
		p.Committed = append(p.Committed, r.txnID())
	}
	if r.bad || len(r.b) > 0 {
		return Pinned{}, fmt.Errorf("answer of %d bytes to a PIN", len(b))
	}
	return p, nil
}

func (r *stateReader) txnID() TxnID {
	gateway := r.uvarint()
	return TxnID{Gateway: base.NodeID(gateway), Sequence: r.uvarint()}
}

// appendPinned makes an answer to PIN of what is known of transactions.
func (t *transactions) appendPinned(b []byte, self base.PartitionID) []byte {
	appendID := func(b []byte, id TxnID) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(b, uint64(id.Gateway)), id.Sequence)
	}
	open := slices.SortedFunc(maps.Keys(t.intents), compareTxnIDs)
	open = slices.DeleteFunc(open, func(id TxnID) bool { return t.intents[id].participants[0] == self })
	committed := slices.SortedFunc(maps.Keys(t.verdicts), compareTxnIDs)
	committed = slices.DeleteFunc(committed, func(id TxnID) bool { return !t.verdicts[id].committed })
	b = binary.AppendUvarint(append(b, CutPinned), uint64(len(open)))
	for _, id := range open {
		b = binary.AppendUvarint(appendID(b, id), uint64(t.intents[id].participants[0]))
	}
	b = binary.AppendUvarint(b, uint64(len(committed)))
	for _, id := range committed {
		b = appendID(b, id)
	}
	return b
}

// Pin asks to pin the state store as it is now, before anything else of the
// replica's goes there: its content is a view of the cut. Replica.Pinned brings it.
type Pin struct {
	Replica *Replica
	ID      TxnID
}

// cuts is what a leader has of consistent cuts. It ends with the leadership.
type cuts struct {
	armed      TxnID // for it moves down wait …
	armedUntil uint64
	barrier    *view // its barrier stands: nothing is evaluated
	views      []*view
	queue      []*Request // all but RELEASE, which comes first in its round
}

// view is a partition's content as of one PIN.
type view struct {
	id       TxnID
	answer   []byte // to PIN
	began    base.Stamp
	until    uint64 // tick at which the barrier ends by itself
	stood    uint64 // µs, once it is released
	released bool
	stamp    base.Stamp // of the last round
	used     uint64     // tick
	intents  map[TxnID]*intent
	asked    bool       // the state store is to be pinned
	pinned   state.View // nil until it is

	decided bool
	bodies  [][]byte // of intents that belong to the cut
	ov      *overlay.Overlay
	room    int // bytes that ov may take
}

// isCut says whether a request is a message of a cut.
func isCut(req *Request) bool {
	switch operation(req) {
	case cutArm, cutPin, cutRelease, cutDecide, cutRead, cutEnd:
		return true
	}
	return false
}

func isRelease(req *Request) bool { return operation(req) == cutRelease }

// submitCut queues a message of a cut: ahead of everything else.
func (r *Replica) submitCut(req *Request) {
	if isRelease(req) {
		r.queue = slices.Insert(r.queue, 0, req)
		return
	}
	r.cuts.queue = append(r.cuts.queue, req)
}

// stands says that a barrier stands, and n-th of the queue is not what ends it.
func (r *Replica) stands(n int) bool {
	return r.cuts.barrier != nil && (n >= len(r.queue) || !isRelease(r.queue[n]))
}

// ServeCuts answers messages of cuts, and keeps those that have to wait. It is
// to be called behind HandleReady, so that PIN comes between two rounds. None of
// its answers needs leadership to be confirmed: RELEASE does that for all.
// It says whether there is more to do at once.
func (r *Replica) ServeCuts(now base.Stamp, out *Output) (more bool) {
	if !r.ready || len(r.cuts.queue) == 0 {
		return false
	}
	queue, size := r.cuts.queue, 0
	r.cuts.queue = nil
	for i, req := range queue {
		if more = size > maxCutReply; more {
			r.cuts.queue = append(r.cuts.queue, queue[i:]...)
			break
		}
		var reply []byte
		if reply = []byte(replyOverdue); !r.overdue(req) {
			reply = r.serveCut(req, now, out)
		}
		if reply == nil {
			r.cuts.queue = append(r.cuts.queue, req)
			continue
		}
		size += len(reply)
		req.Status, req.Reply, req.Route.Evaluated = Done, reply, true
		out.Finished = append(out.Finished, req)
	}
	return more
}

// cutID is the cut that a message belongs to.
func cutID(req *Request) (TxnID, bool) {
	if len(req.Args) < 2 {
		return TxnID{}, false
	}
	if len(req.Args[1]) == 0 {
		return TxnID{req.Origin.Gateway, req.Origin.Sequence}, true
	}
	id, err := decodeTxnID(req.Args[1])
	return id, err == nil
}

// serveCut answers one message; nil: it has to wait.
func (r *Replica) serveCut(req *Request, now base.Stamp, out *Output) []byte {
	id, ok := cutID(req)
	if !ok {
		return []byte(replyMalformed)
	}
	v := r.view(id)
	if v != nil {
		v.used = r.ticks
	}
	switch op := operation(req); {
	case op == cutEnd:
		r.endCuts(func(x TxnID) bool { return x == id })
		return []byte{CutYes}
	case op == cutPin && v != nil: // it comes again
		return v.answer
	case op == cutArm || op == cutPin:
		if r.busyFor(id) {
			return []byte{CutBusy}
		}
		if op == cutPin {
			return r.pin(id, now, out)
		}
		if r.cuts.armed, r.cuts.armedUntil = id, r.ticks+armTicks; r.moving != nil {
			return nil
		}
		return []byte{CutYes}
	case v == nil || !v.released:
		return []byte{CutGone}
	case op == cutDecide:
		if v.pinned == nil {
			return nil
		}
		v.decide(req.Args[2:])
		return []byte{CutYes}
	case !v.decided:
		return []byte{CutGone}
	}
	reply, err := r.readView(v, req)
	if err != nil {
		out.fail(fmt.Errorf("partition %d: read a view: %w", r.cfg.Partition, err))
	}
	return reply
}

// armedFor says whether moves down wait for a cut.
func (r *Replica) armedFor() (id TxnID, ok bool) {
	return r.cuts.armed, r.cuts.armed != (TxnID{}) && r.ticks < r.cuts.armedUntil
}

// busyFor says whether a new cut has to be turned away.
func (r *Replica) busyFor(id TxnID) bool {
	by, armed := r.armedFor()
	return armed && by != id || r.cuts.barrier != nil || len(r.cuts.views) >= maxViews || r.handover > 0
}

func (r *Replica) view(id TxnID) *view {
	for _, v := range r.cuts.views {
		if v.id == id {
			return v
		}
	}
	return nil
}

// pin raises the barrier between two rounds, and freezes what is applied.
func (r *Replica) pin(id TxnID, now base.Stamp, out *Output) []byte {
	switch {
	case r.current != nil:
		return nil // the end of the round brings the next turn
	case r.moving != nil:
		return []byte{CutBusy}
	}
	v := &view{
		id: id, began: now, until: r.ticks + barrierTicks, stamp: r.state.Stamp, used: r.ticks,
		answer: r.txns.appendPinned(nil, r.cfg.Partition), intents: maps.Clone(r.txns.intents),
	}
	r.cuts.armed = TxnID{}
	r.Move(out)
	r.cuts.barrier, r.cuts.views = v, append(r.cuts.views, v)
	return v.answer
}

// release ends a barrier, as the first of a round: with its answer leadership
// is confirmed.
func (r *Replica) release(req *Request, reply []byte) []byte {
	id, ok := cutID(req)
	v := r.view(id)
	if !ok || v == nil {
		return append(reply, CutGone)
	}
	if v.used = r.ticks; !v.released {
		v.released, r.cuts.barrier = true, nil
		v.stood = uint64(max(r.txn.now, v.began) - v.began)
	}
	return binary.AppendUvarint(append(reply, CutYes), v.stood)
}

// askPins asks for the views whose state is in the state store now, and nothing
// later.
func (r *Replica) askPins(out *Output) {
	for _, v := range r.cuts.views {
		if !v.asked {
			v.asked = true
			out.Pins = append(out.Pins, Pin{Replica: r, ID: v.id})
		}
	}
}

// Pinned brings the view that Output.Pins asked for; nil if it could not be
// had. It is the replica's from now on.
func (r *Replica) Pinned(id TxnID, pinned state.View) {
	v := r.view(id)
	switch {
	case v != nil && pinned != nil:
		v.pinned = pinned
	case v != nil:
		r.endCuts(func(x TxnID) bool { return x == id })
	case pinned != nil:
		closeView(pinned)
	}
}

// decide completes a view: these transactions were committed before its moment.
func (v *view) decide(committed [][]byte) {
	if v.decided {
		return
	}
	v.decided = true
	for _, b := range committed {
		if id, err := decodeTxnID(b); err == nil && v.intents[id] != nil {
			v.bodies = append(v.bodies, v.intents[id].body)
		}
	}
	v.intents = nil
}

// over makes the overlay that a view is read through: what was pinned, and what
// was decided.
func (v *view) over() *overlay.Overlay {
	if v.ov != nil && v.ov.Bytes() <= v.room {
		return v.ov
	}
	v.ov = overlay.New(v.pinned)
	v.ov.Begin()
	for _, body := range v.bodies {
		d := effects.Body(body)
		for op, ok := d.Next(); ok; op, ok = d.Next() {
			overlay.Write(v.ov, op)
		}
		if d.Err() != nil {
			panic("partition: intent: " + d.Err().Error())
		}
	}
	if v.ov.End() != nil {
		v.ov.Committed()
	}
	v.room = v.ov.Bytes() + maxViewCache
	return v.ov
}

// readView runs a command over a view. What it writes (it may remove what has
// expired) goes nowhere.
func (r *Replica) readView(v *view, req *Request) ([]byte, error) {
	ov := v.over()
	ov.Begin()
	command := *req
	command.Args, command.Flags = req.Args[2:], 0
	txn := Txn{r: r, ov: ov, now: v.stamp, nextID: r.txn.nextID}
	reply := r.evaluate(&txn, &command, []byte{CutReply})
	if ov.End() != nil {
		ov.RollbackLast()
	}
	return reply, ov.Err()
}

// endCuts drops what is here of cuts.
func (r *Replica) endCuts(which func(TxnID) bool) {
	c := &r.cuts
	if which(c.armed) {
		c.armed = TxnID{}
	}
	if c.barrier != nil && which(c.barrier.id) {
		c.barrier = nil
	}
	c.views = slices.DeleteFunc(c.views, func(v *view) bool {
		if !which(v.id) {
			return false
		}
		if v.pinned != nil {
			closeView(v.pinned)
		}
		return true
	})
}

// CloseViews drops all views, before the state store is closed.
func (r *Replica) CloseViews() { r.endCuts(func(TxnID) bool { return true }) }

// Views is the number of views that are kept.
func (r *Replica) Views() int { return len(r.cuts.views) }

// closeView gives a view up. It has only been read: there is nothing to lose.
func closeView(v state.View) { _ = v.Close() }

// tickCuts ends what has lasted too long.
func (r *Replica) tickCuts() {
	if len(r.cuts.views) == 0 {
		return
	}
	var over []TxnID
	for _, v := range r.cuts.views {
		if v == r.cuts.barrier && r.ticks >= v.until || r.ticks-v.used > viewTicks {
			over = append(over, v.id)
		}
	}
	r.endCuts(func(id TxnID) bool { return slices.Contains(over, id) })
}
