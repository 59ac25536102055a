package keyspace_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/keyspace/tree"
)

var whole = base.Span{Lo: 0, Hi: base.NumSlots}

func bind(txn *keyspacetest.Txn, span base.Span, db int) *keyspace.Space {
	s := &keyspace.Space{}
	s.Bind(txn, 7, span, db, nil)
	return s
}

func check(t *testing.T, txn *keyspacetest.Txn) {
	t.Helper()
	if err := keyspace.Check(txn, whole); err != nil {
		t.Fatal(err)
	}
}

func put(s *keyspace.Space, key, value string, at int64) {
	s.Put([]byte(key), s.Lookup([]byte(key)), keyspace.Record{Type: keyspace.String, ExpireAt: at, Body: []byte(value)})
}

// putObject stores a collection of n elements.
func putObject(s *keyspace.Space, key string, n int, at int64) {
	old := s.Lookup([]byte(key))
	obj := keyspace.Object{ID: s.Txn.NewObjectID(base.KeySlot([]byte(key))), Count: uint64(n)}
	for i := range n {
		s.SetElement(base.KeySlot([]byte(key)), obj.ID, fmt.Append(nil, "e", i), []byte{0})
	}
	s.Put([]byte(key), old, keyspace.Record{Type: keyspace.Hash, ExpireAt: at, Body: keyspace.AppendObject(nil, obj)})
}

// TestRecordFormat pins the stored bytes.
func TestRecordFormat(t *testing.T) {
	for _, tc := range []struct {
		r   keyspace.Record
		hex string
	}{
		{keyspace.Record{Type: keyspace.String, Body: []byte("hi")}, "016869"},
		{keyspace.Record{Type: keyspace.String}, "01"},
		{keyspace.Record{Type: keyspace.String, ExpireAt: 0x0102030405, Body: []byte("hi")}, "8100000001020304056869"},
		{keyspace.Record{Type: keyspace.Hash, DueAt: 0x0102030405, Body: []byte("hi")}, "4200000001020304056869"},
		{keyspace.Record{Type: keyspace.Hash, ExpireAt: 1, DueAt: 2, Body: []byte("hi")}, "c2000000000000000100000000000000026869"},
		{keyspace.Record{Type: keyspace.Hash, Body: keyspace.AppendObject(nil, keyspace.Object{ID: 0x1122, Count: 3})}, "020100000000000011220000000000000003"},
	} {
		got := keyspace.AppendRecord(nil, tc.r)
		if hex.EncodeToString(got) != tc.hex {
			t.Errorf("%+v is stored as %x, want %s", tc.r, got, tc.hex)
		}
		back, ok := keyspace.ParseRecord(got)
		if !ok || back.Type != tc.r.Type || back.ExpireAt != tc.r.ExpireAt || back.DueAt != tc.r.DueAt || !bytes.Equal(back.Body, tc.r.Body) {
			t.Errorf("%x is read as %+v", got, back)
		}
	}
	for _, bad := range []string{"", "00", "80", "8100", "810000000000000000", "81ff00000000000000", "40", "420000000000000000", "c2000000000000000100000000000000"} {
		b, _ := hex.DecodeString(bad)
		if r, ok := keyspace.ParseRecord(b); ok {
			t.Errorf("%s is read as %+v", bad, r)
		}
	}
}

// TestStoredKeys pins what one key with a deadline leaves in the store.
func TestStoredKeys(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 2)
	put(s, "foo", "v", s.Now()+1)
	it := txn.Iter(nil, nil)
	var got []string
	for it.Next() {
		got = append(got, fmt.Sprintf("%x=%x", it.Key(), it.Value()))
	}
	hash := fmt.Sprintf("%012x", keys.Hash48([]byte("foo")))
	deadline := fmt.Sprintf("%016x", s.Now()+1)
	want := []string{
		"2f960000000002=010101",
		"2f960100000002" + hash + "666f6f=81" + deadline + "76",
		"2f9603" + deadline + "00000002" + hash + "666f6f=",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("stored:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExpiryIsAnEffect(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 0)
	put(s, "a", "v", s.Now()+10)
	putObject(s, "o", 100, s.Now()+10)
	check(t, txn)
	txn.Stamp += 9_999
	s = bind(txn, whole, 0)
	if !s.Lookup([]byte("a")).Exists() {
		t.Error("a key expired before its deadline")
	}
	txn.Stamp++
	s = bind(txn, whole, 0)
	if s.Lookup([]byte("a")).Exists() || s.Lookup([]byte("o")).Exists() {
		t.Error("a key lives at its deadline")
	}
	if n := txn.Len(); n != 0 {
		t.Errorf("expired keys left %d entries", n)
	}
	put(s, "b", "v", s.Now())
	if txn.Len() != 0 {
		t.Error("a key was stored with a deadline that has passed")
	}
}

func TestReplacingDropsElements(t *testing.T) {
	txn := keyspacetest.New(1)
	for _, n := range []int{3, 64, 65, 300} {
		s := bind(txn, whole, 0)
		putObject(s, "k", n, 0)
		putObject(s, "k", n, s.Now()+5) // another object under the same key
		check(t, txn)
		put(s, "k", "v", 0)
		check(t, txn)
		if txn.Len() != 2 {
			t.Errorf("%d elements: %d entries are left, want a record and a counter", n, txn.Len())
		}
	}
}

func TestMoveAndCopy(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 0)
	for _, dst := range []string{"{src}2", "elsewhere"} { // the same slot, and another
		putObject(s, "src", 70, s.Now()+1000)
		putObject(s, dst, 5, 0)
		r := s.Lookup([]byte("src"))
		s.Copy(s.Slot([]byte("src")), r, []byte("copy"), s.Lookup([]byte("copy")))
		check(t, txn)
		s.Move([]byte("src"), r, []byte(dst), s.Lookup([]byte(dst)))
		check(t, txn)
		moved := s.Lookup([]byte(dst))
		if obj, _ := moved.Object(); s.Lookup([]byte("src")).Exists() || moved.ExpireAt != r.ExpireAt || obj.Count != 70 {
			t.Errorf("moved to %q: %+v", dst, moved)
		}
	}
}

func TestWalkVisitsEverythingOnce(t *testing.T) {
	txn := keyspacetest.New(1)
	for db := range 3 {
		s := bind(txn, whole, db)
		for i := range 500 {
			put(s, fmt.Sprint("{", i%50, "}key", i), "v", 0)
		}
		putObject(s, "object", 80, s.Now()+1000)
	}
	for _, limit := range []int{0, 1, 7, 1000} {
		for _, spans := range [][]base.Span{{whole}, {{Lo: 0, Hi: 5000}, {Lo: 5000, Hi: 5001}, {Lo: 5001, Hi: base.NumSlots}}} {
			seen := map[string]int{}
			steps, size := 0, int64(0)
			for _, span := range spans {
				s := bind(txn, span, 1)
				size += s.Size()
				for next, done := keys.Cursor(0), false; !done; steps++ {
					next, done = s.Walk(next, limit, func(key []byte, _ keyspace.Record) bool {
						seen[string(key)]++
						return true
					})
					if done != (next == 0) {
						t.Fatalf("next %d, done %v", next, done)
					}
				}
			}
			if len(seen) != 501 || size != 501 {
				t.Errorf("limit %d, spans %v: %d keys seen, size %d, want 501", limit, spans, len(seen), size)
			}
			for key, n := range seen {
				if n != 1 {
					t.Errorf("key %q was visited %d times", key, n)
				}
			}
			if limit == 7 && steps < 501/8 {
				t.Errorf("%d steps with a limit of 7", steps)
			}
		}
	}
}

func TestWalkPassesOverExpired(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 0)
	for i := range 300 {
		put(s, fmt.Sprint("gone", i), "v", s.Now()+1)
	}
	put(s, "stays", "v", 0)
	txn.Stamp += 1000
	s = bind(txn, whole, 0)
	var seen []string
	writes := txn.Writes
	s.Walk(0, 0, func(key []byte, _ keyspace.Record) bool {
		seen = append(seen, string(key))
		return true
	})
	if fmt.Sprint(seen) != "[stays]" {
		t.Errorf("visited %q", seen)
	}
	if txn.Writes == writes {
		t.Error("hiding expired keys left no effect")
	}
	if key := bind(txn, whole, 0).RandomKey(); string(key) != "stays" {
		t.Errorf("a random key is %q", key)
	}
	check(t, txn)
}

func TestRandomKeyReachesAll(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, base.Span{Lo: 100, Hi: 9000}, 0)
	if s.RandomKey() != nil {
		t.Error("a random key of nothing")
	}
	seen := map[string]bool{}
	for i := 0; len(seen) < 20; i++ {
		if key := fmt.Sprint(i); s.Owns([]byte(key)) {
			put(s, key, "v", 0)
			seen[key] = false
		}
	}
	for range 3000 {
		seen[string(s.RandomKey())] = true
	}
	for key, ok := range seen {
		if !ok {
			t.Errorf("key %s never came", key)
		}
	}
}

func TestFlushAndSweep(t *testing.T) {
	txn := keyspacetest.New(1)
	fill := func() {
		for db := range 3 {
			s := bind(txn, whole, db)
			for i := range 40 {
				put(s, fmt.Sprint("k", i), "v", s.Now()+int64(i%2)*1000)
				putObject(s, fmt.Sprint("{t}o", i), i*3+1, 0)
			}
		}
	}
	fill()
	s := bind(txn, whole, 1)
	if !s.Flush(1, 100) || !s.Flushed() || s.Size() != 0 || s.Lookup([]byte("k2")).Exists() {
		t.Fatal("a flushed namespace is not empty")
	}
	put(s, "k1", "new", 0)
	if n := bind(txn, whole, 2).Size(); n != 80-20 { // the even ones had a deadline of now
		t.Errorf("another namespace has %d keys", n)
	}
	check(t, txn)
	removed, steps := 0, 0
	for next := uint16(0); next < whole.Hi; steps++ {
		p := keyspace.SweepDead(txn, 7, whole, next, 5)
		if p.Next < next || p.Removed > 6 {
			t.Fatalf("step from slot %d: %+v", next, p)
		}
		next, removed = p.Next, removed+p.Removed
		check(t, txn)
	}
	if removed != 60 || steps < 10 {
		t.Errorf("the sweep removed %d keys in %d steps, want 60 in several", removed, steps)
	}
	if got := string(bind(txn, whole, 1).Lookup([]byte("k1")).Body); got != "new" {
		t.Errorf("the new k1 is %q", got)
	}
	if !bind(txn, whole, 0).FlushAll(3) { // a wish that cannot be granted
		t.Fatal("FlushAll refused")
	}
	p := keyspace.SweepDead(txn, 7, whole, 0, 1_000_000)
	if p.Next != whole.Hi || txn.Len() != 1 {
		t.Errorf("%+v: after the sweep %d entries are left, want the map of generations", p, txn.Len())
	}
	fill()
	check(t, txn)
}

func TestGenerationsAreNeverUsedAgain(t *testing.T) {
	txn := keyspacetest.New(1)
	used := map[uint32]bool{}
	note := func(gens keyspace.Generations, changed int) {
		t.Helper()
		n := 0
		for _, g := range gens {
			if !used[g] {
				used[g] = true
				n++
			}
		}
		if n != changed {
			t.Fatalf("%v: %d new generations, want %d", gens, n, changed)
		}
	}
	note(keyspace.LoadGenerations(txn, 7), 16)
	for i, wish := range []uint32{0, 100, 100, 50, 1 << 30, 7, 1<<32 - 1} {
		if !bind(txn, whole, 0).Flush(i, wish) {
			t.Fatal("refused")
		}
		note(keyspace.LoadGenerations(txn, 7), 1)
		if !bind(txn, whole, 0).FlushAll(wish) {
			t.Fatal("refused")
		}
		note(keyspace.LoadGenerations(txn, 7), 16)
	}
}

func TestSweepExpired(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 3)
	for i := range 100 {
		put(s, fmt.Sprint("soon", i), "v", s.Now()+1)
		put(s, fmt.Sprint("later", i), "v", s.Now()+1_000_000)
		put(s, fmt.Sprint("never", i), "v", 0)
	}
	putObject(s, "object", 200, s.Now()+1)
	txn.Stamp += 1000
	removed := 0
	for next := uint16(0); next < whole.Hi; {
		p := keyspace.SweepExpired(txn, 7, whole, next, 7, nil, 0)
		if p.Removed > 7 {
			t.Fatalf("%+v", p)
		}
		next, removed = p.Next, removed+p.Removed
		check(t, txn)
	}
	if removed != 101 || bind(txn, whole, 3).Size() != 200 {
		t.Errorf("%d keys removed, %d left", removed, bind(txn, whole, 3).Size())
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	slot := base.KeySlot([]byte("k"))
	for name, damage := range map[string]func(*keyspacetest.Txn){
		"counter too high": func(txn *keyspacetest.Txn) {
			txn.Set(keys.CounterKey(nil, slot, 0), []byte{1, 2, 1})
		},
		"deadline not counted": func(txn *keyspacetest.Txn) { txn.Set(keys.CounterKey(nil, slot, 0), []byte{1, 1, 0}) },
		"counter malformed":    func(txn *keyspacetest.Txn) { txn.Set(keys.CounterKey(nil, slot, 0), []byte{1, 1, 2}) },
		"counter gone":         func(txn *keyspacetest.Txn) { txn.Delete(keys.CounterKey(nil, slot, 0)) },
		"counter of nothing":   func(txn *keyspacetest.Txn) { txn.Set(keys.CounterKey(nil, slot, 5), []byte{0, 0, 0, 0, 0, 0, 0, 1}) },
		"record gone":          func(txn *keyspacetest.Txn) { txn.Delete(keys.RecordKey(nil, slot, 0, []byte("k"))) },
		"record malformed":     func(txn *keyspacetest.Txn) { txn.Set(keys.RecordKey(nil, slot, 0, []byte("k")), nil) },
		"record in a slot":     func(txn *keyspacetest.Txn) { txn.Set(keys.RecordKey(nil, slot+1, 0, []byte("k")), []byte{1}) },
		"element gone":         func(txn *keyspacetest.Txn) { txn.Delete(keys.ElementKey(nil, slot, 1, []byte("e1"))) },
		"element too many":     func(txn *keyspacetest.Txn) { txn.Set(keys.ElementKey(nil, slot, 1, []byte("x")), []byte{0}) },
		"element of nothing":   func(txn *keyspacetest.Txn) { txn.Set(keys.ElementKey(nil, slot, 9, []byte("x")), []byte{0}) },
		"index entry too many": func(txn *keyspacetest.Txn) { txn.Set(keys.ExpiryKey(nil, slot, 5, 0, []byte("k")), nil) },
		"index entry gone": func(txn *keyspacetest.Txn) {
			lower, upper := keys.ExpiryBounds(slot, 1<<62)
			txn.DeleteRange(lower, upper)
		},
	} {
		txn := keyspacetest.New(1)
		s := bind(txn, whole, 0)
		putObject(s, "k", 3, s.Now()+1000)
		check(t, txn)
		if damage(txn); keyspace.Check(txn, whole) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// putTrees stores a collection with two trees of n entries each, and elements
// if asked to.
func putTrees(s *keyspace.Space, key string, n int, elements bool, at int64) {
	slot := base.KeySlot([]byte(key))
	old := s.Lookup([]byte(key))
	obj := keyspace.Object{ID: s.Txn.NewObjectID(slot), Count: uint64(n), NextNode: 1, OnlyTrees: !elements}
	trees := [2]*tree.Tree{tree.Open(s.Nodes(slot, &obj), tree.Root{}), tree.Open(s.Nodes(slot, &obj), tree.Root{})}
	for i := range n {
		trees[0].Put(fmt.Append(nil, "k", i), []byte("v"))
		trees[1].InsertAt(uint64(i), fmt.Append(nil, key, i))
		if elements {
			s.SetElement(slot, obj.ID, fmt.Append(nil, "e", i), nil)
		}
	}
	roots := tree.AppendRoot(tree.AppendRoot(nil, trees[0].Root()), trees[1].Root())
	s.Put([]byte(key), old, keyspace.Record{Type: keyspace.List, ExpireAt: at, Body: append(keyspace.AppendObject(nil, obj), roots...)})
}

// checkTrees checks what putTrees stored, under whatever key it is now.
func checkTrees(t *testing.T, s *keyspace.Space, key, original string, n int) {
	t.Helper()
	r := s.Lookup([]byte(key))
	obj, ok := r.Object()
	if !ok || obj.Count != uint64(n) {
		t.Fatalf("%q holds %+v", key, r)
	}
	for i := range 2 {
		root, ok := tree.ParseRoot(r.Rest()[i*tree.RootLen:])
		if err := tree.Check(s.Nodes(s.Slot([]byte(key)), &obj), root, nil); err != nil || !ok || root.Count != uint64(n) {
			t.Fatalf("%q: tree %d is %+v: %v", key, i, root, err)
		}
		if _, v, _ := tree.Open(s.Nodes(s.Slot([]byte(key)), &obj), root).At(uint64(n / 2)); i == 1 && string(v) != fmt.Sprint(original, n/2) {
			t.Fatalf("%q: an entry is %q", key, v)
		}
	}
}

func TestTrees(t *testing.T) {
	for _, n := range []int{1, 5, 70, 5000} {
		for _, elements := range []bool{false, true} {
			txn := keyspacetest.New(1)
			s := bind(txn, whole, 0)
			putTrees(s, "a", n, elements, 0)
			check(t, txn)
			checkTrees(t, s, "a", "a", n)
			s.Copy(s.Slot([]byte("a")), s.Lookup([]byte("a")), []byte("b"), keyspace.Record{})
			s.Move([]byte("a"), s.Lookup([]byte("a")), []byte("{a}2"), keyspace.Record{})
			check(t, txn)
			checkTrees(t, s, "b", "a", n)
			checkTrees(t, s, "{a}2", "a", n)
			s.Move([]byte("b"), s.Lookup([]byte("b")), []byte("c"), keyspace.Record{})
			check(t, txn)
			checkTrees(t, s, "c", "a", n)
			put(s, "c", "v", 0)
			check(t, txn)
			s.Remove([]byte("c"), s.Lookup([]byte("c")))
			putTrees(s, "d", n, elements, s.Now()+1)
			putTrees(s, "e", n, elements, s.Now()+5)
			txn.Stamp += 1000
			if p := keyspace.SweepExpired(txn, 7, whole, 0, 1000, nil, 0); p.Removed != 1 || p.Next != whole.Hi {
				t.Errorf("%+v", p)
			}
			check(t, txn)
			checkTrees(t, bind(txn, whole, 0), "e", "e", n)
			bind(txn, whole, 0).Flush(0, 100)
			keyspace.SweepDead(txn, 7, whole, 0, 1000)
			if txn.Len() != 1 {
				t.Errorf("%d entries of %d: %d are left, want the map of generations", n, n, txn.Len())
			}
		}
	}
}

// TestEmptiedIsNotSearched: a collection that its command has emptied goes
// without anything being looked for.
func TestEmptiedIsNotSearched(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 0)
	putTrees(s, "a", 1000, false, s.Now()+5)
	r := s.Lookup([]byte("a"))
	obj, _ := r.Object()
	for i := range 2 {
		root, _ := tree.ParseRoot(r.Rest()[i*tree.RootLen:])
		tr := tree.Open(s.Nodes(s.Slot([]byte("a")), &obj), root)
		tr.DeleteRange(0, tr.Len())
		tr.Root()
	}
	before := txn.Writes
	s.Detach([]byte("a"), r)
	if txn.Len() != 0 || txn.Writes != before+3 {
		t.Errorf("%d entries are left after %d writes", txn.Len(), txn.Writes-before)
	}
}

func TestObjectFormat(t *testing.T) {
	for hexed, want := range map[string]keyspace.Object{
		"01" + "0000000000000005" + "0000000000000007":                      {ID: 5, Count: 7},
		"02" + "0000000000000005" + "0000000000000007" + "0000000000000009": {ID: 5, Count: 7, NextNode: 9, OnlyTrees: true},
		"03" + "0000000000000005" + "0000000000000007" + "0000000000000009": {ID: 5, Count: 7, NextNode: 9},
	} {
		if got := hex.EncodeToString(keyspace.AppendObject(nil, want)); got != hexed {
			t.Errorf("%+v is stored as %s", want, got)
		}
		b, _ := hex.DecodeString(hexed + "ff")
		r := keyspace.Record{Type: keyspace.List, Body: b}
		if got, ok := r.Object(); !ok || got != want || string(r.Rest()) != "\xff" {
			t.Errorf("%s is read as %+v, and %x", hexed, got, r.Rest())
		}
	}
	for _, bad := range []string{"", "02", "0200000000000000050000000000000007", "02000000000000000500000000000000070000000000000000", "0400000000000000050000000000000007000000000000000900"} {
		b, _ := hex.DecodeString(bad)
		if o, ok := (keyspace.Record{Type: keyspace.List, Body: b}).Object(); ok {
			t.Errorf("%s is read as %+v", bad, o)
		}
	}
}
