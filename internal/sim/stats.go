package sim

import (
	"time"
)

// Count says how often something of a name happened.
type Count map[string]int

func (c *Count) add(name string) {
	if *c == nil {
		*c = Count{}
	}
	(*c)[name]++
}

func (c *Count) addAll(o Count) {
	for name, n := range o {
		if *c == nil {
			*c = Count{}
		}
		(*c)[name] += n
	}
}

// Total is the sum over all names.
func (c Count) Total() int {
	sum := 0
	for _, n := range c {
		sum += n
	}
	return sum
}

// Stats says what a run came across.
type Stats struct {
	Ops          int   `json:"operations"`
	NotRun       int   `json:"not_run"`      // refused for certain
	Unknown      int   `json:"unknown"`      // the node did not know what became of them
	Cut          int   `json:"cut"`          // under way when the client's node died
	Spanning     int   `json:"spanning"`     // committed transactions over several partitions
	AtGateway    int   `json:"at_gateway"`   // commands and transactions evaluated there
	Cuts         int   `json:"cuts"`         // consistent cuts that were made and read
	CutsFailed   int   `json:"cuts_failed"`  // … that could not be made
	Evicted      int   `json:"evicted"`      // keys
	Messages     int   `json:"messages"`     // that subscribers got
	Kills        int   `json:"kills"`        // ends of a process, for whatever reason
	Moves        int   `json:"moves"`        // of state into the state store
	Truncations  int   `json:"truncations"`  // of logs
	Snapshots    int   `json:"snapshots"`    // streams begun
	Installed    int   `json:"installed"`    // snapshots that took effect
	Reconciled   int   `json:"reconciled"`   // logs begun anew at an installed snapshot
	Transfers    int   `json:"transfers"`    // of leadership, asked for
	ConfChanges  int   `json:"conf_changes"` // proposed
	Joins        int   `json:"joins"`
	Removed      int   `json:"removed"` // replicas
	Leaders      int   `json:"leaders"` // terms that got one
	Digests      int   `json:"digests"`
	Inconclusive int   `json:"inconclusive"`     // histories that were too much for the checker
	Slowest      int64 `json:"slowest_micros"`   // completion of an op after the faults stopped
	Faults       Count `json:"faults,omitempty"` // by kind
	Points       Count `json:"points,omitempty"` // deaths by labelled point
	Events       Count `json:"events,omitempty"` // that are worth meeting, see events.go
}

// Membership is how many changes of a partition's members there were.
func (s *Stats) Membership() int { return s.ConfChanges }

// Add adds another run's.
func (s *Stats) Add(o *Stats) {
	s.Ops += o.Ops
	s.NotRun += o.NotRun
	s.Unknown += o.Unknown
	s.Cut += o.Cut
	s.Spanning += o.Spanning
	s.AtGateway += o.AtGateway
	s.Cuts += o.Cuts
	s.CutsFailed += o.CutsFailed
	s.Evicted += o.Evicted
	s.Messages += o.Messages
	s.Kills += o.Kills
	s.Moves += o.Moves
	s.Truncations += o.Truncations
	s.Snapshots += o.Snapshots
	s.Installed += o.Installed
	s.Reconciled += o.Reconciled
	s.Transfers += o.Transfers
	s.ConfChanges += o.ConfChanges
	s.Joins += o.Joins
	s.Removed += o.Removed
	s.Leaders += o.Leaders
	s.Digests += o.Digests
	s.Inconclusive += o.Inconclusive
	s.Slowest = max(s.Slowest, o.Slowest)
	s.Faults.addAll(o.Faults)
	s.Points.addAll(o.Points)
	s.Events.addAll(o.Events)
}

// Result is the outcome of a run.
type Result struct {
	Asked      Options // as given
	Options    Options // with what was drawn
	Hash       uint64  // of the trace
	Lines      int
	Events     int
	Virtual    time.Duration
	Stats      Stats
	Violations []string
	Tail       []string // the last lines of the trace, if there is a violation
}
