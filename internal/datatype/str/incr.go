package str

import (
	"math"
	"strconv"

	"coterie/internal/command"
	"coterie/internal/command/number"
)

func incr(c *command.Ctx) { addInt(c, 1) }
func decr(c *command.Ctx) { addInt(c, -1) }

func incrBy(c *command.Ctx) {
	if n, ok := c.Int(2); ok {
		addInt(c, n)
	}
}

func decrBy(c *command.Ctx) {
	n, ok := c.Int(2)
	if !ok {
		return
	}
	if n == math.MinInt64 {
		c.Fail("ERR decrement would overflow")
		return
	}
	addInt(c, -n)
}

func addInt(c *command.Ctx, by int64) {
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	var n int64
	if r.Exists() {
		if n, ok = number.ParseInt(r.Body); !ok {
			c.Fail(command.ErrNotInteger)
			return
		}
	}
	if n, ok = number.Add(n, by); !ok {
		c.Fail(command.ErrOverflow)
		return
	}
	c.Buf = strconv.AppendInt(c.Buf[:0], n, 10)
	put(c, "incrby", c.Args[1], r, c.Buf, r.ExpireAt)
	c.Out.Int(n)
}

func incrByFloat(c *command.Ctx) {
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	var n number.Float
	if r.Exists() {
		n, ok = number.ParseFloat(r.Body)
	}
	by, byOK := number.ParseFloat(c.Args[2])
	if !ok || !byOK {
		c.Fail(command.ErrNotFloat)
		return
	}
	if n, ok = n.Add(by); !ok {
		c.Fail(command.ErrNaN)
		return
	}
	c.Buf = n.Append(c.Buf[:0])
	put(c, "incrbyfloat", c.Args[1], r, c.Buf, r.ExpireAt)
	c.Out.Bulk(c.Buf)
}
