package partition

import (
	"coterie/internal/base"
	"coterie/internal/kv"
	"coterie/internal/overlay"
	"coterie/internal/storage/logstore"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Message is a Raft message for a replica on another node.
type Message struct {
	Node      base.NodeID
	Partition base.PartitionID
	From, To  base.ReplicaID
	Raft      *pb.Message
}

// Append is one replica's part of the next write to the log store.
// Responses are delivered, with Replica.Appended, once it is durable.
type Append struct {
	Replica   *Replica
	Update    logstore.Update
	Responses []*pb.Message
	// Snapshot is set when the append installs a received snapshot: first the
	// import with this token replaces the partition's state, durably; then
	// Update resets the log; then the responses are due.
	Snapshot *Install
}

// Install names a received snapshot that raft accepted.
type Install struct {
	Token uint64 // what the driver gave with the MsgSnap, in its Context
	Index uint64
}

// MoveDown asks to write frozen state and the state record that belongs to
// it into the state store, in one batch, unsynced.
type MoveDown struct {
	Replica *Replica
	Frozen  *overlay.Frozen
	Record  []byte // under keys.StateKey
	State   State
}

// SendSnapshot asks to stream the partition's state as of the move down that
// was just reported to another node.
type SendSnapshot struct {
	Replica *Replica
	Node    base.NodeID
	To      base.ReplicaID
	// Raft is the MsgSnap to deliver when the stream is complete.
	Raft *pb.Message
}

// Output is what a turn wants done. The driver carries it out in this order:
// Appends are handed to the log writer; Messages are sent (those that must
// wait for an append are among its Responses); Pins are made; Snapshots and
// MoveDowns are started; Finished requests are answered.
type Output struct {
	Messages  []Message
	Appends   []Append
	MoveDowns []MoveDown
	Snapshots []SendSnapshot
	Pins      []Pin
	// Waiting are requests that begin to wait. They are told of before Finished
	// ones are answered, and still belong to their replica.
	Waiting  []Notice
	Finished []*Request
	// Recovers and Settles are transactions that their coordinator left.
	Recovers []Recover
	Settles  []Settle
	// Mail is what committed commands say to subscribers, in order.
	Mail []kv.Mail
	// Changed holds the replicas whose leader, term or configuration changed.
	Changed []*Replica
	// Discarded holds the tokens of received snapshots that raft did not want.
	Discarded []uint64
	// Fatal is a broken invariant or a failed read: the node must stop.
	Fatal error
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Messages)
	clear(o.Appends)
	clear(o.MoveDowns)
	clear(o.Snapshots)
	clear(o.Pins)
	clear(o.Finished)
	clear(o.Changed)
	clear(o.Waiting)
	clear(o.Mail)
	*o = Output{
		Messages: o.Messages[:0], Appends: o.Appends[:0], MoveDowns: o.MoveDowns[:0],
		Snapshots: o.Snapshots[:0], Finished: o.Finished[:0], Changed: o.Changed[:0],
		Discarded: o.Discarded[:0], Waiting: o.Waiting[:0], Recovers: o.Recovers[:0], Settles: o.Settles[:0],
		Mail: o.Mail[:0], Pins: o.Pins[:0],
	}
}

// Notice says that a request waits.
type Notice struct {
	Request *Request
	// Args are the arguments that it waits with, made with AppendArgs, if they
	// are others than it came with.
	Args []byte
}

// fail records the first fatal error.
func (o *Output) fail(err error) {
	if o.Fatal == nil {
		o.Fatal = err
	}
}
