package lua

// Table is a table. Positions 1 … len(list) are kept as a list without a nil at its
// end; everything else is in nodes, in the order it came, with an index once there
// are many.
type Table struct {
	list     []Value
	nodes    []node
	live     int // nodes with a value
	strings  map[string]int32
	others   map[any]int32 // keys that are no strings; numbers as float64
	meta     *Table
	readonly bool
	seen     uint32 // by the last measurement of memory
}

type node struct{ key, value Value }

// fewNodes is how many nodes are searched without an index.
const fewNodes = 8

// Bytes that a table is taken to need, and one element of it.
const (
	tableBytes = 96
	slotBytes  = 24
	nodeBytes  = 80
)

// NewTable makes a table with room for a list.
func NewTable(list int) *Table {
	t := &Table{}
	if list > 0 {
		t.list = make([]Value, 0, list)
	}
	return t
}

// SetReadonly makes a table refuse every change by scripts.
func (t *Table) SetReadonly(on bool) { t.readonly = on }

// SetMeta gives the table a metatable.
func (t *Table) SetMeta(m *Table) { t.meta = m }

// Meta is the table's metatable, or nil.
func (t *Table) Meta() *Table { return t.meta }

// Len is a border of the table: it has a value at Len and none at Len+1.
func (t *Table) Len() int { return len(t.list) }

// Get looks a key up, without metamethods.
func (t *Table) Get(k Value) Value {
	switch o := k.o.(type) {
	case string:
		return t.GetString(o)
	case number:
		if i := int(k.n); i >= 1 && i <= len(t.list) && float64(i) == k.n {
			return t.list[i-1]
		}
	}
	if i := t.find(k); i >= 0 {
		return t.nodes[i].value
	}
	return Nil
}

// GetString looks up a key that is a string.
func (t *Table) GetString(k string) Value {
	if t.strings == nil && len(t.nodes) <= fewNodes {
		for i := range t.nodes {
			if s, ok := t.nodes[i].key.o.(string); ok && s == k {
				return t.nodes[i].value
			}
		}
		return Nil
	}
	if i, ok := t.strings[k]; ok {
		return t.nodes[i].value
	}
	return Nil
}

// GetInt looks up a position.
func (t *Table) GetInt(i int) Value {
	if i >= 1 && i <= len(t.list) {
		return t.list[i-1]
	}
	if len(t.nodes) == 0 {
		return Nil
	}
	return t.Get(Number(float64(i)))
}

// find returns a key's node, or -1.
func (t *Table) find(k Value) int {
	if len(t.nodes) <= fewNodes {
		for i := range t.nodes {
			if equal(t.nodes[i].key, k) {
				return i
			}
		}
		return -1
	}
	var i int32
	var ok bool
	switch o := k.o.(type) {
	case string:
		i, ok = t.strings[o]
	case number:
		i, ok = t.others[k.n]
	default:
		i, ok = t.others[k.o]
	}
	if !ok {
		return -1
	}
	return int(i)
}

// SetString stores a value under a string.
func (t *Table) SetString(k string, v Value) { t.Set(String(k), v) }

// SetInt stores a value at a position.
func (t *Table) SetInt(i int, v Value) { t.Set(Number(float64(i)), v) }

// Append stores a value behind the list's end.
func (t *Table) Append(v Value) { t.SetInt(len(t.list)+1, v) }

// Set stores a value under a key, which is neither nil nor NaN. It returns the bytes
// of memory that it took, about.
func (t *Table) Set(k, v Value) (grown int) {
	if _, ok := k.o.(number); ok {
		if i := int(k.n); i >= 1 && i <= len(t.list)+1 && float64(i) == k.n {
			return t.setListed(i, v)
		}
	}
	if i := t.find(k); i >= 0 {
		n := &t.nodes[i]
		if n.value.IsNil() != v.IsNil() {
			if v.IsNil() {
				t.live--
			} else {
				t.live++
			}
		}
		n.value = v
		return 0
	}
	if v.IsNil() {
		return 0
	}
	if len(t.nodes) == cap(t.nodes) && t.live < len(t.nodes)*3/4 {
		t.compact()
	}
	t.nodes = append(t.nodes, node{k, v})
	t.live++
	t.index(len(t.nodes) - 1)
	return nodeBytes
}

// setListed stores into the list, or right behind it.
func (t *Table) setListed(i int, v Value) (grown int) {
	if i <= len(t.list) {
		t.list[i-1] = v
		if v.IsNil() && i == len(t.list) {
			for i > 0 && t.list[i-1].IsNil() {
				i--
			}
			t.list = t.list[:i]
		}
		return 0
	}
	if v.IsNil() {
		if t.live > 0 {
			t.drop(i)
		}
		return 0
	}
	t.list = append(t.list, v)
	for t.live > 0 { // what waited among the nodes for this moment
		t.drop(i)
		i++
		at := t.find(Number(float64(i)))
		if at < 0 || t.nodes[at].value.IsNil() {
			break
		}
		t.list = append(t.list, t.nodes[at].value)
		grown += slotBytes
	}
	return grown + slotBytes
}

// drop removes a position from the nodes.
func (t *Table) drop(i int) {
	if at := t.find(Number(float64(i))); at >= 0 && !t.nodes[at].value.IsNil() {
		t.nodes[at].value = Nil
		t.live--
	}
}

// index puts a node into the index, and makes one when it is time for it.
func (t *Table) index(i int) {
	if len(t.nodes) <= fewNodes {
		return
	}
	if t.strings == nil {
		t.strings, t.others = map[string]int32{}, map[any]int32{}
		for j := range t.nodes {
			t.enter(j)
		}
		return
	}
	t.enter(i)
}

func (t *Table) enter(i int) {
	k := t.nodes[i].key
	switch o := k.o.(type) {
	case string:
		t.strings[o] = int32(i)
	case number:
		t.others[k.n] = int32(i)
	default:
		t.others[k.o] = int32(i)
	}
}

// compact drops the nodes without a value. Only a new key calls it: a walk over a
// table in which values are changed and removed keeps its place.
func (t *Table) compact() {
	kept := t.nodes[:0]
	for _, n := range t.nodes {
		if !n.value.IsNil() {
			kept = append(kept, n)
		}
	}
	clear(t.nodes[len(kept):])
	t.nodes, t.strings, t.others = kept, nil, nil
	if len(t.nodes) > fewNodes {
		t.index(0)
	}
}

// Next returns what follows a key in a walk that begins with nil and ends with it.
// ok is false when there is no such key.
func (t *Table) Next(k Value) (key, value Value, ok bool) {
	key, value, _, ok = t.walk(k)
	return key, value, ok
}

// walk is Next. passed is how many places without a value it came by.
func (t *Table) walk(k Value) (key, value Value, passed int, ok bool) {
	at, from := 0, 0
	if !k.IsNil() {
		_, numeric := k.o.(number)
		i := int(k.n)
		listed := numeric && i >= 1 && float64(i) == k.n
		switch n := t.find(k); {
		case listed && i <= len(t.list):
			at = i
		case n >= 0:
			at, from = len(t.list), n+1
		case listed && i <= cap(t.list): // just removed from the list's end
			at = len(t.list)
		default:
			return Nil, Nil, 0, false
		}
	}
	began := at
	for ; at < len(t.list); at++ {
		if !t.list[at].IsNil() {
			return Number(float64(at + 1)), t.list[at], at - began, true
		}
	}
	for i := from; i < len(t.nodes); i++ {
		if !t.nodes[i].value.IsNil() {
			return t.nodes[i].key, t.nodes[i].value, at - began + i - from, true
		}
	}
	return Nil, Nil, at - began + max(len(t.nodes)-from, 0), true
}
