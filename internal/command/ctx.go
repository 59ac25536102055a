package command

import (
	"bytes"
	"cmp"
	"math"
	"strconv"

	"coterie/internal/command/number"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
)

// Errors that many commands give, word for word as Redis does.
const (
	ErrSyntax     = "ERR syntax error"
	ErrNotInteger = "ERR value is not an integer or out of range"
	ErrNotFloat   = "ERR value is not a valid float"
	ErrWrongType  = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrNoSuchKey  = "ERR no such key"
	ErrTooLong    = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrOverflow   = "ERR increment or decrement would overflow"
	ErrNaN        = "ERR increment would produce NaN or Infinity"
	// ErrReplyTooLarge has no counterpart in Redis, whose replies may grow without bound.
	ErrReplyTooLarge = "ERR reply would exceed the maximum reply size"
	// errMoved asks clients to send the same again: nothing was run.
	errMoved = "TRYAGAIN a key of this request is not in this partition any more"
)

// Fail replies with an error; text is all of it.
func (c *Ctx) Fail(text string) { c.Out.Error(text) }

// ErrExpire is the error for a deadline that is not possible.
func (c *Ctx) ErrExpire() string {
	return "ERR invalid expire time in '" + c.Spec.Full + "' command"
}

// Touched says that a key was written which the command's row does not name:
// one of another database.
func (c *Ctx) Touched(db int, key []byte) {
	if c.call.interested() {
		c.call.touched(WatchedKey(uint8(db), key))
	}
}

// DBIndex reads argument i as the number of a database; when it is none, it
// replies with the error, and ok is false. text is that for what is no number;
// "": the usual one.
func (c *Ctx) DBIndex(i int, text string) (db int, ok bool) {
	n, ok := number.ParseInt(c.Args[i])
	switch {
	case !ok:
		c.Fail(cmp.Or(text, ErrNotInteger))
		return 0, false
	case n < math.MinInt32 || n > math.MaxInt32:
		c.Fail(cmp.Or(text, "ERR value is out of range, value must between -2147483648 and 2147483647"))
		return 0, false
	case n < 0 || n >= keyspace.Namespaces:
		c.Fail("ERR DB index is out of range")
		return 0, false
	}
	return int(n), true
}

// Publish sends a message to a channel's subscribers, once what the command
// wrote is committed, and says how many they are now.
func (c *Ctx) Publish(sharded bool, channel, payload []byte) int64 {
	if m, ok := c.Txn.(kv.Mailer); ok {
		m.Mail(kv.Mail{Sharded: sharded, Channel: bytes.Clone(channel), Payload: bytes.Clone(payload)})
	}
	if c.eval.Receivers == nil {
		return 0
	}
	return c.eval.Receivers(sharded, channel)
}

// Typed looks a key up for a command on values of type t. When there is a
// value of another type, it replies with the error, and ok is false. An absent
// key is fine: the record is zero.
func (c *Ctx) Typed(key []byte, t keyspace.Type) (r keyspace.Record, ok bool) {
	r = c.Lookup(key)
	if r.Type != t && r.Exists() {
		c.Out.Error(ErrWrongType)
		return r, false
	}
	return r, true
}

// Int reads argument i as an integer; when it is none, it replies with the
// error, and ok is false.
func (c *Ctx) Int(i int) (n int64, ok bool) {
	if n, ok = number.ParseInt(c.Args[i]); !ok {
		c.Out.Error(ErrNotInteger)
	}
	return n, ok
}

// IntIn is Int for an integer that must not be below least or above most.
func (c *Ctx) IntIn(i int, least, most int64) (n int64, ok bool) {
	if n, ok = c.Int(i); ok && (n < least || n > most) {
		c.Out.Error("ERR value is out of range, value must between " + strconv.FormatInt(least, 10) + " and " + strconv.FormatInt(most, 10))
		return 0, false
	}
	return n, ok
}

// SampleSize reads what HRANDFIELD and ZRANDMEMBER have behind their key: how
// many to pick, below zero with repeats, and whether with their values. ok is
// false when it replied with an error.
func (c *Ctx) SampleSize(withValues string) (count int64, with, ok bool) {
	if count, ok = c.IntIn(2, -math.MaxInt64, math.MaxInt64); !ok {
		return 0, false, false
	}
	with = len(c.Args) == 4
	switch {
	case len(c.Args) > 4 || with && !Is(c.Args[3], withValues):
		c.Fail(ErrSyntax)
		return 0, false, false
	case with && (count < -math.MaxInt64/2 || count > math.MaxInt64/2):
		c.Fail("ERR value is out of range")
		return 0, false, false
	}
	return count, with, true
}

// Positions turns two indexes, of which negative ones count from the end, into
// positions from and to-1 in a sequence of n things; both are 0 if it has none
// between them.
func Positions(start, stop int64, n uint64) (from, to uint64) {
	size := int64(n)
	if start < 0 {
		start = max(start+size, 0)
	}
	if stop < 0 {
		stop += size
	}
	stop = min(stop, size-1)
	if start > stop {
		return 0, 0
	}
	return uint64(start), uint64(stop) + 1
}

// Is says whether an argument is the given word, which is in upper case.
func Is(arg []byte, upper string) bool {
	if len(arg) != len(upper) {
		return false
	}
	for i, b := range arg {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != upper[i] {
			return false
		}
	}
	return true
}
