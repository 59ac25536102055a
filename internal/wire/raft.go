package wire

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"coterie/internal/base"
)

// RaftItem is one raft message on its way from a replica to a replica of the
// same partition.
type RaftItem struct {
	Partition base.PartitionID
	From, To  base.ReplicaID
	Msg       *raftpb.Message
}

// The presence bits of a raft message, in the order in which the fields follow
// them. The frequent ones are low, so that they fit into one byte for
// heartbeats and the answers to them.
const (
	hasTo        = 1 << iota // equal to the item's To: no bytes follow
	hasFrom                  // equal to the item's From: no bytes follow
	hasTerm                  // uvarint
	hasCommit                // uvarint
	hasIndex                 // uvarint
	hasLogTerm               // uvarint
	hasContext               // length, bytes
	hasEntries               // count, entries
	hasReject                // no bytes follow
	rejectIsTrue             // no bytes follow
	hasHint                  // RejectHint, uvarint
	hasVote                  // uvarint
	hasSnapshot              // snapshot
	hasOtherTo               // uvarint: To, where it differs from the item's
	hasOtherFrom             // uvarint: From, where it differs from the item's

	raftBits = hasOtherFrom<<1 - 1
)

// The bits of an entry's first byte.
const (
	entryTerm      = 1 << iota // Term is there …
	entryTermSame              // … and equal to the one before (the message's)
	entryIndex                 // Index is there …
	entryIndexNext             // … and one above the one before (the message's)
	entryType                  // two bits: 0 for none, else type+1
	_
	entryData // length and bytes follow

	entryTypeShift = 4
	entryBits      = entryData<<1 - 1
)

// The bits of a snapshot's first byte.
const (
	snapData = 1 << iota
	snapMeta
	snapIndex
	snapTerm
	snapConf
	snapAutoLeave
	autoLeaveIsTrue

	snapBits = autoLeaveIsTrue<<1 - 1
)

// minRaftItem is the least an item takes: partition, from, to, type and
// presence bits.
const minRaftItem = 5

// lastMessageType is the last of raft's message types that can be decoded.
const lastMessageType = raftpb.MsgForgetLeader

// AppendRaft adds one raft message to a KindRaft message, or starts one if dst
// is empty. Unknown fields are not carried. Responses, which raft uses only
// within a node, must be empty.
func AppendRaft(dst []byte, p base.PartitionID, from, to base.ReplicaID, m *raftpb.Message) []byte {
	if len(m.Responses) != 0 {
		panic("wire: a raft message for the node's own storage was sent to a peer")
	}
	dst = begin(dst, KindRaft)
	dst = binary.AppendUvarint(dst, uint64(p))
	dst = binary.AppendUvarint(dst, uint64(from))
	dst = binary.AppendUvarint(dst, uint64(to))
	if m.Type == nil {
		dst = append(dst, 0)
	} else {
		dst = append(dst, byte(*m.Type)+1)
	}
	bits := presence(m, from, to)
	dst = binary.AppendUvarint(dst, bits)
	dst = appendOptional(dst, m.Term)
	dst = appendOptional(dst, m.Commit)
	dst = appendOptional(dst, m.Index)
	dst = appendOptional(dst, m.LogTerm)
	if m.Context != nil {
		dst = appendBytes(dst, m.Context)
	}
	if len(m.Entries) > 0 {
		dst = appendEntries(dst, m)
	}
	dst = appendOptional(dst, m.RejectHint)
	dst = appendOptional(dst, m.Vote)
	if m.Snapshot != nil {
		dst = appendSnapshot(dst, m.Snapshot)
	}
	if bits&hasOtherTo != 0 {
		dst = binary.AppendUvarint(dst, *m.To)
	}
	if bits&hasOtherFrom != 0 {
		dst = binary.AppendUvarint(dst, *m.From)
	}
	return dst
}

func appendOptional(dst []byte, v *uint64) []byte {
	if v == nil {
		return dst
	}
	return binary.AppendUvarint(dst, *v)
}

func presence(m *raftpb.Message, from, to base.ReplicaID) uint64 {
	bits := 0
	set := func(there bool, bit int) {
		if there {
			bits |= bit
		}
	}
	set(m.To != nil && *m.To == uint64(to), hasTo)
	set(m.To != nil && *m.To != uint64(to), hasOtherTo)
	set(m.From != nil && *m.From == uint64(from), hasFrom)
	set(m.From != nil && *m.From != uint64(from), hasOtherFrom)
	set(m.Term != nil, hasTerm)
	set(m.Commit != nil, hasCommit)
	set(m.Index != nil, hasIndex)
	set(m.LogTerm != nil, hasLogTerm)
	set(m.Context != nil, hasContext)
	set(len(m.Entries) > 0, hasEntries)
	set(m.Reject != nil, hasReject)
	set(m.Reject != nil && *m.Reject, rejectIsTrue)
	set(m.RejectHint != nil, hasHint)
	set(m.Vote != nil, hasVote)
	set(m.Snapshot != nil, hasSnapshot)
	return uint64(bits)
}

// appendEntries writes the count, then each entry as its difference from the
// one before: in an append all but the data are implied.
func appendEntries(dst []byte, m *raftpb.Message) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m.Entries)))
	term, index := m.GetTerm(), m.GetIndex()
	for _, e := range m.Entries {
		at := len(dst)
		dst = append(dst, 0)
		bits := byte(0)
		if e.Term != nil {
			bits |= entryTerm
			if *e.Term == term {
				bits |= entryTermSame
			} else {
				dst = binary.AppendUvarint(dst, *e.Term)
			}
			term = *e.Term
		}
		if e.Index != nil {
			bits |= entryIndex
			if *e.Index == index+1 {
				bits |= entryIndexNext
			} else {
				dst = binary.AppendUvarint(dst, *e.Index)
			}
			index = *e.Index
		}
		if e.Type != nil {
			if *e.Type < 0 || *e.Type > raftpb.EntryConfChangeV2 {
				panic(fmt.Sprintf("wire: entry %d has the unknown type %d", index, *e.Type))
			}
			bits |= (byte(*e.Type) + 1) << entryTypeShift
		}
		if e.Data != nil {
			bits |= entryData
			dst = appendBytes(dst, e.Data)
		}
		dst[at] = bits
	}
	return dst
}

func appendSnapshot(dst []byte, s *raftpb.Snapshot) []byte {
	at := len(dst)
	dst = append(dst, 0)
	bits := byte(0)
	if s.Data != nil {
		bits |= snapData
		dst = appendBytes(dst, s.Data)
	}
	if md := s.Metadata; md != nil {
		bits |= snapMeta
		if md.Index != nil {
			bits |= snapIndex
			dst = binary.AppendUvarint(dst, *md.Index)
		}
		if md.Term != nil {
			bits |= snapTerm
			dst = binary.AppendUvarint(dst, *md.Term)
		}
		if cs := md.ConfState; cs != nil {
			bits |= snapConf
			if cs.AutoLeave != nil {
				bits |= snapAutoLeave
				if *cs.AutoLeave {
					bits |= autoLeaveIsTrue
				}
			}
			dst = appendIDs(dst, cs.Voters)
			dst = appendIDs(dst, cs.Learners)
			dst = appendIDs(dst, cs.VotersOutgoing)
			dst = appendIDs(dst, cs.LearnersNext)
		}
	}
	dst[at] = bits
	return dst
}

func appendIDs(dst []byte, ids []uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = binary.AppendUvarint(dst, id)
	}
	return dst
}
