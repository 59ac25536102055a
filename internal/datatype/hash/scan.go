package hash

import "coterie/internal/command"

func hScan(c *command.Ctx) {
	var h value
	cursor, o, ok := c.BeginScan(func() (n uint64, ok bool) {
		h, ok = open(c, c.Args[1])
		return uint64(h.len()), ok
	})
	if !ok {
		return
	}
	var items [][]byte
	take := func(field, v []byte) {
		if o.Matches(field) {
			items = append(items, append([]byte(nil), field...), append([]byte(nil), v...))
		}
	}
	if !h.big {
		h.each(func(field, v []byte) bool { take(field, v); return true })
		c.ScanReply(0, items)
		return
	}
	next, looked, last := uint64(0), 0, uint64(0)
	if cursor >= 1<<48 {
		c.ScanReply(0, nil)
		return
	}
	h.from(cursor, func(e found) bool {
		if looked >= o.Count && e.hash != last {
			next = last + 1
			return false
		}
		looked, last = looked+1, e.hash
		if !e.past {
			take(e.field, e.value)
		}
		return true
	})
	c.ScanReply(next, items)
}
