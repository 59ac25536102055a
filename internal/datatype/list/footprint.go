package list

import (
	"coterie/internal/command"
	"coterie/internal/keys"
)

// Footprint estimates the bytes that a list takes beside its record, by some of its
// nodes.
func Footprint(c *command.Ctx, key []byte, samples int) int64 {
	l, ok := open(c, key)
	if !ok || !l.big {
		return 0
	}
	return l.Tree.Footprint(samples, keys.NodeKeyLen, c.Txn.Rand)
}
