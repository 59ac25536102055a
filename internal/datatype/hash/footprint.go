package hash

import (
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// Footprint estimates the bytes that a hash takes beside its record, by some fields.
func Footprint(c *command.Ctx, key []byte, r keyspace.Record, samples int) int64 {
	h := load(c.Space, key, r)
	if !h.big || h.len() <= 0 {
		return 0
	}
	sum := 0
	for range samples {
		field, _ := h.random()
		stored, _ := c.Element(h.slot, h.obj.ID, field)
		sum += len(keys.ElementKey(nil, h.slot, h.obj.ID, field)) + len(stored)
	}
	n := int64(float64(sum) / float64(samples) * float64(h.obj.Count))
	if h.obj.NextNode > 0 {
		n += tree.Open(c.Nodes(h.slot, &h.obj), h.root).Footprint(samples, keys.NodeKeyLen, c.Txn.Rand)
	}
	return n
}
