// Package spanning evaluates commands whose keys lie in several partitions, at
// the gateway: it fetches what they read, runs the same code that a leader
// would run, and has the partitions commit what they wrote as one transaction.
// It is used for what cannot be divided by key (RENAME, SINTERSTORE, scripts)
// and for a MULTI that has such a command in it.
//
// The first attempt takes no locks: each slot that was read is noted with the
// round of its partition as of which it was, and the participants prepare the
// work only if nothing has changed. If something has, the next attempt locks
// all slots that are known by then, waiting in line, and reads under its locks;
// slots that it meets only then are again read without, and added to the locks
// of the attempt after. So contention becomes queueing.
//
// Invariants:
//
//   - Whatever was read is either under the transaction's own lock from before
//     it was read until it has ended, or was found unchanged and unlocked when
//     it was locked; so all of it held together at the commit point. What only
//     reads is validated behind its last read instead, as in package txn.
//   - An evaluation that read at different times may see what never was. Its
//     results go nowhere: reads without locks are checked before anything of it
//     is seen.
//   - A held transaction is always committed or released.
//
// It is free of I/O: a [Cluster] waits for the answers. Callers are the fronts'
// sessions, each on a goroutine of its own, and simulated clients.
package spanning
