package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/keys"
	"coterie/internal/storage/state"

	pb "go.etcd.io/raft/v3/raftpb"
)

// StateVersion is the format of the state record that this package writes.
const StateVersion = 1

// ErrState is wrapped when a state record does not decode.
var ErrState = errors.New("partition: malformed state record")

// State is a replica's state record: where its applied state stands. It is
// written in the same batch as the effects it stands for, so whatever
// survives a crash is a clean prefix of the log.
//
// The format is frozen and versioned; testdata holds golden bytes:
//
//	version u8 · index · term · round term · round · stamp · next object id ·
//	span lo · span hi · epoch (uvarints) · voters, learners, outgoing voters,
//	next learners (each: count, ids) · auto leave u8 · members (count, then
//	replica id and node id each) · answers (count, then each as in an entry)
type State struct {
	Index, Term      uint64 // the last applied entry
	RoundTerm, Round uint64 // the last applied round
	Stamp            base.Stamp
	NextObjectID     uint64
	Span             base.Span
	Epoch            uint64 // counts the changes of Span
	Conf             Conf
	// Members says on which node each replica in Conf lives.
	Members map[base.ReplicaID]base.NodeID
	// Answers is shared by copies of the record, and is the newest one's.
	Answers Answers
}

// Conf is a Raft configuration, possibly a joint one.
type Conf struct {
	Voters, Learners, VotersOutgoing, LearnersNext []uint64
	AutoLeave                                      bool
}

// Has says whether a replica takes part in the configuration in any role.
func (c *Conf) Has(id base.ReplicaID) bool {
	for _, set := range [][]uint64{c.Voters, c.Learners, c.VotersOutgoing, c.LearnersNext} {
		if slices.Contains(set, uint64(id)) {
			return true
		}
	}
	return false
}

// Joint says whether the configuration is between two.
func (c *Conf) Joint() bool { return len(c.VotersOutgoing) > 0 }

// Voter says whether a replica's vote counts.
func (c *Conf) Voter(id base.ReplicaID) bool {
	return slices.Contains(c.Voters, uint64(id)) || slices.Contains(c.VotersOutgoing, uint64(id))
}

func confFromRaft(cs *pb.ConfState) Conf {
	sorted := func(s []uint64) []uint64 { s = slices.Clone(s); slices.Sort(s); return s }
	return Conf{
		Voters: sorted(cs.GetVoters()), Learners: sorted(cs.GetLearners()),
		VotersOutgoing: sorted(cs.GetVotersOutgoing()), LearnersNext: sorted(cs.GetLearnersNext()),
		AutoLeave: cs.GetAutoLeave(),
	}
}

func (c *Conf) toRaft() *pb.ConfState {
	return &pb.ConfState{
		Voters: slices.Clone(c.Voters), Learners: slices.Clone(c.Learners),
		VotersOutgoing: slices.Clone(c.VotersOutgoing), LearnersNext: slices.Clone(c.LearnersNext),
		AutoLeave: new(c.AutoLeave),
	}
}

// AppendState appends the encoded record.
func AppendState(dst []byte, s *State) []byte {
	dst = append(dst, StateVersion)
	for _, v := range []uint64{
		s.Index, s.Term, s.RoundTerm, s.Round, uint64(s.Stamp), s.NextObjectID,
		uint64(s.Span.Lo), uint64(s.Span.Hi), s.Epoch,
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	for _, set := range [][]uint64{s.Conf.Voters, s.Conf.Learners, s.Conf.VotersOutgoing, s.Conf.LearnersNext} {
		dst = binary.AppendUvarint(dst, uint64(len(set)))
		for _, id := range set {
			dst = binary.AppendUvarint(dst, id)
		}
	}
	if s.Conf.AutoLeave {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	dst = AppendMembers(dst, s.Members)
	answers := s.Answers.encoded()
	dst = binary.AppendUvarint(dst, uint64(len(answers)))
	for i := range answers {
		dst = effects.AppendAnswers(dst, &answers[i])
	}
	return dst
}

// AppendMembers appends a map from replicas to nodes, in order; it is also
// the context of a configuration change.
func AppendMembers(dst []byte, m map[base.ReplicaID]base.NodeID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		dst = binary.AppendUvarint(dst, uint64(id))
		dst = binary.AppendUvarint(dst, uint64(m[id]))
	}
	return dst
}

type stateReader struct {
	b   []byte
	bad bool
}

func (r *stateReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a count of things that take at least one byte each.
func (r *stateReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

// string reads a string; it aliases the record.
func (r *stateReader) string() []byte {
	n := r.count()
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *stateReader) ids() []uint64 {
	var ids []uint64
	for range r.count() {
		ids = append(ids, r.uvarint())
	}
	return ids
}

func (r *stateReader) members() map[base.ReplicaID]base.NodeID {
	m := map[base.ReplicaID]base.NodeID{}
	for range r.count() {
		id := base.ReplicaID(r.uvarint())
		m[id] = base.NodeID(r.uvarint())
	}
	return m
}

func (r *stateReader) answers() Answers {
	m := Answers{}
	for range r.count() {
		a, rest, err := effects.AnswersOf(r.b)
		if err != nil {
			r.bad, r.b = true, nil
			return nil
		}
		r.b = rest
		m.note(a)
	}
	return m
}

// DecodeState decodes a record.
func DecodeState(b []byte) (State, error) {
	var s State
	if len(b) == 0 {
		return s, fmt.Errorf("%w: empty", ErrState)
	}
	if b[0] != StateVersion {
		return s, fmt.Errorf("%w: version %d, this program knows %d", ErrState, b[0], StateVersion)
	}
	r := stateReader{b: b[1:]}
	s.Index, s.Term, s.RoundTerm, s.Round = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	s.Stamp, s.NextObjectID = base.Stamp(r.uvarint()), r.uvarint()
	lo, hi := r.uvarint(), r.uvarint()
	if lo > base.NumSlots || hi > base.NumSlots {
		r.bad = true
	}
	s.Span = base.Span{Lo: uint16(lo), Hi: uint16(hi)}
	s.Epoch = r.uvarint()
	s.Conf.Voters, s.Conf.Learners = r.ids(), r.ids()
	s.Conf.VotersOutgoing, s.Conf.LearnersNext = r.ids(), r.ids()
	s.Conf.AutoLeave = r.uvarint() != 0
	s.Members = r.members()
	s.Answers = r.answers()
	if len(r.b) != 0 {
		r.bad = true
	}
	if r.bad {
		return State{}, fmt.Errorf("%w: %d bytes", ErrState, len(b))
	}
	return s, nil
}

// DecodeMembers decodes what AppendMembers wrote.
func DecodeMembers(b []byte) (map[base.ReplicaID]base.NodeID, error) {
	r := stateReader{b: b}
	m := r.members()
	if r.bad || len(r.b) != 0 {
		return nil, fmt.Errorf("%w: members", ErrState)
	}
	return m, nil
}

// Bounds are the key ranges that belong to a partition: its slots,
// its own records, and for partition 0 the catalog's.
func Bounds(p base.PartitionID, span base.Span) []state.Bounds {
	var b []state.Bounds
	if !span.Empty() {
		lo, hi := keys.SpanBounds(span)
		b = append(b, state.Bounds{Lower: lo, Upper: hi})
	}
	if p == base.Catalog {
		lo, hi := keys.CatalogBounds()
		b = append(b, state.Bounds{Lower: lo, Upper: hi})
	}
	lo, hi := keys.MetaBounds(p)
	return append(b, state.Bounds{Lower: lo, Upper: hi})
}
