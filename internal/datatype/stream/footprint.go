package stream

import (
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace/tree"
)

// Footprint estimates the bytes that a stream takes beside its record, by some nodes of
// each of its trees. Of groups it looks at so many, too.
func Footprint(c *command.Ctx, key []byte, samples int) int64 {
	s, ok := open(c, key)
	if !ok || !s.exists() {
		return 0
	}
	of := func(t *tree.Tree) int64 { return t.Footprint(samples, keys.NodeKeyLen, c.Txn.Rand) }
	n := of(s.entries) + of(s.groups)
	looked, sum := 0, int64(0)
	s.groups.Scan(0, func(name, stored []byte) bool {
		g := s.openGroup(name, stored)
		sum += of(g.pending) + of(g.owned) + of(g.consumers) + of(g.numbers)
		looked++
		return looked < samples
	})
	if looked > 0 {
		n += int64(float64(sum) / float64(looked) * float64(s.groups.Len()))
	}
	return n
}
