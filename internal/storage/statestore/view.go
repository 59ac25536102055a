package statestore

import (
	"bytes"
	"errors"

	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// view is a state.View over a classic snapshot.
type view struct {
	s    *Store
	snap *pebble.Snapshot
}

var _ state.View = (*view)(nil)

// Pin returns a view of the whole store as it is now.
func (s *Store) Pin() (state.View, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return &view{s: s, snap: s.db.NewSnapshot()}, nil
}

func (v *view) Get(key, dst []byte) ([]byte, bool, error) {
	if err := v.s.check(); err != nil {
		return dst, false, err
	}
	return get(v.snap, &v.s.point, key, dst)
}

func (v *view) Iter(lower, upper []byte) (state.Iterator, error) {
	if err := v.s.check(); err != nil {
		return nil, err
	}
	return newIterator(v.snap, lower, upper)
}

func (v *view) Close() error {
	if err := v.snap.Close(); err != nil {
		return wrap(err, "close a view")
	}
	return nil
}

// Export streams the content of spans as tables, straight from the table
// writer: nothing is kept on disk, and little in memory.
func (v *view) Export(spans []state.Bounds, chunkBytes int, emit func([]byte) error) error {
	if err := v.s.check(); err != nil {
		return err
	}
	spans, err := state.Arrange(spans)
	if err != nil {
		return wrap(err, "export")
	}
	format := v.s.db.TableFormat()
	stream, err := state.NewStreamWriter(state.ContentTables, uint8(format), spans, chunkBytes, emit)
	if err != nil {
		return wrap(err, "export")
	}
	e := exporter{
		stream: stream,
		opts:   v.s.popts.MakeWriterOptions(0, format),
		limit:  v.s.opts.TableBytes,
	}
	for _, span := range spans {
		if err := e.span(v, span); err != nil {
			return wrap(err, "export %v", span)
		}
	}
	if err := stream.Finish(); err != nil {
		return wrap(err, "export")
	}
	return nil
}

// exporter writes tables into a stream.
type exporter struct {
	stream *state.StreamWriter
	opts   sstable.WriterOptions
	limit  uint64 // bytes after which a new table begins
}

// span writes the tables of one span.
func (e *exporter) span(v *view, span state.Bounds) error {
	it, err := v.Iter(span.Lower, span.Upper)
	if err != nil {
		return err
	}
	defer it.Close()
	var w *sstable.Writer
	defer func() {
		if w != nil {
			_ = w.Close() // after an error: the writer holds goroutines
		}
	}()
	w = e.newTable()
	from := span.Lower
	var last []byte
	for it.Next() {
		key := it.Key()
		if last != nil && w.Raw().EstimatedSize() >= e.limit {
			if cut := separator(last, key); len(cut) <= state.MaxBoundBytes {
				done := w
				w = nil
				if err := e.endTable(done, state.Bounds{Lower: from, Upper: cut}); err != nil {
					return err
				}
				w, from = e.newTable(), cut
			}
		}
		if err := w.Set(key, it.Value()); err != nil {
			return err
		}
		last = append(last[:0], key...)
	}
	if err := it.Err(); err != nil {
		return err
	}
	done := w
	w = nil
	return e.endTable(done, state.Bounds{Lower: from, Upper: span.Upper})
}

func (e *exporter) newTable() *sstable.Writer {
	return sstable.NewWriter(streamTable{e.stream}, e.opts)
}

// endTable completes a table, with a tombstone for whatever the receiver has
// within the table's range. It closes the writer in any case.
func (e *exporter) endTable(w *sstable.Writer, b state.Bounds) error {
	if err := w.DeleteRange(b.Lower, b.Upper); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return err
	}
	return e.stream.EndTable(b)
}

// separator is the shortest key s with a < s <= b, where a < b.
func separator(a, b []byte) []byte {
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return bytes.Clone(b[:n+1])
}

// streamTable lets a table writer write into a stream.
type streamTable struct{ stream *state.StreamWriter }

func (t streamTable) Write(p []byte) error { return t.stream.Data(p) }
func (t streamTable) Finish() error        { return nil }
func (t streamTable) Abort()               {}
