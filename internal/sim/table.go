package sim

import (
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/kv"
)

// table is a state in memory, for the catalog's commands before there is a
// cluster that could run them.
type table struct {
	m  map[string][]byte
	id uint64
}

var _ kv.Txn = (*table)(nil)

func newTable() *table { return &table{m: map[string][]byte{}} }

func (t *table) order() []string { return slices.Sorted(maps.Keys(t.m)) }

func (t *table) Get(key []byte) ([]byte, bool) { v, ok := t.m[string(key)]; return v, ok }
func (t *table) Err() error                    { return nil }
func (t *table) Set(key, value []byte)         { t.m[string(key)] = slices.Clone(value) }
func (t *table) Delete(key []byte)             { delete(t.m, string(key)) }
func (t *table) Now() base.Stamp               { return 1 }
func (t *table) NewObjectID(base.Slot) uint64  { t.id++; return t.id }
func (t *table) Rand() uint64                  { return 4 }

func (t *table) DeleteRange(lower, upper []byte) {
	maps.DeleteFunc(t.m, func(k string, _ []byte) bool { return k >= string(lower) && k < string(upper) })
}

func (t *table) Iter(lower, upper []byte) kv.Iterator {
	keys := slices.DeleteFunc(t.order(), func(k string) bool { return k < string(lower) || k >= string(upper) })
	return &tableIterator{t: t, keys: keys, at: -1}
}

type tableIterator struct {
	t    *table
	keys []string
	at   int
}

func (i *tableIterator) Next() bool    { i.at++; return i.at < len(i.keys) }
func (i *tableIterator) Key() []byte   { return []byte(i.keys[i.at]) }
func (i *tableIterator) Value() []byte { return i.t.m[i.keys[i.at]] }
func (i *tableIterator) Close()        {}
func (i *tableIterator) SeekGE(k []byte) bool {
	for i.at < 0 || i.at < len(i.keys) && i.keys[i.at] < string(k) {
		i.at++
	}
	return i.at < len(i.keys)
}
