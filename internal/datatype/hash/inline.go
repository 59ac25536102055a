package hash

import (
	"bytes"
	"encoding/binary"

	"coterie/internal/keyspace"
)

// How large a hash may be and still live in its record, which every change
// writes anew.
const (
	maxInlineFields = 128
	maxInlineBytes  = 4096 // of the body
	maxInlineItem   = 1024 // bytes of a field or a value
)

// inlineHead is the length of what precedes the first entry.
const inlineHead = 2

// entry is a field of an inline hash, and where in the body it is.
type entry struct {
	field, value []byte
	at           int // of the entry
	valueAt      int // of the value's length
	end          int
}

// entryAt parses the entry at a place in the body; ok is false at its end.
func entryAt(body []byte, at int) (e entry, ok bool) {
	if at >= len(body) {
		return entry{}, false
	}
	e.at = at
	e.field, e.valueAt = item(body, at)
	e.value, e.end = item(body, e.valueAt)
	return e, true
}

func item(body []byte, at int) (p []byte, end int) {
	if n := int(body[at]); n < 0x80 && at+1+n <= len(body) { // by far the most frequent
		end = at + 1 + n
		return body[at+1 : end : end], end
	}
	n, size := binary.Uvarint(body[at:])
	if size <= 0 || n > uint64(len(body)-at-size) {
		panic("hash: malformed inline hash")
	}
	end = at + size + int(n)
	return body[at+size : end : end], end
}

func appendItem(dst, p []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(p))), p...)
}

func itemSize(p []byte) int {
	n := 1 + len(p)
	if len(p) >= 0x80 {
		n++ // an item has at most maxInlineItem bytes, so two bytes of length at most
	}
	return n
}

func findEntry(body, field []byte) (e entry, ok bool) {
	for e, ok = entryAt(body, inlineHead); ok; e, ok = entryAt(body, e.end) {
		if bytes.Equal(e.field, field) {
			return e, true
		}
	}
	return e, false
}

// emptyInline begins an inline hash in dst's memory.
func emptyInline(dst []byte) []byte { return append(dst[:0], keyspace.Inline, 0) }

// setInline changes body in place. ok is false, and body as it was, when the
// result would be too large to stay in a record.
func setInline(body, field, value []byte) (_ []byte, added, ok bool) {
	if len(field) > maxInlineItem || len(value) > maxInlineItem {
		return body, false, false
	}
	e, found := findEntry(body, field)
	if !found {
		if body[1] >= maxInlineFields || len(body)+itemSize(field)+itemSize(value) > maxInlineBytes {
			return body, false, false
		}
		body[1]++
		return appendItem(appendItem(body, field), value), true, true
	}
	grow := itemSize(value) - (e.end - e.valueAt)
	if len(body)+grow > maxInlineBytes {
		return body, false, false
	}
	return appendAt(body, e.valueAt, e.end, grow, value), false, true
}

// appendAt replaces body[at:end] by value with its length, which is grow
// bytes longer.
func appendAt(body []byte, at, end, grow int, value []byte) []byte {
	old := len(body)
	for range max(grow, 0) {
		body = append(body, 0)
	}
	copy(body[end+grow:], body[end:old])
	body = body[:old+grow]
	appendItem(body[:at:end+grow], value)
	return body
}

// deleteInline changes body in place.
func deleteInline(body, field []byte) (_ []byte, deleted bool) {
	e, ok := findEntry(body, field)
	if !ok {
		return body, false
	}
	body[1]--
	return append(body[:e.at], body[e.end:]...), true
}
