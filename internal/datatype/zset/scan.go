package zset

import (
	"bytes"

	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/resp"
)

func zScan(c *command.Ctx) {
	var z Value
	cursor, o, ok := c.BeginScan(func() (n uint64, ok bool) {
		if z, ok = Open(c, c.Args[1]); !ok {
			return 0, false
		}
		return z.Len(), true
	})
	if !ok {
		return
	}
	var found [][]byte
	take := func(member []byte, at uint64) bool {
		if o.Matches(member) {
			found = append(found, bytes.Clone(member), resp.AppendDouble(nil, unorder(at)))
		}
		return true
	}
	next := uint64(0)
	switch {
	case !z.big:
		z.walk(span{0, z.Len()}, false, take)
	case cursor <= maxHash:
		next = z.step(cursor, o.Count, take)
	}
	c.ScanReply(next, found)
}

// maxHash is the greatest hash of a member, in whose order a scan goes: members
// keep their places there whatever their scores become.
const maxHash = 1<<48 - 1

// step visits about count members from a hash on and returns the next hash, or
// 0 at the end.
func (z *Value) step(from uint64, count int, visit func(member []byte, o uint64) bool) (next uint64) {
	it := z.c.ElementsFrom(z.slot, z.obj.ID, from)
	defer it.Close()
	looked, last := 0, uint64(0)
	for it.Next() {
		e, ok := keys.ParseElementKey(it.Key())
		if !ok {
			break
		}
		if looked >= count && e.Hash != last {
			return last + 1
		}
		looked, last = looked+1, e.Hash
		visit(e.Elem, readOrder(it.Value()))
	}
	return 0
}
