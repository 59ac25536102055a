package memstate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"coterie/internal/storage/state"
)

// view is one version.
type view struct {
	s    *Store
	root *node
}

// Pin returns a view of the store as it is now.
func (s *Store) Pin() (state.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, state.ErrClosed
	}
	s.mu.views++
	return &view{s: s, root: s.latest()}, nil
}

func (v *view) Get(key, dst []byte) ([]byte, bool, error) { return get(v.root, key, dst) }

func (v *view) Iter(lower, upper []byte) (state.Iterator, error) {
	return newIterator(v.root, lower, upper), nil
}

func (v *view) Close() error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	v.s.mu.views--
	return nil
}

// Export streams each span as one list of pairs: the length of the key, the
// key, the length of the value, the value.
func (v *view) Export(spans []state.Bounds, chunkBytes int, emit func([]byte) error) error {
	spans, err := state.Arrange(spans)
	if err != nil {
		return err
	}
	w, err := state.NewStreamWriter(state.ContentPairs, 0, spans, chunkBytes, emit)
	if err != nil {
		return err
	}
	var pair []byte
	for _, span := range spans {
		it := newIterator(v.root, span.Lower, span.Upper)
		for it.Next() {
			pair = appendBytes(appendBytes(pair[:0], it.Key()), it.Value())
			if err := w.Data(pair); err != nil {
				return err
			}
		}
		if err := w.EndTable(span); err != nil {
			return err
		}
	}
	return w.Finish()
}

// importer gathers the content of an export.
type importer struct {
	reader   *state.StreamReader
	table    []byte
	content  []*node // of each span
	finished bool
	over     bool
}

// NewImport begins to receive an export stream.
func (s *Store) NewImport() (state.Import, error) {
	if _, err := s.version(); err != nil {
		return nil, err
	}
	im := &importer{}
	im.reader = state.NewStreamReader(state.ContentPairs, 0, im)
	return im, nil
}

func (im *importer) Write(chunk []byte) error {
	if im.finished || im.over {
		return errors.New("the import is over")
	}
	return im.reader.Write(chunk)
}

func (im *importer) Finish() error {
	if err := im.reader.Finish(); err != nil {
		return err
	}
	im.finished = true
	return nil
}

func (im *importer) Spans() []state.Bounds { return im.reader.Spans() }
func (im *importer) Abort()                { im.over = true }

// use consumes the import.
func (im *importer) use() error {
	if !im.finished || im.over {
		return errors.New("the import is not finished, or is over")
	}
	im.over = true
	return nil
}

// TableData takes a piece of a span's list.
func (im *importer) TableData(p []byte) error {
	im.table = append(im.table, p...)
	return nil
}

// TableEnd makes a span's list its content.
func (im *importer) TableEnd(b state.Bounds) error {
	var root *node
	for rest := im.table; len(rest) > 0; {
		var key, value []byte
		var ok bool
		if key, rest, ok = takeBytes(rest); ok {
			value, rest, ok = takeBytes(rest)
		}
		if !ok || !b.Contains(key) {
			return fmt.Errorf("%w: malformed content of %v", state.ErrStream, b)
		}
		root = set(root, key, value)
	}
	im.content = append(im.content, root)
	im.table = nil
	return nil
}

func appendBytes(dst, p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(p))), p...)
}

// takeBytes aliases p: a table's bytes are kept by the nodes made of it.
func takeBytes(p []byte) (b, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint32(p))
	if p = p[4:]; n > len(p) {
		return nil, nil, false
	}
	return p[:n:n], p[n:], true
}
