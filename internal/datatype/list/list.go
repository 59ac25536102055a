package list

import (
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

const (
	// maxInline is the size in bytes of the largest leaf that lives in the
	// record, which every change writes anew. A tree's leaf is smaller unless it
	// is a single value.
	maxInline = 4096
	// inlineHead is the length of what precedes the leaf.
	inlineHead = 1 + 2
	// rootLen is the length of what a large list's record holds behind the object.
	rootLen = 8 + 1
	// maxOneByOne is the number of values up to which a list is emptied node by
	// node; a larger one is removed as a whole, by a range.
	maxOneByOne = 1000
)

// list is a list under a key, in either encoding, while one command works on
// it. Changes become part of the keyspace with store.
type list struct {
	*tree.Tree
	c    *command.Ctx
	key  []byte
	old  keyspace.Record
	slot base.Slot

	big    bool
	obj    keyspace.Object
	drawer drawer // the nodes, as long as the list is not large

	changed  bool
	removed  bool // as a whole
	replaces bool // the old record, whatever it is, with its deadline
}

// drawer is the store of a tree that may come to live in a record: it holds
// what the tree writes until that is known.
type drawer struct {
	nodes []node
	last  uint64 // id
}

type node struct {
	id uint64
	b  []byte
}

var _ tree.Store = (*drawer)(nil)

func (d *drawer) find(id uint64) (i int) {
	for i < len(d.nodes) && d.nodes[i].id < id {
		i++
	}
	return i
}

// Node implements tree.Store. The tree asks for the first node only: the
// others are its own until it writes them, once.
func (d *drawer) Node(id uint64) []byte { return d.nodes[d.find(id)].b }

// SetNode implements tree.Store; nodes come in the order of their ids.
func (d *drawer) SetNode(id uint64, b []byte) {
	if i := d.find(id); i < len(d.nodes) {
		d.nodes[i].b = b
	} else {
		d.nodes = append(d.nodes, node{id, b})
	}
}

// DeleteNode implements tree.Store.
func (d *drawer) DeleteNode(id uint64) {
	i := d.find(id)
	d.nodes = append(d.nodes[:i], d.nodes[i+1:]...)
}

// NewNode implements tree.Store.
func (d *drawer) NewNode() uint64 { d.last++; return d.last }

// open looks a list up; an absent one is empty. ok is false when it replied
// with an error.
func open(c *command.Ctx, key []byte) (l *list, ok bool) {
	r, ok := c.Typed(key, keyspace.List)
	if !ok {
		return nil, false
	}
	l = &list{c: c, key: key, old: r, slot: c.Slot(key)}
	if !r.Exists() {
		l.Tree = tree.Open(&l.drawer, tree.Root{})
		return l, true
	}
	if l.obj, l.big = r.Object(); l.big {
		root, ok := parseRoot(r.Rest(), l.obj.Count)
		if !ok {
			panic("list: malformed record of a large list")
		}
		l.Tree = tree.Open(c.Nodes(l.slot, &l.obj), root)
		return l, true
	}
	count, leaf, ok := parseInline(r.Body)
	if !ok {
		panic("list: malformed record of a small list")
	}
	l.drawer = drawer{nodes: []node{{1, leaf}}, last: 1}
	l.Tree = tree.Open(&l.drawer, tree.Root{Node: 1, Count: count})
	return l, true
}

func parseInline(body []byte) (count uint64, leaf []byte, ok bool) {
	if len(body) <= inlineHead || body[0] != keyspace.Inline {
		return 0, nil, false
	}
	return uint64(binary.BigEndian.Uint16(body[1:])), body[inlineHead:], true
}

func appendInline(dst []byte, count uint64, leaf []byte) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, keyspace.Inline), uint16(count))
	return append(dst, leaf...)
}

func parseRoot(rest []byte, count uint64) (r tree.Root, ok bool) {
	if len(rest) != rootLen {
		return r, false
	}
	return tree.Root{Node: binary.BigEndian.Uint64(rest), Height: rest[8], Count: count}, true
}

func appendLarge(dst []byte, obj keyspace.Object, root tree.Root) []byte {
	dst = keyspace.AppendObject(dst, obj)
	return append(binary.BigEndian.AppendUint64(dst, root.Node), root.Height)
}

// insert puts a value in front of position i; at Len, it becomes the last.
func (l *list) insert(i uint64, v []byte) {
	l.InsertAt(i, v)
	l.changed = true
}

func (l *list) push(v []byte, front bool) {
	if front {
		l.insert(0, v)
	} else {
		l.insert(l.Len(), v)
	}
}

func (l *list) set(i uint64, v []byte) {
	l.SetAt(i, v)
	l.changed = true
}

// del deletes the values at positions i to j-1.
func (l *list) del(i, j uint64) {
	if j = min(j, l.Len()); i >= j {
		return
	}
	l.changed = true
	if n := j - i; n == l.Len() && n > maxOneByOne {
		l.removed = true
		return
	}
	l.DeleteRange(i, j)
}

// end is the value at an end of the list.
func (l *list) end(front bool) (v []byte, ok bool) {
	i := uint64(0)
	if !front {
		i = l.Len() - 1
	}
	_, v, ok = l.At(i)
	return v, ok
}

// drop deletes n values at an end.
func (l *list) drop(n uint64, front bool) {
	if front {
		l.del(0, n)
	} else {
		l.del(l.Len()-n, l.Len())
	}
}

// walk visits the values from one end on, with their positions, until visit
// returns false.
func (l *list) walk(front bool, visit func(i uint64, v []byte) bool) {
	if front {
		l.walkFrom(0, visit)
		return
	}
	i := l.Len()
	l.ScanBack(i-1, func(_, v []byte) bool {
		i--
		return visit(i, v)
	})
}

func (l *list) walkFrom(i uint64, visit func(i uint64, v []byte) bool) {
	l.Scan(i, func(_, v []byte) bool {
		i++
		return visit(i-1, v)
	})
}

// store makes the changes part of the keyspace, and tells of the event. An
// empty list does not exist.
func (l *list) store(event string) {
	if !l.changed {
		return
	}
	l.keep()
	l.c.Notify(keyspace.ListEvent, event, l.key)
	if l.Len() == 0 {
		l.c.Notify(keyspace.GenericEvent, "del", l.key)
	}
}

func (l *list) keep() {
	switch {
	case l.removed:
		l.c.Remove(l.key, l.old)
		return
	}
	root := l.Root()
	if root.Count == 0 {
		if l.old.Exists() {
			l.c.Detach(l.key, l.old) // the tree has deleted its nodes
		}
		return
	}
	if !l.big && root.Height == 0 && len(l.drawer.nodes[0].b) <= maxInline {
		l.put(appendInline(l.c.Buf[:0], root.Count, l.drawer.nodes[0].b))
		return
	}
	if !l.big {
		l.spread()
	}
	l.obj.Count = root.Count
	l.put(appendLarge(l.c.Buf[:0], l.obj, root))
}

func (l *list) put(body []byte) {
	l.c.Buf = body
	r := keyspace.Record{Type: keyspace.List, ExpireAt: l.old.ExpireAt, Body: body}
	if l.replaces {
		r.ExpireAt = 0
	}
	l.c.Put(l.key, l.old, r)
}

// spread gives the nodes of what has become a large list keys of their own.
func (l *list) spread() {
	l.big = true
	l.obj = keyspace.Object{ID: l.c.Txn.NewObjectID(l.slot), NextNode: l.drawer.last + 1, OnlyTrees: true}
	nodes := l.c.Nodes(l.slot, &l.obj)
	for _, n := range l.drawer.nodes {
		nodes.SetNode(n.id, n.b)
	}
}
