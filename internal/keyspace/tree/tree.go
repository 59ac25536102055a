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
	pages pages
	// last is the node last read, which is often asked for twice.
	last struct {
		id uint64
		b  []byte
	}
	// failed: a node could not be read. From then on all are unreadable, so
	// that nobody meets half of a change.
	failed bool
}

// Open returns the tree that r names.
func Open(s Store, r Root) *Tree { return &Tree{store: s, root: r} }

// Root writes all changes and returns what names the tree from now on. After
// the last change of a command it must be called, whatever the change was.
func (t *Tree) Root() Root {
	for _, p := range t.pages.take() {
		switch {
		case p.b != nil:
			t.store.SetNode(p.id, p.b)
		case p.stored:
			t.store.DeleteNode(p.id)
		}
	}
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
	if id == t.last.id {
		return t.last.b
	}
	var b []byte
	if p := t.pages.find(id); p != nil {
		b = p.b
	} else if b = t.store.Node(id); b == nil {
		t.failed = true
		return nil
	}
	if !isKind(b, height) {
		panic(malformed(id))
	}
	t.last.id, t.last.b = id, b
	return b
}

// set changes a node from old, as node returned it, to b, which is the tree's
// from now on. What did not change is not written.
func (t *Tree) set(id uint64, old, b []byte) {
	if bytes.Equal(old, b) {
		return
	}
	t.change(id, b)
}

func (t *Tree) add(b []byte) (id uint64) {
	id = t.store.NewNode()
	t.pages.add(page{id: id, b: b})
	return id
}

func (t *Tree) drop(id uint64) { t.change(id, nil) }

func (t *Tree) change(id uint64, b []byte) {
	if id == t.last.id {
		t.last.id = 0
	}
	if p := t.pages.find(id); p != nil {
		p.b = b
	} else {
		t.pages.add(page{id: id, b: b, stored: true})
	}
}

// children reads a branch; b is nil when it cannot be read.
func (t *Tree) children(c child, height uint8) (b []byte, list []child) {
	b = t.node(c.id, height)
	if b == nil {
		return nil, nil
	}
	list = make([]child, 0, 4+len(b)/5)
	it := branch(b, c.count)
	for it.next() {
		list = append(list, it.child)
	}
	if it.bad {
		panic(malformed(c.id))
	}
	return b, list
}

// around returns all children of a branch, as they were when it was read, and
// which of them `it` stands on; -1 when the branch cannot be read.
func (t *Tree) around(id uint64, it *branchIter, height uint8) (list []child, i int) {
	_, list = t.children(child{id: id, count: it.total}, height)
	return list, slices.IndexFunc(list, func(n child) bool { return n.id == it.id })
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

// Footprint estimates the bytes of all nodes, each with so many beside: by those on the
// way to so many entries that are picked at random. The expected value is the truth,
// whatever the shape of the tree.
func (t *Tree) Footprint(samples, beside int, rnd func() uint64) int64 {
	if t.root.Count == 0 || samples <= 0 {
		return 0
	}
	if t.root.Height == 0 {
		samples = 1
	}
	sum := 0.0
	for range samples {
		i, c := rnd()%t.root.Count, t.top()
		for height := t.root.Height; ; height-- {
			b := t.node(c.id, height)
			if b == nil {
				return 0
			}
			sum += float64(len(b)+beside) / float64(c.count) // the node's share of each entry below it
			if height == 0 {
				break
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
	}
	return int64(sum / float64(samples) * float64(t.root.Count))
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
