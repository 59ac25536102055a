package node

import (
	"os"
	"runtime"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times what lives before it is
// collected: a node's live heap is small, and its bounds (write-back, request
// memory) are set elsewhere.
const gcPercent = 400

// tune sets the runtime for a node, where the operator's GOMAXPROCS and GOGC
// do not. On one or two processors the loop and what it wakes are best off
// with one: handing work to another thread costs more than it saves, since
// most of the time goes into the kernel, which uses the other one. Measured:
// docs/benchmarks.md.
func tune() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.NumCPU() <= 2 {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
