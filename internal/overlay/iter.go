package overlay

import (
	"slices"
	"strings"

	"coterie/internal/kv"
	"coterie/internal/storage/state"

	"github.com/RaduBerinde/btreemap"
)

// btreeDegree is a B-tree node's minimum fan-out; 16 keeps nodes within a
// few cache lines.
const btreeDegree = 16

// inOrder returns the table's cells in key order. It reads only.
func (t *table) inOrder() []*cell {
	cells := make([]*cell, 0, len(t.cells))
	for _, c := range t.cells {
		cells = append(cells, c)
	}
	slices.SortFunc(cells, func(a, b *cell) int { return strings.Compare(a.key, b.key) })
	return cells
}

// sort makes the ordered index. From then on, writes keep it: so a replica
// that nobody iterates over never pays for order.
func (t *table) sort() {
	if t.sorted != nil {
		return
	}
	t.sorted = btreemap.New[string, *cell](btreeDegree, byKey)
	for _, c := range t.inOrder() {
		t.sorted.ReplaceOrInsert(c.key, c)
	}
}

// chunk is how many cells a cursor fetches from the ordered index at once.
const chunk = 64

// cursor walks a table's cells in order. The table's index is made by the
// overlay's goroutine before the first cursor exists.
type cursor struct {
	t     *table
	upper string
	cells []*cell
	at    int
	next  btreemap.LowerBound[string]
	done  bool
}

func newCursor(t *table, lower, upper []byte) *cursor {
	t.sort()
	c := &cursor{t: t, upper: string(upper), next: btreemap.GE(string(lower))}
	c.fill()
	return c
}

func (c *cursor) fill() {
	c.cells, c.at = c.cells[:0], 0
	if c.done {
		return
	}
	for _, x := range c.t.sorted.Ascend(c.next, btreemap.LT(c.upper)) {
		c.cells = append(c.cells, x)
		if len(c.cells) == chunk {
			break
		}
	}
	if len(c.cells) < chunk {
		c.done = true
	} else {
		c.next = btreemap.GT(c.cells[len(c.cells)-1].key)
	}
}

// peek is the current cell, or nil at the end.
func (c *cursor) peek() *cell {
	if c == nil || c.at >= len(c.cells) {
		return nil
	}
	return c.cells[c.at]
}

func (c *cursor) advance() {
	if c.at++; c.at >= len(c.cells) && !c.done {
		c.fill()
	}
}

func (c *cursor) seek(key string) {
	if c == nil {
		return
	}
	for c.at < len(c.cells) && c.cells[c.at].key < key {
		c.at++
	}
	if c.at >= len(c.cells) && !c.done {
		c.next = btreemap.GE(key)
		c.fill()
	}
}

// iterator merges active, frozen and base, in this order of precedence.
type iterator struct {
	o       *Overlay
	act     *cursor
	froz    *cursor
	base    state.Iterator
	baseKey []byte // nil: exhausted
	key     []byte
	value   []byte
}

// Iter walks the keys k, lower <= k < upper. Nothing may be written while it
// is open.
func (o *Overlay) Iter(lower, upper []byte) kv.Iterator {
	it := &iterator{o: o, act: newCursor(o.active, lower, upper)}
	if o.frozen != nil {
		it.froz = newCursor(o.frozen.table, lower, upper)
	}
	b, err := o.base.Iter(lower, upper)
	if err != nil {
		o.fail(err)
		return it
	}
	it.base = b
	o.iters = append(o.iters, it)
	it.nextBase()
	return it
}

func (it *iterator) nextBase() {
	if it.base.Next() {
		it.baseKey = it.base.Key()
	} else {
		it.endBase()
	}
}

func (it *iterator) endBase() {
	it.baseKey = nil
	if err := it.base.Err(); err != nil {
		it.o.fail(err)
	}
}

// hiddenUntil returns the upper bound of a range tombstone that hides a base
// key, so that a long deleted stretch is stepped over at once.
func (it *iterator) hiddenUntil(key []byte) (string, bool) {
	for _, t := range []*table{it.o.active, it.frozenTable()} {
		if t == nil {
			continue
		}
		for _, r := range t.ranges {
			if string(key) >= r.lower && string(key) < r.upper {
				return r.upper, true
			}
		}
	}
	return "", false
}

func (it *iterator) frozenTable() *table {
	if it.o.frozen == nil {
		return nil
	}
	return it.o.frozen.table
}

func (it *iterator) Next() bool {
	for {
		a, f := it.act.peek(), it.froz.peek()
		switch {
		case a != nil && (f == nil || a.key <= f.key) && (it.baseKey == nil || a.key <= string(it.baseKey)):
			if f != nil && f.key == a.key {
				it.froz.advance()
			}
			it.skipBase(a.key)
			it.act.advance()
			if a.deleted || it.o.active.covered(a.key, a.seq) {
				continue
			}
			it.key, it.value = append(it.key[:0], a.key...), a.data
			return true
		case f != nil && (it.baseKey == nil || f.key <= string(it.baseKey)):
			it.skipBase(f.key)
			it.froz.advance()
			if f.deleted || it.o.active.covered(f.key, 0) || it.frozenTable().covered(f.key, f.seq) {
				continue
			}
			it.key, it.value = append(it.key[:0], f.key...), f.data
			return true
		case it.baseKey != nil:
			if upper, hidden := it.hiddenUntil(it.baseKey); hidden {
				if it.base.SeekGE([]byte(upper)) {
					it.baseKey = it.base.Key()
				} else {
					it.endBase()
				}
				continue
			}
			it.key = append(it.key[:0], it.baseKey...)
			it.value = append([]byte(nil), it.base.Value()...)
			it.nextBase()
			return true
		default:
			return false
		}
	}
}

func (it *iterator) skipBase(key string) {
	if it.baseKey != nil && string(it.baseKey) == key {
		it.nextBase()
	}
}

func (it *iterator) SeekGE(key []byte) bool {
	it.act.seek(string(key))
	it.froz.seek(string(key))
	if it.baseKey != nil && string(it.baseKey) < string(key) {
		if it.base.SeekGE(key) {
			it.baseKey = it.base.Key()
		} else {
			it.endBase()
		}
	}
	return it.Next()
}

func (it *iterator) Key() []byte   { return it.key }
func (it *iterator) Value() []byte { return it.value }

func (it *iterator) Close() {
	if it.base == nil {
		return
	}
	it.base.Close()
	it.base, it.baseKey = nil, nil
	open := it.o.iters
	i := len(open) - 1 // mostly it is the only one
	for open[i] != it {
		i--
	}
	it.o.iters = slices.Delete(open, i, i+1)
}

// CloseIters closes the iterators that are open: whoever used them has been
// interrupted.
func (o *Overlay) CloseIters() {
	for len(o.iters) > 0 {
		o.iters[len(o.iters)-1].Close()
	}
}
