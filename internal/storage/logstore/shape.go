package logstore

import (
	"fmt"
	"slices"

	"coterie/internal/base"
)

// shape is everything about a replica's log but where the entries are: enough
// to say whether a change fits, before it is written or replayed.
type shape struct {
	replica base.ReplicaID
	mark    Mark   // the entry before the first one
	last    uint64 // index of the last entry, or of the mark
	hard    HardState
	runs    []termRun // over mark.Index+1 .. last
}

// termRun says that entries from first up to the next run have this term.
type termRun struct{ first, term uint64 }

func (s *shape) copyFrom(o *shape) {
	runs := append(s.runs[:0], o.runs...)
	*s = *o
	s.runs = runs
}

func (s *shape) equal(o *shape) bool {
	return s.replica == o.replica && s.mark == o.mark && s.last == o.last &&
		s.hard == o.hard && slices.Equal(s.runs, o.runs)
}

// valid says whether a decoded shape is one that a log can have.
func (s *shape) valid() bool {
	if s.mark.Index > s.last || s.last > maxIndex || (s.last == s.mark.Index) != (len(s.runs) == 0) {
		return false
	}
	next, term := s.mark.Index+1, s.mark.Term
	for i, r := range s.runs {
		if i == 0 && r.first != next || i > 0 && (r.first < next || r.term == term) ||
			r.first > s.last || r.term < term {
			return false
		}
		next, term = r.first+1, r.term
	}
	return true
}

// term is the term of the entry at index, for mark.Index <= index <= last.
func (s *shape) term(index uint64) uint64 {
	for i := len(s.runs) - 1; i >= 0; i-- {
		if s.runs[i].first <= index {
			return s.runs[i].term
		}
	}
	return s.mark.Term
}

// apply carries c out, or says why it does not fit; s is then no longer of use.
func (s *shape) apply(c *change) error {
	if c.flags&flagReset != 0 {
		if c.reset.Index > maxIndex {
			return fmt.Errorf("%w: reset to index %d", ErrInvalid, c.reset.Index)
		}
		s.mark, s.last, s.runs = c.reset, c.reset.Index, s.runs[:0]
	}
	if c.flags&flagEntries != 0 {
		if err := s.append(c.first, c.refs); err != nil {
			return err
		}
	}
	if c.flags&flagHardState != 0 {
		s.hard = c.hard
	}
	if c.flags&flagTruncate != 0 {
		return s.truncate(c.truncate)
	}
	return nil
}

// append replaces what is at first and behind it by the given entries.
func (s *shape) append(first uint64, refs []entryRef) error {
	if first <= s.mark.Index || first > s.last+1 || first+uint64(len(refs)) > maxIndex {
		return fmt.Errorf("%w: %d entries from %d do not fit into %d..%d",
			ErrInvalid, len(refs), first, s.mark.Index+1, s.last)
	}
	for len(s.runs) > 0 && s.runs[len(s.runs)-1].first >= first {
		s.runs = s.runs[:len(s.runs)-1]
	}
	s.last = first - 1
	term := s.term(s.last)
	for _, ref := range refs {
		s.last++
		if ref.term < term {
			return fmt.Errorf("%w: entry %d has term %d behind term %d", ErrInvalid, s.last, ref.term, term)
		}
		if ref.term > term || len(s.runs) == 0 {
			s.runs = append(s.runs, termRun{first: s.last, term: ref.term})
			term = ref.term
		}
	}
	return nil
}

// truncate forgets the entries up to m. A mark below the log's own changes nothing.
func (s *shape) truncate(m Mark) error {
	if m.Index < s.mark.Index {
		return nil
	}
	if m.Index > s.last {
		return fmt.Errorf("%w: truncation at %d behind the last entry, %d", ErrInvalid, m.Index, s.last)
	}
	if t := s.term(m.Index); t != m.Term {
		return fmt.Errorf("%w: truncation at %d names term %d, the entry has %d", ErrInvalid, m.Index, m.Term, t)
	}
	s.mark = m
	drop := 0
	for drop < len(s.runs) && s.lastOfRun(drop) <= m.Index {
		drop++
	}
	s.runs = append(s.runs[:0], s.runs[drop:]...)
	if len(s.runs) > 0 {
		s.runs[0].first = max(s.runs[0].first, m.Index+1)
	}
	return nil
}

func (s *shape) lastOfRun(i int) uint64 {
	if i+1 < len(s.runs) {
		return s.runs[i+1].first - 1
	}
	return s.last
}
