package logstore

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"coterie/internal/base"
)

const (
	// maxGapBytes is the most that one read takes along between two entries, to
	// save a read of its own.
	maxGapBytes = 4 << 10
	// maxSpanBytes bounds one read, a single bigger entry excepted. Entries that
	// came from one read share its memory.
	maxSpanBytes = 1 << 20
)

// Term is the term of the entry at index, or of the mark before the first. As
// in raft.Storage, the error is raft.ErrCompacted below that, and
// raft.ErrUnavailable behind the last entry.
func (s *Store) Term(p base.PartitionID, index uint64) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.err != nil {
		return 0, s.mu.err
	}
	r := s.mu.replicas[p]
	switch {
	case r == nil || index > r.last:
		return 0, raft.ErrUnavailable
	case index < r.mark.Index:
		return 0, raft.ErrCompacted
	}
	return r.term(index), nil
}

// Entries reads the entries lo <= index < hi, at least one, and then as many
// as fit into maxBytes, counted as they are stored (a few bytes more than their
// data). The error is raft.ErrCompacted if lo is below the first entry, and
// raft.ErrUnavailable if hi-1 is behind the last. An entry that was damaged on
// the medium gives an error that wraps ErrCorrupt. The entries are the
// caller's; their data may share memory.
func (s *Store) Entries(p base.PartitionID, lo, hi, maxBytes uint64) ([]*raftpb.Entry, error) {
	if lo >= hi {
		return nil, s.failure()
	}
	spans, n, err := s.spans(p, lo, hi, maxBytes)
	if err != nil {
		return nil, err
	}
	rows := make([]entryRow, 0, n)
	for i := range spans {
		if err == nil {
			rows, err = spans[i].read(p, lo+uint64(len(rows)), rows)
		}
		spans[i].segment.unref()
	}
	if err != nil {
		return nil, err
	}
	entries := make([]*raftpb.Entry, n)
	for i := range rows {
		entries[i] = rows[i].link()
	}
	return entries, nil
}

// entryRow holds an entry and all it points to: one allocation for many entries.
type entryRow struct {
	entry       raftpb.Entry
	index, term uint64
	typ         raftpb.EntryType
}

func (r *entryRow) link() *raftpb.Entry {
	r.entry.Index, r.entry.Term, r.entry.Type = &r.index, &r.term, &r.typ
	return &r.entry
}

// span is a number of entries that one read brings.
type span struct {
	segment *segment
	locs    []loc
}

// spans looks up where the entries are, and holds their segments until the
// caller gives each span's back.
func (s *Store) spans(p base.PartitionID, lo, hi, maxBytes uint64) (spans []span, n int, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.err != nil {
		return nil, 0, s.mu.err
	}
	r := s.mu.replicas[p]
	switch {
	case r == nil || hi-1 > r.last:
		return nil, 0, raft.ErrUnavailable
	case lo <= r.mark.Index:
		return nil, 0, raft.ErrCompacted
	}
	locs := r.locs[lo-r.locFirst : hi-r.locFirst]
	var bytes uint64
	for n < len(locs) {
		if bytes += uint64(locs[n].size); n > 0 && bytes > maxBytes {
			break
		}
		n++
	}
	for rest := slices.Clone(locs[:n]); len(rest) > 0; {
		g, k := s.segment(rest[0].segment), spanLen(rest)
		g.refs.Add(1)
		spans = append(spans, span{segment: g, locs: rest[:k]})
		rest = rest[k:]
	}
	return spans, n, nil
}

// spanLen is how many of the locs, from the first one on, one read can bring.
func spanLen(locs []loc) int {
	first := locs[0]
	for i, next := range locs[1:] {
		end := locs[i].off + locs[i].size
		if next.segment != first.segment || next.off < end || next.off-end > maxGapBytes ||
			next.off+next.size-first.off > maxSpanBytes {
			return i + 1
		}
	}
	return len(locs)
}

// load reads the span's bytes: from its first entry to the end of its last.
func (sp *span) load() ([]byte, error) {
	first, last := sp.locs[0], sp.locs[len(sp.locs)-1]
	buf := make([]byte, last.off+last.size-first.off)
	if n, err := sp.segment.file.ReadAt(buf, int64(first.off)); n != len(buf) {
		return nil, fmt.Errorf("reading %d bytes of %s at offset %d: %w", len(buf), sp.segment.path, first.off, err)
	}
	return buf, nil
}

// raw is the i-th entry in what load returned.
func (sp *span) raw(buf []byte, i int) []byte {
	from := sp.locs[i].off - sp.locs[0].off
	to := from + sp.locs[i].size
	return buf[from:to:to]
}

// read adds the span's entries, which begin at index, to rows.
func (sp *span) read(p base.PartitionID, index uint64, rows []entryRow) ([]entryRow, error) {
	buf, err := sp.load()
	if err != nil {
		return rows, err
	}
	for i := range sp.locs {
		e, err := readEntry(sp.raw(buf, i), p, index)
		if err != nil {
			return rows, fmt.Errorf("%s: offset %d: %w", sp.segment.path, sp.locs[i].off, err)
		}
		rows = rows[:len(rows)+1]
		row := &rows[len(rows)-1]
		row.index, row.term, row.typ = index, e.term, raftpb.EntryType(e.typ)
		if len(e.data) > 0 {
			row.entry.Data = e.data[:len(e.data):len(e.data)]
		}
		index++
	}
	return rows, nil
}
