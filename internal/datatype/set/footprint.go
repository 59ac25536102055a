package set

import (
	"coterie/internal/command"
	"coterie/internal/keys"
)

// Footprint estimates the bytes that a set takes beside its record, by some members.
func Footprint(c *command.Ctx, key []byte, samples int) int64 {
	s, ok := Open(c, key)
	if !ok || !s.big {
		return 0
	}
	sum := 0
	for range samples { // each is there twice: under its name and under its position
		position := c.Txn.Rand() % s.obj.Count
		member := s.at(position)
		sum += len(keys.MemberKey(nil, s.slot, s.obj.ID, member)) + 8
		sum += len(keys.PositionKey(nil, s.slot, s.obj.ID, position)) + len(member)
	}
	return int64(float64(sum) / float64(samples) * float64(s.obj.Count))
}
