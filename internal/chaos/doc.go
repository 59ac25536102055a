// Package chaos lets faults loose on a cluster of real processes, with clients
// at work, and judges what the clients saw by the checkers of package workload.
//
//	clients ──▶ nodes (processes of this program) ◀── SIGKILL, SIGSTOP, SIGTERM, a full disk
//	   │          ╲ each node tells the others the address of its proxy ╱
//	histories      proxies: bytes from node i to node j stall, crawl, are cut off
//	   │
//	checkers (package workload) ──▶ Report
//
// A run goes in chapters of some seconds. Each workload gets keys of its own
// for a chapter; later, with faults still going on, the chapter is read a last
// time, judged and forgotten, so that a run can last for days. When the faults
// are over, everything has to come into order within a bound, and is read
// once more.
//
// Invariants: it touches only nodes in a directory that carries its mark, and
// which it started itself; it listens on loopback only; what it starts it ends,
// and on Linux its nodes die with it. Which faults come, and when, is a function
// of the seed; what they meet is not.
//
// The command line calls Run and Check.
package chaos
