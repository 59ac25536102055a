package sim

import (
	"strings"
	"testing"
	"time"
)

// staleReads is for bugs that only reads show, at a leader which is cut off and
// has no write under way.
var staleReads = Options{
	Nodes: 3, Partitions: 1, NoGrow: true, Tame: true, Sessions: 3, Keys: 3, Think: 20 * milli, Duration: 40 * time.Second,
	Workload: "register", Faults: []string{"isolate", "pause"}, FaultEvery: 2 * second,
}

// transactions is for bugs in those over several partitions.
var transactions = Options{Nodes: 3, Partitions: 3, Workload: "bank,append,skew"}

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
		{name: "a restart without Reconcile", bug: BugNoReconcile, find: "panic|differs|log",
			with: Options{Nodes: 3, KeepEntries: 1, HousekeepTicks: 7, Faults: []string{"crash-point", "pause"}, FaultEvery: 300 * milli}},
		{name: "a write that is sent again is not recognized", bug: BugRetriedWrites, find: "twice|linearizable|lost"},
		{name: "a connection gives back what it had sent", bug: BugWronglyUndelivered, find: "twice|out of order|linearizable|adds:|scan:|expiry:|answered|refused",
			with: Options{Nodes: 3, FaultEvery: 300 * milli}},
		{name: "the log is cut at the applied index", bug: BugEarlyTruncate, find: "the log begins after"},
		{name: "term and vote are not durable", bug: BugForgottenVote, find: "two leaders|differs|lost|linearizable|panic|answered",
			with: Options{Nodes: 3, Partitions: 4, Sessions: 1, Think: 200 * milli, FaultEvery: 200 * milli, Duration: 10 * time.Second}},
		{name: "requests overtake each other", bug: BugReorderedRequests, find: "out of order",
			with: Options{Nodes: 3, Sessions: 4, Think: 20 * milli}},
		{name: "a move down skips an operation", bug: BugLostEffect, find: "lost|linearizable|differs|panic"},
		{name: "a confirmation of leadership is used again", bug: BugReusedConfirmation, find: "linearizable", with: staleReads},
		{name: "a leader confirms reads by itself", bug: BugSelfConfirmedReads, find: "linearizable", with: staleReads},
		{name: "effects are dropped", bug: BugDroppedWrites, find: "linearizable|lost|order|adds|hash|register|expiry|scan"},
		{name: "the applied index is not known after a restart", bug: BugForgottenApplied, find: "differs|panic|log|linearizable|is due"},
		{name: "a learner's acknowledgement counts", bug: BugLearnerCounted, find: "lost|linearizable|differs|panic|two leaders",
			with: Options{Nodes: 4}},
		{name: "a learner is promoted early", bug: BugEarlyPromotion, find: "becomes a voter", with: Options{Nodes: 4, Grow: true}},
		{name: "a wiped machine keeps its id", bug: BugWipedOldID, find: "lost|linearizable|differs|panic|two leaders|log|answered"},
		{name: "a removed replica comes back", bug: BugResurrected, find: "is back",
			with: Options{Nodes: 5, Faults: []string{"replace-node", "add-node", "pause", "isolate"}, DeadAfter: 4 * second}},
		{name: "a snapshot is torn", bug: BugTornIngest, find: "lost|linearizable|differs|panic|is due",
			with: Options{Nodes: 3, KeepEntries: 1, HousekeepTicks: 7, Faults: []string{"crash-point", "pause"}, FaultEvery: 300 * milli}},
		{name: "followers look at their clocks", bug: BugFollowerClock, find: "differs|expiry", with: Options{Workload: "expiry"}},
		{name: "time goes backwards after a failover", bug: BugWallClock, find: "earlier one|before its time|came back",
			with: Options{Nodes: 3, Workload: "expiry"}},
		{name: "transactions lock nothing", bug: BugNoLocks, find: "bank|append|skew|linearizable", with: transactions},
		{name: "transactions do not look at what was watched", bug: BugBlindWatch, find: "skew", with: transactions},
		{name: "a commit is taken for an abort", bug: BugDroppedIntent, find: "bank|append|skew", with: transactions},
		{name: "an intent is given up without asking", bug: BugImpatient, find: "bank|append|skew", with: transactions},
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
