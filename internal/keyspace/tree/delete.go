package tree

import "slices"

// Delete deletes a key of a keyed tree, and says whether it was there.
func (t *Tree) Delete(key []byte) (deleted bool) {
	i, found := t.Rank(key)
	if found {
		t.DeleteRange(i, i+1)
	}
	return found
}

// DeleteRange deletes the entries at the positions i to j-1. It costs, besides
// the way down, a constant for each node that goes.
func (t *Tree) DeleteRange(i, j uint64) {
	j = min(j, t.root.Count)
	if i >= j {
		return
	}
	top, alive := t.cut(t.top(), t.root.Height, i, j)
	if !alive {
		t.root = Root{}
		return
	}
	t.root.Count = top.count
	t.lower()
}

// lower makes the root's only child the root.
func (t *Tree) lower() {
	for t.root.Height > 0 {
		b := t.node(t.root.Node, t.root.Height)
		it := branch(b, t.root.Count)
		if !it.next() || it.at < len(b) {
			return
		}
		t.drop(t.root.Node)
		t.root.Node = it.id
		t.root.Height--
	}
}

// cut deletes positions of a subtree. alive is false when nothing is left, not
// even the node.
func (t *Tree) cut(c child, height uint8, i, j uint64) (_ child, alive bool) {
	if i == 0 && j == c.count {
		t.dropAll(c, height)
		return c, false
	}
	if height == 0 {
		return t.cutLeaf(c, i, j), true
	}
	if c, ok := t.cutOne(c, height, i, j); ok {
		return c, true
	}
	old, list := t.children(c, height)
	if old == nil {
		return c, true
	}
	kept := list[:0]
	var touched []int // by their place in kept, the last one first
	before := uint64(0)
	for _, n := range list {
		lo, hi := max(i, before), min(j, before+n.count)
		before += n.count
		if lo < hi {
			base := before - n.count
			var ok bool
			if n, ok = t.cut(n, height-1, lo-base, hi-base); !ok {
				continue
			}
			touched = append([]int{len(kept)}, touched...)
		}
		kept = append(kept, n)
	}
	for _, k := range touched {
		kept = t.settle(kept, k, height-1)
	}
	t.set(c.id, old, appendBranch(make([]byte, 0, maxBranch), old[0], kept))
	c.count -= j - i
	return c, true
}

// cutOne is cut for positions that are part of one child; ok is false, and
// nothing is done, if they are not.
func (t *Tree) cutOne(c child, height uint8, i, j uint64) (_ child, ok bool) {
	b := t.node(c.id, height)
	if b == nil {
		return c, true
	}
	it, before := branch(b, c.count), uint64(0)
	for it.next() && i >= it.count {
		i, j, before = i-it.count, j-it.count, it.id
	}
	if it.bad || it.id == 0 {
		panic(malformed(c.id))
	}
	if j > it.count || j-i == it.count {
		return c, false
	}
	n, _ := t.cut(it.child, height-1, i, j)
	c.count -= j - i
	after := it
	after.next()
	if it.at == len(b) {
		after.id = 0
	}
	if !t.joins(n.id, before, height-1) && !t.joins(n.id, after.id, height-1) {
		t.set(c.id, b, it.recount(n.count))
		return c, true
	}
	if list, k := t.around(c.id, &it, height); k >= 0 {
		list[k] = n
		t.set(c.id, b, appendBranch(make([]byte, 0, maxBranch), b[0], t.settle(list, k, height-1)))
	}
	return c, true
}

// sizeLimit is the size of the largest node of a height, in bytes.
func sizeLimit(height uint8) int {
	if height == 0 {
		return maxLeaf
	}
	return maxBranch
}

func (t *Tree) cutLeaf(c child, i, j uint64) child {
	b := t.node(c.id, 0)
	if b == nil {
		return c
	}
	it, from := leaf(b), 1
	for n := uint64(0); n < j; n++ {
		if !it.next() {
			panic(malformed(c.id))
		}
		if n == i {
			from = it.at
		}
	}
	fresh := append(make([]byte, 0, len(b)-(it.end-from)), b[:from]...)
	t.set(c.id, b, append(fresh, b[it.end:]...))
	c.count -= j - i
	return c
}

// DeleteIf visits entries from the beginning, or from the end, and deletes
// those that visit says, until it wants no more. It returns how many are gone.
// Each node is written once.
func (t *Tree) DeleteIf(back bool, visit func(key, value []byte) (del, more bool)) (deleted uint64) {
	if t.root.Count == 0 {
		return 0
	}
	s := sieve{tree: t, back: back, visit: visit}
	top, alive := s.node(t.top(), t.root.Height)
	if !alive {
		t.root = Root{}
	} else if s.deleted > 0 {
		t.root.Count = top.count
		t.lower()
	}
	return s.deleted
}

// sieve is one DeleteIf.
type sieve struct {
	tree    *Tree
	back    bool
	visit   func(key, value []byte) (del, more bool)
	done    bool
	deleted uint64
}

// node sieves a subtree. alive is false when nothing is left of it.
func (s *sieve) node(c child, height uint8) (_ child, alive bool) {
	if height == 0 {
		return s.leaf(c)
	}
	old, list := s.tree.children(c, height)
	if old == nil {
		return c, true
	}
	order := func(i int) int { return i }
	if s.back {
		order = func(i int) int { return len(list) - 1 - i }
	}
	before := s.deleted
	for i := 0; i < len(list) && !s.done; i++ {
		n := &list[order(i)]
		var ok bool
		if *n, ok = s.node(*n, height-1); !ok {
			n.count = 0
		}
	}
	c.count -= s.deleted - before
	switch {
	case s.deleted == before:
		return c, true
	case c.count == 0:
		s.tree.drop(c.id)
		return c, false
	}
	list = slices.DeleteFunc(list, func(n child) bool { return n.count == 0 })
	for k := len(list) - 1; k >= 0; k-- {
		if k < len(list) { // a join took one away
			list = s.tree.settle(list, k, height-1)
		}
	}
	s.tree.set(c.id, old, appendBranch(make([]byte, 0, maxBranch), old[0], list))
	return c, true
}

func (s *sieve) leaf(c child) (_ child, alive bool) {
	b := s.tree.node(c.id, 0)
	if b == nil {
		return c, true
	}
	all := entries(b, c.id)
	gone := 0
	for i := 0; i < len(all) && !s.done; i++ {
		p := &all[i]
		if s.back {
			p = &all[len(all)-1-i]
		}
		del, more := s.visit(p.first, p.value)
		if del {
			p.count = 0
			gone++
		}
		s.done = !more
	}
	s.deleted += uint64(gone)
	switch gone {
	case 0:
		return c, true
	case len(all):
		s.tree.drop(c.id)
		return c, false
	}
	fresh := append(make([]byte, 0, len(b)), b[0])
	for _, p := range all {
		if p.count > 0 {
			fresh = append(fresh, b[p.from:p.to]...)
		}
	}
	s.tree.set(c.id, b, fresh)
	c.count -= uint64(gone)
	return c, true
}

// dropAll drops all nodes of a subtree. Leaves are not read.
func (t *Tree) dropAll(c child, height uint8) {
	if height > 0 {
		_, list := t.children(c, height)
		for _, n := range list {
			t.dropAll(n, height-1)
		}
	}
	t.drop(c.id)
}

// settle joins the node at k with a neighbour if little is left of it and
// both fit well into one.
func (t *Tree) settle(list []child, k int, height uint8) []child {
	for _, left := range [2]int{k - 1, k} {
		if left < 0 || left+1 >= len(list) {
			continue
		}
		other := list[2*left+1-k]
		if t.joins(list[k].id, other.id, height) && t.join(&list[left], list[left+1], height) {
			return append(list[:left+1], list[left+2:]...)
		}
	}
	return list
}

// joins says whether little is left of a node and it is to be joined with a
// neighbour; 0 is none.
func (t *Tree) joins(id, neighbour uint64, height uint8) bool {
	limit := sizeLimit(height)
	own := len(t.node(id, height))
	return neighbour != 0 && own < limit/4 && own+len(t.node(neighbour, height)) <= limit*3/4
}

// join moves all of b into a, its neighbour to the left.
func (t *Tree) join(a *child, b child, height uint8) bool {
	left, right := t.node(a.id, height), t.node(b.id, height)
	if left == nil || right == nil {
		return false
	}
	if height == 0 {
		t.set(a.id, left, append(append(make([]byte, 0, maxLeaf), left...), right[1:]...))
	} else {
		_, list := t.children(*a, height)
		_, more := t.children(b, height)
		more[0].sep = b.sep
		joined := appendBranch(nil, left[0], append(list, more...))
		if len(joined) > maxBranch { // a long separator came between
			return false
		}
		t.set(a.id, left, joined)
	}
	t.drop(b.id)
	a.count += b.count
	return true
}
