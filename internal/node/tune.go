package node

import (
	"os"
	"runtime"
	"runtime/debug"

	"coterie/internal/config"
)

// gcPercent lets the heap grow to five times what lives before it is
// collected: a node's live heap is small as a rule. When clients fill the
// bounds (write-back, request memory), memoryLimit makes an end of that.
const gcPercent = 400

// baseMemory is what a node holds beside what its settings bound, in bytes.
const baseMemory = 256 << 20

// memoryLimit is the size from which the heap is collected as often as it
// takes to stay there, in bytes: what the settings allow, with replies at
// twice the request memory, where connections are closed.
func memoryLimit(c *config.Node) int64 {
	return baseMemory + int64(c.CacheSize) + 3*int64(c.WriteBackSize) + 2*int64(c.MaxRequestMemory) + 2*int64(c.MaxInflightBytes) +
		2*int64(c.MaxReplyQueue)
}

// tune sets the runtime for a node, where the operator's GOMAXPROCS and GOGC
// do not. On one or two processors the loop and what it wakes are best off
// with one: handing work to another thread costs more than it saves, since
// most of the time goes into the kernel, which uses the other one. Measured:
// docs/benchmarks.md.
func tune(c *config.Node) {
	if os.Getenv("GOMAXPROCS") == "" && runtime.NumCPU() <= 2 {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit(c))
	}
}
