package tree

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// entry is an insertion on its way down.
type entry struct {
	key, value []byte
	pos        uint64 // in the subtree; of a plain tree
	plain      bool
	replace    bool // the entry at pos; of a plain tree
	added      bool
	// front and back: on the way up, it made a node before or behind all that
	// the subtree had.
	front, back bool
}

func (e *entry) size() int {
	n := len(e.value) + 2
	if !e.plain {
		n += len(e.key) + 1
	}
	return n
}

// append appends the stored form.
func (e *entry) append(dst []byte) []byte {
	if !e.plain {
		dst = appendItem(dst, e.key)
	}
	return appendItem(dst, e.value)
}

// Put sets the value of a key in a keyed tree, and says whether the key is new.
func (t *Tree) Put(key, value []byte) (added bool) {
	e := entry{key: key, value: value}
	t.insert(&e)
	return e.added
}

// InsertAt puts a value in front of position i of a plain tree; at Len, it
// becomes the last.
func (t *Tree) InsertAt(i uint64, value []byte) {
	if i > t.root.Count {
		panic("tree: insertion behind the end")
	}
	t.insert(&entry{value: value, pos: i, plain: true})
}

// SetAt replaces the value at position i of a plain tree.
func (t *Tree) SetAt(i uint64, value []byte) {
	if i >= t.root.Count {
		panic("tree: no such position")
	}
	t.insert(&entry{value: value, pos: i, plain: true, replace: true})
}

func (t *Tree) insert(e *entry) {
	if t.root.Count == 0 {
		kind := byte(0)
		if e.plain {
			kind = plainBit
		}
		e.added = true
		t.root = Root{Node: t.add(e.alone(kind)), Count: 1}
		return
	}
	first, more := t.insertBelow(t.top(), t.root.Height, e)
	if len(more) > 0 {
		kind := branchBit
		if e.plain {
			kind |= plainBit
		}
		t.root.Node = t.add(appendBranch(nil, kind, slices.Insert(more, 0, first)))
		t.root.Height++
	}
	if e.added {
		t.root.Count++
	}
}

// insertBelow inserts into a subtree, and returns the nodes that take its
// place: itself, and those that were split off.
func (t *Tree) insertBelow(c child, height uint8, e *entry) (first child, more []child) {
	if height == 0 {
		return t.insertLeaf(c, e)
	}
	b := t.node(c.id, height)
	if b == nil {
		return c, nil
	}
	pos := e.pos
	it := e.choose(b, c)
	if height == 1 && it.at < len(b) && !e.replace && len(t.node(it.id, 0))+e.size() > maxLeaf {
		e.pos = pos
		return t.insertBetween(c, b, e)
	}
	first, more = t.insertBelow(it.child, height-1, e)
	if e.added {
		c.count++
	}
	e.front, e.back = e.front && it.first(), e.back && it.at == len(b)
	if len(more) == 0 {
		if fresh := it.recount(first.count); len(fresh) <= maxBranch {
			t.set(c.id, b, fresh)
			return c, nil
		}
	}
	list, i := t.around(c.id, &it, height)
	if i < 0 {
		return c, nil
	}
	list[i] = first
	return t.setBranch(c, b, slices.Insert(list, i+1, more...), e)
}

// setBranch stores a branch's new children, in more than one if they are too many.
func (t *Tree) setBranch(c child, old []byte, list []child, e *entry) (first child, more []child) {
	b := appendBranch(make([]byte, 0, maxBranch+64), old[0], list)
	if len(b) <= maxBranch || len(list) <= minBranch {
		t.set(c.id, old, b)
		return c, nil
	}
	return t.splitBranch(c, old, list, e)
}

// insertBetween inserts into a full leaf that is not its parent's last; c is
// the parent. What belongs to the end of that leaf goes to the beginning of the
// next one, if that has room: else a sequence of such insertions would leave
// leaves of one entry each.
func (t *Tree) insertBetween(c child, b []byte, e *entry) (first child, more []child) {
	it := e.choose(b, c)
	list, i := t.around(c.id, &it, 1)
	if i < 0 {
		return c, nil
	}
	if t.goesNext(list, i, e) {
		i++
	}
	front, back := i == 0, i == len(list)-1
	first, more = t.insertLeaf(list[i], e)
	if e.added {
		c.count++
	}
	e.front, e.back = e.front && front, e.back && back
	list[i] = first
	return t.setBranch(c, b, slices.Insert(list, i+1, more...), e)
}

// choose finds the child of a branch that an entry belongs to. An insertion
// between two children of a plain tree goes to the end of the first.
func (e *entry) choose(b []byte, c child) (it branchIter) {
	next := branch(b, c.count)
	for next.next() {
		if !e.plain && !next.first() && bytes.Compare(next.sep, e.key) > 0 {
			break
		}
		it = next
		if e.plain {
			if n := it.count; e.pos < n || e.pos == n && !e.replace {
				break
			}
			e.pos -= it.count
		}
	}
	if next.bad || it.id == 0 {
		panic(malformed(c.id))
	}
	return it
}

// goesNext says whether an insertion into the full leaf at i is to go to the
// beginning of the next leaf, and makes it so.
func (t *Tree) goesNext(list []child, i int, e *entry) bool {
	if e.plain && e.pos < list[i].count || len(t.node(list[i+1].id, 0))+e.size() > maxLeaf {
		return false
	}
	if e.plain {
		e.pos = 0
		return true
	}
	it := leaf(t.node(list[i].id, 0))
	for it.next() {
		if bytes.Compare(it.key, e.key) >= 0 {
			return false
		}
	}
	list[i+1].sep = separator(it.key, e.key)
	return true
}

func (t *Tree) insertLeaf(c child, e *entry) (first child, more []child) {
	b := t.node(c.id, 0)
	if b == nil {
		return c, nil
	}
	if (b[0]&plainBit != 0) != e.plain {
		panic("tree: a tree is keyed or plain, not both")
	}
	at, end := e.place(b, c.id)
	e.added = at == end
	fresh := make([]byte, 0, len(b)+e.size()+2*binary.MaxVarintLen64)
	fresh = e.append(append(fresh, b[:at]...))
	behind := len(fresh)
	fresh = append(fresh, b[end:]...)
	if e.added {
		c.count++
	}
	switch {
	case len(fresh) <= maxLeaf || c.count == 1:
		t.set(c.id, b, fresh)
		return c, nil
	case e.added && behind == len(fresh): // the leaf stays as it is
		e.back = true
		c.count--
		return c, []child{{sep: between(b, e.key), id: t.add(e.alone(b[0])), count: 1}}
	case e.added && at == 1:
		e.front = true
		c.count--
		head := leaf(b)
		head.next()
		first = child{sep: c.sep, id: t.add(e.alone(b[0])), count: 1}
		return first, []child{{sep: separator(e.key, head.key), id: c.id, count: c.count}}
	}
	return t.splitLeaf(c, b, fresh)
}

func (e *entry) alone(kind byte) []byte { return e.append([]byte{kind}) }

// place is where in a leaf the entry goes: what lies between at and end makes
// room for it.
func (e *entry) place(b []byte, id uint64) (at, end int) {
	it := leaf(b)
	for n := uint64(0); it.next(); n++ {
		switch {
		case e.plain && n == e.pos && e.replace:
			return it.at, it.end
		case e.plain && n == e.pos:
			return it.at, it.at
		case e.plain:
		default:
			if cmp := bytes.Compare(it.key, e.key); cmp == 0 {
				return it.at, it.end
			} else if cmp > 0 {
				return it.at, it.at
			}
		}
	}
	if it.bad || e.replace {
		panic(malformed(id))
	}
	return len(b), len(b)
}

// between separates a leaf's last key from a greater one.
func between(b, key []byte) []byte {
	it := leaf(b)
	for it.next() {
	}
	return separator(it.key, key)
}

// piece is a part of a leaf: one entry, or several that stay together.
type piece struct {
	from, to    int // offsets
	count       uint64
	first, last []byte // keys
	value       []byte // of one entry
}

// entries takes a leaf apart.
func entries(b []byte, id uint64) (all []piece) {
	it := leaf(b)
	for it.next() {
		all = append(all, piece{it.at, it.end, 1, it.key, it.key, it.value})
	}
	if it.bad {
		panic(malformed(id))
	}
	return all
}

// splitLeaf stores what has become too large for a leaf in several.
func (t *Tree) splitLeaf(c child, old, b []byte) (first child, more []child) {
	var last []byte
	for i, p := range halve(entries(b, c.id), nil) {
		n := child{sep: c.sep, id: c.id, count: p.count}
		part := append(append(make([]byte, 0, 1+p.to-p.from), b[0]), b[p.from:p.to]...)
		if i == 0 {
			t.set(c.id, old, part)
			first = n
		} else {
			n.id, n.sep = t.add(part), separator(last, p.first)
			more = append(more, n)
		}
		last = p.last
	}
	return first, more
}

// halve joins entries to pieces that fit into a leaf, about equal in size; an
// entry that is too large for that is a piece of its own.
func halve(all, dst []piece) []piece {
	first, last := all[0], all[len(all)-1]
	whole := piece{from: first.from, to: last.to, count: uint64(len(all)), first: first.first, last: last.last}
	size := whole.to - whole.from
	if size < maxLeaf || len(all) == 1 {
		return append(dst, whole)
	}
	cut := 1
	for cut < len(all)-1 && all[cut].from-whole.from < size/2 {
		cut++
	}
	if cut > 1 && all[cut].from-whole.from-size/2 > size/2-(all[cut-1].from-whole.from) {
		cut--
	}
	return halve(all[cut:], halve(all[:cut], dst))
}

// splitBranch stores the children of a branch that has become too large in
// several. One that grew at an end stays full.
func (t *Tree) splitBranch(c child, old []byte, list []child, e *entry) (first child, more []child) {
	parts := halveBranch(list, nil)
	kept := 0 // the part that keeps the branch's id
	if n := len(list) - 1; e.back && branchSize(list[:n]) <= maxBranch {
		parts = [][]child{list[:n], list[n:]}
	} else if e.front && branchSize(list[1:]) <= maxBranch {
		parts, kept = [][]child{list[:1], list[1:]}, 1
	}
	nodes := make([]child, len(parts))
	for i, part := range parts {
		n := child{sep: c.sep, id: c.id}
		if i > 0 {
			n.sep = part[0].sep
		}
		for _, k := range part {
			n.count += k.count
		}
		b := appendBranch(make([]byte, 0, maxBranch), old[0], part)
		if i == kept {
			t.set(c.id, old, b)
		} else {
			n.id = t.add(b)
		}
		nodes[i] = n
	}
	return nodes[0], nodes[1:]
}

// branchSize is at least the size of a branch of these children.
func branchSize(list []child) (size int) {
	size = 1
	for _, c := range list {
		size += childSize(c)
	}
	return size
}

// halveBranch divides children among branches, about equally.
func halveBranch(list []child, dst [][]child) [][]child {
	size := branchSize(list)
	if size <= maxBranch || len(list) <= minBranch {
		return append(dst, list)
	}
	cut := 2
	for left := branchSize(list[:cut]); cut < len(list)-2 && left < size/2; cut++ {
		left += childSize(list[cut])
	}
	return halveBranch(list[cut:], halveBranch(list[:cut], dst))
}
