package zset

import (
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// Value is a sorted set under a key, in either encoding, while one command
// works on it. Changes become part of the keyspace with Store.
type Value struct {
	c    *command.Ctx
	key  []byte
	slot base.Slot
	old  keyspace.Record

	body     []byte // inline: the body, which a change copies first
	copied   bool
	big      bool
	obj      *keyspace.Object // of a large set
	root     tree.Root        // of a large set's index, as stored
	opened   *tree.Tree       // the index, once it was asked for
	changed  bool             // the record is to be written
	replaces bool             // the old record, its deadline too, whatever it is
}

// Scored is a member and its score.
type Scored struct {
	Member []byte
	Score  float64
}

// Open looks a sorted set up; an absent one is empty. ok is false when it
// replied with an error.
func Open(c *command.Ctx, key []byte) (z Value, ok bool) {
	r, ok := c.Typed(key, keyspace.ZSet)
	z = Value{c: c, key: key, old: r, body: r.Body}
	if !ok || !r.Exists() {
		return z, ok
	}
	obj, big := r.Object()
	if !big {
		return z, true
	}
	root, ok := tree.ParseRoot(r.Rest())
	if !ok {
		panic("zset: malformed record")
	}
	z.open(obj, root)
	return z, true
}

// open makes z the large set of an object.
func (z *Value) open(obj keyspace.Object, root tree.Root) {
	z.slot, z.big, z.obj, z.root, z.opened = z.c.Slot(z.key), true, &obj, root, nil
}

// index is a large set's members by score.
func (z *Value) index() *tree.Tree {
	if z.opened == nil {
		z.opened = tree.Open(z.c.Nodes(z.slot, z.obj), z.root)
	}
	return z.opened
}

// Replace stores a sorted set of these members, no two the same, under a key,
// in the place of whatever is there, and tells of the event. Without members,
// the key is removed.
func Replace(c *command.Ctx, event string, key []byte, members []Scored) {
	z := Value{c: c, key: key, old: c.Lookup(key), replaces: true, changed: true}
	c.Buf = nil // members may be in it
	for _, e := range members {
		z.put(e.Member, order(e.Score))
	}
	if len(members) == 0 {
		event = ""
	}
	z.Store(event)
}

// Len is the number of members.
func (z *Value) Len() uint64 {
	switch {
	case z.big:
		return z.obj.Count
	case len(z.body) == 0:
		return 0
	}
	return uint64(z.body[1])
}

// Score is a member's score.
func (z *Value) Score(member []byte) (score float64, ok bool) {
	o, ok := z.order(member)
	return unorder(o), ok
}

// Each visits all members in order until visit returns false. It must not
// change the set.
func (z *Value) Each(visit func(member []byte, score float64) bool) {
	z.walk(span{0, z.Len()}, false, func(member []byte, o uint64) bool { return visit(member, unorder(o)) })
}

// Span visits the members from rank first up to, but not including, rank end, in
// order or backwards, until visit returns false. It must not change the set.
func (z *Value) Span(first, end uint64, back bool, visit func(member []byte, score float64) bool) {
	z.walk(span{first, end}, back, func(member []byte, o uint64) bool { return visit(member, unorder(o)) })
}

// Between visits the members with scores from least up to, but not including,
// end, in order, until visit returns false. It must not change the set.
func (z *Value) Between(least, end float64, visit func(member []byte, score float64) bool) {
	b := byScore{order(least), order(end)}
	z.walk(b.of(z), false, func(member []byte, o uint64) bool { return visit(member, unorder(o)) })
}

// order is what stands for a member's score.
func (z *Value) order(member []byte) (o uint64, ok bool) {
	if z.big {
		v, ok := z.c.Element(z.slot, z.obj.ID, member)
		if !ok {
			return 0, false
		}
		return readOrder(v), true
	}
	e, _, ok := findInline(z.body, member)
	return e.order, ok
}

// put adds a member that is not there.
func (z *Value) put(member []byte, o uint64) {
	z.changed = true
	if !z.big {
		z.own()
		if fitsInline(z.body, member) {
			z.keep(insertInline(z.body, o, member))
			return
		}
		z.spread()
	}
	z.setElement(member, o)
	z.index().Put(z.place(o, member), nil)
	z.obj.Count++
}

// move gives a member that is there another score.
func (z *Value) move(member []byte, old, o uint64) {
	z.changed = true
	if !z.big {
		z.own()
		e, _, _ := findInline(z.body, member)
		z.keep(insertInline(deleteInline(z.body, e.at, e.end, 1), o, member))
		return
	}
	z.setElement(member, o)
	z.index().Delete(z.place(old, member))
	z.index().Put(z.place(o, member), nil)
}

// remove removes a member, and says whether it was there.
func (z *Value) remove(member []byte) bool {
	if !z.big {
		e, _, ok := findInline(z.body, member)
		if ok {
			z.own()
			z.keep(deleteInline(z.body, e.at, e.end, 1))
			z.changed = true
		}
		return ok
	}
	o, ok := z.order(member)
	if !ok {
		return false
	}
	z.c.DeleteElement(z.slot, z.obj.ID, member)
	z.index().Delete(z.place(o, member))
	z.obj.Count--
	z.changed = true
	return true
}

func (z *Value) setElement(member []byte, o uint64) {
	var v [scoreLen]byte
	binary.BigEndian.PutUint64(v[:], o)
	z.c.SetElement(z.slot, z.obj.ID, member, v[:])
}

// place is a key of the index, in the Space's scratch memory.
func (z *Value) place(o uint64, member []byte) []byte {
	z.c.Buf = appendPlace(z.c.Buf[:0], o, member)
	return z.c.Buf
}

// own makes body a copy that may be changed.
func (z *Value) own() {
	if z.copied {
		return
	}
	z.copied = true
	if len(z.body) == 0 {
		z.keep(emptyInline(z.c.Buf))
		return
	}
	z.keep(append(z.c.Buf[:0], z.body...))
}

// keep makes body the current one; it lives in the Space's scratch memory.
func (z *Value) keep(body []byte) { z.body, z.c.Buf = body, body }

// spread turns an inline set into one with elements.
func (z *Value) spread() {
	body := z.body
	z.c.Buf = nil // body is read while Buf is written
	z.begin()
	for e, ok := entryAt(body, inlineHead); ok; e, ok = entryAt(body, e.end) {
		z.put(e.member, e.order)
	}
}

// begin makes z an empty large set, under an object of its own.
func (z *Value) begin() {
	z.body = nil
	z.open(keyspace.Object{ID: z.c.Txn.NewObjectID(z.c.Slot(z.key)), NextNode: 1}, tree.Root{})
}

// rank is how many members stand before a member, and what stands for its score.
func (z *Value) rank(member []byte) (rank, o uint64, ok bool) {
	if !z.big {
		e, n, ok := findInline(z.body, member)
		return uint64(n), e.order, ok
	}
	if o, ok = z.order(member); !ok {
		return 0, 0, false
	}
	return z.before(o, member), o, true
}

// before is how many members stand before a place.
func (z *Value) before(o uint64, member []byte) uint64 {
	if z.big {
		n, _ := z.index().Rank(z.place(o, member))
		return n
	}
	_, n := placeInline(z.body, o, member)
	return uint64(n)
}

// at is the member of a rank, which is less than Len.
func (z *Value) at(rank uint64) (member []byte, o uint64) {
	z.walk(span{rank, rank + 1}, false, func(m []byte, at uint64) bool {
		member, o = m, at
		return true
	})
	return member, o
}

// walk visits the members of a span, in order or backwards, until visit
// returns false. What it visits is valid until the set is changed.
func (z *Value) walk(s span, reverse bool, visit func(member []byte, o uint64) bool) {
	if s.first >= s.end {
		return
	}
	if z.big {
		n := s.len()
		step := func(key, _ []byte) bool {
			n--
			return visit(key[scoreLen:], readOrder(key)) && n > 0
		}
		if reverse {
			z.index().ScanBack(s.end-1, step)
		} else {
			z.index().Scan(s.first, step)
		}
		return
	}
	var room [maxInlineMembers + 1]int
	starts := startsInline(room[:0], z.body)
	for i := s.first; i < s.end; i++ {
		at := i
		if reverse {
			at = s.end - 1 - (i - s.first)
		}
		if e, _ := entryAt(z.body, starts[at]); !visit(e.member, e.order) {
			return
		}
	}
}

// cut removes the members of a span.
func (z *Value) cut(s span) {
	n := s.len()
	if n == 0 {
		return
	}
	z.changed = true
	if !z.big {
		z.own()
		var room [maxInlineMembers + 1]int
		starts := startsInline(room[:0], z.body)
		z.keep(deleteInline(z.body, starts[s.first], starts[s.end], int(n)))
		return
	}
	switch rest := z.obj.Count - n; {
	case rest == 0: // Store removes it as a whole
		z.obj.Count = 0
		return
	case n >= minRebuilt && rest <= n/4:
		z.rebuild(s)
		return
	}
	z.walk(s, false, func(member []byte, _ uint64) bool {
		z.c.DeleteElement(z.slot, z.obj.ID, member)
		return true
	})
	z.index().DeleteRange(s.first, s.end)
	z.obj.Count -= n
}

// minRebuilt is how many members must go at once to be worth a new object, and
// the deletion of the old one's keys by range.
const minRebuilt = 1024

// rebuild removes the members of a span by keeping the others.
func (z *Value) rebuild(s span) {
	var kept []Scored
	keep := func(member []byte, o uint64) bool {
		kept = append(kept, Scored{member, unorder(o)})
		return true
	}
	z.walk(span{0, s.first}, false, keep)
	z.walk(span{s.end, z.Len()}, false, keep)
	z.begin()
	for _, e := range kept {
		z.put(e.Member, order(e.Score))
	}
}

// Store makes the changes part of the keyspace, and tells of the event. An
// empty set does not exist.
func (z *Value) Store(event string) {
	if !z.changed {
		return
	}
	empty := z.Len() == 0
	if empty {
		z.drop()
	} else {
		z.putRecord()
	}
	if event != "" {
		z.c.Notify(keyspace.ZSetEvent, event, z.key)
	}
	if empty && z.old.Exists() {
		z.c.Notify(keyspace.GenericEvent, "del", z.key)
	}
}

func (z *Value) putRecord() {
	r := keyspace.Record{Type: keyspace.ZSet, ExpireAt: z.old.ExpireAt, Body: z.body}
	if z.replaces {
		r.ExpireAt = 0
	}
	if z.big {
		root := z.index().Root()
		z.c.Buf = tree.AppendRoot(keyspace.AppendObject(z.c.Buf[:0], *z.obj), root)
		r.Body = z.c.Buf
	}
	z.c.Put(z.key, z.old, r)
}

// drop removes the key of a set without members.
func (z *Value) drop() {
	switch {
	case !z.old.Exists():
	case z.big && z.index().Len() == 0: // one by one: nothing but tombstones is left
		z.index().Root()
		z.c.Detach(z.key, z.old)
	default:
		z.c.Remove(z.key, z.old)
	}
}
