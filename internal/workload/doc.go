// Package workload is what clients do to a cluster under test, and how what
// they saw is judged: the same workloads and checkers for whole clusters in
// simulation and for real processes.
//
// A [Kind] is a row of the table in [Kinds]: a generator and a checker. A
// generator ([Workload]) lives for one chapter: it makes real commands over
// keys of its own, told from those of other chapters by their prefix. What
// became of each command is an [Op]; the ops of one chapter, in the order in
// which they were called, are a [History], which the checker judges on its own:
// it knows nothing of the generator, so that a history can be kept, read again
// and checked again. Chapters bound what a checker has to search and what a
// driver has to remember.
//
// The outcome of a command is one of three. Done: the reply stands. Refused: it
// certainly did not run, and what it would have left behind must never be
// seen. Unknown: it may take effect at any time after its call, or never, but
// not twice.
//
// Invariants: no I/O, no clock, no goroutine of its own, no source of chance
// but the one it is given; times are the driver's, in microseconds. A checker
// accuses only with operations that prove it: what an unknown outcome or a
// clock's offset could explain is no violation.
//
// A workload is one file: a type with Next, a check function, a row in Kinds,
// and broken histories for it in the tests. Packages sim and chaos drive them.
package workload
