package sim

import (
	"strconv"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/resp"
)

// The commands of the workload. A value is a number; an absent key counts as
// zero.
const (
	cmdGet    = "get"    // key → value
	cmdSet    = "set"    // key value → OK
	cmdSwap   = "swap"   // key value → the value before
	cmdCAS    = "cas"    // key old new → 1 or 0
	cmdIncr   = "incr"   // key → the value after
	cmdFetch  = "fetch"  // key → value; as get, but routed as a write
	cmdDelete = "delete" // key → OK
)

// evaluator runs them.
type evaluator struct{ c *cluster }

var _ partition.Evaluator = evaluator{}

// Evaluate implements partition.Evaluator.
func (e evaluator) Evaluate(txn *partition.Txn, req *partition.Request, reply []byte) []byte {
	if req.Partition == base.Catalog {
		b, err := catalog.Run(txn, req.Args)
		if err != nil {
			return append(append(append(reply, "-ERR "...), err.Error()...), "\r\n"...)
		}
		return append(append(reply, '+'), b...)
	}
	key := keys.RecordKey(nil, req.Slot, 0, req.Args[1])
	old := int64(0)
	if b, ok := txn.Get(key); ok {
		old, _ = strconv.ParseInt(string(b), 10, 64)
	}
	arg := func(i int) int64 { n, _ := strconv.ParseInt(string(req.Args[i]), 10, 64); return n }
	set := func(v int64) { txn.Set(key, strconv.AppendInt(nil, v, 10)) }
	w := resp.Writer{Buf: reply, Proto: 2}
	switch string(req.Args[0]) {
	case cmdGet, cmdFetch:
		w.Int(old)
	case cmdSet:
		set(arg(2))
		w.Int(0)
	case cmdSwap:
		set(arg(2))
		w.Int(old)
	case cmdCAS:
		if old == arg(2) {
			set(arg(3))
			w.Int(1)
		} else {
			w.Int(0)
		}
	case cmdIncr:
		set(old + 1)
		w.Int(old + 1)
	case cmdDelete:
		lower, upper := key, keys.PrefixEnd(key)
		if e.c.rand.IntN(2) == 0 {
			txn.Delete(key)
		} else {
			txn.DeleteRange(lower, upper)
		}
		w.Int(0)
	default:
		w.Error("ERR unknown command")
	}
	return w.Buf
}

// Background implements partition.Evaluator.
func (evaluator) Background(*partition.Txn) bool { return false }
