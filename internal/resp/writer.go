package resp

import (
	"strconv"
	"strings"
)

// Writer appends replies to Buf in protocol version Proto, 2 or 3; any other
// value is taken as 2. What version 2 has no type for, it writes as Redis
// does: a map as an array of twice the length, a double as a bulk string, a
// boolean as the integer 1 or 0.
//
// The zero Writer is ready for use. It allocates only when Buf must grow.
type Writer struct {
	Buf   []byte
	Proto int
}

// Simple writes a simple string. A line break in s would end the reply early,
// so it is written as a space.
func (w *Writer) Simple(s string) { w.line('+', s) }

// Error writes an error. s is its full text, "ERR unknown command", without
// the leading '-'. A line break in s is written as a space.
func (w *Writer) Error(s string) { w.line('-', s) }

// Int writes an integer.
func (w *Writer) Int(n int64) { w.header(':', n) }

// Bulk writes a bulk string. A nil slice is an empty string, not a null.
func (w *Writer) Bulk(b []byte) {
	w.header('$', int64(len(b)))
	w.Buf = append(append(w.Buf, b...), '\r', '\n')
}

// BulkString writes a bulk string.
func (w *Writer) BulkString(s string) {
	w.header('$', int64(len(s)))
	w.Buf = append(append(w.Buf, s...), '\r', '\n')
}

// Null writes the null that stands for a missing string.
func (w *Writer) Null() {
	if w.Proto == 3 {
		w.Buf = append(w.Buf, '_', '\r', '\n')
		return
	}
	w.Buf = append(w.Buf, '$', '-', '1', '\r', '\n')
}

// NullArray writes the null that stands for a missing array.
func (w *Writer) NullArray() {
	if w.Proto == 3 {
		w.Buf = append(w.Buf, '_', '\r', '\n')
		return
	}
	w.Buf = append(w.Buf, '*', '-', '1', '\r', '\n')
}

// Array begins an array; n replies follow it.
func (w *Writer) Array(n int) { w.header('*', int64(n)) }

// Map begins a map of n pairs; 2n replies follow it, each key before its
// value.
func (w *Writer) Map(n int) {
	if w.Proto == 3 {
		w.header('%', int64(n))
		return
	}
	w.header('*', 2*int64(n))
}

// Set begins a set; n replies follow it.
func (w *Writer) Set(n int) { w.aggregate('~', n) }

// Push begins an out-of-band message; n replies follow it. Version 2 knows
// such messages only as arrays on a connection in subscribed mode.
func (w *Writer) Push(n int) { w.aggregate('>', n) }

// Double writes a floating point number.
func (w *Writer) Double(f float64) {
	var room [32]byte
	text := AppendDouble(room[:0], f)
	if w.Proto == 3 {
		w.Buf = append(w.Buf, ',')
		w.Buf = append(append(w.Buf, text...), '\r', '\n')
		return
	}
	w.Bulk(text)
}

// Bool writes a boolean.
func (w *Writer) Bool(b bool) {
	mark, digit := byte('f'), byte('0')
	if b {
		mark, digit = 't', '1'
	}
	if w.Proto == 3 {
		w.Buf = append(w.Buf, '#', mark, '\r', '\n')
		return
	}
	w.Buf = append(w.Buf, ':', digit, '\r', '\n')
}

// BigNumber writes an integer of any size, given in decimal.
func (w *Writer) BigNumber(s string) {
	if w.Proto == 3 {
		w.line('(', s)
		return
	}
	w.BulkString(s)
}

// Verbatim writes a text of a known format, which has three letters: "txt" or
// "mkd".
func (w *Writer) Verbatim(format, s string) {
	if w.Proto != 3 {
		w.BulkString(s)
		return
	}
	w.header('=', int64(len(format)+1+len(s)))
	w.Buf = append(append(w.Buf, format...), ':')
	w.Buf = append(append(w.Buf, s...), '\r', '\n')
}

// Raw appends b, which already is one or more replies in the Writer's version.
func (w *Writer) Raw(b []byte) { w.Buf = append(w.Buf, b...) }

func (w *Writer) aggregate(kind byte, n int) {
	if w.Proto != 3 {
		kind = '*'
	}
	w.header(kind, int64(n))
}

// header writes a type byte, a number and a line end.
func (w *Writer) header(kind byte, n int64) {
	w.Buf = appendHeader(w.Buf, kind, n)
}

func appendHeader(dst []byte, kind byte, n int64) []byte {
	if uint64(n) < 10 {
		return append(dst, kind, byte('0'+n), '\r', '\n')
	}
	dst = strconv.AppendInt(append(dst, kind), n, 10)
	return append(dst, '\r', '\n')
}

func (w *Writer) line(kind byte, s string) {
	w.Buf = append(w.Buf, kind)
	start := len(w.Buf)
	w.Buf = append(w.Buf, s...)
	if strings.ContainsAny(s, "\r\n") {
		for i, c := range w.Buf[start:] {
			if c == '\r' || c == '\n' {
				w.Buf[start+i] = ' '
			}
		}
	}
	w.Buf = append(w.Buf, '\r', '\n')
}

// AppendCommand appends a command as clients send it: an array of bulk
// strings.
func AppendCommand[T ~string | ~[]byte](dst []byte, args ...T) []byte {
	dst = appendHeader(dst, '*', int64(len(args)))
	for _, a := range args {
		dst = appendHeader(dst, '$', int64(len(a)))
		dst = append(append(dst, a...), '\r', '\n')
	}
	return dst
}
