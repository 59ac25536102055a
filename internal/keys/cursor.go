package keys

import "coterie/internal/base"

// Cursor is a place in the walk over all records of a namespace, as SCAN
// hands it to clients: slot<<48 | hash48, the first place not yet visited. It
// fits in 62 bits.
//
// Zero is both the start and, in a reply, the end. No reply can mean zero as a
// place by accident: a scan that has returned anything resumes at least one
// after it.
//
// The rule that makes it work without any state: all records of an equal
// (slot, hash48) are returned together, even when that is more than the client
// asked for. A scan therefore ends a reply only where the hash changes, and
// names the next place with [CursorAfter] the last record it returned.
type Cursor uint64

// CursorAfter is the cursor when everything up to and including the records
// at (slot, hash) was returned.
func CursorAfter(slot base.Slot, hash uint64) Cursor {
	return (Cursor(slot)<<hashBits | Cursor(hash)) + 1
}

// CursorAtSlot is the cursor when everything below a slot was returned.
func CursorAtSlot(slot base.Slot) Cursor { return Cursor(slot) << hashBits }

// Slot is the slot that the walk resumes in. ok is false when the cursor lies
// behind the last slot: the walk is over, or a client made the cursor up.
func (c Cursor) Slot() (slot base.Slot, ok bool) {
	if c >= Cursor(base.NumSlots)<<hashBits {
		return 0, false
	}
	return base.Slot(c >> hashBits), true
}

// Hash is the least hash not yet visited in the cursor's slot.
func (c Cursor) Hash() uint64 { return uint64(c) & (1<<hashBits - 1) }

// ScanKey appends the place in the store where a walk over the records of a
// generation resumes: no record before it is still to be visited. ok is false
// when the walk is over. The walk ends for this slot at the upper end of
// RecordBounds; the next begins at CursorAtSlot of the next slot.
func ScanKey(dst []byte, c Cursor, gen uint32) (key []byte, ok bool) {
	slot, ok := c.Slot()
	if !ok {
		return dst, false
	}
	return appendRecordHead(dst, slot, gen, c.Hash()), true
}
