// Package logstore is the node's one Raft log: entries, hard states and
// truncation marks of all replicas of the node, in one sequence of append-only
// segment files. One writer (a goroutine of the node's driver) hands it what
// all replicas have pending; it becomes one record, one write and one
// fdatasync. Readers run beside the writer and never wait for the disk on its
// behalf.
//
// # What holds
//
//   - Append returns when what must be durable is durable. Only a commit index
//     that advanced, or a truncation, may wait: it is kept in memory and joins
//     the next record. So whenever a record is written, every record before it
//     was fsynced, and after a crash only the last one can be torn.
//   - A torn last record is cut off. Anything else that cannot be read (a bad
//     record with a later record behind it, a bad record in any segment but the
//     last, a missing segment, an entry that is in no segment) makes Open fail
//     with ErrCorrupt and changes nothing on disk.
//   - A segment gets its name only after its first records are durable, and is
//     removed, oldest first, only when no live entry is in it and the log knows
//     so durably.
//   - A failed write or fsync ends the Store: every later call returns that
//     first error, wrapped with ErrBroken. Nothing is retried, because after a
//     failed fsync the kernel may report success for pages it has dropped. For
//     the same reason Open never trusts the last record's pages: it writes that
//     record once more, into a new segment.
//   - Every entry carries a checksum of its own, verified when it is read back.
//
// What no single copy can tell: a last record that was acknowledged, and then
// damaged on the medium before anything was written behind it, looks like a
// torn one. Close writes a last empty record, so that this window exists after
// a crash only. Nor is the loss of the newest segment files as a whole noticed,
// or of all of them.
//
// The directory must belong to one Store; the caller holds the lock on it.
//
// # Format, version 1
//
// Integers are little endian; "uvarint" is encoding/binary's. Checksums are
// CRC-32C; one "seeded with (a, b)" starts from the top half of
// ((a*0x9E3779B97F4A7C15) xor b) * 0xBF58476D1CE4E5B9.
//
//	segment file  NNNNNNNNNN.log, NNNNNNNNNN = its number, consecutive from 1
//
//	header, 64 bytes
//	   0  magic "CTRLOG\r\n"
//	   8  version u32
//	  12  checksum u32 of bytes 0..12; these 16 bytes are alike in all versions
//	  16  segment number u64
//	  24  end of the segment before it u64: what lies there or behind it is not
//	      part of the log; 0 if there was none
//	  32  sequence u64 of its first record
//	  40  length u64 of what was durable before the file got its name
//	  48  zero, 12 bytes
//	  60  checksum u32 of bytes 0..60
//
//	record: header of 32 bytes, then the body
//	   0  length u32 of the body
//	   4  checksum u32 of the body
//	   8  sequence u64, consecutive over all segments
//	  16  known durable u64: all records up to this sequence were fsynced
//	      when this one was written
//	  24  type u8, then 3 zero bytes
//	  28  checksum u32 of bytes 0..28, seeded with (segment number, offset of the
//	      record), so that a record is valid in its own place only
//
// Behind the last record a segment may hold zeros, written ahead because an
// fdatasync that need not change the file's size is cheaper.
//
//	type 1, batch: updates until the end of the body, each
//	   flags u8 (1 remove, 2 reset, 4 entries, 8 hard state, 16 truncate),
//	   partition uvarint, replica uvarint,
//	   reset: index, term uvarint
//	   entries: count, first index uvarint, then count entries
//	   hard state: term, vote, commit uvarint
//	   truncate: index, term uvarint
//	entry: checksum u32 of what follows, seeded with (partition, index);
//	   type u8, term uvarint, length uvarint, data
//	type 2, checkpoint, the first record of each segment and only there:
//	   per replica, by ascending partition: partition, replica, mark index, mark
//	   term, term, vote, commit, last index, count of term runs (all uvarint),
//	   then per run its first index and its term
//	type 3, move: entries copied out of the oldest segment, each
//	   partition uvarint, index uvarint, entry
package logstore
