// Package wire is the bytes of what nodes say to each other: raft messages,
// forwarded requests and their replies, snapshot chunks, and messages between
// clients. It is pure: the
// transport carries the bytes, the node takes them apart.
//
// A message starts with its kind and that kind's version, one byte each. Raft,
// request and reply messages then hold any number of items, so that one turn
// of a node's loop becomes one message per peer; the Append functions start
// the message when they are given an empty slice and add one item otherwise.
//
// What holds, and is fuzzed:
//   - Decoding never panics, and allocates at most maxAmplification bytes for
//     each byte received: a declared count is believed only as far as bytes are
//     there for it.
//   - Decoding what was encoded gives an equal message back, the presence of
//     raft's optional fields included.
//   - The bytes of a version never change: golden files in testdata hold them.
//
// Decoded messages alias the bytes they were decoded from. Whoever decodes
// owns those bytes and must leave them alone as long as the message lives.
package wire
