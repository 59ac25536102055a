package keyspace

import (
	"cmp"
	"encoding/binary"
	"math"
)

// clocks remember when, or how often, keys of one namespace were used: a table
// of bounded size, in which a key may take the place of one that is used less. A
// cell is a part of the key's hash in its upper half, which also says in which
// bucket it is, and in its lower half one more than the time of the last use in units of clockUnit,
// or for LFU the minute of it and a counter that grows like a logarithm.
type clocks struct {
	cells []uint64
	used  int
	lfu   bool
	max   int // cells, a power of two; 0: maxCells
}

const (
	minCells   = 1 << 10
	maxCells   = 1 << 20 // 8 MiB for a limited namespace in a partition
	bucketSize = 8       // cells
	clockUnit  = 10      // milliseconds
	// lfuNew is the counter of a new key, and lfuFactor how much harder it is to
	// rise the higher it is, as in Redis. It falls by one each minute.
	lfuNew    = 5
	lfuFactor = 10
	lfuMax    = 255
	minute    = 60_000 // milliseconds
)

// tagOf is what a cell keeps of a hash.
func tagOf(hash uint64) uint32 { return uint32(hash * 0x9e3779b97f4a7c15 >> 32) }

// bucket are the cells that a tag may be in.
func (c *clocks) bucket(tag uint32) []uint64 {
	at := int(tag) & (len(c.cells)/bucketSize - 1) * bucketSize
	return c.cells[at : at+bucketSize]
}

// find is a tag's cell: the one it is in, or else the one that it may take, of
// which known is false.
func (c *clocks) find(tag uint32, at int64) (cell *uint64, known bool) {
	b := c.bucket(tag)
	oldest := &b[0]
	for i := range b {
		if b[i] != 0 && uint32(b[i]>>32) == tag {
			return &b[i], true
		}
		if c.rank(b[i], at) < c.rank(*oldest, at) {
			oldest = &b[i]
		}
	}
	return oldest, false
}

// rank says which of a bucket's cells is worth keeping; 0 is one that is free.
func (c *clocks) rank(cell uint64, at int64) uint64 {
	if cell == 0 || !c.lfu {
		return cell & math.MaxUint32
	}
	return 1 + lfuCount(uint32(cell), at)
}

// touch says that one of about so many keys was used; at is the time since the
// leadership began, in milliseconds.
func (c *clocks) touch(hash uint64, at int64, keys uint64, rnd func() uint64) {
	if len(c.cells) < minCells || c.used >= len(c.cells)/2 && len(c.cells) < cmp.Or(c.max, maxCells) && uint64(len(c.cells)) < 4*keys {
		c.grow(at)
	}
	tag := tagOf(hash)
	cell, known := c.find(tag, at)
	if *cell == 0 {
		c.used++
	}
	data := uint32(at/clockUnit) + 1
	if c.lfu {
		n := uint64(lfuNew)
		if known {
			n = lfuCount(uint32(*cell), at)
			if n < lfuMax && rnd()%((max(n, lfuNew)-lfuNew)*lfuFactor+1) == 0 {
				n++
			}
		}
		data = uint32(uint16(at/minute))<<8 | uint32(n)
	}
	*cell = uint64(tag)<<32 | uint64(max(data, 1))
}

// forget says that a key is gone.
func (c *clocks) forget(hash uint64) {
	if len(c.cells) == 0 {
		return
	}
	if cell, known := c.find(tagOf(hash), 0); known {
		*cell = 0
		c.used--
	}
}

func lfuCount(data uint32, at int64) uint64 {
	n, minutes := uint64(data&0xff), uint64(uint16(at/minute)-uint16(data>>8))
	return n - min(n, minutes)
}

// of is what is known of a key: for how many milliseconds it was idle, and its
// counter. A key of which nothing is known was idle ever since.
func (c *clocks) of(hash uint64, at int64) (idle int64, count uint64) {
	if len(c.cells) == 0 {
		return at, 0
	}
	cell, known := c.find(tagOf(hash), at)
	switch {
	case !known:
		return at, 0
	case c.lfu:
		return at, lfuCount(uint32(*cell), at)
	}
	return max(0, at-(int64(uint32(*cell))-1)*clockUnit), 0
}

// idle is for how many milliseconds a key was idle at least: one of which nothing is
// known had to go for others, which were used later, or was not used at all.
func (c *clocks) idle(hash uint64, at int64) int64 {
	if len(c.cells) == 0 {
		return at
	}
	if cell, _ := c.find(tagOf(hash), at); *cell != 0 {
		return max(0, at-(int64(uint32(*cell))-1)*clockUnit)
	}
	return at
}

func (c *clocks) grow(at int64) {
	old := c.cells
	c.cells, c.used = make([]uint64, min(max(minCells, 4*len(old)), cmp.Or(c.max, maxCells))), 0
	for _, cell := range old {
		if cell == 0 {
			continue
		}
		if to, _ := c.find(uint32(cell>>32), at); *to == 0 {
			*to = cell
			c.used++
		}
	}
}

// recordHash is the hash in a record's key.
func recordHash(rkey []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(rkey[7:]))<<32 | uint64(binary.BigEndian.Uint32(rkey[9:]))&math.MaxUint32
}
