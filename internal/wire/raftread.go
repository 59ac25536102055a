package wire

import (
	"go.etcd.io/raft/v3/raftpb"

	"coterie/internal/base"
)

// RaftReader takes a KindRaft message apart. The zero RaftReader is at its end.
//
// What it costs: raft's messages have a pointer for every field, so a message
// and the numbers it points to are one struct here, and several messages of a
// batch share one allocation; likewise the entries of a message. Keeping a
// message or an entry alive therefore keeps its neighbours, and the bytes it
// was decoded from, alive too.
type RaftReader struct {
	c    cursor
	slab []raftSlab
	next int // messages in the next slab
}

// maxSlab bounds how many messages share an allocation.
const maxSlab = 16

type raftSlab struct {
	msg                                                raftpb.Message
	to, from, term, logTerm, index, commit, vote, hint uint64
	typ                                                raftpb.MessageType
	reject                                             bool
}

type entrySlab struct {
	entry       raftpb.Entry
	term, index uint64
	typ         raftpb.EntryType
}

type snapSlab struct {
	snap        raftpb.Snapshot
	meta        raftpb.SnapshotMetadata
	conf        raftpb.ConfState
	index, term uint64
	autoLeave   bool
}

// ReadRaft opens a KindRaft message.
func ReadRaft(msg []byte) (RaftReader, error) {
	c, err := open(msg, KindRaft)
	return RaftReader{c: c, next: 1}, err
}

// Next decodes the next item into it. It is false at the end, and after an
// error. What it gives out is the caller's.
func (r *RaftReader) Next(it *RaftItem) (bool, error) {
	if len(r.c.b) == 0 {
		return false, nil
	}
	it.Partition = base.PartitionID(r.c.u32())
	it.From = base.ReplicaID(r.c.uvarint())
	it.To = base.ReplicaID(r.c.uvarint())
	it.Msg = r.message(it.From, it.To)
	if r.c.bad {
		it.Msg = nil
		return false, malformed("raft item")
	}
	return true, nil
}

func (r *RaftReader) alloc() *raftSlab {
	if len(r.slab) == 0 {
		// The item being read has its first three fields behind it already.
		n := min(r.next, maxSlab, 1+len(r.c.b)/minRaftItem)
		r.slab = make([]raftSlab, n)
		r.next = n * 2
	}
	s := &r.slab[0]
	r.slab = r.slab[1:]
	return s
}

func (r *RaftReader) message(from, to base.ReplicaID) *raftpb.Message {
	c := &r.c
	typ := c.u8()
	bits := c.upTo(raftBits)
	if c.bad || typ > byte(lastMessageType)+1 || bits&(hasReject|rejectIsTrue) == rejectIsTrue ||
		bits&(hasTo|hasOtherTo) == hasTo|hasOtherTo || bits&(hasFrom|hasOtherFrom) == hasFrom|hasOtherFrom {
		c.fail()
		return nil
	}
	s := r.alloc()
	m := &s.msg
	if typ != 0 {
		s.typ = raftpb.MessageType(typ - 1)
		m.Type = &s.typ
	}
	if bits&hasTo != 0 {
		s.to = uint64(to)
		m.To = &s.to
	}
	if bits&hasFrom != 0 {
		s.from = uint64(from)
		m.From = &s.from
	}
	m.Term = c.optional(bits&hasTerm != 0, &s.term)
	m.Commit = c.optional(bits&hasCommit != 0, &s.commit)
	m.Index = c.optional(bits&hasIndex != 0, &s.index)
	m.LogTerm = c.optional(bits&hasLogTerm != 0, &s.logTerm)
	if bits&hasContext != 0 {
		m.Context = c.bytes()
	}
	if bits&hasEntries != 0 {
		m.Entries = c.entries(s.term, s.index)
	}
	if bits&hasReject != 0 {
		s.reject = bits&rejectIsTrue != 0
		m.Reject = &s.reject
	}
	m.RejectHint = c.optional(bits&hasHint != 0, &s.hint)
	m.Vote = c.optional(bits&hasVote != 0, &s.vote)
	if bits&hasSnapshot != 0 {
		m.Snapshot = c.snapshot()
	}
	if bits&hasOtherTo != 0 {
		m.To = c.optional(true, &s.to)
	}
	if bits&hasOtherFrom != 0 {
		m.From = c.optional(true, &s.from)
	}
	return m
}

// optional reads a field into its place in a slab, if it is there.
func (c *cursor) optional(there bool, place *uint64) *uint64 {
	if !there {
		return nil
	}
	*place = c.uvarint()
	return place
}

func (c *cursor) entries(term, index uint64) []*raftpb.Entry {
	n := c.count()
	if n == 0 { // an empty list has no bit set
		c.fail()
		return nil
	}
	if n == 1 {
		// One entry a message is the rule: a round is one entry.
		one := &struct {
			entrySlab
			list [1]*raftpb.Entry
		}{}
		c.entry(&one.entrySlab, &term, &index)
		one.list[0] = &one.entry
		return one.list[:]
	}
	slab := make([]entrySlab, n)
	list := make([]*raftpb.Entry, n)
	for i := range slab {
		c.entry(&slab[i], &term, &index)
		list[i] = &slab[i].entry
		if c.bad {
			return nil
		}
	}
	return list
}

// entry reads one entry; term and index are the ones before it, and are moved on.
func (c *cursor) entry(s *entrySlab, term, index *uint64) {
	bits := c.u8()
	typ := bits >> entryTypeShift & 3
	if bits > entryBits || bits&(entryTerm|entryTermSame) == entryTermSame || bits&(entryIndex|entryIndexNext) == entryIndexNext {
		c.fail()
		return
	}
	if bits&entryTerm != 0 {
		if bits&entryTermSame == 0 {
			*term = c.uvarint()
		}
		s.term = *term
		s.entry.Term = &s.term
	}
	if bits&entryIndex != 0 {
		if bits&entryIndexNext == 0 {
			*index = c.uvarint()
		} else {
			*index++
		}
		s.index = *index
		s.entry.Index = &s.index
	}
	if typ != 0 {
		s.typ = raftpb.EntryType(typ - 1)
		s.entry.Type = &s.typ
	}
	if bits&entryData != 0 {
		s.entry.Data = c.bytes()
	}
}

func (c *cursor) snapshot() *raftpb.Snapshot {
	bits := c.u8()
	if bits > snapBits || bits&snapMeta == 0 && bits&(snapIndex|snapTerm|snapConf) != 0 ||
		bits&snapConf == 0 && bits&snapAutoLeave != 0 || bits&(snapAutoLeave|autoLeaveIsTrue) == autoLeaveIsTrue {
		c.fail()
		return nil
	}
	s := &snapSlab{}
	if bits&snapData != 0 {
		s.snap.Data = c.bytes()
	}
	if bits&snapMeta != 0 {
		s.snap.Metadata = &s.meta
	}
	s.meta.Index = c.optional(bits&snapIndex != 0, &s.index)
	s.meta.Term = c.optional(bits&snapTerm != 0, &s.term)
	if bits&snapConf != 0 {
		s.meta.ConfState = &s.conf
		if bits&snapAutoLeave != 0 {
			s.autoLeave = bits&autoLeaveIsTrue != 0
			s.conf.AutoLeave = &s.autoLeave
		}
		s.conf.Voters = c.ids()
		s.conf.Learners = c.ids()
		s.conf.VotersOutgoing = c.ids()
		s.conf.LearnersNext = c.ids()
	}
	return &s.snap
}

func (c *cursor) ids() []uint64 {
	n := c.count()
	if n == 0 {
		return nil
	}
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = c.uvarint()
	}
	return ids
}
