package partition

import (
	"fmt"
	"slices"

	"coterie/internal/storage/logstore"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// LogReader reads what the log store holds durably.
type LogReader interface {
	Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error)
	Term(index uint64) (uint64, error)
}

// cacheBytes bounds the entries that a replica keeps in memory beyond those
// that it still needs, for followers a little behind.
const cacheBytes = 1 << 20

// logView is the replica's log as raft reads it: recent entries from memory,
// older ones through the reader. It is updated when an append is handed out,
// before it is durable; raft asks for entries here only once they are.
type logView struct {
	reader LogReader
	hard   *pb.HardState
	conf   *pb.ConfState
	mark   logstore.Mark // the log starts after this
	last   uint64

	cache      []*pb.Entry // contiguous, ending at last
	cacheSize  int
	stable     uint64 // durable up to here
	snapshotAt func() (*pb.Snapshot, error)
}

var _ raft.Storage = (*logView)(nil)

func (l *logView) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return l.hard, l.conf, nil
}

func (l *logView) FirstIndex() (uint64, error) { return l.mark.Index + 1, nil }
func (l *logView) LastIndex() (uint64, error)  { return l.last, nil }

func (l *logView) Snapshot() (*pb.Snapshot, error) { return l.snapshotAt() }

// cached is the index of the first cached entry; last+1 if there is none.
func (l *logView) cached() uint64 { return l.last + 1 - uint64(len(l.cache)) }

func (l *logView) Term(i uint64) (uint64, error) {
	switch {
	case i == l.mark.Index:
		return l.mark.Term, nil
	case i < l.mark.Index:
		return 0, raft.ErrCompacted
	case i > l.last:
		return 0, raft.ErrUnavailable
	case i >= l.cached():
		return l.cache[i-l.cached()].GetTerm(), nil
	}
	return l.reader.Term(i)
}

func (l *logView) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if lo <= l.mark.Index {
		return nil, raft.ErrCompacted
	}
	if hi > l.last+1 {
		return nil, raft.ErrUnavailable
	}
	first := l.cached()
	if lo < first {
		// raft accepts fewer entries than it asked for.
		return l.reader.Entries(lo, min(hi, first), maxSize)
	}
	ents := l.cache[lo-first : hi-first]
	var size uint64
	for i, e := range ents {
		size += uint64(len(e.GetData())) + entryOverhead
		if size > maxSize && i > 0 {
			ents = ents[:i]
			break
		}
	}
	// A copy: messages made of it are still to be sent when shrink clears what
	// the cache no longer holds.
	return slices.Clone(ents), nil
}

// entryOverhead estimates an entry's bytes besides its data.
const entryOverhead = 24

// append notes entries that are being written; they replace what overlaps.
func (l *logView) append(ents []*pb.Entry) error {
	if len(ents) == 0 {
		return nil
	}
	first := ents[0].GetIndex()
	if first > l.last+1 || first <= l.mark.Index {
		return fmt.Errorf("partition: append at %d to a log of %d-%d", first, l.mark.Index+1, l.last)
	}
	if first <= l.last { // a conflicting suffix goes away
		if keep := first - min(first, l.cached()); keep == 0 {
			l.cache = nil
			l.cacheSize = 0
		} else {
			for _, e := range l.cache[keep:] {
				l.cacheSize -= len(e.GetData()) + entryOverhead
			}
			l.cache = l.cache[:keep:keep]
		}
		l.stable = min(l.stable, first-1)
	}
	for _, e := range ents {
		l.cacheSize += len(e.GetData()) + entryOverhead
	}
	l.cache = append(l.cache, ents...)
	l.last = ents[len(ents)-1].GetIndex()
	return nil
}

// shrink drops cached entries that are durable and applied, oldest first,
// until the rest is within bounds.
func (l *logView) shrink(applied uint64) {
	limit := min(l.stable, applied)
	n := 0
	for n < len(l.cache) && l.cacheSize > cacheBytes && l.cache[n].GetIndex() <= limit {
		l.cacheSize -= len(l.cache[n].GetData()) + entryOverhead
		l.cache[n] = nil
		n++
	}
	l.cache = l.cache[n:]
}

// truncate forgets entries up to mark.
func (l *logView) truncate(mark logstore.Mark) {
	if first := l.cached(); mark.Index >= first {
		n := mark.Index - first + 1
		for _, e := range l.cache[:n] {
			l.cacheSize -= len(e.GetData()) + entryOverhead
		}
		l.cache = l.cache[n:]
	}
	l.mark = mark
}

// reset starts the log anew after mark: a snapshot took its place.
func (l *logView) reset(mark logstore.Mark) {
	l.mark, l.last, l.stable = mark, mark.Index, mark.Index
	l.cache, l.cacheSize = nil, 0
}
