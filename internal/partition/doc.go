// Package partition is the replica: one member of one partition's Raft
// group, as a state machine without I/O. It drives raft, evaluates rounds
// when it leads, applies what is committed, answers reads, and says what has
// to be written, sent and moved by filling an Output.
//
// The way of a round, on the leader:
//
//	Submit ─▶ queue ─▶ Evaluate: a layer of the overlay, replies held back
//	       ─▶ raft.Propose ─▶ Output.Appends + Output.Messages
//	       ─▶ committed and locally durable ─▶ the layer is applied ─▶ Output.Finished
//
// Invariants:
//
//  1. At most one round of a replica is under way. Evaluate and propose are
//     one step; a proposal that raft drops takes back its layer at once.
//  2. An entry carries the term it was evaluated in and the round's number.
//     A mismatch or a gap at apply is a broken invariant and stops the node.
//  3. A reply leaves when everything it saw is committed and leadership was
//     confirmed after the request arrived: by its round's commit, or by one
//     ReadIndex for all reads of the round.
//  4. A new leader evaluates nothing before the empty entry of its own term
//     is applied, nor while leadership is being handed over.
//  5. Stepping down takes back all layers, and gives back the requests of the
//     round under way as unknown. Its entry may still commit. It carries the
//     answers, so a later leader, which has applied everything that can still
//     commit before it evaluates (4), answers a request that comes again from
//     there: it has its effects once (see Answers).
//  6. Only locally durable entries are applied, in order, together with the
//     state record that says so.
//
// The caller (package shard) owns the turn: step messages, then Evaluate,
// then Ready; it carries out the Output and reports back with Appended,
// Moved and Installed. Nothing here starts a goroutine, reads a clock or
// opens a file; reads of state go through the injected Base and LogReader.
package partition
