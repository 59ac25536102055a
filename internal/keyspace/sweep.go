package keyspace

import (
	"bytes"
	"encoding/binary"
	"math"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Progress says how far a sweep came.
type Progress struct {
	// Next is the slot to go on with; at the span's Hi, the sweep is complete.
	Next uint16
	// Removed is the number of keys that this step removed.
	Removed int
	// Expired is how many of them had a deadline that has passed.
	Expired int
	// Pending is the number of slots it met that have later deadlines.
	Pending int
}

// SweepDead removes records that no namespace owns any more, with all that
// belongs to them, from slot `from` on. It does about budget units of work: a
// unit is a record removed or a generation of a slot looked into. A sweep over
// the whole span is due after a flush, and once when a replica becomes leader.
func SweepDead(txn kv.Txn, pid base.PartitionID, span base.Span, from uint16, budget int) Progress {
	gens := LoadGenerations(txn, pid)
	p := Progress{Next: max(from, span.Lo)}
	_, upper := keys.SpanBounds(span)
	if p.Next >= span.Hi {
		return Progress{Next: span.Hi}
	}
	seek, _ := keys.ScanKey(nil, keys.CursorAtSlot(base.Slot(p.Next)), 0)
	it := txn.Iter(seek, upper)
	defer it.Close()
	for ok := it.Next(); ok; {
		slot, _ := keys.SlotOf(it.Key())
		p.Next = uint16(slot)
		if budget <= 0 {
			return p
		}
		budget--
		rec, isRecord := keys.ParseRecordKey(it.Key())
		_, _, isCounter := keys.ParseCounterKey(it.Key())
		switch {
		case isRecord && !gens.live(rec.Gen):
			var n int
			n, ok = removeDead(txn, it, rec.Slot, rec.Gen, budget+1)
			p.Removed += n
			budget -= n - 1
			continue
		case isRecord:
			seek = afterGeneration(seek[:0], slot, rec.Gen)
		case isCounter: // a slot entered at its beginning
			seek, _ = keys.ScanKey(seek[:0], keys.CursorAtSlot(slot), 0)
		default: // behind the slot's records
			seek = nextSlot(seek[:0], slot)
		}
		ok = it.SeekGE(seek)
	}
	p.Next = span.Hi
	return p
}

// nextSlot is a place in front of the next slot's records, or behind all slots.
func nextSlot(dst []byte, slot base.Slot) []byte {
	if next, ok := keys.ScanKey(dst, keys.CursorAtSlot(slot+1), 0); ok {
		return next
	}
	return append(dst, keys.CatalogPrefix)
}

// afterGeneration is the place behind a slot's records of one generation.
func afterGeneration(dst []byte, slot base.Slot, gen uint32) []byte {
	if gen == math.MaxUint32 {
		lower, _ := keys.ExpiryBounds(slot, 0)
		return append(dst, lower...)
	}
	dst, _ = keys.ScanKey(dst, keys.CursorAtSlot(slot), gen+1)
	return dst
}

// removeDead removes up to n records of a dead generation, beginning with the
// one that the iterator stands on, and leaves it on the first key that it did
// not remove; more is false when there is none.
func removeDead(txn kv.Txn, it kv.Iterator, slot base.Slot, gen uint32, n int) (removed int, more bool) {
	first := append([]byte(nil), it.Key()...)
	var last, scratch []byte
	expires := int64(0)
	for more = true; more && removed < n; more = it.Next() {
		rec, ok := keys.ParseRecordKey(it.Key())
		if !ok || rec.Slot != slot || rec.Gen != gen {
			break
		}
		r := mustRecord(it.Value())
		for _, at := range r.moments() {
			if at != 0 {
				scratch = keys.ExpiryKey(scratch[:0], slot, at, gen, rec.Key)
				txn.Delete(scratch)
			}
		}
		if obj, ok := r.Object(); ok {
			dropElements(txn, slot, obj)
		}
		last = append(last[:0], it.Key()...)
		expires += deadlines(r)
		removed++
	}
	if removed == 1 {
		txn.Delete(first)
	} else {
		txn.DeleteRange(first, append(last, 0))
	}
	addCount(txn, keys.CounterKey(scratch[:0], slot, gen), delta{keys: -int64(removed), expires: -expires})
	return removed, more
}

// Due looks at a value whose due time has come: it stores it anew with another
// one, or removes its key. It does up to budget units of work, and says how
// many it did; a due time that has still passed means that there is more.
type Due func(s *Space, key []byte, r Record, budget int) (done int)

// SweepExpired removes keys whose deadline has passed, and calls due for those
// whose due time has come, slot by slot from slot `from` on, found through the
// expiry index. It does about budget units of work: a unit is a key removed, one
// of due's, or a slot looked into. It tells of the events.
func SweepExpired(txn kv.Txn, pid base.PartitionID, span base.Span, from uint16, budget int, due Due, events Classes) Progress {
	p := Progress{Next: max(from, span.Lo)}
	if p.Next >= span.Hi {
		return Progress{Next: span.Hi}
	}
	now := txn.Now().Millis()
	seek, _ := keys.ExpiryBounds(base.Slot(p.Next), now)
	_, upper := keys.SpanBounds(span)
	it := txn.Iter(seek, upper)
	defer it.Close()
	locks, _ := txn.(interface{ Locked(base.Slot) bool })
	e := expirer{txn: txn, pid: pid, span: span, due: due}
	e.space.Events = events
	for ok := it.Next(); ok; budget-- {
		slot, _ := keys.SlotOf(it.Key())
		p.Next = uint16(slot)
		if budget <= 0 {
			return p
		}
		entry, isExpiry := keys.ParseExpiryKey(it.Key())
		locked := isExpiry && locks != nil && locks.Locked(slot)
		if isExpiry && entry.DeadlineMs <= now && !locked {
			work, removed := e.meet(it.Key(), entry, budget)
			p.Removed += removed
			p.Expired += e.expired
			e.expired = 0
			if budget -= work; budget > 0 {
				ok = it.Next()
			}
			continue
		}
		if isExpiry { // the slot's other deadlines are later still
			p.Pending++
		}
		if isExpiry || keys.BehindExpiry(it.Key()) {
			slot++
		}
		seek = keys.ExpiryKey(seek[:0], slot, 0, 0, nil)
		ok = it.SeekGE(seek)
	}
	p.Next = span.Hi
	return p
}

// expirer is what a sweep does with entries of the expiry index.
type expirer struct {
	txn     kv.Txn
	pid     base.PartitionID
	span    base.Span
	due     Due
	gens    *Generations
	space   Space
	scratch []byte
	expired int
}

// meet does what an entry whose time has come asks for. work is how much that
// was beyond one unit, removed is what it removed.
func (x *expirer) meet(index []byte, e keys.Expiry, budget int) (work, removed int) {
	x.scratch = keys.RecordKey(x.scratch[:0], e.Slot, e.Gen, e.Key)
	v, ok := x.txn.Get(x.scratch)
	if !ok {
		x.txn.Delete(index)
		return 0, 1
	}
	r := mustRecord(v)
	now := x.txn.Now().Millis()
	if r.DueAt == e.DeadlineMs && (r.ExpireAt == 0 || r.ExpireAt > now) {
		if db, ok := x.namespace(e.Gen); ok {
			x.space.Bind(x.txn, x.pid, x.span, db, x.gens)
			n := x.due(&x.space, bytes.Clone(e.Key), r, budget)
			touched(x.txn, e.Key)
			x.uncount(e)
			return n, n
		}
	} else if r.ExpireAt != e.DeadlineMs && r.DueAt != e.DeadlineMs {
		x.txn.Delete(index)
		return 0, 1
	}
	x.remove(e, r)
	x.expired++
	return 0, 1
}

// namespace is the namespace of a generation; ok is false when it is dead.
func (x *expirer) namespace(gen uint32) (db int, ok bool) {
	if x.gens == nil {
		g := LoadGenerations(x.txn, x.pid)
		x.gens = &g
	}
	for db, live := range x.gens {
		if live == gen {
			return db, true
		}
	}
	return 0, false
}

// uncount has a slot's bytes counted again, if they are counted at all.
func (x *expirer) uncount(e keys.Expiry) {
	x.scratch = keys.CounterKey(x.scratch[:0], e.Slot, e.Gen)
	if c := loadCount(x.txn, x.scratch); c.Epoch != 0 && c.Keys > 0 {
		c.Epoch, c.Bytes = 0, 0
		storeCount(x.txn, x.scratch, c)
	}
}

// remove removes a key with all that belongs to it.
func (x *expirer) remove(e keys.Expiry, r Record) {
	x.scratch = keys.CounterKey(x.scratch[:0], e.Slot, e.Gen)
	d, all := delta{keys: -1, expires: -deadlines(r)}, true
	obj, large := r.Object()
	if c := loadCount(x.txn, x.scratch); c.Epoch != 0 {
		if large {
			d.bytes, all = objectSize(x.txn, e.Slot, obj)
		}
		x.scratch = keys.RecordKey(x.scratch[:0], e.Slot, e.Gen, e.Key)
		if v, ok := x.txn.Get(x.scratch); ok {
			d.bytes += recordSize(x.scratch, v, keys.Record{Slot: e.Slot, Gen: e.Gen, Key: e.Key})
		}
		d.bytes = -d.bytes
	}
	x.scratch = keys.RecordKey(x.scratch[:0], e.Slot, e.Gen, e.Key)
	x.txn.Delete(x.scratch)
	for _, at := range r.moments() {
		if at != 0 {
			x.scratch = keys.ExpiryKey(x.scratch[:0], e.Slot, at, e.Gen, e.Key)
			x.txn.Delete(x.scratch)
		}
	}
	if large {
		dropElements(x.txn, e.Slot, obj)
	}
	x.scratch = keys.CounterKey(x.scratch[:0], e.Slot, e.Gen)
	if addCount(x.txn, x.scratch, d); !all {
		x.uncount(e)
	}
	touched(x.txn, e.Key)
	if x.space.Events&ExpiredEvent == 0 {
		return
	}
	if db, ok := x.namespace(e.Gen); ok {
		notify(x.txn, x.space.Events, db, "expired", e.Key)
	}
}

// positionValue reads a set member's position.
func positionValue(v []byte) (n uint64, ok bool) {
	if len(v) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(v), true
}
