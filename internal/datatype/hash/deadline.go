package hash

import (
	"bytes"
	"encoding/binary"

	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// maxExpiredByCommand is how many fields a command removes that meets a hash
// whose due time has come. It is more than an inline hash can have.
const maxExpiredByCommand = 256

// setDeadline gives a field another deadline; 0 takes it away.
func (h *value) setDeadline(field, v []byte, at int64) {
	h.put(field, v, at)
	h.changed = true
}

// timeKey is a field's place in the tree of deadlines.
func timeKey(deadline int64, field []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(field)), uint64(deadline)), field...)
}

func (h *value) tree() *tree.Tree {
	if h.times == nil {
		h.obj.NextNode = max(h.obj.NextNode, 1)
		h.times = tree.Open(h.space.Nodes(h.slot, &h.obj), h.root)
	}
	return h.times
}

// retime keeps the tree of deadlines when a large hash's field gets another one.
func (h *value) retime(field []byte, old, at int64) {
	if old == at {
		return
	}
	h.changed = true
	if old != 0 {
		h.tree().Delete(timeKey(old, field))
	}
	if at != 0 {
		h.tree().Put(timeKey(at, field), nil)
	}
}

// settle writes the tree of deadlines, and returns the first of them, or 0.
func (h *value) settle() (first int64) {
	if h.times != nil {
		h.root = h.times.Root()
	}
	if h.root.Count > 0 {
		if k, _, ok := h.tree().At(0); ok {
			first = int64(binary.BigEndian.Uint64(k))
		}
	}
	return first
}

// expire removes fields that are past their deadline, up to budget of them
// from a large hash, of which it hides the others. It returns how many it did.
func (h *value) expire(budget int) (done int) {
	now, before := h.space.Now(), h.len()
	if !h.big {
		h.keep(retimed(h.body, true, now))
		h.copied, h.changed = true, true
		done = before - h.len()
		h.reload()
		return done
	}
	t := h.tree()
	past, _ := t.Rank(timeKey(now+1, nil))
	if past == h.obj.Count { // then nobody need know which they are
		h.space.Remove(h.key, h.old)
		h.space.Notify(keyspace.HashEvent, "hexpired", h.key)
		h.space.Notify(keyspace.GenericEvent, "del", h.key)
		*h = load(h.space, h.key, keyspace.Record{})
		return 1
	}
	n := min(past, uint64(budget))
	var gone [][]byte
	t.Scan(0, func(k, _ []byte) bool {
		if uint64(len(gone)) < n {
			gone = append(gone, bytes.Clone(k))
		}
		return uint64(len(gone)) < n
	})
	for _, k := range gone {
		h.space.DeleteElement(h.slot, h.obj.ID, k[8:])
	}
	t.DeleteRange(0, n)
	h.obj.Count -= n
	h.removed += n
	h.changed = n > 0
	h.reload()
	h.hidden = int(past - n)
	return int(n)
}

// reload stores the hash and begins with it anew.
func (h *value) reload() {
	h.store("hexpired")
	*h = load(h.space, h.key, h.space.Lookup(h.key))
}

// Due removes fields that are past their deadline, for the keyspace's sweep.
func Due(s *keyspace.Space, key []byte, r keyspace.Record, budget int) (done int) {
	h := load(s, key, r)
	return h.expire(budget)
}
