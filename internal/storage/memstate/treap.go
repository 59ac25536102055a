package memstate

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// node is a node of a persistent treap: an ordered map whose versions share
// what they have in common. Nodes never change, so a version is kept by
// keeping its root. Priorities are hashes of the keys: equal content has an
// equal shape, on every run.
//
// Source: Seidel and Aragon, "Randomized Search Trees", 1996.
type node struct {
	key, value  []byte
	priority    uint64
	left, right *node
}

func newNode(key, value []byte) *node {
	return &node{key: key, value: value, priority: xxhash.Sum64(key)}
}

func (n *node) with(left, right *node) *node {
	if n.left == left && n.right == right {
		return n
	}
	return &node{key: n.key, value: n.value, priority: n.priority, left: left, right: right}
}

func lookup(n *node, key []byte) *node {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// split returns the keys below key, and the others.
func split(n *node, key []byte) (below, rest *node) {
	if n == nil {
		return nil, nil
	}
	if bytes.Compare(n.key, key) < 0 {
		below, rest = split(n.right, key)
		return n.with(n.left, below), rest
	}
	below, rest = split(n.left, key)
	return below, n.with(rest, n.right)
}

// join is the union of a and b, where all keys of a are below all of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority >= b.priority:
		return a.with(a.left, join(a.right, b))
	default:
		return b.with(join(a, b.left), b.right)
	}
}

// replace is n with all keys of [lower, upper) replaced by those of content.
// A nil upper is no bound.
func replace(n *node, lower, upper []byte, content *node) *node {
	below, rest := split(n, lower)
	var above *node
	if upper != nil {
		_, above = split(rest, upper)
	}
	return join(join(below, content), above)
}

func set(n *node, key, value []byte) *node { return insert(n, newNode(key, value)) }

// insert is n with x in the place of a node of its key, or as a new one. x is
// of no version yet.
func insert(n, x *node) *node {
	switch {
	case n == nil:
		return x
	case x.priority > n.priority: // so its key is nowhere below
		x.left, x.right = split(n, x.key)
		return x
	}
	switch c := bytes.Compare(x.key, n.key); {
	case c < 0:
		return n.with(insert(n.left, x), n.right)
	case c > 0:
		return n.with(n.left, insert(n.right, x))
	}
	x.left, x.right = n.left, n.right
	return x
}

// remove is n without a key.
func remove(n *node, key []byte) *node {
	if n == nil {
		return nil
	}
	switch c := bytes.Compare(key, n.key); {
	case c < 0:
		return n.with(remove(n.left, key), n.right)
	case c > 0:
		return n.with(n.left, remove(n.right, key))
	}
	return join(n.left, n.right)
}

// walk is a place in the order of a version's keys.
type walk struct {
	root *node
	path []*node // nodes still to visit, the next one last
}

func (w *walk) next() *node {
	if len(w.path) == 0 {
		return nil
	}
	n := w.path[len(w.path)-1]
	w.path = w.path[:len(w.path)-1]
	for c := n.right; c != nil; c = c.left {
		w.path = append(w.path, c)
	}
	return n
}

// seek makes the first key at or after key the next one.
func (w *walk) seek(key []byte) {
	w.path = w.path[:0]
	for n := w.root; n != nil; {
		if bytes.Compare(n.key, key) >= 0 {
			w.path = append(w.path, n)
			n = n.left
		} else {
			n = n.right
		}
	}
}
