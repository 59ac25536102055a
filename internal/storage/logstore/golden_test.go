package logstore

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

var update = flag.Bool("update", false, "write the golden files anew; only for a new format version")

const goldenDir = "testdata/v1"

// goldenRun writes a log with everything that the format has.
func goldenRun(t *testing.T, s *Store) {
	t.Helper()
	mustAppend(t, s,
		Update{Partition: 0, Replica: 1, Entries: ents(1, 3, 1, 0), HardState: &HardState{Term: 1, Vote: 1, Commit: 3}},
		Update{Partition: 300, Replica: 1 << 40, Reset: &Mark{Index: 1 << 50, Term: 4}, HardState: &HardState{Term: 9}},
		Update{Partition: 7, Replica: 2, Entries: ents(1, 2, 1, 10)},
	)
	for i := uint64(1); i <= 14; i++ {
		mustAppend(t, s, Update{
			Partition: 1, Replica: 3,
			Entries:   ents(i, i, 2+i/8, 200),
			HardState: &HardState{Term: 2 + i/8, Commit: i - 1},
			Truncate:  &Mark{Index: i, Term: 2 + i/8},
		})
	}
	mustAppend(t, s, Update{Partition: 7, Replica: 2, Remove: true})
	mustAppend(t, s, Update{Partition: 0, Replica: 1, Entries: ents(3, 4, 5, 0)})
	mustAppend(t, s, Update{Partition: 0, Replica: 1, HardState: &HardState{Term: 1, Vote: 1, Commit: 4}})
	mustClose(t, s)
}

func wantGolden(t *testing.T, s *Store) {
	t.Helper()
	e := append(ents(1, 2, 1, 0), ents(3, 4, 5, 0)...)
	wantLog(t, s, 0, Mark{}, HardState{Term: 1, Vote: 1, Commit: 4}, e)
	wantLog(t, s, 1, Mark{14, 3}, HardState{Term: 3, Commit: 13}, nil)
	wantLog(t, s, 300, Mark{1 << 50, 4}, HardState{Term: 9}, []*raftpb.Entry{})
	if n := len(s.Replicas()); n != 3 {
		t.Errorf("%d replicas", n)
	}
}

// TestGolden: the frozen format is still written, byte for byte, and read.
func TestGolden(t *testing.T) {
	fs := newFS(t)
	goldenRun(t, mustOpen(t, fs, 700))
	got := files(t, fs)
	if *update {
		if err := os.MkdirAll(goldenDir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, b := range got {
			if err := os.WriteFile(filepath.Join(goldenDir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden files", err)
	}
	if len(got) != len(paths) {
		t.Errorf("%d segments written, %d golden ones", len(got), len(paths))
	}
	golden := make(map[string][]byte)
	kinds := make(map[recordType]bool)
	for _, path := range paths {
		name := filepath.Base(path)
		if golden[name], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(golden[name], got[name]) {
			t.Errorf("%s: the bytes written are not the golden ones", name)
		}
		seq, _ := parseSegmentName(name)
		ends := recordEnds(t, golden[name], seq)
		for _, off := range ends[:len(ends)-1] {
			rec, _, _ := recordHeader(golden[name], seq, off)
			kinds[rec.typ] = true
		}
	}
	if len(kinds) != 3 {
		t.Errorf("record types in the golden files: %v", kinds)
	}
	s := mustOpen(t, fsOf(t, golden), 0)
	wantGolden(t, s)
	mustClose(t, s)
}
