package keyspace

import (
	"math"

	"coterie/internal/base"
	"coterie/internal/keys"
)

const (
	// maxWalkExpired is how many expired keys one walk removes. It passes over
	// the others; that some are removed makes the walk's stamp durable, and with
	// it that all of them are gone.
	maxWalkExpired = 128
	// maxWalkSlots is how many slots a bounded walk enters. Slots that hold
	// nothing at all are not entered.
	maxWalkSlots = 4096
)

// Walk visits the namespace's records from a cursor on, in the order of slot
// and hash, within the partition's span. It stops when visit returns false or
// when limit records were looked at (0: no limit), but never between two
// records of one hash. next is where to go on; done says that the span's end
// was reached.
//
// key and r are valid until visit returns; visit may change the keyspace, and
// the walk does not see it.
func (s *Space) Walk(from keys.Cursor, limit int, visit func(key []byte, r Record) bool) (next keys.Cursor, done bool) {
	w := walk{space: s, limit: limit, visit: visit}
	if limit == 0 {
		w.limit = math.MaxInt
	}
	from = max(from, keys.CursorAtSlot(base.Slot(s.Span.Lo)))
	_, upper := keys.SpanBounds(s.Span)
	start, ok := keys.ScanKey(nil, from, s.gen())
	if !ok || s.Span.Empty() || from >= keys.CursorAtSlot(base.Slot(s.Span.Hi)) {
		return 0, true
	}
	it := s.Txn.Iter(start, upper)
	defer it.Close()
	for ok = it.Next(); ok; {
		rec, isRecord := keys.ParseRecordKey(it.Key())
		if isRecord && rec.Gen == s.gen() {
			if w.enough && (rec.Slot != w.slot || rec.Hash != w.hash) {
				return keys.CursorAfter(w.slot, w.hash), false
			}
			w.look(rec, it.Value())
			ok = it.Next()
			continue
		}
		if w.enough {
			return keys.CursorAfter(w.slot, w.hash), false
		}
		slot, behind := place(it.Key(), s.gen())
		if behind {
			slot++
		}
		if slot >= base.Slot(s.Span.Hi) {
			break
		}
		if w.slots++; limit != 0 && w.slots > maxWalkSlots {
			return keys.CursorAtSlot(slot), false
		}
		s.xkey, _ = keys.ScanKey(s.xkey[:0], keys.CursorAtSlot(slot), s.gen())
		ok = it.SeekGE(s.xkey)
	}
	return 0, true
}

// place is the slot of a key that is no record of gen, and whether it lies
// behind the place where that slot has such records.
func place(key []byte, gen uint32) (slot base.Slot, behind bool) {
	slot, _ = keys.SlotOf(key)
	if rec, ok := keys.ParseRecordKey(key); ok {
		return slot, rec.Gen > gen
	}
	_, _, counter := keys.ParseCounterKey(key)
	return slot, !counter
}

// walk is the state of one Walk.
type walk struct {
	space *Space
	limit int
	visit func([]byte, Record) bool

	enough  bool // stop at the next change of hash
	slot    base.Slot
	hash    uint64 // of the record last looked at
	looked  int
	slots   int
	expired int
}

func (w *walk) look(rec keys.Record, value []byte) {
	w.slot, w.hash = rec.Slot, rec.Hash
	if w.looked++; w.looked >= w.limit {
		w.enough = true
	}
	r := mustRecord(value)
	if w.space.expired(r) {
		if w.expired++; w.expired <= maxWalkExpired {
			w.space.Remove(rec.Key, r)
		}
		return
	}
	if !w.visit(rec.Key, r) {
		w.enough = true
	}
}

// RandomKey returns some key of the namespace, or nil when it has none in
// this partition. Every key can come; how likely each is depends on how the
// hashes of its neighbours lie.
func (s *Space) RandomKey() (key []byte) {
	if s.Span.Empty() {
		return nil
	}
	take := func(k []byte, _ Record) bool {
		key = append([]byte(nil), k...)
		return false
	}
	r := s.Txn.Rand()
	slot := base.Slot(s.Span.Lo) + base.Slot(r%uint64(s.Span.Len()))
	from := keys.CursorAtSlot(slot) + keys.Cursor(s.Txn.Rand()>>16)
	for _, start := range []keys.Cursor{from, 0} {
		for next, done := start, false; !done && key == nil; {
			next, done = s.Walk(next, randomLooks, take)
		}
		if key != nil {
			return key
		}
	}
	return nil
}

// randomLooks is how many records RandomKey looks at in one walk.
const randomLooks = 1024
