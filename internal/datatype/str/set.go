package str

import (
	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keyspace"
)

// options are what SET and GETEX take after key and value.
type options struct {
	nx, xx, get, keepTTL bool
	persist              bool
	expire               bool
	amount               int // the argument that holds the time
	unit                 int64
	absolute             bool
}

// target is the command that options are for.
type target uint8

const (
	forSet target = iota
	forGetEx
)

// parseOptions reads options from argument `from` on. ok is false when it
// replied with an error.
func parseOptions(c *command.Ctx, from int, cmd target) (o options, ok bool) {
	for i := from; i < len(c.Args); i++ {
		arg := c.Args[i]
		ttl := o.expire || o.keepTTL || o.persist
		set := cmd == forSet
		switch {
		case set && command.Is(arg, "NX") && !o.xx:
			o.nx = true
		case set && command.Is(arg, "XX") && !o.nx:
			o.xx = true
		case set && command.Is(arg, "GET"):
			o.get = true
		case set && command.Is(arg, "KEEPTTL") && !o.expire && !o.persist:
			o.keepTTL = true
		case !set && command.Is(arg, "PERSIST") && !o.expire && !o.keepTTL:
			o.persist = true
		case !ttl && i+1 < len(c.Args) && o.time(arg):
			o.expire = true
			i++
			o.amount = i
		default:
			c.Fail(command.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// time reads the word in front of a time.
func (o *options) time(arg []byte) bool {
	switch {
	case command.Is(arg, "EX"):
		o.unit = 1000
	case command.Is(arg, "PX"):
		o.unit = 1
	case command.Is(arg, "EXAT"):
		o.unit, o.absolute = 1000, true
	case command.Is(arg, "PXAT"):
		o.unit, o.absolute = 1, true
	default:
		return false
	}
	return true
}

// deadline is the time as milliseconds since the Unix epoch, 0 if none was
// given. ok is false when it replied with an error.
func (o *options) deadline(c *command.Ctx) (at int64, ok bool) {
	if !o.expire {
		return 0, true
	}
	return deadline(c, o.amount, o.unit, o.absolute)
}

// deadline reads argument i as a time in units of so many milliseconds.
func deadline(c *command.Ctx, i int, unit int64, absolute bool) (at int64, ok bool) {
	at, ok = c.Int(i)
	if !ok {
		return 0, false
	}
	const maxInt = 1<<63 - 1
	if at <= 0 || at > maxInt/unit {
		c.Fail(c.ErrExpire())
		return 0, false
	}
	at *= unit
	if !absolute {
		if at, ok = number.Add(at, c.Now()); !ok {
			c.Fail(c.ErrExpire())
			return 0, false
		}
	}
	return at, true
}

func set(c *command.Ctx) {
	key := c.Args[1]
	if len(c.Args) == 3 { // by far the most frequent
		put(c, "set", key, c.Lookup(key), c.Args[2], 0)
		c.Out.Simple("OK")
		return
	}
	o, ok := parseOptions(c, 3, forSet)
	if !ok {
		return
	}
	at, ok := o.deadline(c)
	if !ok {
		return
	}
	var old keyspace.Record
	if o.get {
		if old, ok = value(c, key); !ok {
			return
		}
		reply(c, old)
	} else {
		old = c.Lookup(key)
	}
	if o.nx && old.Exists() || o.xx && !old.Exists() {
		if !o.get {
			c.Out.Null()
		}
		return
	}
	if o.keepTTL {
		at = old.ExpireAt
	}
	if o.nx {
		take(c, key, c.Args[2], at)
	} else {
		put(c, "set", key, old, c.Args[2], at)
	}
	if o.expire {
		c.Notify(keyspace.GenericEvent, "expire", key)
	}
	if !o.get {
		c.Out.Simple("OK")
	}
}

func setNX(c *command.Ctx) {
	old := c.Lookup(c.Args[1])
	if old.Exists() {
		c.Out.Int(0)
		return
	}
	take(c, c.Args[1], c.Args[2], 0)
	c.Out.Int(1)
}

func setEX(c *command.Ctx)  { setWithTTL(c, 1000) }
func pSetEX(c *command.Ctx) { setWithTTL(c, 1) }

func setWithTTL(c *command.Ctx, unit int64) {
	at, ok := deadline(c, 2, unit, false)
	if !ok {
		return
	}
	put(c, "set", c.Args[1], c.Lookup(c.Args[1]), c.Args[3], at)
	c.Notify(keyspace.GenericEvent, "expire", c.Args[1])
	c.Out.Simple("OK")
}

func mSet(c *command.Ctx) {
	if !pairs(c) {
		return
	}
	setPairs(c)
	c.Out.Simple("OK")
}

func mSetNX(c *command.Ctx) {
	if !pairs(c) {
		return
	}
	for i := 1; i < len(c.Args); i += 2 {
		if c.Lookup(c.Args[i]).Exists() {
			c.Out.Int(0)
			return
		}
	}
	for i := 1; i < len(c.Args); i += 2 {
		if old := c.Lookup(c.Args[i]); old.Exists() { // named twice
			put(c, "set", c.Args[i], old, c.Args[i+1], 0)
		} else {
			take(c, c.Args[i], c.Args[i+1], 0)
		}
	}
	c.Out.Int(1)
}

func pairs(c *command.Ctx) bool {
	if len(c.Args)%2 == 0 {
		c.Fail(c.Spec.ArityError())
		return false
	}
	return true
}

func setPairs(c *command.Ctx) {
	for i := 1; i < len(c.Args); i += 2 {
		put(c, "set", c.Args[i], c.Lookup(c.Args[i]), c.Args[i+1], 0)
	}
}

func appendTo(c *command.Ctx) {
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	if len(r.Body)+len(c.Args[2]) > c.Limits.MaxString {
		c.Fail(command.ErrTooLong)
		return
	}
	c.Buf = append(append(c.Buf[:0], r.Body...), c.Args[2]...)
	put(c, "append", c.Args[1], r, c.Buf, r.ExpireAt)
	c.Out.Int(int64(len(c.Buf)))
}

func setRange(c *command.Ctx) {
	offset, ok := c.Int(2)
	if !ok {
		return
	}
	if offset < 0 {
		c.Fail("ERR offset is out of range")
		return
	}
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	part := c.Args[3]
	if len(part) == 0 {
		c.Out.Int(int64(len(r.Body)))
		return
	}
	limit := int64(c.Limits.MaxString)
	if offset > limit || offset+int64(len(part)) > limit {
		c.Fail(command.ErrTooLong)
		return
	}
	c.Buf = Grow(c.Buf, r.Body, int(offset)+len(part))
	copy(c.Buf[offset:], part)
	put(c, "setrange", c.Args[1], r, c.Buf, r.ExpireAt)
	c.Out.Int(int64(len(c.Buf)))
}

// Grow copies body into buf's memory, with zeros added up to n bytes.
func Grow(buf, body []byte, n int) []byte {
	buf = append(buf[:0], body...)
	if missing := n - len(buf); missing > 0 {
		buf = append(buf, make([]byte, missing)...)
	}
	return buf
}
