package keyspace

import (
	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// meter is the transaction of a Space where namespaces have limits: it counts
// the bytes that are written, by slot of the selected namespace, and settle adds
// them to the counters. So they are right whatever becomes of the transaction.
type meter struct {
	kv.Txn
	space   *Space
	db      int // whose bytes these are
	changes []slotChange
}

// slotChange is what a command did to the bytes of one slot.
type slotChange struct {
	slot  base.Slot
	bytes int64
	// lost says that how many it were is not known: the slot is counted anew.
	lost bool
	// Of a counter that went with its last key: it may come back with the next.
	epoch uint32
	kept  uint64
}

var (
	_ kv.Mailer  = (*meter)(nil)
	_ kv.Toucher = (*meter)(nil)
)

// maxRangeCount is how many entries a range may have that is counted while it
// is deleted.
const maxRangeCount = 256

// Mail implements kv.Mailer.
func (m *meter) Mail(x kv.Mail) {
	if to, ok := m.Txn.(kv.Mailer); ok {
		to.Mail(x)
	}
}

// Touched implements kv.Toucher.
func (m *meter) Touched(key []byte) { touched(m.Txn, key) }

// Locked says whether a transaction over several partitions holds a slot.
func (m *meter) Locked(slot base.Slot) bool { return locked(m.Txn, slot) }

func locked(txn kv.Txn, slot base.Slot) bool {
	l, ok := txn.(interface{ Locked(base.Slot) bool })
	return ok && l.Locked(slot)
}

// metered says whether a key's bytes count, and for which slot.
func (m *meter) metered(key []byte) (slot base.Slot, ok bool) {
	if m.space.limits[m.space.DB].Bytes == 0 {
		return 0, false
	}
	if _, _, isCounter := keys.ParseCounterKey(key); isCounter {
		return 0, false
	}
	return keys.SlotOf(key)
}

// Set implements kv.Writer.
func (m *meter) Set(key, value []byte) {
	if slot, ok := m.metered(key); ok {
		m.change(slot).bytes += int64(len(key)+len(value)) - m.size(key)
	}
	m.Txn.Set(key, value)
}

// Delete implements kv.Writer.
func (m *meter) Delete(key []byte) {
	if slot, ok := m.metered(key); ok {
		m.change(slot).bytes -= m.size(key)
	}
	m.Txn.Delete(key)
}

// DeleteRange implements kv.Writer.
func (m *meter) DeleteRange(lower, upper []byte) {
	if slot, ok := m.metered(lower); ok {
		bytes, all := rangeSize(m.Txn, lower, upper, maxRangeCount)
		x := m.change(slot)
		x.bytes -= bytes
		x.lost = x.lost || !all
	}
	m.Txn.DeleteRange(lower, upper)
}

// size is what is stored under a key.
func (m *meter) size(key []byte) int64 {
	v, ok := m.Txn.Get(key)
	if !ok {
		return 0
	}
	return int64(len(key) + len(v))
}

// rangeSize adds up a range's first entries; all says that there are no more.
func rangeSize(r kv.Reader, lower, upper []byte, limit int) (bytes int64, all bool) {
	it := r.Iter(lower, upper)
	defer it.Close()
	for range limit {
		if !it.Next() {
			return bytes, true
		}
		bytes += int64(len(it.Key()) + len(it.Value()))
	}
	return bytes, !it.Next()
}

// objectSize is what an object's elements and nodes take, as far as they are
// few.
func objectSize(r kv.Reader, slot base.Slot, obj Object) (bytes int64, all bool) {
	all = true
	if !obj.OnlyTrees {
		lower, upper := keys.ElementBounds(slot, obj.ID)
		bytes, all = rangeSize(r, lower, upper, maxRangeCount)
	}
	if obj.NextNode > 0 && all {
		lower, upper := keys.NodeBounds(slot, obj.ID)
		nodes, every := rangeSize(r, lower, upper, maxRangeCount)
		bytes, all = bytes+nodes, every
	}
	return bytes, all
}

// change is what was done to a slot of the selected namespace.
func (m *meter) change(slot base.Slot) *slotChange {
	if m.db != m.space.DB {
		m.settle()
		m.db = m.space.DB
	}
	for i := len(m.changes) - 1; i >= 0; i-- {
		if m.changes[i].slot == slot {
			return &m.changes[i]
		}
	}
	m.changes = append(m.changes, slotChange{slot: slot})
	return &m.changes[len(m.changes)-1]
}

// counted follows a change of a counter's keys. An empty slot's bytes are known.
func (m *meter) counted(slot base.Slot, before, after *Count) {
	limit := m.space.limits[m.space.DB]
	if limit.Bytes == 0 {
		return
	}
	switch {
	case after.Keys == 0:
		x := m.change(slot)
		x.epoch, x.kept = before.Epoch, before.Bytes
	case before.Keys == 0:
		x := m.change(slot)
		if after.Epoch = limit.Epoch; x.epoch != 0 {
			after.Epoch, after.Bytes = x.epoch, x.kept
		}
	}
}

// settle adds what was counted to the counters of the slots.
func (m *meter) settle() {
	if len(m.changes) == 0 {
		return
	}
	s, limit := m.space, m.space.limits[m.db]
	gen := s.gens[m.db]
	var cache *Cache
	if s.caches != nil {
		cache = s.caches[m.db]
	}
	var key []byte
	for i := range m.changes {
		x := &m.changes[i]
		if s.places != nil { // the slot may be another partition's
			gen = s.places.Locate(m.db, x.slot, nil)[m.db]
		}
		key = keys.CounterKey(key[:0], x.slot, gen)
		c := loadCount(m.Txn, key)
		before := c.Bytes
		if c.Keys == 0 {
			if cache != nil && x.epoch == limit.Epoch {
				cache.changed(x.slot, -int64(x.kept))
			}
			continue
		}
		if c.Epoch != limit.Epoch || x.bytes == 0 && !x.lost {
			continue
		}
		switch {
		case !x.lost:
			c.Bytes = floored(c.Bytes, x.bytes)
		case s.places == nil:
			db := s.DB
			s.DB = m.db
			c.Bytes = s.countSlot(x.slot, c.Keys)
			s.DB = db
		default: // its leader counts it
			c.Epoch, c.Bytes = 0, 0
		}
		storeCount(m.Txn, key, c)
		if cache != nil {
			cache.changed(x.slot, int64(c.Bytes)-int64(before))
		}
	}
	m.changes = m.changes[:0]
}

// Settle ends a command: the bytes that it wrote are added to the counters.
func (s *Space) Settle() {
	if s.meter != nil {
		s.meter.settle()
	}
}

// moved takes an object's bytes from one namespace to another, when its record
// moves and its elements stay.
func (m *meter) moved(slot base.Slot, obj Object, to int) {
	from := m.space.DB
	bytes, all := objectSize(m.Txn, slot, obj)
	for i, db := range [2]int{from, to} {
		if m.space.DB = db; m.space.limits[db].Bytes > 0 {
			x := m.change(slot)
			x.bytes += bytes * int64(2*i-1)
			x.lost = x.lost || !all
		}
	}
	m.space.DB = from
}
