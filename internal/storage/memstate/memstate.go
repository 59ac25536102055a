// Package memstate is a state store in memory, for simulations: it keeps the
// contract of package state, forgets by a seed what a crash may forget, and
// does the same on every run. It starts no goroutine.
//
// It remembers the state after every batch since the last Flush; Crash picks
// one of them. All versions share their common parts, so that views and the
// history are cheap.
package memstate

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync"

	"coterie/internal/storage/state"
)

// maxHistory is how many batches may be undurable: the older half becomes
// durable by itself then, as when a memtable is full.
const maxHistory = 4096

// Store is a state store in memory. All methods are safe for concurrent use.
type Store struct {
	mu struct {
		sync.Mutex
		closed  bool
		durable *node
		history []*node // after each batch since durable; the last is the latest
		views   int
		metrics state.Metrics
	}
}

var _ state.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{} }

// latest is the newest version. s.mu is held.
func (s *Store) latest() *node {
	if n := len(s.mu.history); n > 0 {
		return s.mu.history[n-1]
	}
	return s.mu.durable
}

func (s *Store) version() (*node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, state.ErrClosed
	}
	return s.latest(), nil
}

// Crash forgets what a power loss may forget: it goes back to the state after
// some batch not older than the last flush. Iterators, views and imports of
// before must not be used any more. A closed store is open again.
func (s *Store) Crash(r *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := r.IntN(len(s.mu.history) + 1); i > 0 {
		s.mu.durable = s.mu.history[i-1]
	}
	s.mu.history, s.mu.views, s.mu.closed = nil, 0, false
}

// Get appends the value of a key to dst.
func (s *Store) Get(key, dst []byte) ([]byte, bool, error) {
	root, err := s.version()
	if err != nil {
		return dst, false, err
	}
	return get(root, key, dst)
}

func get(root *node, key, dst []byte) ([]byte, bool, error) {
	if n := lookup(root, key); n != nil {
		return append(dst, n.value...), true, nil
	}
	return dst, false, nil
}

// GetDurable returns a key's value as far as it survives every crash.
func (s *Store) GetDurable(key []byte) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, false, state.ErrClosed
	}
	return get(s.mu.durable, key, nil)
}

// Iter walks a range of the latest state.
func (s *Store) Iter(lower, upper []byte) (state.Iterator, error) {
	root, err := s.version()
	if err != nil {
		return nil, err
	}
	return newIterator(root, lower, upper), nil
}

// NewBatch returns an empty batch.
func (s *Store) NewBatch() state.Batch { return &batch{} }

// Commit applies a batch and empties it.
func (s *Store) Commit(b state.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return state.ErrClosed
	}
	mb := b.(*batch)
	if len(mb.ops) == 0 {
		return nil
	}
	s.mu.history = append(s.mu.history, mb.apply(s.latest()))
	if len(s.mu.history) > maxHistory {
		half := maxHistory / 2
		s.mu.durable = s.mu.history[half-1]
		s.mu.history = slices.Clone(s.mu.history[half:])
	}
	mb.Reset()
	return nil
}

// Flush makes everything committed durable.
func (s *Store) Flush(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return state.ErrClosed
	}
	if len(s.mu.history) > 0 {
		s.mu.metrics.Flushes++
	}
	s.mu.durable, s.mu.history = s.latest(), nil
	return nil
}

// Ingest replaces spans, in every version that a crash may leave: nothing
// else that is undurable becomes durable by it.
func (s *Store) Ingest(i state.Import, extra []state.Bounds) error {
	im := i.(*importer)
	if err := im.use(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return state.ErrClosed
	}
	change := func(root *node) *node {
		for _, b := range state.Subtract(extra, im.Spans()) {
			root = replace(root, b.Lower, b.Upper, nil)
		}
		for j, b := range im.Spans() {
			root = replace(root, b.Lower, b.Upper, im.content[j])
		}
		return root
	}
	s.mu.durable = change(s.mu.durable)
	for j, root := range s.mu.history {
		s.mu.history[j] = change(root)
	}
	s.mu.metrics.Ingests++
	return nil
}

// Metrics says the little that there is to say.
func (s *Store) Metrics() state.Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mu.metrics
	m.OpenViews = s.mu.views
	return m
}

// Close ends the use of the store, until a Crash.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return state.ErrClosed
	}
	s.mu.closed = true
	return nil
}

// batch is a list of changes.
type batch struct {
	ops  []op
	size int
}

type op struct {
	kind       opKind
	key, value []byte // for a range: its bounds
}

type opKind uint8

const (
	opSet opKind = iota
	opDelete
	opDeleteRange
)

func (b *batch) Set(key, value []byte) { b.add(opSet, key, value) }
func (b *batch) Delete(key []byte)     { b.add(opDelete, key, nil) }
func (b *batch) DeleteRange(l, u []byte) {
	if bytes.Compare(l, u) < 0 {
		b.add(opDeleteRange, l, u)
	}
}
func (b *batch) Len() int  { return len(b.ops) }
func (b *batch) Size() int { return b.size }
func (b *batch) Reset()    { b.ops, b.size = b.ops[:0], 0 }

func (b *batch) add(kind opKind, key, value []byte) {
	b.ops = append(b.ops, op{kind, bytes.Clone(key), bytes.Clone(value)})
	b.size += 1 + len(key) + len(value)
}

func (b *batch) apply(root *node) *node {
	for _, o := range b.ops {
		switch o.kind {
		case opSet:
			root = set(root, o.key, o.value)
		case opDelete:
			root = remove(root, o.key)
		case opDeleteRange:
			root = replace(root, o.key, o.value, nil)
		}
	}
	return root
}

// iterator is a state.Iterator over one version.
type iterator struct {
	walk  walk
	upper []byte // nil: none
	begun bool
	over  bool
	at    *node
}

func newIterator(root *node, lower, upper []byte) *iterator {
	it := &iterator{walk: walk{root: root}, upper: upper}
	it.walk.seek(lower)
	return it
}

func (it *iterator) Next() bool {
	if it.over {
		return false
	}
	it.at = it.walk.next()
	it.begun = true
	if it.at == nil || it.upper != nil && bytes.Compare(it.at.key, it.upper) >= 0 {
		it.at, it.over = nil, true
	}
	return !it.over
}

func (it *iterator) SeekGE(key []byte) bool {
	switch {
	case it.over:
		return false
	case it.begun && bytes.Compare(key, it.at.key) <= 0:
		return true
	}
	if n := len(it.walk.path); n > 0 && bytes.Compare(it.walk.path[n-1].key, key) < 0 {
		it.walk.seek(key)
	}
	return it.Next()
}

func (it *iterator) Key() []byte {
	if it.at == nil {
		return nil
	}
	return it.at.key
}

func (it *iterator) Value() []byte {
	if it.at == nil {
		return nil
	}
	return it.at.value
}

func (it *iterator) Err() error { return nil }
func (it *iterator) Close()     { it.at, it.over = nil, true }
