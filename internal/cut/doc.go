// Package cut makes consistent cuts over partitions, and reads them: the half
// of docs/internals/transactions.md, section Consistent cut, that the gateway
// node runs.
//
//	Coordinator   one node's, a state machine without I/O and without a clock,
//	              called by the node's loop: ARM, PIN, RELEASE, DECIDE
//	Snapshot      a cut as whoever asked for it reads it, outside of the loop,
//	              through a Cluster that waits for answers
//
// Invariants:
//   - RELEASE goes to nobody before every partition has answered PIN under the
//     same id; a cut is made only if every RELEASE, and then every DECIDE, was
//     answered with yes.
//   - Every attempt that was begun is ENDed, when it has failed or by End.
//   - A cut is finished once, whether it was made or not.
//
// Called by the fronts (through the node) and by the simulator.
package cut
