// Package keyspace is a namespace of keys with expiry, laid over the ordered
// transaction that package kv declares. A [Space] is one command's view of
// one namespace in one partition; data types and generic commands read and
// change records through it, and through it alone, so that what belongs
// together stays together.
//
// Invariants, which [Check] verifies:
//
//   - a slot's counter is the number of its records in that generation; no
//     counter is stored for zero;
//   - the expiry index has exactly one entry for each moment that a record
//     names, its deadline and its due time, and no other entries exist;
//   - an element, or a node of a tree, belongs to the object that exactly one
//     record of the same slot names;
//   - the count of an object without trees is the number of its elements; with
//     trees, it is the type's own. The ids of its nodes are below its NextNode.
//
// A key whose deadline is not after the transaction's stamp does not exist:
// meeting one removes it, as an effect of the command that met it. So a
// reply that hid a key is never given without the stamp that hid it being
// replicated, and no later leader can show the key again.
//
// Everything here is pure: time, random numbers and object ids come from the
// transaction. Callers are the command table and the data types, and for
// [SweepDead] and [SweepExpired] the leader's loop.
package keyspace
