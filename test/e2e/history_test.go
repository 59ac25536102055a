package e2e

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"coterie/internal/resp"
)

// kind is what an operation does to its key. The key is a number, held as a
// string or as the one field of a hash; both behave alike.
type kind uint8

const (
	get kind = iota
	set
	incr
	setnx
	swap // GETSET; strings only
	del
	take // GETDEL; strings only
	kinds
)

// reads says whether the operation leaves no effect.
func (k kind) reads() bool { return k == get }

// op is one operation of a history, on one key.
type op struct {
	kind   kind
	arg    int64
	client int
	call   int64 // ns
	ret    int64
	lost   bool // nobody knows whether it ran
	out    result
}

// result is what an operation answered: a number, or nothing.
type result struct {
	null bool
	n    int64
}

// value is the state of one key.
type value struct {
	exists bool
	n      int64
}

func (v value) read() result {
	if !v.exists {
		return result{null: true}
	}
	return result{n: v.n}
}

func flag1(b bool) result {
	if b {
		return result{n: 1}
	}
	return result{}
}

// apply is the model: the state and the answer after an operation. hash tells
// HSET's answer, which says whether the field is new, from SET's.
func apply(v value, k kind, arg int64, hash bool) (value, result) {
	written := value{exists: true, n: arg}
	switch k {
	case get:
		return v, v.read()
	case set:
		if hash {
			return written, flag1(!v.exists)
		}
		return written, result{}
	case incr:
		v = value{exists: true, n: v.n + arg} // v.n is 0 when it does not exist
		return v, result{n: v.n}
	case setnx:
		if v.exists {
			return v, flag1(false)
		}
		return written, flag1(true)
	case swap:
		return written, v.read()
	case del:
		return value{}, flag1(v.exists)
	case take:
		return value{}, v.read()
	}
	panic("unknown kind")
}

// model is one key for porcupine.
func model(hash bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return value{} },
		Step: func(state, input, output any) (bool, any) {
			in, out := input.(*op), output.(*op)
			next, want := apply(state.(value), in.kind, in.arg, hash)
			return out.lost || want == out.out, next
		},
		Equal: func(a, b any) bool { return a.(value) == b.(value) },
		DescribeOperation: func(input, output any) string {
			in, out := input.(*op), output.(*op)
			return fmt.Sprintf("%s(%d) -> %+v lost=%v", in.kind, in.arg, out.out, out.lost)
		},
	}
}

func (k kind) String() string {
	return [...]string{"get", "set", "incr", "setnx", "swap", "del", "take"}[k]
}

// check says whether the history of one key is linearizable. Lost operations
// may take effect at any later time, or never: they return at infinity. Lost
// reads say nothing and are left out.
func check(history []op, hash bool, limit time.Duration) porcupine.CheckResult {
	var ops []porcupine.Operation
	for i := range history {
		o := &history[i]
		ret := o.ret
		if o.lost {
			if o.kind.reads() {
				continue
			}
			ret = math.MaxInt64
		}
		ops = append(ops, porcupine.Operation{ClientId: o.client, Input: o, Call: o.call, Output: o, Return: ret})
	}
	return porcupine.CheckOperationsTimeout(model(hash), ops, limit)
}

// command is the operation as Redis knows it.
func (o *op) command(key string, hash bool) []string {
	n := fmt.Sprint(o.arg)
	if hash {
		switch o.kind {
		case get:
			return []string{"HGET", key, "f"}
		case set:
			return []string{"HSET", key, "f", n}
		case incr:
			return []string{"HINCRBY", key, "f", n}
		case setnx:
			return []string{"HSETNX", key, "f", n}
		case del:
			return []string{"HDEL", key, "f"}
		}
	}
	switch o.kind {
	case get:
		return []string{"GET", key}
	case set:
		return []string{"SET", key, n}
	case incr:
		return []string{"INCRBY", key, n}
	case setnx:
		return []string{"SETNX", key, n}
	case swap:
		return []string{"GETSET", key, n}
	case del:
		return []string{"DEL", key}
	}
	return []string{"GETDEL", key}
}

// fill takes the answer over. ok is false for an answer that the operation
// cannot have.
func (o *op) fill(v resp.Value) (ok bool) {
	switch {
	case v.Null:
		o.out = result{null: true}
	case v.Kind == ':':
		o.out = result{n: v.Int}
	case v.Kind == '+' && string(v.Str) == "OK":
		o.out = result{}
	case v.Kind == '$':
		_, err := fmt.Sscan(string(v.Str), &o.out.n)
		return err == nil
	default:
		return false
	}
	return true
}

// TestCheckerRejects is the test of the tester: histories that no correct
// server can give are refused, and the hardest correct ones are accepted.
func TestCheckerRejects(t *testing.T) {
	num := func(n int64) result { return result{n: n} }
	none := result{null: true}
	w := func(call, ret, arg int64) op { return op{kind: set, arg: arg, call: call, ret: ret} }
	r := func(call, ret int64, out result) op { return op{kind: get, call: call, ret: ret, out: out} }
	lost := func(o op) op { o.lost = true; return o }
	inc := func(call, ret, out int64) op { return op{kind: incr, arg: 1, call: call, ret: ret, out: num(out)} }
	for _, c := range []struct {
		name    string
		history []op
		good    bool
	}{
		{"read your write", []op{w(0, 1, 5), r(2, 3, num(5))}, true},
		{"lost acknowledged write", []op{w(0, 1, 5), r(2, 3, none)}, false},
		{"stale read after a newer write", []op{w(0, 1, 5), w(2, 3, 6), r(4, 5, num(5))}, false},
		{"reads going back in time", []op{w(0, 1, 5), w(2, 9, 6), r(3, 4, num(6)), r(5, 6, num(5))}, false},
		{"concurrent write seen or not", []op{w(0, 1, 5), w(2, 9, 6), r(3, 4, num(5)), r(5, 6, num(6))}, true},
		{"increment applied twice", []op{inc(0, 1, 1), inc(2, 3, 3)}, false},
		{"two increments with one answer", []op{inc(0, 5, 1), inc(0, 5, 1)}, false},
		{"command refused as not run, seen all the same", []op{w(0, 1, 5), r(2, 3, num(7))}, false},
		{"lost write took effect later", []op{w(0, 1, 5), lost(w(2, 3, 6)), r(4, 5, num(5)), r(6, 7, num(6))}, true},
		{"lost write never took effect", []op{w(0, 1, 5), lost(w(2, 3, 6)), r(4, 5, num(5))}, true},
		{"lost write undone", []op{w(0, 1, 5), lost(w(2, 3, 6)), r(4, 5, num(6)), r(6, 7, num(5))}, false},
		{"lost increment applied twice", []op{inc(0, 1, 1), lost(inc(2, 3, 0)), inc(4, 5, 4)}, false},
		{"lost increment applied once", []op{inc(0, 1, 1), lost(inc(2, 3, 0)), inc(4, 5, 3)}, true},
		{"both setnx won", []op{{kind: setnx, arg: 1, call: 0, ret: 1, out: num(1)}, {kind: setnx, arg: 2, call: 2, ret: 3, out: num(1)}}, false},
		{"taken twice", []op{w(0, 1, 5), {kind: take, call: 2, ret: 6, out: num(5)}, {kind: take, call: 2, ret: 6, out: num(5)}}, false},
		{"deleted and back", []op{w(0, 1, 5), {kind: del, call: 2, ret: 3, out: num(1)}, r(4, 5, num(5))}, false},
	} {
		want := porcupine.Illegal
		if c.good {
			want = porcupine.Ok
		}
		if got := check(c.history, false, time.Minute); got != want {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}
