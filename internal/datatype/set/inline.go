package set

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"coterie/internal/command/number"
	"coterie/internal/keyspace"
)

// How large a set may be and still live in its record, which every change
// writes anew.
const (
	maxInlineMembers = 128
	maxInlineBytes   = 2048 // of the body
	maxInlineItem    = 512  // bytes of a member
)

// Places in an inline body.
const (
	formAt     = 1
	countAt    = 2
	inlineHead = 3
)

const intLen = 8

// inline is the body of a set that lives in its record.
type inline []byte

func emptyInline(dst []byte, f Form) inline { return append(dst[:0], keyspace.Inline, byte(f), 0) }

func (b inline) form() Form { return Form(b[formAt]) }
func (b inline) len() int   { return int(b[countAt]) }

// appendInt appends an integer so that the order of bytes is that of numbers.
func appendInt(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
}

func (b inline) intAt(i int) int64 {
	return int64(binary.BigEndian.Uint64(b[inlineHead+i*intLen:]) ^ 1<<63)
}

// searchInt is the place of the first integer that is not below n.
func (b inline) searchInt(n int64) (i int, found bool) {
	lo, hi := 0, b.len()
	for lo < hi {
		mid := (lo + hi) / 2
		if b.intAt(mid) < n {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < b.len() && b.intAt(lo) == n
}

// itemAt is the string at a place in the body, and where the next one is.
func (b inline) itemAt(at int) (item []byte, end int) {
	n, size := binary.Uvarint(b[at:])
	if size <= 0 || n > uint64(len(b)-at-size) {
		panic("set: malformed inline set")
	}
	end = at + size + int(n)
	return b[at+size : end : end], end
}

// find is where a member is in the body.
func (b inline) find(member []byte) (at, end int, ok bool) {
	if b.form() == Intset {
		n, isInt := number.ParseInt(member)
		if !isInt {
			return 0, 0, false
		}
		i, found := b.searchInt(n)
		at = inlineHead + i*intLen
		return at, at + intLen, found
	}
	for at = inlineHead; at < len(b); at = end {
		var item []byte
		if item, end = b.itemAt(at); bytes.Equal(item, member) {
			return at, end, true
		}
	}
	return 0, 0, false
}

// each calls f with every member, until f returns false. A member is valid
// until f returns.
func (b inline) each(f func(member []byte) bool) {
	if b.form() == Intset {
		var text [20]byte
		for i := range b.len() {
			if !f(strconv.AppendInt(text[:0], b.intAt(i), 10)) {
				return
			}
		}
		return
	}
	for at := inlineHead; at < len(b); {
		item, end := b.itemAt(at)
		if !f(item) {
			return
		}
		at = end
	}
}

// add adds a member that is not there, in place. form is what the set's
// becomes. ok is false, and the members as they were, when the result would be
// too large to stay in a record.
func (b inline) add(member []byte, form Form) (_ inline, ok bool) {
	if b.len() >= maxInlineMembers || len(member) > maxInlineItem {
		return b, false
	}
	if form == Intset {
		n, _ := number.ParseInt(member)
		i, _ := b.searchInt(n)
		at := inlineHead + i*intLen
		b = appendInt(b, n)
		copy(b[at+intLen:], b[at:len(b)-intLen])
		appendInt(b[:at], n)
		b[countAt]++
		return b, true
	}
	if b.form() == Intset {
		b = b.spelled()
	}
	if len(b)+binary.MaxVarintLen16+len(member) > maxInlineBytes {
		return b, false
	}
	b = append(binary.AppendUvarint(b, uint64(len(member))), member...)
	b[formAt] = byte(form)
	b[countAt]++
	return b, true
}

// spelled is a copy with the integers as strings.
func (b inline) spelled() inline {
	out := emptyInline(make([]byte, 0, 2*len(b)), Listpack)
	out[countAt] = b[countAt]
	b.each(func(member []byte) bool {
		out = append(binary.AppendUvarint(out, uint64(len(member))), member...)
		return true
	})
	return out
}

// cut takes out what find found, in place.
func (b inline) cut(at, end int) inline {
	b[countAt]--
	return append(b[:at], b[end:]...)
}
