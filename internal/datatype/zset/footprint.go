package zset

import (
	"coterie/internal/command"
	"coterie/internal/keys"
)

// Footprint estimates the bytes that a sorted set takes beside its record, by some
// members, and some nodes of the index.
func Footprint(c *command.Ctx, key []byte, samples int) int64 {
	z, ok := Open(c, key)
	if !ok || !z.big {
		return 0
	}
	sum := 0
	for range samples {
		place, _, _ := z.index().At(c.Txn.Rand() % z.obj.Count)
		if len(place) < scoreLen {
			return 0
		}
		sum += len(keys.ElementKey(nil, z.slot, z.obj.ID, place[scoreLen:])) + scoreLen
	}
	n := int64(float64(sum) / float64(samples) * float64(z.obj.Count))
	return n + z.index().Footprint(samples, keys.NodeKeyLen, c.Txn.Rand)
}
