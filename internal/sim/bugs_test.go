package sim

import (
	"strings"
	"testing"
	"time"
)

// TestPlantedBugs plants one fault after the other around the core; the
// checks must find each within a bounded number of seeds.
func TestPlantedBugs(t *testing.T) {
	const seeds = 400
	for _, x := range []struct {
		name  string
		bug   Bug
		first uint64 // seed to begin with
		with  Options
		find  string // a violation contains one of these, separated by |
	}{
		{name: "an append is reported before it is durable", bug: BugEarlyAck, find: "lost|two leaders|linearizable|differs|log|panic",
			with: Options{Nodes: 3, FaultEvery: 300 * milli}},
		{name: "the state record is written before its state", bug: BugTornState, find: "lost|linearizable|differs"},
		{name: "a restart without Reconcile", bug: BugNoReconcile, find: "panic|differs|log"},
		{name: "a write that is sent again is not recognized", bug: BugRetriedWrites, find: "twice|linearizable|lost"},
		{name: "a connection gives back what it had sent", bug: BugWronglyUndelivered, find: "twice|out of order|linearizable|adds:|answered|refused",
			with: Options{Nodes: 3, FaultEvery: 300 * milli}},
		{name: "the log is cut at the applied index", bug: BugEarlyTruncate, find: "the log begins after"},
		{name: "term and vote are not durable", bug: BugForgottenVote, find: "two leaders|differs|lost|linearizable|panic|answered",
			with: Options{Nodes: 3, Partitions: 4, Sessions: 1, Think: 200 * milli, FaultEvery: 200 * milli, Duration: 10 * time.Second}},
		{name: "requests overtake each other", bug: BugReorderedRequests, find: "out of order",
			with: Options{Nodes: 3, Sessions: 4, Think: 20 * milli}},
		{name: "a move down skips an operation", bug: BugLostEffect, find: "lost|linearizable|differs"},
	} {
		t.Run(x.name, func(t *testing.T) {
			start := time.Now()
			for seed := max(x.first, 1); seed < max(x.first, 1)+seeds; seed++ {
				o := x.with
				o.Seed, o.Bug = seed, x.bug
				r := Run(o)
				if len(r.Violations) == 0 {
					continue
				}
				t.Logf("seed %d, after %v: %.200s", seed, time.Since(start).Round(time.Millisecond), r.Violations[0])
				for _, f := range strings.Split(x.find, "|") {
					if strings.Contains(r.Violations[0], f) {
						return
					}
				}
				t.Errorf("found something else than one of %s", x.find)
				return
			}
			t.Errorf("not found with %d seeds, %v", seeds, time.Since(start))
		})
	}
}
