package sim

import (
	"strconv"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
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

// evaluator runs them, or the real commands that stand for them.
type evaluator struct {
	c    *cluster
	real *command.Evaluator // nil: the workload's own
}

// newEvaluator makes one process's evaluator.
func (c *cluster) newEvaluator() evaluator {
	e := evaluator{c: c}
	if c.opts.Commands {
		t, err := command.NewTable(datatype.All())
		if err != nil {
			panic(err)
		}
		e.real = command.NewEvaluator(t, keyspace.Limits{MaxString: 1 << 20})
	}
	return e
}

// realArgs is an operation as a command of the command table; there is none
// for compare and set.
func (o *op) realArgs() []string {
	arg := strconv.FormatInt(o.arg, 10)
	switch o.cmd {
	case cmdSet:
		return []string{"SET", o.key, arg}
	case cmdSwap:
		return []string{"SET", o.key, arg, "GET"}
	case cmdIncr:
		return []string{"INCR", o.key}
	case cmdDelete:
		return []string{"DEL", o.key}
	}
	return []string{"GET", o.key}
}

// number is what a reply says about the register; ok is false for an error.
func number(reply []byte) (n int64, ok bool) {
	v, size, err := resp.ParseReply(reply)
	if err != nil || size != len(reply) || size == 0 {
		return 0, false
	}
	switch v.Kind {
	case ':':
		return v.Int, true
	case '$':
		if v.Str != nil {
			n, err = strconv.ParseInt(string(v.Str), 10, 64)
		}
		return n, err == nil
	case '+', '_':
		return 0, true
	}
	return 0, false
}

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
	if e.real != nil {
		reply, _ = e.real.Evaluate(command.Call{
			Txn: txn, Partition: txn.Partition(), Span: txn.Span(), DB: req.DB, Proto: req.Proto, Args: req.Args,
		}, reply)
		return reply
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
