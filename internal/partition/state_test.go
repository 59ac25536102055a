package partition

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/storage/logstore"

	"go.etcd.io/raft/v3"
)

var updateGolden = flag.Bool("partition.update", false, "write the golden state records anew; only for a new version of the format")

// states are records of every shape.
func states() []State {
	return []State{
		{},
		{
			Index: 1, Term: 1, NextObjectID: 1, Span: base.Span{Lo: 0, Hi: base.NumSlots}, Epoch: 1,
			Conf: Conf{Voters: []uint64{1}}, Members: map[base.ReplicaID]base.NodeID{1: 1},
		},
		{
			Index: 1 << 40, Term: 300, RoundTerm: 299, Round: 70_000, Stamp: 1_700_000_000_000_000, NextObjectID: 12345,
			Span: base.Span{Lo: 5461, Hi: 10922}, Epoch: 9,
			Conf: Conf{
				Voters: []uint64{2, 5, 9}, Learners: []uint64{11}, VotersOutgoing: []uint64{2, 3, 5},
				LearnersNext: []uint64{3}, AutoLeave: true,
			},
			Members: map[base.ReplicaID]base.NodeID{2: 1, 3: 2, 5: 3, 9: 4, 11: 200},
		},
		{
			Index: 5, Term: 1, RoundTerm: 1, Round: 3, Stamp: 99, NextObjectID: 1, Span: base.Span{Lo: 0, Hi: base.NumSlots}, Epoch: 1,
			Conf: Conf{Voters: []uint64{1}}, Members: map[base.ReplicaID]base.NodeID{1: 1}, Answers: someAnswers(),
		},
	}
}

// someAnswers are of a gateway with replies, and of one that has them all.
func someAnswers() Answers {
	m := Answers{}
	for i := range uint64(2) {
		a := effects.Answers{Gateway: 3, LowWater: 1<<44 + 5}
		a.Add(1<<44+7+2*i, []byte("+OK\r\n"), 0)
		a.Add(1<<44+8+2*i, []byte(":1\r\n"), 1<<44+7+2*i)
		m.note(a)
	}
	m.note(effects.Answers{Gateway: 200, LowWater: 1<<44 + 70})
	return m
}

// TestStateGolden: the bytes of a version never change.
func TestStateGolden(t *testing.T) {
	const file = "testdata/state.golden"
	var lines []string
	for _, s := range states() {
		lines = append(lines, hex.EncodeToString(AppendState(nil, &s)))
	}
	if *updateGolden {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Fields(string(b)) {
		if line != lines[i] {
			t.Errorf("record %d is %s, was %s", i, lines[i], line)
		}
		raw, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		s, err := DecodeState(raw)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		want := states()[i]
		if want.Members == nil {
			want.Members = map[base.ReplicaID]base.NodeID{}
		}
		if want.Answers == nil {
			want.Answers = Answers{}
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("record %d decodes to %+v, want %+v", i, s, want)
		}
		for n := range raw {
			if _, err := DecodeState(raw[:n]); !errors.Is(err, ErrState) {
				t.Errorf("record %d cut to %d bytes: %v", i, n, err)
			}
		}
		if _, err := DecodeState(append(raw, 0)); !errors.Is(err, ErrState) {
			t.Errorf("record %d with a byte too many: %v", i, err)
		}
	}
	if _, err := DecodeState([]byte{StateVersion + 1, 0}); !errors.Is(err, ErrState) {
		t.Errorf("a newer version: %v", err)
	}
}

func FuzzDecodeState(f *testing.F) {
	for _, s := range states() {
		f.Add(AppendState(nil, &s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(b)
		if err != nil {
			return
		}
		again, err := DecodeState(AppendState(nil, &s))
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v, then %+v (%v)", s, again, err)
		}
	})
}

func FuzzDecodeMembers(f *testing.F) {
	f.Add(AppendMembers(nil, map[base.ReplicaID]base.NodeID{1: 2, 300: 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMembers(b)
		if err != nil {
			return
		}
		if again, err := DecodeMembers(AppendMembers(nil, m)); err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%v, then %v (%v)", m, again, err)
		}
	})
}

// TestReconcile: the log goes on where it holds the applied entry, and starts
// anew there where it does not. Term and vote stay.
func TestReconcile(t *testing.T) {
	terms := func(from, to, term uint64) func(uint64) (uint64, error) {
		return func(i uint64) (uint64, error) {
			if i < from || i > to {
				return 0, raft.ErrUnavailable
			}
			return term, nil
		}
	}
	hard := logstore.HardState{Term: 7, Vote: 3, Commit: 9}
	for _, x := range []struct {
		name         string
		index, term  uint64
		mark         logstore.Mark
		last         uint64
		at           func(uint64) (uint64, error)
		reset        bool
		commit, hard uint64
	}{
		{"empty", 0, 0, logstore.Mark{}, 0, terms(0, 0, 0), false, 9, 7},
		{"at the mark", 10, 2, logstore.Mark{Index: 10, Term: 2}, 10, terms(10, 10, 2), false, 9, 7},
		{"within", 12, 2, logstore.Mark{Index: 10, Term: 2}, 20, terms(10, 20, 2), false, 9, 7},
		{"another term", 12, 3, logstore.Mark{Index: 10, Term: 2}, 20, terms(10, 20, 2), true, 12, 7},
		{"beyond the log", 30, 2, logstore.Mark{Index: 10, Term: 2}, 20, terms(10, 20, 2), true, 30, 7},
		{"of a later term", 30, 8, logstore.Mark{Index: 10, Term: 2}, 20, terms(10, 20, 2), true, 30, 8},
	} {
		l := logstore.State{Partition: 4, Replica: 5, First: x.mark.Index + 1, Mark: x.mark, Last: x.last, HardState: hard}
		up := Reconcile(&State{Index: x.index, Term: x.term}, &l, x.at)
		if (up != nil) != x.reset {
			t.Errorf("%s: %+v", x.name, up)
			continue
		}
		if l.HardState != (logstore.HardState{Term: x.hard, Vote: 3, Commit: x.commit}) {
			t.Errorf("%s: hard state %+v", x.name, l.HardState)
		}
		if up != nil && (*up.Reset != logstore.Mark{Index: x.index, Term: x.term} || up.Partition != 4 || up.Replica != 5 ||
			*up.HardState != l.HardState || l.Last != x.index || l.Mark != *up.Reset || l.First != x.index+1) {
			t.Errorf("%s: %+v, log %+v", x.name, up, l)
		}
	}
}

// TestAppendStateIsAppending: what is there stays.
func TestAppendStateIsAppending(t *testing.T) {
	s := states()[2]
	if b := AppendState([]byte("x"), &s); !bytes.Equal(b[1:], AppendState(nil, &s)) || b[0] != 'x' {
		t.Errorf("%x", b)
	}
}

// FuzzTxnRecords: records of transactions survive any bytes, and come back as
// they were written.
func FuzzTxnRecords(f *testing.F) {
	f.Add((&intent{stamp: 7, participants: []base.PartitionID{1, 3}, slots: []base.Slot{0, 16383}, body: []byte("body")}).encode())
	f.Add((&verdict{committed: true, participants: []base.PartitionID{1, 3}}).encode())
	f.Add((&verdict{}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := decodeIntent(b); err == nil {
			if again, err := decodeIntent(i.encode()); err != nil || !reflect.DeepEqual(i, again) {
				t.Errorf("%+v, %+v, %v", i, again, err)
			}
		}
		if v, err := decodeVerdict(b); err == nil {
			if again, err := decodeVerdict(v.encode()); err != nil || !reflect.DeepEqual(v, again) {
				t.Errorf("%+v, %+v, %v", v, again, err)
			}
		}
	})
}
