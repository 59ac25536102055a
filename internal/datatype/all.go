// Package datatype collects the rows of all commands that partitions
// evaluate. Each type has a package of its own below this one; a new type is
// added here and nowhere else.
package datatype

import (
	"slices"

	"coterie/internal/command"
	"coterie/internal/datatype/bits"
	"coterie/internal/datatype/generic"
	"coterie/internal/datatype/geo"
	"coterie/internal/datatype/hash"
	"coterie/internal/datatype/hll"
	"coterie/internal/datatype/list"
	"coterie/internal/datatype/set"
	"coterie/internal/datatype/str"
	"coterie/internal/datatype/stream"
	"coterie/internal/datatype/zset"
)

// All is the rows of all evaluated commands.
func All() []command.Spec {
	return slices.Concat(generic.Rows(), str.Rows(), bits.Rows(), hash.Rows(), list.Rows(), set.Rows(), hll.Rows(), stream.Rows(), zset.Rows(), geo.Rows())
}
