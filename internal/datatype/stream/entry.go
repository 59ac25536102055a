package stream

import (
	"encoding/binary"

	"coterie/internal/command"
)

// appendEntry appends the stored form of an entry's fields and values:
//
//	fields:uvarint | { len:uvarint field  len:uvarint value } …
func appendEntry(dst []byte, fields [][]byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fields)/2))
	for _, p := range fields {
		dst = append(binary.AppendUvarint(dst, uint64(len(p))), p...)
	}
	return dst
}

// replyEntry replies with an entry: its id, and its fields and values.
func replyEntry(c *command.Ctx, at id, entry []byte) {
	c.Out.Array(2)
	replyID(c, at)
	r := reader{entry}
	n := r.uint()
	c.Out.Array(int(2 * n))
	for range 2 * n {
		c.Out.Bulk(r.bytes(r.uint()))
	}
}

// reader takes apart what this package stored. The store verifies checksums,
// so anything else is a bug, and going on would spread it.
type reader struct{ rest []byte }

func malformed() { panic("stream: malformed record") }

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		malformed()
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		malformed()
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		malformed()
	}
	p := r.rest[:n:n]
	r.rest = r.rest[n:]
	return p
}

func (r *reader) id() id { return idOf(r.bytes(idLen)) }
