package statestore

import (
	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Metrics says how the store is doing. It takes locks of the database: call
// it every second, not every request.
func (s *Store) Metrics() state.Metrics {
	if s.check() != nil {
		return state.Metrics{}
	}
	m := s.db.Metrics()
	return state.Metrics{
		DiskBytes:          m.DiskSpaceUsage(),
		MemTableBytes:      m.MemTable.Size,
		Flushes:            m.Flush.Count,
		Compactions:        m.Compact.Count,
		CompactionsRunning: m.Compact.NumInProgress,
		CompactionDebt:     m.Compact.EstimatedDebt,
		L0Files:            m.Levels[0].TablesCount,
		L0Sublevels:        m.Levels[0].Sublevels,
		ReadAmp:            m.ReadAmp(),
		CacheBytes:         m.BlockCache.Size,
		CacheHits:          m.BlockCache.Hits,
		CacheMisses:        m.BlockCache.Misses,
		Ingests:            int64(m.Ingest.Count),
		OpenViews:          m.Snapshots.Count,
		WriteStalls:        s.fault.stalls.Load(),
	}
}

// DiskFree is how many bytes a process may still write to dir's file system.
func DiskFree(fs vfs.FS, dir string) (uint64, error) {
	u, err := fs.GetDiskUsage(dir)
	if err != nil {
		return 0, wrap(err, "free space of %s", dir)
	}
	return u.AvailBytes, nil
}
