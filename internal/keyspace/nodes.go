package keyspace

import (
	"fmt"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/keyspace/tree"
	"coterie/internal/kv"
)

// maxPointNodes is the number of nodes ever made up to which an object's nodes
// are deleted one by one, without looking which are still there: a walk over
// them could meet the tombstones of all that are gone.
const maxPointNodes = 16

// Nodes is where the trees of one object keep their nodes.
type Nodes struct {
	space *Space
	slot  base.Slot
	obj   *Object
}

var _ tree.Store = Nodes{}

// Nodes returns the store of an object's trees; obj is in a key of that slot.
// It counts obj.NextNode up, so the caller keeps obj in its record.
func (s *Space) Nodes(slot base.Slot, obj *Object) Nodes { return Nodes{s, slot, obj} }

func (n Nodes) key(id uint64) []byte {
	n.space.xkey = keys.NodeKey(n.space.xkey[:0], n.slot, n.obj.ID, id)
	return n.space.xkey
}

// Node implements tree.Store.
func (n Nodes) Node(id uint64) []byte {
	b, ok := n.space.Txn.Get(n.key(id))
	if !ok && n.space.Txn.Err() == nil {
		panic(fmt.Sprintf("keyspace: object %d has no node %d: this is a bug", n.obj.ID, id))
	}
	return b
}

// SetNode implements tree.Store.
func (n Nodes) SetNode(id uint64, b []byte) { n.space.Txn.Set(n.key(id), b) }

// DeleteNode implements tree.Store.
func (n Nodes) DeleteNode(id uint64) { n.space.Txn.Delete(n.key(id)) }

// NewNode implements tree.Store.
func (n Nodes) NewNode() uint64 {
	id := n.obj.NextNode
	n.obj.NextNode++
	return id
}

func dropNodes(txn kv.Txn, slot base.Slot, obj Object) {
	if obj.NextNode-1 > maxPointNodes {
		txn.DeleteRange(keys.NodeBounds(slot, obj.ID))
		return
	}
	var key []byte
	for id := uint64(1); id < obj.NextNode; id++ {
		key = keys.NodeKey(key[:0], slot, obj.ID, id)
		txn.Delete(key)
	}
}
