// Package datatype collects the rows of all commands that partitions
// evaluate. Each type has a package of its own below this one; a new type is
// added here and nowhere else.
package datatype

import (
	"slices"

	"coterie/internal/command"
	"coterie/internal/datatype/bits"
	"coterie/internal/datatype/dump"
	"coterie/internal/datatype/generic"
	"coterie/internal/datatype/geo"
	"coterie/internal/datatype/hash"
	"coterie/internal/datatype/hll"
	"coterie/internal/datatype/list"
	"coterie/internal/datatype/scripting"
	"coterie/internal/datatype/set"
	"coterie/internal/datatype/sorting"
	"coterie/internal/datatype/str"
	"coterie/internal/datatype/stream"
	"coterie/internal/datatype/zset"
	"coterie/internal/keyspace"
)

// Due looks at a value whose due time has come, for keyspace.SweepExpired.
func Due(s *keyspace.Space, key []byte, r keyspace.Record, budget int) (done int) {
	if r.Type != keyspace.Hash {
		panic("datatype: a due time in a " + r.Type.String())
	}
	return hash.Due(s, key, r, budget)
}

// Footprint estimates the bytes that a value takes beside its record, by so many samples
// of what it consists of.
func Footprint(c *command.Ctx, key []byte, r keyspace.Record, samples int) int64 {
	switch r.Type {
	case keyspace.Hash:
		return hash.Footprint(c, key, r, samples)
	case keyspace.List:
		return list.Footprint(c, key, samples)
	case keyspace.Set:
		return set.Footprint(c, key, samples)
	case keyspace.ZSet:
		return zset.Footprint(c, key, samples)
	case keyspace.Stream:
		return stream.Footprint(c, key, samples)
	}
	return 0
}

// All is the rows of all evaluated commands.
func All() []command.Spec {
	return slices.Concat(generic.Rows(), scripting.Rows(), str.Rows(), bits.Rows(), hash.Rows(), list.Rows(), set.Rows(), hll.Rows(), stream.Rows(), zset.Rows(), geo.Rows(), dump.Rows(), sorting.Rows())
}
