// Package list is the list type: values in a sequence under one key.
//
// A list is a plain tree (package tree). As long as that is one leaf of
// moderate size, it lives in the list's record:
//
//	0x00 | count:u16 | the leaf
//
// A larger one has its nodes under slot|0x04|object|node, and the record names
// the object and the tree's root:
//
//	0x02 object:u64 count:u64 next-node:u64 | root:u64 height:u8
//
// A list that has become large stays so until it is deleted or empty. What
// happens at its ends writes a leaf and the few nodes above it, whatever the
// list's size and however long it has been used as a queue. What looks for a
// value (LREM, LINSERT, LPOS) reads the list up to it, a leaf at a time.
package list
