package generic

import (
	"math"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keyspace"
)

func expire(c *command.Ctx)    { setDeadline(c, 1000, false) }
func pExpire(c *command.Ctx)   { setDeadline(c, 1, false) }
func expireAt(c *command.Ctx)  { setDeadline(c, 1000, true) }
func pExpireAt(c *command.Ctx) { setDeadline(c, 1, true) }

// conditions are the flags of EXPIRE and its like.
type conditions struct{ nx, xx, gt, lt bool }

func parseConditions(c *command.Ctx) (f conditions, ok bool) {
	for _, arg := range c.Args[3:] {
		switch {
		case command.Is(arg, "NX"):
			f.nx = true
		case command.Is(arg, "XX"):
			f.xx = true
		case command.Is(arg, "GT"):
			f.gt = true
		case command.Is(arg, "LT"):
			f.lt = true
		default:
			c.Fail("ERR Unsupported option " + command.Quoted(arg))
			return f, false
		}
	}
	if f.nx && (f.xx || f.gt || f.lt) {
		c.Fail("ERR NX and XX, GT or LT options at the same time are not compatible")
		return f, false
	}
	if f.gt && f.lt {
		c.Fail("ERR GT and LT options at the same time are not compatible")
		return f, false
	}
	return f, true
}

// allow says whether a deadline may replace another; 0 is none, which counts
// as later than any.
func (f conditions) allow(old, at int64) bool {
	switch {
	case f.nx && old != 0, f.xx && old == 0:
		return false
	case f.gt && (old == 0 || at <= old):
		return false
	case f.lt && old != 0 && at >= old:
		return false
	}
	return true
}

// setDeadline is EXPIRE and its like: argument 2 is a time in units of so many
// milliseconds.
func setDeadline(c *command.Ctx, unit int64, absolute bool) {
	f, ok := parseConditions(c)
	if !ok {
		return
	}
	at, ok := c.Int(2)
	if !ok {
		return
	}
	if at > math.MaxInt64/unit || at < math.MinInt64/unit {
		c.Fail(c.ErrExpire())
		return
	}
	at *= unit
	if !absolute {
		if at, ok = number.Add(at, c.Now()); !ok {
			c.Fail(c.ErrExpire())
			return
		}
	}
	r := c.Lookup(c.Args[1])
	if !r.Exists() || !f.allow(r.ExpireAt, at) {
		c.Out.Int(0)
		return
	}
	if at <= c.Now() {
		c.Remove(c.Args[1], r)
		c.Notify(keyspace.GenericEvent, "del", c.Args[1])
	} else {
		c.SetExpiry(c.Args[1], r, at)
		c.Notify(keyspace.GenericEvent, "expire", c.Args[1])
	}
	c.Out.Int(1)
}

func ttl(c *command.Ctx)         { left(c, func(at int64) int64 { return (at - c.Now() + 500) / 1000 }) }
func pTTL(c *command.Ctx)        { left(c, func(at int64) int64 { return at - c.Now() }) }
func expireTime(c *command.Ctx)  { left(c, func(at int64) int64 { return (at + 500) / 1000 }) }
func pExpireTime(c *command.Ctx) { left(c, func(at int64) int64 { return at }) }

// left replies with what show makes of the key's deadline; -2 is for no key,
// -1 for no deadline.
func left(c *command.Ctx, show func(at int64) int64) {
	c.Quiet = true
	r := c.Lookup(c.Args[1])
	switch {
	case !r.Exists():
		c.Out.Int(-2)
	case r.ExpireAt == 0:
		c.Out.Int(-1)
	default:
		c.Out.Int(show(r.ExpireAt))
	}
}

func persist(c *command.Ctx) {
	r := c.Lookup(c.Args[1])
	if r.ExpireAt == 0 {
		c.Out.Int(0)
		return
	}
	c.SetExpiry(c.Args[1], r, 0)
	c.Notify(keyspace.GenericEvent, "persist", c.Args[1])
	c.Out.Int(1)
}
