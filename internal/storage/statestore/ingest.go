package statestore

import (
	"context"
	"errors"
	"fmt"

	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// importer is a state.Import: it writes the tables of a stream into files, in
// a directory of its own.
type importer struct {
	s        *Store
	dir      string
	reader   *state.StreamReader
	paths    []string
	file     vfs.File // the table that is being written
	finished bool
	over     bool // ingested or aborted
}

var _ state.Import = (*importer)(nil)

// NewImport begins to receive an export stream.
func (s *Store) NewImport() (state.Import, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	im := &importer{s: s, dir: s.fs.PathJoin(s.dir, importDir, fmt.Sprintf("%06d", s.imports.Add(1)))}
	im.reader = state.NewStreamReader(state.ContentTables, uint8(s.db.TableFormat()), im)
	if err := s.fs.MkdirAll(im.dir, 0o755); err != nil {
		return nil, wrap(err, "begin an import")
	}
	return im, nil
}

func (im *importer) Write(chunk []byte) error {
	if im.finished || im.over {
		return wrap(errors.New("the import is over"), "import")
	}
	if err := im.reader.Write(chunk); err != nil {
		return wrap(err, "import")
	}
	return nil
}

// TableData takes a piece of the current table.
func (im *importer) TableData(p []byte) error {
	if im.file == nil {
		f, err := im.create()
		if err != nil {
			return err
		}
		im.file = f
	}
	_, err := im.file.Write(p)
	return err
}

// TableEnd completes the current table.
func (im *importer) TableEnd(state.Bounds) error {
	f := im.file
	if f == nil {
		return fmt.Errorf("%w: an empty table", state.ErrStream)
	}
	im.file = nil
	return errors.Join(f.Sync(), f.Close())
}

func (im *importer) create() (vfs.File, error) {
	path := im.s.fs.PathJoin(im.dir, fmt.Sprintf("%06d.sst", len(im.paths)))
	f, err := im.s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		im.paths = append(im.paths, path)
	}
	return f, err
}

func (im *importer) Finish() error {
	if err := im.reader.Finish(); err != nil {
		return wrap(err, "import")
	}
	if err := syncDir(im.s.fs, im.dir); err != nil {
		return wrap(err, "import")
	}
	im.finished = true
	return nil
}

func (im *importer) Spans() []state.Bounds { return im.reader.Spans() }

// Abort removes the files. What it cannot remove, the next Open does.
func (im *importer) Abort() {
	if im.over {
		return
	}
	im.over = true
	if im.file != nil {
		_ = im.file.Close()
		im.file = nil
	}
	if err := im.s.fs.RemoveAll(im.dir); err != nil {
		im.s.opts.Logger.Warn("cannot remove an import", "dir", im.dir, "err", err)
	}
}

// tombstone adds a table that deletes a span. Each span needs a table of its
// own: the ranges of an ingest's tables, gaps included, must not overlap.
func (im *importer) tombstone(span state.Bounds) error {
	f, err := im.create()
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), im.s.popts.MakeWriterOptions(0, im.s.db.TableFormat()))
	err = w.DeleteRange(span.Lower, span.Upper)
	return errors.Join(err, w.Close()) // which syncs and closes the file
}

// Ingest replaces all keys of the import's spans and of the extra spans by
// the import's content. It is durable when it returns.
func (s *Store) Ingest(i state.Import, extra []state.Bounds) error {
	im := i.(*importer)
	defer im.Abort()
	if err := s.check(); err != nil {
		return err
	}
	if !im.finished || im.over {
		return wrap(errors.New("the import is not finished, or is over"), "ingest")
	}
	for _, span := range state.Subtract(extra, im.Spans()) {
		if err := im.tombstone(span); err != nil {
			return wrap(err, "ingest")
		}
	}
	if len(im.paths) == 0 {
		return nil
	}
	// Pebble flushes the memtables that overlap, and holds up later commits
	// meanwhile. Flushing before leaves it little to flush.
	ctx := context.Background()
	if err := s.Flush(ctx); err != nil {
		return err
	}
	if err := s.db.Ingest(ctx, im.paths); err != nil {
		return wrap(err, "ingest")
	}
	return s.fault.err()
}
