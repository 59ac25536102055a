package rdb

import (
	"encoding/binary"
	"errors"
	"hash/crc64"
	"math"
	"strconv"
)

// Errors of Decode.
var (
	// ErrFooter: not the footer of such a payload, or that of a later version.
	ErrFooter = errors.New("rdb: version or checksum are wrong")
	// ErrFormat: the value is malformed, or larger than it may be.
	ErrFormat = errors.New("rdb: bad data format")
)

const (
	// maxVersion is the version of the format that Redis 7.2 writes.
	maxVersion = 11
	footerLen  = 2 + 8
	// itemOverhead is about what an item costs beside its bytes.
	itemOverhead = 32
)

// Types of values, as the format numbers them.
const (
	typeString          = 0
	typeList            = 1
	typeSet             = 2
	typeZSet            = 3
	typeHash            = 4
	typeZSet2           = 5
	typeHashZipmap      = 9
	typeListZiplist     = 10
	typeSetIntset       = 11
	typeZSetZiplist     = 12
	typeHashZiplist     = 13
	typeListQuicklist   = 14
	typeStream          = 15
	typeHashListpack    = 16
	typeZSetListpack    = 17
	typeListQuicklist2  = 18
	typeStream2         = 19
	typeSetListpack     = 20
	typeStream3         = 21
	quicklistNodePlain  = 1
	quicklistNodePacked = 2
)

// table is of Jones' polynomial, which the format uses.
var table = crc64.MakeTable(0x95ac9329ac4bc9b5)

// Checksum is a footer's: it begins with zero and is not turned over at its
// end, unlike Go's.
func Checksum(p []byte) uint64 { return ^crc64.Update(math.MaxUint64, table, p) }

// Decode reads a payload. max bounds the bytes that the value may come to. The
// value may share memory with the payload.
func Decode(payload []byte, max int) (v Value, err error) {
	if len(payload) < footerLen {
		return v, ErrFooter
	}
	body, footer := payload[:len(payload)-footerLen], payload[len(payload)-footerLen:]
	if binary.LittleEndian.Uint16(footer) > maxVersion {
		return v, ErrFooter
	}
	// A sum of zero says that there is none.
	if sum := binary.LittleEndian.Uint64(footer[2:]); sum != 0 && sum != Checksum(payload[:len(payload)-8]) {
		return v, ErrFooter
	}
	d := &decoder{rest: body, left: max}
	v = d.value()
	if d.bad || len(d.rest) > 0 {
		return Value{}, ErrFormat
	}
	return v, nil
}

// CutString reads a string of at most max bytes off the front of b. It may share
// memory with b.
func CutString(b []byte, max int) (p, rest []byte, ok bool) {
	d := &decoder{rest: b, left: max + itemOverhead}
	p = d.string()
	return p, d.rest, !d.bad
}

// decoder takes a value apart. After the first mistake it is bad, and all that
// it gives is empty.
type decoder struct {
	rest []byte
	left int // bytes that the value may still come to
	bad  bool
}

func (d *decoder) fail() { d.bad, d.rest = true, nil }

// take is the next n bytes.
func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	p := d.rest[:n:n]
	d.rest = d.rest[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

// spend notes that a value of n bytes is made.
func (d *decoder) spend(n int) bool {
	if d.left -= n + itemOverhead; d.left < 0 {
		d.fail()
	}
	return !d.bad
}

// Lengths, and the special strings that take their place.
const (
	len32    = 0x80
	len64    = 0x81
	asInt8   = 0
	asInt16  = 1
	asInt32  = 2
	asLZF    = 3
	len6max  = 1 << 6
	len14max = 1 << 14
)

// length reads a length, or with special what kind of string follows.
func (d *decoder) length() (n uint64, special bool) {
	first := d.byte()
	switch first >> 6 {
	case 0:
		return uint64(first), false
	case 1:
		return uint64(first&0x3f)<<8 | uint64(d.byte()), false
	case 3:
		return uint64(first & 0x3f), true
	}
	switch first {
	case len32:
		if p := d.take(4); p != nil {
			return uint64(binary.BigEndian.Uint32(p)), false
		}
	case len64:
		if p := d.take(8); p != nil {
			return binary.BigEndian.Uint64(p), false
		}
	default:
		d.fail()
	}
	return 0, false
}

// number reads a length that is no string's.
func (d *decoder) number() uint64 {
	n, special := d.length()
	if special {
		d.fail()
	}
	return n
}

// count reads the number of things of which each takes at least some bytes.
func (d *decoder) count(least int) int {
	n := d.number()
	if n > uint64(len(d.rest)/least) {
		d.fail()
		return 0
	}
	return int(n)
}

// string reads a string.
func (d *decoder) string() []byte {
	n, special := d.length()
	if !special {
		p := d.take(n)
		d.spend(len(p))
		return p
	}
	var i int64
	switch n {
	case asInt8:
		i = int64(int8(d.byte()))
	case asInt16:
		if p := d.take(2); p != nil {
			i = int64(int16(binary.LittleEndian.Uint16(p)))
		}
	case asInt32:
		if p := d.take(4); p != nil {
			i = int64(int32(binary.LittleEndian.Uint32(p)))
		}
	case asLZF:
		return d.compressed()
	default:
		d.fail()
	}
	return d.decimal(i)
}

// decimal is an integer as the string that it stands for.
func (d *decoder) decimal(i int64) []byte {
	p := strconv.AppendInt(nil, i, 10)
	d.spend(len(p))
	return p
}

// maxRatio is how many bytes at most three bytes of LZF come to.
const maxRatio = 264

func (d *decoder) compressed() []byte {
	packed := d.number()
	size := d.number()
	p := d.take(packed)
	if size > uint64(len(p))*maxRatio || !d.spend(int(min(size, math.MaxInt32*2))) {
		d.fail()
		return nil
	}
	out, ok := decompress(make([]byte, 0, size), p)
	if !ok || uint64(len(out)) != size {
		d.fail()
		return nil
	}
	return out
}

// decompress appends what p comes to, which must fit into dst's room.
func decompress(dst, p []byte) (_ []byte, ok bool) {
	for len(p) > 0 {
		ctrl := int(p[0])
		p = p[1:]
		if ctrl < 32 { // as it is
			n := ctrl + 1
			if n > len(p) || n > cap(dst)-len(dst) {
				return nil, false
			}
			dst, p = append(dst, p[:n]...), p[n:]
			continue
		}
		n := ctrl >> 5
		if n == 7 {
			if len(p) == 0 {
				return nil, false
			}
			n += int(p[0])
			p = p[1:]
		}
		if len(p) == 0 {
			return nil, false
		}
		at := len(dst) - (ctrl&0x1f<<8 | int(p[0])) - 1
		p = p[1:]
		if n += 2; at < 0 || n > cap(dst)-len(dst) {
			return nil, false
		}
		for i := range n { // what is copied may be what was copied just now
			dst = append(dst, dst[at+i])
		}
	}
	return dst, true
}

// value reads a value with its type.
func (d *decoder) value() (v Value) {
	t := d.byte()
	if d.bad {
		return v
	}
	switch t {
	case typeString:
		return Value{Kind: String, Items: [][]byte{d.string()}}
	case typeList:
		v = Value{Kind: List, Items: d.strings(1)}
	case typeSet:
		v = Value{Kind: Set, Items: d.strings(1)}
	case typeHash:
		v = Value{Kind: Hash, Items: d.strings(2)}
	case typeZSet, typeZSet2:
		v = d.sorted(t == typeZSet2)
	case typeHashZipmap:
		v = Value{Kind: Hash, Items: d.zipmap(d.string())}
	case typeListZiplist:
		v = Value{Kind: List, Items: d.ziplist(nil, d.string())}
	case typeListQuicklist, typeListQuicklist2:
		v = Value{Kind: List, Items: d.quicklist(t == typeListQuicklist2)}
	case typeSetIntset:
		v = Value{Kind: Set, Items: d.intset(d.string())}
	case typeSetListpack:
		v = Value{Kind: Set, Items: d.listpack(nil, d.string())}
	case typeHashZiplist:
		v = Value{Kind: Hash, Items: d.ziplist(nil, d.string())}
	case typeHashListpack:
		v = Value{Kind: Hash, Items: d.listpack(nil, d.string())}
	case typeZSetZiplist:
		v = d.scored(d.ziplist(nil, d.string()))
	case typeZSetListpack:
		v = d.scored(d.listpack(nil, d.string()))
	case typeStream, typeStream2, typeStream3:
		return Value{Kind: Stream, Stream: d.stream(t)}
	default:
		d.fail()
	}
	d.check(v)
	return v
}

// check refuses a collection that is empty, or has the same member twice.
func (d *decoder) check(v Value) {
	if d.bad || len(v.Items) == 0 || v.Kind == Hash && len(v.Items)%2 != 0 {
		d.fail()
		return
	}
	step := 1
	switch v.Kind {
	case List:
		return
	case Hash:
		step = 2
	}
	seen := make(map[string]struct{}, len(v.Items)/step)
	for i := 0; i < len(v.Items); i += step {
		seen[string(v.Items[i])] = struct{}{}
	}
	if len(seen) != len(v.Items)/step {
		d.fail()
	}
}

// strings reads a number, and so many times some strings.
func (d *decoder) strings(each int) (list [][]byte) {
	n := d.count(each) * each
	for range n {
		if d.bad {
			return nil
		}
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) sorted(binaryScores bool) (v Value) {
	v.Kind = ZSet
	for range d.count(2) {
		member := d.string()
		score := d.score(binaryScores)
		if d.bad || math.IsNaN(score) {
			d.fail()
			return v
		}
		v.Items, v.Scores = append(v.Items, member), append(v.Scores, score)
	}
	return v
}

func (d *decoder) score(inBinary bool) float64 {
	if inBinary {
		if p := d.take(8); p != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(p))
		}
		return 0
	}
	switch n := d.byte(); n {
	case 253:
		return math.NaN()
	case 254:
		return math.Inf(1)
	case 255:
		return math.Inf(-1)
	default:
		return d.parseScore(d.take(uint64(n)))
	}
}

func (d *decoder) parseScore(p []byte) float64 {
	f, err := strconv.ParseFloat(string(p), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(f) {
		d.fail()
	}
	return f
}

// scored makes a sorted set of members, each with its score behind it.
func (d *decoder) scored(list [][]byte) (v Value) {
	v.Kind = ZSet
	if len(list)%2 != 0 {
		d.fail()
		return v
	}
	for i := 0; i < len(list); i += 2 {
		v.Items, v.Scores = append(v.Items, list[i]), append(v.Scores, d.parseScore(list[i+1]))
	}
	return v
}

func (d *decoder) quicklist(second bool) (list [][]byte) {
	for range d.count(1) {
		switch {
		case d.bad:
			return nil
		case !second:
			list = d.ziplist(list, d.string())
			continue
		}
		switch d.number() {
		case quicklistNodePlain:
			list = append(list, d.string())
		case quicklistNodePacked:
			list = d.listpack(list, d.string())
		default:
			d.fail()
		}
	}
	return list
}
