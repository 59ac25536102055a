package node

import (
	"math"

	"coterie/internal/base"
)

// echo is in a report what its sender had last heard from one node: by it that node
// knows how long a report and its answer took together.
type echo struct {
	Clock base.Stamp `json:"clock"` // that node's, in its report
	Held  int64      `json:"held"`  // µs from its arrival to this report
}

// skew is within what bounds another node's clock is ahead of this node's, in µs.
//
// A report is late by what it waited on the way and in both nodes, which is not known:
// by its time alone a clock is at least so far ahead. It was late by no more than the
// round trip, of which it was the second half.
type skew struct{ least, most int64 }

// skewOf measures by a report of another node that has arrived now. e is what it says
// of this node's last report to it; nil: nothing, and then the clock may be ahead by
// any amount.
func skewOf(theirs, now base.Stamp, e *echo) skew {
	s := skew{least: int64(theirs) - int64(now), most: math.MaxInt64}
	if e != nil {
		s.most = s.least + max(int64(now)-int64(e.Clock)-e.Held, 0)
	}
	return s
}

// exceeds says whether the clocks differ for certain by more than limit µs.
func (s skew) exceeds(limit int64) bool { return s.least > limit || s.most < -limit }
