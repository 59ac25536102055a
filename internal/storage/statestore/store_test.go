package statestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/storage/state"
	"coterie/internal/storage/state/statetest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// small makes memtables and tables so small that tests see many of them.
var small = Options{CacheBytes: 1 << 20, MemTableBytes: 64 << 10, TableBytes: 16 << 10}

func openMem(t testing.TB, fsys vfs.FS) *Store {
	t.Helper()
	s, err := Open(fsys, "/data/state", small)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func crash(s *Store, fsys *vfs.MemFS, r *rand.Rand) (*Store, error) {
	left := fsys.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r})
	if err := s.Close(); err != nil {
		return nil, err
	}
	return Open(left, "/data/state", small)
}

func TestContract(t *testing.T) {
	statetest.Run(t, statetest.Subject{
		Open: func() (state.Store, error) { return Open(vfs.NewCrashableMem(), "/data/state", small) },
		Crash: func(s state.Store, r *rand.Rand) (state.Store, error) {
			return crash(s.(*Store), s.(*Store).fs.(*vfs.MemFS), r)
		},
	})
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		s, err := Open(vfs.Default, dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := statetest.Content(t, s, nil, nil); len(got) != i {
			t.Fatalf("opening %d: %v", i, got)
		}
		statetest.Commit(t, s, fmt.Sprint(i), "flushed")
		if err := s.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		statetest.Commit(t, s, "gone", "not flushed")
		if m := s.Metrics(); m.DiskBytes == 0 || m.Flushes == 0 || m.L0Files == 0 {
			t.Errorf("metrics %+v", m)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if free, err := DiskFree(vfs.Default, dir); err != nil || free == 0 {
		t.Errorf("DiskFree = %d, %v", free, err)
	}
}

func TestLocked(t *testing.T) {
	for _, fsys := range []vfs.FS{vfs.NewMem(), vfs.Default} {
		dir := t.TempDir()
		s, err := Open(fsys, dir, small)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(fsys, dir, small); !errors.Is(err, state.ErrLocked) {
			t.Errorf("second Open: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(fsys, dir, small); err != nil {
			t.Fatalf("Open after Close: %v", err)
		}
		_ = s.Close()
	}
}

func TestFormat(t *testing.T) {
	write := func(fsys vfs.FS, text string) {
		f, err := fsys.Create("/data/state/FORMAT", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(text))
		_ = f.Close()
	}
	fsys := vfs.NewMem()
	if err := openMem(t, fsys).Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := readFile(fsys, "/data/state/FORMAT"); err != nil || string(text) != "coterie state store 1\n" {
		t.Errorf("FORMAT = %q, %v", text, err)
	}
	ls, _ := fsys.List("/data/state/db")
	if !slices.ContainsFunc(ls, func(name string) bool {
		return strings.HasPrefix(name, "marker.format-version") && strings.HasSuffix(name, fmt.Sprintf(".%03d", int(pebbleFormat)))
	}) {
		t.Errorf("the database is not in format %d: %q", pebbleFormat, ls)
	}
	write(fsys, "coterie state store 2\n")
	if _, err := Open(fsys, "/data/state", small); !errors.Is(err, state.ErrNewerFormat) {
		t.Errorf("a newer format: %v", err)
	}
	for _, text := range []string{"", "coterie state store 0\n", "coterie state store x", "something else"} {
		write(fsys, text)
		if _, err := Open(fsys, "/data/state", small); !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("FORMAT %q: %v", text, err)
		}
	}
	if err := fsys.Remove("/data/state/FORMAT"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(fsys, "/data/state", small); err == nil || errors.Is(err, state.ErrLocked) {
		t.Errorf("a database without FORMAT: %v", err)
	}
	write(fsys, "coterie state store 1\n")
	_ = openMem(t, fsys).Close()
}

func TestOpenRemovesUnfinishedImports(t *testing.T) {
	fsys := vfs.NewMem()
	s := openMem(t, fsys)
	v, _ := s.Pin()
	im := statetest.Transfer(t, v, s, 0, statetest.Span("a", "b")).(*importer)
	_ = v.Close()
	if _, err := fsys.Stat(im.paths[0]); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = openMem(t, fsys)
	defer func() { _ = s.Close() }()
	if _, err := fsys.Stat(im.paths[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the import's file: %v", err)
	}
}

// TestLargeTransfer moves spans of many tables onto data that the receiver has
// in memtables, in upper and in lower levels, under range deletes.
func TestLargeTransfer(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	fill := func(s *Store, n int) map[string]string {
		want := map[string]string{}
		b := s.NewBatch()
		for i := range n {
			k, v := fmt.Sprintf("%c%05d", 'a'+i%3, r.IntN(9999)), fmt.Sprintf("%d-%d", i, r.Uint64())
			b.Set([]byte(k), []byte(v))
			want[k] = v
			if i%500 == 499 {
				if err := s.Commit(b); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
		return want
	}
	from, to := openMem(t, vfs.NewMem()), openMem(t, vfs.NewCrashableMem())
	defer func() { _ = from.Close() }()
	want := fill(from, 12000)
	had := fill(to, 12000)
	if err := to.db.Compact(context.Background(), []byte("a"), []byte("z"), false); err != nil {
		t.Fatal(err)
	}
	b := to.NewBatch()
	b.DeleteRange([]byte("a02"), []byte("a07"))
	b.DeleteRange([]byte("b05"), []byte("c03"))
	if err := to.Commit(b); err != nil {
		t.Fatal(err)
	}

	v, err := from.Pin()
	if err != nil {
		t.Fatal(err)
	}
	im := statetest.Transfer(t, v, to, 5000, statetest.Span("a", "b"), statetest.Span("c", "d"))
	_ = v.Close()
	if n := len(im.(*importer).paths); n < 6 {
		t.Errorf("%d tables are too few for this test", n)
	}
	if err := to.Ingest(im, nil); err != nil {
		t.Fatal(err)
	}
	for k := range want {
		if k[0] == 'b' {
			delete(want, k)
		}
	}
	for k, v := range had {
		if k[0] == 'b' && k < "b05" {
			want[k] = v
		}
	}
	statetest.Same(t, "after the ingest", statetest.Content(t, to, nil, nil), want)
	to, err = crash(to, to.fs.(*vfs.MemFS), r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	statetest.Same(t, "after a crash", statetest.Content(t, to, nil, nil), want)
	if err := to.db.Compact(context.Background(), []byte("a"), []byte("z"), false); err != nil {
		t.Fatal(err)
	}
	statetest.Same(t, "after a compaction", statetest.Content(t, to, nil, nil), want)
	if ls, _ := to.fs.List("/data/state/import"); len(ls) != 0 {
		t.Errorf("left in the import directory: %q", ls)
	}
}

// moments calls f just before every operation that changes a file system.
func moments(fsys vfs.FS, f func()) vfs.FS {
	return errorfs.Wrap(fsys, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			f()
		}
		return nil
	}))
}

// TestCrashAtAnyMoment takes the disk as a power loss would leave it before
// each of many operations on files, and checks each against the contract.
func TestCrashAtAnyMoment(t *testing.T) {
	type moment struct {
		left              *vfs.MemFS
		flushed, ingested int64 // what was promised at that moment
		begun             int64 // ingests begun
		committed         int64
	}
	const clones = 60
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 7))
		mem := vfs.NewCrashableMem()
		var all []moment
		var on, busy atomic.Bool
		var flushed, ingested, begun, committed, ops atomic.Int64
		fsys := moments(mem, func() {
			// Operations come from several goroutines; one clone at a time.
			if !on.Load() || ops.Add(1)%5 != 0 || !busy.CompareAndSwap(false, true) {
				return
			}
			defer busy.Store(false)
			if len(all) >= clones {
				return
			}
			m := moment{flushed: flushed.Load(), ingested: ingested.Load()}
			m.left = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 100}[r.IntN(3)], RNG: r})
			m.begun, m.committed = begun.Load(), committed.Load()
			all = append(all, m)
		})
		s, err := Open(fsys, "/data/state", small)
		if err != nil {
			t.Fatal(err)
		}
		on.Store(true)
		value := strings.Repeat("x", 1500)
		for i := int64(1); i <= 120; i++ {
			b := s.NewBatch()
			n := fmt.Sprint(i)
			b.DeleteRange([]byte("b1"), []byte("b3"))
			b.Set([]byte("a first"), []byte(n))
			b.Set([]byte(fmt.Sprintf("b%d", i%10)), []byte(n+value))
			b.Set([]byte("z last"), []byte(n))
			committed.Add(1)
			if err := s.Commit(b); err != nil {
				t.Fatal(err)
			}
			switch {
			case i%17 == 0:
				if err := s.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
				flushed.Store(i)
			case i%23 == 0:
				ingestRound(t, s, begun.Add(1))
				ingested.Store(begun.Load())
			}
		}
		for !busy.CompareAndSwap(false, true) {
			time.Sleep(time.Millisecond)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if len(all) < clones/2 {
			t.Fatalf("only %d moments were looked at", len(all))
		}
		for i, m := range all {
			checkMoment(t, fmt.Sprintf("seed %d, moment %d", seed, i), m.left, m.flushed, m.committed, m.ingested, m.begun)
		}
	}
}

// ingestRound replaces span m of the store, by a content that names the round.
func ingestRound(t *testing.T, s *Store, round int64) {
	t.Helper()
	donor := openMem(t, vfs.NewMem())
	defer func() { _ = donor.Close() }()
	b := donor.NewBatch()
	for i := range 40 {
		b.Set([]byte(fmt.Sprintf("m%02d of %d", i, round)), []byte(strings.Repeat("y", 1000)))
	}
	b.Set([]byte("n"), []byte(fmt.Sprint(round)))
	if err := donor.Commit(b); err != nil {
		t.Fatal(err)
	}
	v, err := donor.Pin()
	if err != nil {
		t.Fatal(err)
	}
	im := statetest.Transfer(t, v, s, 0, statetest.Span("m", "n"), statetest.Span("n", "o"))
	_ = v.Close()
	if err := s.Ingest(im, []state.Bounds{statetest.Span("o", "p")}); err != nil {
		t.Fatal(err)
	}
}

func checkMoment(t *testing.T, name string, left vfs.FS, flushed, committed, ingested, begun int64) {
	t.Helper()
	s, err := Open(left, "/data/state", small)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer func() { _ = s.Close() }()
	got := statetest.Content(t, s, nil, nil)
	var n, round int64
	_, _ = fmt.Sscan(got["a first"], &n)
	_, _ = fmt.Sscan(got["n"], &round)
	if n < flushed || n > committed {
		t.Errorf("%s: batch %d is the last; %d was flushed, %d committed", name, n, flushed, committed)
	}
	if round < ingested || round > begun {
		t.Errorf("%s: ingest %d is the last; %d had returned, %d begun", name, round, ingested, begun)
	}
	want := map[string]string{}
	value := strings.Repeat("x", 1500)
	for i := int64(1); i <= n; i++ {
		delete(want, "b1")
		delete(want, "b2")
		want[fmt.Sprintf("b%d", i%10)] = fmt.Sprint(i) + value
		want["a first"], want["z last"] = fmt.Sprint(i), fmt.Sprint(i)
	}
	if round > 0 {
		want["n"] = fmt.Sprint(round)
		for i := range 40 {
			want[fmt.Sprintf("m%02d of %d", i, round)] = strings.Repeat("y", 1000)
		}
	}
	statetest.Same(t, name, got, want)
}

func TestDiskFaultStopsTheStore(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fails func(op errorfs.Op) bool
	}{
		{"new tables", func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst")
		}},
		{"sync of tables", func(op errorfs.Op) bool {
			return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".sst")
		}},
		{"sync of the manifest", func(op errorfs.Op) bool {
			return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.Contains(op.Path, "MANIFEST")
		}},
		{"write of the manifest", func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "MANIFEST")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var broken atomic.Bool
			mem := vfs.NewCrashableMem()
			fault := errors.New("the disk is broken")
			fsys := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && tc.fails(op) {
					return fault
				}
				return nil
			}))
			told := make(chan error, 10)
			opts := small
			opts.OnFatal = func(err error) { told <- err }
			s, err := Open(fsys, "/data/state", opts)
			if err != nil {
				t.Fatal(err)
			}
			statetest.Commit(t, s, "a", "1")
			if err := s.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			statetest.Commit(t, s, "a", "2")
			broken.Store(true)
			if err := s.Flush(context.Background()); !errors.Is(err, state.ErrFailed) || !strings.Contains(err.Error(), fault.Error()) {
				t.Errorf("Flush: %v", err)
			}
			if err := <-told; !strings.Contains(err.Error(), fault.Error()) {
				t.Errorf("OnFatal: %v", err)
			}
			b := s.NewBatch()
			b.Set([]byte("a"), []byte("3"))
			if err := s.Commit(b); !errors.Is(err, state.ErrFailed) {
				t.Errorf("Commit: %v", err)
			}
			if _, _, err := s.Get([]byte("a"), nil); !errors.Is(err, state.ErrFailed) {
				t.Errorf("Get: %v", err)
			}
			if err := s.Close(); !errors.Is(err, state.ErrFailed) {
				t.Errorf("Close: %v", err)
			}
			if len(told) > 0 {
				t.Errorf("OnFatal was told twice: %v", <-told)
			}
			left := openMem(t, mem.CrashClone(vfs.CrashCloneCfg{}))
			defer func() { _ = left.Close() }()
			statetest.Same(t, "what is left", statetest.Content(t, left, nil, nil), map[string]string{"a": "1"})
		})
	}
}

func TestDiskFaultAtOpen(t *testing.T) {
	for n := range 60 {
		var ops atomic.Int64
		fault := errors.New("the disk is broken")
		fsys := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && ops.Add(1) > int64(n) {
				return fault
			}
			return nil
		}))
		s, err := Open(fsys, "/data/state", small)
		if err == nil {
			_ = s.Close()
			continue
		}
		if !strings.Contains(err.Error(), fault.Error()) {
			t.Fatalf("after %d operations: %v", n, err)
		}
	}
}

// TestCorruptBlock: a flipped bit is found, reported with its place, and does
// not hide what is elsewhere.
func TestCorruptBlock(t *testing.T) {
	mem := vfs.NewMem()
	s := openMem(t, mem)
	statetest.Commit(t, s, "a", strings.Repeat("good", 1000))
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, mem)

	told := make(chan error, 10)
	opts := small
	opts.OnFatal = func(err error) { told <- err }
	s, err := Open(mem, "/data/state", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	statetest.Commit(t, s, "b", "fine")
	if _, found, err := s.Get([]byte("a"), nil); found || !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("Get: %v, %v", found, err)
	}
	it, err := s.Iter(nil, nil)
	if err == nil {
		for it.Next() {
			_ = it.Value()
		}
		it.Close()
		err = it.Err()
	}
	if !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("Iter: %v", err)
	}
	var where *CorruptionError
	if err := <-told; !errors.As(err, &where) || !strings.HasSuffix(where.Path, ".sst") || string(where.Lower) != "a" {
		t.Errorf("OnFatal: %v", err)
	}
	if v, found, err := s.Get([]byte("b"), nil); string(v) != "fine" || !found || err != nil {
		t.Errorf("Get elsewhere: %q %v %v", v, found, err)
	}
}

// damage flips a bit at the beginning of every table.
func damage(t *testing.T, mem *vfs.MemFS) {
	t.Helper()
	names, err := mem.List("/data/state/db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := mem.OpenReadWrite("/data/state/db/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, _ = f.ReadAt(b, 20)
		b[0] ^= 1
		if _, err := f.WriteAt(b, 20); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
}

// TestLargeBatch: a batch larger than a memtable is as atomic as any.
func TestLargeBatch(t *testing.T) {
	s := openMem(t, vfs.NewCrashableMem())
	b := s.NewBatch()
	for round := range 3 {
		for i := range 300 {
			b.Set([]byte(fmt.Sprintf("%03d", i)), []byte(fmt.Sprint(round)+strings.Repeat("x", 999)))
		}
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
		if b.Len() != 0 {
			t.Fatal("Commit left the batch full")
		}
	}
	s, err := crash(s, s.fs.(*vfs.MemFS), rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	got := statetest.Content(t, s, nil, nil)
	for k, v := range got {
		if v != got["000"] || len(got) != 300 {
			t.Fatalf("%d keys; key %s is of round %c, key 000 of %c", len(got), k, v[0], got["000"][0])
		}
	}
}

func TestFlushWithContext(t *testing.T) {
	s := openMem(t, vfs.NewMem())
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	statetest.Commit(t, s, "a", "1")
	if err := s.Flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Flush: %v", err)
	}
	if err := s.Flush(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestPebbleFacts pins what the package comment says of Pebble, so that an
// upgrade that changes it is noticed.
func TestPebbleFacts(t *testing.T) {
	s := openMem(t, vfs.NewMem())
	defer func() { _ = s.Close() }()
	if v := s.db.FormatMajorVersion(); v != pebbleFormat {
		t.Errorf("database format %d", v)
	}
	if f := s.db.TableFormat(); f != pebbleFormat.MaxTableFormat() {
		t.Errorf("table format %v", f)
	}
	if !s.popts.DisableWAL || !s.popts.Experimental.DisableIngestAsFlushable() {
		t.Error("the options do not say what durability rests on")
	}
	if err := s.db.Set([]byte("a"), nil, pebble.Sync); err == nil {
		t.Error("a synced write succeeded without a log")
	}
}

// TestIngestOverMemtable: an ingest is durable also when commits to its spans
// come between its own flush and Pebble's ingest.
func TestIngestOverMemtable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openMem(t, mem)
	defer func() { _ = s.Close() }()
	statetest.Commit(t, s, "m old", "1")
	s.durable.Store(s.committed.Load()) // so that Ingest does not flush
	ingestRound(t, s, 1)
	left := openMem(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	defer func() { _ = left.Close() }()
	got := statetest.Content(t, left, nil, nil)
	if len(got) != 41 || got["n"] != "1" {
		t.Errorf("%d keys are left", len(got))
	}
}
