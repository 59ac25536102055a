package keyspace

import (
	"bytes"
	"fmt"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Check reads all of a span and verifies the package's invariants: counters,
// expiry index and elements agree with the records. It returns the first
// disagreement. Its memory grows with the largest slot; it is for tests and
// for an operator's check of a store.
func Check(r kv.Reader, span base.Span) error {
	lower, upper := keys.SpanBounds(span)
	it := r.Iter(lower, upper)
	defer it.Close()
	c := newSlotCheck(base.Slot(span.Lo))
	for it.Next() {
		slot, ok := keys.SlotOf(it.Key())
		if !ok {
			return fmt.Errorf("key %x belongs to no slot", it.Key())
		}
		if slot != c.slot {
			if err := c.finish(); err != nil {
				return fmt.Errorf("slot %d: %w", c.slot, err)
			}
			c = newSlotCheck(slot)
		}
		if err := c.add(it.Key(), it.Value()); err != nil {
			return fmt.Errorf("slot %d: %w", slot, err)
		}
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("reading the span: %w", err)
	}
	if err := c.finish(); err != nil {
		return fmt.Errorf("slot %d: %w", c.slot, err)
	}
	return nil
}

// slotCheck gathers what a slot's records ask for, and strikes out what it finds.
type slotCheck struct {
	slot      base.Slot
	counters  map[uint32]uint64            // what the counters say minus what was found
	deadlines map[uint32]int64             // likewise, of records with a deadline
	objects   map[uint64]Object            // what is still missing of them
	sets      map[uint64]map[string]uint64 // of the objects that are sets: members whose position is not confirmed yet
	exact     map[uint64]bool              // objects with trees whose elements are counted all the same
	deadline  map[string]bool              // expiry keys still missing
	scratch   []byte
}

func newSlotCheck(slot base.Slot) *slotCheck {
	return &slotCheck{
		slot:      slot,
		counters:  map[uint32]uint64{},
		deadlines: map[uint32]int64{},
		objects:   map[uint64]Object{},
		sets:      map[uint64]map[string]uint64{},
		exact:     map[uint64]bool{},
		deadline:  map[string]bool{},
	}
}

func (c *slotCheck) add(key, value []byte) error {
	if _, gen, ok := keys.ParseCounterKey(key); ok {
		n, ok := ParseCount(value)
		if !ok || n.Keys == 0 {
			return fmt.Errorf("counter of generation %d has value %x", gen, value)
		}
		c.counters[gen], c.deadlines[gen] = n.Keys, int64(n.Expires)
		return nil
	}
	if rec, ok := keys.ParseRecordKey(key); ok {
		return c.record(key, rec, value)
	}
	if _, object, ok := keys.ParseElementPrefix(key); ok && c.sets[object] != nil {
		return c.setEntry(object, key, value)
	}
	if e, ok := keys.ParseElementKey(key); ok {
		if keys.Hash48(e.Elem) != e.Hash {
			return fmt.Errorf("element %q of object %d under the wrong hash", e.Elem, e.Object)
		}
		obj, ok := c.objects[e.Object]
		if !ok || obj.OnlyTrees || c.counts(e.Object) && obj.Count == 0 {
			return fmt.Errorf("element %q: no record expects it in object %d", e.Elem, e.Object)
		}
		if c.counts(e.Object) {
			c.found(e.Object)
		}
		return nil
	}
	if n, ok := keys.ParseNodeKey(key); ok {
		if obj := c.objects[n.Object]; n.ID == 0 || n.ID >= obj.NextNode || len(value) == 0 {
			return fmt.Errorf("node %d: no record expects it in object %d", n.ID, n.Object)
		}
		return nil
	}
	if e, ok := keys.ParseExpiryKey(key); ok {
		if !c.deadline[string(key)] {
			return fmt.Errorf("expiry index holds %d for key %q of generation %d, which its record does not have", e.DeadlineMs, e.Key, e.Gen)
		}
		delete(c.deadline, string(key))
		return nil
	}
	return fmt.Errorf("key %x is of no known kind", key)
}

func (c *slotCheck) record(key []byte, rec keys.Record, value []byte) error {
	c.scratch = keys.RecordKey(c.scratch[:0], base.KeySlot(rec.Key), rec.Gen, rec.Key)
	if !bytes.Equal(c.scratch, key) {
		return fmt.Errorf("record of key %q is under the wrong slot or hash", rec.Key)
	}
	r, ok := ParseRecord(value)
	if !ok {
		return fmt.Errorf("record of key %q: malformed value %x", rec.Key, value)
	}
	if c.counters[rec.Gen] == 0 {
		return fmt.Errorf("generation %d has more records than its counter says", rec.Gen)
	}
	c.counters[rec.Gen]--
	c.deadlines[rec.Gen] -= deadlines(r)
	if obj, ok := r.Object(); ok {
		if _, twice := c.objects[obj.ID]; twice {
			return fmt.Errorf("object %d belongs to two records", obj.ID)
		}
		if obj.Count == 0 {
			return fmt.Errorf("record of key %q is an empty collection", rec.Key)
		}
		c.objects[obj.ID] = obj
		c.exact[obj.ID] = r.Type == Hash
		if r.Type == Set {
			c.sets[obj.ID] = map[string]uint64{}
		}
	}
	for _, at := range r.moments() {
		if at != 0 {
			c.deadline[string(keys.ExpiryKey(nil, c.slot, at, rec.Gen, rec.Key))] = true
		}
	}
	return nil
}

// counts says whether an object's elements are what it counts.
func (c *slotCheck) counts(object uint64) bool {
	return c.objects[object].NextNode == 0 || c.exact[object]
}

// found strikes out one of what an object counts.
func (c *slotCheck) found(object uint64) {
	obj := c.objects[object]
	obj.Count--
	c.objects[object] = obj
}

// setEntry checks one of a set's two entries per member: the members come
// first, then their positions.
func (c *slotCheck) setEntry(object uint64, key, value []byte) error {
	_, member, position, ok := keys.ParseSetKey(key)
	members := c.sets[object]
	switch {
	case !ok:
		return fmt.Errorf("key %x is none of a set's", key)
	case member != nil:
		if position, ok = positionValue(value); !ok {
			return fmt.Errorf("member %q of set %d has position %x", member, object, value)
		}
		members[string(member)] = position
		return nil
	case c.objects[object].Count == 0:
		return fmt.Errorf("set %d has more positions than its record counts", object)
	}
	if at, ok := members[string(value)]; !ok || at != position {
		return fmt.Errorf("set %d: position %d holds %q, whose own entry does not say so", object, position, value)
	}
	delete(members, string(value))
	c.found(object)
	return nil
}

func (c *slotCheck) finish() error {
	for object, members := range c.sets {
		for m := range members {
			return fmt.Errorf("set %d: no position holds member %q", object, m)
		}
	}
	for gen, n := range c.counters {
		if n != 0 {
			return fmt.Errorf("generation %d: the counter says %d records more than there are", gen, n)
		}
	}
	for gen, n := range c.deadlines {
		if n != 0 {
			return fmt.Errorf("generation %d: the counter is wrong by %d records with a deadline", gen, n)
		}
	}
	for id, obj := range c.objects {
		if c.counts(id) && obj.Count != 0 {
			return fmt.Errorf("object %d: %d elements are missing", id, obj.Count)
		}
	}
	for key := range c.deadline {
		return fmt.Errorf("expiry index lacks %x", key)
	}
	return nil
}
