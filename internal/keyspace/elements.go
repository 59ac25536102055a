package keyspace

import (
	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// maxPointDeletes is the number of elements up to which a collection is
// deleted one by one. A range tombstone costs every later read that crosses
// it, so it must be worth it.
const maxPointDeletes = 64

// Element returns one element of an object. The value is valid until the end
// of the transaction.
func (s *Space) Element(slot base.Slot, object uint64, elem []byte) (value []byte, ok bool) {
	s.xkey = keys.ElementKey(s.xkey[:0], slot, object, elem)
	return s.Txn.Get(s.xkey)
}

// SetElement stores one element. The caller keeps the record's count.
func (s *Space) SetElement(slot base.Slot, object uint64, elem, value []byte) {
	s.xkey = keys.ElementKey(s.xkey[:0], slot, object, elem)
	s.Txn.Set(s.xkey, value)
}

// DeleteElement deletes one element. The caller keeps the record's count.
func (s *Space) DeleteElement(slot base.Slot, object uint64, elem []byte) {
	s.xkey = keys.ElementKey(s.xkey[:0], slot, object, elem)
	s.Txn.Delete(s.xkey)
}

// ElementsFrom walks an object's elements in the order of their hashes,
// beginning with the least hash not below from. The caller closes it.
func (s *Space) ElementsFrom(slot base.Slot, object, from uint64) kv.Iterator {
	_, upper := keys.ElementBounds(slot, object)
	s.xkey = keys.ElementScanKey(s.xkey[:0], slot, object, from)
	return s.Txn.Iter(s.xkey, upper)
}

func (s *Space) dropElements(slot base.Slot, obj Object) { dropElements(s.Txn, slot, obj) }

// dropElements deletes all that an object has under keys of its own.
func dropElements(txn kv.Txn, slot base.Slot, obj Object) {
	if obj.NextNode > 0 {
		dropNodes(txn, slot, obj)
	}
	if obj.OnlyTrees {
		return
	}
	lower, upper := keys.ElementBounds(slot, obj.ID)
	if obj.Count > maxPointDeletes || obj.NextNode > maxPointDeletes { // it is large, or was: a walk would meet the tombstones
		txn.DeleteRange(lower, upper)
		return
	}
	if obj.positions {
		dropMembers(txn, slot, obj)
		return
	}
	it := txn.Iter(lower, upper)
	defer it.Close()
	for it.Next() {
		txn.Delete(it.Key())
	}
}

// dropMembers deletes a set's members one by one, without meeting the
// tombstones of those that it had before.
func dropMembers(txn kv.Txn, slot base.Slot, obj Object) {
	var key []byte
	for p := range obj.Count {
		key = keys.PositionKey(key[:0], slot, obj.ID, p)
		member, ok := txn.Get(key)
		if !ok { // unreadable: all that is done here is thrown away
			return
		}
		txn.Delete(key)
		key = keys.MemberKey(key[:0], slot, obj.ID, member)
		txn.Delete(key)
	}
}
