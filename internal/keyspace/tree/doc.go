// Package tree is a counted B+ tree: entries in order, found by key or by
// position, in nodes that are records of the state store. It is what large
// lists, sorted sets and streams are made of.
//
// A tree lives in a [Store], which gives it ids for its nodes, and is named by
// a [Root], which the owner keeps in its own record. Several trees may share a
// store. There are two kinds, and a tree is always of one:
//
//   - a keyed tree, ordered by bytes.Compare of its keys, each of which it has
//     once: Put, Delete, Get, Rank;
//   - a plain tree, a sequence of values without keys: InsertAt, SetAt.
//
// At, Scan, ScanBack and DeleteRange are for both; positions begin with 0.
//
// The nodes, whose bytes are frozen (TestGolden):
//
//	leaf     00 { len:uvarint key  len:uvarint value } …       keyed
//	         01 { len:uvarint value } …                        plain
//	branch   02 id:uvarint { count:uvarint len:uvarint sep id:uvarint } …
//	         03 id:uvarint { count:uvarint id:uvarint } …
//
// A branch names its children with the number of entries below each, except
// that the last one's follows from the branch's own. So whatever happens at
// the end of a tree writes a leaf and nothing above it. Every key of a child is
// at or above the separator in front of it, and below the next.
//
// Invariants, which [Check] verifies:
//
//   - all leaves are at the same height, and none is empty;
//   - a node is within its size (maxLeaf, maxBranch), unless that is one entry,
//     or at most minBranch children with long separators;
//   - a branch is never the root when it has one child only.
//
// An insertion that overflows a node at its end, or at its beginning, leaves
// the full node as it is and begins another one; in the middle it halves the
// node. So what comes in order fills its nodes. A deletion that leaves little
// of a node joins it with its neighbour if both have room; what is taken away
// at an end is gone with its nodes. A queue costs the same for ever.
//
// Changes are kept in memory until [Tree.Root] writes them, each node once, in
// the order of the ids. The package is pure; callers are the data types.
package tree
