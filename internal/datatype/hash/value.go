package hash

import (
	"bytes"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
)

// value is a hash under a key, in either encoding, while one command works
// on it. Changes become part of the keyspace with store.
type value struct {
	c    *command.Ctx
	key  []byte
	slot base.Slot
	old  keyspace.Record

	body    []byte // inline: the body, which a change copies first
	copied  bool
	big     bool
	obj     keyspace.Object
	changed bool // the record is to be written
}

// open looks a hash up; an absent one is empty. ok is false when it replied
// with an error.
func open(c *command.Ctx, key []byte) (h value, ok bool) {
	r, ok := c.Typed(key, keyspace.Hash)
	h = value{c: c, key: key, old: r, body: r.Body}
	if !ok || !r.Exists() {
		return h, ok
	}
	h.slot = c.Slot(key)
	h.obj, h.big = r.Object()
	return h, true
}

func (h *value) len() int {
	switch {
	case h.big:
		return int(h.obj.Count)
	case len(h.body) == 0:
		return 0
	}
	return int(h.body[1])
}

// get returns a field's value, valid until the hash is changed.
func (h *value) get(field []byte) (v []byte, ok bool) {
	if h.big {
		return flagged(h.c.Element(h.slot, h.obj.ID, field))
	}
	e, ok := findEntry(h.body, field)
	return e.value, ok
}

// flagged takes the flags off an element's value.
func flagged(v []byte, ok bool) ([]byte, bool) {
	if !ok {
		return nil, false
	}
	if len(v) == 0 || v[0] != 0 {
		panic("hash: element with unknown flags")
	}
	return v[1:], true
}

// set sets a field, and says whether it is a new one.
func (h *value) set(field, v []byte) (added bool) {
	if !h.big {
		h.own()
		body, added, ok := setInline(h.body, field, v)
		h.keep(body)
		if ok {
			h.changed = true
			return added
		}
		h.spread()
	}
	_, had := h.c.Element(h.slot, h.obj.ID, field)
	h.setElement(field, v)
	if had {
		return false
	}
	h.obj.Count++
	h.changed = true
	return true
}

func (h *value) setElement(field, v []byte) {
	elem := append(h.c.Buf[:0], 0)
	h.c.Buf = append(elem, v...)
	h.c.SetElement(h.slot, h.obj.ID, field, h.c.Buf)
}

// own makes body a copy that may be changed.
func (h *value) own() {
	if h.copied {
		return
	}
	h.copied = true
	if len(h.body) == 0 {
		h.keep(emptyInline(h.c.Buf))
		return
	}
	h.keep(append(h.c.Buf[:0], h.body...))
}

// keep makes body the current one; it lives in the Space's scratch memory.
func (h *value) keep(body []byte) { h.body, h.c.Buf = body, body }

// spread turns an inline hash into one with elements.
func (h *value) spread() {
	h.slot = h.c.Slot(h.key)
	h.obj = keyspace.Object{ID: h.c.Txn.NewObjectID(h.slot), Count: uint64(h.len())}
	h.big, h.changed = true, true
	body := h.body
	h.c.Buf = nil // body is read while Buf is written
	for e, ok := entryAt(body, inlineHead); ok; e, ok = entryAt(body, e.end) {
		h.setElement(e.field, e.value)
	}
}

// del deletes a field, and says whether it was there.
func (h *value) del(field []byte) bool {
	if h.len() == 0 {
		return false
	}
	if h.big {
		if _, had := h.c.Element(h.slot, h.obj.ID, field); !had {
			return false
		}
		h.c.DeleteElement(h.slot, h.obj.ID, field)
		h.obj.Count--
		h.changed = true
		return true
	}
	if _, had := findEntry(h.body, field); !had {
		return false
	}
	h.own()
	body, _ := deleteInline(h.body, field)
	h.keep(body)
	h.changed = true
	return true
}

// store makes the changes part of the keyspace. An empty hash does not exist.
func (h *value) store() {
	switch {
	case !h.changed:
		return
	case h.len() == 0:
		h.c.Remove(h.key, h.old)
		return
	}
	if h.big {
		h.c.Buf = keyspace.AppendObject(h.c.Buf[:0], h.obj)
		h.body = h.c.Buf
	}
	h.c.Put(h.key, h.old, keyspace.Record{Type: keyspace.Hash, ExpireAt: h.old.ExpireAt, Body: h.body})
}

// each calls f with every field, until f returns false: an inline hash's in
// the order in which they came, another's in the order of their hashes.
func (h *value) each(f func(field, v []byte) bool) {
	if h.big {
		h.from(0, func(_ uint64, field, v []byte) bool { return f(field, v) })
		return
	}
	for e, ok := entryAt(h.body, inlineHead); ok && f(e.field, e.value); {
		e, ok = entryAt(h.body, e.end)
	}
}

// from walks a large hash's fields whose hash is not below the given one,
// until f returns false.
func (h *value) from(hash uint64, f func(hash uint64, field, v []byte) bool) {
	it := h.c.ElementsFrom(h.slot, h.obj.ID, hash)
	defer it.Close()
	for it.Next() {
		e, ok := keys.ParseElementKey(it.Key())
		v, _ := flagged(it.Value(), ok)
		if !ok || !f(e.Hash, e.Elem, v) {
			return
		}
	}
}

// random is some field of a hash that is not empty; field and v are the
// caller's. In a large hash a field's chance depends on how near the hash
// before its own lies.
func (h *value) random() (field, v []byte) {
	take := func(_ uint64, f, val []byte) bool {
		field, v = bytes.Clone(f), bytes.Clone(val)
		return false
	}
	if !h.big {
		n := int(h.c.Txn.Rand() % uint64(h.len()))
		h.each(func(f, val []byte) bool {
			n--
			return n >= 0 || take(0, f, val)
		})
		return field, v
	}
	h.from(h.c.Txn.Rand()>>16, take)
	if field == nil {
		h.from(0, take)
	}
	return field, v
}
