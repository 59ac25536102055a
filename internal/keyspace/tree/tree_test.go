package tree

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
)

// memory is a Store that counts.
type memory struct {
	nodes           map[uint64][]byte
	next            uint64
	writes, written int
	deletes         int
	reads           int
	failAfter       int // reads; 0: never
}

func newMemory() *memory { return &memory{nodes: map[uint64][]byte{}} }

func (m *memory) Node(id uint64) []byte {
	m.reads++
	if m.failAfter > 0 && m.reads > m.failAfter {
		return nil
	}
	if b, ok := m.nodes[id]; ok {
		return b
	}
	panic(fmt.Sprintf("no node %d", id))
}

func (m *memory) SetNode(id uint64, b []byte) {
	m.writes++
	m.written += len(b)
	m.nodes[id] = bytes.Clone(b)
}

func (m *memory) DeleteNode(id uint64) {
	if _, ok := m.nodes[id]; !ok {
		panic(fmt.Sprintf("no node %d to delete", id))
	}
	m.deletes++
	delete(m.nodes, id)
}

func (m *memory) NewNode() uint64 { m.next++; return m.next }

// verify checks a tree's invariants, and that the store holds its nodes only.
func verify(t testing.TB, m *memory, r Root) {
	t.Helper()
	seen := map[uint64]bool{}
	if err := Check(m, r, func(id uint64) { seen[id] = true }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(m.nodes) {
		t.Fatalf("the store holds %d nodes, the tree %d", len(m.nodes), len(seen))
	}
}

// TestGolden pins the stored bytes.
// TestFootprint: on average the estimate is the truth.
func TestFootprint(t *testing.T) {
	s := newMemory()
	tree := Open(s, Root{})
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(5000) {
		tree.InsertAt(rnd.Uint64N(i+1), make([]byte, rnd.IntN(200)))
	}
	tree.Root()
	truth := 0.0
	for _, b := range s.nodes {
		truth += float64(len(b) + 7)
	}
	if got := float64(tree.Footprint(20_000, 7, rnd.Uint64)); math.Abs(got-truth) > truth/20 {
		t.Errorf("%.0f, in truth %.0f", got, truth)
	}
	if got := Open(s, Root{}).Footprint(5, 7, rnd.Uint64); got != 0 {
		t.Errorf("an empty tree takes %d", got)
	}
}

func TestGolden(t *testing.T) {
	m := newMemory()
	plain := Open(m, Root{})
	for i := range 20 {
		plain.InsertAt(uint64(i), bytes.Repeat([]byte{byte('a' + i)}, 200))
	}
	plain.DeleteRange(0, 14)
	plain.InsertAt(0, nil)
	r := plain.Root()
	long := func(c string) string { return "c801" + strings.Repeat(c, 200) }
	want := map[uint64]string{
		4: "01" + "00" + long("6f"),
		5: "01" + long("70") + long("71") + long("72") + long("73") + long("74"),
		3: "03" + "04" + "02" + "05",
	}
	for id, b := range m.nodes {
		if w := want[id]; id == 3 && hex.EncodeToString(b) != w || id != 3 && w != "" && hex.EncodeToString(b) != w {
			t.Errorf("node %d is stored as %x", id, b)
		}
	}
	if got := hex.EncodeToString(AppendRoot(nil, r)); got != "0000000000000003"+"01"+"0000000000000007" || len(m.nodes) != 3 {
		t.Errorf("root %s, nodes %x", got, m.nodes)
	}

	m = newMemory()
	keyed := Open(m, Root{})
	for i := range 12 {
		keyed.Put(fmt.Appendf(nil, "key%02d", i), bytes.Repeat([]byte{'v'}, 100))
	}
	keyed.Root()
	if got := hex.EncodeToString(m.nodes[3]); got != "02"+"01"+"09"+"05"+hex.EncodeToString([]byte("key09"))+"02" {
		t.Errorf("branch %s", got)
	}
	if got := hex.EncodeToString(m.nodes[2][:8]); got != "00"+"05"+hex.EncodeToString([]byte("key09"))+"64" {
		t.Errorf("leaf %s", got)
	}
}

// value makes values of all sizes: most small, some larger than a node.
func value(r *rand.Rand) []byte {
	n := r.IntN(30)
	switch r.IntN(30) {
	case 0:
		n = r.IntN(3000)
	case 1:
		n = r.IntN(600)
	}
	return bytes.Repeat([]byte{byte('a' + r.IntN(26))}, n)
}

// TestPlainAgainstModel runs random operations on a sequence and on a slice.
func TestPlainAgainstModel(t *testing.T) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := newMemory()
		var root Root
		var model [][]byte
		style := r.IntN(4)
		size := 10 + r.IntN(3000)
		for range 300 {
			tr := Open(m, root)
			for range 1 + r.IntN(20) {
				model = plainStep(r, tr, model, style, size)
			}
			if root = tr.Root(); r.IntN(10) == 0 {
				verify(t, m, root)
				comparePlain(t, m, root, model)
			}
		}
		verify(t, m, root)
		comparePlain(t, m, root, model)
		tr := Open(m, root)
		for len(model) > 0 {
			n := min(1+r.IntN(20), len(model))
			at := r.IntN(len(model) - n + 1)
			tr.DeleteRange(uint64(at), uint64(at+n))
			model = slices.Delete(model, at, at+n)
		}
		if root = tr.Root(); root != (Root{}) || len(m.nodes) != 0 {
			t.Fatalf("seed %d: an empty tree has root %+v and %d nodes", seed, root, len(m.nodes))
		}
	}
}

func plainStep(r *rand.Rand, tr *Tree, model [][]byte, style, size int) [][]byte {
	at := r.IntN(len(model) + 1)
	switch style {
	case 1:
		at = len(model)
	case 2:
		at = 0
	case 3:
		at = min(size/2, len(model))
	}
	v := value(r)
	switch {
	case r.IntN(100) == 0:
		return deleteIf(r, tr, model)
	case r.IntN(20) == 0 && len(model) > 0:
		at = r.IntN(len(model))
		tr.SetAt(uint64(at), v)
		model[at] = v
	case r.IntN(3) == 0 && len(model) > 0 || len(model) > size:
		n := min(1+r.IntN(3), len(model))
		if r.IntN(100) == 0 {
			n = min(r.IntN(size), len(model))
		}
		if at = r.IntN(len(model) - n + 1); r.IntN(3) == 0 {
			at = len(model) - n
		}
		tr.DeleteRange(uint64(at), uint64(at+n))
		model = slices.Delete(model, at, at+n)
	default:
		tr.InsertAt(uint64(at), v)
		model = slices.Insert(model, at, v)
	}
	return model
}

// deleteIf deletes some entries, up to a number, from either end.
func deleteIf(r *rand.Rand, tr *Tree, model [][]byte) [][]byte {
	back, share, most := r.IntN(2) == 0, 1+r.IntN(5), 1+r.IntN(300)
	i, n := -1, 0
	var gone []int
	tr.DeleteIf(back, func(_, v []byte) (del, more bool) {
		i++
		at := i
		if back {
			at = len(model) - 1 - i
		}
		if !bytes.Equal(v, model[at]) {
			panic(fmt.Sprintf("DeleteIf shows a wrong entry %d", at))
		}
		if del = len(v)%share == 0; del {
			gone = append(gone, at)
			n++
		}
		return del, n < most
	})
	slices.Sort(gone)
	for _, at := range slices.Backward(gone) {
		model = slices.Delete(model, at, at+1)
	}
	return model
}

func comparePlain(t *testing.T, m *memory, root Root, model [][]byte) {
	t.Helper()
	tr := Open(m, root)
	if tr.Len() != uint64(len(model)) {
		t.Fatalf("%d entries, not %d", tr.Len(), len(model))
	}
	from := len(model) / 3
	i := from
	tr.Scan(uint64(from), func(_, v []byte) bool {
		if !bytes.Equal(v, model[i]) {
			t.Fatalf("entry %d is wrong", i)
		}
		i++
		return true
	})
	if i != len(model) {
		t.Fatalf("a scan from %d to %d ended at %d", from, len(model), i)
	}
	i = from - 1
	if from > 0 {
		tr.ScanBack(uint64(i), func(_, v []byte) bool {
			if !bytes.Equal(v, model[i]) {
				t.Fatalf("entry %d is wrong, backwards", i)
			}
			i--
			return true
		})
	}
	if i >= 0 {
		t.Fatalf("a scan back ended at %d", i)
	}
	for i := 0; i < len(model); i += 1 + len(model)/50 {
		if _, v, ok := tr.At(uint64(i)); !ok || !bytes.Equal(v, model[i]) {
			t.Fatalf("At(%d) is wrong", i)
		}
	}
	if _, _, ok := tr.At(tr.Len()); ok {
		t.Fatal("there is an entry behind the end")
	}
}

// sorted is a keyed model.
type sorted struct {
	keys   []string
	values map[string][]byte
}

func (s *sorted) rank(key string) (int, bool) {
	i := sort.SearchStrings(s.keys, key)
	return i, i < len(s.keys) && s.keys[i] == key
}

// TestKeyedAgainstModel runs random operations on a keyed tree and on a sorted
// slice.
func TestKeyedAgainstModel(t *testing.T) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 2))
		m := newMemory()
		var root Root
		model := &sorted{values: map[string][]byte{}}
		makeKey := keyMaker(r, int(seed%5))
		for range 300 {
			tr := Open(m, root)
			for range 1 + r.IntN(20) {
				keyedStep(t, r, tr, model, makeKey())
			}
			if root = tr.Root(); r.IntN(10) == 0 {
				verify(t, m, root)
				compareKeyed(t, m, root, model)
			}
		}
		verify(t, m, root)
		compareKeyed(t, m, root, model)
	}
}

// keyMaker makes keys: random, rising, falling, with long common parts, or
// dense around one place.
func keyMaker(r *rand.Rand, style int) func() string {
	n := 1 << 40
	return func() string {
		n += 1 + r.IntN(3)
		switch style {
		case 1:
			return string(binary.BigEndian.AppendUint64(nil, uint64(n)))
		case 2:
			return string(binary.BigEndian.AppendUint64(nil, -uint64(n)))
		case 3:
			return strings.Repeat("x", r.IntN(700)) + fmt.Sprint(r.IntN(5))
		case 4:
			return strings.Repeat("m", r.IntN(4)) + fmt.Sprint(1e9-n%1e9)
		}
		return fmt.Sprint(r.IntN(5000))
	}
}

func keyedStep(t *testing.T, r *rand.Rand, tr *Tree, model *sorted, key string) {
	i, had := model.rank(key)
	if rank, found := tr.Rank([]byte(key)); rank != uint64(i) || found != had {
		t.Fatalf("Rank(%q) = %d, %v, want %d, %v", key, rank, found, i, had)
	}
	if v, ok := tr.Get([]byte(key)); ok != had || !bytes.Equal(v, model.values[key]) {
		t.Fatalf("Get(%q) = %q, %v", key, v, ok)
	}
	switch {
	case r.IntN(4) == 0 && len(model.keys) > 0:
		if r.IntN(2) == 0 {
			key = model.keys[r.IntN(len(model.keys))]
		}
		i, had = model.rank(key)
		if tr.Delete([]byte(key)) != had {
			t.Fatalf("Delete(%q) is not %v", key, had)
		}
		if had {
			model.keys = slices.Delete(model.keys, i, i+1)
			delete(model.values, key)
		}
	case r.IntN(200) == 0:
		j := i + r.IntN(len(model.keys)-i+1)
		tr.DeleteRange(uint64(i), uint64(j))
		for _, k := range model.keys[i:j] {
			delete(model.values, k)
		}
		model.keys = slices.Delete(model.keys, i, j)
	default:
		v := value(r)
		if tr.Put([]byte(key), v) == had {
			t.Fatalf("Put(%q) is not %v", key, !had)
		}
		if !had {
			model.keys = slices.Insert(model.keys, i, key)
		}
		model.values[key] = v
	}
}

func compareKeyed(t *testing.T, m *memory, root Root, model *sorted) {
	t.Helper()
	i := 0
	Open(m, root).Scan(0, func(k, v []byte) bool {
		if string(k) != model.keys[i] || !bytes.Equal(v, model.values[model.keys[i]]) {
			t.Fatalf("entry %d is %q, want %q", i, k, model.keys[i])
		}
		i++
		return true
	})
	if i != len(model.keys) {
		t.Fatalf("%d entries, not %d", i, len(model.keys))
	}
}

// TestQueues: however long a queue is used, it costs the same, and leaves
// nothing behind.
func TestQueues(t *testing.T) {
	for _, dir := range []string{"rpush lpop", "lpush rpop", "lpush lpop"} {
		for _, length := range []uint64{0, 1, 50, 5000} {
			m := newMemory()
			var root Root
			step := func(push bool) {
				tr := Open(m, root)
				switch {
				case push && dir == "rpush lpop":
					tr.InsertAt(tr.Len(), []byte("an element of it"))
				case push:
					tr.InsertAt(0, []byte("an element of it"))
				case dir == "lpush rpop":
					tr.DeleteRange(tr.Len()-1, tr.Len())
				default:
					tr.DeleteRange(0, 1)
				}
				root = tr.Root()
			}
			for range length {
				step(true)
			}
			perLeaf := maxLeaf / len(" an element of it")
			most := int(length)/(perLeaf*9/10) + 10
			for round := range 3 {
				m.writes, m.written, m.reads = 0, 0, 0
				for range 10_000 {
					step(true)
					step(false)
				}
				if len(m.nodes) > most || root.Height > 3 || m.writes > 20_000*5 || m.reads > 20_000*8 || m.written > 20_000*2000 {
					t.Fatalf("%s at length %d, round %d: %d nodes, height %d; %d writes, %d bytes, %d reads",
						dir, length, round, len(m.nodes), root.Height, m.writes, m.written, m.reads)
				}
			}
			verify(t, m, root)
		}
	}
}

// TestOrderFillsNodes: what comes in order fills the leaves.
func TestOrderFillsNodes(t *testing.T) {
	for name, key := range map[string]func(i int) []byte{
		"rising":  func(i int) []byte { return fmt.Appendf(nil, "key:%08d", i) },
		"falling": func(i int) []byte { return fmt.Appendf(nil, "key:%08d", 1e6-i) },
		"two at once": func(i int) []byte {
			return fmt.Appendf(nil, "key:%d:%08d", i%2, i)
		},
		"falling in the middle": func(i int) []byte {
			return fmt.Appendf(nil, "key:%d:%08d", i%2, int(1e6)-i*(i%2*2-1))
		},
	} {
		m := newMemory()
		tr := Open(m, Root{})
		for i := range 20_000 {
			tr.Put(key(i), []byte("v"))
		}
		root := tr.Root()
		verify(t, m, root)
		full := 20_000 * (len(key(0)) + 3) / maxLeaf
		least := 0.93
		if name != "rising" && name != "falling" { // two orders meet in one leaf
			least = 0.45
		}
		if fill := float64(full) / float64(len(m.nodes)); fill < least {
			t.Errorf("%s: the nodes are full to %.2f", name, fill)
		}
	}
}

// TestEndWritesOneNode: at the end of a tree an insertion writes a leaf only.
func TestEndWritesOneNode(t *testing.T) {
	m := newMemory()
	var root Root
	for i := range 100_000 {
		tr := Open(m, root)
		tr.Put(fmt.Appendf(nil, "%020d", i), []byte("v"))
		root = tr.Root()
	}
	if root.Height < 2 || m.writes > 110_000 {
		t.Errorf("%d writes, height %d", m.writes, root.Height)
	}
}

// TestUnreadableStore: nothing breaks when the store fails at any time.
func TestUnreadableStore(t *testing.T) {
	m := newMemory()
	tr := Open(m, Root{})
	for i := range 2000 {
		tr.Put(fmt.Append(nil, "k", i), []byte("value"))
	}
	root := tr.Root()
	for n := range 30 {
		for _, f := range []func(*Tree){
			func(t *Tree) { t.Get([]byte("k77")) },
			func(t *Tree) { t.Rank([]byte("k77")) },
			func(t *Tree) { t.At(999) },
			func(t *Tree) { t.Put([]byte("new"), make([]byte, 2000)) },
			func(t *Tree) { t.Put([]byte("k77"), nil) },
			func(t *Tree) { t.Delete([]byte("k77")) },
			func(t *Tree) { t.DeleteRange(10, 1990) },
			func(t *Tree) { t.DeleteRange(0, 2000) },
			func(t *Tree) { t.Scan(3, func(_, _ []byte) bool { return true }) },
			func(t *Tree) { t.ScanBack(1990, func(_, _ []byte) bool { return true }) },
		} {
			m.reads, m.failAfter = 0, n+1
			f(Open(m, root))
		}
	}
	m.failAfter = 0
	verify(t, m, root) // none of them wrote
}

// FuzzNode: a node that is anything is refused by Check or makes a tree that
// works; operations on it end, or say that this is a bug.
func FuzzNode(f *testing.F) {
	f.Add([]byte("\x00\x01k\x01v"), uint64(1), uint8(0))
	f.Add([]byte("\x01\x01v\x00"), uint64(2), uint8(0))
	f.Add([]byte("\x02\x02\x01\x01k\x03"), uint64(3), uint8(1))
	f.Add([]byte("\x03\x02\x01\x03"), uint64(3), uint8(1))
	f.Add([]byte("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), uint64(1), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, count uint64, height uint8) {
		if height > 1 || count == 0 || len(b) == 0 {
			return
		}
		root := Root{Node: 1, Height: height, Count: count}
		newStore := func() *memory {
			return &memory{next: 3, nodes: map[uint64][]byte{1: b, 2: []byte("\x00\x01a\x01b"), 3: []byte("\x01\x01a\x01b")}}
		}
		valid := func() (ok bool) {
			defer func() { ok = recover() == nil && ok }()
			return Check(newStore(), root, nil) == nil
		}()
		plain := b[0]&plainBit != 0
		for i, op := range []func(*Tree){
			func(t *Tree) { t.Get([]byte("k")) },
			func(t *Tree) { t.At(count / 2) },
			func(t *Tree) { t.Scan(0, func(_, _ []byte) bool { return true }) },
			func(t *Tree) { t.ScanBack(count-1, func(_, _ []byte) bool { return true }) },
			func(t *Tree) { t.DeleteRange(count/2, count/2+1) },
			func(t *Tree) { t.Delete([]byte("k")) },
			func(t *Tree) {
				if plain {
					t.InsertAt(count/2, []byte("new"))
					t.SetAt(0, []byte("new"))
				} else {
					t.Put([]byte("new"), nil)
				}
			},
		} {
			m := newStore()
			tr := Open(m, root)
			said := attempt(func() { op(tr); root := tr.Root(); _ = root })
			if said == "" && valid {
				if err := Check(m, tr.root, nil); err != nil {
					t.Errorf("operation %d: %v", i, err)
				}
			} else if valid || said != "" && !strings.Contains(said, "this is a bug") && !strings.Contains(said, "no node ") && !strings.Contains(said, "not both") {
				t.Errorf("operation %d on %x: %s", i, b, said)
			}
		}
	})
}

func attempt(f func()) (said string) {
	defer func() {
		if p := recover(); p != nil {
			said = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}
