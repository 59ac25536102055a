package libs

import (
	"encoding/binary"
	"math"

	"coterie/internal/script/lua"
)

// maxMsgpackNesting is how deep tables are packed; deeper ones become nil. Unpacking
// follows as deep as maxUnpackNesting.
const (
	maxMsgpackNesting = 16
	maxUnpackNesting  = 1000
)

func openMsgpack(s *lua.State) {
	t := lua.NewTable(0)
	s.Register(t, map[string]lua.Function{
		"pack": msgPack,
		"unpack": func(c *lua.Call) {
			msgUnpack(c, 0, 0)
		},
		"unpack_one":   func(c *lua.Call) { msgUnpack(c, 1, c.OptInt(2, 0)) },
		"unpack_limit": func(c *lua.Call) { msgUnpack(c, c.CheckInt(2), c.OptInt(3, 0)) },
	})
	t.SetString("_NAME", lua.String("cmsgpack"))
	t.SetString("_VERSION", lua.String("lua-cmsgpack 0.4.0"))
	s.Globals.SetString("cmsgpack", lua.FromTable(t))
}

func msgPack(c *lua.Call) {
	if c.N() == 0 {
		c.BadArgument(0, "MessagePack pack needs input.")
	}
	p := &packer{c: c}
	for i := 1; i <= c.N(); i++ {
		p.value(c.Arg(i), 0)
	}
	c.PushBytes(p.b)
}

type packer struct {
	c *lua.Call
	b []byte
}

func (p *packer) value(v lua.Value, depth int) {
	before := cap(p.b)
	p.c.Step(1)
	if n, ok := v.Num(); ok {
		p.number(n)
	} else if s, ok := v.Str(); ok {
		p.head(len(s), 0xa0, 32, 0xd9, 0xda, 0xdb)
		p.b = append(p.b, s...)
	} else if b, ok := v.Bool(); ok {
		if b {
			p.b = append(p.b, 0xc3)
		} else {
			p.b = append(p.b, 0xc2)
		}
	} else if t, ok := v.Table(); ok && depth < maxMsgpackNesting {
		p.table(t, depth)
	} else {
		p.b = append(p.b, 0xc0)
	}
	p.c.Charge(cap(p.b) - before)
}

// head writes a length: in the first byte if it is short, else behind one of the
// codes for 1, 2 and 4 bytes. Without a code for 1 byte that is 0.
func (p *packer) head(n int, short byte, limit int, one, two, four byte) {
	switch {
	case n < limit:
		p.b = append(p.b, short|byte(n))
	case n <= 0xff && one != 0:
		p.b = append(p.b, one, byte(n))
	case n <= 0xffff:
		p.b = binary.BigEndian.AppendUint16(append(p.b, two), uint16(n))
	default:
		p.b = binary.BigEndian.AppendUint32(append(p.b, four), uint32(n))
	}
}

func (p *packer) number(n float64) {
	i := lua.Integer(n)
	if float64(i) != n || n >= 1<<63 {
		if f := float32(n); float64(f) == n {
			p.b = binary.BigEndian.AppendUint32(append(p.b, 0xca), math.Float32bits(f))
		} else {
			p.b = binary.BigEndian.AppendUint64(append(p.b, 0xcb), math.Float64bits(n))
		}
		return
	}
	switch {
	case i >= 0 && i <= 127 || i < 0 && i >= -32:
		p.b = append(p.b, byte(i))
	case i >= 0 && i <= 0xff:
		p.b = append(p.b, 0xcc, byte(i))
	case i >= 0 && i <= 0xffff:
		p.b = binary.BigEndian.AppendUint16(append(p.b, 0xcd), uint16(i))
	case i >= 0 && i <= 0xffffffff:
		p.b = binary.BigEndian.AppendUint32(append(p.b, 0xce), uint32(i))
	case i >= 0:
		p.b = binary.BigEndian.AppendUint64(append(p.b, 0xcf), uint64(i))
	case i >= -128:
		p.b = append(p.b, 0xd0, byte(i))
	case i >= -32768:
		p.b = binary.BigEndian.AppendUint16(append(p.b, 0xd1), uint16(i))
	case i >= -2147483648:
		p.b = binary.BigEndian.AppendUint32(append(p.b, 0xd2), uint32(i))
	default:
		p.b = binary.BigEndian.AppendUint64(append(p.b, 0xd3), uint64(i))
	}
}

func (p *packer) table(t *lua.Table, depth int) {
	pairs, list := 0, 0
	var highest float64
	for k, _, _ := t.Next(lua.Nil); !k.IsNil(); k, _, _ = t.Next(k) {
		pairs++
		if n, ok := k.Num(); ok && n >= 1 && n == math.Floor(n) {
			list++
			highest = max(highest, n)
		}
	}
	p.c.Step(pairs)
	if list == pairs && highest == float64(list) {
		p.head(list, 0x90, 16, 0, 0xdc, 0xdd)
		for i := 1; i <= list; i++ {
			p.value(t.GetInt(i), depth+1)
		}
		return
	}
	p.head(pairs, 0x80, 16, 0, 0xde, 0xdf)
	for k, v, _ := t.Next(lua.Nil); !k.IsNil(); k, v, _ = t.Next(k) {
		p.value(k, depth+1)
		p.value(v, depth+1)
	}
}

func msgUnpack(c *lua.Call, limit, offset int) {
	s := c.CheckString(1)
	switch {
	case offset < 0 || limit < 0:
		c.Fail("Invalid request to unpack with offset of %d and limit of %d.", offset, len(s))
	case offset > len(s):
		c.Fail("Start offset %d greater than input length %d.", offset, len(s))
	}
	all := limit == 0 && offset == 0
	u := &unpacker{c: c, rest: s[offset:]}
	var values []lua.Value
	for u.rest != "" && (all || len(values) < limit) {
		values = append(values, u.value(0))
		c.Charge(24)
	}
	if !all {
		next := len(s) - len(u.rest)
		if u.rest == "" {
			next = -1
		}
		c.Push(lua.Number(float64(next)))
	}
	for _, v := range values {
		c.Push(v)
	}
}

type unpacker struct {
	c    *lua.Call
	rest string
}

func (u *unpacker) take(n int) string {
	if n > len(u.rest) {
		u.c.Fail("Missing bytes in input.")
	}
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

// uint reads a number of n bytes.
func (u *unpacker) uint(n int) (v uint64) {
	s := u.take(n)
	for i := range len(s) {
		v = v<<8 | uint64(s[i])
	}
	return v
}

func (u *unpacker) text(n int) lua.Value {
	u.c.Charge(16)
	return lua.String(u.take(n))
}

func (u *unpacker) value(depth int) lua.Value {
	if depth > maxUnpackNesting {
		u.c.Fail("Bad data format in input.")
	}
	u.c.Step(1)
	code := u.take(1)[0]
	signed := func(n int) lua.Value {
		shift := 64 - 8*n
		return lua.Number(float64(int64(u.uint(n)<<shift) >> shift))
	}
	unsigned := func(n int) lua.Value { return lua.Number(float64(int64(u.uint(n)))) } // as Redis, also where that is negative
	switch {
	case code < 0x80:
		return lua.Number(float64(code))
	case code < 0x90:
		return u.dict(int(code&0xf), depth)
	case code < 0xa0:
		return u.list(int(code&0xf), depth)
	case code < 0xc0:
		return u.text(int(code & 0x1f))
	case code >= 0xe0:
		return lua.Number(float64(int8(code)))
	}
	switch code {
	case 0xc0:
		return lua.Nil
	case 0xc2, 0xc3:
		return lua.Bool(code == 0xc3)
	case 0xc4, 0xd9:
		return u.text(int(u.uint(1)))
	case 0xc5, 0xda:
		return u.text(int(u.uint(2)))
	case 0xc6, 0xdb:
		return u.text(int(u.uint(4)))
	case 0xca:
		return lua.Number(float64(math.Float32frombits(uint32(u.uint(4)))))
	case 0xcb:
		return lua.Number(math.Float64frombits(u.uint(8)))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return unsigned(1 << (code - 0xcc))
	case 0xd0, 0xd1, 0xd2, 0xd3:
		return signed(1 << (code - 0xd0))
	case 0xdc:
		return u.list(int(u.uint(2)), depth)
	case 0xdd:
		return u.list(int(u.uint(4)), depth)
	case 0xde:
		return u.dict(int(u.uint(2)), depth)
	case 0xdf:
		return u.dict(int(u.uint(4)), depth)
	}
	u.c.Fail("Bad data format in input.")
	return lua.Nil
}

func (u *unpacker) list(n, depth int) lua.Value {
	t := lua.NewTable(0)
	u.c.Charge(96)
	for i := 1; i <= n; i++ {
		u.c.Charge(t.Set(lua.Number(float64(i)), u.value(depth+1)))
	}
	return lua.FromTable(t)
}

func (u *unpacker) dict(n, depth int) lua.Value {
	t := lua.NewTable(0)
	u.c.Charge(96)
	for range n {
		k := u.value(depth + 1)
		v := u.value(depth + 1)
		u.c.SetRaw(t, k, v)
	}
	return lua.FromTable(t)
}
