package hash

import (
	"math"
	"strconv"

	"coterie/internal/command"
)

func hScan(c *command.Ctx) {
	cursor, ok := command.ParseCursor(c.Args[2])
	if !ok {
		c.Fail(command.ErrCursor)
		return
	}
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if h.len() == 0 {
		c.ScanReply(0, nil)
		return
	}
	o, ok := c.ScanOptions(3, false)
	if !ok {
		return
	}
	c.Buf = c.Buf[:0]
	var found [][]byte
	take := func(field, v []byte) {
		if o.Matches(field) {
			found = append(found, append([]byte(nil), field...), append([]byte(nil), v...))
		}
	}
	if !h.big {
		h.each(func(field, v []byte) bool { take(field, v); return true })
		c.ScanReply(0, found)
		return
	}
	next, looked, last := uint64(0), 0, uint64(0)
	if cursor >= 1<<48 {
		c.ScanReply(0, nil)
		return
	}
	h.from(cursor, func(hash uint64, field, v []byte) bool {
		if looked >= o.Count && hash != last {
			next = last + 1
			return false
		}
		looked, last = looked+1, hash
		take(field, v)
		return true
	})
	c.ScanReply(next, found)
}

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
	count, ok := c.Int(2)
	if !ok {
		return
	}
	if count == math.MinInt64 {
		c.Fail("ERR value is out of range, value must between -" + maxInt + " and " + maxInt)
		return
	}
	if len(c.Args) > 4 || len(c.Args) == 4 && !command.Is(c.Args[3], "WITHVALUES") {
		c.Fail(command.ErrSyntax)
		return
	}
	withValues := len(c.Args) == 4
	if withValues && (count < -math.MaxInt64/2 || count > math.MaxInt64/2) {
		c.Fail("ERR value is out of range")
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

var maxInt = strconv.FormatInt(math.MaxInt64, 10)

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

func (s *sample) withRepeats(n int64) {
	s.begin(n)
	for range n {
		if !s.add(s.h.random()) {
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
