// Package stream is the stream type: a log of entries in the order of their
// ids, and groups of consumers that share the reading of it.
//
// Everything is in trees (package tree), which belong to one object. The
// record's body names it, and counts its entries and one more; it goes on with
//
//	entries:root groups:root
//	last:id maxDeleted:id added:uvarint
//
// where a root is node:uvarint height:u8 count:uvarint, and an id 16 bytes.
// The tree of entries has, under an id, the entry's fields and values; that
// of groups, under a name, a group:
//
//	last:id read:varint made:uvarint
//	pending:root owned:root consumers:root numbers:root
//
// with trees of its own:
//
//	pending    id                     → consumer:uvarint ms:varint deliveries:uvarint
//	owned      consumer:u64 id        → nothing
//	consumers  consumer:u64           → seen:varint active:varint name
//	numbers    name                   → consumer:u64
//
// Consumers go by numbers, so that a name is stored twice and not with every
// entry that is pending. The owned tree holds what the pending one does, by
// owner: it answers what a consumer has, and how much that is.
//
// Invariants: pending and owned hold the same entries; consumers and numbers
// the same consumers, all who own something among them; ids of entries never
// fall below last, whatever was deleted. A stream exists until its key is
// deleted, also when it is empty.
//
// What is added at the end of a tree costs one leaf of it, and what is deleted
// leaves nothing behind, so a stream that is trimmed costs the same for ever.
package stream
