package generic

import (
	"bytes"
	"strings"

	"coterie/internal/command"
	"coterie/internal/command/glob"
	"coterie/internal/command/number"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
)

func dbSize(c *command.Ctx) { c.Out.Int(c.Size()) }

func randomKey(c *command.Ctx) {
	if key := c.RandomKey(); key != nil {
		c.Out.Bulk(key)
	} else {
		c.Out.Null()
	}
}

// allKeys is KEYS. The number of keys is known only at the end, so that they
// are gathered first.
func allKeys(c *command.Ctx) {
	n, fits := 0, true
	c.Buf = c.Buf[:0]
	c.Walk(0, 0, func(key []byte, _ keyspace.Record) bool {
		if string(c.Args[1]) != "*" && !glob.Match(c.Args[1], key) {
			return true
		}
		n++
		reply := len(c.Out.Buf)
		c.Out.Bulk(key)
		c.Buf = append(c.Buf, c.Out.Buf[reply:]...)
		c.Out.Buf = c.Out.Buf[:reply]
		fits = len(c.Buf) <= c.Limits.MaxReply
		return fits
	})
	if !fits {
		c.Fail(command.ErrReplyTooLarge)
		return
	}
	c.Out.Array(n)
	c.Out.Raw(c.Buf)
}

// scan is SCAN over this partition: a cursor before its span begins at the
// span, and zero in the reply means that the span is finished.
func scan(c *command.Ctx) {
	cursor, ok := command.ParseCursor(c.Args[1])
	if !ok {
		c.Fail(command.ErrCursor)
		return
	}
	o, ok := c.ScanOptions(2, true)
	if !ok {
		return
	}
	var found [][]byte
	next, _ := c.Walk(keys.Cursor(cursor), o.Count, func(key []byte, r keyspace.Record) bool {
		if (o.Type == nil || strings.EqualFold(r.Type.String(), string(o.Type))) && o.Matches(key) {
			found = append(found, bytes.Clone(key))
		}
		return true
	})
	c.ScanReply(uint64(next), found)
}

// wish is the generation that the front asks for: in a partition's form of
// FLUSHDB and FLUSHALL a number follows the name. Words of the client's form,
// ASYNC and SYNC, ask for nothing, as every flush takes the same short time.
func wish(c *command.Ctx) (gen uint32, ok bool) {
	if len(c.Args) > 2 {
		c.Fail(command.ErrSyntax)
		return 0, false
	}
	if len(c.Args) == 1 || command.Is(c.Args[1], "ASYNC") || command.Is(c.Args[1], "SYNC") {
		return 0, true
	}
	n, ok := number.ParseInt(c.Args[1])
	if !ok || n < 0 {
		c.Fail(command.ErrSyntax)
		return 0, false
	}
	return uint32(min(n, 1<<32-1)), true
}

const errNoGenerations = "ERR this partition was flushed too often to be flushed again"

func flushDB(c *command.Ctx) {
	gen, ok := wish(c)
	if !ok {
		return
	}
	flushed(c, c.Flush(c.DB, gen))
}

func flushAll(c *command.Ctx) {
	gen, ok := wish(c)
	if !ok {
		return
	}
	flushed(c, c.FlushAll(gen))
}

func flushed(c *command.Ctx, ok bool) {
	if !ok {
		c.Fail(errNoGenerations)
		return
	}
	c.Out.Simple("OK")
}

func swapDB(c *command.Ctx) {
	a, ok := c.DBIndex(1, "ERR invalid first DB index")
	if !ok {
		return
	}
	b, ok := c.DBIndex(2, "ERR invalid second DB index")
	if !ok {
		return
	}
	if a != b {
		c.Swap(a, b)
	}
	c.Out.Simple("OK")
}
