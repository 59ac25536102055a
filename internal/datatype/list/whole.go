package list

import (
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// What other packages need of lists.

// Len is the number of values under a key, which holds a list or nothing.
func Len(c *command.Ctx, key []byte) uint64 {
	l, ok := open(c, key)
	if !ok {
		return 0
	}
	return l.Len()
}

// Each visits the values under a key, which holds a list or nothing, from
// position i on, or backwards, until visit returns false. A value is valid
// until the list is changed.
func Each(c *command.Ctx, key []byte, i uint64, back bool, visit func(v []byte) bool) {
	l, ok := open(c, key)
	if !ok || i >= l.Len() {
		return
	}
	step := func(_, v []byte) bool { return visit(v) }
	if back {
		l.ScanBack(i, step)
	} else {
		l.Scan(i, step)
	}
}

// Replace stores a list of values under a key in the place of old, which Lookup
// returned for it. Without values the key is removed. It tells nobody.
func Replace(c *command.Ctx, key []byte, old keyspace.Record, values [][]byte) {
	if len(values) == 0 {
		if old.Exists() {
			c.Remove(key, old)
		}
		return
	}
	c.Buf = nil // values may be in it
	l := &list{c: c, key: key, slot: c.Slot(key), old: old, replaces: true}
	l.Tree = tree.Open(&l.drawer, tree.Root{})
	for i, v := range values {
		l.insert(uint64(i), v)
	}
	l.keep()
}
