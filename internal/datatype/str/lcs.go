package str

import (
	"coterie/internal/command"
	"coterie/internal/keyspace"
)

// maxTable bounds the memory and with it the time of LCS, whose table has a
// 4-byte cell for every pair of positions.
const maxTable = 64 << 20 // bytes

func lcs(c *command.Ctx) {
	a, b := c.Lookup(c.Args[1]), c.Lookup(c.Args[2])
	if a.Exists() && a.Type != keyspace.String || b.Exists() && b.Type != keyspace.String {
		c.Fail("ERR The specified keys must contain string values")
		return
	}
	var length, idx, withLen bool
	var minLen int64
	for i := 3; i < len(c.Args); i++ {
		switch {
		case command.Is(c.Args[i], "IDX"):
			idx = true
		case command.Is(c.Args[i], "LEN"):
			length = true
		case command.Is(c.Args[i], "WITHMATCHLEN"):
			withLen = true
		case command.Is(c.Args[i], "MINMATCHLEN") && i+1 < len(c.Args):
			n, ok := c.Int(i + 1)
			if !ok {
				return
			}
			minLen = max(n, 0)
			i++
		default:
			c.Fail(command.ErrSyntax)
			return
		}
	}
	if idx && length {
		c.Fail("ERR If you want both the length and indexes, please just use IDX.")
		return
	}
	limit := min(c.Limits.MaxString, maxTable)
	if (len(a.Body)+1)*(len(b.Body)+1) > limit/4 {
		c.Fail("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
		return
	}
	t := newTable(a.Body, b.Body)
	switch {
	case length:
		c.Out.Int(int64(t.at(len(a.Body), len(b.Body))))
	case idx:
		t.ranges(c, minLen, withLen)
	default:
		c.Out.Bulk(t.text())
	}
}

// table is the textbook's table of longest common subsequences of prefixes.
type table struct {
	a, b  []byte
	cells []uint32
}

func newTable(a, b []byte) *table {
	t := &table{a: a, b: b, cells: make([]uint32, (len(a)+1)*(len(b)+1))}
	w := len(b) + 1
	for i := 1; i <= len(a); i++ {
		row, above := t.cells[i*w:(i+1)*w], t.cells[(i-1)*w:i*w]
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				row[j] = above[j-1] + 1
			} else {
				row[j] = max(above[j], row[j-1])
			}
		}
	}
	return t
}

func (t *table) at(i, j int) uint32 { return t.cells[i*(len(t.b)+1)+j] }

// back walks from the end of both strings to their start along one longest
// common subsequence, and calls match with each pair of positions on it.
func (t *table) back(match func(i, j int)) {
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		switch {
		case t.a[i-1] == t.b[j-1]:
			i, j = i-1, j-1
			match(i, j)
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

func (t *table) text() []byte {
	out := make([]byte, t.at(len(t.a), len(t.b)))
	n := len(out)
	t.back(func(i, _ int) {
		n--
		out[n] = t.a[i]
	})
	return out
}

// stretch is a run of n common bytes that begins at these positions.
type stretch struct{ i, j, n int }

func (t *table) ranges(c *command.Ctx, minLen int64, withLen bool) {
	var all []stretch
	t.back(func(i, j int) {
		if last := len(all) - 1; last >= 0 && all[last].i == i+1 && all[last].j == j+1 {
			all[last] = stretch{i, j, all[last].n + 1}
			return
		}
		all = append(all, stretch{i, j, 1})
	})
	kept := all[:0]
	for _, s := range all {
		if int64(s.n) >= minLen {
			kept = append(kept, s)
		}
	}
	c.Out.Map(2)
	c.Out.BulkString("matches")
	c.Out.Array(len(kept))
	for _, s := range kept {
		if withLen {
			c.Out.Array(3)
		} else {
			c.Out.Array(2)
		}
		for _, from := range []int{s.i, s.j} {
			c.Out.Array(2)
			c.Out.Int(int64(from))
			c.Out.Int(int64(from + s.n - 1))
		}
		if withLen {
			c.Out.Int(int64(s.n))
		}
	}
	c.Out.BulkString("len")
	c.Out.Int(int64(t.at(len(t.a), len(t.b))))
}
