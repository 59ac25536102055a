package hash

import (
	"coterie/internal/command"
	"coterie/internal/command/number"
)

// maxDeadline is the greatest deadline of a field in milliseconds, as in Redis.
const maxDeadline = 1<<46 - 1

// What the commands about fields' deadlines answer for a field.
const (
	noField   = -2
	noTime    = -1
	unchanged = 0
	changed   = 1
	deleted   = 2
)

func hExpire(c *command.Ctx)    { setDeadlines(c, 1000, c.Now()) }
func hpExpire(c *command.Ctx)   { setDeadlines(c, 1, c.Now()) }
func hExpireAt(c *command.Ctx)  { setDeadlines(c, 1000, 0) }
func hpExpireAt(c *command.Ctx) { setDeadlines(c, 1, 0) }

func hTTL(c *command.Ctx)         { deadlines(c, 1000, c.Now()) }
func hpTTL(c *command.Ctx)        { deadlines(c, 1, c.Now()) }
func hExpireTime(c *command.Ctx)  { deadlines(c, 1000, 0) }
func hpExpireTime(c *command.Ctx) { deadlines(c, 1, 0) }

// fieldArgs reads FIELDS, a number and so many fields, from argument i on to
// the end. ok is false when it replied with an error.
func fieldArgs(c *command.Ctx, i int, errNumber string) (fields [][]byte, ok bool) {
	if !command.Is(c.Args[i], "FIELDS") {
		c.Fail("ERR Mandatory argument FIELDS is missing or not at the right position")
		return nil, false
	}
	n, ok := int64(0), i+1 < len(c.Args)
	if ok {
		n, ok = number.ParseInt(c.Args[i+1])
	}
	if !ok || n < 1 {
		c.Fail(errNumber)
		return nil, false
	}
	if fields = c.Args[i+2:]; n != int64(len(fields)) {
		c.Fail("ERR The `numfields` parameter must match the number of arguments")
		return nil, false
	}
	return fields, true
}

// condition says when a deadline may take the place of another, 0 for none.
type condition func(old, at int64) bool

// parseCondition reads the condition that an argument may be.
func parseCondition(arg []byte) (condition, bool) {
	switch {
	case command.Is(arg, "NX"):
		return func(old, _ int64) bool { return old == 0 }, true
	case command.Is(arg, "XX"):
		return func(old, _ int64) bool { return old != 0 }, true
	case command.Is(arg, "GT"):
		return func(old, at int64) bool { return old != 0 && at > old }, true
	case command.Is(arg, "LT"):
		return func(old, at int64) bool { return old == 0 || at < old }, true
	}
	return func(_, _ int64) bool { return true }, false
}

// setDeadlines is HEXPIRE and its like: argument 2 is a time in units of so
// many milliseconds, counted from base.
func setDeadlines(c *command.Ctx, unit, base int64) {
	h, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	at, ok := c.Int(2)
	switch {
	case !ok:
		return
	case at < 0:
		c.Fail("ERR invalid expire time, must be >= 0")
		return
	case at > maxDeadline/unit || at*unit > maxDeadline-base:
		c.Fail(c.ErrExpire())
		return
	}
	at = at*unit + base
	first := 3
	allow, given := parseCondition(c.Args[first])
	if given {
		first++
	}
	fields, ok := fieldArgs(c, first, "ERR Parameter `numFields` should be greater than 0")
	if !ok {
		return
	}
	event := "hexpire"
	c.Out.Array(len(fields))
	for _, field := range fields {
		v, old, had := h.find(field)
		switch {
		case !had:
			c.Out.Int(noField)
		case !allow(old, at):
			c.Out.Int(unchanged)
		case at <= c.Now():
			h.del(field)
			event = "hdel"
			c.Out.Int(deleted)
		default:
			h.setDeadline(field, v, at)
			c.Out.Int(changed)
		}
	}
	h.store(event)
}

// deadlines is HTTL and its like: the answer is in units of so many
// milliseconds, counted from base, and rounded up.
func deadlines(c *command.Ctx, unit, base int64) {
	eachDeadline(c, func(_ *value, _, _ []byte, at int64) int64 { return (at - base + unit - 1) / unit })
}

func hPersist(c *command.Ctx) {
	h, ok := eachDeadline(c, func(h *value, field, v []byte, _ int64) int64 {
		h.setDeadline(field, v, 0)
		return changed
	})
	if ok {
		h.store("hpersist")
	}
}

// eachDeadline replies with a number for each of the fields that a command
// names, which is answer's if the field has a deadline. ok is false when it
// replied with an error.
func eachDeadline(c *command.Ctx, answer func(h *value, field, v []byte, at int64) int64) (h value, ok bool) {
	if h, ok = open(c, c.Args[1]); !ok {
		return h, false
	}
	fields, ok := fieldArgs(c, 2, "ERR Number of fields must be a positive integer")
	if !ok {
		return h, false
	}
	c.Out.Array(len(fields))
	for _, field := range fields {
		switch v, at, had := h.find(field); {
		case !had:
			c.Out.Int(noField)
		case at == 0:
			c.Out.Int(noTime)
		default:
			c.Out.Int(answer(&h, field, v, at))
		}
	}
	return h, true
}
