package hll

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestFormat pins the stored bytes, which are Redis's.
func TestFormat(t *testing.T) {
	s := empty(nil)
	want := func(want string) {
		t.Helper()
		if got := hex.EncodeToString(s); got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
	}
	want("48594c4c" + "01000000" + "0000000000000000" + "7fff")
	for _, x := range []struct {
		i int
		v byte
	}{{1000, 2}, {1020, 3}, {1021, 3}} {
		var ok bool
		if s, _, ok = s.set(x.i, x.v); !ok {
			t.Fatal("broken")
		}
	}
	want("48594c4c" + "01000000" + "0000000000000080" + "43e7" + "84" + "12" + "89" + "7c01")
	if h := murmur64A([]byte("hello world"), 0xadc83b19); h != 0xa919bc3051f624b7 {
		t.Errorf("the hash is %#x", h)
	}
	s, ok := s.toDense()
	if !ok || len(s) != 12304 || s.get(1000) != 2 || s.get(1020) != 3 || s.get(1021) != 3 || s.get(1022) != 0 {
		t.Error("the dense sketch is another")
	}
	if got := hex.EncodeToString(s[headLen+750 : headLen+767]); got != "020000000000000000000000000000c300" {
		t.Errorf("dense registers are stored as %s", got)
	}
}

// TestAgainstPlainRegisters raises registers at random.
func TestAgainstPlainRegisters(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		s := empty(nil)
		var plain, seen [registers]byte
		near := 1 + rnd.IntN(registers)
		for range 3000 {
			i, v := rnd.IntN(near), byte(1+rnd.IntN(1+rnd.IntN(33)))
			before := plain[i]
			plain[i] = max(before, v)
			var changed, ok bool
			if s, changed, ok = s.set(i, v); !ok || changed != (v > before) {
				t.Fatalf("seed %d: set %d to %d from %d: changed %v, ok %v", seed, i, v, before, changed, ok)
			}
			if !s.isDense() && len(s) > maxSparse {
				t.Fatalf("seed %d: a sparse sketch of %d bytes", seed, len(s))
			}
		}
		if !s.raise(&seen) || seen != plain {
			t.Fatalf("seed %d: other registers came back", seed)
		}
		n, ok := s.count()
		d, _ := s.toDense()
		if m, _ := d.count(); !ok || n != m || n != countOf(&plain) {
			t.Fatalf("seed %d: counts differ: %d and %d", seed, n, m)
		}
	}
}

func TestEstimates(t *testing.T) {
	s := empty(nil)
	for n := 1; n <= 200_000; n++ {
		s, _, _ = s.add(strconv.AppendInt(nil, int64(n), 10))
		if n == 100 || n == 10_000 || n == 200_000 {
			if got, ok := s.count(); !ok || math.Abs(float64(got)-float64(n)) > 0.03*float64(n) {
				t.Errorf("%d elements are counted as %d", n, got)
			}
		}
	}
}

func BenchmarkCount(b *testing.B) {
	s, _ := empty(nil).toDense()
	for b.Loop() {
		s.count()
	}
}
