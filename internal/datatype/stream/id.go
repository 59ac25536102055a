package stream

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"coterie/internal/command"
)

// id names an entry: a time in milliseconds, and a number among those of the
// same time. It is stored as 16 bytes, big endian, so that bytes sort as ids do.
type id struct{ ms, seq uint64 }

const idLen = 16

var maxID = id{math.MaxUint64, math.MaxUint64}

const errID = "ERR Invalid stream ID specified as stream command argument"

func (a id) less(b id) bool { return a.ms < b.ms || a.ms == b.ms && a.seq < b.seq }

func (a id) zero() bool { return a == id{} }

// next is the id after a; ok is false when a is the last there can be.
func (a id) next() (_ id, ok bool) {
	switch {
	case a == maxID:
		return a, false
	case a.seq == math.MaxUint64:
		return id{a.ms + 1, 0}, true
	}
	return id{a.ms, a.seq + 1}, true
}

// previous is the id before a; ok is false when a is the first there can be.
func (a id) previous() (_ id, ok bool) {
	switch {
	case a.zero():
		return a, false
	case a.seq == 0:
		return id{a.ms - 1, math.MaxUint64}, true
	}
	return id{a.ms, a.seq - 1}, true
}

func appendID(dst []byte, a id) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, a.ms), a.seq)
}

func idKey(a id) (key [idLen]byte) {
	binary.BigEndian.PutUint64(key[:], a.ms)
	binary.BigEndian.PutUint64(key[8:], a.seq)
	return key
}

func idOf(key []byte) id {
	return id{binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])}
}

// text is the id as clients see it.
func (a id) text(dst []byte) []byte {
	dst = strconv.AppendUint(dst, a.ms, 10)
	return strconv.AppendUint(append(dst, '-'), a.seq, 10)
}

func replyID(c *command.Ctx, a id) {
	var room [41]byte
	c.Out.Bulk(a.text(room[:0]))
}

// maxIDText is how many bytes of text are looked at for an id.
const maxIDText = 127

// parseID reads "ms-seq", or "ms" alone, which stands for ms-missing. It is as
// lenient as C's strtoull, which Redis falls back on.
func parseID(p []byte, missing uint64) (a id, ok bool) {
	p, ok = idText(p)
	if !ok {
		return id{}, false
	}
	first, second, both := bytes.Cut(p, []byte{'-'})
	if a.ms, ok = parseUint(first); !ok {
		return id{}, false
	}
	if a.seq = missing; both {
		a.seq, ok = parseUint(second)
	}
	return a, ok
}

// idText is the text of an id without what C would not see of it.
func idText(p []byte) (_ []byte, ok bool) {
	if len(p) > maxIDText {
		return nil, false
	}
	if end := bytes.IndexByte(p, 0); end >= 0 {
		p = p[:end]
	}
	return p, true
}

func parseUint(p []byte) (n uint64, ok bool) {
	negative := len(p) > 0 && p[0] == '-'
	if negative { // C would take it only behind a space
		return 0, false
	}
	p = bytes.TrimLeft(p, " \t\n\v\f\r")
	if len(p) > 0 && (p[0] == '+' || p[0] == '-') {
		negative = p[0] == '-'
		p = p[1:]
	}
	n, err := strconv.ParseUint(string(p), 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}

// parseNewID reads the id of a new entry: also "ms-*", whose number is to be
// chosen.
func parseNewID(p []byte) (a id, seqGiven, ok bool) {
	if text, fits := idText(p); fits && bytes.HasSuffix(text, []byte("-*")) {
		ms, ok := parseUint(text[:len(text)-2])
		return id{ms: ms}, false, ok
	}
	a, ok = parseID(p, 0)
	return a, true, ok
}

// parseBound reads an end of an interval: an id, "-", "+", or "(" and an id,
// which is not part of the interval.
func parseBound(p []byte, missing uint64) (a id, open, ok bool) {
	switch {
	case len(p) > 1 && p[0] == '(':
		a, ok = parseID(p[1:], missing)
		return a, true, ok
	case string(p) == "-":
		return id{}, false, true
	case string(p) == "+":
		return maxID, false, true
	}
	a, ok = parseID(p, missing)
	return a, false, ok
}

// interval reads both ends of an interval. ok is false when it replied with
// an error.
func interval(c *command.Ctx, start, end []byte) (from, to id, ok bool) {
	if from, ok = intervalStart(c, start); !ok {
		return from, to, false
	}
	to, open, ok := parseBound(end, math.MaxUint64)
	if !ok {
		c.Fail(errID)
		return from, to, false
	}
	if open {
		if to, ok = to.previous(); !ok {
			c.Fail("ERR invalid end ID for the interval")
		}
	}
	return from, to, ok
}

func intervalStart(c *command.Ctx, start []byte) (from id, ok bool) {
	from, open, ok := parseBound(start, 0)
	if !ok {
		c.Fail(errID)
		return from, false
	}
	if open {
		if from, ok = from.next(); !ok {
			c.Fail("ERR invalid start ID for the interval")
		}
	}
	return from, ok
}

// argIDs reads arguments as ids. ok is false when it replied with an error.
func argIDs(c *command.Ctx, args [][]byte) (list []id, ok bool) {
	list = make([]id, len(args))
	for i, p := range args {
		if list[i], ok = parseID(p, 0); !ok {
			c.Fail(errID)
			return nil, false
		}
	}
	return list, true
}
