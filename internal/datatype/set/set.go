package set

import (
	"bytes"
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
)

// Set is a set under a key while one command works on it. Changes become part
// of the keyspace with Store.
type Set struct {
	c    *command.Ctx
	key  []byte
	slot base.Slot
	old  keyspace.Record

	big      bool
	body     inline // unless big
	copied   bool   // body may be changed
	obj      keyspace.Object
	form     Form
	formed   bool  // form says something: it is not a new set
	expect   int   // members that are about to be added
	expireAt int64 // the key's deadline
	changed  bool
	replaces bool // it takes the place of whatever is there

	xkey []byte // scratch
}

// Open looks a set up; an absent one is empty. ok is false when it replied
// with an error.
func Open(c *command.Ctx, key []byte) (s *Set, ok bool) {
	r, ok := c.Typed(key, keyspace.Set)
	s = &Set{c: c, key: key, old: r, expireAt: r.ExpireAt}
	if !ok || !r.Exists() {
		return s, ok
	}
	s.form, s.formed = FormOf(r), true
	if s.obj, s.big = r.Object(); s.big {
		s.slot = c.Slot(key)
	} else {
		s.body = r.Body
	}
	return s, true
}

// Len is the number of members.
func (s *Set) Len() int {
	switch {
	case s.big:
		return int(s.obj.Count)
	case s.body == nil:
		return 0
	}
	return s.body.len()
}

// Has says whether a member is there.
func (s *Set) Has(member []byte) bool {
	if s.big {
		_, ok := s.position(member)
		return ok
	}
	if s.body == nil {
		return false
	}
	_, _, ok := s.body.find(member)
	return ok
}

// position is the position of a large set's member.
func (s *Set) position(member []byte) (p uint64, ok bool) {
	s.xkey = keys.MemberKey(s.xkey[:0], s.slot, s.obj.ID, member)
	v, ok := s.c.Txn.Get(s.xkey)
	if !ok {
		return 0, false
	}
	return binary.BigEndian.Uint64(v), true
}

// at is the member of a large set at a position.
func (s *Set) at(position uint64) []byte {
	s.xkey = keys.PositionKey(s.xkey[:0], s.slot, s.obj.ID, position)
	member, ok := s.c.Txn.Get(s.xkey)
	if !ok && s.c.Txn.Err() == nil {
		panic("set: no member at a position")
	}
	return member
}

// put puts a member of a large set at a position.
func (s *Set) put(member []byte, position uint64) {
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], position)
	s.xkey = keys.MemberKey(s.xkey[:0], s.slot, s.obj.ID, member)
	s.c.Txn.Set(s.xkey, p[:])
	s.xkey = keys.PositionKey(s.xkey[:0], s.slot, s.obj.ID, position)
	s.c.Txn.Set(s.xkey, member)
}

// Add adds a member, and says whether it is a new one.
func (s *Set) Add(member []byte) (added bool) {
	if s.Has(member) {
		return false
	}
	_, isInt := number.ParseInt(member)
	if s.form = s.form.expecting(s.expect); !s.formed {
		s.form, s.formed = firstForm(isInt, s.expect), true
	}
	s.form = s.form.with(isInt, len(member), s.Len())
	s.changed = true
	if !s.big {
		s.own()
		var ok bool
		if s.body, ok = s.body.add(member, s.form); ok {
			return true
		}
		s.spread()
	}
	s.put(member, s.obj.Count)
	s.obj.Count++
	return true
}

// own makes body a copy that may be changed.
func (s *Set) own() {
	if s.copied {
		return
	}
	s.copied = true
	room := s.c.Buf[:0]
	s.c.Buf = nil // until Store: there may be other sets
	if s.body == nil {
		s.body = emptyInline(room, s.form)
		return
	}
	s.body = append(room, s.body...)
}

// spread turns an inline set into one with entries of its own.
func (s *Set) spread() {
	s.slot = s.c.Slot(s.key)
	s.obj = keyspace.Object{ID: s.c.Txn.NewObjectID(s.slot)}
	s.big = true
	s.body.each(func(member []byte) bool {
		s.put(member, s.obj.Count)
		s.obj.Count++
		return true
	})
}

// Remove removes a member, and says whether it was there.
func (s *Set) Remove(member []byte) (removed bool) {
	if s.Len() == 0 {
		return false
	}
	if s.big {
		p, ok := s.position(member)
		if ok {
			s.removeAt(member, p)
		}
		return ok
	}
	at, end, ok := s.body.find(member)
	if ok {
		s.changed = true
		s.own()
		s.body = s.body.cut(at, end)
	}
	return ok
}

// removeAt removes a large set's member at a position, and moves the last
// member there.
func (s *Set) removeAt(member []byte, position uint64) {
	s.changed = true
	s.obj.Count--
	s.xkey = keys.MemberKey(s.xkey[:0], s.slot, s.obj.ID, member)
	s.c.Txn.Delete(s.xkey)
	last := s.at(s.obj.Count)
	s.c.Txn.Delete(s.xkey)
	if position < s.obj.Count {
		s.put(last, position)
	}
}

// Each calls f with every member, until f returns false. A member is valid
// until f returns, which must not write.
func (s *Set) Each(f func(member []byte) bool) { s.between(0, s.Len(), f) }

// between calls f with the members at positions lo … hi-1.
func (s *Set) between(lo, hi int, f func(member []byte) bool) {
	if s.big {
		it := s.from(lo, hi)
		defer it.Close()
		for it.Next() && f(it.Value()) {
		}
		return
	}
	if s.body == nil {
		return
	}
	i := 0
	s.body.each(func(member []byte) bool {
		i++
		return i <= lo || i <= hi && f(member)
	})
}

func (s *Set) from(lo, hi int) kv.Iterator {
	s.xkey = keys.PositionKey(s.xkey[:0], s.slot, s.obj.ID, uint64(lo))
	upper := keys.PositionKey(nil, s.slot, s.obj.ID, uint64(hi))
	return s.c.Txn.Iter(s.xkey, upper)
}

// pick is the member at a position; the caller may keep it.
func (s *Set) pick(position int) (member []byte) {
	if s.big {
		return s.at(uint64(position))
	}
	s.between(position, position+1, func(m []byte) bool {
		member = bytes.Clone(m)
		return false
	})
	return member
}

// Store makes the changes part of the keyspace, and tells of the event. An
// empty set does not exist.
func (s *Set) Store(event string) {
	if !s.changed {
		return
	}
	if s.Len() == 0 {
		s.clear()
		if s.replaces {
			event = "" // there is nothing new
		}
	} else {
		s.keep()
	}
	if event != "" {
		s.c.Notify(keyspace.SetEvent, event, s.key)
	}
	if s.Len() == 0 && s.old.Exists() {
		s.c.Notify(keyspace.GenericEvent, "del", s.key)
	}
}

func (s *Set) keep() {
	body := []byte(s.body)
	if s.big {
		body = append(keyspace.AppendObject(s.c.Buf[:0], s.obj), byte(s.form))
	}
	s.c.Put(s.key, s.old, keyspace.Record{Type: keyspace.Set, ExpireAt: s.expireAt, Body: body})
	s.c.Buf = body
}

// clear removes the key, with all that it holds.
func (s *Set) clear() {
	switch obj, big := s.old.Object(); {
	case !s.old.Exists():
	case big && s.big && obj.ID == s.obj.ID && s.obj.Count == 0:
		s.c.Detach(s.key, s.old) // its members were removed one by one
	default:
		s.c.Remove(s.key, s.old)
	}
}
