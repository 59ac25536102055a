package bits

import (
	"math"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/str"
	"coterie/internal/keyspace"
)

// overflow is what happens to a result that does not fit its field.
type overflow uint8

const (
	wrap overflow = iota
	saturate
	fail
)

// field is an integer somewhere in an array of bits.
type field struct {
	at     int64 // of its first bit
	width  int64 // bits
	signed bool
}

// fieldOp is one operation of BITFIELD.
type fieldOp struct {
	field
	kind     byte // 'g', 's' or 'i'
	value    int64
	overflow overflow
}

func bitField(c *command.Ctx) {
	ops, end, ok := parseFieldOps(c)
	if !ok {
		return
	}
	readOnly := c.Spec.Flags&command.ReadOnly != 0
	if end > 0 && readOnly {
		c.Fail("ERR BITFIELD_RO only supports the GET subcommand")
		return
	}
	r, ok := c.Typed(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	body := r.Body
	if end > 0 {
		c.Buf = str.Grow(c.Buf, body, int((end+7)/8))
		body = c.Buf
	}
	c.Out.Array(len(ops))
	for _, op := range ops {
		if n, ok := op.run(body); ok {
			c.Out.Int(n)
		} else {
			c.Out.Null()
		}
	}
	if end > 0 {
		put(c, "setbit", c.Args[1], r, body, r.ExpireAt)
	}
}

// parseFieldOps reads BITFIELD's operations. end is the number of bits that
// the string must have to be written to, 0 if it is only read.
func parseFieldOps(c *command.Ctx) (ops []fieldOp, end int64, ok bool) {
	mode := wrap
	for i := 2; i < len(c.Args); {
		left := len(c.Args) - i - 1
		op := fieldOp{overflow: mode}
		switch {
		case command.Is(c.Args[i], "GET") && left >= 2:
			op.kind = 'g'
		case command.Is(c.Args[i], "SET") && left >= 3:
			op.kind = 's'
		case command.Is(c.Args[i], "INCRBY") && left >= 3:
			op.kind = 'i'
		case command.Is(c.Args[i], "OVERFLOW") && left >= 1:
			if mode, ok = overflowMode(c.Args[i+1]); !ok {
				c.Fail("ERR Invalid OVERFLOW type specified")
				return nil, 0, false
			}
			i += 2
			continue
		default:
			c.Fail(command.ErrSyntax)
			return nil, 0, false
		}
		if op.signed, op.width, ok = fieldType(c.Args[i+1]); !ok {
			c.Fail("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
			return nil, 0, false
		}
		if op.at, ok = offset(c, c.Args[i+2], op.width); !ok {
			return nil, 0, false
		}
		i += 3
		if op.kind != 'g' {
			if op.value, ok = c.Int(i); !ok {
				return nil, 0, false
			}
			end = max(end, op.at+op.width)
			i++
		}
		ops = append(ops, op)
	}
	return ops, end, true
}

func overflowMode(arg []byte) (mode overflow, ok bool) {
	switch {
	case command.Is(arg, "WRAP"):
		return wrap, true
	case command.Is(arg, "SAT"):
		return saturate, true
	case command.Is(arg, "FAIL"):
		return fail, true
	}
	return wrap, false
}

func fieldType(arg []byte) (signed bool, width int64, ok bool) {
	if len(arg) == 0 || arg[0] != 'i' && arg[0] != 'u' {
		return false, 0, false
	}
	signed = arg[0] == 'i'
	width, ok = number.ParseInt(arg[1:])
	return signed, width, ok && width >= 1 && (width <= 63 || signed && width == 64)
}

// run does the operation. ok is false when its result did not fit.
func (op fieldOp) run(body []byte) (n int64, ok bool) {
	old := op.get(body)
	if op.kind == 'g' {
		return old, true
	}
	base, by := old, op.value
	if op.kind == 's' {
		base, by = op.value, 0
	}
	result, fits := op.add(base, by)
	if !fits && op.overflow == fail {
		return 0, false
	}
	op.set(body, result)
	if op.kind == 's' {
		return old, true
	}
	return result, true
}

// get reads the field; bits behind the string's end are zero.
func (f field) get(body []byte) int64 {
	var u uint64
	for i := f.at; i < f.at+f.width; i++ {
		u <<= 1
		if i/8 < int64(len(body)) {
			u |= uint64(body[i/8] >> (7 - i%8) & 1)
		}
	}
	return f.cut(u)
}

func (f field) set(body []byte, n int64) {
	for i := f.at + f.width - 1; i >= f.at; i-- {
		mask := byte(0x80) >> (i % 8)
		body[i/8] &^= mask
		if n&1 != 0 {
			body[i/8] |= mask
		}
		n >>= 1
	}
}

// cut is the field's value when u's lowest bits are stored in it.
func (f field) cut(u uint64) int64 {
	shift := 64 - f.width
	if f.signed {
		return int64(u<<shift) >> shift
	}
	return int64(u << shift >> shift)
}

// add is base+by as the field holds it, and whether it fits. When it does not,
// it is wrapped around or replaced by the nearest value that fits.
func (op fieldOp) add(base, by int64) (n int64, fits bool) {
	least, most := int64(0), int64(math.MaxInt64)
	if op.signed {
		most >>= 64 - op.width
		least = -most - 1
	} else {
		most >>= 63 - op.width
	}
	sum, exact := number.Add(base, by)
	above := exact && sum > most || !exact && by > 0
	if !op.signed && base < 0 {
		above = true // a negative value for an unsigned field counts as huge
	}
	below := !above && (!exact || sum < least)
	switch {
	case !above && !below:
		return sum, true
	case op.overflow != saturate:
		return op.cut(uint64(base) + uint64(by)), false
	case above:
		return most, false
	default:
		return least, false
	}
}
