package libs

import (
	"bytes"
	"encoding/binary"
	"math"

	"coterie/internal/script/lua"
)

// Bounds of struct's formats, in bytes.
const (
	maxIntSize = 32
	maxAlign   = 8
	maxPacked  = 64 << 20
)

func openStruct(s *lua.State) {
	t := lua.NewTable(0)
	s.Register(t, map[string]lua.Function{"pack": structPack, "unpack": structUnpack, "size": structSize})
	s.Globals.SetString("struct", lua.FromTable(t))
}

// layout reads a format, option by option.
type layout struct {
	c     *lua.Call
	rest  string
	big   bool
	align int
}

// next reads an option, its size, and how far it is from pos to be aligned.
func (l *layout) next(pos int) (opt byte, size, pad int) {
	opt = l.rest[0]
	l.rest = l.rest[1:]
	switch opt {
	case 'B', 'b', 'x':
		size = 1
	case 'H', 'h':
		size = 2
	case 'L', 'l', 'T', 'd':
		size = 8
	case 'f':
		size = 4
	case 'c':
		size = l.number(1)
	case 'i', 'I':
		if size = l.number(4); size > maxIntSize {
			l.c.Fail("integral size %d is larger than limit of %d", size, maxIntSize)
		}
	}
	if size > 0 && opt != 'c' {
		a := min(size, l.align)
		pad = (a - pos&(a-1)) & (a - 1)
	}
	return opt, size, pad
}

func (l *layout) number(def int) int {
	if l.rest == "" || l.rest[0] < '0' || l.rest[0] > '9' {
		return def
	}
	n := 0
	for l.rest != "" && l.rest[0] >= '0' && l.rest[0] <= '9' {
		d := int(l.rest[0] - '0')
		if n > math.MaxInt32/10 || n*10 > math.MaxInt32-d {
			l.c.Fail("integral size overflow")
		}
		n = n*10 + d
		l.rest = l.rest[1:]
	}
	return n
}

func (l *layout) control(opt byte) {
	switch opt {
	case ' ':
	case '>':
		l.big = true
	case '<':
		l.big = false
	case '!':
		a := l.number(maxAlign)
		if a <= 0 || a&(a-1) != 0 {
			l.c.Fail("alignment %d is not a power of 2", a)
		}
		l.align = a
	default:
		l.c.BadArgument(1, "invalid format option '"+string(rune(opt))+"'")
	}
}

func newLayout(c *lua.Call) *layout {
	format := c.CheckString(1)
	if i := bytes.IndexByte([]byte(format), 0); i >= 0 {
		format = format[:i]
	}
	return &layout{c: c, rest: format, align: 1}
}

func (l *layout) order() binary.ByteOrder {
	if l.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func structPack(c *lua.Call) {
	l, arg := newLayout(c), 2
	var b []byte
	var room [8]byte
	for l.rest != "" {
		opt, size, pad := l.next(len(b))
		b = append(b, make([]byte, pad)...)
		c.Step(1)
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			b = l.appendInteger(b, c.CheckNumber(arg), size)
			arg++
		case 'x':
			b = append(b, 0)
		case 'f':
			l.order().PutUint32(room[:], math.Float32bits(float32(c.CheckNumber(arg))))
			b = append(b, room[:4]...)
			arg++
		case 'd':
			l.order().PutUint64(room[:], math.Float64bits(c.CheckNumber(arg)))
			b = append(b, room[:8]...)
			arg++
		case 'c', 's':
			s := c.CheckString(arg)
			arg++
			if size == 0 {
				size = len(s)
			}
			if len(s) < size {
				c.BadArgument(arg, "string too short")
			}
			if len(b)+size > maxPacked {
				c.Fail("not enough memory")
			}
			b = append(b, s[:size]...)
			if opt == 's' {
				b = append(b, 0)
			}
		default:
			l.control(opt)
		}
	}
	c.PushBytes(b)
}

func (l *layout) appendInteger(b []byte, n float64, size int) []byte {
	var v uint64
	if n < 0 {
		v = uint64(lua.Integer(n))
	} else if n < 1<<63 {
		v = uint64(int64(n))
	} else if n < 1<<64 {
		v = uint64(n)
	}
	at := len(b)
	b = append(b, make([]byte, size)...)
	for i := range size {
		if l.big {
			b[at+size-1-i] = byte(v)
		} else {
			b[at+i] = byte(v)
		}
		v >>= 8
	}
	return b
}

func (l *layout) integer(data string, signed bool) float64 {
	var v uint64
	for i := range len(data) {
		if l.big {
			v = v<<8 | uint64(data[i])
		} else {
			v = v<<8 | uint64(data[len(data)-1-i])
		}
	}
	if !signed {
		return float64(v)
	}
	if n := len(data); n > 0 && n < 8 && v>>(8*n-1)&1 == 1 {
		v |= ^uint64(0) << (8 * n)
	}
	return float64(int64(v))
}

func structUnpack(c *lua.Call) {
	l, data := newLayout(c), c.CheckString(2)
	pos := c.OptInt(3, 1)
	if pos <= 0 {
		c.BadArgument(3, "offset must be 1 or greater")
	}
	pos--
	var last lua.Value // waits, as 'c0' may take it as its size
	var n int
	push := func(v lua.Value) {
		if n > 0 {
			c.Push(last)
		}
		last = v
		n++
	}
	fits := func(size int) {
		if size < 0 || size > len(data) || pos > len(data)-size {
			c.BadArgument(2, "data string too short")
		}
	}
	for l.rest != "" {
		opt, size, pad := l.next(pos)
		pos += pad
		fits(size)
		c.Step(1)
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			push(lua.Number(l.integer(data[pos:pos+size], opt >= 'a')))
		case 'x':
		case 'f':
			push(lua.Number(float64(math.Float32frombits(l.order().Uint32([]byte(data[pos : pos+4]))))))
		case 'd':
			push(lua.Number(math.Float64frombits(l.order().Uint64([]byte(data[pos : pos+8])))))
		case 'c':
			if size == 0 {
				m, ok := last.ToNumber()
				if n == 0 || !ok {
					c.Fail("format 'c0' needs a previous size")
				}
				size = int(lua.Integer(m))
				fits(size)
				last = lua.String(data[pos : pos+size])
				break
			}
			push(lua.String(data[pos : pos+size]))
		case 's':
			end := bytes.IndexByte([]byte(data[pos:]), 0)
			if end < 0 {
				c.Fail("unfinished string in data")
			}
			push(lua.String(data[pos : pos+end]))
			size = end + 1
		default:
			l.control(opt)
		}
		pos += size
	}
	if n > 0 {
		c.Push(last)
	}
	c.Push(lua.Number(float64(pos + 1)))
}

func structSize(c *lua.Call) {
	l, pos := newLayout(c), 0
	for l.rest != "" {
		opt, size, pad := l.next(pos)
		pos += pad
		switch {
		case opt == 's':
			c.BadArgument(1, "option 's' has no fixed size")
		case opt == 'c' && size == 0:
			c.BadArgument(1, "option 'c0' has no fixed size")
		case !('0' <= opt && opt <= '9' || 'a' <= opt|0x20 && opt|0x20 <= 'z'):
			l.control(opt)
		}
		pos += size
	}
	c.Push(lua.Number(float64(pos)))
}
