package tree

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

const benchEntries = 1_000_000

// keys of a sorted set: a score and a member.
func benchKey(dst []byte, i uint64) []byte {
	dst = binary.BigEndian.AppendUint64(dst[:0], i*0x9e3779b97f4a7c15)
	return append(dst, "member"...)
}

func benchTree(b *testing.B) (*memory, Root) {
	m := newMemory()
	tr := Open(m, Root{})
	for i := range uint64(benchEntries) {
		tr.Put(benchKey(nil, i), nil)
	}
	root := tr.Root()
	b.ReportAllocs()
	return m, root
}

func BenchmarkPut(b *testing.B) {
	m, root := benchTree(b)
	m.written, m.writes = 0, 0
	var key []byte
	for i := uint64(benchEntries); b.Loop(); i++ {
		tr := Open(m, root)
		key = benchKey(key, i)
		tr.Put(key, nil)
		root = tr.Root()
	}
	b.ReportMetric(float64(m.written)/float64(b.N), "written/op")
	b.ReportMetric(float64(m.writes)/float64(b.N), "nodes/op")
	b.ReportMetric(float64(root.Height), "height")
}

func BenchmarkGet(b *testing.B) {
	m, root := benchTree(b)
	var key []byte
	for b.Loop() {
		key = benchKey(key, rand.Uint64N(benchEntries))
		if _, ok := Open(m, root).Get(key); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkRank(b *testing.B) {
	m, root := benchTree(b)
	var key []byte
	for b.Loop() {
		key = benchKey(key, rand.Uint64N(benchEntries))
		Open(m, root).Rank(key)
	}
}

func BenchmarkAt(b *testing.B) {
	m, root := benchTree(b)
	for b.Loop() {
		Open(m, root).At(rand.Uint64N(benchEntries))
	}
}

func BenchmarkQueue(b *testing.B) {
	for _, name := range []string{"rpush+lpop", "lpush+rpop"} {
		b.Run(name, func(b *testing.B) {
			m := newMemory()
			tr := Open(m, Root{})
			for i := range uint64(benchEntries) {
				tr.InsertAt(i, []byte("an element of it"))
			}
			root := tr.Root()
			m.written, m.writes = 0, 0
			b.ReportAllocs()
			for b.Loop() {
				tr := Open(m, root)
				if name == "rpush+lpop" {
					tr.InsertAt(tr.Len(), []byte("an element of it"))
					root = tr.Root()
					tr = Open(m, root)
					tr.DeleteRange(0, 1)
				} else {
					tr.InsertAt(0, []byte("an element of it"))
					root = tr.Root()
					tr = Open(m, root)
					tr.DeleteRange(tr.Len()-1, tr.Len())
				}
				root = tr.Root()
			}
			b.ReportMetric(float64(m.written)/float64(b.N), "written/op")
			b.ReportMetric(float64(m.writes)/float64(b.N), "nodes/op")
		})
	}
}
