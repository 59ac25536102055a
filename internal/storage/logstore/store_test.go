package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"coterie/internal/base"
)

const testDir = "data/log"

// ent makes an entry whose data names it.
func ent(index, term uint64, size int) *raftpb.Entry {
	data := []byte(fmt.Sprintf("%d@%d;", index, term))
	for len(data) < size {
		data = append(data, byte(index)+byte(len(data)))
	}
	typ := raftpb.EntryNormal
	if index%7 == 0 {
		typ = raftpb.EntryConfChangeV2
	}
	return &raftpb.Entry{Index: &index, Term: &term, Type: &typ, Data: data}
}

// ents makes entries lo..hi, hi included.
func ents(lo, hi, term uint64, size int) (es []*raftpb.Entry) {
	for i := lo; i <= hi; i++ {
		es = append(es, ent(i, term, size))
	}
	return es
}

func newFS(t testing.TB) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "data"} {
		d, err := fs.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// mustOpen opens the log with segments of that size, by default of 64 KiB.
func mustOpen(t testing.TB, fs vfs.FS, segmentBytes int64) *Store {
	t.Helper()
	if segmentBytes == 0 {
		segmentBytes = 64 << 10
	}
	s, err := Open(fs, testDir, Options{SegmentBytes: segmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustAppend(t testing.TB, s *Store, updates ...Update) {
	t.Helper()
	if err := s.Append(updates); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func sameEntry(a, b *raftpb.Entry) bool {
	return a.GetIndex() == b.GetIndex() && a.GetTerm() == b.GetTerm() &&
		a.GetType() == b.GetType() && bytes.Equal(a.GetData(), b.GetData())
}

// wantLog checks the replica's whole log.
func wantLog(t testing.TB, s *Store, p base.PartitionID, mark Mark, hard HardState, want []*raftpb.Entry) {
	t.Helper()
	st, ok := s.State(p)
	if !ok {
		t.Fatalf("partition %d is not there", p)
	}
	if st.Mark != mark || st.HardState != hard || st.First != mark.Index+1 || st.Last != mark.Index+uint64(len(want)) {
		t.Fatalf("partition %d: %+v; want mark %v, %d entries, hard state %v", p, st, mark, len(want), hard)
	}
	if term, err := s.Term(p, mark.Index); err != nil || term != mark.Term {
		t.Fatalf("partition %d: term of the mark %d, %v; want %v", p, term, err, mark)
	}
	if len(want) == 0 {
		return
	}
	got, err := s.Entries(p, st.First, st.Last+1, 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("partition %d: %d entries, want %d", p, len(got), len(want))
	}
	for i, e := range want {
		if !sameEntry(got[i], e) {
			t.Fatalf("partition %d: entry %v, want %v", p, got[i], e)
		}
		if term, err := s.Term(p, e.GetIndex()); err != nil || term != e.GetTerm() {
			t.Fatalf("partition %d: term of %d is %d, %v; want %d", p, e.GetIndex(), term, err, e.GetTerm())
		}
	}
}

func TestAppendAndReopen(t *testing.T) {
	e := ents(1, 10, 1, 20)
	hs := HardState{Term: 1, Vote: 2, Commit: 3}
	add := Update{Partition: 4, Replica: 9, Entries: e, HardState: &hs}
	hs3 := HardState{Term: 3, Vote: 2, Commit: 3}
	for _, tc := range []struct {
		name    string
		updates []Update
		mark    Mark
		hard    HardState
		want    []*raftpb.Entry
		gone    bool
	}{
		{"append", []Update{add}, Mark{}, hs, e, false},
		{"append twice in a batch", []Update{add, {Partition: 4, Replica: 9, Entries: ents(11, 12, 2, 5)}},
			Mark{}, hs, append(ents(1, 10, 1, 20), ents(11, 12, 2, 5)...), false},
		{"replace a suffix", []Update{add, {Partition: 4, Replica: 9, Entries: ents(4, 6, 3, 9), HardState: &hs3}},
			Mark{}, hs3, append(ents(1, 3, 1, 20), ents(4, 6, 3, 9)...), false},
		{"replace all", []Update{add, {Partition: 4, Replica: 9, Entries: ents(1, 1, 3, 9)}},
			Mark{}, hs, ents(1, 1, 3, 9), false},
		{"truncate", []Update{add, {Partition: 4, Replica: 9, Truncate: &Mark{4, 1}}}, Mark{4, 1}, hs, e[4:], false},
		{"truncate all", []Update{add, {Partition: 4, Replica: 9, Truncate: &Mark{10, 1}}}, Mark{10, 1}, hs, nil, false},
		{"truncate backwards", []Update{add, {Partition: 4, Replica: 9, Truncate: &Mark{4, 1}},
			{Partition: 4, Replica: 9, Truncate: &Mark{2, 1}}}, Mark{4, 1}, hs, e[4:], false},
		{"append and truncate", []Update{{Partition: 4, Replica: 9, Entries: e, HardState: &hs, Truncate: &Mark{7, 1}}},
			Mark{7, 1}, hs, e[7:], false},
		{"reset", []Update{add, {Partition: 4, Replica: 9, Reset: &Mark{50, 2}}}, Mark{50, 2}, hs, nil, false},
		{"reset and append", []Update{add, {Partition: 4, Replica: 9, Reset: &Mark{50, 2}, Entries: ents(51, 53, 2, 3)}},
			Mark{50, 2}, hs, ents(51, 53, 2, 3), false},
		{"reset backwards", []Update{add, {Partition: 4, Replica: 9, Reset: &Mark{2, 1}}}, Mark{2, 1}, hs, nil, false},
		{"remove", []Update{add, {Partition: 4, Replica: 9, Remove: true}}, Mark{}, hs, nil, true},
		{"remove what is not there", []Update{{Partition: 4, Replica: 9, Remove: true}}, Mark{}, hs, nil, true},
		{"next replica", []Update{add, {Partition: 4, Replica: 9, Remove: true},
			{Partition: 4, Replica: 10, Entries: ents(1, 2, 5, 0)}}, Mark{}, HardState{}, ents(1, 2, 5, 0), false},
		{"hard state only", []Update{{Partition: 4, Replica: 9, HardState: &hs}}, Mark{}, hs, nil, false},
		{"commit only", []Update{add, {Partition: 4, Replica: 9, HardState: &HardState{1, 2, 8}}},
			Mark{}, HardState{1, 2, 8}, e, false},
	} {
		for _, batched := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/batched=%v", tc.name, batched), func(t *testing.T) {
				fs := newFS(t)
				s := mustOpen(t, fs, 0)
				if batched {
					mustAppend(t, s, tc.updates...)
				} else {
					for _, u := range tc.updates {
						mustAppend(t, s, u)
					}
				}
				for range 3 {
					if tc.gone {
						if st, ok := s.State(4); ok || len(s.Replicas()) != 0 {
							t.Fatalf("still there: %+v", st)
						}
					} else {
						wantLog(t, s, 4, tc.mark, tc.hard, tc.want)
					}
					mustClose(t, s)
					s = mustOpen(t, fs, 0)
				}
				mustClose(t, s)
			})
		}
	}
}

func TestInvalidUpdates(t *testing.T) {
	s := mustOpen(t, newFS(t), 0)
	defer s.Close()
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: ents(1, 10, 5, 10), Truncate: &Mark{3, 5}})
	gap := append(ents(11, 11, 5, 1), ents(13, 13, 5, 1)...)
	badType := ent(11, 5, 1)
	badType.Type = raftpb.EntryType(1000).Enum()
	for name, us := range map[string][]Update{
		"gap behind the log":     {{Partition: 1, Replica: 1, Entries: ents(12, 12, 5, 1)}},
		"gap in entries":         {{Partition: 1, Replica: 1, Entries: gap}},
		"entries below the mark": {{Partition: 1, Replica: 1, Entries: ents(3, 5, 5, 1)}},
		"term goes back":         {{Partition: 1, Replica: 1, Entries: ents(11, 11, 4, 1)}},
		"type":                   {{Partition: 1, Replica: 1, Entries: []*raftpb.Entry{badType}}},
		"truncation too far":     {{Partition: 1, Replica: 1, Truncate: &Mark{11, 5}}},
		"truncation's term":      {{Partition: 1, Replica: 1, Truncate: &Mark{9, 4}}},
		"another replica":        {{Partition: 1, Replica: 2, HardState: &HardState{Term: 1}}},
		"remove another":         {{Partition: 1, Replica: 2, Remove: true}},
		"second of a batch": {{Partition: 1, Replica: 1, Entries: ents(11, 12, 5, 1)},
			{Partition: 1, Replica: 1, Entries: ents(14, 14, 5, 1)}},
		"new log with a gap": {{Partition: 7, Replica: 2, Entries: ents(2, 2, 5, 1)}},
	} {
		if err := s.Append(us); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
		wantLog(t, s, 1, Mark{3, 5}, HardState{}, ents(4, 10, 5, 10))
	}
	if _, ok := s.State(7); ok {
		t.Error("a refused update created a replica")
	}
}

func TestReadErrors(t *testing.T) {
	s := mustOpen(t, newFS(t), 0)
	defer s.Close()
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: ents(1, 10, 5, 100), Truncate: &Mark{3, 5}})
	for _, tc := range []struct {
		lo, hi, max uint64
		n           int
		err         error
	}{
		{4, 11, 1 << 40, 7, nil},
		{4, 11, 0, 1, nil},
		{4, 11, 250, 2, nil},
		{5, 6, 1, 1, nil},
		{5, 5, 1, 0, nil},
		{3, 5, 1, 0, raft.ErrCompacted},
		{4, 12, 1, 0, raft.ErrUnavailable},
		{11, 12, 1, 0, raft.ErrUnavailable},
	} {
		es, err := s.Entries(1, tc.lo, tc.hi, tc.max)
		if len(es) != tc.n || err != tc.err {
			t.Errorf("Entries(%d, %d, %d): %d entries, %v", tc.lo, tc.hi, tc.max, len(es), err)
		}
	}
	for index, want := range map[uint64]error{2: raft.ErrCompacted, 3: nil, 4: nil, 10: nil, 11: raft.ErrUnavailable} {
		if _, err := s.Term(1, index); err != want {
			t.Errorf("Term(%d): %v", index, err)
		}
	}
	if _, err := s.Entries(2, 1, 2, 1); err != raft.ErrUnavailable {
		t.Error(err)
	}
	if _, err := s.Term(2, 0); err != raft.ErrUnavailable {
		t.Error(err)
	}
}

// TestSyncs counts what reaches the disk: commit indexes and truncations by
// themselves cost nothing.
func TestSyncs(t *testing.T) {
	fs := &countingFS{FS: newFS(t)}
	s := mustOpen(t, fs, 0)
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: ents(1, 10, 5, 100), HardState: &HardState{Term: 5}})
	for _, tc := range []struct {
		name  string
		u     Update
		syncs int
	}{
		{"commit", Update{Partition: 1, Replica: 1, HardState: &HardState{Term: 5, Commit: 4}}, 0},
		{"truncate", Update{Partition: 1, Replica: 1, Truncate: &Mark{3, 5}}, 0},
		{"nothing", Update{Partition: 1, Replica: 1}, 0},
		{"vote", Update{Partition: 1, Replica: 1, HardState: &HardState{Term: 5, Vote: 1, Commit: 4}}, 1},
		{"term", Update{Partition: 1, Replica: 1, HardState: &HardState{Term: 6, Commit: 4}}, 1},
		{"entries", Update{Partition: 1, Replica: 1, Entries: ents(11, 12, 6, 1)}, 1},
		{"reset", Update{Partition: 1, Replica: 1, Reset: &Mark{20, 6}}, 1},
		{"remove", Update{Partition: 1, Replica: 1, Remove: true}, 1},
		{"remove again", Update{Partition: 1, Replica: 1, Remove: true}, 0},
		{"new replica", Update{Partition: 2, Replica: 1, HardState: &HardState{Commit: 1}}, 1},
	} {
		syncs, writes := fs.syncs, fs.writes
		mustAppend(t, s, tc.u)
		if fs.syncs-syncs != tc.syncs || fs.writes-writes != tc.syncs {
			t.Errorf("%s: %d syncs, %d writes, want %d", tc.name, fs.syncs-syncs, fs.writes-writes, tc.syncs)
		}
	}
	mustClose(t, s)
}

// TestHeldUpdatesJoinTheNextRecord loses what was only remembered in a crash,
// and keeps it once anything else was written.
func TestHeldUpdatesJoinTheNextRecord(t *testing.T) {
	fs := newFS(t)
	s := mustOpen(t, fs, 0)
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: ents(1, 10, 5, 10), HardState: &HardState{Term: 5}})
	mustAppend(t, s, Update{Partition: 1, Replica: 1, HardState: &HardState{Term: 5, Commit: 8}, Truncate: &Mark{3, 5}})
	wantLog(t, s, 1, Mark{3, 5}, HardState{Term: 5, Commit: 8}, ents(4, 10, 5, 10))

	crashed := mustOpen(t, fs.CrashClone(vfs.CrashCloneCfg{}), 0)
	wantLog(t, crashed, 1, Mark{}, HardState{Term: 5}, ents(1, 10, 5, 10))
	mustClose(t, crashed)

	mustAppend(t, s, Update{Partition: 2, Replica: 1, Entries: ents(1, 1, 5, 10)})
	crashed = mustOpen(t, fs.CrashClone(vfs.CrashCloneCfg{}), 0)
	wantLog(t, crashed, 1, Mark{3, 5}, HardState{Term: 5, Commit: 8}, ents(4, 10, 5, 10))
	mustClose(t, crashed)
	mustClose(t, s)
}

func TestRotationAndRemoval(t *testing.T) {
	fs := newFS(t)
	s := mustOpen(t, fs, 8<<10)
	for i := uint64(1); i <= 200; i++ {
		u := Update{Partition: 1, Replica: 1, Entries: ents(i, i, 1, 1000)}
		if i > 10 {
			u.Truncate = &Mark{i - 10, 1}
		}
		mustAppend(t, s, u)
		if bytes, n := s.Size(); n > 4 || bytes > 4*8<<10 {
			t.Fatalf("after %d: %d segments, %d bytes", i, n, bytes)
		}
	}
	wantLog(t, s, 1, Mark{190, 1}, HardState{}, ents(191, 200, 1, 1000))
	// A truncation that frees segments needs no other write to do it.
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Truncate: &Mark{200, 1}})
	if _, n := s.Size(); n != 1 {
		t.Errorf("%d segments", n)
	}
	s = reopen(t, fs.CrashClone(vfs.CrashCloneCfg{}), s, 8<<10)
	wantLog(t, s, 1, Mark{200, 1}, HardState{}, nil)
	mustClose(t, s)
}

// reopen closes s, and opens the store on fs, which may be another one.
func reopen(t testing.TB, fs vfs.FS, s *Store, segmentBytes int64) *Store {
	t.Helper()
	mustClose(t, s)
	return mustOpen(t, fs, segmentBytes)
}

// TestSlowReplicaDoesNotPinTheLog has one replica keep a few old entries
// while another one is busy, over restarts too.
func TestSlowReplicaDoesNotPinTheLog(t *testing.T) {
	const segment = 8 << 10
	fs := newFS(t)
	s := mustOpen(t, fs, segment)
	slow := ents(1, 5, 1, 300)
	mustAppend(t, s, Update{Partition: 9, Replica: 1, Entries: slow})
	for i := uint64(1); i <= 400; i++ {
		u := Update{Partition: 1, Replica: 1, Entries: ents(i, i, 1, 1000)}
		if i > 2 {
			u.Truncate = &Mark{i - 2, 1}
		}
		mustAppend(t, s, u)
		if bytes, n := s.Size(); n > 6 || bytes > 6*segment {
			t.Fatalf("after %d: %d segments, %d bytes", i, n, bytes)
		}
		if i%97 == 0 {
			s = reopen(t, fs, s, segment)
		}
		wantLog(t, s, 9, Mark{}, HardState{}, slow)
	}
	mustClose(t, s)
}

// TestRestartsDoNotPileUpSegments leaves a few entries behind in each run.
func TestRestartsDoNotPileUpSegments(t *testing.T) {
	fs := newFS(t)
	s := mustOpen(t, fs, 8<<10)
	var want []*raftpb.Entry
	for i := uint64(1); i <= 60; i++ {
		e := ents(i, i, i, 10)
		want = append(want, e...)
		mustAppend(t, s, Update{Partition: 9, Replica: 1, Entries: e})
		s = reopen(t, fs, s, 8<<10)
		if _, n := s.Size(); n > spareSegments+5 {
			t.Fatalf("after %d restarts: %d segments", i, n)
		}
	}
	wantLog(t, s, 9, Mark{}, HardState{}, want)
	mustClose(t, s)
}

// TestBigRecords has records bigger than a segment, and than a read.
func TestBigRecords(t *testing.T) {
	fs := newFS(t)
	s := mustOpen(t, fs, 64<<10)
	es := append(ents(1, 3, 1, 700<<10), ents(4, 6, 1, 10)...)
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: es[:2]})
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: es[2:]})
	wantLog(t, s, 1, Mark{}, HardState{}, es)
	s = reopen(t, fs, s, 64<<10)
	wantLog(t, s, 1, Mark{}, HardState{}, es)
	mustClose(t, s)
}

func TestClosed(t *testing.T) {
	s := mustOpen(t, newFS(t), 0)
	mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: ents(1, 1, 1, 1)})
	mustClose(t, s)
	mustClose(t, s)
	if err := s.Append(nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := s.Entries(1, 1, 2, 1); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestConcurrentReads reads while the writer appends, truncates, replaces and
// removes segments under the readers.
func TestConcurrentReads(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open(fs, "log", Options{SegmentBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, Update{Partition: 9, Replica: 1, Entries: ents(1, 20, 1, 50)})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				st, ok := s.State(1)
				if !ok || st.First > st.Last {
					continue
				}
				es, err := s.Entries(1, st.First, st.Last+1, 1<<20)
				if err != nil && err != raft.ErrCompacted && err != raft.ErrUnavailable {
					t.Errorf("Entries: %v", err)
					return
				}
				for i, e := range es {
					if !sameEntry(e, ent(st.First+uint64(i), e.GetTerm(), 200)) {
						t.Errorf("entry %v at %d", e, st.First+uint64(i))
						return
					}
				}
				if es, err := s.Entries(9, 1, 21, 1<<20); err != nil || len(es) != 20 {
					t.Errorf("%d entries, %v", len(es), err)
					return
				}
				s.Replicas()
				s.Size()
			}
		})
	}
	term := uint64(1)
	for n, i := 0, uint64(1); i < 1500; n, i = n+1, i+2 {
		if n%25 == 24 {
			term++
			i -= 4
		}
		u := Update{Partition: 1, Replica: 1, Entries: ents(i, i+2, term, 200)}
		mustAppend(t, s, u)
		if i > 60 && i%5 == 0 {
			at, err := s.Term(1, i-50)
			if err != nil {
				t.Fatal(err)
			}
			mustAppend(t, s, Update{Partition: 1, Replica: 1, Truncate: &Mark{i - 50, at}})
		}
	}
	close(stop)
	wg.Wait()
	mustClose(t, s)
}
