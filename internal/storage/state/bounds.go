package state

import (
	"bytes"
	"fmt"
	"slices"
)

// Bounds is a range of keys k with Lower <= k < Upper.
type Bounds struct {
	Lower, Upper []byte
}

// Empty says whether no key lies within the bounds.
func (b Bounds) Empty() bool { return bytes.Compare(b.Lower, b.Upper) >= 0 }

// Contains says whether key lies within the bounds.
func (b Bounds) Contains(key []byte) bool {
	return bytes.Compare(key, b.Lower) >= 0 && bytes.Compare(key, b.Upper) < 0
}

func (b Bounds) String() string { return fmt.Sprintf("[%x, %x)", b.Lower, b.Upper) }

// Arrange returns copies of spans in order, without the empty ones. It is an
// error when two overlap.
func Arrange(spans []Bounds) ([]Bounds, error) {
	out := sorted(spans)
	for i := 1; i < len(out); i++ {
		if bytes.Compare(out[i].Lower, out[i-1].Upper) < 0 {
			return nil, fmt.Errorf("spans %v and %v overlap", out[i-1], out[i])
		}
	}
	return out, nil
}

// Subtract returns what is left of spans, which may overlap, without the
// parts that lie in holes. holes are arranged, and so is the result.
func Subtract(spans, holes []Bounds) []Bounds {
	var out []Bounds
	var covered []byte // everything below is dealt with
	for _, s := range sorted(spans) {
		at := maxKey(s.Lower, covered)
		for _, h := range holes {
			if bytes.Compare(h.Upper, at) <= 0 {
				continue
			}
			if bytes.Compare(h.Lower, s.Upper) >= 0 {
				break
			}
			if gap := (Bounds{at, h.Lower}); !gap.Empty() {
				out = append(out, gap)
			}
			at = h.Upper
		}
		if rest := (Bounds{at, s.Upper}); !rest.Empty() {
			out = append(out, rest)
		}
		covered = maxKey(covered, s.Upper)
	}
	return out
}

func sorted(spans []Bounds) []Bounds {
	out := make([]Bounds, 0, len(spans))
	for _, s := range spans {
		if !s.Empty() {
			out = append(out, Bounds{bytes.Clone(s.Lower), bytes.Clone(s.Upper)})
		}
	}
	slices.SortFunc(out, func(a, b Bounds) int { return bytes.Compare(a.Lower, b.Lower) })
	return out
}

func maxKey(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return b
	}
	return a
}
