package zset

import (
	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keyspace"
)

// end is the end of the order that a command pops from.
type end bool

const (
	lowest  end = false
	highest end = true
)

func zPopMin(c *command.Ctx) { popOne(c, lowest) }
func zPopMax(c *command.Ctx) { popOne(c, highest) }

// popOne is ZPOPMIN and ZPOPMAX: from one key, as a flat list unless a count
// is given in RESP3.
func popOne(c *command.Ctx, from end) {
	if len(c.Args) > 3 {
		c.Fail(command.ErrSyntax)
		return
	}
	count := int64(1)
	if len(c.Args) == 3 {
		n, ok := number.ParseInt(c.Args[2])
		if !ok || n < 0 {
			c.Fail("ERR value is out of range, must be positive")
			return
		}
		count = n
	}
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	s := z.tip(from, count)
	r := beginList(c, s.len(), true)
	if len(c.Args) == 2 && r.nested { // flat in both protocols
		c.Out.Buf = c.Out.Buf[:r.start]
		r.nested = false
		c.Out.Array(2 * int(s.len()))
	}
	z.pop(&r, s, from)
}

// tip is the last members at an end, at most count.
func (z *Value) tip(from end, count int64) span {
	n := z.Len()
	count = int64(min(n, uint64(count)))
	if from == lowest {
		return span{0, uint64(count)}
	}
	return span{n - uint64(count), n}
}

// pop adds members to a reply and deletes them, or neither if the reply became
// too large.
func (z *Value) pop(r *list, s span, from end) {
	fits := true
	z.walk(s, from == highest, func(member []byte, o uint64) bool {
		fits = r.add(member, o)
		return fits
	})
	if !fits {
		return
	}
	z.cut(s)
	event := "zpopmin"
	if from == highest {
		event = "zpopmax"
	}
	z.Store(event)
}

// multiPop is what ZMPOP and BZMPOP ask for.
type multiPop struct {
	keys  [][]byte
	from  end
	count int64
}

// parse reads the number of keys at argument i and what follows. ok is false
// when it replied with an error.
func (m *multiPop) parse(c *command.Ctx, i int) (ok bool) {
	n, ok := number.ParseInt(c.Args[i])
	if !ok || n < 1 {
		c.Fail("ERR numkeys should be greater than 0")
		return false
	}
	rest := c.Args[i+1:]
	if n >= int64(len(rest)) {
		c.Fail(command.ErrSyntax)
		return false
	}
	m.keys, rest = rest[:n], rest[n:]
	switch {
	case command.Is(rest[0], "MAX"):
		m.from = highest
	case !command.Is(rest[0], "MIN"):
		c.Fail(command.ErrSyntax)
		return false
	}
	switch rest = rest[1:]; {
	case len(rest) == 0:
		m.count = 1
		return true
	case len(rest) == 1 || !command.Is(rest[0], "COUNT"):
		c.Fail(command.ErrSyntax)
		return false
	}
	if m.count, ok = number.ParseInt(rest[1]); !ok || m.count < 1 {
		c.Fail("ERR count should be greater than 0")
		return false
	}
	if len(rest) > 2 {
		c.Fail(command.ErrSyntax)
		return false
	}
	return true
}

// first opens the first of keys that has members. ok is false when it replied
// with an error.
func first(c *command.Ctx, keys [][]byte) (z Value, ok bool) {
	for _, key := range keys {
		if c.Passes(key, keyspace.ZSet) {
			continue
		}
		if z, ok = Open(c, key); !ok || z.Len() > 0 {
			return z, ok
		}
	}
	return Value{}, true
}

// reply pops from the first key that has members; found is false, and nothing
// replied, when none has.
func (m *multiPop) reply(c *command.Ctx) (found bool) {
	z, ok := first(c, m.keys)
	if !ok {
		return true
	}
	s := z.tip(m.from, m.count)
	if s.len() == 0 {
		return false
	}
	r := list{c: c, start: len(c.Out.Buf), withScores: true, nested: true}
	c.Out.Array(2)
	c.Out.Bulk(z.key)
	c.Out.Array(int(s.len()))
	z.pop(&r, s, m.from)
	return true
}

func zmPop(c *command.Ctx) {
	var m multiPop
	if m.parse(c, 1) && !m.reply(c) {
		c.Out.NullArray()
	}
}

func bzmPop(c *command.Ctx) {
	var m multiPop
	if !m.parse(c, 2) {
		return
	}
	if _, ok := c.Timeout(1); ok && !m.reply(c) {
		c.Block()
	}
}

func bzPopMin(c *command.Ctx) { blockingPop(c, lowest) }
func bzPopMax(c *command.Ctx) { blockingPop(c, highest) }

func blockingPop(c *command.Ctx, from end) {
	last := len(c.Args) - 1
	if _, ok := c.Timeout(last); !ok {
		return
	}
	z, ok := first(c, c.Args[1:last])
	if !ok {
		return
	}
	if z.Len() == 0 {
		c.Block()
		return
	}
	r := list{c: c, start: len(c.Out.Buf), withScores: true}
	c.Out.Array(3)
	c.Out.Bulk(z.key)
	z.pop(&r, z.tip(from, 1), from)
}
