package overlay

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"coterie/internal/effects"
	"coterie/internal/storage/state"

	"pgregory.net/rapid"
)

// mapBase is a Base over a plain map.
type mapBase map[string]string

func (m mapBase) Get(key, dst []byte) ([]byte, bool, error) {
	v, ok := m[string(key)]
	return append(dst, v...), ok, nil
}

func (m mapBase) Iter(lower, upper []byte) (state.Iterator, error) {
	it := &mapIter{m: m, at: -1}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k >= string(lower) && k < string(upper) {
			it.keys = append(it.keys, k)
		}
	}
	return it, nil
}

func (m mapBase) apply(ops []effects.Op) {
	for _, op := range ops {
		switch op.Kind {
		case effects.Set:
			m[string(op.Key)] = string(op.Value)
		case effects.Delete:
			delete(m, string(op.Key))
		case effects.DeleteRange:
			for k := range m {
				if k >= string(op.Key) && k < string(op.Value) {
					delete(m, k)
				}
			}
		}
	}
}

type mapIter struct {
	m    mapBase
	keys []string
	at   int
}

func (it *mapIter) Next() bool { it.at++; return it.at < len(it.keys) }
func (it *mapIter) SeekGE(key []byte) bool {
	for it.at < 0 || it.at < len(it.keys) && it.keys[it.at] < string(key) {
		it.at++
	}
	return it.at < len(it.keys)
}
func (it *mapIter) Key() []byte   { return []byte(it.keys[it.at]) }
func (it *mapIter) Value() []byte { return []byte(it.m[it.keys[it.at]]) }
func (it *mapIter) Close()        {}
func (it *mapIter) Err() error    { return nil }

// TestModel compares the overlay with plain maps: one for each layer.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := mapBase{}
		o := New(base)
		states := []mapBase{{}} // states[0]: applied; each further one a layer
		var moving []effects.Op
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("k%02d", rapid.IntRange(0, 20).Draw(t, "k")) })
		open := false
		top := func() mapBase { return states[len(states)-1] }
		finish := func() {
			if open {
				if o.End() == nil {
					states = states[:len(states)-1]
				}
				open = false
			}
		}
		write := func(op effects.Op) {
			if !open {
				o.Begin()
				states = append(states, maps.Clone(top()))
				open = true
			}
			switch op.Kind {
			case effects.Set:
				o.Set(op.Key, op.Value)
			case effects.Delete:
				o.Delete(op.Key)
			case effects.DeleteRange:
				o.DeleteRange(op.Key, op.Value)
			}
			top().apply([]effects.Op{op})
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				write(effects.Op{Kind: effects.Set, Key: []byte(key.Draw(t, "key")), Value: []byte(rapid.StringN(0, 5, 5).Draw(t, "value"))})
			},
			"delete": func(t *rapid.T) {
				write(effects.Op{Kind: effects.Delete, Key: []byte(key.Draw(t, "key"))})
			},
			"deleteRange": func(t *rapid.T) {
				a, b := key.Draw(t, "a"), key.Draw(t, "b")
				write(effects.Op{Kind: effects.DeleteRange, Key: []byte(min(a, b)), Value: []byte(max(a, b))})
			},
			"cut": func(t *rapid.T) { // what is cut leaves no trace, and can be written again
				write(effects.Op{Kind: effects.Set, Key: []byte(key.Draw(t, "key")), Value: []byte("before")})
				mark := o.Mark()
				var ops []effects.Op
				for range rapid.IntRange(0, 4).Draw(t, "n") {
					a, b := key.Draw(t, "a"), key.Draw(t, "b")
					switch rapid.IntRange(0, 2).Draw(t, "op") {
					case 0:
						o.Set([]byte(a), []byte("cut"))
						ops = append(ops, effects.Op{Kind: effects.Set, Key: []byte(a), Value: []byte("cut")})
					case 1:
						o.Delete([]byte(a))
						ops = append(ops, effects.Op{Kind: effects.Delete, Key: []byte(a)})
					default:
						o.DeleteRange([]byte(min(a, b)), []byte(max(a, b)))
						ops = append(ops, effects.Op{Kind: effects.DeleteRange, Key: []byte(min(a, b)), Value: []byte(max(a, b))})
					}
				}
				d := effects.Body(o.Cut(mark))
				again := rapid.Bool().Draw(t, "again")
				for _, want := range ops {
					op, ok := d.Next()
					if !ok || op.Kind != want.Kind || string(op.Key) != string(want.Key) || string(op.Value) != string(want.Value) {
						t.Fatalf("cut %v, want %v", op, want)
					}
					if again {
						write(op)
					}
				}
				if _, ok := d.Next(); ok {
					t.Fatal("cut too much")
				}
			},
			"end": func(t *rapid.T) { finish() },
			"committed": func(t *rapid.T) {
				finish()
				if len(states) > 1 {
					o.Committed()
					states = states[1:]
				}
			},
			"rollbackAll": func(t *rapid.T) {
				finish()
				o.RollbackAll()
				states = states[:1]
			},
			"rollbackLast": func(t *rapid.T) {
				finish()
				if len(states) > 1 {
					o.RollbackLast()
					states = states[:len(states)-1]
				}
			},
			"apply": func(t *rapid.T) {
				finish()
				if len(states) > 1 {
					return
				}
				op := effects.Op{Kind: effects.Set, Key: []byte(key.Draw(t, "key")), Value: []byte("applied")}
				d := effects.Body(effects.AppendSet(nil, op.Key, op.Value))
				if err := o.Apply(&d); err != nil {
					t.Fatal(err)
				}
				states[0].apply([]effects.Op{op})
			},
			"freeze": func(t *rapid.T) {
				finish()
				if !o.Freezing() {
					moving = o.Freeze().Ops()
				}
			},
			"moved": func(t *rapid.T) {
				if o.Freezing() {
					base.apply(moving)
					o.Moved()
				}
			},
			"": func(t *rapid.T) {
				want := top()
				for i := range 21 {
					k := fmt.Sprintf("k%02d", i)
					v, ok := o.Get([]byte(k))
					w, wok := want[k]
					if ok != wok || string(v) != w {
						t.Fatalf("Get(%s) = %q %v, want %q %v", k, v, ok, w, wok)
					}
				}
				a, b := key.Draw(t, "from"), key.Draw(t, "to")
				it := o.Iter([]byte(a), []byte(b))
				defer it.Close()
				var got, exp []string
				seek := rapid.Bool().Draw(t, "seek")
				from := a
				if seek {
					from = max(from, key.Draw(t, "seek to"))
					for ok := it.SeekGE([]byte(from)); ok; ok = it.Next() {
						got = append(got, string(it.Key())+"="+string(it.Value()))
					}
				} else {
					for it.Next() {
						got = append(got, string(it.Key())+"="+string(it.Value()))
					}
				}
				for _, k := range slices.Sorted(maps.Keys(want)) {
					if k >= from && k < b {
						exp = append(exp, k+"="+want[k])
					}
				}
				if !slices.Equal(got, exp) {
					t.Fatalf("Iter(%s, %s) from %s: %v, want %v", a, b, from, got, exp)
				}
			},
		})
	})
}

func BenchmarkSetSameKeys(b *testing.B) {
	o := New(mapBase{})
	keys := make([][]byte, 100_000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "prefix-%016d", i)
	}
	value := make([]byte, 64)
	b.ReportAllocs()
	for i := range b.N {
		if i%32 == 0 {
			o.Begin()
		}
		o.Set(keys[i*7919%len(keys)], value)
		if i%32 == 31 || i == b.N-1 {
			o.End()
			o.Committed()
		}
	}
}
