package node

import (
	"testing"

	"coterie/internal/base"
)

// TestSkew: a report that was late is none of a clock that is wrong, and a clock that
// is wrong is found out, however late reports are.
func TestSkew(t *testing.T) {
	const limit, ms = 500_000, 1000
	for _, tc := range []struct {
		name        string
		ahead       int64 // their clock, ms
		there, back int64 // how long reports take, ms
		echo        bool
		wrong       bool
	}{
		{name: "right", there: 1, back: 1, echo: true},
		{name: "late", there: 1, back: 3000, echo: true},
		{name: "late both ways", there: 2000, back: 3000, echo: true},
		{name: "late, the first of a connection", back: 3000},
		{name: "a little ahead", ahead: 400, there: 1, back: 1, echo: true},
		{name: "a little behind", ahead: -400, there: 1, back: 1, echo: true},
		{name: "a little behind, and late", ahead: -400, there: 1, back: 900, echo: true},
		{name: "ahead", ahead: 600, there: 1, back: 1, echo: true, wrong: true},
		{name: "ahead, the first of a connection", ahead: 600, back: 1, wrong: true},
		{name: "behind", ahead: -600, there: 1, back: 1, echo: true, wrong: true},
		{name: "far behind, and late", ahead: -4000, there: 1000, back: 2000, echo: true, wrong: true},
	} {
		const sent, held = 1_000_000_000, 700 * ms
		arrived := sent + tc.there*ms // all by this node's clock
		theirs := arrived + held + tc.ahead*ms
		now := arrived + held + tc.back*ms
		var e *echo
		if tc.echo {
			e = &echo{Clock: sent, Held: held}
		}
		if got := skewOf(base.Stamp(theirs), base.Stamp(now), e).exceeds(limit); got != tc.wrong {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
