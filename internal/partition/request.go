package partition

import "coterie/internal/base"

// RequestFlags says how a request is to be run.
type RequestFlags uint8

const (
	// Write marks a request that may leave effects.
	Write RequestFlags = 1 << iota
	// Whole marks a request about a partition as a whole (DBSIZE, SCAN, FLUSHDB),
	// which carries its partition's id and no slot.
	Whole
	// Confirm marks a request that runs no command and only brings its
	// LowWater, so that replies are forgotten when a gateway falls silent. It is
	// a Write.
	Confirm
	// Group marks a request whose arguments are several commands, or about
	// such: see package command.
	Group
	// Transaction marks a message of a transaction over partitions: see
	// PrepareArgs and the others.
	Transaction
	// Blocking marks a request that may wait until there is something for it:
	// see docs/internals/blocking.md.
	Blocking
	// Cancel marks a request that ends the waiting of another one of its
	// gateway. Its arguments are that one's sequence as a uvarint, and the reply
	// that it is to get.
	Cancel
	// Track marks a request that asks what is written; see Touched. It is Whole
	// and Blocking too.
	Track
)

// Status says how a request ended.
type Status uint8

const (
	// Done: the request ran; Reply is the command's reply, which may itself be
	// an error such as WRONGTYPE. Its effects, if any, are durable on a majority.
	Done Status = iota
	// NotRun: the request was certainly not run (no leader in time, not the
	// leader, refused by a limit). It may be sent again. Reply is an error
	// reply that says why.
	NotRun
	// Unknown: the request may or may not have taken effect. From a replica it
	// means: send it again, under the same origin, and it has its effects once.
	// To a session it means that time was up before that helped; Reply is an
	// error reply that says so. It must not be retried automatically.
	Unknown
	// Waits: the request has found nothing and waits at its leader. It is no end:
	// another status follows.
	Waits
)

// Request is one command for one partition, on its way from a session to the
// partition's leader and back.
//
// Whoever makes it fills the first block and hands it over; from then until
// Sink.Complete is called nothing in it may be touched, and the bytes that
// Args points to must not change.
type Request struct {
	Partition base.PartitionID
	Slot      base.Slot
	DB        uint8 // namespace 0..15
	Proto     uint8 // 2 or 3: the RESP version to reply in
	Flags     RequestFlags
	Args      [][]byte // the command's name and arguments
	Origin    base.Origin
	// Session is the connection at the gateway, 0 if there is none: a request
	// that waits for a lock holds back what follows in its session.
	Session uint64
	// LowWater is the gateway's: its requests to this partition with lower
	// sequences are over.
	LowWater uint64
	// Term is the Raft term of the leadership that the request was routed to;
	// set by the router. Under any other term the request is refused, and with
	// it everything that was sent behind it, so that order is kept.
	Term uint64
	Sink Sink

	// Route is the router's own.
	Route Route

	// The answer.
	Status Status
	Reply  []byte
	// Cancels is the blocking request that this one is to end, for the router.
	Cancels *Request

	// Of one that waits, the replica's own.
	wait    *waiter // its place in line; nil: it has none
	arrived uint64  // its number in the order of arrival
	changed bool    // it was given other arguments to wait with
	round   uint64  // the last round that it was part of

	// Leader is a hint where the leader is, with NotRun; 0 if not known.
	Leader base.NodeID
}

// Route is what the gateway's router keeps with a request.
type Route struct {
	Since uint64      // tick at which it was submitted
	Node  base.NodeID // where it is now; 0: with the router
	Term  uint64      // of its leader when it was sent there
	Bytes int         // size of its arguments
	// Attempt counts the times that the gateway lost what it had under way to
	// some node. What carries an older number was sent before that.
	Attempt uint64
	MayRun  bool // it was with a leader that did not say what came of it
	// Queued is the replica's tick at which it came to its leader; the replica's.
	Queued uint64
	// Evaluated is set by the replica when the request ran: from then on its
	// arguments are not looked at any more.
	Evaluated bool
	// Known is set by the replica when the request was answered before.
	Known bool
	// Waiting is set by the router when the leader said that the request waits.
	Waiting bool
	// Ending is the reply of a CANCEL that is under way to it.
	Ending []byte
}

// Sink receives a finished request. Complete is called once, from the node's
// loop: it must not block, and must not call back into the core.
type Sink interface {
	Complete(*Request)
}

// WaitSink is a Sink that wants to know when its request begins to wait, at
// every leader that it comes to. The same holds for Waits as for Complete.
type WaitSink interface {
	Sink
	Waits(*Request)
}
