package tree

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Store keeps the nodes of an object's trees.
type Store interface {
	// Node returns a node, which is never changed. It is nil when the store
	// could not be read; then whatever the tree does is of no consequence, as
	// the transaction will be thrown away.
	Node(id uint64) []byte
	SetNode(id uint64, b []byte)
	DeleteNode(id uint64)
	// NewNode returns an id, greater than zero, that the store never gave.
	NewNode() uint64
}

// Root names a tree in its store. The zero Root is an empty tree.
type Root struct {
	Node   uint64
	Height uint8 // of the root; a leaf's is 0
	Count  uint64
}

// RootLen is the length of a stored Root in bytes.
const RootLen = 8 + 1 + 8

// AppendRoot appends the stored form of a Root: node:u64 height:u8 count:u64.
func AppendRoot(dst []byte, r Root) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, r.Node), r.Height)
	return binary.BigEndian.AppendUint64(dst, r.Count)
}

// ParseRoot reads what AppendRoot appended.
func ParseRoot(b []byte) (r Root, ok bool) {
	if len(b) < RootLen {
		return Root{}, false
	}
	r = Root{Node: binary.BigEndian.Uint64(b), Height: b[8], Count: binary.BigEndian.Uint64(b[9:])}
	return r, (r.Node == 0) == (r.Count == 0) && (r.Node != 0 || r.Height == 0)
}

// Tree is a tree while one command works on it. Keys and values that it
// returns are valid until the end of the transaction, and must not be changed.
type Tree struct {
	store Store
	root  Root
	dirty map[uint64]page
	// failed: a node could not be read. From then on all are unreadable, so
	// that nobody meets half of a change.
	failed bool
}

// page is a changed node that is not written yet; no bytes: it is deleted.
type page struct {
	b      []byte
	stored bool // there is such a node in the store
}

// Open returns the tree that r names.
func Open(s Store, r Root) *Tree { return &Tree{store: s, root: r} }

// Root writes all changes and returns what names the tree from now on. After
// the last change of a command it must be called, whatever the change was.
func (t *Tree) Root() Root {
	if len(t.dirty) == 0 {
		return t.root
	}
	ids := make([]uint64, 0, len(t.dirty))
	for id := range t.dirty {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		switch p := t.dirty[id]; {
		case p.b != nil:
			t.store.SetNode(id, p.b)
		case p.stored:
			t.store.DeleteNode(id)
		}
	}
	clear(t.dirty)
	return t.root
}

// Len is the number of entries.
func (t *Tree) Len() uint64 { return t.root.Count }

func (t *Tree) top() child { return child{id: t.root.Node, count: t.root.Count} }

// node returns a node of some height, or nil when it cannot be read.
func (t *Tree) node(id uint64, height uint8) []byte {
	if t.failed {
		return nil
	}
	b := t.dirty[id].b
	if b == nil {
		if b = t.store.Node(id); b == nil {
			t.failed = true
			return nil
		}
	}
	if !isKind(b, height) {
		panic(malformed(id))
	}
	return b
}

// set changes a node from old, as node returned it, to b, which is the tree's
// from now on. What did not change is not written.
func (t *Tree) set(id uint64, old, b []byte) {
	if bytes.Equal(old, b) {
		return
	}
	p, changed := t.dirty[id]
	t.change(id, page{b: b, stored: p.stored || !changed})
}

func (t *Tree) add(b []byte) (id uint64) {
	id = t.store.NewNode()
	t.change(id, page{b: b})
	return id
}

func (t *Tree) drop(id uint64) {
	p, changed := t.dirty[id]
	t.change(id, page{stored: p.stored || !changed})
}

func (t *Tree) change(id uint64, p page) {
	if t.dirty == nil {
		t.dirty = map[uint64]page{}
	}
	t.dirty[id] = p
}

// children reads a branch; b is nil when it cannot be read.
func (t *Tree) children(c child, height uint8) (b []byte, list []child) {
	b = t.node(c.id, height)
	if b == nil {
		return nil, nil
	}
	list = make([]child, 0, 64)
	it := branch(b, c.count)
	for it.next() {
		list = append(list, it.child)
	}
	if it.bad {
		panic(malformed(c.id))
	}
	return b, list
}

// Get returns the value of a key.
func (t *Tree) Get(key []byte) (value []byte, ok bool) {
	it, _, found := t.seek(key)
	if !found {
		return nil, false
	}
	return it.value, true
}

// Rank is the number of entries with lesser keys, and says whether there is
// one with this key.
func (t *Tree) Rank(key []byte) (n uint64, found bool) {
	_, n, found = t.seek(key)
	return n, found
}

// seek finds a key: its place in a leaf, if it is found, and its rank.
func (t *Tree) seek(key []byte) (at leafIter, rank uint64, found bool) {
	c := t.top()
	if c.count == 0 {
		return at, 0, false
	}
	for height := t.root.Height; height > 0; height-- {
		id, b := c.id, t.node(c.id, height)
		if b == nil {
			return at, 0, false
		}
		it := branch(b, c.count)
		for first := true; it.next() && (first || bytes.Compare(it.sep, key) <= 0); first = false {
			if !first {
				rank += c.count
			}
			c = it.child
		}
		if it.bad {
			panic(malformed(id))
		}
	}
	at = leaf(t.node(c.id, 0))
	for at.next() {
		if cmp := bytes.Compare(at.key, key); cmp >= 0 {
			return at, rank, cmp == 0
		}
		rank++
	}
	if at.bad {
		panic(malformed(c.id))
	}
	return at, rank, false
}

// At returns the entry at a position.
func (t *Tree) At(i uint64) (key, value []byte, ok bool) {
	if i >= t.root.Count {
		return nil, nil, false
	}
	c := t.top()
	for height := t.root.Height; height > 0; height-- {
		b := t.node(c.id, height)
		if b == nil {
			return nil, nil, false
		}
		it := branch(b, c.count)
		for it.next() && i >= it.count {
			i -= it.count
		}
		if it.bad {
			panic(malformed(c.id))
		}
		c = it.child
	}
	it := leaf(t.node(c.id, 0))
	for ; it.next(); i-- {
		if i == 0 {
			return it.key, it.value, true
		}
	}
	if it.bad {
		panic(malformed(c.id))
	}
	return nil, nil, false
}

// Scan visits the entries from position i on, until visit returns false. The
// tree must not change meanwhile.
func (t *Tree) Scan(i uint64, visit func(key, value []byte) bool) {
	if i < t.root.Count {
		t.scan(t.top(), t.root.Height, i, visit)
	}
}

func (t *Tree) scan(c child, height uint8, i uint64, visit func(key, value []byte) bool) (more bool) {
	b := t.node(c.id, height)
	if height == 0 {
		it := leaf(b)
		for it.next() {
			if i > 0 {
				i--
			} else if !visit(it.key, it.value) {
				return false
			}
		}
		if it.bad {
			panic(malformed(c.id))
		}
		return true
	}
	it := branch(b, c.count)
	for it.next() {
		if i >= it.count {
			i -= it.count
			continue
		}
		if !t.scan(it.child, height-1, i, visit) {
			return false
		}
		i = 0
	}
	if it.bad {
		panic(malformed(c.id))
	}
	return true
}

// ScanBack visits the entries from position i down to 0, until visit returns
// false. The tree must not change meanwhile.
func (t *Tree) ScanBack(i uint64, visit func(key, value []byte) bool) {
	if i < t.root.Count {
		t.scanBack(t.top(), t.root.Height, i, visit)
	}
}

// scanBack visits a subtree's entries up to position i, the last one first.
func (t *Tree) scanBack(c child, height uint8, i uint64, visit func(key, value []byte) bool) (more bool) {
	if height == 0 {
		all := entries(t.node(c.id, 0), c.id)
		if i < uint64(len(all)) {
			all = all[:i+1]
		}
		for k := len(all) - 1; k >= 0; k-- {
			if !visit(all[k].first, all[k].value) {
				return false
			}
		}
		return true
	}
	_, list := t.children(c, height)
	before := uint64(0)
	n := 0
	for ; n < len(list) && before <= i; n++ {
		before += list[n].count
	}
	for n--; n >= 0; n-- {
		before -= list[n].count
		if !t.scanBack(list[n], height-1, i-before, visit) {
			return false
		}
		if before > 0 {
			i = before - 1
		}
	}
	return true
}
