// Package overlay is a replica's state in memory, in front of the state
// store: what evaluated rounds wrote and is not committed yet (layers), and
// what was applied and is not moved down into the state store yet.
//
//	Get ─▶ active (applied + layers on top) ─▶ frozen (being moved down) ─▶ base
//
// One hash map serves as overlay, write-back and row cache: evaluating a
// round writes into it once, committing the round costs nothing more, and a
// key written many times between two moves goes down once. A layer keeps an
// undo record per write, so that rounds which did not commit are taken back
// in reverse order.
//
// Invariants:
//   - Reads see active over frozen over base; within active the newest write.
//   - A frozen map holds applied state only, never a layer's writes.
//   - The content seen depends on the operations only, never on when a
//     freeze or a move down happened.
//
// The overlay is used from one goroutine (its replica's loop), except that a
// Frozen may be read by another one while it is moved down. Called by
// package partition.
package overlay

import (
	"cmp"
	"slices"

	"coterie/internal/effects"
	"coterie/internal/kv"
	"coterie/internal/storage/state"

	"github.com/RaduBerinde/btreemap"
)

// Base is the state below: what has been moved down.
type Base = state.Reader

// maxRanges bounds the range tombstones that a map may hold, because every
// read of an older cell looks through them. NeedsFreeze asks to be relieved.
const maxRanges = 64

// cellOverhead estimates the bytes a cell costs besides key and value.
const cellOverhead = 96

type cell struct {
	key     string
	data    []byte
	seq     uint64
	deleted bool
	clean   bool // as it is in the base: only remembered, never moved down
}

// tombstone hides what is older than seq in [lower, upper).
type tombstone struct {
	lower, upper string
	seq          uint64
}

type table struct {
	cells  map[string]*cell
	ranges []tombstone
	sorted *btreemap.BTreeMap[string, *cell] // nil until somebody iterates
	bytes  int
	// written counts all bytes ever written here: old versions stay in memory
	// as long as a neighbour in the same entry does.
	written int
}

func newTable() *table { return &table{cells: make(map[string]*cell)} }

// covered says whether a range tombstone newer than seq hides key.
func (t *table) covered(key string, seq uint64) bool {
	for i := len(t.ranges) - 1; i >= 0; i-- {
		r := &t.ranges[i]
		if r.seq <= seq {
			return false // older ones are at the front
		}
		if key >= r.lower && key < r.upper {
			return true
		}
	}
	return false
}

// undo restores one operation: a cell's former content, or, when cell is
// nil, the range tombstones' former number.
type undo struct {
	cell  *cell
	prior cell
	fresh bool // the cell did not exist
}

type layer struct {
	undo []undo
	body []byte // the operations, in the format of package effects
}

// Overlay is one replica's state in memory.
type Overlay struct {
	base   Base
	active *table
	frozen *Frozen
	seq    uint64
	layers []*layer // oldest first; the last one is being written while open
	open   bool
	spare  []*layer
	iters  []*iterator // open
	err    error
}

// New returns an empty overlay over base.
func New(base Base) *Overlay {
	return &Overlay{base: base, active: newTable()}
}

// Err is the first error of the base, or nil. It stays.
func (o *Overlay) Err() error { return o.err }

// Bytes estimates the memory that is held and not yet being moved down: what
// the cells take, and a part of what was written since the last freeze, since
// old versions share memory with new ones.
func (o *Overlay) Bytes() int { return max(o.active.bytes, o.active.written/4) }

// Dirty says whether there is anything to move down.
func (o *Overlay) Dirty() bool { return len(o.active.cells) > 0 || len(o.active.ranges) > 0 }

// Layers is the number of layers evaluated and not yet applied.
func (o *Overlay) Layers() int { return len(o.layers) }

// Get returns a key's value, valid until the next write.
func (o *Overlay) Get(key []byte) ([]byte, bool) {
	if c := o.active.cells[string(key)]; c != nil {
		if c.deleted || len(o.active.ranges) > 0 && o.active.covered(c.key, c.seq) {
			return nil, false
		}
		return c.data, true
	}
	if len(o.active.ranges) > 0 && o.active.covered(string(key), 0) {
		return nil, false
	}
	if o.frozen != nil {
		t := o.frozen.table
		if c := t.cells[string(key)]; c != nil {
			if c.deleted || len(t.ranges) > 0 && t.covered(c.key, c.seq) {
				return nil, false
			}
			return c.data, true
		}
		if len(t.ranges) > 0 && t.covered(string(key), 0) {
			return nil, false
		}
	}
	v, ok, err := o.base.Get(key, nil)
	if err != nil {
		o.fail(err)
		return nil, false
	}
	if len(v) <= maxRemembered {
		o.remember(key, v, ok)
	}
	return v, ok
}

// maxRemembered is the longest value of the base that is kept in memory after
// a read. Bytes.
const maxRemembered = 4 << 10

// remember keeps what the base said about a key, until the next freeze. The
// iterators' index does not need it: the base has it.
func (o *Overlay) remember(key, value []byte, ok bool) {
	c := &cell{key: string(key), data: value, seq: o.seq, deleted: !ok, clean: true}
	o.active.cells[c.key] = c
	o.active.bytes += cellOverhead + len(key) + len(value)
}

func (o *Overlay) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// Begin opens a layer; the writes that follow belong to it.
func (o *Overlay) Begin() {
	var l *layer
	if n := len(o.spare); n > 0 {
		l, o.spare = o.spare[n-1], o.spare[:n-1]
	} else {
		l = &layer{}
	}
	o.layers = append(o.layers, l)
	o.open = true
}

// Wrote says whether the open layer has any operation.
func (o *Overlay) Wrote() bool { return o.open && len(o.layers[len(o.layers)-1].body) > 0 }

// Body is what the open layer has written so far. It must not be changed.
func (o *Overlay) Body() []byte { return o.layers[len(o.layers)-1].body }

// BodyLen is the size of the open layer's operations in bytes.
func (o *Overlay) BodyLen() int { return len(o.layers[len(o.layers)-1].body) }

// Mark is a place in the open layer.
type Mark struct{ Body, Undo int }

// Mark returns the place that the open layer has reached.
func (o *Overlay) Mark() Mark {
	l := o.layers[len(o.layers)-1]
	return Mark{Body: len(l.body), Undo: len(l.undo)}
}

// Cut takes back what was written into the open layer since a mark, and
// returns a copy of those operations.
func (o *Overlay) Cut(m Mark) []byte {
	l := o.layers[len(o.layers)-1]
	body := slices.Clone(l.body[m.Body:])
	o.rollback(&layer{undo: l.undo[m.Undo:]})
	clear(l.undo[m.Undo:])
	// What comes next must not overwrite bytes that were seen.
	l.undo, l.body = l.undo[:m.Undo], l.body[:m.Body:m.Body]
	return body
}

// End closes the open layer and returns its operations; the bytes stay valid
// and must not be changed. A layer without operations vanishes.
func (o *Overlay) End() []byte {
	o.open = false
	l := o.layers[len(o.layers)-1]
	if len(l.body) == 0 {
		o.layers = o.layers[:len(o.layers)-1]
		o.recycle(l)
		return nil
	}
	return l.body
}

// recycle keeps a layer's undo array for the next one. Bodies are not
// reused: cells alias them.
func (o *Overlay) recycle(l *layer) {
	clear(l.undo)
	l.undo, l.body = l.undo[:0], nil
	if len(o.spare) < 4 && cap(l.undo) <= 1<<16 {
		o.spare = append(o.spare, l)
	}
}

// Committed says that the oldest layer is applied: it cannot be taken back.
func (o *Overlay) Committed() {
	l := o.layers[0]
	copy(o.layers, o.layers[1:])
	o.layers = o.layers[:len(o.layers)-1]
	o.recycle(l)
}

// RollbackAll takes back every layer, newest first.
func (o *Overlay) RollbackAll() {
	for i := len(o.layers) - 1; i >= 0; i-- {
		o.rollback(o.layers[i])
		o.recycle(o.layers[i])
	}
	o.layers = o.layers[:0]
	o.open = false
}

// RollbackLast takes back the newest layer.
func (o *Overlay) RollbackLast() {
	i := len(o.layers) - 1
	o.rollback(o.layers[i])
	o.recycle(o.layers[i])
	o.layers = o.layers[:i]
	o.open = false
}

func (o *Overlay) rollback(l *layer) {
	for i := len(l.undo) - 1; i >= 0; i-- {
		u := &l.undo[i]
		switch {
		case u.cell == nil:
			o.active.ranges = o.active.ranges[:len(o.active.ranges)-1]
		case u.fresh:
			delete(o.active.cells, u.cell.key)
			if o.active.sorted != nil {
				o.active.sorted.Delete(u.cell.key)
			}
			o.active.bytes -= cellOverhead + len(u.cell.key) + len(u.cell.data)
		default:
			o.active.bytes += len(u.prior.data) - len(u.cell.data)
			u.cell.data, u.cell.seq, u.cell.deleted, u.cell.clean = u.prior.data, u.prior.seq, u.prior.deleted, u.prior.clean
		}
	}
}

// Set writes into the open layer; key and value are copied.
func (o *Overlay) Set(key, value []byte) {
	l := o.layers[len(o.layers)-1]
	l.body = effects.AppendSet(l.body, key, value)
	n := len(l.body)
	o.put(l, key, l.body[n-len(value):n:n], false)
}

// Delete removes a key in the open layer.
func (o *Overlay) Delete(key []byte) {
	l := o.layers[len(o.layers)-1]
	l.body = effects.AppendDelete(l.body, key)
	o.put(l, key, nil, true)
}

// DeleteRange removes all keys k, lower <= k < upper, in the open layer.
func (o *Overlay) DeleteRange(lower, upper []byte) {
	l := o.layers[len(o.layers)-1]
	l.body = effects.AppendDeleteRange(l.body, lower, upper)
	o.putRange(l, lower, upper)
}

// Apply applies a committed entry's operations: those of another replica's
// evaluation. There must be no layers. Values alias the entry's bytes.
func (o *Overlay) Apply(d *effects.Decoder) error { return o.play(nil, d) }

// play carries out operations, in a layer or, if l is nil, as applied ones.
func (o *Overlay) play(l *layer, d *effects.Decoder) error {
	for {
		op, ok := d.Next()
		if !ok {
			return d.Err()
		}
		switch op.Kind {
		case effects.Set:
			o.put(l, op.Key, op.Value, false)
		case effects.Delete:
			o.put(l, op.Key, nil, true)
		case effects.DeleteRange:
			o.putRange(l, op.Key, op.Value)
		}
	}
}

// Write carries out one operation on any writer.
func Write(w kv.Writer, op effects.Op) {
	switch op.Kind {
	case effects.Set:
		w.Set(op.Key, op.Value)
	case effects.Delete:
		w.Delete(op.Key)
	case effects.DeleteRange:
		w.DeleteRange(op.Key, op.Value)
	}
}

func (o *Overlay) put(l *layer, key, data []byte, deleted bool) {
	o.seq++
	t := o.active
	c := t.cells[string(key)]
	fresh := c == nil
	if fresh {
		c = &cell{key: string(key)}
		t.cells[c.key] = c
		if t.sorted != nil {
			t.sorted.ReplaceOrInsert(c.key, c)
		}
		t.bytes += cellOverhead + len(key)
	}
	if c.clean && t.sorted != nil {
		t.sorted.ReplaceOrInsert(c.key, c)
	}
	if l != nil {
		l.undo = append(l.undo, undo{cell: c, fresh: fresh, prior: cell{data: c.data, seq: c.seq, deleted: c.deleted, clean: c.clean}})
	}
	t.bytes += len(data) - len(c.data)
	t.written += len(key) + len(data)
	c.data, c.seq, c.deleted, c.clean = data, o.seq, deleted, false
}

func (o *Overlay) putRange(l *layer, lower, upper []byte) {
	o.seq++
	o.active.ranges = append(o.active.ranges, tombstone{lower: string(lower), upper: string(upper), seq: o.seq})
	if l != nil {
		l.undo = append(l.undo, undo{})
	}
}

// NeedsFreeze says that so many range tombstones have gathered that reads
// become slow.
func (o *Overlay) NeedsFreeze() bool { return len(o.active.ranges) > maxRanges && o.frozen == nil }

// Frozen is applied state on its way down. It does not change any more.
type Frozen struct {
	table *table
}

// Freezing says whether a frozen part is still on its way down.
func (o *Overlay) Freezing() bool { return o.frozen != nil }

// Freeze sets the applied state aside to be moved down, and returns it. The
// layers stay on top. There must be no frozen part and no open layer.
func (o *Overlay) Freeze() *Frozen {
	if o.frozen != nil || o.open {
		panic("overlay: Freeze while one is under way or a layer is open")
	}
	layers := o.layers
	for i := len(layers) - 1; i >= 0; i-- {
		o.rollback(layers[i])
		layers[i].undo = layers[i].undo[:0]
	}
	o.frozen = &Frozen{table: o.active}
	o.active = newTable()
	for _, l := range layers {
		o.replay(l)
	}
	return o.frozen
}

// replay writes a layer's operations again, into a new active table.
func (o *Overlay) replay(l *layer) {
	d := effects.Body(l.body)
	if err := o.play(l, &d); err != nil {
		panic("overlay: a layer's own body does not decode: " + err.Error())
	}
}

// Moved says that the frozen part is in the base now.
func (o *Overlay) Moved() { o.frozen = nil }

// Reset throws everything away: the base was replaced.
func (o *Overlay) Reset() {
	o.RollbackAll()
	o.active, o.frozen = newTable(), nil
}

// Len is the number of keys to be moved down.
func (f *Frozen) Len() int { return len(f.table.cells) }

// Ops returns what must be written to the base: range tombstones first, then
// points in key order. May be called from another goroutine than the
// overlay's.
func (f *Frozen) Ops() []effects.Op {
	ops := make([]effects.Op, 0, len(f.table.ranges)+len(f.table.cells))
	for _, r := range f.table.ranges {
		ops = append(ops, effects.Op{Kind: effects.DeleteRange, Key: []byte(r.lower), Value: []byte(r.upper)})
	}
	for _, c := range f.table.inOrder() {
		if c.clean || len(f.table.ranges) > 0 && f.table.covered(c.key, c.seq) {
			continue
		}
		op := effects.Op{Kind: effects.Set, Key: []byte(c.key), Value: c.data}
		if c.deleted {
			op.Kind, op.Value = effects.Delete, nil
		}
		ops = append(ops, op)
	}
	return ops
}

// byKey orders the table's keys.
var byKey = cmp.Compare[string]
