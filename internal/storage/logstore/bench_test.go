package logstore

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"coterie/internal/base"
)

// benchBatch makes the updates of one group commit: n entries of 100 B, spread
// over up to 16 partitions, each with a hard state and a truncation that keeps
// 1,000 entries.
func benchBatch(n int, last map[base.PartitionID]uint64) []Update {
	parts := min(n, 16)
	updates := make([]Update, parts)
	for i := range updates {
		p := base.PartitionID(i)
		lo := last[p] + 1
		hi := lo + uint64(n/parts) - 1
		last[p] = hi
		updates[i] = Update{
			Partition: p, Replica: 1, Entries: ents(lo, hi, 1, 100),
			HardState: &HardState{Term: 1, Vote: 1, Commit: lo - 1},
		}
		if lo > 1000 {
			updates[i].Truncate = &Mark{lo - 1000, 1}
		}
	}
	return updates
}

// BenchmarkAppend is the group commit on the real file system, in the
// directory that TMPDIR names, beside the same through Pebble with a synced WAL.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("store=logstore/entries=%d", n), func(b *testing.B) {
			s, err := Open(vfs.Default, b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			benchLoop(b, n, s.Append)
		})
		b.Run(fmt.Sprintf("store=pebble/entries=%d", n), func(b *testing.B) {
			db, err := pebble.Open(b.TempDir(), &pebble.Options{Logger: quiet{}, MemTableSize: 64 << 20})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			var value []byte
			benchLoop(b, n, func(updates []Update) error {
				batch := db.NewBatch()
				defer batch.Close()
				for i := range updates {
					if value, err = pebbleUpdate(batch, &updates[i], value); err != nil {
						return err
					}
				}
				return batch.Commit(pebble.Sync)
			})
		})
	}
}

func benchLoop(b *testing.B, n int, appendAll func([]Update) error) {
	last := make(map[base.PartitionID]uint64)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch := benchBatch(n, last)
		b.StartTimer()
		if err := appendAll(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "entries/s")
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}

func pebbleKey(kind byte, p base.PartitionID, index uint64) []byte {
	k := binary.BigEndian.AppendUint32([]byte{kind}, uint32(p))
	return binary.BigEndian.AppendUint64(k, index)
}

func pebbleUpdate(batch *pebble.Batch, u *Update, value []byte) ([]byte, error) {
	for _, e := range u.Entries {
		value = appendEntry(value[:0], u.Partition, e.GetIndex(), e)
		if err := batch.Set(pebbleKey('e', u.Partition, e.GetIndex()), value, nil); err != nil {
			return value, err
		}
	}
	value = appendHardState(value[:0], *u.HardState)
	if err := batch.Set(pebbleKey('h', u.Partition, 0), value, nil); err != nil {
		return value, err
	}
	// Range tombstones are cheap only if they are few.
	if u.Truncate != nil && u.Truncate.Index%1000 == 0 {
		return value, batch.DeleteRange(pebbleKey('e', u.Partition, 0), pebbleKey('e', u.Partition, u.Truncate.Index+1), nil)
	}
	return value, nil
}

// BenchmarkEntries reads 64 entries of 100 B.
func BenchmarkEntries(b *testing.B) {
	s, err := Open(vfs.Default, b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Append([]Update{{Partition: 1, Replica: 1, Entries: ents(1, 64000, 1, 100)}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	lo := uint64(1)
	for b.Loop() {
		if _, err := s.Entries(1, lo, lo+64, 1<<20); err != nil {
			b.Fatal(err)
		}
		lo = lo%60000 + 64
	}
}
