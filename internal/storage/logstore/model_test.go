package logstore

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"coterie/internal/base"
)

// model is what a store should hold; its values are never changed in place.
type model map[base.PartitionID]modelLog

type modelLog struct {
	replica base.ReplicaID
	mark    Mark
	hard    HardState
	entries []*raftpb.Entry
}

func (l modelLog) last() uint64 { return l.mark.Index + uint64(len(l.entries)) }

func (l modelLog) term(index uint64) uint64 {
	if index == l.mark.Index {
		return l.mark.Term
	}
	return l.entries[index-l.mark.Index-1].GetTerm()
}

// with is the model after u, and whether u must be durable.
func (m model) with(u Update) (model, bool) {
	m, durable := maps.Clone(m), false
	if u.Remove {
		_, durable = m[u.Partition]
		delete(m, u.Partition)
	}
	if u.Reset == nil && len(u.Entries) == 0 && u.HardState == nil && u.Truncate == nil {
		return m, durable
	}
	l, ok := m[u.Partition]
	if !ok {
		l, durable = modelLog{replica: u.Replica}, true
	}
	if u.Reset != nil {
		l.mark, l.entries, durable = *u.Reset, nil, true
	}
	if len(u.Entries) > 0 {
		keep := u.Entries[0].GetIndex() - l.mark.Index - 1
		l.entries, durable = append(slices.Clone(l.entries[:keep]), u.Entries...), true
	}
	if u.HardState != nil {
		durable = durable || u.HardState.Term != l.hard.Term || u.HardState.Vote != l.hard.Vote
		l.hard = *u.HardState
	}
	if u.Truncate != nil && u.Truncate.Index > l.mark.Index {
		l.entries = l.entries[u.Truncate.Index-l.mark.Index:]
		l.mark = *u.Truncate
	}
	m[u.Partition] = l
	return m, durable
}

// differs says how the store differs from the model; "" if it does not.
func (m model) differs(s *Store) string {
	if n := len(s.Replicas()); n != len(m) {
		return fmt.Sprintf("%d replicas, want %d", n, len(m))
	}
	for p, l := range m {
		want := State{Partition: p, Replica: l.replica, First: l.mark.Index + 1, Last: l.last(), Mark: l.mark, HardState: l.hard}
		if st, _ := s.State(p); st != want {
			return fmt.Sprintf("%+v, want %+v", st, want)
		}
		if len(l.entries) == 0 {
			continue
		}
		es, err := s.Entries(p, want.First, want.Last+1, 1<<40)
		if err != nil {
			return err.Error()
		}
		if !slices.EqualFunc(es, l.entries, sameEntry) {
			return fmt.Sprintf("partition %d: entries differ", p)
		}
		for i := want.First - 1; i <= want.Last; i++ {
			if term, err := s.Term(p, i); err != nil || term != l.term(i) {
				return fmt.Sprintf("partition %d: term of %d is %d, %v", p, i, term, err)
			}
		}
	}
	return ""
}

// machine drives a store and the model side by side.
type machine struct {
	segmentBytes int64
	mem          *vfs.MemFS
	s            *Store
	// history holds the model after each Append since the last reopening;
	// what is before durable may not be lost.
	history []model
	durable int
	nextID  base.ReplicaID
	// ops counts operations on the file system; at crashAt a crash's picture is taken.
	ops, crashAt int
	crash        vfs.CrashCloneCfg
	picture      *vfs.MemFS
}

func (m *machine) now() model { return m.history[len(m.history)-1] }

func (m *machine) open(t *rapid.T, mem *vfs.MemFS) {
	m.mem = mem
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			if m.ops++; m.ops == m.crashAt {
				m.picture = mem.CrashClone(m.crash)
			}
		}
		return nil
	}))
	s, err := Open(fs, testDir, Options{SegmentBytes: m.segmentBytes})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	m.s = s
}

// update draws an update that fits the log.
func (m *machine) update(t *rapid.T, now model) Update {
	p := base.PartitionID(rapid.IntRange(0, 3).Draw(t, "partition"))
	l, ok := now[p]
	u := Update{Partition: p, Replica: l.replica}
	if ok && rapid.IntRange(0, 30).Draw(t, "remove") == 0 {
		u.Remove = true
		return u
	}
	if !ok {
		m.nextID++
		u.Replica = m.nextID
	}
	if rapid.IntRange(0, 20).Draw(t, "reset") == 0 {
		u.Reset = &Mark{l.last() + rapid.Uint64Range(0, 20).Draw(t, "ahead"), l.term(l.last()) + 1}
		l.mark, l.entries = *u.Reset, nil
	}
	if n := rapid.Uint64Range(0, 5).Draw(t, "entries"); n > 0 {
		first := l.last() + 1
		if back := rapid.Uint64Range(0, 40).Draw(t, "back"); back < 4 {
			first -= min(back, uint64(len(l.entries)))
		}
		term := l.term(first-1) + rapid.SampledFrom([]uint64{0, 0, 0, 1, 3}).Draw(t, "term")
		if first <= l.last() {
			term = l.term(l.last()) + 1
		}
		u.Entries = ents(first, first+n-1, term, rapid.SampledFrom([]int{0, 20, 300}).Draw(t, "size"))
		keep := first - l.mark.Index - 1
		l.entries = append(slices.Clone(l.entries[:keep]), u.Entries...)
	}
	switch rapid.IntRange(0, 4).Draw(t, "hard state") {
	case 0:
		u.HardState = &HardState{Term: l.hard.Term + 1, Vote: l.hard.Vote, Commit: l.hard.Commit}
	case 1, 2:
		u.HardState = &HardState{Term: l.hard.Term, Vote: l.hard.Vote, Commit: l.last()}
	}
	// Partition 3 is slow, and keeps its entries.
	if len(l.entries) > 0 && (p != 3 || len(l.entries) > 40) && rapid.IntRange(0, 2).Draw(t, "truncate") == 0 {
		i := rapid.Uint64Range(l.mark.Index+1, l.last()).Draw(t, "index")
		u.Truncate = &Mark{i, l.term(i)}
	}
	return u
}

func (m *machine) append(t *rapid.T) {
	now, durable := m.now(), false
	var updates []Update
	for range rapid.IntRange(1, 4).Draw(t, "updates") {
		u := m.update(t, now)
		next, d := now.with(u)
		now, durable = next, durable || d
		updates = append(updates, u)
	}
	if rapid.IntRange(0, 3).Draw(t, "crash within") == 0 {
		m.crashWithin(t, updates, now, durable)
		return
	}
	m.appended(t, updates, now, durable)
}

func (m *machine) appended(t *rapid.T, updates []Update, next model, durable bool) {
	if err := m.s.Append(updates); err != nil {
		t.Fatalf("Append: %v", err)
	}
	m.history = append(m.history, next)
	if durable {
		m.durable = len(m.history) - 1
	}
}

func (m *machine) drawCrash(t *rapid.T) vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 20, 50, 80, 100}).Draw(t, "unsynced kept"),
		RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)),
	}
}

// crashWithin appends, and goes on with what a crash in the middle of it left.
func (m *machine) crashWithin(t *rapid.T, updates []Update, next model, durable bool) {
	m.crash, m.picture = m.drawCrash(t), nil
	m.crashAt = m.ops + rapid.IntRange(1, 12).Draw(t, "operation")
	before := m.durable
	m.appended(t, updates, next, durable)
	m.crashAt = 0
	if m.picture != nil {
		m.durable = before // the picture is older than the acknowledgement
		m.restart(t, m.picture)
	}
}

// restart goes on with what a crash left: a state of the history that is not
// older than what was acknowledged as durable.
func (m *machine) restart(t *rapid.T, crashed *vfs.MemFS) {
	if err := m.s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	m.open(t, crashed)
	var reasons []string
	for i := len(m.history) - 1; i >= m.durable; i-- {
		why := m.history[i].differs(m.s)
		if why == "" {
			m.history, m.durable = []model{m.history[i]}, 0
			return
		}
		reasons = append(reasons, why)
	}
	t.Fatalf("after a crash the store is in none of the states that it may be in: %v", reasons)
}

// TestModel compares random histories with a model, over clean restarts and
// crashes that keep a random part of what was not synced.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{
			segmentBytes: rapid.SampledFrom([]int64{600, 2000, 9000, 1 << 17}).Draw(t, "segment bytes"),
			history:      []model{{}},
		}
		mem := vfs.NewCrashableMem()
		root, err := mem.OpenDir("")
		if err == nil {
			err = mem.MkdirAll("data", 0o755)
		}
		if err == nil {
			err = root.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
		m.open(t, mem)
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append again": m.append, "and again": m.append,
			"crash": func(t *rapid.T) {
				m.restart(t, m.mem.CrashClone(m.drawCrash(t)))
			},
			"crash in Open": func(t *rapid.T) {
				m.crash, m.picture = m.drawCrash(t), nil
				left := m.mem.CrashClone(m.drawCrash(t))
				m.crashAt = m.ops + rapid.IntRange(1, 10).Draw(t, "operation")
				picture := left
				if err := m.s.Close(); err != nil {
					t.Fatal(err)
				}
				m.ops = m.crashAt - 1 - rapid.IntRange(0, 8).Draw(t, "operation in Open")
				m.open(t, left)
				m.crashAt = 0
				if m.picture != nil {
					picture = m.picture
				}
				m.restart(t, picture)
			},
			"reopen": func(t *rapid.T) {
				if err := m.s.Close(); err != nil {
					t.Fatal(err)
				}
				m.open(t, m.mem)
				m.history, m.durable = []model{m.now()}, 0
			},
			"": func(t *rapid.T) {
				if why := m.now().differs(m.s); why != "" {
					t.Fatal(why)
				}
				checkLive(t, m.s)
			},
		})
		if err := m.s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// checkLive counts the live entries of each segment anew.
func checkLive(t *rapid.T, s *Store) {
	type count struct {
		live  int
		bytes int64
	}
	counts := make(map[uint64]count)
	for _, r := range s.mu.replicas {
		for _, l := range r.locs {
			c := counts[uint64(l.segment)]
			counts[uint64(l.segment)] = count{c.live + 1, c.bytes + int64(l.size)}
		}
	}
	for _, g := range s.mu.segments {
		if c := counts[g.seq]; c.live != g.live || c.bytes != g.liveBytes {
			t.Fatalf("segment %d counts %d live entries of %d bytes; there are %+v", g.seq, g.live, g.liveBytes, c)
		}
		delete(counts, g.seq)
	}
	if len(counts) > 0 {
		t.Fatalf("live entries in segments that are gone: %v", counts)
	}
}
