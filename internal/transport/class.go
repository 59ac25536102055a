package transport

// Class is a lane between two nodes. Within a class messages keep their order;
// a lower class waits for the higher ones, except for a small share that keeps
// it from starving. The numbers are on the wire.
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

	// NumClasses is the number of classes.
	NumClasses = 4

	// call is the class of the frames of a Call, on a connection of its own.
	call Class = 4
)

// String names the class.
func (c Class) String() string {
	if c < NumClasses {
		return [...]string{"control", "request", "append", "bulk"}[c]
	}
	return "call"
}
