package base

import "fmt"

// NodeID names a node of a cluster. The catalog assigns it, starting at 1; it
// is never used again, also after the node was removed.
type NodeID uint64

// PartitionID names a partition. Partition 0 is the catalog.
type PartitionID uint32

// Catalog is the partition that holds the cluster's own records. It owns no
// slots.
const Catalog PartitionID = 0

// ReplicaID is a partition member's raft id. The catalog assigns it; it is
// never used again, also when the same node returns to the same partition.
type ReplicaID uint64

// Slot is one of the NumSlots hash slots.
type Slot uint16

// NumSlots is the number of hash slots, the same as in Redis Cluster.
const NumSlots = 16384

// Span is a contiguous range of slots, Lo included and Hi excluded. The zero
// Span is empty.
type Span struct {
	Lo, Hi uint16
}

// Contains says whether the span holds slot s.
func (s Span) Contains(slot Slot) bool { return uint16(slot) >= s.Lo && uint16(slot) < s.Hi }

// Empty says whether the span holds no slot.
func (s Span) Empty() bool { return s.Lo >= s.Hi }

// Len is the number of slots in the span.
func (s Span) Len() int {
	if s.Empty() {
		return 0
	}
	return int(s.Hi - s.Lo)
}

// String shows the span as Redis does, both ends included: "0-5460".
func (s Span) String() string {
	if s.Empty() {
		return "-"
	}
	return fmt.Sprintf("%d-%d", s.Lo, s.Hi-1)
}

// Stamp is a partition's time: microseconds since the Unix epoch, strictly
// increasing from one round of the partition to its next. The leader draws it
// as max(its clock, last stamp + 1), so it never runs backwards, also not
// over a change of leader.
type Stamp uint64

// Millis is the stamp as milliseconds since the Unix epoch, the unit of
// Redis's expiry times.
func (s Stamp) Millis() int64 { return int64(s / 1000) }

// StampFromMillis is the first stamp of the given millisecond.
func StampFromMillis(ms int64) Stamp {
	if ms < 0 {
		return 0
	}
	return Stamp(ms) * 1000
}

// Origin identifies one request for the whole life of a cluster: the node
// that the client is connected to, that node's boot counter, and a number
// that the node counts up.
type Origin struct {
	Gateway     NodeID
	Incarnation uint64
	Sequence    uint64
}
