// Package keys is the frozen key layout of the state store: it makes and
// parses keys, and says where ranges of keys begin and end. It is pure.
//
// A node has one state store, which holds the replicas of all its partitions:
//
//	00 00 … 3f ff   slot, u16 big endian; then a kind byte:
//	   00  counter     slot 00 generation:u32
//	   01  record      slot 01 generation:u32 hash48:6 key
//	   02  element     slot 02 object:u64 hash48:6 element
//	                   (a type with an order of its own writes what it likes
//	                   after ElementPrefix)
//	   03  expiry      slot 03 deadline-ms:u64 generation:u32 hash48:6 key
//	   04  tree node   slot 04 object:u64 node:u64
//	40              the catalog's own records
//	80              a partition's meta records: 80 partition:u32, then
//	   00  state record
//	   01  the map from namespaces to generations
//	   02  intents of transactions: gateway:u64 sequence:u64
//	   03  verdicts on transactions: gateway:u64 sequence:u64
//
// All numbers are big endian, so the order of keys is the order of their
// numbers, and a span of slots is one contiguous range. Within a slot records
// are ordered by hash48, the upper 48 bits of XXH64 of the key, so that SCAN
// can name its place by (slot, hash48) alone and keep no state; see [Cursor].
//
// Nothing here may change for data that exists: the golden tests pin every
// byte. Callers are the partition (meta records, spans), the keyspace and the
// data types (records, elements, expiry).
package keys
