package stream

import (
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// value is a stream under a key while one command works on it. Changes become
// part of the keyspace with store.
type value struct {
	c    *command.Ctx
	key  []byte
	slot base.Slot
	old  keyspace.Record // zero: there is no such key

	obj     keyspace.Object
	entries *tree.Tree // by id
	groups  *tree.Tree // by name

	last       id     // the greatest id there ever was
	maxDeleted id     // the greatest id that XDEL deleted
	added      uint64 // entries that there ever were
}

// open looks a stream up; an absent one is empty, and is made by store. ok is
// false when it replied with an error.
func open(c *command.Ctx, key []byte) (s *value, ok bool) {
	r, ok := c.Typed(key, keyspace.Stream)
	if !ok {
		return nil, false
	}
	s = &value{c: c, key: key, old: r, slot: c.Slot(key)}
	if !r.Exists() {
		return s, true
	}
	if s.obj, ok = r.Object(); !ok {
		malformed()
	}
	in := reader{r.Rest()}
	s.entries, s.groups = s.tree(in.root()), s.tree(in.root())
	s.last, s.maxDeleted, s.added = in.id(), in.id(), in.uint()
	return s, true
}

// missing is called where something is not there that must be. Unless it could
// not be read, and all of this is going to be thrown away, that is a bug.
func (s *value) missing() {
	if s.c.Txn.Err() == nil {
		malformed()
	}
}

func (s *value) exists() bool { return s.entries != nil }

// make makes an absent stream an empty one.
func (s *value) make() {
	if s.exists() {
		return
	}
	s.obj = keyspace.Object{ID: s.c.Txn.NewObjectID(s.slot), NextNode: 1, OnlyTrees: true}
	s.entries, s.groups = s.tree(tree.Root{}), s.tree(tree.Root{})
}

// tree is one of the stream's trees.
func (s *value) tree(r tree.Root) *tree.Tree { return tree.Open(s.c.Nodes(s.slot, &s.obj), r) }

// store makes the changes part of the keyspace.
func (s *value) store() {
	s.c.Buf = s.appendBody(s.c.Buf[:0])
	if string(s.c.Buf) != string(s.old.Body) {
		s.c.Put(s.key, s.old, keyspace.Record{Type: keyspace.Stream, ExpireAt: s.old.ExpireAt, Body: s.c.Buf})
	}
}

func (s *value) appendBody(dst []byte) []byte {
	entries, groups := s.entries.Root(), s.groups.Root()
	s.obj.Count = 1 + entries.Count // with the stream itself, which may be empty
	dst = keyspace.AppendObject(dst, s.obj)
	dst = appendRoot(appendRoot(dst, entries), groups)
	dst = appendID(appendID(dst, s.last), s.maxDeleted)
	return binary.AppendUvarint(dst, s.added)
}

func appendRoot(dst []byte, r tree.Root) []byte {
	dst = append(binary.AppendUvarint(dst, r.Node), r.Height)
	return binary.AppendUvarint(dst, r.Count)
}

func (r *reader) root() tree.Root {
	node, height := r.uint(), r.bytes(1)[0]
	return tree.Root{Node: node, Height: height, Count: r.uint()}
}

func (s *value) len() uint64 { return s.entries.Len() }

// first is the first entry's id, or 0-0 in an empty stream.
func (s *value) first() id {
	if key, _, ok := s.entries.At(0); ok {
		return idOf(key)
	}
	return id{}
}

// top is the last entry's id, or 0-0 in an empty stream.
func (s *value) top() id {
	if n := s.len(); n > 0 {
		key, _, _ := s.entries.At(n - 1)
		return idOf(key)
	}
	return id{}
}

// above says whether there are entries above an id.
func (s *value) above(at id) bool {
	return at.less(s.last) && at.less(s.top())
}

// get is one entry. The stored form is valid until the stream is changed.
func (s *value) get(at id) (entry []byte, ok bool) {
	key := idKey(at)
	return s.entries.Get(key[:])
}

// add appends an entry, whose id must be above all there ever were.
func (s *value) add(at id, fields [][]byte) {
	key := idKey(at)
	s.c.Buf = appendEntry(s.c.Buf[:0], fields)
	s.entries.Put(key[:], s.c.Buf)
	s.last = at
	s.added++
}

// del deletes an entry, and says whether it was there.
func (s *value) del(at id) bool {
	key := idKey(at)
	if !s.entries.Delete(key[:]) {
		return false
	}
	if s.maxDeleted.less(at) {
		s.maxDeleted = at
	}
	return true
}

// span is the places of the entries from one id through another.
func span(t *tree.Tree, from, to id) (lo, hi uint64) {
	if to.less(from) {
		return 0, 0
	}
	key := idKey(from)
	if !from.zero() {
		lo, _ = t.Rank(key[:])
	}
	if to == maxID {
		return lo, t.Len()
	}
	key = idKey(to)
	hi, found := t.Rank(key[:])
	if found {
		hi++
	}
	return lo, hi
}

// scan visits up to n entries from a place on.
func (s *value) scan(lo, n uint64, visit func(at id, entry []byte) bool) {
	if n == 0 {
		return
	}
	s.entries.Scan(lo, func(key, entry []byte) bool {
		n--
		return visit(idOf(key), entry) && n > 0
	})
}

// scanBack visits up to n entries downwards from the one at place hi-1.
func (s *value) scanBack(hi, n uint64, visit func(at id, entry []byte) bool) {
	if n == 0 {
		return
	}
	s.entries.ScanBack(hi-1, func(key, entry []byte) bool {
		n--
		return visit(idOf(key), entry) && n > 0
	})
}

// reach is how many entries were ever added up to an id, if that can be told:
// in front of the first and at both ends nobody has to know what was deleted.
func (s *value) reach(at id) (n int64, known bool) {
	switch {
	case s.added == 0:
		return 0, true
	case s.len() == 0 && !s.last.less(at), at == s.last:
		return int64(s.added), true
	case s.last.less(at):
		return 0, false
	}
	first := s.first()
	switch {
	case !s.maxDeleted.zero() && !s.maxDeleted.less(first):
		return 0, false
	case at.less(first):
		return int64(s.added - s.len()), true
	case at == first:
		return int64(s.added-s.len()) + 1, true
	}
	return 0, false
}

// gaps says whether entries above an id, or at it, may have been deleted one
// by one.
func (s *value) gaps(from id) bool {
	return s.len() > 0 && !s.maxDeleted.zero() && !s.maxDeleted.less(from) && !s.maxDeleted.less(s.first())
}
