package redisfront

import (
	"strconv"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
)

// This file holds what partitions evaluate for the front's own commands.

// runInfo answers the numbers of keys of each database in this partition, of
// those with a deadline, and how many milliseconds these have on average.
func runInfo(c *command.Ctx) {
	db := c.DB
	c.Out.Array(3 * Databases)
	for i := range Databases {
		c.Select(i)
		n := c.Count()
		ttl := int64(0)
		if n.Expires > 0 {
			ttl = c.AverageTTL()
		}
		c.Out.Int(int64(n.Keys))
		c.Out.Int(int64(n.Expires))
		c.Out.Int(ttl)
	}
	c.Select(db)
}

// inSlot runs f on a space that holds only the slot named by argument 2. It
// replies when the partition does not own it.
func inSlot(c *command.Ctx, f func()) {
	n, ok := parseInt(c.Args[2])
	if !ok || n < 0 || n >= base.NumSlots {
		c.Fail(errSlot)
		return
	}
	whole := c.Span
	if !whole.Contains(base.Slot(n)) {
		c.Fail("TRYAGAIN the slot is not in this partition any more")
		return
	}
	c.Span = base.Span{Lo: uint16(n), Hi: uint16(n) + 1}
	f()
	c.Span = whole
}

func runCountkeysinslot(c *command.Ctx) {
	inSlot(c, func() { c.Out.Int(c.Size()) })
}

func runGetkeysinslot(c *command.Ctx) {
	inSlot(c, func() {
		want, _ := parseInt(c.Args[3])
		var found [][]byte
		size := 0
		slot, _ := parseInt(c.Args[2])
		if want > 0 {
			c.Walk(keys.CursorAtSlot(base.Slot(slot)), 0, func(key []byte, _ keyspace.Record) bool {
				found = append(found, append([]byte(nil), key...))
				size += len(key)
				return int64(len(found)) < want && size < c.Limits.MaxReply
			})
		}
		found = found[:min(int64(len(found)), max(want, 0))]
		c.Out.Array(len(found))
		for _, k := range found {
			c.Out.Bulk(k)
		}
	})
}

// recordOverhead is about what a key costs beyond itself and its value:
// its slot, generation and hash, its place in the store's index.
const recordOverhead = 32

// How many samples MEMORY USAGE takes of a large collection: bounds, and what it takes
// by itself.
const (
	usageSamples    = 5
	maxUsageSamples = 1000 // also for 0, which asks for all
)

// runMemoryUsage answers about how many bytes a key is stored in.
func runMemoryUsage(c *command.Ctx) {
	samples := int64(usageSamples)
	switch {
	case len(c.Args) == 3:
	case len(c.Args) == 5 && command.Is(c.Args[3], "SAMPLES"):
		n, ok := parseInt(c.Args[4])
		if !ok || n < 0 {
			c.Fail(errSyntax)
			return
		}
		if samples = min(n, maxUsageSamples); n == 0 {
			samples = maxUsageSamples
		}
	default:
		c.Fail(errSyntax)
		return
	}
	c.Quiet, c.Reading = true, false
	key := c.Args[2]
	r := c.Lookup(key)
	if !r.Exists() {
		c.Out.Null()
		return
	}
	c.Out.Int(int64(recordOverhead+len(key)+len(r.Body)) + datatype.Footprint(c, key, r, int(samples)))
}

// intsReply reads an array of n integers.
func intsReply(r []byte, n int) ([]int64, bool) {
	count, rest, ok := arrayReply(r)
	if !ok || count != n {
		return nil, false
	}
	list := make([]int64, n)
	for i := range list {
		end := 0
		for end < len(rest) && rest[end] != '\r' {
			end++
		}
		if end == 0 || end+2 > len(rest) || rest[0] != ':' {
			return nil, false
		}
		v, err := strconv.ParseInt(string(rest[1:end]), 10, 64)
		if err != nil {
			return nil, false
		}
		list[i], rest = v, rest[end+2:]
	}
	return list, true
}
