// Package state declares what a node's state store is: one ordered map of
// byte strings, changed by atomic batches, that holds the applied state of
// all replicas of the node. statestore implements it on disk, memstate in
// memory for simulations; statetest is the contract that both pass.
//
// Invariants that every implementation keeps:
//
//   - Batches are atomic, and commit in order. After a crash the content is
//     that after some prefix of the batches, and everything before the last
//     Flush that returned is in it. (An Ingest counts at once: its spans have
//     the new content, or what later batches made of it, also when the prefix
//     of the other keys is older.)
//   - What GetDurable has once shown survives every crash, unless later
//     batches change it.
//   - A View and an Iterator see the state as it was when they were made.
//   - Ingest replaces its spans as a whole: a crash leaves old or new.
//
// The log is truncated by what GetDurable shows, so a violation loses
// acknowledged data.
package state

import (
	"context"
	"errors"

	"coterie/internal/kv"
)

// The kinds of errors. Errors of this package's interfaces are one of these,
// wrapped with what was being done, or an error of the file system.
var (
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("state store is closed")
	// ErrFailed: an earlier fault stopped the store for good; the fault is
	// wrapped with it.
	ErrFailed = errors.New("state store has failed")
	// ErrCorrupt: what was read is not what was written. Nothing is repaired
	// or removed.
	ErrCorrupt = errors.New("state store is corrupt")
	// ErrStream: the stream of an export is cut short, damaged or not one.
	ErrStream = errors.New("not a whole and undamaged export stream")
	// ErrNewerFormat: the data was written by a newer version of the program.
	ErrNewerFormat = errors.New("written in a newer format")
	// ErrLocked: another live process uses the directory.
	ErrLocked = errors.New("in use by another process")
)

// Iterator walks a range of keys upwards, and says whether it broke off.
//
// SeekGE never moves backwards: on a key at or before the current one it
// stays where it is.
type Iterator interface {
	kv.Iterator
	// Err is the error that ended the walk, or nil. It is valid after Close.
	Err() error
}

// Batch is a list of changes that take effect together. Later changes win
// over earlier ones. It is cheapest with range deletes first and then points
// in order of their keys. Not safe for concurrent use.
type Batch interface {
	// An empty range (also: an upper bound of nil) deletes nothing.
	kv.Writer
	// Len is the number of changes.
	Len() int
	// Size is the number of bytes that the changes take up.
	Size() int
	// Reset empties the batch, for reuse.
	Reset()
}

// Reader reads a state. The bounds of Iter may be nil: no bound.
type Reader interface {
	// Get appends the value of a key to dst.
	Get(key, dst []byte) (value []byte, ok bool, err error)
	// Iter walks keys k with lower <= k < upper, from before the first. An
	// open iterator holds on to memory and disk space: close it soon.
	Iter(lower, upper []byte) (Iterator, error)
}

// Store is a node's state store. All methods are safe for concurrent use.
type Store interface {
	Reader
	// NewBatch returns an empty batch, for this store only.
	NewBatch() Batch
	// Commit applies a batch and empties it. The batch is visible when Commit
	// returns, and durable after a later Flush, or sooner.
	Commit(b Batch) error
	// Flush makes everything that was committed before durable. When ctx ends
	// it returns early, and the flush goes on.
	Flush(ctx context.Context) error
	// GetDurable returns a key's value as far as it is guaranteed to survive a
	// crash: the value of now, or an older one.
	GetDurable(key []byte) (value []byte, ok bool, err error)
	// Pin returns a view of the whole store as it is now.
	Pin() (View, error)
	// NewImport begins to receive the stream of an Export.
	NewImport() (Import, error)
	// Ingest replaces all keys of the import's spans and of the extra spans by
	// the import's content, as one change. It is durable when Ingest returns.
	// It consumes the import, also when it fails.
	Ingest(imp Import, extra []Bounds) error
	// Metrics says how the store is doing.
	Metrics() Metrics
	// Close ends the use of the store. It flushes nothing. Iterators, views
	// and imports must have been closed.
	Close() error
}

// View is the whole store at one moment. It keeps what it can see from being
// cleaned up: close it when done.
type View interface {
	Reader
	// Export streams the content of spans, which must not overlap, in chunks
	// of chunkBytes (0: DefaultChunkBytes). A chunk is valid during its call
	// of emit only. emit is never called concurrently, but it may be called
	// from different goroutines; its error ends the export and is returned.
	Export(spans []Bounds, chunkBytes int, emit func(chunk []byte) error) error
	Close() error
}

// Import receives one export stream. Not safe for concurrent use.
type Import interface {
	// Write takes the next chunk of the stream, cut anywhere.
	Write(chunk []byte) error
	// Finish checks that the stream was whole and undamaged, and makes it
	// durable, though not yet part of the store.
	Finish() error
	// Spans are the spans of the export; known after Finish.
	Spans() []Bounds
	// Abort throws the import away. It does nothing after Ingest.
	Abort()
}

// Metrics says how a store is doing.
type Metrics struct {
	DiskBytes          uint64 // on disk, obsolete files included
	MemTableBytes      uint64 // not yet durable, about
	Flushes            int64
	Compactions        int64
	CompactionsRunning int64
	CompactionDebt     uint64 // bytes to compact until the shape is as wanted
	L0Files            int64
	L0Sublevels        int32
	ReadAmp            int // files that a read may have to look into
	CacheBytes         int64
	CacheHits          int64
	CacheMisses        int64
	Ingests            int64
	OpenViews          int
	WriteStalls        int64 // times that commits had to wait for flush or compaction
}
