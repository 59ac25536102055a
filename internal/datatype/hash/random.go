package hash

import (
	"bytes"
	"math/bits"

	"coterie/internal/command"
)

func hRandField(c *command.Ctx) {
	if len(c.Args) == 2 {
		h, ok := open(c, c.Args[1])
		switch {
		case !ok:
		case h.len() == 0:
			c.Out.Null()
		default:
			field, _ := h.random()
			c.Out.Bulk(field)
		}
		return
	}
	count, withValues, ok := c.SampleSize("WITHVALUES")
	if !ok {
		return
	}
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	s := sample{c: c, h: &h, start: len(c.Out.Buf), withValues: withValues}
	switch n := int64(h.len()); {
	case n == 0 || count == 0:
		c.Out.Array(0)
	case count < 0:
		s.withRepeats(-count)
	default:
		s.distinct(min(count, n))
	}
}

// sample replies with fields picked at random.
type sample struct {
	c          *command.Ctx
	h          *value
	start      int // of the reply
	withValues bool
}

// begin begins a reply of n picks.
func (s *sample) begin(n int64) {
	if s.withValues && s.c.Out.Proto != 3 {
		n *= 2
	}
	s.c.Out.Array(int(n))
}

// add adds a pick; ok is false when the reply became too large, and an error.
func (s *sample) add(field, v []byte) (ok bool) {
	if s.withValues && s.c.Out.Proto == 3 {
		s.c.Out.Array(2)
	}
	s.c.Out.Bulk(field)
	if s.withValues {
		s.c.Out.Bulk(v)
	}
	return s.c.Fits(s.start)
}

// maxGathered is up to how many fields are gathered before some are picked.
const maxGathered = 1 << 14

func (s *sample) withRepeats(n int64) {
	s.begin(n)
	pick := s.h.random
	if all := s.h.len(); s.h.big && all <= maxGathered && int64(all) <= 4*n {
		pick = s.h.gathered()
	}
	for range n {
		if !s.add(pick()) {
			return
		}
	}
}

// distinct picks n different fields: by walking through all when that is not
// much more than n, else by drawing until there are enough.
func (s *sample) distinct(n int64) {
	all := int64(s.h.len())
	s.begin(n)
	if n*3 >= all || all <= maxInlineFields {
		s.h.each(func(field, v []byte) bool {
			if int64(s.c.Txn.Rand()%uint64(all)) < n {
				n--
				if !s.add(field, v) {
					return false
				}
			}
			all--
			return n > 0
		})
		return
	}
	seen := make(map[string]bool, n)
	for int64(len(seen)) < n {
		field, v := s.h.random()
		if seen[string(field)] {
			continue
		}
		seen[string(field)] = true
		if !s.add(field, v) {
			return
		}
	}
}

// How a field of a large hash is picked. The space of hashes is divided into
// equal parts, so that four to eight fields lie in one, as hashes are spread
// evenly. A part and a number below maxPart are drawn until the part has so
// many fields; then every field has the same chance, exactly.
const (
	hashBits = 48
	maxPart  = 32 // fields; more would be without a chance, and is treated apart
	maxDraws = 64 // parts; then the hashes that are left are not spread evenly
	window   = 64 // fields to choose from behind a random hash, in that case
)

// random is some field of a hash that is not empty; field and v are the
// caller's.
func (h *value) random() (field, v []byte) {
	if !h.big {
		n := int(h.space.Txn.Rand() % uint64(h.len()))
		h.each(func(f, val []byte) bool {
			field, v = bytes.Clone(f), bytes.Clone(val)
			n--
			return n >= 0
		})
		return field, v
	}
	partBits := max(bits.Len64(h.obj.Count)-3, 0)
	width := uint64(1) << (hashBits - partBits)
	for range maxDraws {
		r := h.space.Txn.Rand()
		at, n := r>>(64-partBits)*width, int(r%maxPart)
		seen := 0
		h.part(at, at+width, maxPart+1, func(f, val []byte) {
			if seen == n {
				field, v = bytes.Clone(f), bytes.Clone(val)
			}
			seen++
		})
		if seen > maxPart {
			field, v = h.near(at+h.space.Txn.Rand()%width, at, at+width)
		}
		if field != nil {
			return field, v
		}
	}
	return h.near(h.space.Txn.Rand()>>(64-hashBits), 0, 1<<hashBits)
}

// part visits up to n fields whose hashes are from lower to below upper.
func (h *value) part(lower, upper uint64, n int, visit func(field, v []byte)) {
	h.from(lower, func(e found) bool {
		if e.hash >= upper {
			return false
		}
		if !e.past {
			visit(e.field, e.value)
			n--
		}
		return n > 0
	})
}

// near is one of the fields next behind a place, going on at lower when upper
// is reached; there is one.
func (h *value) near(at, lower, upper uint64) (field, v []byte) {
	seen := uint64(0)
	take := func(f, val []byte) {
		if seen++; h.space.Txn.Rand()%seen == 0 {
			field, v = bytes.Clone(f), bytes.Clone(val)
		}
	}
	h.part(at, upper, window, take)
	h.part(lower, at, window-int(seen), take)
	return field, v
}

// gathered fetches all fields, and returns how to pick one of them.
func (h *value) gathered() func() (field, v []byte) {
	var all [][2][]byte
	h.each(func(f, v []byte) bool {
		all = append(all, [2][]byte{bytes.Clone(f), bytes.Clone(v)})
		return true
	})
	return func() (field, v []byte) {
		p := all[h.space.Txn.Rand()%uint64(len(all))]
		return p[0], p[1]
	}
}
