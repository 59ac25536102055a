package command

import (
	"coterie/internal/kv"
	"coterie/internal/resp"
)

// What a command sees that runs others as part of itself: a script.

// DivertReply is the reply of a call whose command called Divert. It left no effects,
// and is to be evaluated over several partitions. No command can reply with it: else a
// script could have itself run twice.
const DivertReply = "-DIVERT\nThe command has to be evaluated at the gateway\r\n"

// Divert says that this command cannot be run here, or not in the time that a leader
// has for it. Whatever it has written is taken back, and nothing it replies is seen.
// It must not be called where Spans is true.
func (c *Ctx) Divert() { c.eval.diverted = true }

// Spans says that the command is evaluated at the gateway, over several partitions, and
// may take its time.
func (c *Ctx) Spans() bool { return c.call.Places != nil }

// Full says that the command's namespace is over its limit. With MayExceed the
// commands that this one runs go on all the same.
func (c *Ctx) Full() bool { return c.call.full }

// MayExceed lets them: see Full.
func (c *Ctx) MayExceed() { c.call.full = false }

// Nested says that the command runs as a part of another one.
func (c *Ctx) Nested() bool { return c.call.nested }

// Table is the command table.
func (c *Ctx) Table() *Table { return c.eval.table }

// Local is a place where a command keeps what belongs to the evaluator that runs it.
func (c *Ctx) Local() *any { return &c.eval.local }

// SetLocal sets what Ctx.Local gives.
func (e *Evaluator) SetLocal(v any) { e.local = v }

// Scratch is an empty writer for a reply that is used up before the next one.
func (c *Ctx) Scratch(proto int) *resp.Writer {
	w := &c.eval.inner
	if cap(w.Buf) > maxInner {
		w.Buf = nil
	}
	w.Buf, w.Proto = w.Buf[:0], proto
	return w
}

// maxInner is how many bytes of memory for nested replies are kept.
const maxInner = 64 << 10

// Written is about how many bytes of effects there are since the round began.
func (c *Ctx) Written() int { return effects(c.call) }

// Strays says whether a command with these arguments may use keys that it does not
// name, so that it may have to be evaluated at the gateway.
func (s *Spec) Strays(args [][]byte) bool {
	switch {
	case s.Flags&RunsOthers != 0:
		return true
	case s.Undeclared != nil:
		return s.Undeclared(args)
	}
	inner := s.Wrapped(args)
	return inner != nil && inner.Wraps == 0 && inner.Strays(args[s.Wraps:])
}

// runOthers runs a command that runs others.
func (e *Evaluator) runOthers(c *Ctx) {
	start, before := len(c.Out.Buf), savepoint(c.call)
	c.Spec.Run(c)
	if e.diverted && !e.grouped {
		revert(c.call, before)
		e.divert(start)
	}
}

// savepoint is the place that a call's transaction has reached, if it knows.
func savepoint(call *Call) (s kv.Savepoint) {
	if t, ok := call.Txn.(kv.Savepoints); ok {
		s = t.Savepoint()
	}
	return s
}

// revert takes back what a call's transaction has done since.
func revert(call *Call, s kv.Savepoint) {
	if t, ok := call.Txn.(kv.Savepoints); ok {
		t.Revert(s)
	}
}

// divert ends a call that was diverted.
func (e *Evaluator) divert(start int) {
	e.diverted = false
	e.out.Buf = append(e.out.Buf[:start], DivertReply...)
}
