package keyspace

import (
	"math"
	"sync/atomic"
)

// Tally counts what commands meet, for whoever shows it. It may be shared.
type Tally struct {
	Hits, Misses atomic.Uint64 // keys that commands looked up that only read
	Expired      atomic.Uint64 // keys removed since their time had come
}

// maxUses bounds the keys of a partition of which it is remembered when they were
// used, in cells of 8 bytes.
const maxUses = 1 << 15

// Uses is when a partition's keys were used under one leadership: of the last ones,
// for the table is small. It is nobody's but OBJECT IDLETIME's.
type Uses struct {
	began  int64 // milliseconds since the Unix epoch
	clocks clocks
}

// NewUses is for a leadership that begins.
func NewUses(now int64) *Uses { return &Uses{began: now, clocks: clocks{max: maxUses}} }

func (u *Uses) touch(gen uint32, rkey []byte, now int64) {
	u.clocks.touch(useHash(gen, rkey), max(0, now-u.began), math.MaxUint64, nil)
}

// idle is for how many milliseconds at least a key was not used.
func (u *Uses) idle(gen uint32, rkey []byte, now int64) int64 {
	return u.clocks.idle(useHash(gen, rkey), max(0, now-u.began))
}

// useHash tells the keys of all namespaces apart.
func useHash(gen uint32, rkey []byte) uint64 {
	return recordHash(rkey) ^ uint64(gen)*0xd6e8feb86659fd93
}
