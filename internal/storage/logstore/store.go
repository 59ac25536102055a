package logstore

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"coterie/internal/base"
)

// Mark is a place in a log: the index and term of an entry.
type Mark struct{ Index, Term uint64 }

// HardState is what Raft must remember of a replica over a restart.
type HardState struct{ Term, Vote, Commit uint64 }

// Update is one replica's part of a batch. Its fields apply in their order.
// A partition has one replica in the store: an update for another one needs
// a Remove of the old one before it.
type Update struct {
	Partition base.PartitionID
	Replica   base.ReplicaID
	// Remove forgets the replica's log and hard state entirely. It is no error
	// if there is none.
	Remove bool
	// Reset discards all entries: the log now begins behind the mark. The hard
	// state stays.
	Reset *Mark
	// Entries are contiguous and begin at most one behind the last entry, and
	// behind the mark; what is there from the first one's index on is replaced.
	Entries   []*raftpb.Entry
	HardState *HardState
	// Truncate says that entries up to the mark are no longer needed. The mark
	// is an entry of the log; one below the log's beginning changes nothing.
	Truncate *Mark
}

// State is what the store knows of a replica.
type State struct {
	Partition base.PartitionID
	Replica   base.ReplicaID
	// First and Last are the indexes of the first and last entry; without any,
	// First is Last+1.
	First, Last uint64
	// Mark is the entry before First.
	Mark      Mark
	HardState HardState
}

// Options are a Store's settings. The zero value is good.
type Options struct {
	// SegmentBytes is the size at which a segment ends; default 64 MiB, at most
	// 1 GiB. A segment that holds one bigger record is bigger.
	SegmentBytes int64
	Logger       *slog.Logger // default: none
}

const defaultSegmentBytes = 64 << 20

// keepBufferBytes bounds the encoding buffer that is kept from one Append to
// the next.
const keepBufferBytes = 16 << 20

// Store is the log. Append and Close belong to one goroutine at a time;
// everything else may be called from any.
type Store struct {
	fs      vfs.FS
	dir     string
	dirFile vfs.File
	opts    Options

	// The writer's own.
	seq     uint64 // of the last record; all up to it are durable
	dirty   []base.PartitionID
	buf     []byte // the record being built
	changes []change
	refs    []entryRef
	shadows map[base.PartitionID]*shadow
	spare   []*shadow

	// Only the writer changes what mu guards, so the writer reads it without
	// the lock. The lock is never held over I/O.
	mu struct {
		sync.RWMutex
		replicas map[base.PartitionID]*replica
		segments []*segment // by ascending number, without gaps
		err      error      // ErrBroken or ErrClosed
	}
}

// replica is one replica's log in memory.
type replica struct {
	shape
	// dirty: a commit index or a truncation is not in the log yet.
	dirty bool
	// locs says where the entries are, from index locFirst on, which is
	// mark.Index+1 but during recovery.
	locs     []loc
	locFirst uint64
	// moved holds what move records said of entries below locFirst. Recovery only.
	moved map[uint64]loc
}

// loc is the place of an encoded entry.
type loc struct {
	segment uint32 // 0: not known, in recovery only
	off     uint32
	size    uint32
}

// shadow is what a replica's shape will be, while a batch is checked.
type shadow struct {
	shape
	exists bool
}

// Append makes the updates part of the log, in their order, as one record. It
// returns when they are durable; but a commit index that advanced and a
// truncation are remembered only, and written with the next record, unless the
// truncation frees a segment. An error that wraps ErrInvalid means that nothing
// was done; any other is final.
func (s *Store) Append(updates []Update) error {
	if err := s.failure(); err != nil {
		return err
	}
	durable, err := s.stage(updates)
	if err != nil {
		return err
	}
	if !durable {
		if err := s.hold(); err != nil {
			return s.fail(err)
		}
		if !s.freeable() {
			return nil
		}
		if _, err := s.stage(nil); err != nil {
			return s.fail(err)
		}
	}
	bytes := len(s.buf)
	if err := s.writeChanges(); err != nil {
		return s.fail(err)
	}
	if err := s.reclaim(bytes); err != nil {
		return s.fail(err)
	}
	return nil
}

// stage encodes what is still to be written and the updates into s.buf and
// s.changes, checks that they fit, and says whether they must be durable now.
func (s *Store) stage(updates []Update) (durable bool, err error) {
	if cap(s.buf) > keepBufferBytes {
		s.buf = nil
	}
	s.buf = append(s.buf[:0], make([]byte, recordHeaderBytes)...)
	s.changes, s.refs = s.changes[:0], s.refs[:0]
	for _, sh := range s.shadows {
		s.spare = append(s.spare, sh)
	}
	clear(s.shadows)

	slices.Sort(s.dirty)
	for _, p := range s.dirty {
		r := s.mu.replicas[p]
		if r == nil || !r.dirty {
			continue
		}
		if _, err := s.add(&Update{
			Partition: p, Replica: r.replica, HardState: &r.hard, Truncate: &r.mark,
		}); err != nil {
			return false, err
		}
	}
	for i := range updates {
		d, err := s.add(&updates[i])
		if err != nil {
			return false, fmt.Errorf("partition %d, replica %d: %w",
				updates[i].Partition, updates[i].Replica, err)
		}
		durable = durable || d
	}
	if len(s.buf) > maxRecordBytes {
		return false, fmt.Errorf("%w: one batch has more than %d bytes", ErrInvalid, maxRecordBytes)
	}
	return durable, nil
}

func (s *Store) add(u *Update) (durable bool, err error) {
	var c change
	s.buf, c, s.refs, err = appendUpdate(s.buf, u, s.refs)
	if err != nil {
		return false, err
	}
	s.changes = append(s.changes, c)
	return s.shadow(c.partition).check(&c)
}

// shadow is the partition's replica as it will be after the changes so far.
func (s *Store) shadow(p base.PartitionID) *shadow {
	sh := s.shadows[p]
	if sh == nil {
		if n := len(s.spare); n > 0 {
			sh, s.spare = s.spare[n-1], s.spare[:n-1]
		} else {
			sh = new(shadow)
		}
		s.shadows[p] = sh
		r := s.mu.replicas[p]
		if sh.exists = r != nil; sh.exists {
			sh.copyFrom(&r.shape)
		}
	}
	return sh
}

// check carries c out on the shadow. It says whether c fits, and whether it
// must be durable when Append returns.
func (sh *shadow) check(c *change) (durable bool, err error) {
	if sh.exists && c.flags != 0 && sh.replica != c.replica {
		return false, fmt.Errorf("%w: the partition's replica is %d", ErrInvalid, sh.replica)
	}
	if c.flags&flagRemove != 0 {
		durable, sh.exists = sh.exists, false
	}
	if c.flags&^flagRemove == 0 {
		return durable, nil
	}
	if !sh.exists {
		sh.shape = shape{replica: c.replica, runs: sh.runs[:0]}
		sh.exists, durable = true, true
	}
	if c.flags&(flagReset|flagEntries) != 0 ||
		c.flags&flagHardState != 0 && (c.hard.Term != sh.hard.Term || c.hard.Vote != sh.hard.Vote) {
		durable = true
	}
	return durable, sh.shape.apply(c)
}

// hold applies the staged changes in memory; the next record will bring them.
func (s *Store) hold() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.changes {
		c := &s.changes[i]
		if err := s.apply(c, nil, 0); err != nil {
			return err
		}
		if r := s.mu.replicas[c.partition]; r != nil && !r.dirty && c.flags != 0 {
			r.dirty = true
			s.dirty = append(s.dirty, c.partition)
		}
	}
	return nil
}

// writeChanges makes the staged changes durable and then visible.
func (s *Store) writeChanges() error {
	err := s.write(recordBatch, func(g *segment, off int64) error {
		for i := range s.changes {
			if err := s.apply(&s.changes[i], g, off); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range s.dirty {
		if r := s.mu.replicas[p]; r != nil {
			r.dirty = false
		}
	}
	s.dirty = s.dirty[:0]
	return nil
}

// write makes s.buf the next record, durable, and calls done with its place
// under the lock.
func (s *Store) write(typ recordType, done func(*segment, int64) error) error {
	g := s.current()
	if g.size > g.start && g.size+int64(len(s.buf)) > s.opts.SegmentBytes {
		if err := s.roll(); err != nil {
			return err
		}
		g = s.current()
	}
	off, end := g.size, g.size+int64(len(s.buf))
	sealRecord(s.buf, g.seq, record{off: off, seq: s.seq + 1, durable: s.seq, typ: typ})
	s.buf = s.zeroAhead(g, s.buf, off)
	if err := writeAt(g.file, s.buf, off); err != nil {
		return fmt.Errorf("writing to %s at offset %d: %w", g.path, off, err)
	}
	if err := g.file.SyncData(); err != nil {
		return fmt.Errorf("syncing %s: %w", g.path, err)
	}
	s.seq++
	s.mu.Lock()
	defer s.mu.Unlock()
	g.size = end
	return done(g, off)
}

// apply carries c out in memory; its entries are in the record at off in g.
// The caller holds the lock. An error means that c does not fit.
func (s *Store) apply(c *change, g *segment, off int64) error {
	r := s.mu.replicas[c.partition]
	if r != nil && c.flags != 0 && r.replica != c.replica {
		return fmt.Errorf("%w: partition %d has replica %d, not %d", ErrInvalid, c.partition, r.replica, c.replica)
	}
	if c.flags&flagRemove != 0 && r != nil {
		s.release(r.locs)
		delete(s.mu.replicas, c.partition)
		r = nil
	}
	if c.flags&^flagRemove == 0 {
		return nil
	}
	if r == nil {
		r = &replica{shape: shape{replica: c.replica}, locFirst: 1}
		s.mu.replicas[c.partition] = r
	}
	if err := r.shape.apply(c); err != nil {
		return fmt.Errorf("partition %d: %w", c.partition, err)
	}
	if c.flags&flagReset != 0 {
		s.release(r.locs)
		r.locs, r.locFirst, r.moved = nil, c.reset.Index+1, nil
	}
	if c.flags&flagEntries != 0 {
		keep := uint64(0)
		if c.first < r.locFirst {
			r.locFirst = c.first
		} else {
			keep = c.first - r.locFirst
		}
		s.release(r.locs[keep:])
		r.locs = r.locs[:keep]
		for _, ref := range c.refs {
			r.locs = append(r.locs, loc{segment: uint32(g.seq), off: uint32(off) + ref.off, size: ref.size})
			g.live++
			g.liveBytes += int64(ref.size)
		}
	}
	if next := r.mark.Index + 1; next > r.locFirst {
		n := min(next-r.locFirst, uint64(len(r.locs)))
		s.release(r.locs[:n])
		r.locs, r.locFirst = r.locs[n:], next
	}
	return nil
}

// release takes entries out of the count of live ones.
func (s *Store) release(locs []loc) {
	for _, l := range locs {
		if g := s.segment(l.segment); g != nil {
			g.live--
			g.liveBytes -= int64(l.size)
		}
	}
}

// segment is the open segment of that number, or nil.
func (s *Store) segment(seq uint32) *segment {
	if len(s.mu.segments) == 0 {
		return nil
	}
	i := uint64(seq) - s.mu.segments[0].seq
	if i >= uint64(len(s.mu.segments)) {
		return nil
	}
	return s.mu.segments[i]
}

// current is the segment that is being written; nil before the first.
func (s *Store) current() *segment {
	if n := len(s.mu.segments); n > 0 {
		return s.mu.segments[n-1]
	}
	return nil
}

// fail ends the store with err, unless it has ended already.
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err == nil {
		s.mu.err = fmt.Errorf("%w: %w", ErrBroken, err)
		s.opts.Logger.Error("log store is broken and takes nothing any more", "dir", s.dir, "error", err)
	}
	return s.mu.err
}

func (s *Store) failure() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.err
}

// Replicas lists the replicas of the store by ascending partition.
func (s *Store) Replicas() []State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	states := make([]State, 0, len(s.mu.replicas))
	for _, p := range slices.Sorted(maps.Keys(s.mu.replicas)) {
		states = append(states, s.mu.replicas[p].state(p))
	}
	return states
}

// State is what the store knows of the partition's replica, if there is one.
func (s *Store) State(p base.PartitionID) (State, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.mu.replicas[p]
	if r == nil {
		return State{}, false
	}
	return r.state(p), true
}

func (r *replica) state(p base.PartitionID) State {
	return State{
		Partition: p,
		Replica:   r.replica,
		First:     r.mark.Index + 1,
		Last:      r.last,
		Mark:      r.mark,
		HardState: r.hard,
	}
}

// Size is the length of all segments' records, and the number of segments.
func (s *Store) Size() (bytes int64, segments int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.mu.segments {
		bytes += g.size
	}
	return bytes, len(s.mu.segments)
}

// Close writes what was only remembered, and a last record that makes damage
// to the one before it visible to the next Open, and gives the files back. Of a
// broken store it returns the error that broke it.
func (s *Store) Close() error {
	err := s.failure()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err == nil {
		_, err = s.stage(nil)
		if err == nil {
			err = s.writeChanges()
		}
		if err != nil {
			err = s.fail(err)
		}
	}
	s.mu.Lock()
	segments := s.mu.segments
	s.mu.segments, s.mu.err = nil, ErrClosed
	s.mu.Unlock()
	for _, g := range segments {
		g.unref()
	}
	if cerr := s.dirFile.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("closing directory %s: %w", s.dir, cerr)
	}
	return err
}
