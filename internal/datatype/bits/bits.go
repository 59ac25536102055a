package bits

import (
	"bytes"
	"math/bits"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/str"
	"coterie/internal/keyspace"
)

const errOffset = "ERR bit offset is not an integer or out of range"

func put(c *command.Ctx, event string, key []byte, old keyspace.Record, body []byte, expireAt int64) {
	if event != "set" && old.Exists() && old.ExpireAt == expireAt && bytes.Equal(old.Body, body) {
		return
	}
	c.Put(key, old, keyspace.Record{Type: keyspace.String, ExpireAt: expireAt, Body: body})
	if event != "" {
		c.Notify(keyspace.StringEvent, event, key)
	}
}

// offset reads a bit's position. With a width, "#n" is the n-th field of it.
func offset(c *command.Ctx, arg []byte, width int64) (at int64, ok bool) {
	unit := int64(1)
	if width > 0 && len(arg) > 0 && arg[0] == '#' {
		arg, unit = arg[1:], width
	}
	at, ok = number.ParseInt(arg)
	limit := int64(c.Limits.MaxString) * 8
	if !ok || at < 0 || at >= limit || at*unit >= limit {
		c.Fail(errOffset)
		return 0, false
	}
	return at * unit, true
}

func setBit(c *command.Ctx) {
	at, ok := offset(c, c.Args[2], 0)
	if !ok {
		return
	}
	bit, ok := number.ParseInt(c.Args[3])
	if !ok || bit&^1 != 0 {
		c.Fail("ERR bit is not an integer or out of range")
		return
	}
	r, ok := c.Typed(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	c.Buf = str.Grow(c.Buf, r.Body, int(at/8)+1)
	mask := byte(0x80) >> (at % 8)
	old := c.Buf[at/8] & mask
	c.Buf[at/8] &^= mask
	if bit == 1 {
		c.Buf[at/8] |= mask
	}
	event := "setbit"
	if int64(old>>(7-at%8)) == bit && len(c.Buf) == len(r.Body) {
		event = ""
	}
	put(c, event, c.Args[1], r, c.Buf, r.ExpireAt)
	c.Out.Int(int64(bits.OnesCount8(old)))
}

func getBit(c *command.Ctx) {
	at, ok := offset(c, c.Args[2], 0)
	if !ok {
		return
	}
	r, ok := c.Typed(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	if at/8 >= int64(len(r.Body)) {
		c.Out.Int(0)
		return
	}
	c.Out.Int(int64(r.Body[at/8] >> (7 - at%8) & 1))
}

// unit reads "BYTE" or "BIT" at argument i, if it is there.
func unit(c *command.Ctx, i int) (bitwise, ok bool) {
	switch {
	case i >= len(c.Args), command.Is(c.Args[i], "BYTE"):
		return false, true
	case command.Is(c.Args[i], "BIT"):
		return true, true
	}
	c.Fail(command.ErrSyntax)
	return false, false
}

// bitRange turns the range start … end, in bits or bytes, negative ones from
// the end, into bits first … last of body; first > last when it is empty.
func bitRange(body []byte, start, end int64, bitwise bool) (first, last int64) {
	n := int64(len(body))
	if bitwise {
		n *= 8
	}
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	end = min(end, n-1)
	if start > end {
		return 1, 0
	}
	if bitwise {
		return start, end
	}
	return start * 8, end*8 + 7
}

func bitCount(c *command.Ctx) {
	r, ok := c.Typed(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	if !r.Exists() { // whatever the other arguments are
		c.Out.Int(0)
		return
	}
	start, end, bitwise := int64(0), int64(-1), false
	if n := len(c.Args); n > 2 {
		if n == 3 || n > 5 {
			c.Fail(command.ErrSyntax)
			return
		}
		if start, ok = c.Int(2); !ok {
			return
		}
		if end, ok = c.Int(3); !ok {
			return
		}
		if start < 0 && end < 0 && start > end {
			c.Out.Int(0)
			return
		}
		if bitwise, ok = unit(c, 4); !ok {
			return
		}
	}
	first, last := bitRange(r.Body, start, end, bitwise)
	if first > last {
		c.Out.Int(0)
		return
	}
	count := int64(0)
	for _, b := range r.Body[first/8 : last/8+1] {
		count += int64(bits.OnesCount8(b))
	}
	count -= int64(bits.OnesCount8(r.Body[first/8] &^ (0xff >> (first % 8))))
	count -= int64(bits.OnesCount8(r.Body[last/8] & (0x7f >> (last % 8))))
	c.Out.Int(count)
}

func bitPos(c *command.Ctx) {
	bit, ok := c.Int(2)
	if !ok {
		return
	}
	if bit&^1 != 0 {
		c.Fail("ERR The bit argument must be 1 or 0.")
		return
	}
	r, ok := c.Typed(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	if !r.Exists() { // whatever the other arguments are
		c.Out.Int(-bit)
		return
	}
	start, end, bitwise := int64(0), int64(-1), false
	if len(c.Args) > 6 {
		c.Fail(command.ErrSyntax)
		return
	}
	if len(c.Args) > 3 {
		if start, ok = c.Int(3); !ok {
			return
		}
	}
	if bitwise, ok = unit(c, 5); !ok {
		return
	}
	if len(c.Args) > 4 {
		if end, ok = c.Int(4); !ok {
			return
		}
	}
	first, last := bitRange(r.Body, start, end, bitwise)
	if first > last {
		c.Out.Int(-1)
		return
	}
	at := find(r.Body, first, last, byte(bit))
	if at < 0 && bit == 0 && len(c.Args) <= 4 {
		at = int64(len(r.Body)) * 8 // the string is as if zeros followed it
	}
	c.Out.Int(at)
}

// find is the first of bits first … last that is bit, or -1.
func find(body []byte, first, last int64, bit byte) int64 {
	flip := byte(0)
	if bit == 0 {
		flip = 0xff
	}
	for i := first / 8; i <= last/8; i++ {
		b := body[i] ^ flip
		if i == first/8 {
			b &= 0xff >> (first % 8)
		}
		if b == 0 {
			continue
		}
		if at := i*8 + int64(bits.LeadingZeros8(b)); at <= last {
			return at
		}
	}
	return -1
}

func bitOp(c *command.Ctx) {
	op := c.Args[1]
	not := command.Is(op, "NOT")
	and, or, xor := command.Is(op, "AND"), command.Is(op, "OR"), command.Is(op, "XOR")
	if !not && !and && !or && !xor {
		c.Fail(command.ErrSyntax)
		return
	}
	if not && len(c.Args) != 4 {
		c.Fail("ERR BITOP NOT must be called with a single source key.")
		return
	}
	sources := make([][]byte, 0, len(c.Args)-3)
	longest := 0
	for _, key := range c.Args[3:] {
		r, ok := c.Typed(key, keyspace.String)
		if !ok {
			return
		}
		sources = append(sources, r.Body)
		longest = max(longest, len(r.Body))
	}
	out := str.Grow(c.Buf, sources[0], longest)
	c.Buf = out
	for _, src := range sources[1:] {
		for i := range out {
			b := byte(0)
			if i < len(src) {
				b = src[i]
			}
			switch {
			case and:
				out[i] &= b
			case or:
				out[i] |= b
			case xor:
				out[i] ^= b
			}
		}
	}
	if not {
		for i := range out {
			out[i] = ^out[i]
		}
	}
	old := c.Lookup(c.Args[2])
	switch {
	case longest > 0:
		put(c, "set", c.Args[2], old, out, 0)
	case old.Exists():
		c.Remove(c.Args[2], old)
		c.Notify(keyspace.GenericEvent, "del", c.Args[2])
	}
	c.Out.Int(int64(longest))
}
