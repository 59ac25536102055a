package zset

import (
	"bytes"
	"encoding/binary"

	"coterie/internal/keyspace"
)

// How large a sorted set may be and still live in its record, which every
// change writes anew.
const (
	maxInlineMembers = 128
	maxInlineBytes   = 4096 // of the body
	maxInlineMember  = 64   // bytes of a member
)

const (
	// inlineHead is the length of what precedes the first entry.
	inlineHead = 2
	// entryHead is the length of an entry without its member.
	entryHead = scoreLen + 1
)

// entry is a member of an inline set, and where in the body it is.
type entry struct {
	order  uint64
	member []byte
	at     int
	end    int
}

// entryAt parses the entry at a place in the body; ok is false at its end.
func entryAt(body []byte, at int) (e entry, ok bool) {
	if at >= len(body) {
		return entry{}, false
	}
	start := at + entryHead
	if start > len(body) || start+int(body[start-1]) > len(body) {
		panic("zset: malformed inline set")
	}
	e = entry{order: readOrder(body[at:]), at: at, end: start + int(body[start-1])}
	e.member = body[start:e.end:e.end]
	return e, true
}

// findInline looks a member up; rank is how many stand before it.
func findInline(body, member []byte) (e entry, rank int, ok bool) {
	for at := inlineHead; ; rank++ {
		if e, ok = entryAt(body, at); !ok {
			return entry{at: len(body)}, rank, false
		}
		if bytes.Equal(e.member, member) {
			return e, rank, true
		}
		at = e.end
	}
}

// placeInline is where a member with a score stands, or would stand, and how
// many stand before it.
func placeInline(body []byte, o uint64, member []byte) (at, rank int) {
	for at = inlineHead; ; rank++ {
		e, ok := entryAt(body, at)
		if !ok || e.order > o || e.order == o && bytes.Compare(e.member, member) >= 0 {
			return at, rank
		}
		at = e.end
	}
}

// startsInline appends where each entry starts, and the body's end.
func startsInline(dst []int, body []byte) []int {
	at := inlineHead
	for at < len(body) {
		dst = append(dst, at)
		e, _ := entryAt(body, at)
		at = e.end
	}
	return append(dst, at)
}

// emptyInline begins an inline set in dst's memory.
func emptyInline(dst []byte) []byte { return append(dst[:0], keyspace.Inline, 0) }

// fitsInline says whether one more member may be added.
func fitsInline(body, member []byte) bool {
	return len(member) <= maxInlineMember && body[1] < maxInlineMembers && len(body)+entryHead+len(member) <= maxInlineBytes
}

// insertInline adds a member that is not there and fits. It changes body in place.
func insertInline(body []byte, o uint64, member []byte) []byte {
	at, _ := placeInline(body, o, member)
	old, grow := len(body), entryHead+len(member)
	for range grow {
		body = append(body, 0)
	}
	copy(body[at+grow:], body[at:old])
	binary.BigEndian.PutUint64(body[at:], o)
	body[at+scoreLen] = byte(len(member))
	copy(body[at+entryHead:], member)
	body[1]++
	return body
}

// deleteInline deletes n entries, which are body[at:end], in place.
func deleteInline(body []byte, at, end, n int) []byte {
	body[1] -= byte(n)
	return append(body[:at], body[end:]...)
}
