package logstore

import (
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
)

const (
	// moveBytes is how much one Append may copy out of the oldest segment: this,
	// or as much as it wrote itself.
	moveBytes = 1 << 20
	// spareSegments is how many small segments there may be before they are
	// merged, beyond twice the number that their bytes would fill. Each restart
	// leaves one, and each keeps a file open.
	spareSegments = 8
)

// freeable says whether the oldest segment could be removed, if the log knew
// durably what is known in memory.
func (s *Store) freeable() bool {
	return len(s.mu.segments) > 1 && s.mu.segments[0].live == 0
}

// reclaim removes segments without live entries, and moves some live entries
// out of the oldest if it holds up too much. It is called when all that is
// known in memory is durable. Segments go in their order, so that the log never
// has a gap.
func (s *Store) reclaim(wrote int) error {
	if err := s.removeDead(); err != nil {
		return err
	}
	if !s.crowded() {
		return nil
	}
	if err := s.moveOldest(max(moveBytes, wrote)); err != nil {
		return err
	}
	return s.removeDead()
}

func (s *Store) removeDead() error {
	for s.freeable() {
		g := s.mu.segments[0]
		if err := s.fs.Remove(g.path); err != nil {
			return fmt.Errorf("removing segment %s: %w", g.path, err)
		}
		if err := s.syncDir(); err != nil {
			return err
		}
		s.mu.Lock()
		s.mu.segments = s.mu.segments[1:]
		s.mu.Unlock()
		g.unref()
	}
	return nil
}

// crowded says whether dead bytes, or many small segments, wait behind the
// oldest segment. Dead bytes may be two segments' worth, and as many as live
// ones: then a pass over the whole log copies at most as much as it frees.
func (s *Store) crowded() bool {
	sealed := s.mu.segments[:len(s.mu.segments)-1]
	if len(sealed) == 0 || sealed[0].damaged {
		return false
	}
	var total, live int64
	for _, g := range sealed {
		total += g.size
		live += g.liveBytes
	}
	return total-live > max(live, 2*s.opts.SegmentBytes) ||
		int64(len(sealed)) > spareSegments+2*(total/s.opts.SegmentBytes)
}

// moveOldest copies up to budget bytes of live entries (but at least one
// entry) from the oldest segment into a new record.
func (s *Store) moveOldest(budget int) error {
	oldest := s.mu.segments[0]
	s.buf = append(s.buf[:0], make([]byte, recordHeaderBytes)...)
	var moves []move
	for _, p := range slices.Sorted(maps.Keys(s.mu.replicas)) {
		var err error
		moves, err = s.gather(p, oldest, budget, moves)
		if err != nil {
			// The entry is lost, not the others: the segment stays, and who reads
			// the entry gets the error.
			oldest.damaged = true
			s.opts.Logger.Error("live entries cannot be moved out of a log segment",
				"segment", oldest.path, "error", err)
			return nil
		}
		if len(s.buf) >= budget {
			break
		}
	}
	return s.write(recordMove, func(g *segment, off int64) error {
		for i := range moves {
			if err := s.applyMove(&moves[i], g, off); err != nil {
				return err
			}
		}
		return nil
	})
}

// gather adds the partition's entries that are in the oldest segment to s.buf
// and moves, until the budget is used up.
func (s *Store) gather(p base.PartitionID, oldest *segment, budget int, moves []move) ([]move, error) {
	r := s.mu.replicas[p]
	for i := 0; i < len(r.locs) && len(s.buf) < budget; {
		if uint64(r.locs[i].segment) != oldest.seq {
			i++
			continue
		}
		sp := span{segment: oldest, locs: r.locs[i : i+spanLen(r.locs[i:])]}
		buf, err := sp.load()
		if err != nil {
			return moves, err
		}
		for k := range sp.locs {
			if len(s.buf) >= budget && len(moves) > 0 {
				break
			}
			index, raw := r.locFirst+uint64(i), sp.raw(buf, k)
			e, err := readEntry(raw, p, index)
			if err != nil {
				return moves, fmt.Errorf("offset %d: %w", sp.locs[k].off, err)
			}
			s.buf = appendMove(s.buf, p, index, raw)
			moves = append(moves, move{partition: p, index: index, ref: entryRef{
				term: e.term, off: uint32(len(s.buf) - len(raw)), size: uint32(len(raw)),
			}})
			i++
		}
	}
	return moves, nil
}

// applyMove notes that an entry is now in the record at off in g. The caller
// holds the lock.
func (s *Store) applyMove(m *move, g *segment, off int64) error {
	r := s.mu.replicas[m.partition]
	if r == nil || m.index <= r.mark.Index || m.index > r.last || r.term(m.index) != m.ref.term {
		return fmt.Errorf("%w: moved entry %d, term %d of partition %d is not in its log",
			ErrInvalid, m.index, m.ref.term, m.partition)
	}
	l := loc{segment: uint32(g.seq), off: uint32(off) + m.ref.off, size: m.ref.size}
	if m.index < r.locFirst {
		if r.moved == nil {
			r.moved = make(map[uint64]loc)
		}
		r.moved[m.index] = l
		return nil
	}
	at := &r.locs[m.index-r.locFirst]
	s.release([]loc{*at})
	*at = l
	g.live++
	g.liveBytes += int64(l.size)
	return nil
}
