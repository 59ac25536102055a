package hash

import (
	"strconv"

	"coterie/internal/command"
	"coterie/internal/command/number"
)

func hSet(c *command.Ctx) {
	if added, ok := setAll(c); ok {
		c.Out.Int(added)
	}
}

func hmSet(c *command.Ctx) {
	if _, ok := setAll(c); ok {
		c.Out.Simple("OK")
	}
}

func setAll(c *command.Ctx) (added int64, ok bool) {
	if len(c.Args)%2 == 1 {
		c.Fail(c.Spec.ArityError())
		return 0, false
	}
	h, ok := open(c, c.Args[1])
	if !ok {
		return 0, false
	}
	for i := 2; i < len(c.Args); i += 2 {
		if h.set(c.Args[i], c.Args[i+1]) {
			added++
		}
	}
	h.store("hset")
	return added, true
}

func hSetNX(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if _, had := h.get(c.Args[2]); had {
		c.Out.Int(0)
		return
	}
	h.set(c.Args[2], c.Args[3])
	h.store("hset")
	c.Out.Int(1)
}

func hGet(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	replyField(c, &h, c.Args[2])
}

func replyField(c *command.Ctx, h *value, field []byte) {
	if v, had := h.get(field); had {
		c.Out.Bulk(v)
	} else {
		c.Out.Null()
	}
}

func hmGet(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	start := len(c.Out.Buf)
	c.Out.Array(len(c.Args) - 2)
	for _, field := range c.Args[2:] {
		if replyField(c, &h, field); !c.Fits(start) {
			return
		}
	}
}

func hDel(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	deleted := int64(0)
	for _, field := range c.Args[2:] {
		if h.del(field) {
			deleted++
		}
	}
	h.store("hdel")
	c.Out.Int(deleted)
}

func hExists(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	n := int64(0)
	if _, had := h.get(c.Args[2]); had {
		n = 1
	}
	c.Out.Int(n)
}

func hLen(c *command.Ctx) {
	if h, ok := open(c, c.Args[1]); ok {
		c.Out.Int(int64(h.len()))
	}
}

func hStrLen(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	v, _ := h.get(c.Args[2])
	c.Out.Int(int64(len(v)))
}

func hGetAll(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	start := len(c.Out.Buf)
	c.Out.Map(h.len())
	replyAll(c, &h, start, true, true)
}

func hKeys(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	start := len(c.Out.Buf)
	c.Out.Array(h.len())
	replyAll(c, &h, start, true, false)
}

func hVals(c *command.Ctx) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	start := len(c.Out.Buf)
	c.Out.Array(h.len())
	replyAll(c, &h, start, false, true)
}

// replyAll replies with all fields, values or both; the reply, which began at
// start, becomes an error when it is too large.
func replyAll(c *command.Ctx, h *value, start int, fields, values bool) {
	h.each(func(field, v []byte) bool {
		if fields {
			c.Out.Bulk(field)
		}
		if values {
			c.Out.Bulk(v)
		}
		return c.Fits(start)
	})
}

func hIncrBy(c *command.Ctx) {
	by, ok := c.Int(3)
	if !ok {
		return
	}
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	n := int64(0)
	if v, had := h.get(c.Args[2]); had {
		if n, ok = number.ParseInt(v); !ok {
			c.Fail("ERR hash value is not an integer")
			return
		}
	}
	if n, ok = number.Add(n, by); !ok {
		c.Fail(command.ErrOverflow)
		return
	}
	var text [20]byte
	h.update(c.Args[2], strconv.AppendInt(text[:0], n, 10))
	h.store("hincrby")
	c.Out.Int(n)
}

func hIncrByFloat(c *command.Ctx) {
	by, ok := number.ParseFloat(c.Args[3])
	if !ok {
		c.Fail(command.ErrNotFloat)
		return
	}
	if by.IsInf() {
		c.Fail("ERR value is NaN or Infinity")
		return
	}
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	var n number.Float
	if v, had := h.get(c.Args[2]); had {
		if n, ok = number.ParseFloat(v); !ok {
			c.Fail("ERR hash value is not a float")
			return
		}
	}
	if n, ok = n.Add(by); !ok {
		c.Fail(command.ErrNaN)
		return
	}
	text := n.Append(nil)
	h.update(c.Args[2], text)
	h.store("hincrbyfloat")
	c.Out.Bulk(text)
}
