package effects

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew (a format change!)")

func sample() ([]byte, Header, []Answers, []Op) {
	h := Header{Term: 7, Round: 3, Stamp: 1790000000123456, NextObjectID: 42}
	answers := []Answers{{Gateway: 1, LowWater: 998}, {Gateway: 3, LowWater: 5}}
	answers[0].Add(1000, []byte("+OK\r\n"), 0)
	answers[0].Add(1001, []byte(":7\r\n"), 1000)
	answers[0].Add(999, nil, 1001)
	ops := []Op{
		{Kind: Set, Key: []byte("key"), Value: []byte("value")},
		{Kind: Delete, Key: []byte("gone")},
		{Kind: DeleteRange, Key: []byte("a"), Value: []byte("b")},
		{Kind: Set, Key: []byte{}, Value: []byte{}},
	}
	b := AppendHeader(nil, h, answers)
	b = AppendSet(b, ops[0].Key, ops[0].Value)
	b = AppendDelete(b, ops[1].Key)
	b = AppendDeleteRange(b, ops[2].Key, ops[2].Value)
	b = AppendSet(b, nil, nil)
	return b, h, answers, ops
}

func TestGolden(t *testing.T) {
	b, _, _, _ := sample()
	const file = "testdata/entry-v2.hex"
	got := hex.EncodeToString(b) + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the entry format changed:\n got %s want %s", got, want)
	}
}

// TestVersion1: logs may still hold entries of the format before.
func TestVersion1(t *testing.T) {
	file, err := os.ReadFile("testdata/entry-v1.hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(file)))
	if err != nil {
		t.Fatal(err)
	}
	_, want, _, ops := sample()
	h, d, err := Decode(b, func(Answers) { t.Error("answers in version 1") })
	if err != nil || h != want {
		t.Fatalf("header %+v, %v", h, err)
	}
	sameOps(t, d, ops)
}

func TestRoundTrip(t *testing.T) {
	b, h, answers, ops := sample()
	var seen []Answers
	gotH, d, err := Decode(b, func(a Answers) { seen = append(seen, a) })
	if err != nil || gotH != h {
		t.Fatalf("header %+v, %v", gotH, err)
	}
	if len(seen) != len(answers) {
		t.Fatalf("answers %v", seen)
	}
	for i := range seen {
		if seen[i].Gateway != answers[i].Gateway || seen[i].LowWater != answers[i].LowWater || seen[i].Last != answers[i].Last ||
			!bytes.Equal(seen[i].List, answers[i].List) {
			t.Errorf("answers %d: %v, want %v", i, seen[i], answers[i])
		}
	}
	for seq, want := range map[uint64]string{1000: "+OK\r\n", 1001: ":7\r\n", 999: ""} {
		if got, ok := seen[0].Find(seq); !ok || string(got) != want {
			t.Errorf("reply to %d: %q, %v", seq, got, ok)
		}
	}
	if _, ok := seen[0].Find(998); ok {
		t.Error("found what is not there")
	}
	sameOps(t, d, ops)
}

func sameOps(t *testing.T, d Decoder, ops []Op) {
	t.Helper()
	for i := 0; ; i++ {
		op, ok := d.Next()
		if !ok {
			if i != len(ops) || d.Err() != nil {
				t.Errorf("%d operations, %v", i, d.Err())
			}
			return
		}
		if op.Kind != ops[i].Kind || !bytes.Equal(op.Key, ops[i].Key) || !bytes.Equal(op.Value, ops[i].Value) {
			t.Errorf("operation %d: %+v, want %+v", i, op, ops[i])
		}
	}
}

// TestTransactionsFlag: entries without the flag are as they were before it.
func TestTransactionsFlag(t *testing.T) {
	plain := AppendHeader(nil, Header{Term: 1, Round: 2}, nil)
	marked := AppendHeader(nil, Header{Term: 1, Round: 2, Transactions: true}, nil)
	if plain[1] != 0 || marked[1] != 1 || !bytes.Equal(plain[2:], marked[2:]) {
		t.Errorf("%x, %x", plain, marked)
	}
	if h, _, err := Decode(marked, nil); err != nil || !h.Transactions {
		t.Errorf("%+v, %v", h, err)
	}
	marked[1] = 2
	if _, _, err := Decode(marked, nil); !errors.Is(err, ErrVersion) {
		t.Errorf("unknown flag: %v", err)
	}
}

func TestDecodeRejects(t *testing.T) {
	b, _, _, _ := sample()
	newer := bytes.Clone(b)
	newer[0] = Version + 1
	if _, _, err := Decode(newer, nil); !errors.Is(err, ErrVersion) {
		t.Errorf("newer version: %v", err)
	}
	for n := range len(b) {
		h, d, err := Decode(b[:n], nil)
		for err == nil {
			var ok bool
			if _, ok = d.Next(); !ok {
				break
			}
		}
		_ = h // no panic is what matters: a cut between operations is a valid, shorter entry
	}
}

func FuzzDecode(f *testing.F) {
	b, _, _, _ := sample()
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		_, d, err := Decode(in, func(a Answers) { a.Find(7) })
		for err == nil {
			if _, ok := d.Next(); !ok {
				break
			}
		}
	})
}
