package statestore

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configure a store. The zero value is fit for three processes on a
// small machine.
type Options struct {
	// CacheBytes is the size of the block cache. 0: DefaultCacheBytes.
	CacheBytes int64
	// MemTableBytes is the size of one memtable; up to four exist before
	// commits have to wait for flushes. 0: DefaultMemTableBytes.
	MemTableBytes uint64
	// TableBytes is about the size of one table of an export.
	// 0: DefaultTableBytes.
	TableBytes uint64
	// Logger takes messages; nil drops them.
	Logger *slog.Logger
	// OnFatal is told of a fault: once of one that stopped the store, and once
	// for each damaged file (*CorruptionError, which does not stop it). It is
	// called with locks of the database held: it must neither block nor call
	// the store. It is expected to end the node.
	OnFatal func(error)
}

// Defaults, in bytes.
const (
	DefaultCacheBytes    = 64 << 20
	DefaultMemTableBytes = 32 << 20
	DefaultTableBytes    = 32 << 20
)

const (
	// pebbleFormat is what the database is created in and upgraded to. It is
	// the first that compresses with MinLZ. Raising it means raising
	// formatVersion, since older binaries then no longer read the directory.
	pebbleFormat = pebble.FormatTableFormatV6

	memTablesBeforeStall = 4
	// l0SublevelsCompact is when compactions of L0 begin.
	l0SublevelsCompact = 3
	// l0SublevelsStall is when commits have to wait for compactions. It is
	// high, because a wait stops the node's rounds: the owner is expected to
	// slow down by Metrics before.
	l0SublevelsStall    = 40
	maxCompactions      = 2
	baseLevelBytes      = 64 << 20
	blockBytes          = 8 << 10
	indexBlockBytes     = 32 << 10
	bloomBitsPerKey     = 10
	maxOpenFiles        = 1000
	maxManifestBytes    = 16 << 20
	maxPointsPerRestart = 16
)

func (o Options) withDefaults() Options {
	if o.CacheBytes <= 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.TableBytes == 0 {
		o.TableBytes = DefaultTableBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	return o
}

// pebbleOptions is Pebble's configuration. The caller unrefs the cache.
func pebbleOptions(fs vfs.FS, o Options, f *fault) *pebble.Options {
	listener := f.listener()
	p := &pebble.Options{
		FS:                          fs,
		Cache:                       pebble.NewCache(o.CacheBytes),
		DisableWAL:                  true,
		FormatMajorVersion:          pebbleFormat,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: memTablesBeforeStall,
		L0CompactionThreshold:       l0SublevelsCompact,
		L0StopWritesThreshold:       l0SublevelsStall,
		LBaseMaxBytes:               baseLevelBytes,
		MaxOpenFiles:                maxOpenFiles,
		MaxManifestFileSize:         maxManifestBytes,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, maxCompactions },
		Logger:                      pebbleLogger{f},
		EventListener:               &listener,
	}
	p.Experimental.DisableIngestAsFlushable = func() bool { return true }
	p.Experimental.EnableColumnarBlocks = func() bool { return true }
	p.Experimental.FileCacheShards = 2
	for i := range p.Levels {
		p.Levels[i] = pebble.LevelOptions{
			BlockRestartInterval: maxPointsPerRestart,
			BlockSize:            blockBytes,
			IndexBlockSize:       indexBlockBytes,
			FilterPolicy:         bloom.FilterPolicy(bloomBitsPerKey),
			FilterType:           pebble.TableFilter,
		}
	}
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	p.EnsureDefaults()
	return p
}
