package statestore

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2"
)

// CorruptionError says which file is damaged, and which keys it holds.
type CorruptionError struct {
	Path         string
	Lower, Upper []byte // both ends may be part of it; nil when not known
	Err          error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("%v: %s, which holds keys %x to %x: %v", state.ErrCorrupt, e.Path, e.Lower, e.Upper, e.Err)
}

func (e *CorruptionError) Unwrap() []error { return []error{state.ErrCorrupt, e.Err} }

// maxReportedFiles bounds how many damaged files are told apart.
const maxReportedFiles = 256

// retryPause slows down Pebble's retries after a fault: they never succeed in
// anything that is used.
const retryPause = 20 * time.Millisecond

// fault is how errors that no caller is there to take leave the database.
type fault struct {
	log     *slog.Logger
	onFatal func(error)
	stalls  atomic.Int64

	first   atomic.Pointer[error] // what stopped the store
	stopped chan struct{}         // closed after first is set
	parked  atomic.Bool           // a goroutine was parked, maybe with locks held

	mu struct {
		sync.Mutex
		reported map[string]bool
	}
}

func newFault(o Options) *fault {
	f := &fault{log: o.Logger, onFatal: o.OnFatal, stopped: make(chan struct{})}
	f.mu.reported = map[string]bool{}
	return f
}

// err is nil, or ErrFailed with the fault that stopped the store.
func (f *fault) err() error {
	if p := f.first.Load(); p != nil {
		return fmt.Errorf("%w: %w", state.ErrFailed, *p)
	}
	return nil
}

// stop stops the store for good.
func (f *fault) stop(err error) {
	if !f.first.CompareAndSwap(nil, &err) {
		return
	}
	close(f.stopped)
	f.log.Error("state store stopped by a fault", "err", err)
	f.onFatal(err)
}

func (f *fault) corrupt(e *CorruptionError) {
	f.mu.Lock()
	known := f.mu.reported[e.Path] || len(f.mu.reported) >= maxReportedFiles
	if !known {
		f.mu.reported[e.Path] = true
	}
	f.mu.Unlock()
	if !known {
		f.log.Error("state store is corrupt", "err", e)
		f.onFatal(e)
	}
}

func (f *fault) listener() pebble.EventListener {
	return pebble.EventListener{
		BackgroundError: func(err error) {
			switch {
			case pebble.IsCorruptionError(err):
				// Its file was reported by DataCorruption if it is known.
				f.corrupt(&CorruptionError{Path: "found in the background", Err: err})
			case f.first.Load() != nil:
				time.Sleep(retryPause)
			default:
				f.stop(fmt.Errorf("background work: %w", err))
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			f.corrupt(&CorruptionError{Path: i.Path, Lower: i.Bounds.Start, Upper: i.Bounds.End.Key, Err: i.Details})
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			f.stalls.Add(1)
			f.log.Warn("commits to the state store wait", "reason", i.Reason)
		},
	}
}

// pebbleLogger hands Pebble's messages to slog.
type pebbleLogger struct{ f *fault }

func (l pebbleLogger) Infof(format string, args ...any) {
	if l.f.log.Enabled(context.Background(), slog.LevelDebug) {
		l.f.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.f.log.Error(fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble would go on as if nothing had happened. It
// is called with locks held, so it can neither return an error nor unwind. It
// tells the owner and parks the goroutine; see the package comment.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if calledFromOpen() {
		panic(err) // pebble.Open cleans up and passes it on; Open catches it
	}
	l.f.parked.Store(true)
	l.f.stop(err)
	select {}
}

// calledFromOpen says whether this goroutine is within pebble.Open, which has
// a caller to give the error to. Background work that Open started is not.
func calledFromOpen() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "cockroachdb/pebble/v2.Open") {
			return true
		}
		if !more {
			return false
		}
	}
}

// wrap says what was being done, and tells corruption from other errors.
func wrap(err error, format string, args ...any) error {
	if pebble.IsCorruptionError(err) {
		err = fmt.Errorf("%w: %w", state.ErrCorrupt, err)
	}
	return fmt.Errorf("state store: %s: %w", fmt.Sprintf(format, args...), err)
}
