package state

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawSpans(t *rapid.T, label string) []Bounds {
	var out []Bounds
	for range rapid.IntRange(0, 5).Draw(t, label) {
		out = append(out, Bounds{[]byte{rapid.Byte().Draw(t, "lower")}, []byte{rapid.Byte().Draw(t, "upper")}})
	}
	return out
}

func in(spans []Bounds, key []byte) (n int) {
	for _, s := range spans {
		if s.Contains(key) {
			n++
		}
	}
	return n
}

func TestSubtract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans := drawSpans(t, "spans")
		holes := Subtract(drawSpans(t, "holes"), nil)
		left := Subtract(spans, holes)
		if again, err := Arrange(left); err != nil || fmt.Sprint(again) != fmt.Sprint(left) {
			t.Fatalf("%v is not arranged: %v", left, err)
		}
		for k := range 256 {
			key := []byte{byte(k)}
			want := 0
			if in(spans, key) > 0 && in(holes, key) == 0 {
				want = 1
			}
			if got := in(left, key); got != want {
				t.Fatalf("key %x is in %d of %v; spans %v, holes %v", key, got, left, spans, holes)
			}
		}
	})
}

func TestArrange(t *testing.T) {
	b := func(l, u string) Bounds { return Bounds{[]byte(l), []byte(u)} }
	got, err := Arrange([]Bounds{b("c", "d"), b("x", "x"), b("a", "c"), b("z", "y")})
	if err != nil || fmt.Sprint(got) != fmt.Sprint([]Bounds{b("a", "c"), b("c", "d")}) {
		t.Errorf("Arrange = %v, %v", got, err)
	}
	if _, err := Arrange([]Bounds{b("b", "d"), b("a", "b\x00")}); err == nil {
		t.Error("overlapping spans were arranged")
	}
}

// tables gathers what a stream holds.
type tables struct {
	current []byte
	done    []string
}

func (s *tables) TableData(p []byte) error { s.current = append(s.current, p...); return nil }
func (s *tables) TableEnd(b Bounds) error {
	s.done = append(s.done, fmt.Sprintf("%s-%s:%s", b.Lower, b.Upper, s.current))
	s.current = nil
	return nil
}

func writeStream(t *testing.T, chunk int) []byte {
	t.Helper()
	var stream []byte
	w, err := NewStreamWriter(ContentPairs, 3, []Bounds{{[]byte("a"), []byte("c")}, {[]byte("x"), []byte("z")}}, chunk, func(p []byte) error {
		if len(p) == 0 || len(p) > chunk {
			t.Errorf("a chunk of %d bytes", len(p))
		}
		stream = append(stream, p...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Data([]byte("one"))
	_ = w.Data([]byte("two"))
	_ = w.EndTable(Bounds{[]byte("a"), []byte("b")})
	_ = w.EndTable(Bounds{[]byte("b"), []byte("c")})
	_ = w.Data([]byte("three"))
	_ = w.EndTable(Bounds{[]byte("x"), []byte("z")})
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// TestStreamGolden pins the framing: nodes of different versions exchange it.
func TestStreamGolden(t *testing.T) {
	want := strings.ReplaceAll("636f747374617465 0001 02 03 00000002"+
		"00000001 61 00000001 63 00000001 78 00000001 7a"+
		"44 00000003 6f6e65 44 00000003 74776f"+
		"54 00000012 00000001 61 00000001 62 0000000000000006"+
		"54 00000012 00000001 62 00000001 63 0000000000000000"+
		"44 00000005 7468726565"+
		"54 00000012 00000001 78 00000001 7a 0000000000000005"+
		"45 00000010 0000000000000003", " ", "")
	got := hex.EncodeToString(writeStream(t, 1000))
	if len(got) != len(want)+16 || got[:len(want)] != want {
		t.Errorf("stream\n%s, want\n%s and a checksum", got, want)
	}
}

func TestStreamInPieces(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 1000} {
		stream := writeStream(t, n)
		var got tables
		r := NewStreamReader(ContentPairs, 3, &got)
		for p := stream; len(p) > 0; p = p[min(n, len(p)):] {
			if err := r.Write(p[:min(n, len(p))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprint(got.done); s != "[a-b:onetwo b-c: x-z:three]" || len(r.Spans()) != 2 {
			t.Errorf("pieces of %d: %s", n, s)
		}
	}
}

// TestStreamRefusals: whole and undamaged, but wrong.
func TestStreamRefusals(t *testing.T) {
	a, b, c := []byte("a"), []byte("b"), []byte("c")
	for name, ends := range map[string][]Bounds{
		"a gap":            {{b, c}},
		"not to the end":   {{a, b}},
		"beyond the end":   {{a, []byte("d")}},
		"no tables":        nil,
		"a table too many": {{a, c}, {c, []byte("d")}},
		"an empty table":   {{a, a}},
	} {
		var stream bytes.Buffer
		w, _ := NewStreamWriter(ContentPairs, 0, []Bounds{{a, c}}, 0, func(p []byte) error { stream.Write(p); return nil })
		for _, e := range ends {
			_ = w.EndTable(e)
		}
		_ = w.Finish()
		r := NewStreamReader(ContentPairs, 0, &tables{})
		_ = r.Write(stream.Bytes())
		if err := r.Finish(); !errors.Is(err, ErrStream) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := NewStreamReader(ContentTables, 9, &tables{}).Write(writeStream(t, 100)); !errors.Is(err, ErrStream) {
		t.Errorf("another content: %v", err)
	}
	if err := NewStreamReader(ContentPairs, 2, &tables{}).Write(writeStream(t, 100)); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("a newer detail: %v", err)
	}
	if _, err := NewStreamWriter(ContentPairs, 0, make([]Bounds, MaxSpans+1), 0, nil); err == nil {
		t.Error("too many spans were written")
	}
	if _, err := NewStreamWriter(ContentPairs, 0, []Bounds{{nil, make([]byte, MaxBoundBytes+1)}}, 0, nil); err == nil {
		t.Error("too long a bound was written")
	}
}
