package rdb

import (
	"encoding/binary"
	"math"
)

// version is what payloads say: the first with the layout of streams that is
// written here, so that servers of Redis 7.0 read them.
const version = 10

// Encoder writes a payload. A collection's number of things comes first, and
// then the things.
type Encoder struct{ Buf []byte }

// NewString begins a string's payload, which has one Item.
func NewString() *Encoder { return &Encoder{Buf: []byte{typeString}} }

// NewList begins the payload of a list of n Items.
func NewList(n uint64) *Encoder { return begin(typeList, n) }

// NewSet begins the payload of a set of n Items.
func NewSet(n uint64) *Encoder { return begin(typeSet, n) }

// NewHash begins the payload of a hash of n fields: two Items each.
func NewHash(n uint64) *Encoder { return begin(typeHash, n) }

// NewZSet begins the payload of a sorted set of n members: an Item and a Score
// each.
func NewZSet(n uint64) *Encoder { return begin(typeZSet2, n) }

func begin(t byte, n uint64) *Encoder {
	e := &Encoder{Buf: []byte{t}}
	e.length(n)
	return e
}

func (e *Encoder) length(n uint64) { e.Buf = appendLength(e.Buf, n) }

func appendLength(dst []byte, n uint64) []byte {
	switch {
	case n < len6max:
		return append(dst, byte(n))
	case n < len14max:
		return append(dst, byte(n>>8)|0x40, byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, len32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, len64), n)
}

// AppendString appends what CutString reads.
func AppendString[T []byte | string](dst []byte, p T) []byte {
	return append(appendLength(dst, uint64(len(p))), p...)
}

// Item writes a string.
func (e *Encoder) Item(p []byte) { e.Buf = AppendString(e.Buf, p) }

// Score writes the score of the member before it.
func (e *Encoder) Score(f float64) {
	e.Buf = binary.LittleEndian.AppendUint64(e.Buf, math.Float64bits(f))
}

// End writes the footer and returns the payload.
func (e *Encoder) End() []byte {
	e.Buf = binary.LittleEndian.AppendUint16(e.Buf, version)
	e.Buf = binary.LittleEndian.AppendUint64(e.Buf, Checksum(e.Buf))
	return e.Buf
}

// EncodeStream is a stream's payload.
func EncodeStream(s *StreamValue) []byte {
	e := &Encoder{Buf: []byte{typeStream2}}
	nodes := divide(s.Entries)
	e.length(uint64(len(nodes)))
	for _, n := range nodes {
		e.Item(appendRawID(nil, n[0].ID))
		e.Item(packNode(n))
	}
	e.length(uint64(len(s.Entries)))
	e.id(s.Last)
	first := ID{}
	if len(s.Entries) > 0 {
		first = s.Entries[0].ID
	}
	e.id(first)
	e.id(s.MaxDeleted)
	e.length(s.Added)
	e.length(uint64(len(s.Groups)))
	for i := range s.Groups {
		e.group(&s.Groups[i])
	}
	return e.End()
}

func (e *Encoder) id(a ID) {
	e.length(a.Ms)
	e.length(a.Seq)
}

func (e *Encoder) millis(ms int64) { e.Buf = binary.LittleEndian.AppendUint64(e.Buf, uint64(ms)) }

func appendRawID(dst []byte, a ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, a.Ms), a.Seq)
}

func (e *Encoder) group(g *Group) {
	e.Item(g.Name)
	e.id(g.Last)
	e.length(uint64(g.Read))
	e.length(uint64(len(g.Pending)))
	owned := make([][]ID, len(g.Consumers))
	for _, p := range g.Pending {
		e.Buf = appendRawID(e.Buf, p.ID)
		e.millis(p.At)
		e.length(p.Deliveries)
		owned[p.Owner] = append(owned[p.Owner], p.ID)
	}
	e.length(uint64(len(g.Consumers)))
	for i, c := range g.Consumers {
		e.Item(c.Name)
		e.millis(c.Seen)
		e.length(uint64(len(owned[i])))
		for _, at := range owned[i] {
			e.Buf = appendRawID(e.Buf, at)
		}
	}
}

// How many entries, and about how many bytes of them, one node holds.
const (
	nodeEntries = 100
	nodeBytes   = 4096
)

// divide cuts entries into nodes. A node's number of items has 16 bits.
func divide(entries []Entry) (nodes [][]Entry) {
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && n < nodeEntries && (n == 0 || size < nodeBytes) {
			for _, f := range entries[n].Fields {
				size += len(f) + 1
			}
			n++
		}
		nodes = append(nodes, entries[:n])
		entries = entries[n:]
	}
	return nodes
}

// packNode is a node's listpack. The first entry's fields are said once.
func packNode(entries []Entry) []byte {
	w := &packer{buf: make([]byte, listpackHeader)}
	master := entries[0]
	w.int(int64(len(entries)))
	w.int(0)
	w.int(int64(len(master.Fields) / 2))
	for i := 0; i < len(master.Fields); i += 2 {
		w.string(master.Fields[i])
	}
	w.int(0)
	for _, e := range entries {
		same := sameFields(master.Fields, e.Fields)
		start := w.items
		if same {
			w.int(entrySameFields)
		} else {
			w.int(0)
		}
		w.int(int64(e.ID.Ms - master.ID.Ms))
		w.int(int64(e.ID.Seq - master.ID.Seq))
		if !same {
			w.int(int64(len(e.Fields) / 2))
		}
		for i, p := range e.Fields {
			if !same || i%2 == 1 {
				w.string(p)
			}
		}
		w.int(int64(w.items - start))
	}
	return w.end()
}

func sameFields(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i += 2 {
		if string(a[i]) != string(b[i]) {
			return false
		}
	}
	return true
}

// packer writes a listpack.
type packer struct {
	buf   []byte
	items int
}

func (w *packer) back(start int) {
	w.buf = appendBack(w.buf, len(w.buf)-start)
	w.items++
}

func (w *packer) int(n int64) {
	start := len(w.buf)
	switch {
	case 0 <= n && n < 128:
		w.buf = append(w.buf, byte(n))
	case math.MinInt16 <= n && n <= math.MaxInt16:
		w.buf = binary.LittleEndian.AppendUint16(append(w.buf, 0xf1), uint16(n))
	case math.MinInt32 <= n && n <= math.MaxInt32:
		w.buf = binary.LittleEndian.AppendUint32(append(w.buf, 0xf3), uint32(n))
	default:
		w.buf = binary.LittleEndian.AppendUint64(append(w.buf, 0xf4), uint64(n))
	}
	w.back(start)
}

func (w *packer) string(p []byte) {
	start := len(w.buf)
	switch n := len(p); {
	case n < 1<<6:
		w.buf = append(w.buf, byte(n)|0x80)
	case n < 1<<12:
		w.buf = append(w.buf, byte(n>>8)|0xe0, byte(n))
	default:
		w.buf = binary.LittleEndian.AppendUint32(append(w.buf, 0xf0), uint32(n))
	}
	w.buf = append(w.buf, p...)
	w.back(start)
}

func (w *packer) end() []byte {
	w.buf = append(w.buf, packedEnd)
	binary.LittleEndian.PutUint32(w.buf, uint32(len(w.buf)))
	binary.LittleEndian.PutUint16(w.buf[4:], uint16(min(w.items, 1<<16-1)))
	return w.buf
}
