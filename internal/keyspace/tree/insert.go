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
		t.root = Root{Node: t.add(e.append([]byte{kind})), Count: 1}
		return
	}
	list := t.insertBelow(t.top(), t.root.Height, e)
	if len(list) > 1 {
		kind := branchBit
		if e.plain {
			kind |= plainBit
		}
		t.root.Node = t.add(appendBranch(nil, kind, list))
		t.root.Height++
	}
	if e.added {
		t.root.Count++
	}
}

// insertBelow inserts into a subtree, and returns the nodes that take its
// place: itself, and those that were split off.
func (t *Tree) insertBelow(c child, height uint8, e *entry) []child {
	if height == 0 {
		return t.insertLeaf(c, e)
	}
	old, list := t.children(c, height)
	if old == nil {
		return []child{c}
	}
	i := e.choose(list)
	if height == 1 {
		i = t.preferNext(list, i, e)
	}
	below := t.insertBelow(list[i], height-1, e)
	if e.added {
		c.count++
	}
	e.front, e.back = e.front && i == 0, e.back && i == len(list)-1
	list[i] = below[0]
	if len(below) > 1 {
		list = slices.Insert(list, i+1, below[1:]...)
	}
	b := appendBranch(make([]byte, 0, maxBranch+64), old[0], list)
	if len(b) <= maxBranch || len(list) <= minBranch {
		t.set(c.id, old, b)
		return []child{c}
	}
	return t.splitBranch(c, old, list, e)
}

// choose says which child of a branch an entry belongs to. An insertion
// between two children of a plain tree goes to the end of the first.
func (e *entry) choose(list []child) (i int) {
	if !e.plain {
		for i = len(list) - 1; i > 0 && bytes.Compare(list[i].sep, e.key) > 0; {
			i--
		}
		return i
	}
	for ; i < len(list)-1; i++ {
		if n := list[i].count; e.pos < n || e.pos == n && !e.replace {
			break
		}
		e.pos -= list[i].count
	}
	return i
}

// preferNext turns an insertion at the end of a full leaf to the beginning of
// the next one, if that has room: else a sequence of such would leave leaves
// of one entry each.
func (t *Tree) preferNext(list []child, i int, e *entry) int {
	if e.replace || i == len(list)-1 || e.plain && e.pos < list[i].count {
		return i
	}
	own := t.node(list[i].id, 0)
	if len(own)+e.size() <= maxLeaf || len(t.node(list[i+1].id, 0))+e.size() > maxLeaf {
		return i
	}
	if e.plain {
		e.pos = 0
		return i + 1
	}
	it := leaf(own)
	for it.next() {
		if bytes.Compare(it.key, e.key) >= 0 {
			return i
		}
	}
	list[i+1].sep = separator(it.key, e.key)
	return i + 1
}

func (t *Tree) insertLeaf(c child, e *entry) []child {
	b := t.node(c.id, 0)
	if b == nil {
		return []child{c}
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
		return []child{c}
	case e.added && behind == len(fresh): // the leaf stays as it is
		e.back = true
		c.count--
		return []child{c, {sep: t.between(b, e.key), id: t.add(e.alone(b[0])), count: 1}}
	case e.added && at == 1:
		e.front = true
		c.count--
		first := leaf(b)
		first.next()
		return []child{{sep: c.sep, id: t.add(e.alone(b[0])), count: 1}, {sep: separator(e.key, first.key), id: c.id, count: c.count}}
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
func (t *Tree) between(b, key []byte) []byte {
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
func (t *Tree) splitLeaf(c child, old, b []byte) []child {
	var list []child
	var last []byte
	for i, p := range halve(entries(b, c.id), nil) {
		n := child{sep: c.sep, id: c.id, count: p.count}
		part := append(append(make([]byte, 0, 1+p.to-p.from), b[0]), b[p.from:p.to]...)
		if i == 0 {
			t.set(c.id, old, part)
		} else {
			n.id, n.sep = t.add(part), separator(last, p.first)
		}
		last = p.last
		list = append(list, n)
	}
	return list
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
func (t *Tree) splitBranch(c child, old []byte, list []child, e *entry) []child {
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
	return nodes
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
