package rdb

import (
	"bytes"
	"encoding/binary"
)

// Packed collections are strings of their own. Everything here takes one apart
// from its beginning to its end, and refuses it if that is not where it says.

const packedEnd = 0xff

// packed is what lies between a header of so many bytes and the end mark. size
// is what the header says that all of it takes.
func (d *decoder) packed(p []byte, header int) (items []byte) {
	if len(p) <= header || uint64(binary.LittleEndian.Uint32(p)) != uint64(len(p)) || p[len(p)-1] != packedEnd {
		d.fail()
		return nil
	}
	return p[header : len(p)-1]
}

// counted compares a header's number of items, of which 65535 says nothing.
func (d *decoder) counted(header []byte, n int) {
	if d.bad {
		return
	}
	if want := binary.LittleEndian.Uint16(header); want != 1<<16-1 && int(want) != n {
		d.fail()
	}
}

func (d *decoder) item(list [][]byte, p []byte) [][]byte {
	d.spend(len(p))
	return append(list, p)
}

func signed(p []byte) (i int64) {
	for n := len(p) - 1; n >= 0; n-- {
		i = i<<8 | int64(p[n])
	}
	shift := 64 - 8*len(p)
	return i << shift >> shift
}

const listpackHeader = 4 + 2

// listpack appends a listpack's items.
func (d *decoder) listpack(list [][]byte, p []byte) [][]byte {
	start := len(list)
	in := &decoder{rest: d.packed(p, listpackHeader), bad: d.bad, left: d.left}
	for !in.bad && len(in.rest) > 0 {
		list = in.listpackItem(list)
	}
	d.join(in)
	if !d.bad {
		d.counted(p[4:], len(list)-start)
	}
	return list
}

// join takes over what a decoder of a part has come to.
func (d *decoder) join(in *decoder) {
	if d.left = in.left; in.bad {
		d.fail()
	}
}

// listpackItem appends the next item, and checks that what follows it leads
// back to its beginning.
func (d *decoder) listpackItem(list [][]byte) [][]byte {
	all := d.rest
	list = d.listpackEntry(list)
	if d.bad {
		return list
	}
	var room [5]byte
	back := appendBack(room[:0], len(all)-len(d.rest))
	if !bytes.Equal(d.take(uint64(len(back))), back) {
		d.fail()
	}
	return list
}

func (d *decoder) listpackEntry(list [][]byte) [][]byte {
	first := d.byte()
	switch {
	case first>>7 == 0: // 0xxxxxxx: an integer
		return append(list, d.decimal(int64(first)))
	case first>>6 == 2: // 10xxxxxx: a short string
		return d.item(list, d.take(uint64(first&0x3f)))
	case first>>5 == 6: // 110xxxxx x: an integer of 13 bits
		n := int64(first&0x1f)<<8 | int64(d.byte())
		return append(list, d.decimal(n<<51>>51))
	case first>>4 == 14: // 1110xxxx x: a string
		return d.item(list, d.take(uint64(first&0xf)<<8|uint64(d.byte())))
	}
	switch first {
	case 0xf0:
		if p := d.take(4); p != nil {
			return d.item(list, d.take(uint64(binary.LittleEndian.Uint32(p))))
		}
	case 0xf1, 0xf2, 0xf3, 0xf4: // integers of 2, 3, 4 and 8 bytes
		return append(list, d.decimal(signed(d.take([...]uint64{2, 3, 4, 8}[first-0xf1]))))
	}
	d.fail()
	return list
}

// appendBack appends the length of a listpack's item as it is read from behind.
func appendBack(dst []byte, n int) []byte {
	size := 1
	switch {
	case n <= 127:
		return append(dst, byte(n))
	case n < 16383:
		size = 2
	case n < 2097151:
		size = 3
	case n < 268435455:
		size = 4
	default:
		size = 5
	}
	for i := size - 1; i >= 0; i-- {
		b := byte(n>>(7*i)) & 127
		if i < size-1 {
			b |= 128
		}
		dst = append(dst, b)
	}
	return dst
}

const ziplistHeader = 4 + 4 + 2

// ziplist appends a ziplist's items.
func (d *decoder) ziplist(list [][]byte, p []byte) [][]byte {
	start, last, at := len(list), ziplistHeader, ziplistHeader
	in := &decoder{rest: d.packed(p, ziplistHeader), bad: d.bad, left: d.left}
	before := 0
	for !in.bad && len(in.rest) > 0 {
		size := len(in.rest)
		list = in.ziplistItem(list, before)
		before = size - len(in.rest)
		last = at
		at += before
	}
	d.join(in)
	if !d.bad {
		d.counted(p[8:], len(list)-start)
		if uint64(binary.LittleEndian.Uint32(p[4:])) != uint64(last) {
			d.fail()
		}
	}
	return list
}

// ziplistItem appends the next item; before is the size of the one before it.
func (d *decoder) ziplistItem(list [][]byte, before int) [][]byte {
	size := uint64(d.byte())
	if size == 0xfe {
		if p := d.take(4); p != nil {
			size = uint64(binary.LittleEndian.Uint32(p))
		}
	}
	if size != uint64(before) {
		d.fail()
		return list
	}
	first := d.byte()
	switch first >> 6 {
	case 0:
		return d.item(list, d.take(uint64(first)))
	case 1:
		return d.item(list, d.take(uint64(first&0x3f)<<8|uint64(d.byte())))
	case 2:
		if p := d.take(4); p != nil && first == 0x80 {
			return d.item(list, d.take(uint64(binary.BigEndian.Uint32(p))))
		}
		d.fail()
		return list
	}
	size = 0
	switch first {
	case 0xc0:
		size = 2
	case 0xd0:
		size = 4
	case 0xe0:
		size = 8
	case 0xf0:
		size = 3
	case 0xfe:
		size = 1
	case 0xff:
		d.fail()
		return list
	default:
		if first < 0xf1 {
			d.fail()
			return list
		}
		return append(list, d.decimal(int64(first&0xf)-1))
	}
	return append(list, d.decimal(signed(d.take(size))))
}

// intset is the members of a set of integers.
func (d *decoder) intset(p []byte) (list [][]byte) {
	if len(p) < 8 {
		d.fail()
		return nil
	}
	size, n := uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[4:]))
	if size != 2 && size != 4 && size != 8 || n*size != uint64(len(p)-8) {
		d.fail()
		return nil
	}
	last := int64(0)
	for i, p := 0, p[8:]; len(p) > 0 && !d.bad; i, p = i+1, p[size:] {
		m := signed(p[:size])
		if i > 0 && m <= last {
			d.fail()
		}
		last = m
		list = append(list, d.decimal(m))
	}
	return list
}

// zipmap is the fields and values of the form that hashes had long ago.
func (d *decoder) zipmap(p []byte) (list [][]byte) {
	if len(p) < 2 || p[len(p)-1] != packedEnd {
		d.fail()
		return nil
	}
	fields := int(p[0])
	in := &decoder{rest: p[1 : len(p)-1], left: d.left}
	for !in.bad && len(in.rest) > 0 {
		list = in.item(list, in.take(in.zipmapLen()))
		n := in.zipmapLen()
		free := uint64(in.byte())
		list = in.item(list, in.take(n))
		in.take(free)
	}
	d.join(in)
	if fields < 254 && len(list) != 2*fields {
		d.fail()
	}
	return list
}

func (d *decoder) zipmapLen() uint64 {
	n := uint64(d.byte())
	if n == 254 {
		if p := d.take(4); p != nil {
			return uint64(binary.LittleEndian.Uint32(p))
		}
	}
	if n >= 254 {
		d.fail()
	}
	return n
}
