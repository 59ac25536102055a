package resp

import (
	"bytes"
	"fmt"
)

// ProtocolError says why a connection's bytes are no protocol. Its text is
// what Redis answers behind "ERR "; the connection ends after it.
type ProtocolError string

func (e ProtocolError) Error() string { return string(e) }

const (
	errMultibulkLength ProtocolError = "Protocol error: invalid multibulk length"
	errBulkLength      ProtocolError = "Protocol error: invalid bulk length"
	errMultibulkString ProtocolError = "Protocol error: too big mbulk count string"
	errBulkString      ProtocolError = "Protocol error: too big bulk count string"
	errInlineSize      ProtocolError = "Protocol error: too big inline request"
	errQuotes          ProtocolError = "Protocol error: unbalanced quotes in request"
	errRequestSize     ProtocolError = "Protocol error: too big request"
)

// Limits bound one command. A zero field stands for its default, which is
// Redis's own.
type Limits struct {
	MaxArgs    int // arguments, the name included; default 1048576
	MaxBulk    int // bytes of one argument; default 512 MiB (proto-max-bulk-len)
	MaxInline  int // bytes of an inline command, or of a length line; default 64 KiB
	MaxRequest int // bytes of the whole command as sent; default 1 GiB (client-query-buffer-limit)
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.MaxArgs, 1 << 20}, {&l.MaxBulk, 512 << 20}, {&l.MaxInline, 64 << 10}, {&l.MaxRequest, 1 << 30}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return l
}

// Parser finds commands in a buffer, both as arrays of bulk strings and
// inline. One that is incomplete is not scanned again from its start when
// more of it has come. A Parser serves one connection, one call at a time.
type Parser struct {
	limits Limits

	// Progress within an incomplete command; all offsets are from its first
	// byte. Everything is zero between commands.
	pos     int    // first byte not yet consumed
	scanned int    // no line end lies in [pos, scanned)
	left    int    // arguments still to come; 0 also means: no header yet
	bulk    int    // bytes of the argument at pos, when inBulk
	inBulk  bool   // the argument's length line was consumed
	args    []span // complete arguments
}

type span struct{ start, end int }

// spansKept is how many argument positions a Parser keeps room for between
// commands, 16 bytes each. A larger command gives its room back.
const spansKept = 1024

// NewParser returns a Parser with the given limits.
func NewParser(l Limits) *Parser { return &Parser{limits: l.withDefaults()} }

// Next finds the first command in buf, which must begin where the last one
// ended. n is the number of bytes it takes.
//
//   - n > 0 and len(args) > 0: a command.
//   - n > 0 and len(args) == 0: bytes that ask for nothing and get no answer:
//     an empty line, "*0", "*-1".
//   - n == 0 and err == nil: incomplete. Call again with the same bytes and
//     more behind them; the slice itself may be another one.
//   - err != nil: a ProtocolError. The connection cannot go on; Reset before
//     the Parser is used for another.
//
// args is dst[:0] with the arguments appended, and grows only past dst's
// capacity. They alias buf, and are valid as long as its bytes are left
// alone. The quotes of an inline command are taken off in place, so its bytes
// in buf are overwritten.
func (p *Parser) Next(buf []byte, dst [][]byte) (args [][]byte, n int, err error) {
	if p.left == 0 {
		if len(buf) == 0 {
			return dst[:0], 0, nil
		}
		if buf[0] != '*' {
			return p.inline(buf, dst[:0])
		}
		count, next, err := p.length(buf, errMultibulkLength, errMultibulkString)
		switch {
		case err != nil || next == 0:
			return dst[:0], 0, err
		case count > int64(p.limits.MaxArgs):
			return dst[:0], 0, errMultibulkLength
		case count <= 0:
			p.scanned = 0
			return dst[:0], next, nil
		}
		p.left, p.pos, p.scanned = int(count), next, next
	}
	done, err := p.bulks(buf)
	if !done {
		return dst[:0], 0, err
	}
	args = dst[:0]
	for _, s := range p.args {
		args = append(args, buf[s.start:s.end:s.end])
	}
	n = p.pos
	p.Reset()
	return args, n, nil
}

// Reset forgets an incomplete or broken command.
func (p *Parser) Reset() {
	p.pos, p.scanned, p.left, p.bulk, p.inBulk = 0, 0, 0, 0, false
	if cap(p.args) > spansKept {
		p.args = nil
	}
	p.args = p.args[:0]
}

// bulks consumes the arguments of an array, as far as they have come.
func (p *Parser) bulks(buf []byte) (done bool, err error) {
	for p.left > 0 {
		if !p.inBulk {
			size, next, err := p.bulkLength(buf)
			if err != nil || next == 0 {
				return false, err
			}
			p.bulk, p.inBulk, p.pos = size, true, next
		}
		end := p.pos + p.bulk
		if len(buf) < end+2 {
			return false, nil
		}
		// As in Redis, the two bytes behind the argument are not looked at.
		p.args = append(p.args, span{p.pos, end})
		p.pos, p.scanned, p.inBulk = end+2, end+2, false
		p.left--
	}
	return true, nil
}

// bulkLength reads the length line of the argument at pos.
func (p *Parser) bulkLength(buf []byte) (size, next int, err error) {
	n, next, err := p.length(buf, errBulkLength, errBulkString)
	if err == errBulkLength && buf[p.pos] != '$' || next > 0 && buf[p.pos] != '$' {
		c := buf[p.pos]
		if c == '\r' || c == '\n' {
			c = ' ' // as Redis shows it: an error is one line
		}
		return 0, 0, ProtocolError(fmt.Sprintf("Protocol error: expected '$', got '%s'", []byte{c}))
	}
	if err != nil || next == 0 {
		return 0, 0, err
	}
	if n < 0 || n > int64(p.limits.MaxBulk) {
		return 0, 0, errBulkLength
	}
	if int64(next)+n+2 > int64(p.limits.MaxRequest) {
		return 0, 0, errRequestSize
	}
	return int(n), next, nil
}

// length reads the line at pos: a type byte, a number, and a line end of two
// bytes, of which Redis looks only at the first. next is the offset behind
// it, 0 when it has not come completely.
func (p *Parser) length(buf []byte, invalid, tooBig ProtocolError) (n int64, next int, err error) {
	// Nearly every line is a few digits that have arrived as a whole.
	if line := buf[p.pos:]; len(line) >= 4 {
		if d := line[1] - '0'; d <= 9 && line[2] == '\r' {
			return int64(d), p.pos + 4, nil
		}
	}
	from := max(p.scanned, p.pos)
	end := bytes.IndexByte(buf[from:], '\r')
	if end < 0 {
		p.scanned = len(buf)
		if len(buf)-p.pos > p.limits.MaxInline {
			return 0, 0, tooBig
		}
		return 0, 0, nil
	}
	end += from
	p.scanned = end
	if end-p.pos > p.limits.MaxInline {
		return 0, 0, tooBig
	}
	if len(buf) < end+2 {
		return 0, 0, nil
	}
	n, ok := parseInt(buf[min(p.pos+1, end):end])
	if !ok {
		return 0, 0, invalid
	}
	return n, end + 2, nil
}

// parseInt reads a decimal number as strictly as Redis: no blank, no plus
// sign, no leading zero.
func parseInt(text []byte) (n int64, ok bool) {
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(text) > 1 {
		return 0, false
	}
	var u uint64 // 19 digits fit
	for _, c := range digits {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		u = u*10 + uint64(d)
	}
	if negative {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u < 1<<63
}
