package zset

import (
	"bytes"

	"coterie/internal/command"
	"coterie/internal/command/number"
)

// span is part of a set's order: the members of ranks from first up to, but
// not including, end.
type span struct{ first, end uint64 }

func (s span) len() uint64 { return s.end - s.first }

// bounds is how a command names a part of a set.
type bounds interface {
	of(z *Value) span
}

// byRank is ranks as commands give them: both ends belong to the range, and
// negative ones count from the set's end.
type byRank struct{ start, stop int64 }

func (b byRank) of(z *Value) span {
	from, to := command.Positions(b.start, b.stop, z.Len())
	return span{from, to}
}

// backward is the same range counted from the other end.
func (s span) backward(n uint64) span {
	if s.first == s.end {
		return span{}
	}
	return span{n - s.end, n - s.first}
}

// byScore is the scores o with min <= o < end, in stored order.
type byScore struct{ min, end uint64 }

func (b byScore) of(z *Value) span {
	if b.min >= b.end {
		return span{}
	}
	return span{z.before(b.min, nil), z.before(b.end, nil)}
}

func parseScores(least, most []byte) (b byScore, ok bool) {
	low, openLow, ok := parseScore(least)
	if !ok {
		return b, false
	}
	high, openHigh, ok := parseScore(most)
	b = byScore{order(low), order(high)}
	if openLow {
		b.min++
	}
	if !openHigh {
		b.end++
	}
	return b, ok
}

func parseScore(p []byte) (f float64, open, ok bool) {
	if len(p) > 0 && p[0] == '(' {
		open, p = true, p[1:]
	}
	f, ok = number.ParseBound(p)
	return f, open, ok
}

// edge is one end of a range of members' bytes.
type edge struct {
	all    int // -1: before all members; 1: after them
	member []byte
	after  bool // the edge is behind the member
}

// byLex is a range of members' bytes. It means something only when all
// scores are equal; else what it finds is not specified.
type byLex struct{ min, max edge }

func parseLex(least, most []byte) (b byLex, ok bool) {
	if b.min, ok = parseEdge(least, false); !ok {
		return b, false
	}
	b.max, ok = parseEdge(most, true)
	return b, ok
}

func parseEdge(p []byte, upper bool) (e edge, ok bool) {
	if len(p) == 0 {
		return e, false
	}
	switch p[0] {
	case '-', '+':
		e.all = 1
		if p[0] == '-' {
			e.all = -1
		}
		return e, len(p) == 1 || p[1] == 0
	case '[':
		return edge{member: p[1:], after: upper}, true
	case '(':
		return edge{member: p[1:], after: !upper}, true
	}
	return e, false
}

func (b byLex) of(z *Value) span {
	s := span{b.min.rank(z), b.max.rank(z)}
	return span{s.first, max(s.first, s.end)}
}

func (e edge) rank(z *Value) uint64 {
	n := z.Len()
	switch {
	case e.all < 0 || n == 0:
		return 0
	case e.all > 0:
		return n
	}
	_, least := z.at(0)
	if _, most := z.at(n - 1); least == most {
		member := e.member
		if e.after { // the edge is before the next string that there can be
			member = append(append(make([]byte, 0, len(member)+1), member...), 0)
		}
		return z.before(least, member)
	}
	low, high := uint64(0), n // different scores: some place where members change sides
	for low < high {
		middle := (low + high) / 2
		member, _ := z.at(middle)
		if cmp := bytes.Compare(member, e.member); cmp < 0 || cmp == 0 && e.after {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// kind is in what terms a range is given.
type kind uint8

const (
	ranks kind = iota
	scores
	members
)

// bounds reads a range from two arguments, the lower end first. ok is false
// when it replied with an error.
func parseBounds(c *command.Ctx, k kind, least, most int) (b bounds, ok bool) {
	switch k {
	case scores:
		if b, ok = parseScores(c.Args[least], c.Args[most]); !ok {
			c.Fail("ERR min or max is not a float")
		}
	case members:
		if b, ok = parseLex(c.Args[least], c.Args[most]); !ok {
			c.Fail("ERR min or max not valid string range item")
		}
	default:
		start, ok := c.Int(least)
		if !ok {
			return nil, false
		}
		stop, ok := c.Int(most)
		return byRank{start, stop}, ok
	}
	return b, ok
}
