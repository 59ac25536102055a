package transport

// Class is a lane between two nodes. Within a class messages keep their order;
// a lower class waits for the higher ones, except for a small share that keeps
// it from starving. On the wire a class is its number; but a call is 4, as it
// was when there were four classes, and Publish is 5.
type Class uint8

const (
	// Control is for small raft messages: votes, heartbeats, answers.
	Control Class = iota
	// Request is for forwarded requests and their replies.
	Request
	// Append is for large raft appends.
	Append
	// Bulk is for snapshots.
	Bulk
	// Publish is for messages between clients, which may be lost.
	Publish

	// NumClasses is the number of classes.
	NumClasses = 5

	// call is the class of the frames of a Call, on a connection of its own.
	call Class = 5
)

// swapped turns a class into its byte on the wire, and back.
func (c Class) swapped() Class {
	switch c {
	case Publish:
		return call
	case call:
		return Publish
	}
	return c
}

// String names the class.
func (c Class) String() string {
	if c < NumClasses {
		return [...]string{"control", "request", "append", "bulk", "publish"}[c]
	}
	return "call"
}
