package logstore

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"coterie/internal/base"
)

const (
	flagRemove = 1 << iota
	flagReset
	flagEntries
	flagHardState
	flagTruncate
	flagsKnown = 1<<iota - 1
)

// minEntryBytes is what the smallest entry takes: checksum, type, term, length.
const minEntryBytes = 4 + 1 + 1 + 1

// change is an Update as the log's bookkeeping sees it: what it does, and
// where the entries are, without their data. Both Append and recovery work
// with it.
type change struct {
	flags     uint8
	partition base.PartitionID
	replica   base.ReplicaID
	reset     Mark
	hard      HardState
	truncate  Mark
	first     uint64
	refs      []entryRef
}

// entryRef is one entry of a record.
type entryRef struct {
	term uint64
	off  uint32 // from the start of the record
	size uint32 // as encoded
}

func appendMark(b []byte, m Mark) []byte {
	b = binary.AppendUvarint(b, m.Index)
	return binary.AppendUvarint(b, m.Term)
}

func appendHardState(b []byte, h HardState) []byte {
	b = binary.AppendUvarint(b, h.Term)
	b = binary.AppendUvarint(b, h.Vote)
	return binary.AppendUvarint(b, h.Commit)
}

func (d *decoder) mark() Mark { return Mark{Index: d.uvarint(), Term: d.uvarint()} }

func (d *decoder) hardState() HardState {
	return HardState{Term: d.uvarint(), Vote: d.uvarint(), Commit: d.uvarint()}
}

// partition reads a partition's id, which has 32 bits.
func (d *decoder) partition() base.PartitionID {
	v := d.uvarint()
	if v>>32 != 0 {
		d.fail()
	}
	return base.PartitionID(v)
}

// appendUpdate encodes u behind b, which starts with the record's header, and
// adds its entries to refs.
func appendUpdate(b []byte, u *Update, refs []entryRef) ([]byte, change, []entryRef, error) {
	c := change{partition: u.Partition, replica: u.Replica}
	at := len(b)
	b = append(b, 0)
	b = binary.AppendUvarint(b, uint64(u.Partition))
	b = binary.AppendUvarint(b, uint64(u.Replica))
	if u.Remove {
		c.flags |= flagRemove
	}
	if u.Reset != nil {
		c.flags |= flagReset
		c.reset = *u.Reset
		b = appendMark(b, c.reset)
	}
	if len(u.Entries) > 0 {
		c.flags |= flagEntries
		c.first = u.Entries[0].GetIndex()
		b = binary.AppendUvarint(b, uint64(len(u.Entries)))
		b = binary.AppendUvarint(b, c.first)
		start := len(refs)
		for i, e := range u.Entries {
			index := c.first + uint64(i)
			if e.GetIndex() != index {
				return b, c, refs, fmt.Errorf("%w: entry %d where %d belongs", ErrInvalid, e.GetIndex(), index)
			}
			if t := e.GetType(); t < 0 || t > 255 {
				return b, c, refs, fmt.Errorf("%w: entry %d has type %d", ErrInvalid, index, t)
			}
			off := len(b)
			if off+len(e.Data) > maxRecordBytes {
				return b, c, refs, fmt.Errorf("%w: one batch has more than %d bytes", ErrInvalid, maxRecordBytes)
			}
			b = appendEntry(b, u.Partition, index, e)
			refs = append(refs, entryRef{term: e.GetTerm(), off: uint32(off), size: uint32(len(b) - off)})
		}
		c.refs = refs[start:]
	}
	if u.HardState != nil {
		c.flags |= flagHardState
		c.hard = *u.HardState
		b = appendHardState(b, c.hard)
	}
	if u.Truncate != nil {
		c.flags |= flagTruncate
		c.truncate = *u.Truncate
		b = appendMark(b, c.truncate)
	}
	b[at] = c.flags
	return b, c, refs, nil
}

func appendEntry(b []byte, p base.PartitionID, index uint64, e *raftpb.Entry) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, byte(e.GetType()))
	b = binary.AppendUvarint(b, e.GetTerm())
	b = binary.AppendUvarint(b, uint64(len(e.Data)))
	b = append(b, e.Data...)
	binary.LittleEndian.PutUint32(b[at:], seededChecksum(uint64(p), index, b[at+4:]))
	return b
}

// entry is a decoded entry without its place.
type entry struct {
	typ  byte
	term uint64
	data []byte
}

// entry reads an entry; its checksum is verified by readEntry, when somebody
// wants the data.
func (d *decoder) entry() entry {
	d.bytes(4)
	return entry{typ: d.byte(), term: d.uvarint(), data: d.bytes(d.uvarint())}
}

// readEntry decodes the bytes of one whole entry.
func readEntry(b []byte, p base.PartitionID, index uint64) (entry, error) {
	if len(b) < minEntryBytes ||
		binary.LittleEndian.Uint32(b) != seededChecksum(uint64(p), index, b[4:]) {
		return entry{}, fmt.Errorf("%w: entry %d of partition %d", ErrCorrupt, index, p)
	}
	d := decoder{b: b}
	e := d.entry()
	if d.failed || d.pos != len(b) {
		return entry{}, fmt.Errorf("%w: entry %d of partition %d", ErrCorrupt, index, p)
	}
	return e, nil
}

// change reads one update of a batch's body. The places of its entries, from
// the start of the record, go to refs[:0].
func (d *decoder) change(refs []entryRef) (c change, _ []entryRef) {
	refs = refs[:0]
	c.flags = d.byte()
	if c.flags&^flagsKnown != 0 {
		d.fail()
	}
	c.partition = d.partition()
	c.replica = base.ReplicaID(d.uvarint())
	if c.flags&flagReset != 0 {
		c.reset = d.mark()
	}
	if c.flags&flagEntries != 0 {
		n := d.uvarint()
		c.first = d.uvarint()
		// No allocation by the count: only entries that are there take memory.
		for ; n > 0 && !d.failed; n-- {
			off := d.pos
			e := d.entry()
			refs = append(refs, entryRef{
				term: e.term,
				off:  uint32(recordHeaderBytes + off),
				size: uint32(d.pos - off),
			})
		}
		c.refs = refs
	}
	if c.flags&flagHardState != 0 {
		c.hard = d.hardState()
	}
	if c.flags&flagTruncate != 0 {
		c.truncate = d.mark()
	}
	return c, refs
}

// move is one entry of a move record.
type move struct {
	partition base.PartitionID
	index     uint64
	ref       entryRef
}

func appendMove(b []byte, p base.PartitionID, index uint64, raw []byte) []byte {
	b = binary.AppendUvarint(b, uint64(p))
	b = binary.AppendUvarint(b, index)
	return append(b, raw...)
}

func (d *decoder) move() move {
	m := move{partition: d.partition(), index: d.uvarint()}
	off := d.pos
	e := d.entry()
	m.ref = entryRef{term: e.term, off: uint32(recordHeaderBytes + off), size: uint32(d.pos - off)}
	return m
}

func appendShape(b []byte, p base.PartitionID, s *shape) []byte {
	b = binary.AppendUvarint(b, uint64(p))
	b = binary.AppendUvarint(b, uint64(s.replica))
	b = appendMark(b, s.mark)
	b = appendHardState(b, s.hard)
	b = binary.AppendUvarint(b, s.last)
	b = binary.AppendUvarint(b, uint64(len(s.runs)))
	for _, r := range s.runs {
		b = binary.AppendUvarint(b, r.first)
		b = binary.AppendUvarint(b, r.term)
	}
	return b
}

func (d *decoder) shape() (base.PartitionID, shape) {
	p := d.partition()
	s := shape{
		replica: base.ReplicaID(d.uvarint()),
		mark:    d.mark(),
		hard:    d.hardState(),
		last:    d.uvarint(),
	}
	for n := d.uvarint(); n > 0 && !d.failed; n-- {
		s.runs = append(s.runs, termRun{first: d.uvarint(), term: d.uvarint()})
	}
	if !d.failed && !s.valid() {
		d.fail()
	}
	return p, s
}
