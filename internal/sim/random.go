package sim

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"runtime/debug"

	"github.com/cespare/xxhash/v2"
)

// dice is a stream of chance. Whatever should stay as it is when something
// else is left out of a run has its own.
type dice struct{ rand *rand.Rand }

func newDice(seed uint64, name string) dice {
	return dice{rand.New(rand.NewPCG(seed, xxhash.Sum64String(name)))}
}

// between draws a time from lo to hi.
func (d dice) between(lo, hi int64) int64 { return lo + d.rand.Int64N(hi-lo+1) }

// chance is true with probability p.
func (d dice) chance(p float64) bool { return d.rand.Float64() < p }

// skewed draws a time from lo to hi, mostly near lo.
func (d dice) skewed(lo, hi int64) int64 {
	f := d.rand.Float64()
	return lo + int64(float64(hi-lo)*f*f*f*f)
}

// one picks one of several.
func one[T any](d dice, from ...T) T { return from[d.rand.IntN(len(from))] }

// seededReader gives bytes of a seeded source.
type seededReader struct{ r *rand.Rand }

func (s seededReader) Read(p []byte) (int, error) {
	var b [8]byte
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(b[:], s.r.Uint64())
		copy(p[i:], b[:])
	}
	return len(p), nil
}

// seedElections makes raft's election jitter a function of the seed, until
// restore is called. Raft draws it from crypto/rand's reader, which the whole
// process shares: runs must not overlap.
func seedElections(seed uint64) (restore func()) {
	before := crand.Reader
	crand.Reader = seededReader{rand.New(rand.NewPCG(seed, 0xe1ec7))}
	return func() { crand.Reader = before }
}

func stack() []byte {
	b := debug.Stack()
	if len(b) > 4000 {
		b = b[:4000]
	}
	return b
}
