package command

import (
	"bytes"
	"strconv"

	"coterie/internal/command/glob"
	"coterie/internal/command/number"
)

// ErrCursor is the error for a cursor that is none.
const ErrCursor = "ERR invalid cursor"

// maxScanCount bounds COUNT, how many items one step of a scan looks at.
const maxScanCount = 10_000

// ParseCursor reads a cursor of SCAN or its like, as leniently as C's strtoul
// does for Redis: nothing is zero, and a negative number wraps around.
func ParseCursor(p []byte) (cursor uint64, ok bool) {
	if end := bytes.IndexByte(p, 0); end >= 0 {
		p = p[:end]
	}
	negative := len(p) > 1 && p[0] == '-'
	if len(p) > 1 && (negative || p[0] == '+') {
		p = p[1:]
	}
	if len(p) == 0 {
		return 0, true
	}
	cursor, err := strconv.ParseUint(string(p), 10, 64)
	if negative {
		cursor = -cursor
	}
	return cursor, err == nil
}

// ScanOptions are the options that all scans take.
type ScanOptions struct {
	Count   int // items to look at
	Type    []byte
	pattern []byte // nil: all
}

// ScanOptions reads options from argument i on. ok is false when it replied
// with an error.
func (c *Ctx) ScanOptions(i int, types bool) (o ScanOptions, ok bool) {
	o.Count = 10
	for ; i < len(c.Args); i += 2 {
		arg, last := c.Args[i], i+1 == len(c.Args)
		switch {
		case !last && Is(arg, "COUNT"):
			n, ok := number.ParseInt(c.Args[i+1])
			if !ok {
				c.Fail(ErrNotInteger)
				return o, false
			}
			if n < 1 {
				c.Fail(ErrSyntax)
				return o, false
			}
			o.Count = int(min(n, maxScanCount))
		case !last && Is(arg, "MATCH"):
			if o.pattern = c.Args[i+1]; string(o.pattern) == "*" {
				o.pattern = nil
			} else if o.pattern == nil {
				o.pattern = []byte{}
			}
		case !last && types && Is(arg, "TYPE"):
			o.Type = c.Args[i+1]
		default:
			c.Fail(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// BeginScan reads what HSCAN, SSCAN and ZSCAN begin with. open opens the
// collection and returns its length: of an empty one, as in Redis, options are
// not looked at. ok is false when it replied.
func (c *Ctx) BeginScan(open func() (length uint64, ok bool)) (cursor uint64, o ScanOptions, ok bool) {
	if cursor, ok = ParseCursor(c.Args[2]); !ok {
		c.Fail(ErrCursor)
		return 0, o, false
	}
	length, ok := open()
	if !ok {
		return 0, o, false
	}
	if length == 0 {
		c.ScanReply(0, nil)
		return 0, o, false
	}
	o, ok = c.ScanOptions(3, false)
	return cursor, o, ok
}

// Matches says whether an item's name matches the pattern, if there is one.
func (o *ScanOptions) Matches(name []byte) bool {
	return o.pattern == nil || glob.Match(o.pattern, name)
}

// ScanReply replies with a step of a scan: where to go on, and what was found.
func (c *Ctx) ScanReply(next uint64, found [][]byte) {
	c.Out.Array(2)
	var text [20]byte
	c.Out.Bulk(strconv.AppendUint(text[:0], next, 10))
	c.Out.Array(len(found))
	for _, item := range found {
		c.Out.Bulk(item)
	}
}

// Fits says whether the reply that began at start is within the limit of
// replies; if not, an error takes its place.
func (c *Ctx) Fits(start int) bool {
	if len(c.Out.Buf)-start <= c.Limits.MaxReply {
		return true
	}
	c.Out.Buf = c.Out.Buf[:start]
	c.Out.Error(ErrReplyTooLarge)
	return false
}
