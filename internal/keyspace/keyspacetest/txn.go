// Package keyspacetest is an in-memory transaction for tests and benchmarks of
// what is built on kv.Txn. It keeps the interface's promises strictly: a value
// once returned never changes, an iterator sees the state as it was when it was
// made, and what it showed is gone with its next move.
package keyspacetest

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"

	"coterie/internal/base"
	"coterie/internal/kv"
)

// Txn is one never-ending transaction over an in-memory ordered map.
type Txn struct {
	// Stamp is what Now returns; a test moves it.
	Stamp base.Stamp
	// Writes counts what was written, so that a test can see that a command
	// left no effect.
	Writes int
	// Mailed is what commands sent.
	Mailed []kv.Mail

	values  map[string][]byte
	sorted  []entry // as of the last iterator or range; fresh says whether it is current
	fresh   bool
	objects uint64
	rnd     *rand.Rand
	saved   []saved
}

// saved is a Txn as of a savepoint.
type saved struct {
	values map[string][]byte
	writes int
}

type entry struct{ key, value []byte }

var (
	_ kv.Txn    = (*Txn)(nil)
	_ kv.Mailer = (*Txn)(nil)

	_ kv.Savepoints = (*Txn)(nil)
)

// New returns an empty Txn at a time in the year 2023. Its random numbers
// come from seed.
func New(seed uint64) *Txn {
	return &Txn{
		Stamp:  base.StampFromMillis(1_700_000_000_000),
		values: map[string][]byte{},
		rnd:    rand.New(rand.NewPCG(seed, 0)),
	}
}

// Mail implements kv.Mailer.
func (t *Txn) Mail(m kv.Mail) { t.Mailed = append(t.Mailed, m) }

// Len is the number of keys stored.
func (t *Txn) Len() int { return len(t.values) }

func (t *Txn) Get(key []byte) ([]byte, bool) {
	v, ok := t.values[string(key)]
	return v, ok
}

func (t *Txn) Set(key, value []byte) {
	t.Writes++
	t.fresh = false
	t.values[string(key)] = append(make([]byte, 0, len(value)), value...)
}

func (t *Txn) Delete(key []byte) {
	t.Writes++
	t.fresh = false
	delete(t.values, string(key))
}

func (t *Txn) DeleteRange(lower, upper []byte) {
	t.Writes++
	for _, e := range t.slice(lower, upper) {
		delete(t.values, string(e.key))
	}
	t.fresh = false
}

func (t *Txn) Iter(lower, upper []byte) kv.Iterator {
	return &iterator{entries: t.slice(lower, upper), at: -1}
}

// slice returns the entries of a range; later writes do not change them.
func (t *Txn) slice(lower, upper []byte) []entry {
	if !t.fresh {
		t.sorted = make([]entry, 0, len(t.values))
		for k, v := range t.values {
			t.sorted = append(t.sorted, entry{[]byte(k), v})
		}
		slices.SortFunc(t.sorted, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
		t.fresh = true
	}
	lo := search(t.sorted, lower)
	hi := len(t.sorted)
	if upper != nil {
		hi = max(lo, search(t.sorted, upper))
	}
	return t.sorted[lo:hi]
}

func search(entries []entry, key []byte) int {
	return sort.Search(len(entries), func(i int) bool { return bytes.Compare(entries[i].key, key) >= 0 })
}

// maxSaved is how many savepoints can be gone back to.
const maxSaved = 4

// Savepoint implements kv.Savepoints.
func (t *Txn) Savepoint() kv.Savepoint {
	if len(t.saved) == maxSaved {
		t.saved = slices.Delete(t.saved, 0, 1)
	}
	t.saved = append(t.saved, saved{maps.Clone(t.values), t.Writes})
	return kv.Savepoint{Body: t.Writes, Mails: len(t.Mailed)}
}

// Revert implements kv.Savepoints.
func (t *Txn) Revert(s kv.Savepoint) {
	i := slices.IndexFunc(t.saved, func(x saved) bool { return x.writes == s.Body })
	t.values, t.Writes, t.fresh, t.Mailed = t.saved[i].values, s.Body, false, t.Mailed[:s.Mails]
	t.saved = t.saved[:i]
}

// Effects grows with every write.
func (t *Txn) Effects() int                 { return t.Writes }
func (t *Txn) Err() error                   { return nil }
func (t *Txn) Now() base.Stamp              { return t.Stamp }
func (t *Txn) NewObjectID(base.Slot) uint64 { t.objects++; return t.objects }
func (t *Txn) Rand() uint64                 { return t.rnd.Uint64() }

type iterator struct {
	entries []entry
	at      int
	closed  bool
	shown   entry // copies of the current key and value
}

// move ends what was shown.
func (i *iterator) move() {
	if i.closed {
		panic("keyspacetest: an iterator was used after Close")
	}
	for _, b := range [][]byte{i.shown.key, i.shown.value} {
		for j := range b {
			b[j] = 0xdb
		}
	}
	i.shown = entry{}
}

// show copies an entry once it is asked for.
func (i *iterator) show() entry {
	if i.shown.key == nil {
		e := i.entries[i.at]
		i.shown = entry{append([]byte{}, e.key...), append([]byte{}, e.value...)}
	}
	return i.shown
}

func (i *iterator) Next() bool {
	i.move()
	i.at++
	return i.at < len(i.entries)
}

func (i *iterator) SeekGE(key []byte) bool {
	i.move()
	if i.at >= 0 && i.at < len(i.entries) && bytes.Compare(key, i.entries[i.at].key) <= 0 {
		panic("keyspacetest: an iterator was asked to go backwards")
	}
	i.at = max(i.at, 0)
	i.at += search(i.entries[min(i.at, len(i.entries)):], key)
	return i.at < len(i.entries)
}

func (i *iterator) Key() []byte   { return i.show().key }
func (i *iterator) Value() []byte { return i.show().value }

func (i *iterator) Close() {
	if !i.closed {
		i.move()
	}
	i.closed = true
}
