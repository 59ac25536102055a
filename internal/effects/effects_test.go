package effects

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"testing"

	"coterie/internal/base"
)

var update = flag.Bool("update", false, "write the golden files anew (a format change!)")

func sample() ([]byte, Header, []base.Origin, []Op) {
	h := Header{Term: 7, Round: 3, Stamp: 1790000000123456, NextObjectID: 42}
	origins := []base.Origin{
		{Gateway: 1, Incarnation: 2, Sequence: 1000},
		{Gateway: 1, Incarnation: 2, Sequence: 1001},
		{Gateway: 1, Incarnation: 2, Sequence: 999},
		{Gateway: 3, Incarnation: 1, Sequence: 5},
	}
	ops := []Op{
		{Kind: Set, Key: []byte("key"), Value: []byte("value")},
		{Kind: Delete, Key: []byte("gone")},
		{Kind: DeleteRange, Key: []byte("a"), Value: []byte("b")},
		{Kind: Set, Key: []byte{}, Value: []byte{}},
	}
	b := AppendHeader(nil, h, origins)
	b = AppendSet(b, ops[0].Key, ops[0].Value)
	b = AppendDelete(b, ops[1].Key)
	b = AppendDeleteRange(b, ops[2].Key, ops[2].Value)
	b = AppendSet(b, nil, nil)
	return b, h, origins, ops
}

func TestGolden(t *testing.T) {
	b, _, _, _ := sample()
	const file = "testdata/entry-v1.hex"
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

func TestRoundTrip(t *testing.T) {
	b, h, origins, ops := sample()
	var seen []base.Origin
	gotH, d, err := Decode(b, func(o base.Origin) { seen = append(seen, o) })
	if err != nil || gotH != h {
		t.Fatalf("header %+v, %v", gotH, err)
	}
	if len(seen) != len(origins) {
		t.Fatalf("origins %v", seen)
	}
	for i := range seen {
		if seen[i] != origins[i] {
			t.Errorf("origin %d: %v, want %v", i, seen[i], origins[i])
		}
	}
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
		_, d, err := Decode(in, func(base.Origin) {})
		for err == nil {
			if _, ok := d.Next(); !ok {
				break
			}
		}
	})
}
