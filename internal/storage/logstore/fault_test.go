package logstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3/raftpb"
)

// countingFS counts writes and syncs of segments; it is not safe for
// concurrent use.
type countingFS struct {
	vfs.FS
	writes, syncs int
}

type countingFile struct {
	vfs.File
	fs *countingFS
}

func (fs *countingFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, c, o...)
	return &countingFile{f, fs}, err
}

func (f *countingFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.writes++
	return f.File.WriteAt(p, off)
}

func (f *countingFile) SyncData() error {
	f.fs.syncs++
	return f.File.SyncData()
}

// TestFaults fails each operation on the file system once, in a run that
// rotates, removes and moves: the store must end with that error, and what was
// acknowledged be there after a crash.
func TestFaults(t *testing.T) {
	kinds := map[string]errorfs.OpKind{
		"WriteAt": errorfs.OpFileWriteAt, "Sync": errorfs.OpFileSync, "SyncData": errorfs.OpFileSyncData,
		"Rename": errorfs.OpRename, "Remove": errorfs.OpRemove, "Open": errorfs.OpOpen,
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			faults := 0
			for nth := 1; nth < 400; nth += 1 + nth/8 {
				if !faultRun(t, kind, nth) {
					break
				}
				faults++
			}
			if faults < 2 {
				t.Errorf("only %d faults were injected", faults)
			}
		})
	}
}

func faultRun(t *testing.T, kind errorfs.OpKind, nth int) (hit bool) {
	mem := newFS(t)
	ops, armed := 0, false
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed && op.Kind == kind {
			if ops++; ops == nth {
				hit = true
			}
			// A store that goes on after its first fault would be found out by these.
			if ops >= nth {
				return errorfs.ErrInjected
			}
		}
		return nil
	}))
	s, err := Open(fs, testDir, Options{SegmentBytes: 2 << 10})
	if err != nil {
		t.Fatal(err)
	}
	armed = true
	slow := ents(1, 3, 1, 100)
	acked := uint64(0)
	err = s.Append([]Update{{Partition: 9, Replica: 1, Entries: slow}})
	for i := uint64(1); err == nil && i <= 60; i++ {
		u := Update{Partition: 1, Replica: 1, Entries: ents(i, i, 1, 300)}
		if i > 2 {
			u.Truncate = &Mark{i - 2, 1}
		}
		if err = s.Append([]Update{u}); err == nil {
			acked = i
		}
	}
	if !hit {
		return false
	}
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "injected") {
		t.Fatalf("fault %d: %v", nth, err)
	}
	first, done := err, ops
	if done != nth {
		t.Fatalf("fault %d: %d more operations of that kind", nth, done-nth)
	}
	for range 2 {
		if err := s.Append([]Update{{Partition: 1, Replica: 1, Entries: ents(acked+1, acked+1, 1, 1)}}); err != first {
			t.Fatalf("fault %d: Append later: %v", nth, err)
		}
		if _, err := s.Term(9, 1); err != first {
			t.Fatalf("fault %d: Term later: %v", nth, err)
		}
		if _, err := s.Entries(9, 1, 2, 1); err != first {
			t.Fatalf("fault %d: Entries later: %v", nth, err)
		}
	}
	if err := s.Close(); err != first || ops != done {
		t.Fatalf("fault %d: Close: %v, %d operations after the fault", nth, err, ops-done)
	}
	check := func(fs *vfs.MemFS) *Store {
		s := mustOpen(t, fs, 2<<10)
		if acked > 0 {
			st, _ := s.State(1)
			if st.Last < acked || st.Last > acked+1 || st.First > max(acked, 2)-1+2 {
				t.Fatalf("fault %d: %+v after %d was acknowledged", nth, st, acked)
			}
			wantLog(t, s, 9, Mark{}, HardState{}, slow)
		}
		return s
	}
	mustClose(t, check(mem.CrashClone(vfs.CrashCloneCfg{})))
	// The same process started again, with what only the page cache has: what
	// Open then reports must survive a power loss.
	s = check(mem)
	after := check(mem.CrashClone(vfs.CrashCloneCfg{}))
	if got, want := after.Replicas(), s.Replicas(); !slices.Equal(got, want) {
		t.Fatalf("fault %d: a restart reported %+v, after a power loss there is %+v", nth, want, got)
	}
	mustClose(t, after)
	mustClose(t, s)
	return true
}

// files reads all segments, by name.
func files(t testing.TB, fs vfs.FS) map[string][]byte {
	t.Helper()
	names, err := fs.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string][]byte)
	for _, name := range names {
		m[name] = readAll(t, fs, fs.PathJoin(testDir, name))
	}
	return m
}

func readAll(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if n, err := f.ReadAt(b, 0); n != len(b) {
		t.Fatal(err)
	}
	return b
}

// fsOf makes a file system that holds the segments.
func fsOf(t testing.TB, m map[string][]byte) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll(testDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range m {
		f, err := fs.Create(fs.PathJoin(testDir, name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		// Under the race detector MemFS garbles what it was given.
		if _, err := f.Write(slices.Clone(b)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// sampleLog is a log of three segments, as a crash or as Close leaves it. The
// third has three records behind its checkpoint, and one more if closed.
func sampleLog(t testing.TB, closed bool) (segments map[string][]byte, want []*raftpb.Entry) {
	t.Helper()
	fs := newFS(t)
	s := mustOpen(t, fs, 1300)
	for i := uint64(1); i <= 9; i++ {
		e := ents(i, i, 1+i/4, 280)
		want = append(want, e...)
		mustAppend(t, s, Update{Partition: 3, Replica: 1, Entries: e, HardState: &HardState{Term: 1 + i/4, Commit: i}})
	}
	if closed {
		mustClose(t, s)
	}
	m := files(t, fs)
	if len(m) != 3 {
		t.Fatalf("%d segments", len(m))
	}
	return m, want
}

func clone(m map[string][]byte) map[string][]byte {
	c := make(map[string][]byte)
	for name, b := range m {
		c[name] = append([]byte(nil), b...)
	}
	return c
}

// recordEnds lists where the records of a segment end, the header's end first.
func recordEnds(t testing.TB, img []byte, segment uint64) (ends []int64) {
	t.Helper()
	h, err := readSegmentHeader(img, segment, int64(len(img)))
	if err != nil {
		t.Fatal(err)
	}
	off, seq := int64(segmentHeaderBytes), h.firstSeq
	for ; ; seq++ {
		ends = append(ends, off)
		rec, _, ok := nextRecord(img, segment, off, seq)
		if !ok {
			return ends
		}
		off = rec.end()
	}
}

// TestBitFlips flips bits all over the log. In all but the last record it must
// be noticed; a damaged last record is cut off and nothing else.
func TestBitFlips(t *testing.T) {
	m, want := sampleLog(t, false)
	last := segmentName(3)
	ends := recordEnds(t, m[last], 3)
	lastRecord, lastEnd := ends[len(ends)-2], ends[len(ends)-1]
	for name, img := range m {
		step := int64(7)
		for off := int64(0); off < int64(len(img)); off += step {
			if off > 200 && off < lastRecord-40 {
				step = 31
			}
			c := clone(m)
			c[name][off] ^= 1 << (off % 8)
			// Bytes behind an earlier segment's end are not part of the log.
			beyond := off >= recordEndOf(t, m, name)
			s, err := Open(fsOf(t, c), testDir, Options{SegmentBytes: 1 << 10})
			switch {
			case beyond && name != last, name == last && off >= lastEnd:
				if err != nil {
					t.Fatalf("%s, offset %d, behind the end: %v", name, off, err)
				}
				wantLog(t, s, 3, Mark{}, HardState{Term: 3, Commit: 9}, want)
			case name == last && off >= lastRecord:
				if err != nil {
					t.Fatalf("%s, offset %d, in the last record: %v", name, off, err)
				}
				wantLog(t, s, 3, Mark{}, HardState{Term: 3, Commit: 8}, want[:8])
			default:
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) ||
					!strings.Contains(err.Error(), "offset") {
					t.Fatalf("%s, offset %d: %v", name, off, err)
				}
			}
			if s != nil {
				mustClose(t, s)
			}
		}
	}
}

func recordEndOf(t testing.TB, m map[string][]byte, name string) int64 {
	seq, _ := parseSegmentName(name)
	ends := recordEnds(t, m[name], seq)
	return ends[len(ends)-1]
}

// TestDamageAfterClose: behind a closed log's last data there is one more
// record, so no damage to data is taken for the trace of a crash.
func TestDamageAfterClose(t *testing.T) {
	m, want := sampleLog(t, true)
	ends := recordEnds(t, m[segmentName(3)], 3)
	data := ends[len(ends)-2]
	for off := ends[1]; off < data; off += 11 {
		c := clone(m)
		c[segmentName(3)][off] ^= 0x10
		if _, err := Open(fsOf(t, c), testDir, Options{SegmentBytes: 4 << 10}); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("offset %d: %v", off, err)
		}
	}
	s := mustOpen(t, fsOf(t, m), 0)
	wantLog(t, s, 3, Mark{}, HardState{Term: 3, Commit: 9}, want)
	mustClose(t, s)
}

// TestDamagedBeginning: Open wrote the last record anew, durably, into a new
// segment; damage to it is then no trace of a crash, though nothing follows.
func TestDamagedBeginning(t *testing.T) {
	m, _ := sampleLog(t, false)
	fs := fsOf(t, m)
	s := mustOpen(t, fs, 0)
	defer s.Close()
	m = files(t, fs)
	name := segmentName(4)
	for off := int64(0); off < recordEndOf(t, m, name); off += 3 {
		c := clone(m)
		c[name][off] ^= 4
		if _, err := Open(fsOf(t, c), testDir, Options{SegmentBytes: 4 << 10}); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("offset %d: %v", off, err)
		}
	}
}

// TestTruncatedFiles cuts files short. The last segment then ends with the
// last whole record; any other, and one cut within its beginning, is corrupt.
func TestTruncatedFiles(t *testing.T) {
	m, want := sampleLog(t, false)
	for name, img := range m {
		end := recordEndOf(t, m, name)
		seq, _ := parseSegmentName(name)
		ends := recordEnds(t, img, seq)
		for n := int64(0); n < int64(len(img)); n += 13 {
			c := clone(m)
			c[name] = c[name][:n]
			s, err := Open(fsOf(t, c), testDir, Options{SegmentBytes: 1 << 10})
			switch {
			case name == segmentName(3) && n >= ends[1], n >= end:
				if err != nil {
					t.Fatalf("%s, %d bytes: %v", name, n, err)
				}
				whole := 0
				for _, e := range ends[1:] {
					if e <= n {
						whole++
					}
				}
				lost := 0
				if name == segmentName(3) {
					lost = len(ends) - 1 - whole
				}
				st, _ := s.State(3)
				if st.Last != uint64(len(want)-lost) {
					t.Fatalf("%s, %d bytes: last is %d, want %d lost", name, n, st.Last, lost)
				}
				mustClose(t, s)
			case !errors.Is(err, ErrCorrupt):
				t.Fatalf("%s, %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestMissingSegments(t *testing.T) {
	m, _ := sampleLog(t, true)
	for _, seq := range []uint64{1, 2} {
		c := clone(m)
		delete(c, segmentName(seq))
		fs := fsOf(t, c)
		if _, err := Open(fs, testDir, Options{SegmentBytes: 4 << 10}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("without segment %d: %v", seq, err)
		}
		if after := files(t, fs); len(after) != 2 {
			t.Errorf("a failed Open left %d files", len(after))
		}
	}
}

func TestNewerFormat(t *testing.T) {
	m, _ := sampleLog(t, true)
	img := m[segmentName(3)]
	img[8]++
	if _, err := Open(fsOf(t, m), testDir, Options{SegmentBytes: 4 << 10}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged version number: %v", err)
	}
	fixPreamble(img)
	_, err := Open(fsOf(t, m), testDir, Options{SegmentBytes: 4 << 10})
	if !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), segmentName(3)) {
		t.Errorf("a newer version: %v", err)
	}
}

// TestDamagedEntry: an entry damaged while the store is open is found by who
// reads it, keeps its segment, and harms nobody else.
func TestDamagedEntry(t *testing.T) {
	fs := newFS(t)
	s := mustOpen(t, fs, 2<<10)
	mustAppend(t, s, Update{Partition: 9, Replica: 1, Entries: ents(1, 3, 1, 100)})
	path := fs.PathJoin(testDir, segmentName(1))
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	off := int64(s.mu.replicas[9].locs[1].off) + 50
	if _, err := f.WriteAt([]byte{0xFF}, off); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= 60; i++ {
		mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: ents(i, i, 1, 300), Truncate: &Mark{i, 1}})
	}
	if _, err := s.Entries(9, 1, 2, 1<<20); err != nil {
		t.Error(err)
	}
	if _, err := s.Entries(9, 1, 4, 1<<20); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrBroken) ||
		!strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	// Rebuilt from elsewhere, it lets go of the segments.
	mustAppend(t, s, Update{Partition: 9, Replica: 1, Reset: &Mark{50, 1}})
	if _, n := s.Size(); n > 2 {
		t.Errorf("%d segments", n)
	}
	mustClose(t, s)
}

func TestForeignFiles(t *testing.T) {
	m, want := sampleLog(t, false)
	m["README"] = []byte("hello")
	m["17.log"] = []byte("hello")
	m[segmentName(4)+tempSuffix] = []byte("unfinished")
	fs := fsOf(t, m)
	s := mustOpen(t, fs, 1<<10)
	wantLog(t, s, 3, Mark{}, HardState{Term: 3, Commit: 9}, want)
	mustClose(t, s)
	after := files(t, fs)
	for name, there := range map[string]bool{"README": true, "17.log": true, segmentName(4) + tempSuffix: false} {
		if _, ok := after[name]; ok != there {
			t.Errorf("%s: there is %v", name, ok)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, n := range []int64{-1, maxSegmentBytes + 1} {
		if _, err := Open(newFS(t), testDir, Options{SegmentBytes: n}); err == nil {
			t.Error(fmt.Sprint("segments of ", n, " bytes"))
		}
	}
}
