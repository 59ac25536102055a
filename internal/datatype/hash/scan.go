package hash

import "coterie/internal/command"

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
