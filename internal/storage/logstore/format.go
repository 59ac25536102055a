package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

var (
	// ErrCorrupt is wrapped by errors about stored bytes that are not what was
	// written. The message names file and offset.
	ErrCorrupt = errors.New("log is corrupt")
	// ErrNewerFormat is wrapped by Open's error about a segment that a newer
	// release wrote.
	ErrNewerFormat = errors.New("log has a newer format than this release reads")
	// ErrBroken is wrapped, with the first error, by everything a Store returns
	// after a failed write or fsync.
	ErrBroken = errors.New("log store is broken")
	// ErrInvalid is wrapped by Append's error about an update that contradicts
	// the log. Nothing of its batch was written.
	ErrInvalid = errors.New("invalid log update")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("log store is closed")
)

const (
	formatVersion = 1

	segmentHeaderBytes = 64
	preambleBytes      = 16
	recordHeaderBytes  = 32

	// maxRecordBytes bounds one record, and so what one Append may bring.
	maxRecordBytes = 1 << 30
	// maxSegmentBytes bounds Options.SegmentBytes: with one record on top,
	// offsets stay within 32 bits.
	maxSegmentBytes = 1 << 30
	// maxIndex bounds entry indexes and sequences, so that sums of them do not overflow.
	maxIndex = 1 << 62
	// maxSegment bounds segment numbers to what an index row holds.
	maxSegment = 1<<32 - 1

	magic = "CTRLOG\r\n"
)

type recordType uint8

const (
	recordBatch      recordType = 1
	recordCheckpoint recordType = 2
	recordMove       recordType = 3
)

func (t recordType) valid() bool { return t >= recordBatch && t <= recordMove }

// castagnoli is read only.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seed mixes a and b into the start value of a checksum.
func seed(a, b uint64) uint32 {
	return uint32(((a*0x9E3779B97F4A7C15 ^ b) * 0xBF58476D1CE4E5B9) >> 32)
}

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

func seededChecksum(a, b uint64, p []byte) uint32 {
	return crc32.Update(seed(a, b), castagnoli, p)
}

// segmentHeader is the first 64 bytes of a segment.
type segmentHeader struct {
	segment     uint64
	previousEnd uint64 // 0: there was no segment before
	firstSeq    uint64
	durable     uint64 // length of what was durable before the file got its name
}

func (h *segmentHeader) put(b []byte) {
	clear(b[:segmentHeaderBytes])
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	binary.LittleEndian.PutUint32(b[12:], checksum(b[:12]))
	binary.LittleEndian.PutUint64(b[16:], h.segment)
	binary.LittleEndian.PutUint64(b[24:], h.previousEnd)
	binary.LittleEndian.PutUint64(b[32:], h.firstSeq)
	binary.LittleEndian.PutUint64(b[40:], h.durable)
	binary.LittleEndian.PutUint32(b[60:], checksum(b[:60]))
}

// readSegmentHeader decodes the header of the given segment of size bytes. A
// segment gets its name when its header is durable, so a bad header is never
// a torn one.
func readSegmentHeader(b []byte, segment uint64, size int64) (h segmentHeader, err error) {
	if len(b) < preambleBytes {
		return h, fmt.Errorf("%w: the file ends within its header", ErrCorrupt)
	}
	if string(b[:8]) != magic || binary.LittleEndian.Uint32(b[12:]) != checksum(b[:12]) {
		return h, fmt.Errorf("%w: bad file header", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > formatVersion {
		return h, fmt.Errorf("%w: version %d, newest known %d", ErrNewerFormat, v, formatVersion)
	} else if v == 0 {
		return h, fmt.Errorf("%w: version 0", ErrCorrupt)
	}
	if len(b) < segmentHeaderBytes || binary.LittleEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return h, fmt.Errorf("%w: bad segment header", ErrCorrupt)
	}
	h.segment = binary.LittleEndian.Uint64(b[16:])
	h.previousEnd = binary.LittleEndian.Uint64(b[24:])
	h.firstSeq = binary.LittleEndian.Uint64(b[32:])
	h.durable = binary.LittleEndian.Uint64(b[40:])
	if h.segment != segment {
		return h, fmt.Errorf("%w: the file is segment %d", ErrCorrupt, h.segment)
	}
	if h.firstSeq == 0 || h.firstSeq > maxIndex {
		return h, fmt.Errorf("%w: the first record is %d", ErrCorrupt, h.firstSeq)
	}
	if h.durable < segmentHeaderBytes+recordHeaderBytes || h.durable > uint64(size) {
		return h, fmt.Errorf("%w: %d bytes were durable, the file has %d", ErrCorrupt, h.durable, size)
	}
	return h, nil
}

// record is one record of a segment image.
type record struct {
	off     int64 // of its header in the segment
	seq     uint64
	durable uint64
	typ     recordType
	body    []byte
}

func (r *record) end() int64 { return r.off + recordHeaderBytes + int64(len(r.body)) }

// sealRecord fills in the header of a record whose body is b[recordHeaderBytes:].
func sealRecord(b []byte, segment uint64, r record) {
	h := b[:recordHeaderBytes]
	body := b[recordHeaderBytes:]
	binary.LittleEndian.PutUint32(h[0:], uint32(len(body)))
	binary.LittleEndian.PutUint32(h[4:], checksum(body))
	binary.LittleEndian.PutUint64(h[8:], r.seq)
	binary.LittleEndian.PutUint64(h[16:], r.durable)
	binary.LittleEndian.PutUint32(h[24:], uint32(r.typ))
	binary.LittleEndian.PutUint32(h[28:], seededChecksum(segment, uint64(r.off), h[:28]))
}

// recordHeader decodes the record header at off, and says how long the body
// is; ok means that it was written there.
func recordHeader(img []byte, segment uint64, off int64) (r record, length int64, ok bool) {
	if int64(len(img))-off < recordHeaderBytes {
		return r, 0, false
	}
	h := img[off : off+recordHeaderBytes]
	kind := binary.LittleEndian.Uint32(h[24:])
	if kind > 255 || !recordType(kind).valid() {
		return r, 0, false
	}
	if binary.LittleEndian.Uint32(h[28:]) != seededChecksum(segment, uint64(off), h[:28]) {
		return r, 0, false
	}
	r = record{
		off:     off,
		seq:     binary.LittleEndian.Uint64(h[8:]),
		durable: binary.LittleEndian.Uint64(h[16:]),
		typ:     recordType(kind),
	}
	return r, int64(binary.LittleEndian.Uint32(h[0:])), true
}

// nextRecord decodes the record at off, which must have sequence seq. If it
// is not good, resume is where a later record could start.
func nextRecord(img []byte, segment uint64, off int64, seq uint64) (r record, resume int64, ok bool) {
	r, length, ok := recordHeader(img, segment, off)
	if !ok || r.seq != seq {
		return r, off, false
	}
	start := off + recordHeaderBytes
	if length > int64(len(img))-start {
		return r, int64(len(img)), false
	}
	r.body = img[start : start+length]
	if binary.LittleEndian.Uint32(img[off+4:]) != checksum(r.body) {
		return r, start + length, false
	}
	return r, r.end(), true
}

// laterRecord looks from off on for the header of a record with a sequence
// above seq. One that is there was written when seq was durable already.
func laterRecord(img []byte, segment uint64, off int64, seq uint64) (int64, bool) {
	for ; int64(len(img))-off >= recordHeaderBytes; off++ {
		// The sequence is small next to what random bytes give: a check without
		// the cost of a checksum. Zeros never pass.
		at := binary.LittleEndian.Uint64(img[off+8:])
		if at <= seq || at-seq > uint64(len(img)) {
			continue
		}
		if _, _, ok := recordHeader(img, segment, off); ok {
			return off, true
		}
	}
	return 0, false
}

// decoder reads varints and bytes out of a body; the first thing that is not
// there makes it fail for good.
type decoder struct {
	b      []byte
	pos    int
	failed bool
}

func (d *decoder) more() bool { return !d.failed && d.pos < len(d.b) }

func (d *decoder) fail() { d.failed = true }

func (d *decoder) uvarint() uint64 {
	if d.failed {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.pos:])
	if n <= 0 {
		d.failed = true
		return 0
	}
	d.pos += n
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if d.failed || n > uint64(len(d.b)-d.pos) {
		d.failed = true
		return nil
	}
	p := d.b[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return p
}

func (d *decoder) byte() byte {
	if p := d.bytes(1); p != nil {
		return p[0]
	}
	return 0
}
