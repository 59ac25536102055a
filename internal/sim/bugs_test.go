package sim

import (
	"testing"
	"time"
)

// staleReads is for bugs that only reads show, at a leader which is cut off and
// has no write under way.
var staleReads = Options{
	Nodes: 3, Partitions: 4, NoGrow: true, Tame: true, Sessions: 3, Keys: 4, Think: 60 * milli, Duration: 20 * time.Second,
	ElectionTicks: 10, Workload: "register", Faults: []string{"isolate", "split"}, FaultEvery: 700 * milli,
}

// overtaken is for entries that are replaced while they are being written.
var overtaken = Options{
	Nodes: 3, Partitions: 4, NoGrow: true, Sessions: 6, Think: 20 * milli, Duration: 20 * time.Second, ElectionTicks: 10,
	Faults: []string{"hung-disk", "isolate", "slow-disk"}, FaultEvery: 200 * milli, Workload: "order",
}

// waits is for bugs in blocking commands: leadership moves, and connections break.
var waits = Options{
	Nodes: 3, NoGrow: true, Workload: "queue", Sessions: 6, Think: 20 * milli, FaultEvery: 300 * milli,
	Faults: []string{"transfer", "reset", "flapping", "crash"},
}

// lateMessages is for what arrives after all, while others have gone on.
var lateMessages = Options{
	Nodes: 3, Partitions: 3, NoGrow: true, Tame: true, Sessions: 6, Think: 20 * milli, Keys: 4, Duration: 30 * time.Second,
	Workload: "bank,append", Faults: []string{"one-way", "bridge", "reset", "slow-link", "flapping"}, FaultEvery: 500 * milli,
}

// transactions is for bugs in those over several partitions.
var transactions = Options{Nodes: 3, Partitions: 3, Workload: "bank,append,skew"}

// movingReads is for reads over several partitions whose leaders change in between.
var movingReads = Options{
	Nodes: 3, Partitions: 3, NoGrow: true, Workload: "bank,append", Sessions: 6, Think: 20 * milli, Keys: 2,
	Faults: []string{"transfer", "slow-link"}, FaultEvery: 100 * milli,
}

// cuts is for bugs in consistent cuts: where messages take long, much happens
// between two leaders' turns.
var cuts = Options{
	Nodes: 3, Partitions: 3, NoGrow: true, Tame: true, Workload: "bank", Sessions: 6, Think: 20 * milli, Keys: 1,
	Faults: []string{"slow-link"}, FaultEvery: 100 * milli,
}

// TestPlantedBugs plants one fault after the other around the core; the
// checks must find each within a bounded number of seeds, and nothing where it
// is not planted.
func TestPlantedBugs(t *testing.T) {
	const seeds = 400
	for _, x := range []struct {
		name  string
		bug   Bug
		first uint64 // seed to begin with
		with  Options
	}{
		{name: "an append is reported before it is durable", bug: BugEarlyAck,
			with: Options{Nodes: 3, FaultEvery: 300 * milli}},
		{name: "the state record is written before its state", bug: BugTornState},
		{name: "a restart without Reconcile", bug: BugNoReconcile,
			with: Options{Nodes: 3, KeepEntries: 1, HousekeepTicks: 7, Faults: []string{"crash-point", "pause"}, FaultEvery: 300 * milli}},
		{name: "a write that is sent again is not recognized", bug: BugRetriedWrites},
		{name: "a connection gives back what it had sent", bug: BugWronglyUndelivered, first: 344,
			with: Options{Nodes: 3, FaultEvery: 300 * milli, Workload: "order"}},
		{name: "the log is cut at the applied index", bug: BugEarlyTruncate},
		{name: "term and vote are not durable", bug: BugForgottenVote,
			with: Options{Nodes: 3, Partitions: 4, Sessions: 1, Think: 200 * milli, FaultEvery: 200 * milli, Duration: 10 * time.Second}},
		{name: "requests overtake each other", bug: BugReorderedRequests,
			with: Options{Nodes: 3, Sessions: 4, Think: 20 * milli}},
		{name: "a move down skips an operation", bug: BugLostEffect},
		{name: "a confirmation of leadership is used again", bug: BugReusedConfirmation, first: 68, with: staleReads},
		{name: "a leader confirms reads by itself", bug: BugSelfConfirmedReads, first: 86, with: staleReads},
		{name: "effects are dropped", bug: BugDroppedWrites},
		{name: "the applied index is not known after a restart", bug: BugForgottenApplied},
		{name: "a learner's acknowledgement counts", bug: BugLearnerCounted,
			with: Options{Nodes: 4}},
		{name: "a learner is promoted early", bug: BugEarlyPromotion, with: Options{Nodes: 4, Grow: true}},
		{name: "a wiped machine keeps its id", bug: BugWipedOldID},
		{name: "a removed replica comes back", bug: BugResurrected,
			with: Options{Nodes: 5, Faults: []string{"replace-node", "add-node", "pause", "isolate"}, DeadAfter: 4 * second}},
		{name: "a snapshot is torn", bug: BugTornIngest,
			with: Options{Nodes: 3, KeepEntries: 1, HousekeepTicks: 7, Faults: []string{"crash-point", "pause"}, FaultEvery: 300 * milli}},
		{name: "followers look at their clocks", bug: BugFollowerClock, with: Options{Workload: "expiry"}},
		{name: "time goes backwards after a failover", bug: BugWallClock,
			with: Options{Nodes: 3, Workload: "expiry"}},
		{name: "transactions lock nothing", bug: BugNoLocks, with: transactions},
		{name: "transactions do not look at what was watched", bug: BugBlindWatch, with: transactions},
		{name: "a commit is taken for an abort", bug: BugDroppedIntent, with: transactions},
		{name: "an intent is given up without asking", bug: BugImpatient, with: transactions},
		{name: "a leader whose disk hangs goes on leading", bug: BugHungLeader, first: 32,
			with: Options{Nodes: 3, ElectionTicks: 20, Think: 20 * milli, Faults: []string{"hung-disk"}, FaultEvery: second}},
		{name: "an overtaken append is taken for the one at its index", bug: BugStaleAppend, first: 119, with: overtaken},
		{name: "logs are cut while a snapshot is sent", bug: BugCutWhileSent,
			with: Options{Nodes: 3, KeepEntries: 1, HousekeepTicks: 7, Faults: []string{"crash-point", "pause"}, FaultEvery: 300 * milli}},
		{name: "home forgets an abort before the PREPARE has come", bug: BugLatePrepare, with: lateMessages},
		{name: "VALIDATE does not see locks that were just released", bug: BugReleasedLocks, with: transactions},
		{name: "VALIDATE takes what another leadership said", bug: BugStaleValidate, first: 51, with: movingReads},
		{name: "nobody asks about transactions that were left", bug: BugNoRecovery, with: transactions},
		{name: "PREPARE does not look at what was read at the gateway", bug: BugUncheckedReads,
			with: Options{Nodes: 3, Partitions: 3, Workload: "tokens,append"}},
		{name: "FETCH reads what another transaction holds locked", bug: BugLockedFetch,
			with: Options{Nodes: 3, Partitions: 3, Workload: "skew"}},
		{name: "who watches is not told of what was evaluated elsewhere", bug: BugUntoldWatch,
			with: Options{Nodes: 3, Partitions: 3, Workload: "skew"}},
		{name: "a popped element is served twice: a blocking request that is sent again is not recognized", bug: BugServedTwice,
			first: 12, with: waits},
		{name: "a write does not wake who waits", bug: BugDeafWaiter, first: 12,
			with: Options{Nodes: 3, Workload: "queue", Faults: []string{FaultsNone}}},
		{name: "a gateway runs a script that its leader has run", bug: BugScriptTwice, with: Options{Nodes: 3, Workload: "script"}},
		{name: "a script that fails leaves nothing behind", bug: BugScriptUndone, with: Options{Nodes: 3, Workload: "script"}},
		{name: "keys are evicted that are to be kept", bug: BugEvictsAny, with: Options{Nodes: 3, Workload: "kept"}},
		{name: "writes go on where there is no room", bug: BugRoomy, with: Options{Nodes: 3, Workload: "kept"}},
		{name: "who evicts is not told of what was evaluated elsewhere", bug: BugUntoldCache, with: Options{Nodes: 3, Workload: "cache"}},
		{name: "a leader forgets one who waits", bug: BugForgottenWaiter,
			with: Options{Nodes: 3, Workload: "queue", Faults: []string{FaultsNone}}},
		{name: "what a script publishes is sent before it is committed", bug: BugEarlyMail,
			with: Options{Nodes: 3, Workload: "pubsub", Sessions: 6, Think: 20 * milli, FaultEvery: 200 * milli, Faults: []string{"crash", "isolate", "transfer"}}},
		{name: "a node is not told anew of subscriptions", bug: BugNotToldAnew, with: Options{Nodes: 3, Workload: "pubsub"}},
		{name: "time goes backwards for fields of hashes", bug: BugWallClock, with: Options{Nodes: 3, Workload: "fields"}},
		{name: "effects on lists that expire are dropped", bug: BugDroppedWrites, with: Options{Nodes: 3, Workload: "lapse"}},
		{name: "WATCH compares values", bug: BugValueWatch, with: Options{Nodes: 3, Workload: "skew"}},
		{name: "a transaction that is sent again is not recognized", bug: BugRetriedWrites, with: transactions},
		{name: "a cut's barrier is left early", bug: BugCutMoving, first: 141, with: cuts},
		{name: "a cut leaves out what is not resolved", bug: BugCutBlind, with: cuts},
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
				t.Logf("%d seeds (%d), after %v: %.200s", seed-max(x.first, 1)+1, seed, time.Since(start).Round(time.Millisecond), r.Violations[0])
				o.Bug = NoBug
				if r := Run(o); len(r.Violations) > 0 {
					t.Errorf("without the bug there is a violation, too: %.300s", r.Violations[0])
				}
				return
			}
			t.Errorf("not found with %d seeds, %v", seeds, time.Since(start))
		})
	}
}
