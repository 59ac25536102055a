package command

import (
	"math"

	"coterie/internal/command/number"
	"coterie/internal/keyspace"
	"coterie/internal/resp"
)

// TimeoutAt says where a blocking command's timeout is.
type TimeoutAt uint8

const (
	// TimeoutNone: it has none.
	TimeoutNone TimeoutAt = iota
	// TimeoutLast: the last argument, in seconds.
	TimeoutLast
	// TimeoutFirst: the first argument, in seconds.
	TimeoutFirst
	// TimeoutBlock: behind the word BLOCK, in milliseconds. Without that word the
	// command does not block.
	TimeoutBlock
)

// Errors about timeouts, word for word as Redis gives them.
const (
	errTimeoutFloat    = "ERR timeout is not a float or out of range"
	errTimeoutInteger  = "ERR timeout is not an integer or out of range"
	errTimeoutRange    = "ERR timeout is out of range"
	errTimeoutNegative = "ERR timeout is negative"
)

// maxTimeout is the longest timeout in milliseconds: about the time that is
// left until a clock of milliseconds overflows.
const maxTimeout = math.MaxInt64 - 1<<42

// Block says that the command has found nothing, and written nothing, not even
// a reply: it is to be run again when one of its keys has been written. Where it
// may not wait, it answers as if its time were up.
func (c *Ctx) Block() { c.BlockAs(nil) }

// BlockAs is Block for a command that is to be run again with other arguments,
// which name the same keys.
func (c *Ctx) BlockAs(args [][]byte) {
	if !c.MayBlock {
		c.Spec.TimeUp(c.Out)
		return
	}
	c.blocked, c.blockedAs = true, args
}

// Passes says that a command which waits passes a key over: what has come under it
// meanwhile is not of type t, and so not what it waits for.
func (c *Ctx) Passes(key []byte, t keyspace.Type) bool {
	if !c.Waited {
		return false
	}
	r := c.Lookup(key)
	return r.Exists() && r.Type != t
}

// TimeUp writes the reply of a command whose time is up.
func (s *Spec) TimeUp(w *resp.Writer) {
	if s.TimedOut != nil {
		s.TimedOut(w)
		return
	}
	w.NullArray()
}

// Timeout reads argument i as a timeout in seconds; when it is none, it replies
// with the error, and ok is false. The result is in milliseconds; 0 stands for
// ever.
func (c *Ctx) Timeout(i int) (ms int64, ok bool) {
	ms, why := timeoutSeconds(c.Args[i])
	if why != "" {
		c.Out.Error(why)
	}
	return ms, why == ""
}

// TimeoutMillis is Timeout for an argument in milliseconds.
func (c *Ctx) TimeoutMillis(i int) (ms int64, ok bool) {
	ms, why := timeoutMillis(c.Args[i])
	if why != "" {
		c.Out.Error(why)
	}
	return ms, why == ""
}

func timeoutSeconds(arg []byte) (ms int64, why string) {
	f, ok := number.ParseFloat(arg)
	if !ok {
		return 0, errTimeoutFloat
	}
	if ms, ok = f.Ceil(1000); !ok {
		return 0, errTimeoutRange
	}
	return timeoutInRange(ms)
}

func timeoutMillis(arg []byte) (ms int64, why string) {
	n, ok := number.ParseInt(arg)
	if !ok {
		return 0, errTimeoutInteger
	}
	return timeoutInRange(n)
}

func timeoutInRange(ms int64) (int64, string) {
	switch {
	case ms < 0:
		return 0, errTimeoutNegative
	case ms > maxTimeout:
		return 0, errTimeoutRange
	}
	return ms, ""
}

// Blocks says whether a command with these arguments may wait, and for how many
// milliseconds at most; 0 stands for ever. A timeout that is none makes it one
// that does not wait: Run says what is wrong.
func (s *Spec) Blocks(args [][]byte) (ms int64, blocks bool) {
	if s.Flags&Blocking == 0 || len(args) < 2 {
		return 0, false
	}
	why := ""
	switch s.Timeout {
	case TimeoutLast:
		ms, why = timeoutSeconds(args[len(args)-1])
	case TimeoutFirst:
		ms, why = timeoutSeconds(args[1])
	case TimeoutBlock:
		for i := 1; i+1 < len(args) && !Is(args[i], "STREAMS"); i++ {
			if Is(args[i], "BLOCK") {
				ms, why = timeoutMillis(args[i+1])
				return ms, why == ""
			}
		}
		return 0, false
	default:
		return 0, false
	}
	return ms, why == ""
}

// Waiters are those who wait for keys in one partition, under one leadership.
type Waiters interface {
	// Any says whether there are any.
	Any() bool
	// Touch says that a key was written; it is as WatchedKey has it.
	Touch(key []byte)
	// TouchAll says that any key may have been written.
	TouchAll()
	// Wait makes the call that is being evaluated one of them: it waits for keys,
	// to be run again with args (nil: its own). Of a class that does not
	// broadcast, one that finds nothing speaks for all behind it.
	Wait(keys, args [][]byte, class string, broadcast bool)
}

// interested says whether anybody wants to know what a call writes.
func (c *Call) interested() bool { return c.Watches.Any() || c.Waiters != nil && c.Waiters.Any() }

// touched tells all who are interested that a key was written.
func (c *Call) touched(key []byte) {
	c.Watches.Touch(key)
	if c.Waiters != nil {
		c.Waiters.Touch(key)
	}
}

// touchedAll tells them that any key may have been written.
func (c *Call) touchedAll() {
	c.Watches.TouchAll()
	if c.Waiters != nil {
		c.Waiters.TouchAll()
	}
}

// wait makes a call one that waits, after its command called Block. Of a row with
// several key specs it is the first one's keys that it waits for: who waits for a
// key must be served when there is something, and a destination serves nobody.
func (e *Evaluator) wait(call *Call, spec *Spec) {
	var keys [][]byte
	if e.keys = e.keys[:0]; spec.FindKeys == nil && len(spec.KeySpecs) > 0 {
		e.keys = spec.KeySpecs[0].Keys.appendTo(e.keys, len(call.Args))
	} else {
		e.keys = spec.AppendKeys(e.keys, call.Args)
	}
	for _, i := range e.keys {
		keys = append(keys, WatchedKey(call.DB, call.Args[i]))
	}
	call.Waiters.Wait(keys, e.ctx.blockedAs, spec.Group, spec.Broadcast)
}
