// Package statestore is the node's state store on disk: a Pebble database
// without a write-ahead log, since the Raft log replays what a crash loses.
//
// A directory holds:
//
//	LOCK      held while a process uses the directory
//	FORMAT    the version of what is here, see formatVersion
//	db/       the Pebble database
//	import/   tables on their way in; emptied by Open
//
// What durability rests on (Pebble 2.1):
//
//   - A batch goes into one memtable as a whole, and memtables are flushed in
//     order. A flush writes and syncs tables, then syncs the edit of the
//     manifest that names them. So a crash leaves the state after some prefix
//     of the batches, and never a part of one.
//   - A read with OnlyReadGuaranteedDurable looks at tables only, so GetDurable
//     sees exactly what such a flush has made durable.
//   - An ingest that overlaps a memtable would by default be queued behind it,
//     to be made durable through the write-ahead log. There is none, so that is
//     disabled: Pebble then flushes what overlaps and enters all tables of the
//     ingest with one synced edit of the manifest.
//   - A range tombstone does not delete points of the same table: both get the
//     ingest's sequence number. So each table of an export carries a tombstone
//     over its whole range, and then its keys. Excise is not used: it would
//     punch holes into open views.
//
// Faults. A failed flush, compaction or manifest write stops the store for
// good: Options.OnFatal is told, and every later call returns ErrFailed. Where
// Pebble would end the process with locks held (Logger.Fatalf), the goroutine is
// parked instead, so that nothing is written after the fault, and so that the
// owner decides how to end. Calls under way may then never return, Close leaves
// the database as it is, and the directory stays locked until the process ends.
// (A failed sync of the database's directory is a panic of Pebble's own, which
// ends the process with a trace; within Open it is an error.) A corrupt block is reported
// to OnFatal as a *CorruptionError, which says where; reads that meet it return
// ErrCorrupt, and the rest stays readable.
//
// An idle store costs ten wake-ups a second, of Pebble's compaction scheduler:
// less than 0.1 % of a core.
package statestore
