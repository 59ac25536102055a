package set

import (
	"bytes"

	"coterie/internal/command"
)

func flag(c *command.Ctx, yes bool) {
	if yes {
		c.Out.Int(1)
		return
	}
	c.Out.Int(0)
}

func sAdd(c *command.Ctx) {
	s, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	s.expect = len(c.Args) - 2
	added := int64(0)
	for _, member := range c.Args[2:] {
		if s.Add(member) {
			added++
		}
	}
	s.Store("sadd")
	c.Out.Int(added)
}

func sRem(c *command.Ctx) {
	s, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	removed := int64(0)
	for _, member := range c.Args[2:] {
		if s.Remove(member) {
			removed++
		}
	}
	s.Store("srem")
	c.Out.Int(removed)
}

func sMove(c *command.Ctx) {
	from, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	if from.Len() == 0 {
		c.Out.Int(0)
		return
	}
	to, ok := Open(c, c.Args[2])
	if !ok {
		return
	}
	member := c.Args[3]
	if bytes.Equal(c.Args[1], c.Args[2]) || !from.Has(member) {
		flag(c, from.Has(member))
		return
	}
	from.Remove(member)
	from.Store("srem")
	to.expect = 1
	if !to.Add(member) {
		c.Kept = 2
	}
	to.Store("sadd")
	c.Out.Int(1)
}

func sIsMember(c *command.Ctx) {
	if s, ok := Open(c, c.Args[1]); ok {
		flag(c, s.Has(c.Args[2]))
	}
}

func smIsMember(c *command.Ctx) {
	s, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		flag(c, s.Has(member))
	}
}

func sCard(c *command.Ctx) {
	if s, ok := Open(c, c.Args[1]); ok {
		c.Out.Int(int64(s.Len()))
	}
}

func sMembers(c *command.Ctx) {
	s, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	start := len(c.Out.Buf)
	c.Out.Set(s.Len())
	s.Each(func(member []byte) bool {
		c.Out.Bulk(member)
		return c.Fits(start)
	})
}

// sScan goes from the last position down to the first. Members that go make
// others move down, never up, so whoever stays is met; whoever comes has a
// position behind the scan.
func sScan(c *command.Ctx) {
	var s *Set
	cursor, o, ok := c.BeginScan(func() (n uint64, ok bool) {
		s, ok = Open(c, c.Args[1])
		return uint64(s.Len()), ok
	})
	if !ok {
		return
	}
	lo, hi := 0, s.Len()
	if s.big {
		if cursor != 0 {
			hi = int(min(cursor, uint64(hi)))
		}
		lo = max(hi-o.Count, 0)
	}
	var found [][]byte
	s.between(lo, hi, func(member []byte) bool {
		if o.Matches(member) {
			found = append(found, bytes.Clone(member))
		}
		return true
	})
	c.ScanReply(uint64(lo), found)
}
