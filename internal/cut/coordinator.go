package cut

import (
	"encoding/binary"
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/routing"
)

// Replies for cuts that were not made.
const (
	ReplyCrowded = "-TRYAGAIN Too many consistent cuts are asked for\r\n"
	ReplyFailed  = "-TRYAGAIN No consistent cut could be made: leaderships changed, or others made cuts\r\n"
	ReplyLost    = "-TRYAGAIN The consistent cut was lost while it was read\r\n"
)

// Bounds of one node's coordinator.
const (
	maxWaiting = 64 // cuts behind the one that is being made
	maxTries   = 5
	pauseTicks = 2 // before another try, at least
	spread     = 5 // pauses of different nodes differ by less than this. Ticks
)

// Cut is what is asked for. From Begin until it is finished nothing in it may be
// touched.
type Cut struct {
	Partitions []base.PartitionID // each once, at least one
	Sink       Sink

	// ID names it, if it was made.
	ID   partition.TxnID
	Made bool
	// Reply is an error reply if it was not made.
	Reply []byte
	// Stood is for how many microseconds writes stood still, the most over the
	// partitions.
	Stood uint64
	// Tries counts the attempts.
	Tries int
}

// Sink receives a finished cut, on the node's loop: it must not block or call
// back.
type Sink interface {
	CompleteCut(*Cut)
}

// Coordinator is one node's.
type Coordinator struct {
	calls    *routing.Caller
	now      *Cut   // being made
	waiting  []*Cut // behind it
	resume   uint64 // tick at which the next attempt begins; 0: one is under way
	tick     uint64
	finished []*Cut
}

// New returns a node's coordinator.
func New(r routing.Submitter) *Coordinator { return &Coordinator{calls: routing.NewCaller(r)} }

// Waiting is the number of cuts that are not finished.
func (c *Coordinator) Waiting() int {
	n := len(c.waiting) + len(c.finished)
	if c.now != nil {
		n++
	}
	return n
}

// Begin takes a new cut.
func (c *Coordinator) Begin(x *Cut) {
	x.ID, x.Made, x.Reply, x.Stood, x.Tries = partition.TxnID{}, false, nil, 0, 0
	switch {
	case c.now == nil:
		c.now = x
		c.try()
		c.calls.Submit()
	case len(c.waiting) >= maxWaiting:
		x.Reply = []byte(ReplyCrowded)
		c.finished = append(c.finished, x)
	default:
		c.waiting = append(c.waiting, x)
	}
}

// End gives a cut up that was made.
func (c *Coordinator) End(x *Cut) {
	c.end(x)
	c.calls.Submit()
}

// Turn works through the answers that came, submits what follows from them,
// and returns the cuts that are finished.
func (c *Coordinator) Turn() (finished []*Cut) {
	c.calls.Turn()
	finished, c.finished = c.finished, nil
	return finished
}

// Tick advances the coordinator's clock.
func (c *Coordinator) Tick() {
	if c.tick++; c.resume > 0 && c.tick >= c.resume {
		c.try()
		c.calls.Submit()
	}
}

// ask sends a message to each partition, and goes on with then when all have
// given the wished answer. With the first other one the attempt has failed.
func (c *Coordinator) ask(x *Cut, args func(i int) [][]byte, wished byte, then func([]*routing.Call)) {
	calls, left, failed := make([]*routing.Call, len(x.Partitions)), len(x.Partitions), false
	for i, p := range x.Partitions {
		calls[i] = c.calls.Call(p, args(i), func(k *routing.Call) {
			left--
			switch {
			case failed:
			case k.Vote() != wished:
				failed = true
				c.failed(x, k)
			case left == 0:
				then(calls)
			}
		})
		if x.ID == (partition.TxnID{}) { // the first ARM's origin is the id
			c.calls.Submit()
			o := calls[i].Req.Origin
			x.ID = partition.TxnID{Gateway: o.Gateway, Sequence: o.Sequence}
		}
	}
}

// try begins an attempt.
func (c *Coordinator) try() {
	x := c.now
	x.ID, c.resume = partition.TxnID{}, 0
	x.Tries++
	same := func(args func(partition.TxnID) [][]byte) func(int) [][]byte {
		return func(int) [][]byte { return args(x.ID) }
	}
	c.ask(x, same(partition.ArmArgs), partition.CutYes, func([]*routing.Call) {
		c.ask(x, same(partition.PinArgs), partition.CutPinned, func(pins []*routing.Call) {
			c.ask(x, same(partition.ReleaseArgs), partition.CutYes, func(released []*routing.Call) {
				x.Stood = 0
				for _, k := range released {
					stood, _ := binary.Uvarint(k.Req.Reply[1:])
					x.Stood = max(x.Stood, stood)
				}
				c.decide(x, pins)
			})
		})
	})
}

// decide tells each partition which of its intents belong to the cut: those
// with a verdict in it.
func (c *Coordinator) decide(x *Cut, pins []*routing.Call) {
	pinned, committed := make([]partition.Pinned, len(pins)), map[partition.TxnID]bool{}
	for i, k := range pins {
		p, err := partition.DecodePinned(k.Req.Reply[1:])
		if err != nil {
			c.failed(x, k)
			return
		}
		pinned[i] = p
		for _, id := range p.Committed {
			committed[id] = true
		}
	}
	lists := make([][]partition.TxnID, len(pins))
	for i, p := range pinned {
		for _, o := range p.Open {
			switch {
			case !slices.Contains(x.Partitions, o.Home): // nobody here can say
				c.failed(x, pins[i])
				return
			case committed[o.ID]:
				lists[i] = append(lists[i], o.ID)
			}
		}
	}
	c.ask(x, func(i int) [][]byte { return partition.DecideArgs(x.ID, lists[i]) }, partition.CutYes, func([]*routing.Call) {
		x.Made = true
		c.finish(x)
	})
}

// failed ends an attempt because of one answer, and plans another one; unless
// that partition could not be reached in all the time that a request has.
func (c *Coordinator) failed(x *Cut, k *routing.Call) {
	c.end(x)
	reply := []byte(ReplyFailed)
	switch {
	case k.Req.Status != partition.Done && len(k.Req.Reply) > 0:
		reply = k.Req.Reply
	case x.Tries < maxTries:
		c.resume = c.tick + pauseTicks + (uint64(x.ID.Gateway)+uint64(x.Tries))%spread
		return
	}
	x.ID, x.Reply = partition.TxnID{}, reply
	c.finish(x)
}

func (c *Coordinator) end(x *Cut) {
	for _, p := range x.Partitions {
		c.calls.Call(p, partition.CutEndArgs(x.ID), func(*routing.Call) {})
	}
}

// finish hands the cut over, and begins the next one.
func (c *Coordinator) finish(x *Cut) {
	c.finished = append(c.finished, x)
	if c.now = nil; len(c.waiting) > 0 {
		c.now, c.waiting = c.waiting[0], c.waiting[1:]
		c.try()
	}
}
