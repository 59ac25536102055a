package tree

import (
	"bytes"
	"fmt"
)

// Check reads a whole tree and verifies the package's invariants; visit, if
// there is one, is told every node's id. It is for tests and for the check of a
// store.
func Check(s Store, r Root, visit func(id uint64)) error {
	if _, ok := ParseRoot(AppendRoot(nil, r)); !ok {
		return fmt.Errorf("tree: root %+v is not one", r)
	}
	if r.Count == 0 {
		return nil
	}
	c := checker{store: s, visit: visit, height: r.Height}
	b := s.Node(r.Node)
	if len(b) > 0 {
		c.plain = b[0] & plainBit
	}
	return c.node(child{id: r.Node, count: r.Count}, r.Height, nil, nil)
}

type checker struct {
	store  Store
	visit  func(uint64)
	plain  byte
	height uint8 // of the tree
}

// node verifies a subtree whose keys are at or above low and below high.
func (c *checker) node(n child, height uint8, low, high []byte) error {
	b := c.store.Node(n.id)
	if c.visit != nil {
		c.visit(n.id)
	}
	if !isKind(b, height) || b[0]&plainBit != c.plain {
		return fmt.Errorf("tree: node %d at height %d: %w", n.id, height, errMalformed)
	}
	if height == 0 {
		if err := checkLeaf(b, n.count, low, high); err != nil {
			return fmt.Errorf("tree: leaf %d: %w", n.id, err)
		}
		return nil
	}
	var list []child
	it := branch(b, n.count)
	for it.next() {
		list = append(list, it.child)
	}
	switch {
	case it.bad || it.left != 0 || len(list) == 0:
		return fmt.Errorf("tree: branch %d: %w", n.id, errMalformed)
	case height == c.height && len(list) == 1:
		return fmt.Errorf("tree: the root has one child")
	case len(b) > maxBranch && len(list) > minBranch:
		return fmt.Errorf("tree: branch %d has %d children in %d bytes", n.id, len(list), len(b))
	}
	for i, k := range list {
		from, to := low, high
		if i > 0 {
			from = k.sep
		}
		if i+1 < len(list) {
			to = list[i+1].sep
		}
		if c.plain == 0 && from != nil && to != nil && bytes.Compare(from, to) >= 0 {
			return fmt.Errorf("tree: branch %d: separator %x comes before %x", n.id, from, to)
		}
		if c.plain != 0 {
			from, to = nil, nil
		}
		if err := c.node(k, height-1, from, to); err != nil {
			return err
		}
	}
	return nil
}
