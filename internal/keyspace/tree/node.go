package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Sizes of nodes in bytes. What one insertion writes is a leaf and the
// branches above it, so both are small.
const (
	maxLeaf   = 1024
	maxBranch = 512
	// minBranch is the number of children that a branch may have at any size.
	minBranch = 3
)

// The first byte of a node is made of these bits.
const (
	plainBit  byte = 0x01
	branchBit byte = 0x02
)

// child is a node as its parent names it. Sep is empty in a plain tree, and
// is of no meaning for a parent's first child.
type child struct {
	sep   []byte
	id    uint64
	count uint64
}

func malformed(id uint64) string { return fmt.Sprintf("tree: malformed node %d: this is a bug", id) }

// item reads a length and so many bytes.
func item(b []byte, at int) (p []byte, end int, ok bool) {
	n, at, ok := number(b, at)
	if !ok || n > uint64(len(b)-at) {
		return nil, 0, false
	}
	end = at + int(n)
	return b[at:end:end], end, true
}

func number(b []byte, at int) (n uint64, end int, ok bool) {
	if at < len(b) && b[at] < 0x80 { // by far the most frequent
		return uint64(b[at]), at + 1, true
	}
	if at > len(b) {
		return 0, 0, false
	}
	n, size := binary.Uvarint(b[at:])
	return n, at + size, size > 0
}

func appendItem(dst, p []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(p))), p...)
}

// leafIter walks the entries of a leaf.
type leafIter struct {
	b          []byte
	at, end    int // of the current entry
	key, value []byte
	bad        bool
}

func leaf(b []byte) leafIter { return leafIter{b: b, end: 1} }

func (it *leafIter) next() bool {
	if it.end >= len(it.b) {
		return false
	}
	it.at = it.end
	end, ok := it.at, true
	if it.b[0]&plainBit == 0 {
		it.key, end, ok = item(it.b, end)
	}
	if ok {
		it.value, end, ok = item(it.b, end)
	}
	if !ok {
		it.bad, it.end = true, len(it.b)
		return false
	}
	it.end = end
	return true
}

// branchIter walks the children of a branch.
type branchIter struct {
	child
	b       []byte
	idAt    int // where the child's id begins
	countAt int // where its count begins; the last child has none
	at      int // where the next child begins
	total   uint64
	left    uint64 // entries of the children still to come
	bad     bool
}

// branch walks the children of a branch with so many entries below it.
func branch(b []byte, count uint64) branchIter {
	return branchIter{b: b, at: 1, total: count, left: count}
}

// first says whether the child is the first one.
func (it *branchIter) first() bool { return it.idAt == 1 }

// recount is the branch with another count for the child.
func (it *branchIter) recount(n uint64) []byte {
	if n == it.count || it.at == len(it.b) {
		return it.b
	}
	fresh := append(make([]byte, 0, len(it.b)+1), it.b[:it.countAt]...)
	return append(binary.AppendUvarint(fresh, n), it.b[it.at:]...)
}

func (it *branchIter) next() bool {
	if it.at >= len(it.b) || it.bad {
		return false
	}
	at, ok := it.at, true
	if at > 1 && it.b[0]&plainBit == 0 {
		it.sep, at, ok = item(it.b, at)
	}
	it.idAt = at
	if ok {
		it.id, at, ok = number(it.b, at)
	}
	it.countAt = at
	switch {
	case !ok:
	case at == len(it.b):
		it.count = it.left
	default:
		it.count, at, ok = number(it.b, at)
		ok = ok && at < len(it.b)
	}
	if !ok || it.id == 0 || it.count == 0 || it.count > it.left {
		it.bad = true
		return false
	}
	it.at, it.left = at, it.left-it.count
	return true
}

// isKind says whether a node is what its height asks for.
func isKind(b []byte, height uint8) bool {
	return len(b) > 1 && b[0]|plainBit|branchBit == plainBit|branchBit && (b[0]&branchBit != 0) == (height > 0)
}

func appendBranch(dst []byte, kind byte, list []child) []byte {
	dst = append(dst, kind)
	for i, c := range list {
		if i > 0 && kind&plainBit == 0 {
			dst = appendItem(dst, c.sep)
		}
		dst = binary.AppendUvarint(dst, c.id)
		if i < len(list)-1 {
			dst = binary.AppendUvarint(dst, c.count)
		}
	}
	return dst
}

// childSize is at least what a child takes in a branch.
func childSize(c child) int {
	return varintLen(uint64(len(c.sep))) + len(c.sep) + varintLen(c.id) + varintLen(c.count)
}

func varintLen(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// separator is the shortest key above low that is at most high.
func separator(low, high []byte) []byte {
	for i := range high {
		if i >= len(low) || low[i] != high[i] {
			return high[: i+1 : i+1]
		}
	}
	return high
}

var errMalformed = errors.New("malformed")

// checkLeaf verifies a leaf of n entries, all at or above low and below high;
// nil is no bound.
func checkLeaf(b []byte, n uint64, low, high []byte) error {
	if !isKind(b, 0) {
		return errMalformed
	}
	it, found := leaf(b), uint64(0)
	var last []byte
	for it.next() {
		if b[0]&plainBit == 0 {
			switch {
			case found > 0 && bytes.Compare(it.key, last) <= 0:
				return fmt.Errorf("key %x comes after %x", it.key, last)
			case low != nil && bytes.Compare(it.key, low) < 0, high != nil && bytes.Compare(it.key, high) >= 0:
				return fmt.Errorf("key %x is not between the separators %x and %x", it.key, low, high)
			}
		}
		last = it.key
		found++
	}
	switch {
	case it.bad:
		return errMalformed
	case found != n:
		return fmt.Errorf("%d entries, not %d", found, n)
	case len(b) > maxLeaf && found > 1:
		return fmt.Errorf("%d bytes in %d entries", len(b), found)
	}
	return nil
}

// LeafEntries is the number of entries in a stored node, 0 if it is a branch.
func LeafEntries(b []byte) (n int) {
	if len(b) == 0 || b[0]&branchBit != 0 {
		return 0
	}
	for it := leaf(b); it.next(); n++ {
	}
	return n
}
