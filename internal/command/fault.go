package command

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"coterie/internal/kv"
)

// A command that panics ends nothing but itself: it runs once, at a leader or a
// gateway, and only its effects are replicated. They are taken back, and its client
// gets an error. If it went on as a panic, the request would be sent to the next
// leader, and end that too.
//
// That holds only where the fault is the command's. One in what keeps the state (the
// overlay, the store, a replica) leaves that in an unknown condition, and still ends
// the node. One of a command that read wrongly because the store failed is left to who
// keeps that: it ends by the store's error (package partition), or the command does
// (package spanning).

// Fault is a panic of a command.
type Fault struct {
	Command string // its name
	Panic   string
	Stack   []byte
}

// ErrFault is what its client gets.
const ErrFault = "ERR internal error: the command failed and left nothing behind; the log of the node that ran it says where"

// NewFault makes a Fault of what was recovered, on the goroutine that panicked.
func NewFault(command string, p any) Fault {
	return Fault{Command: command, Panic: fmt.Sprint(p), Stack: debug.Stack()}
}

// evaluated are the packages whose panics are a command's own fault, and leave behind
// nothing that is used again; of the front, only what it has partitions run (evaluated.go
// there). Frames of other modules do not matter: what calls them does.
var evaluated = []string{"base", "command", "datatype", "keys", "keyspace", "rdb", "redisfront.inSlot", "redisfront.run", "resp", "script"}

const modulePackages = "coterie/internal/"

// mend ends a call whose command panicked.
func (e *Evaluator) mend(p any, call Call, before kv.Savepoint, reply []byte) []byte {
	if call.Txn.Err() != nil || !ownFault() {
		panic(p)
	}
	name := ""
	if spec := e.table.Lookup(e.call.Args); spec != nil {
		name = spec.Full
	}
	f := NewFault(name, p)
	revert(&call, before)
	if call.Caches != nil { // what they counted was taken back
		call.Caches.Dirty()
	}
	e.ctx, e.call = Ctx{}, Call{}
	e.out.Buf, e.inner.Buf = nil, nil
	e.grouped, e.diverted, e.groupFlushed = false, false, false
	e.Fault(f)
	return append(append(append(reply, '-'), ErrFault...), "\r\n"...)
}

// ownFault says whether all frames between Evaluate and the panic are of packages that
// evaluate. It is asked while the panic is being recovered: they are still there.
func ownFault() bool {
	pcs := make([]uintptr, 16<<10)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "command.(*Evaluator).Evaluate") {
			return true
		}
		if name, ours := strings.CutPrefix(f.Function, modulePackages); ours && !evaluates(name) || !more {
			return false
		}
	}
}

func evaluates(name string) bool {
	return slices.ContainsFunc(evaluated, func(p string) bool { return strings.HasPrefix(name, p) })
}
