package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// An export stream, all numbers big endian:
//
//	"cotstate" version:u16 content:u8 detail:u8
//	count:u32 { len:u32 lower len:u32 upper }      the spans
//	frames: kind:u8 len:u32 body
//	  'D'  a piece of the current table
//	  'T'  the current table is complete: len:u32 lower len:u32 upper size:u64
//	  'E'  the end: tables:u64, XXH64 of everything before it:u64
//
// The tables' bounds tile the spans without gap, in order. What a table looks
// like is the content's matter.

// StreamVersion is the version of the stream's framing.
const StreamVersion = 1

// Content is what the tables of a stream are.
type Content uint8

const (
	// ContentTables: Pebble tables, the detail being the table format.
	ContentTables Content = 1
	// ContentPairs: plain lists of keys and values.
	ContentPairs Content = 2
)

// Limits of a stream.
const (
	// DefaultChunkBytes is the size of chunks when none is asked for.
	DefaultChunkBytes = 256 << 10
	// MaxSpans is the largest number of spans in one export.
	MaxSpans = 4096
	// MaxBoundBytes is the largest size of a bound, of a span or of a table.
	MaxBoundBytes = 64 << 10

	maxFrameBytes   = 1 << 20                 // of one piece
	maxControlBytes = 2*(4+MaxBoundBytes) + 8 // of a 'T' or 'E' body
)

const (
	frameData  byte = 'D'
	frameTable byte = 'T'
	frameEnd   byte = 'E'

	frameHead = 5
	endBytes  = 16
)

var streamMagic = []byte("cotstate")

const streamHead = 8 + 2 + 1 + 1 + 4

// StreamWriter writes an export stream in chunks.
type StreamWriter struct {
	chunk  int
	emit   func([]byte) error
	buf    []byte
	hash   *xxhash.Digest
	tables uint64
	size   uint64 // bytes of the current table so far
	err    error
}

// NewStreamWriter begins a stream of spans, which must be arranged.
func NewStreamWriter(content Content, detail uint8, spans []Bounds, chunkBytes int, emit func([]byte) error) (*StreamWriter, error) {
	if len(spans) > MaxSpans {
		return nil, fmt.Errorf("%d spans in one export; the limit is %d", len(spans), MaxSpans)
	}
	if chunkBytes <= 0 {
		chunkBytes = DefaultChunkBytes
	}
	w := &StreamWriter{chunk: chunkBytes, emit: emit, buf: make([]byte, 0, chunkBytes), hash: xxhash.New()}
	head := bytes.Clone(streamMagic)
	head = binary.BigEndian.AppendUint16(head, StreamVersion)
	head = append(head, byte(content), detail)
	head = binary.BigEndian.AppendUint32(head, uint32(len(spans)))
	for _, s := range spans {
		if len(s.Lower) > MaxBoundBytes || len(s.Upper) > MaxBoundBytes {
			return nil, fmt.Errorf("a bound of more than %d bytes", MaxBoundBytes)
		}
		head = appendBounds(head, s)
	}
	w.write(head)
	return w, w.err
}

// Data appends a piece of the current table. p is not kept.
func (w *StreamWriter) Data(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), maxFrameBytes)
		w.frame(frameData, p[:n])
		w.size += uint64(n)
		p = p[n:]
	}
	return w.err
}

// EndTable ends the current table, whose keys lie within b.
func (w *StreamWriter) EndTable(b Bounds) error {
	w.frame(frameTable, binary.BigEndian.AppendUint64(appendBounds(nil, b), w.size))
	w.tables++
	w.size = 0
	return w.err
}

// Finish ends the stream.
func (w *StreamWriter) Finish() error {
	body := binary.BigEndian.AppendUint64(nil, w.tables)
	w.write([]byte{frameEnd, 0, 0, 0, endBytes})
	w.write(body)
	w.write(binary.BigEndian.AppendUint64(nil, w.hash.Sum64()))
	w.send()
	return w.err
}

func (w *StreamWriter) frame(kind byte, body []byte) {
	w.write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body))))
	w.write(body)
}

func (w *StreamWriter) write(p []byte) {
	_, _ = w.hash.Write(p)
	for len(p) > 0 && w.err == nil {
		n := min(len(p), w.chunk-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == w.chunk {
			w.send()
		}
	}
}

func (w *StreamWriter) send() {
	if w.err == nil && len(w.buf) > 0 {
		w.err = w.emit(w.buf)
		w.buf = w.buf[:0]
	}
}

func appendBounds(dst []byte, b Bounds) []byte {
	dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(b.Lower))), b.Lower...)
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b.Upper))), b.Upper...)
}

// TableSink receives the tables of a stream: pieces of one, then its end.
type TableSink interface {
	// TableData takes a piece, which it must not keep.
	TableData(p []byte) error
	// TableEnd says that the table is complete.
	TableEnd(b Bounds) error
}

// StreamReader takes an export stream apart. It hands on pieces of tables
// before the stream is known to be undamaged: nothing may be done with them
// that cannot be undone before Finish has returned nil.
type StreamReader struct {
	content Content
	detail  uint8
	sink    TableSink
	hash    *xxhash.Digest

	buf    []byte // a header or control frame not yet complete
	left   int    // bytes to come of the current piece
	headed bool
	ended  bool
	err    error

	spans  []Bounds
	span   int    // the span that the next table belongs to
	at     []byte // where in the span the next table begins; nil: at its start
	tables uint64
	size   uint64
}

// NewStreamReader returns a reader for streams of the given content whose
// detail is at most the given one.
func NewStreamReader(content Content, detail uint8, sink TableSink) *StreamReader {
	return &StreamReader{content: content, detail: detail, sink: sink, hash: xxhash.New()}
}

// Spans are the exported spans, in order.
func (r *StreamReader) Spans() []Bounds { return r.spans }

// Write takes the next bytes of the stream.
func (r *StreamReader) Write(p []byte) error {
	for len(p) > 0 && r.err == nil {
		var n int
		switch {
		case r.left > 0:
			n, r.err = r.piece(p)
		default:
			// Headers and control frames are small: gather them byte-exactly
			// to their end, so that nothing of the next frame gets in.
			want, err := r.want()
			if r.err = err; err != nil {
				break
			}
			n = min(len(p), want-len(r.buf))
			r.buf = append(r.buf, p[:n]...)
			if len(r.buf) == want {
				r.err = r.gathered()
			}
		}
		p = p[n:]
	}
	return r.err
}

// Finish says whether the stream came to its end undamaged.
func (r *StreamReader) Finish() error {
	if r.err == nil && !r.ended {
		r.err = fmt.Errorf("%w: cut short", ErrStream)
	}
	return r.err
}

func (r *StreamReader) piece(p []byte) (int, error) {
	n := min(len(p), r.left)
	_, _ = r.hash.Write(p[:n])
	r.left -= n
	r.size += uint64(n)
	return n, r.sink.TableData(p[:n])
}

// want is how long buf must be for the next step.
func (r *StreamReader) want() (int, error) {
	switch {
	case r.ended:
		return 0, fmt.Errorf("%w: bytes after the end", ErrStream)
	case !r.headed:
		return r.wantHeader()
	case len(r.buf) < frameHead:
		return frameHead, nil
	default:
		return frameHead + int(binary.BigEndian.Uint32(r.buf[1:])), nil
	}
}

// wantHeader grows with what is known of the header's length.
func (r *StreamReader) wantHeader() (int, error) {
	want := streamHead
	if len(r.buf) < want {
		return want, nil
	}
	for range 2 * binary.BigEndian.Uint32(r.buf[streamHead-4:]) {
		if len(r.buf) < want+4 {
			return want + 4, nil
		}
		n := int(binary.BigEndian.Uint32(r.buf[want:]))
		if n > MaxBoundBytes {
			return 0, fmt.Errorf("%w: a bound of %d bytes", ErrStream, n)
		}
		if want += 4 + n; len(r.buf) < want {
			return want, nil
		}
	}
	return want, nil
}

// gathered handles buf when it has grown to what want asked for.
func (r *StreamReader) gathered() error {
	if !r.headed {
		if len(r.buf) == streamHead {
			if err := r.checkHead(); err != nil {
				return err
			}
		}
		if want, err := r.wantHeader(); err != nil || want > len(r.buf) {
			return err
		}
		return r.header()
	}
	kind, n := r.buf[0], int(binary.BigEndian.Uint32(r.buf[1:]))
	body := r.buf[frameHead:]
	switch {
	case kind == frameData && n > 0 && n <= maxFrameBytes:
		r.left = n
	case kind == frameTable && n <= maxControlBytes:
		if len(body) < n {
			return nil
		}
		if err := r.tableEnd(body); err != nil {
			return err
		}
	case kind == frameEnd && n == endBytes:
		if len(body) < n {
			return nil
		}
		return r.end(body)
	default:
		return fmt.Errorf("%w: a frame of kind %#x and %d bytes", ErrStream, kind, n)
	}
	_, _ = r.hash.Write(r.buf)
	r.buf = r.buf[:0]
	return nil
}

func (r *StreamReader) checkHead() error {
	if !bytes.HasPrefix(r.buf, streamMagic) {
		return fmt.Errorf("%w: it begins otherwise", ErrStream)
	}
	if v := binary.BigEndian.Uint16(r.buf[8:]); v != StreamVersion {
		return fmt.Errorf("export stream version %d, known is %d: %w", v, StreamVersion, ErrNewerFormat)
	}
	if c := Content(r.buf[10]); c != r.content {
		return fmt.Errorf("%w: content %d, wanted %d", ErrStream, c, r.content)
	}
	if d := r.buf[11]; d > r.detail {
		return fmt.Errorf("export stream of table format %d, known is %d: %w", d, r.detail, ErrNewerFormat)
	}
	if n := binary.BigEndian.Uint32(r.buf[12:]); n > MaxSpans {
		return fmt.Errorf("%w: %d spans", ErrStream, n)
	}
	return nil
}

func (r *StreamReader) header() error {
	rest := r.buf[streamHead:]
	for range binary.BigEndian.Uint32(r.buf[streamHead-4:]) {
		var b Bounds
		b, rest, _ = takeBounds(rest)
		if n := len(r.spans); b.Empty() || n > 0 && bytes.Compare(b.Lower, r.spans[n-1].Upper) < 0 {
			return fmt.Errorf("%w: span %v is out of order", ErrStream, b)
		}
		r.spans = append(r.spans, b)
	}
	_, _ = r.hash.Write(r.buf)
	r.headed, r.buf = true, r.buf[:0]
	return nil
}

func (r *StreamReader) tableEnd(body []byte) error {
	b, rest, ok := takeBounds(body)
	if !ok || len(rest) != 8 {
		return fmt.Errorf("%w: malformed end of a table", ErrStream)
	}
	if size := binary.BigEndian.Uint64(rest); size != r.size {
		return fmt.Errorf("%w: a table of %d bytes came as %d", ErrStream, size, r.size)
	}
	if r.span >= len(r.spans) {
		return fmt.Errorf("%w: a table %v too many", ErrStream, b)
	}
	s := r.spans[r.span]
	from := s.Lower
	if r.at != nil {
		from = r.at
	}
	if !bytes.Equal(b.Lower, from) || b.Empty() || bytes.Compare(b.Upper, s.Upper) > 0 {
		return fmt.Errorf("%w: table %v does not continue span %v at %x", ErrStream, b, s, from)
	}
	r.at = b.Upper
	if bytes.Equal(b.Upper, s.Upper) {
		r.span, r.at = r.span+1, nil
	}
	r.tables++
	r.size = 0
	return r.sink.TableEnd(b)
}

func (r *StreamReader) end(body []byte) error {
	_, _ = r.hash.Write(r.buf[:len(r.buf)-8])
	switch {
	case binary.BigEndian.Uint64(body[8:]) != r.hash.Sum64():
		return fmt.Errorf("%w: wrong checksum", ErrStream)
	case binary.BigEndian.Uint64(body) != r.tables || r.span != len(r.spans) || r.size != 0:
		return fmt.Errorf("%w: tables are missing", ErrStream)
	}
	r.ended, r.buf = true, nil
	return nil
}

func takeBounds(p []byte) (b Bounds, rest []byte, ok bool) {
	if b.Lower, p, ok = takeBytes(p); !ok {
		return Bounds{}, nil, false
	}
	b.Upper, p, ok = takeBytes(p)
	return b, p, ok
}

func takeBytes(p []byte) (b, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint32(p))
	if p = p[4:]; n > len(p) {
		return nil, nil, false
	}
	return bytes.Clone(p[:n]), p[n:], true
}
