package hash

import (
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// value is a hash under a key, in either encoding, while one command works
// on it. Changes become part of the keyspace with store.
type value struct {
	space *keyspace.Space
	key   []byte
	slot  base.Slot
	old   keyspace.Record

	body    []byte // inline: the body, which a change copies first
	copied  bool
	big     bool
	obj     keyspace.Object
	root    tree.Root  // of a big hash's deadlines
	times   *tree.Tree // nil until asked for
	hidden  int        // fields of a big hash that are there, but past their deadline
	removed uint64     // fields removed from a big hash since its object is there
	changed bool       // the record is to be written
}

// open looks a hash up; an absent one is empty. ok is false when it replied
// with an error.
func open(c *command.Ctx, key []byte) (h value, ok bool) {
	r, ok := c.Typed(key, keyspace.Hash)
	if !ok {
		return value{}, false
	}
	h = load(c.Space, key, r)
	if r.DueAt != 0 && r.DueAt <= c.Now() {
		h.expire(maxExpiredByCommand)
	}
	return h, true
}

// load is the hash that a record holds; the zero Record's is empty.
func load(s *keyspace.Space, key []byte, r keyspace.Record) (h value) {
	h = value{space: s, key: key, old: r, body: r.Body}
	if !r.Exists() {
		return h
	}
	h.slot = s.Slot(key)
	if h.obj, h.big = r.Object(); h.big {
		rest := r.Rest()
		if h.obj.NextNode > 0 {
			h.root, _ = tree.ParseRoot(rest)
			rest = rest[min(tree.RootLen, len(rest)):]
		}
		h.removed, _ = binary.Uvarint(rest) // 0 if it is not there
	}
	return h
}

// len is the number of fields.
func (h *value) len() int {
	switch {
	case h.big:
		return int(h.obj.Count) - h.hidden
	case len(h.body) == 0:
		return 0
	}
	return int(h.body[1])
}

// get returns a field's value, valid until the hash is changed.
func (h *value) get(field []byte) (v []byte, ok bool) {
	v, _, ok = h.find(field)
	return v, ok
}

// find returns a field's value and deadline, 0 for none.
func (h *value) find(field []byte) (v []byte, deadline int64, ok bool) {
	if !h.big {
		e, ok := findEntry(h.body, field)
		return e.value, e.deadline, ok
	}
	stored, ok := h.space.Element(h.slot, h.obj.ID, field)
	if !ok {
		return nil, 0, false
	}
	v, deadline = flagged(stored)
	if h.past(deadline) {
		return nil, 0, false
	}
	return v, deadline, true
}

func (h *value) past(deadline int64) bool { return deadline != 0 && deadline <= h.space.Now() }

// The first byte of an element's value.
const (
	flagPlain byte = 0
	flagTimed byte = 1 // eight bytes of deadline follow
)

// flagged takes an element's value apart.
func flagged(stored []byte) (v []byte, deadline int64) {
	switch {
	case len(stored) > 0 && stored[0] == flagPlain:
		return stored[1:], 0
	case len(stored) > 8 && stored[0] == flagTimed:
		return stored[9:], int64(binary.BigEndian.Uint64(stored[1:]))
	}
	panic("hash: element with unknown flags")
}

// set sets a field, without a deadline, and says whether it is a new one.
func (h *value) set(field, v []byte) (added bool) { return h.put(field, v, 0) }

// update sets a field, which keeps its deadline.
func (h *value) update(field, v []byte) {
	_, deadline, _ := h.find(field)
	h.put(field, v, deadline)
}

func (h *value) put(field, v []byte, deadline int64) (added bool) {
	if !h.big {
		h.own()
		if deadline != 0 && h.body[0] != inlineTimed {
			h.body = retimed(h.body, true, 0)
		}
		body, added, ok := setInline(h.body, field, v, deadline)
		h.keep(body)
		if ok {
			h.changed = true
			return added
		}
		h.spread()
	}
	stored, had := h.space.Element(h.slot, h.obj.ID, field)
	old := int64(0)
	if had {
		_, old = flagged(stored)
	}
	h.setElement(field, v, deadline)
	h.retime(field, old, deadline)
	switch {
	case !had:
		h.obj.Count++
		h.changed = true
	case h.past(old):
		h.hidden--
	default:
		return false
	}
	return true
}

func (h *value) setElement(field, v []byte, deadline int64) {
	elem := append(h.space.Buf[:0], flagPlain)
	if deadline != 0 {
		elem[0] = flagTimed
		elem = binary.BigEndian.AppendUint64(elem, uint64(deadline))
	}
	h.space.Buf = append(elem, v...)
	h.space.SetElement(h.slot, h.obj.ID, field, h.space.Buf)
}

// own makes body a copy that may be changed.
func (h *value) own() {
	if h.copied {
		return
	}
	h.copied = true
	if len(h.body) == 0 {
		h.keep(emptyInline(h.space.Buf))
		return
	}
	h.keep(append(h.space.Buf[:0], h.body...))
}

// keep makes body the current one; it lives in the Space's scratch memory.
func (h *value) keep(body []byte) { h.body, h.space.Buf = body, body }

// spread turns an inline hash into one with elements.
func (h *value) spread() {
	h.slot = h.space.Slot(h.key)
	h.obj = keyspace.Object{ID: h.space.Txn.NewObjectID(h.slot), Count: uint64(h.len())}
	h.big, h.changed = true, true
	body := h.body
	h.space.Buf = nil // body is read while Buf is written
	for e, ok := entryAt(body, inlineHead); ok; e, ok = entryAt(body, e.end) {
		h.setElement(e.field, e.value, e.deadline)
		h.retime(e.field, 0, e.deadline)
	}
}

// del deletes a field, and says whether it was there.
func (h *value) del(field []byte) bool {
	_, deadline, had := h.find(field)
	if !had {
		return false
	}
	h.changed = true
	if h.big {
		h.space.DeleteElement(h.slot, h.obj.ID, field)
		h.retime(field, deadline, 0)
		h.obj.Count--
		h.removed++
		return true
	}
	h.own()
	body, _ := deleteInline(h.body, field)
	h.keep(body)
	return true
}

// store makes the changes part of the keyspace, and tells of the event. An
// empty hash does not exist.
func (h *value) store(event string) {
	if !h.changed {
		return
	}
	h.write()
	h.space.Notify(keyspace.HashEvent, event, h.key)
	if h.len() == 0 {
		h.space.Notify(keyspace.GenericEvent, "del", h.key)
	}
}

func (h *value) write() {
	switch {
	case h.big && h.obj.Count == 0:
		h.dropEmpty()
		return
	case h.len() == 0:
		h.space.Remove(h.key, h.old)
		return
	}
	due := int64(0)
	if h.big {
		if h.drained() {
			h.renew()
		}
		due = h.settle()
		h.body = keyspace.AppendObject(h.space.Buf[:0], h.obj)
		if h.obj.NextNode > 0 {
			h.body = tree.AppendRoot(h.body, h.root)
		}
		if h.removed > 0 {
			h.body = binary.AppendUvarint(h.body, h.removed)
		}
		h.space.Buf = h.body
	} else if due = firstInline(h.body); due == 0 && h.body[0] == inlineTimed {
		h.body = retimed(h.body, false, 0)
	}
	h.space.Put(h.key, h.old, keyspace.Record{Type: keyspace.Hash, ExpireAt: h.old.ExpireAt, DueAt: due, Body: h.body})
}

// dropEmpty removes the key of a large hash that has lost its last field.
func (h *value) dropEmpty() {
	h.settle()
	if obj, ok := h.old.Object(); ok && obj.ID == h.obj.ID {
		h.space.Detach(h.key, h.old) // nothing but tombstones is left of it
		return
	}
	if h.old.Exists() {
		h.space.Remove(h.key, h.old)
	}
}

// each calls f with every field, until f returns false: an inline hash's in
// the order in which they came, another's in the order of their hashes.
func (h *value) each(f func(field, v []byte) bool) {
	if h.big {
		h.from(0, func(e found) bool { return e.past || f(e.field, e.value) })
		return
	}
	for e, ok := entryAt(h.body, inlineHead); ok && f(e.field, e.value); {
		e, ok = entryAt(h.body, e.end)
	}
}

// found is a field of a large hash that a walk meets. One that is past its
// deadline is not there for anybody.
type found struct {
	hash         uint64
	field, value []byte
	past         bool
}

// from walks a large hash's fields whose hash is not below the given one,
// until f returns false.
func (h *value) from(hash uint64, f func(found) bool) {
	it := h.space.ElementsFrom(h.slot, h.obj.ID, hash)
	defer it.Close()
	for it.Next() {
		e, ok := keys.ParseElementKey(it.Key())
		if !ok {
			return
		}
		v, deadline := flagged(it.Value())
		if !f(found{e.Hash, e.Elem, v, h.past(deadline)}) {
			return
		}
	}
}
