package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"coterie/internal/workload"
)

// Stores of a run.
const (
	StoreModel  = "model"  // a model of the stores: the whole history is a function of the seed
	StorePebble = "pebble" // the real stores over a file system in memory that can crash
	StoreMixed  = "mixed"  // one seed in mixedShare runs on the real stores
)

// mixedShare is how many seeds there are to one on the real stores.
const mixedShare = 8

// MaxNodes is the largest cluster.
const MaxNodes = 7

// Options make a run. Zero fields are drawn from the seed. Everything is drawn
// in any case, so that to set one field changes no other one.
type Options struct {
	Seed           uint64
	Nodes          int // 1..MaxNodes
	Partitions     int
	Replication    int           // copies of a partition that vote, if there are as many nodes: 3 or 5
	Grow           bool          // found one node, and let the others join
	NoGrow         bool          // do not draw Grow
	Sessions       int           // clients
	Workload       string        // what they do: names from package workload, with commas; empty: drawn from the seed
	Duration       time.Duration // with faults, in virtual time
	Store          string
	Calm           bool     // no faults
	Faults         []string // kinds of faults; nil: a subset drawn from the seed. See ParseFaults.
	FaultEvery     int64    // µs, in the mean
	FaultRate      float64  // divides FaultEvery, however that came about
	Harsh          bool     // Raft messages are lost, doubled and overtaken one by one
	Tame           bool     // do not draw Harsh: what TCP sends arrives in order, or not from some message on
	Think          int64    // longest pause of a client between bursts, µs
	Keys           int      // how many keys they share, see workload.Config
	Chapter        int64    // how long a set of keys is in use, µs
	WriteBack      int      // bytes of all partitions' applied state before it goes down
	KeepEntries    uint64
	HousekeepTicks uint64
	ElectionTicks  int
	DeadAfter      int64 // µs
	Bug            Bug
	Trace          io.Writer // readable history; may be nil
}

// fill draws what is not set.
func (o *Options) fill() error {
	r := rand.New(rand.NewPCG(o.Seed, 0xc0f1))
	pick(r, &o.Nodes, 1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 6, 7)
	pick(r, &o.Partitions, 1, 2, 3, 4)
	if five := r.IntN(3) == 0; o.Replication == 0 {
		o.Replication = 3
		if five && o.Nodes >= 5 {
			o.Replication = 5
		}
	}
	if grow := r.IntN(4) == 0; !o.NoGrow && o.Nodes > 1 && grow || o.Nodes == 2 {
		o.Grow = true
	}
	harsh, mixed := r.IntN(2) == 0, r.IntN(mixedShare) == 0
	o.Harsh = o.Harsh || harsh && !o.Tame
	switch o.Store {
	case "", StoreModel:
		o.Store = StoreModel
	case StoreMixed:
		if o.Store = StoreModel; mixed {
			o.Store = StorePebble
		}
	case StorePebble:
	default:
		return fmt.Errorf("no store %q: there are %s, %s and %s", o.Store, StoreModel, StorePebble, StoreMixed)
	}
	pick(r, &o.Sessions, 2, 3, 4, 5, 6)
	pick(r, &o.Duration, 6*time.Second, 12*time.Second, 12*time.Second, 12*time.Second, 30*time.Second)
	pick(r, &o.Think, 20*milli, 60*milli, 200*milli)
	pick(r, &o.Keys, 1, 2, 3, 4)
	pick(r, &o.Chapter, second, 2*second, 4*second)
	pick(r, &o.WriteBack, 2<<10, 16<<10, 1<<20)
	pick(r, &o.KeepEntries, 1, 10, 100)
	pick(r, &o.HousekeepTicks, 7, 20, 60)
	pick(r, &o.ElectionTicks, 20, 20, 20, 30, 10)
	pick(r, &o.DeadAfter, 4*second, 300*second)
	every := 150*milli + r.Int64N(2850*milli)
	if o.FaultEvery == 0 {
		o.FaultEvery = every
	}
	if o.FaultRate > 0 {
		o.FaultEvery = int64(float64(o.FaultEvery) / o.FaultRate)
	}
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("%d nodes: there can be 1 to %d", o.Nodes, MaxNodes)
	}
	return nil
}

// pick draws one of several values, and keeps it if none is set yet.
func pick[T comparable](r *rand.Rand, v *T, from ...T) {
	var none T
	if x := from[r.IntN(len(from))]; *v == none {
		*v = x
	}
}

// Words of a list of faults that stand for several kinds.
const (
	FaultsSwarm = "swarm" // a subset drawn from the seed
	FaultsAll   = "all"
	FaultsNone  = "none"
)

// ParseFaults reads a list of kinds of faults, separated by commas: names,
// "swarm", "all" or "none", and names to leave out with a - before them. It
// returns what Options.Faults takes.
func ParseFaults(list string) ([]string, error) {
	var kinds []string
	for _, w := range strings.Split(list, ",") {
		w = strings.TrimSpace(w)
		switch name := strings.TrimPrefix(w, "-"); {
		case w == "":
		case w == FaultsSwarm, w == FaultsAll, w == FaultsNone, faultKind(name) != nil:
			kinds = append(kinds, w)
		default:
			return nil, fmt.Errorf("no fault %q: there are %s, %s, %s and %s", name, FaultsSwarm, FaultsAll, FaultsNone, strings.Join(FaultKinds(), ", "))
		}
	}
	if len(kinds) == 0 || len(kinds) == 1 && kinds[0] == FaultsSwarm {
		return nil, nil
	}
	return kinds, nil
}

// allows says whether a kind of fault happens; drawn is what the seed says.
func (o *Options) allows(kind string, drawn bool) bool {
	if slices.Contains(o.Faults, "-"+kind) {
		return false
	}
	named := slices.ContainsFunc(o.Faults, func(w string) bool { return !strings.HasPrefix(w, "-") && w != FaultsSwarm })
	swarm := !named || slices.Contains(o.Faults, FaultsSwarm)
	return swarm && drawn || slices.Contains(o.Faults, kind) || slices.Contains(o.Faults, FaultsAll)
}

// CommandLine is what runs the same again. A planted bug is named for the
// reader: no command line plants one.
func (o *Options) CommandLine() string {
	var b strings.Builder
	fmt.Fprintf(&b, "coterie-sim --seed %d", o.Seed)
	flag := func(set bool, name string, v any) {
		if set {
			fmt.Fprintf(&b, " --%s %v", name, v)
		}
	}
	flag(o.Nodes != 0, "nodes", o.Nodes)
	flag(o.Partitions != 0, "partitions", o.Partitions)
	flag(o.Sessions != 0, "sessions", o.Sessions)
	flag(o.Workload != "", "workload", o.Workload)
	flag(o.Duration != 0, "duration", o.Duration)
	flag(o.Store != "", "store", o.Store)
	flag(len(o.Faults) > 0, "faults", strings.Join(o.Faults, ","))
	flag(o.FaultRate != 0, "rate", o.FaultRate)
	if o.Bug != NoBug {
		fmt.Fprintf(&b, " --bug %d", o.Bug)
	}
	if o.Grow {
		b.WriteString(" --grow")
	}
	if o.NoGrow {
		b.WriteString(" --no-grow")
	}
	if o.Tame {
		b.WriteString(" --tame")
	}
	return b.String()
}

// Check says what is wrong with options, whatever the seed.
func (o Options) Check() error {
	_, err := workload.Parse(o.Workload)
	return errors.Join(o.fill(), err)
}
