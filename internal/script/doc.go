// Package script runs Redis's scripts and functions: their text (shebang, flags), the
// globals they see (redis, cjson, KEYS …), what replies become in Lua and values become
// in replies, and the words of every error. The language is package lua's.
//
//	body ─▶ Compile ─▶ Script (immutable, shared) ─▶ Engine.Eval ─▶ reply
//	code ─▶ ParseLibrary ─▶ Library (immutable, shared) ─▶ Engine.Call ─▶ reply
//
// An Engine knows no commands: a [Host] runs them, grants steps, and may divert the
// run: then it ends at once, scripts cannot catch that, and nothing of it is seen. The
// Host takes back what its commands did.
//
// Invariants: globals and libraries are read-only for scripts, so that no run leaves
// anything to the next, but for what a library's functions keep in their own upvalues,
// as in Redis. A run's memory is bounded by MaxMemory.
//
// A Store is what a node has of scripts: those that it met (a cache, bounded in bytes),
// and those of the whole cluster as of some version. It may be used from many
// goroutines; an Engine belongs to one.
//
// Callers: datatype/scripting, redisfront, node.
package script
