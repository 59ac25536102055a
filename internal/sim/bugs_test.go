package sim

import (
	"strings"
	"testing"
	"time"

	"coterie/internal/partition"

	"github.com/anishathalye/porcupine"
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
		{name: "a write with an unknown outcome is sent again", bug: BugRetriedWrites, find: "twice|linearizable|lost"},
		{name: "a connection gives back what it had sent", bug: BugWronglyUndelivered, find: "twice|out of order|linearizable",
			with: Options{Nodes: 3, FaultEvery: 300 * milli}},
		{name: "the log is cut at the applied index", bug: BugEarlyTruncate, find: "the log begins after"},
		{name: "term and vote are not durable", bug: BugForgottenVote, find: "two leaders|differs|lost|linearizable|panic",
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

// TestCheckerRejects: a checker that accepts everything is no checker.
func TestCheckerRejects(t *testing.T) {
	a, b := &session{id: 1}, &session{id: 2}
	done := func(s *session, cmd string, arg, value, call, ret int64) *op {
		return &op{s: s, cmd: cmd, arg: arg, value: value, call: call, ret: ret}
	}
	unknown := func(s *session, cmd string, arg, call int64) *op {
		return &op{s: s, cmd: cmd, arg: arg, call: call, ret: call + 1, status: partition.Unknown}
	}
	for _, x := range []struct {
		name    string
		history []*op
		want    porcupine.CheckResult
	}{
		{"one after the other", []*op{done(a, cmdSet, 1, 0, 0, 10), done(b, cmdGet, 0, 1, 20, 30)}, porcupine.Ok},
		{"a stale read", []*op{done(a, cmdSet, 1, 0, 0, 10), done(b, cmdGet, 0, 0, 20, 30)}, porcupine.Illegal},
		{"a read beside the write", []*op{done(a, cmdSet, 1, 0, 0, 25), done(b, cmdGet, 0, 0, 20, 30)}, porcupine.Ok},
		{"back and forth", []*op{
			done(a, cmdSet, 1, 0, 0, 100), done(b, cmdGet, 0, 1, 10, 20), done(b, cmdGet, 0, 0, 30, 40)}, porcupine.Illegal},
		{"an increment counted twice", []*op{done(a, cmdIncr, 0, 1, 0, 10), done(b, cmdGet, 0, 2, 20, 30)}, porcupine.Illegal},
		{"unknown, seen late", []*op{
			unknown(a, cmdIncr, 0, 0), done(b, cmdGet, 0, 0, 20, 30), done(b, cmdGet, 0, 1, 40, 50)}, porcupine.Ok},
		{"unknown, seen and gone", []*op{
			unknown(a, cmdIncr, 0, 0), done(b, cmdGet, 0, 1, 20, 30), done(b, cmdGet, 0, 0, 40, 50)}, porcupine.Illegal},
		{"unknown, twice", []*op{unknown(a, cmdIncr, 0, 0), done(b, cmdGet, 0, 2, 20, 30)}, porcupine.Illegal},
		{"refused, and seen", []*op{
			{s: a, cmd: cmdSet, arg: 7, ret: 10, status: partition.NotRun}, done(b, cmdGet, 0, 7, 20, 30)}, porcupine.Illegal},
	} {
		if got := linearizable(x.history, time.Second); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}
