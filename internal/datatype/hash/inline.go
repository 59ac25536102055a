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

// inlineTimed begins an inline hash whose entries have deadlines.
const inlineTimed byte = 0x04

// inlineHead is the length of what precedes the first entry.
const inlineHead = 2

// entry is a field of an inline hash, and where in the body it is.
type entry struct {
	field, value []byte
	deadline     int64 // 0: none
	at           int   // of the entry
	valueAt      int   // of the value's length
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
	if body[0] == inlineTimed {
		n, size := binary.Uvarint(body[e.end:])
		if size <= 0 {
			panic("hash: malformed inline hash")
		}
		e.deadline, e.end = int64(n), e.end+size
	}
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

// setInline changes body in place; a deadline asks for a timed body. ok is
// false, and the fields as they were, when the result would be too large to
// stay in a record.
func setInline(body, field, value []byte, deadline int64) (_ []byte, added, ok bool) {
	if len(field) > maxInlineItem || len(value) > maxInlineItem {
		return body, false, false
	}
	timed := body[0] == inlineTimed
	var room [binary.MaxVarintLen64]byte
	var tail []byte
	if timed {
		tail = binary.AppendUvarint(room[:0], uint64(deadline))
	}
	e, found := findEntry(body, field)
	if !found {
		if body[1] >= maxInlineFields || len(body)+itemSize(field)+itemSize(value)+len(tail) > maxInlineBytes {
			return body, false, false
		}
		body[1]++
		return append(appendItem(appendItem(body, field), value), tail...), true, true
	}
	grow := itemSize(value) + len(tail) - (e.end - e.valueAt)
	if len(body)+grow > maxInlineBytes {
		return body, false, false
	}
	old := len(body)
	for range max(grow, 0) {
		body = append(body, 0)
	}
	copy(body[e.end+grow:], body[e.end:old])
	body = body[:old+grow]
	// The value may be part of the body: an entry whose deadline changes.
	at := e.valueAt + itemSize(value) - len(value)
	copy(body[at:], value)
	binary.PutUvarint(body[e.valueAt:at], uint64(len(value)))
	copy(body[at+len(value):], tail)
	return body, false, true
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

// retimed is a copy of an inline hash in the form with or without deadlines;
// without fields whose deadline is not after now.
func retimed(body []byte, timed bool, now int64) []byte {
	out := emptyInline(make([]byte, 0, len(body)+2*int(body[1])+8))
	if timed {
		out[0] = inlineTimed
	}
	for e, ok := entryAt(body, inlineHead); ok; e, ok = entryAt(body, e.end) {
		if e.deadline != 0 && e.deadline <= now {
			continue
		}
		out = append(out, body[e.at:e.valueAt]...)
		out = appendItem(out, e.value)
		if timed {
			out = binary.AppendUvarint(out, uint64(e.deadline))
		}
		out[1]++
	}
	return out
}

// firstInline is the first of an inline hash's deadlines, or 0.
func firstInline(body []byte) (first int64) {
	if body[0] != inlineTimed {
		return 0
	}
	for e, ok := entryAt(body, inlineHead); ok; e, ok = entryAt(body, e.end) {
		if e.deadline != 0 && (first == 0 || e.deadline < first) {
			first = e.deadline
		}
	}
	return first
}
