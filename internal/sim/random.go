package sim

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"runtime/debug"
)

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
