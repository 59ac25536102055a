// Package set is the set type: different strings under one key, in no order.
//
// A small set is kept in its record:
//
//	0x00 | form:u8 | members:u8 | member …
//
// form is how Redis would hold the same set after the same commands, which
// OBJECT ENCODING tells: 0 hashtable, 1 listpack, 2 intset. In the form intset
// members are integers in rising order, of eight bytes each, big endian with
// the sign bit turned; in the others they are strings, each after its length
// (uvarint), in the order in which they came.
//
// A larger set has two entries per member, so that its members are numbered
// from 0 to count-1 without a gap:
//
//	slot|0x02|object|0x00|member      → position:u64
//	slot|0x02|object|0x01|position:u64 → member
//
// and its record's body is the object and a byte of form. Deleting a member
// moves the last one to its place. So a member picked at random is one read,
// every member with the same chance; nothing ever walks over what was deleted;
// and a scan that goes from the last position down to the first meets every
// member that stays, because members move only downwards. A set that has
// become large stays so until it is deleted.
//
// Callers are the command table, and types that read sets through [Open].
package set
