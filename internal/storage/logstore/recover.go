package logstore

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"coterie/internal/base"
)

// Open opens the log in dir, which it creates if need be, and recovers what
// it holds. Errors about its contents wrap ErrCorrupt or ErrNewerFormat; the
// log is then left as it is.
func Open(fs vfs.FS, dir string, opts Options) (*Store, error) {
	if opts.SegmentBytes == 0 {
		opts.SegmentBytes = defaultSegmentBytes
	}
	if opts.SegmentBytes < 0 || opts.SegmentBytes > maxSegmentBytes {
		return nil, fmt.Errorf("log segments of %d bytes: must be 1 to %d", opts.SegmentBytes, maxSegmentBytes)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := makeDir(fs, dir); err != nil {
		return nil, fmt.Errorf("creating log directory %s: %w", dir, err)
	}
	dirFile, err := fs.OpenDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening log directory %s: %w", dir, err)
	}
	s := &Store{
		fs: fs, dir: dir, dirFile: dirFile, opts: opts,
		shadows: make(map[base.PartitionID]*shadow),
	}
	s.mu.replicas = make(map[base.PartitionID]*replica)
	if err := s.open(); err != nil {
		for _, g := range s.mu.segments {
			g.unref()
		}
		_ = dirFile.Close()
		return nil, fmt.Errorf("opening log: %w", err)
	}
	return s, nil
}

// makeDir creates dir, durably as far as its own parent goes.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	parent, err := fs.OpenDir(fs.PathDir(dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// open recovers, and begins a new segment: no file is ever written again that
// was not begun by this process.
func (s *Store) open() error {
	temps, err := s.openSegments()
	if err != nil {
		return err
	}
	tail, err := s.replaySegments()
	if err != nil {
		return err
	}
	im, err := s.buildSegment(tail)
	if err != nil {
		return err
	}
	last := s.current()
	for i, rec := range tail {
		if err := s.replayRecord(&rec, im.segment, im.tail[i]); err != nil {
			return fmt.Errorf("%s: offset %d: %w", last.path, rec.off, err)
		}
	}
	// Nothing was changed on disk up to here, and from here on nothing is found
	// wrong with it.
	if err := s.locate(); err != nil {
		return err
	}
	for _, name := range temps {
		if err := s.fs.Remove(s.fs.PathJoin(s.dir, name)); err != nil {
			return fmt.Errorf("removing unfinished segment %s: %w", name, err)
		}
	}
	if err := s.installSegment(im); err != nil {
		return err
	}
	s.countLive()
	return s.removeDead()
}

// openSegments opens all segments of the directory, and lists the files of
// segments that never became part of the log.
func (s *Store) openSegments() (temps []string, err error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", s.dir, err)
	}
	slices.Sort(names)
	var seqs []uint64
	for _, name := range names {
		if seq, ok := parseSegmentName(name); ok {
			seqs = append(seqs, seq)
		} else if _, ok := parseSegmentName(strings.TrimSuffix(name, tempSuffix)); ok {
			temps = append(temps, name)
		} else {
			s.opts.Logger.Warn("file in the log directory is not the log's; leaving it alone",
				"dir", s.dir, "file", name)
		}
	}
	slices.Sort(seqs)
	for i, seq := range seqs {
		path := s.fs.PathJoin(s.dir, segmentName(seq))
		if i > 0 && seq != seqs[i-1]+1 {
			return nil, fmt.Errorf("%s: offset 0: %w: the segment before it is missing", path, ErrCorrupt)
		}
		f, err := s.fs.Open(path)
		if err != nil {
			return nil, fmt.Errorf("opening segment %s: %w", path, err)
		}
		s.mu.segments = append(s.mu.segments, newSegment(seq, path, f))
	}
	return temps, nil
}

// replaySegments reads all segments. It returns the records at the end that
// are not known to be durable; they alias memory that is the caller's.
func (s *Store) replaySegments() (tail []record, err error) {
	headers := make([]segmentHeader, len(s.mu.segments))
	sizes := make([]int64, len(s.mu.segments))
	for i, g := range s.mu.segments {
		info, err := g.file.Stat()
		if err != nil {
			return nil, fmt.Errorf("examining segment %s: %w", g.path, err)
		}
		sizes[i] = info.Size()
		b, err := readFile(g, nil, min(sizes[i], segmentHeaderBytes))
		if err != nil {
			return nil, err
		}
		if headers[i], err = readSegmentHeader(b, g.seq, sizes[i]); err != nil {
			return nil, fmt.Errorf("%s: offset 0: %w", g.path, err)
		}
	}
	var img []byte
	for i, g := range s.mu.segments {
		rp := replay{s: s, g: g, header: headers[i], first: i == 0, limit: sizes[i]}
		if i+1 < len(headers) {
			rp.next = &headers[i+1]
			if rp.next.previousEnd > uint64(sizes[i]) {
				return nil, fmt.Errorf("%s: offset %d: %w: the segment was longer", g.path, sizes[i], ErrCorrupt)
			}
			rp.limit = int64(rp.next.previousEnd)
		}
		if rp.limit > maxSegmentBytes+maxRecordBytes+zeroAheadBytes {
			return nil, fmt.Errorf("%s: offset 0: %w: the segment has %d bytes", g.path, ErrCorrupt, rp.limit)
		}
		if img, err = readFile(g, img, rp.limit); err != nil {
			return nil, err
		}
		rp.img = img
		if tail, err = rp.run(); err != nil {
			return nil, err
		}
	}
	return tail, nil
}

// readFile reads the first n bytes of a segment, which has as many, into buf
// if they fit.
func readFile(g *segment, buf []byte, n int64) ([]byte, error) {
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if k, err := g.file.ReadAt(buf, 0); int64(k) != n {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading segment %s: %w", g.path, err)
	}
	return buf, nil
}

// replay is the reading of one segment.
type replay struct {
	s      *Store
	g      *segment
	header segmentHeader
	next   *segmentHeader // nil: this is the last segment
	img    []byte
	limit  int64 // where the records end; for the last segment, its size
	first  bool  // the oldest segment: its checkpoint is where it all begins

	pending []record // not known to be durable
}

func (rp *replay) corrupt(off int64, format string, args ...any) error {
	return fmt.Errorf("%s: offset %d: %w: %s", rp.g.path, off, ErrCorrupt, fmt.Sprintf(format, args...))
}

// run applies the records of the segment; those at the end of the last
// segment that are not known to be durable it returns.
func (rp *replay) run() ([]record, error) {
	off, seq := int64(segmentHeaderBytes), rp.header.firstSeq
	begin := int64(rp.header.durable)
	if rp.limit < begin {
		return nil, rp.corrupt(rp.limit, "the segment's beginning has %d bytes", begin)
	}
	if !rp.first && seq != rp.s.seq+1 {
		return nil, rp.corrupt(0, "first record is %d behind %d", seq, rp.s.seq)
	}
	for off < rp.limit {
		rec, resume, ok := nextRecord(rp.img, rp.g.seq, off, seq)
		if !ok {
			if err := rp.torn(off, resume, seq); err != nil {
				return nil, err
			}
			break
		}
		if (off == segmentHeaderBytes) != (rec.typ == recordCheckpoint) || rec.durable >= rec.seq {
			return nil, rp.corrupt(off, "a record of type %d, with %d known durable, does not belong here",
				rec.typ, rec.durable)
		}
		if off == segmentHeaderBytes && rec.end() > begin {
			return nil, rp.corrupt(off, "its checkpoint ends at %d, but only %d bytes were durable when it got its name", rec.end(), begin)
		}
		rp.pending = append(rp.pending, rec)
		durable := rec.durable
		if rec.end() <= begin || rp.next != nil {
			durable = rec.seq
		}
		if err := rp.flush(durable); err != nil {
			return nil, err
		}
		off, seq = rec.end(), seq+1
	}
	if rp.next != nil && seq != rp.next.firstSeq {
		return nil, rp.corrupt(off, "the segment ends with record %d, the next begins with %d",
			seq-1, rp.next.firstSeq)
	}
	if len(rp.pending) > 0 {
		off = rp.pending[0].off
	}
	rp.g.size = off
	return rp.pending, nil
}

// torn judges a bad record at off: nil if it is the end of the log, torn by a
// crash, which must be the very last record and none that was known durable.
func (rp *replay) torn(off, resume int64, seq uint64) error {
	if rp.next != nil || off < int64(rp.header.durable) {
		return rp.corrupt(off, "bad record %d", seq)
	}
	if at, found := laterRecord(rp.img, rp.g.seq, resume, seq); found {
		return rp.corrupt(off, "bad record %d, with a later one at offset %d", seq, at)
	}
	for _, b := range rp.img[off:] {
		if b != 0 {
			rp.s.opts.Logger.Warn("cutting off a record that was being written when the node stopped",
				"segment", rp.g.path, "offset", off, "record", seq)
			break
		}
	}
	return nil
}

// flush applies the pending records up to the sequence durable.
func (rp *replay) flush(durable uint64) error {
	for len(rp.pending) > 0 && rp.pending[0].seq <= durable {
		rec := &rp.pending[0]
		var err error
		if rec.typ == recordCheckpoint {
			err = rp.checkpoint(rec)
		} else {
			err = rp.s.replayRecord(rec, rp.g, rec.off)
		}
		if err != nil {
			return fmt.Errorf("%s: offset %d: %w", rp.g.path, rec.off, err)
		}
		rp.s.seq = rec.seq
		rp.pending = rp.pending[1:]
	}
	return nil
}

// checkpoint takes the oldest segment's checkpoint for the state, and
// compares that of any other with the state, in which only a commit index or a
// truncation may be behind.
func (rp *replay) checkpoint(rec *record) error {
	s, n := rp.s, 0
	d := decoder{b: rec.body}
	for last := int64(-1); d.more(); n++ {
		p, sh := d.shape()
		if d.failed || int64(p) <= last {
			return fmt.Errorf("%w: bad checkpoint", ErrCorrupt)
		}
		last = int64(p)
		if rp.first {
			s.mu.replicas[p] = &replica{shape: sh, locFirst: sh.last + 1}
			continue
		}
		c := change{
			flags: flagHardState | flagTruncate, partition: p, replica: sh.replica,
			hard: sh.hard, truncate: sh.mark,
		}
		r := s.mu.replicas[p]
		if r == nil || r.hard.Term != sh.hard.Term || r.hard.Vote != sh.hard.Vote {
			return fmt.Errorf("%w: checkpoint of partition %d differs from its log", ErrCorrupt, p)
		}
		if err := s.apply(&c, rp.g, rec.off); err != nil {
			return asCorrupt(err)
		}
		if !r.shape.equal(&sh) {
			return fmt.Errorf("%w: checkpoint of partition %d differs from its log", ErrCorrupt, p)
		}
	}
	if d.failed || n != len(s.mu.replicas) {
		return fmt.Errorf("%w: checkpoint has %d replicas, the log %d", ErrCorrupt, n, len(s.mu.replicas))
	}
	return nil
}

// replayRecord applies a batch or move record that is at off in g.
func (s *Store) replayRecord(rec *record, g *segment, off int64) error {
	d := decoder{b: rec.body}
	for d.more() {
		var err error
		if rec.typ == recordMove {
			if m := d.move(); !d.failed {
				err = s.applyMove(&m, g, off)
			}
		} else {
			var c change
			if c, s.refs = d.change(s.refs); !d.failed {
				err = s.apply(&c, g, off)
			}
		}
		if err != nil {
			return asCorrupt(err)
		}
	}
	if d.failed {
		return fmt.Errorf("%w: bad record body", ErrCorrupt)
	}
	return nil
}

// asCorrupt turns an error about a change that does not fit into one about
// the file it was read from.
func asCorrupt(err error) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, strings.TrimPrefix(err.Error(), ErrInvalid.Error()+": "))
}

// locate finds the place of all live entries that were written before the
// oldest segment: each must have been moved since.
func (s *Store) locate() error {
	for p, r := range s.mu.replicas {
		var head []loc
		for i := r.mark.Index + 1; i < r.locFirst; i++ {
			l, ok := r.moved[i]
			if !ok {
				return fmt.Errorf("%s: offset 0: %w: entry %d of partition %d is in no segment",
					s.mu.segments[0].path, ErrCorrupt, i, p)
			}
			head = append(head, l)
		}
		if len(head) > 0 {
			r.locs, r.locFirst = append(head, r.locs...), r.mark.Index+1
		}
		r.moved = nil
	}
	return nil
}

// countLive counts the live entries of each segment; recovery itself, which
// sees entries come and go whose segments are gone, does not keep count.
func (s *Store) countLive() {
	for _, g := range s.mu.segments {
		g.live, g.liveBytes = 0, 0
	}
	for _, r := range s.mu.replicas {
		for _, l := range r.locs {
			g := s.segment(l.segment)
			g.live++
			g.liveBytes += int64(l.size)
		}
	}
}
