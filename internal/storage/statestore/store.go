package statestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Store is a state store on disk. All methods are safe for concurrent use,
// except that Close must come last.
type Store struct {
	fs    vfs.FS
	dir   string
	opts  Options
	popts *pebble.Options
	db    *pebble.DB
	lock  *pebble.Lock
	fault *fault

	// How keys are looked up; never changed.
	point, durablePoint pebble.IterOptions

	closed  atomic.Bool
	imports atomic.Uint64 // counts up, to name directories

	// Batches committed, and batches known to be durable: Flush has nothing to
	// do when they are equal.
	committed atomic.Uint64
	durable   atomic.Uint64
}

var _ state.Store = (*Store)(nil)

// Open opens the store in dir, and creates it if there is none.
func Open(fs vfs.FS, dir string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	lock, err := prepare(fs, dir)
	if err != nil {
		return nil, wrap(err, "open %s", dir)
	}
	s := &Store{fs: fs, dir: dir, opts: opts, lock: lock, fault: newFault(opts)}
	s.point = pebble.IterOptions{UseL6Filters: true}
	s.durablePoint = pebble.IterOptions{UseL6Filters: true, OnlyReadGuaranteedDurable: true}
	if err := s.openDB(); err != nil {
		_ = lock.Close()
		return nil, wrap(err, "open %s", dir)
	}
	return s, nil
}

func (s *Store) openDB() (err error) {
	defer func() {
		// Some faults within pebble.Open come as a panic with an error: those
		// of pebbleLogger.Fatalf, and failed syncs of the database's directory.
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(error)
		if bug := runtime.Error(nil); !ok || errors.As(fault, &bug) {
			panic(r)
		}
		err = fault
	}()
	s.popts = pebbleOptions(s.fs, s.opts, s.fault)
	defer s.popts.Cache.Unref() // the database keeps its own reference
	s.db, err = pebble.Open(s.fs.PathJoin(s.dir, dbDir), s.popts)
	if err != nil {
		return err
	}
	if v := s.db.FormatMajorVersion(); v > pebbleFormat {
		return errors.Join(fmt.Errorf("%w: database format %d, this binary uses %d", state.ErrNewerFormat, v, pebbleFormat), s.db.Close())
	}
	return nil
}

// check is nil while the store can be used.
func (s *Store) check() error {
	if s.closed.Load() {
		return state.ErrClosed
	}
	return s.fault.err()
}

// Close closes the store. It flushes nothing: what is not durable is gone, as
// in a crash.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return state.ErrClosed
	}
	if s.fault.parked.Load() {
		// A goroutine is parked with locks that closing would wait for.
		return s.fault.err()
	}
	err := errors.Join(s.db.Close(), s.lock.Close())
	if err != nil {
		return wrap(err, "close")
	}
	return s.fault.err()
}

// Get appends the value of a key to dst.
func (s *Store) Get(key, dst []byte) ([]byte, bool, error) {
	if err := s.check(); err != nil {
		return dst, false, err
	}
	return get(s.db, &s.point, key, dst)
}

// get looks a key up by way of an iterator. Pebble's own Get ignores the
// filters of the lowest level, where most keys are: absent keys, which every
// write of a new key asks for, cost three times as much by it.
func get(r pebble.Reader, opts *pebble.IterOptions, key, dst []byte) ([]byte, bool, error) {
	it, err := r.NewIter(opts)
	if err != nil {
		return dst, false, wrap(err, "read key %x", key)
	}
	// The prefix of a key is the whole key: there is no other match.
	found := it.SeekPrefixGE(key)
	if found {
		var value []byte
		value, err = it.ValueAndErr()
		dst = append(dst, value...)
	}
	if err2 := it.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return dst, false, wrap(err, "read key %x", key)
	}
	return dst, found, nil
}

// GetDurable returns a key's value as far as it is guaranteed to be durable.
func (s *Store) GetDurable(key []byte) ([]byte, bool, error) {
	if err := s.check(); err != nil {
		return nil, false, err
	}
	return get(s.db, &s.durablePoint, key, nil)
}

// Iter walks a range of the latest state.
func (s *Store) Iter(lower, upper []byte) (state.Iterator, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return newIterator(s.db, lower, upper)
}

// NewBatch returns an empty batch.
func (s *Store) NewBatch() state.Batch { return &batch{s.db.NewBatch()} }

// Commit applies a batch and empties it.
func (s *Store) Commit(b state.Batch) error {
	if err := s.check(); err != nil {
		return err
	}
	pb := b.(*batch).b
	if pb.Empty() {
		return nil
	}
	if err := s.db.Apply(pb, pebble.NoSync); err != nil {
		return wrap(err, "commit")
	}
	s.committed.Add(1)
	pb.Reset()
	return nil
}

// Flush makes everything committed before durable.
func (s *Store) Flush(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	upTo := s.committed.Load()
	if s.durable.Load() >= upTo {
		return nil
	}
	done, err := s.db.AsyncFlush()
	if err != nil {
		return wrap(err, "flush")
	}
	select {
	case <-done:
	case <-s.fault.stopped:
		return s.fault.err()
	case <-ctx.Done():
		return wrap(ctx.Err(), "flush")
	}
	for {
		was := s.durable.Load()
		if was >= upTo || s.durable.CompareAndSwap(was, upTo) {
			return nil
		}
	}
}

// batch is a state.Batch over a Pebble batch.
type batch struct{ b *pebble.Batch }

// The errors of these methods are for kinds of batches that this is not.

func (b *batch) Set(key, value []byte) { _ = b.b.Set(key, value, nil) }
func (b *batch) Delete(key []byte)     { _ = b.b.Delete(key, nil) }
func (b *batch) DeleteRange(lower, upper []byte) {
	if bytes.Compare(lower, upper) < 0 {
		_ = b.b.DeleteRange(lower, upper, nil)
	}
}
func (b *batch) Len() int  { return int(b.b.Count()) }
func (b *batch) Size() int { return b.b.Len() }
func (b *batch) Reset()    { b.b.Reset() }
