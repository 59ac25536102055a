package hash

import (
	"bytes"

	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// Fields that were removed leave tombstones where they were: all over the hash, since
// fields lie in the order of their hashes. A walk, and a pick at random, would step over
// them for as long as the store keeps them. So a large hash that has lost most of its
// fields is copied to a new object, and what is left of the old one goes as a range.
const (
	// renewFactor is how many fields must have been removed for each that is left, so
	// that a removal costs a third of a copied field.
	renewFactor = 3
	// maxRenewed is up to how many fields are copied at once, by one command.
	maxRenewed = 1024
)

// drained says whether a large hash is to be renewed.
func (h *value) drained() bool {
	return h.obj.Count <= maxRenewed && h.removed >= renewFactor*h.obj.Count
}

// renew makes a large hash one without a past.
func (h *value) renew() {
	type kept struct {
		field, v []byte
		deadline int64
	}
	var all []kept
	it := h.space.ElementsFrom(h.slot, h.obj.ID, 0)
	for it.Next() {
		if e, ok := keys.ParseElementKey(it.Key()); ok {
			v, deadline := flagged(it.Value())
			all = append(all, kept{bytes.Clone(e.Elem), bytes.Clone(v), deadline})
		}
	}
	it.Close()
	if h.space.Txn.Err() != nil || uint64(len(all)) != h.obj.Count {
		return // what was read is not all: nothing of this will be kept
	}
	h.obj = keyspace.Object{ID: h.space.Txn.NewObjectID(h.slot), Count: h.obj.Count}
	h.root, h.times, h.removed = tree.Root{}, nil, 0
	for _, x := range all {
		h.setElement(x.field, x.v, x.deadline)
		h.retime(x.field, 0, x.deadline)
	}
}
