package list

import (
	"bytes"
	"math"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keyspace"
)

// pushed is the event of a push.
func pushed(front bool) string {
	if front {
		return "lpush"
	}
	return "rpush"
}

// popped is the event of a pop.
func popped(front bool) string {
	if front {
		return "lpop"
	}
	return "rpop"
}

// pushAll is LPUSH, RPUSH, and with existing LPUSHX, RPUSHX.
func pushAll(front, existing bool) func(*command.Ctx) {
	return func(c *command.Ctx) {
		l, ok := open(c, c.Args[1])
		if !ok {
			return
		}
		if existing && l.Len() == 0 {
			c.Out.Int(0)
			return
		}
		for _, v := range c.Args[2:] {
			l.push(v, front)
		}
		l.store(pushed(front))
		c.Out.Int(int64(l.Len()))
	}
}

func lLen(c *command.Ctx) {
	if l, ok := open(c, c.Args[1]); ok {
		c.Out.Int(int64(l.Len()))
	}
}

// position turns an index, which counts from the end if negative, into a
// position of a list of n values; ok is false outside.
func position(i int64, n uint64) (at uint64, ok bool) {
	if i < 0 {
		i += int64(n)
	}
	return uint64(i), i >= 0 && uint64(i) < n
}

func lIndex(c *command.Ctx) {
	l, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if l.Len() == 0 {
		c.Out.Null()
		return
	}
	i, ok := c.Int(2)
	if !ok {
		return
	}
	if at, ok := position(i, l.Len()); ok {
		if _, v, ok := l.At(at); ok {
			c.Out.Bulk(v)
			return
		}
	}
	c.Out.Null()
}

func lSet(c *command.Ctx) {
	l, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if l.Len() == 0 {
		c.Fail(command.ErrNoSuchKey)
		return
	}
	i, ok := c.Int(2)
	if !ok {
		return
	}
	at, ok := position(i, l.Len())
	if !ok {
		c.Fail("ERR index out of range")
		return
	}
	l.set(at, c.Args[3])
	l.store("lset")
	c.Out.Simple("OK")
}

func lInsert(c *command.Ctx) {
	before := command.Is(c.Args[2], "BEFORE")
	if !before && !command.Is(c.Args[2], "AFTER") {
		c.Fail(command.ErrSyntax)
		return
	}
	l, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if l.Len() == 0 {
		c.Out.Int(0)
		return
	}
	at, found := uint64(0), false
	l.walk(true, func(i uint64, v []byte) bool {
		at, found = i, bytes.Equal(v, c.Args[3])
		return !found
	})
	if !found {
		c.Out.Int(-1)
		return
	}
	if !before {
		at++
	}
	l.insert(at, c.Args[4])
	l.store("linsert")
	c.Out.Int(int64(l.Len()))
}

// openSpan is open for a command with two indexes as arguments 2 and 3.
func openSpan(c *command.Ctx) (l *list, from, to uint64, ok bool) {
	start, ok := c.Int(2)
	if !ok {
		return nil, 0, 0, false
	}
	stop, ok := c.Int(3)
	if !ok {
		return nil, 0, 0, false
	}
	if l, ok = open(c, c.Args[1]); ok {
		from, to = command.Positions(start, stop, l.Len())
	}
	return l, from, to, ok
}

func lRange(c *command.Ctx) {
	l, from, to, ok := openSpan(c)
	if !ok {
		return
	}
	reply := len(c.Out.Buf)
	c.Out.Array(int(to - from))
	if from == to {
		return
	}
	l.walkFrom(from, func(i uint64, v []byte) bool {
		c.Out.Bulk(v)
		return c.Fits(reply) && i+1 < to
	})
}

func lTrim(c *command.Ctx) {
	l, from, to, ok := openSpan(c)
	if !ok {
		return
	}
	if from == to {
		l.del(0, l.Len())
	} else {
		l.del(to, l.Len())
		l.del(0, from)
	}
	if !l.changed && l.Len() > 0 {
		c.Notify(keyspace.ListEvent, "ltrim", l.key)
	}
	l.store("ltrim")
	c.Out.Simple("OK")
}

func lRem(c *command.Ctx) {
	count, ok := c.Int(2)
	if !ok {
		return
	}
	l, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	left := max(count, -count)
	if left <= 0 { // 0, or the one that cannot be negated
		left = math.MaxInt64
	}
	removed := l.DeleteIf(count < 0, func(_, v []byte) (del, more bool) {
		if del = bytes.Equal(v, c.Args[3]); del {
			left--
		}
		return del, left != 0
	})
	l.changed = removed > 0
	l.store("lrem")
	c.Out.Int(int64(removed))
}

// search is the options of LPOS.
type search struct {
	rank, count, maxLen int64
	many                bool // COUNT was given
}

func parseSearch(c *command.Ctx) (s search, ok bool) {
	s = search{rank: 1, count: 1}
	for i := 3; i < len(c.Args); i += 2 {
		arg := c.Args[i]
		switch ok = i+1 < len(c.Args); {
		case ok && command.Is(arg, "RANK"):
			if s.rank, ok = c.IntIn(i+1, -math.MaxInt64, math.MaxInt64); ok && s.rank == 0 {
				c.Fail("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
				return s, false
			}
		case ok && command.Is(arg, "COUNT"):
			s.many = true
			s.count, ok = atLeast(c, i+1, 0, "ERR COUNT can't be negative")
		case ok && command.Is(arg, "MAXLEN"):
			s.maxLen, ok = atLeast(c, i+1, 0, "ERR MAXLEN can't be negative")
		default:
			c.Fail(command.ErrSyntax)
			return s, false
		}
		if !ok {
			return s, false
		}
	}
	return s, true
}

// atLeast reads argument i as an integer; when it is none, or less than least,
// it replies with the error, and ok is false.
func atLeast(c *command.Ctx, i int, least int64, text string) (n int64, ok bool) {
	if n, ok = number.ParseInt(c.Args[i]); !ok || n < least {
		c.Fail(text)
		return 0, false
	}
	return n, true
}

func lPos(c *command.Ctx) {
	s, ok := parseSearch(c)
	if !ok {
		return
	}
	l, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if s.count == 0 {
		s.count = math.MaxInt64
	}
	skip := max(s.rank, -s.rank) - 1
	var found []uint64
	looked := int64(0)
	l.walk(s.rank > 0, func(i uint64, v []byte) bool {
		if bytes.Equal(v, c.Args[2]) {
			if skip--; skip < 0 {
				found = append(found, i)
			}
		}
		looked++
		return looked != s.maxLen && int64(len(found)) < s.count
	})
	if !s.many {
		if len(found) == 0 {
			c.Out.Null()
		} else {
			c.Out.Int(int64(found[0]))
		}
		return
	}
	reply := len(c.Out.Buf)
	c.Out.Array(len(found))
	for _, i := range found {
		if c.Out.Int(int64(i)); !c.Fits(reply) {
			return
		}
	}
}
