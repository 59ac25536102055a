// Package lua is Lua 5.1 as scripts of Redis know it: compiler, virtual machine and
// the libraries base, string, table, math and coroutine. It does no I/O, reads no
// clock, starts no goroutine and knows nothing of Redis; package script adds that.
//
//	source ─▶ lexer ─▶ parser (tree, names resolved) ─▶ generator (Proto) ─▶ State.run
//
// What an embedder gets that a general Lua does not offer:
//
//   - Steps are counted, also those of pattern matching and sorting. When they are
//     used up the State asks its Hook, which gives more or ends the run; a script
//     cannot catch that.
//   - Memory is bounded: allocations are charged, and when the charge reaches the
//     limit what is reachable is measured. What is too much fails with "not enough
//     memory", which a script cannot catch either.
//   - Tables can be made read-only.
//   - Numbers become text as C's "%.14g", and errors name variables as Lua's do:
//     clients compare both.
//
// Invariants: a Proto is immutable and may be shared by States. A State belongs to
// one goroutine. Errors of scripts travel as panics of *Error and never leave
// State.Call; a panic of anything else is a bug.
//
// Locals that inner functions use live in cells from their declaration on, so there
// are no open upvalues to be closed. Coroutines have stacks of their own and are run
// by the same loop, so a yield is an ordinary return.
//
// Called by package script.
package lua
