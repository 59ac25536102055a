package wire

import (
	"encoding/binary"
	"math"
)

// cursor reads fields off the front of b. The first field that is not there,
// or out of range, makes it bad; from then on everything reads as zero, so
// that a decoder checks once per item.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) fail() {
	c.b, c.bad = nil, true
}

func (c *cursor) u8() byte {
	if len(c.b) == 0 {
		c.fail()
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) uvarint() uint64 {
	if len(c.b) > 0 && c.b[0] < 0x80 {
		v := c.b[0]
		c.b = c.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) upTo(limit uint64) uint64 {
	v := c.uvarint()
	if v > limit {
		c.fail()
		return 0
	}
	return v
}

func (c *cursor) u32() uint32 { return uint32(c.upTo(math.MaxUint32)) }

// count reads how many elements follow. Every element has at least one byte,
// so a count above the bytes left is a lie and not believed.
func (c *cursor) count() int { return int(c.upTo(uint64(len(c.b)))) }

// bytes reads a length and that many bytes, aliased and never nil.
func (c *cursor) bytes() []byte {
	n := c.count()
	if c.bad || n > len(c.b) {
		c.fail()
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}
