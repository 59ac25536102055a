package statestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// benchStore opens a store on disk with n records of 64 bytes, all in the
// lowest level.
func benchStore(b *testing.B, n int) *Store {
	b.Helper()
	s, err := Open(vfs.Default, b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	value := make([]byte, 64)
	batch := s.NewBatch()
	for i := range n {
		batch.Set(benchKey(nil, i), value)
		if i%1000 == 999 || i == n-1 {
			if err := s.Commit(batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	if n > 0 {
		if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func benchKey(dst []byte, i int) []byte {
	key := fmt.Appendf(make([]byte, 0, 32), "memtier-%010d", i)
	return keys.RecordKey(dst, base.KeySlot(key), 1, key)
}

// BenchmarkCommit commits batches of 1000 keys in order, each a new place.
func BenchmarkCommit(b *testing.B) {
	s := benchStore(b, 0)
	batch := s.NewBatch()
	value := make([]byte, 64)
	key := make([]byte, 24)
	var n uint64
	b.ResetTimer()
	for range b.N {
		for i := range uint64(1000) {
			// A sorted walk over the key space, with another offset each time.
			binary.BigEndian.PutUint64(key, i<<40|n*7919%(1<<40))
			batch.Set(key, value)
		}
		n++
		if err := s.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}

func BenchmarkGet(b *testing.B) {
	const n = 200_000
	s := benchStore(b, n)
	for _, bc := range []struct {
		name   string
		offset int
	}{{"hit", 0}, {"absent", n}} {
		b.Run(bc.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			var key, value []byte
			b.ReportAllocs()
			for range b.N {
				key = benchKey(key[:0], bc.offset+r.IntN(n))
				var err error
				var ok bool
				if value, ok, err = s.Get(key, value[:0]); err != nil || ok != (bc.offset == 0) {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkExportAndIngest(b *testing.B) {
	s := benchStore(b, 200_000)
	lower, upper := keys.SpanBounds(base.Span{Lo: 0, Hi: base.NumSlots})
	for range b.N {
		v, err := s.Pin()
		if err != nil {
			b.Fatal(err)
		}
		im, err := s.NewImport()
		if err != nil {
			b.Fatal(err)
		}
		if err := v.Export([]state.Bounds{{Lower: lower, Upper: upper}}, 0, im.Write); err != nil {
			b.Fatal(err)
		}
		_ = v.Close()
		if err := im.Finish(); err != nil {
			b.Fatal(err)
		}
		if err := s.Ingest(im, nil); err != nil {
			b.Fatal(err)
		}
	}
}
