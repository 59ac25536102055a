package routing

import (
	"coterie/internal/base"
	"coterie/internal/partition"
)

// Submitter is a [Router]: it sets each request's Origin at once.
type Submitter interface {
	Submit([]*partition.Request)
}

// Caller makes the requests by which a state machine of the gateway's loop
// speaks with partitions. An answer is only noted as it comes: what follows
// from it is done by Turn.
type Caller struct {
	to      Submitter
	due     []*partition.Request // in the order in which they were made
	arrived []*Call
}

// NewCaller returns one whose requests go to a router.
func NewCaller(to Submitter) *Caller { return &Caller{to: to} }

// Call is one request of a Caller's.
type Call struct {
	Req    partition.Request
	caller *Caller
	came   func(*Call)
}

var _ partition.Sink = (*Call)(nil)

// Complete implements partition.Sink.
func (k *Call) Complete(*partition.Request) { k.caller.arrived = append(k.caller.arrived, k) }

// Vote is the first byte of an answer, 0 if there is no proper one.
func (k *Call) Vote() byte {
	if k.Req.Status != partition.Done || len(k.Req.Reply) == 0 || k.Req.Reply[0] == '-' {
		return 0
	}
	return k.Req.Reply[0]
}

// Call makes a request, which the next Submit or Turn hands over. came is called
// once it is answered. It may be changed until it is handed over.
func (c *Caller) Call(p base.PartitionID, args [][]byte, came func(*Call)) *Call {
	k := &Call{caller: c, came: came, Req: partition.Request{
		Partition: p, Proto: 2, Flags: partition.Whole | partition.Transaction, Args: args,
	}}
	k.Req.Sink = k
	c.due = append(c.due, &k.Req)
	return k
}

// Submit hands over what is due, always in the order in which it became so.
func (c *Caller) Submit() {
	due := c.due
	c.due = nil
	if len(due) > 0 {
		c.to.Submit(due)
	}
}

// Turn works through the answers that came, and hands over what follows from
// them.
func (c *Caller) Turn() {
	for len(c.arrived)+len(c.due) > 0 {
		arrived := c.arrived
		c.arrived = nil
		for _, k := range arrived {
			k.came(k)
		}
		c.Submit()
	}
}
