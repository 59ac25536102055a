package set

import (
	"bytes"
	"math"

	"coterie/internal/command"
)

// random is a position picked at random.
func (s *Set) random() int { return int(s.c.Txn.Rand() % uint64(s.Len())) }

func sRandMember(c *command.Ctx) {
	if len(c.Args) > 3 {
		c.Fail(command.ErrSyntax)
		return
	}
	count := int64(1)
	if len(c.Args) == 3 {
		var ok bool
		if count, ok = c.IntIn(2, -math.MaxInt64, math.MaxInt64); !ok {
			return
		}
	}
	s, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	start := len(c.Out.Buf)
	switch {
	case len(c.Args) == 2 && s.Len() == 0:
		c.Out.Null()
	case len(c.Args) == 2:
		c.Out.Bulk(s.pick(s.random()))
	case s.Len() == 0 || count == 0:
		c.Out.Array(0)
	case count < 0:
		c.Out.Array(int(-count))
		for range -count {
			if c.Out.Bulk(s.pick(s.random())); !c.Fits(start) {
				return
			}
		}
	default:
		count = min(count, int64(s.Len()))
		c.Out.Array(int(count))
		s.sample(int(count), func(member []byte) bool {
			c.Out.Bulk(member)
			return c.Fits(start)
		}, nil)
	}
}

// sample calls take with n different members picked at random, until take
// returns false. When n is much of the set, it walks through all of it, and
// calls leave, if that is not nil, with each member that it passes over; it
// says so. Every choice of n members has the same chance.
func (s *Set) sample(n int, take func(member []byte) bool, leave func(member []byte)) (walked bool) {
	if !s.manyOf(n) {
		seen := make(map[int]bool, n)
		for len(seen) < n {
			if p := s.random(); !seen[p] {
				seen[p] = true
				if !take(s.pick(p)) {
					break
				}
			}
		}
		return false
	}
	left := s.Len()
	s.Each(func(member []byte) bool {
		chosen := s.c.Txn.Rand()%uint64(left) < uint64(n)
		if left--; !chosen {
			if leave != nil {
				leave(member)
			}
			return true
		}
		n--
		return take(member) && (n > 0 || leave != nil)
	})
	return true
}

// manyOf says whether it is as well to walk through the set as to pick n members.
func (s *Set) manyOf(n int) bool { return !s.big || n >= s.Len()/3 }

func sPop(c *command.Ctx) {
	if len(c.Args) > 3 {
		c.Fail(command.ErrSyntax)
		return
	}
	count := int64(1)
	if len(c.Args) == 3 {
		var ok bool
		if count, ok = c.Int(2); !ok {
			return
		}
		if count < 0 {
			c.Fail("ERR value is out of range, must be positive")
			return
		}
	}
	s, ok := Open(c, c.Args[1])
	switch {
	case !ok:
	case len(c.Args) == 3:
		s.pop(int(min(count, int64(s.Len()))))
	case s.Len() == 0:
		c.Out.Null()
	default:
		member := s.pick(s.random())
		c.Out.Bulk(member)
		s.Remove(member)
		s.Store("spop")
	}
}

// pop removes n members picked at random and replies with them. The reply
// comes first: when it is too large, nothing is removed.
func (s *Set) pop(n int) {
	start := len(s.c.Out.Buf)
	s.c.Out.Set(n)
	var gone, rest [][]byte
	ok := true
	walked := s.sample(n, func(member []byte) bool {
		s.c.Out.Bulk(member)
		ok = s.c.Fits(start)
		gone = append(gone, bytes.Clone(member))
		return ok
	}, func(member []byte) { rest = append(rest, bytes.Clone(member)) })
	switch {
	case !ok || n == 0:
		return
	case walked && len(rest) < n:
		s.only(rest)
	default:
		for _, member := range gone {
			s.Remove(member)
		}
	}
	s.Store("spop")
}

// only makes the given members all that is left.
func (s *Set) only(rest [][]byte) {
	if len(rest) == 0 {
		s.changed = true
		s.big, s.body = false, nil
		return
	}
	left := &Set{c: s.c, key: s.key, old: s.old, expireAt: s.expireAt, form: s.form, formed: true}
	for _, member := range rest {
		left.Add(member)
	}
	left.Store("spop")
	s.changed = false
}
