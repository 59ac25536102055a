package partition

import (
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/keys"
)

// versionsTicks is how long slots are watched for changes after the last
// transaction that only read.
const versionsTicks = 1200

// versions says in which round of this leadership each slot was last written.
// It is kept only while there are transactions that read over several
// partitions, for they ask whether what they saw has stayed (VALIDATE).
type versions struct {
	round uint64               // the round being evaluated
	last  map[base.Slot]uint64 // nil: not kept
	all   uint64               // round in which some range of slots was written
	used  uint64               // tick of the last READ
	// Of the body of round notedIn, the first so many bytes are noted.
	notedIn uint64
	noted   int
}

// watch has changes noted from now on, and says as of which round a read of
// this round is: what the round writes may come before or behind it, and counts
// as a change.
func (v *versions) watch(tick uint64) (round uint64) {
	if v.used = tick; v.last == nil {
		v.last = map[base.Slot]uint64{}
	}
	return v.round - 1
}

// readGroup runs a group that only reads, and says as of when.
func (r *Replica) readGroup(req *Request, reply []byte) []byte {
	reply = append(reply, TxnRead)
	reply = binary.BigEndian.AppendUint64(reply, r.term)
	reply = binary.BigEndian.AppendUint64(reply, r.versions.watch(r.ticks))
	group := *req
	group.Args, group.Flags = req.Args[3:], Group
	return r.evaluate(&r.txn, &group, reply)
}

// validate says whether the slots of a group are as a READ saw them: not
// written since, and not locked, for what a transaction is going to write may
// have been decided already. What single commands of this round write is later
// than the question, and no matter.
func (r *Replica) validate(req *Request) byte {
	if work, err := workOf(req.Args); err == nil && work != nil {
		if r.changed(work, nil) {
			return TxnChanged
		}
		return TxnValid
	}
	if len(req.Args) < 3 || len(req.Args[1]) != TokenLen {
		return TxnChanged
	}
	term, round := binary.BigEndian.Uint64(req.Args[1]), binary.BigEndian.Uint64(req.Args[1][8:])
	slots, whole := r.slotsOf(req)
	if term != r.term || whole || r.versions.last == nil || r.versions.all > round {
		return TxnChanged
	}
	for _, s := range slots {
		if r.txns.locked(s) || r.versions.last[s] > round {
			return TxnChanged
		}
	}
	return TxnValid
}

// noteRelease remembers the end of locks, at once: what they covered may have
// been decided before a VALIDATE in the same round was asked for.
func (v *versions) noteRelease(slots []base.Slot) {
	if v.last == nil {
		return
	}
	for _, s := range slots {
		v.last[s] = v.round
	}
}

// noteWrites remembers what the round wrote, of which body is all until now.
func (v *versions) noteWrites(body []byte, tick uint64) {
	if v.last == nil {
		return
	}
	if tick-v.used > versionsTicks {
		v.last = nil
		return
	}
	if v.notedIn != v.round {
		v.notedIn, v.noted = v.round, 0
	}
	d := effects.Body(body[min(v.noted, len(body)):])
	v.noted = len(body)
	for {
		op, ok := d.Next()
		if !ok {
			return
		}
		slot, ofSlot := keys.SlotOf(op.Key)
		switch {
		case op.Kind == effects.DeleteRange:
			if last, ok := keys.SlotOf(op.Value); ofSlot && ok && last == slot {
				v.last[slot] = v.round
			} else {
				v.all = v.round
			}
		case ofSlot:
			v.last[slot] = v.round
		case len(op.Key) > 0 && op.Key[0] == keys.MetaPrefix: // generations, perhaps
			if _, _, _, txn := keys.ParseTxnKey(op.Key); !txn {
				v.all = v.round
			}
		}
	}
}
