package lua

import (
	"math"
	"strconv"
)

// Value is any value of Lua. The zero Value is nil.
//
// What it is, is the dynamic type of o: number (then n is its value), bool,
// string, *Table, *closure, *goFunction, *thread or *proxy.
type Value struct {
	o any
	n float64
}

type number struct{}

// proxy is what newproxy makes: an object that has nothing but a metatable.
type proxy struct{ meta *Table }

// Nil is nil.
var Nil Value

// Number makes a number.
func Number(n float64) Value { return Value{o: number{}, n: n} }

// Bool makes a boolean.
func Bool(b bool) Value { return Value{o: b} }

// String makes a string.
func String(s string) Value { return Value{o: s} }

// FromTable makes a value of a table.
func FromTable(t *Table) Value { return Value{o: t} }

// IsNil says whether v is nil.
func (v Value) IsNil() bool { return v.o == nil }

// Truth says whether v counts as true.
func (v Value) Truth() bool {
	if v.o == nil {
		return false
	}
	b, ok := v.o.(bool)
	return !ok || b
}

// Num returns v's number, if it is one.
func (v Value) Num() (float64, bool) {
	_, ok := v.o.(number)
	return v.n, ok
}

// Str returns v's string, if it is one.
func (v Value) Str() (string, bool) {
	s, ok := v.o.(string)
	return s, ok
}

// Bool returns v's boolean, if it is one.
func (v Value) Bool() (b, ok bool) {
	b, ok = v.o.(bool)
	return b, ok
}

// Table returns v's table, if it is one.
func (v Value) Table() (*Table, bool) {
	t, ok := v.o.(*Table)
	return t, ok
}

// IsFunction says whether v is a function.
func (v Value) IsFunction() bool {
	switch v.o.(type) {
	case *closure, *goFunction:
		return true
	}
	return false
}

// Type is the name of v's type.
func (v Value) Type() string {
	switch v.o.(type) {
	case nil:
		return "nil"
	case number:
		return "number"
	case bool:
		return "boolean"
	case string:
		return "string"
	case *Table:
		return "table"
	case *thread:
		return "thread"
	case *proxy:
		return "userdata"
	}
	return "function"
}

// Text is v as a string if it is a string or a number: what Lua converts by itself.
func (v Value) Text() (string, bool) {
	switch o := v.o.(type) {
	case string:
		return o, true
	case number:
		return FormatNumber(v.n), true
	}
	return "", false
}

// ToNumber is v as a number if it is one, or a string that spells one.
func (v Value) ToNumber() (float64, bool) {
	switch o := v.o.(type) {
	case number:
		return v.n, true
	case string:
		return ParseNumber(o)
	}
	return 0, false
}

// equal compares without metamethods.
func equal(a, b Value) bool {
	switch x := a.o.(type) {
	case number:
		_, ok := b.o.(number)
		return ok && a.n == b.n
	case string:
		y, ok := b.o.(string)
		return ok && x == y
	case *Table:
		y, ok := b.o.(*Table)
		return ok && x == y
	}
	return a.o == b.o
}

// FormatNumber is what C's "%.14g" prints.
func FormatNumber(n float64) string {
	if i := int64(n); float64(i) == n && i > -1e14 && i < 1e14 && (i != 0 || !math.Signbit(n)) {
		return strconv.FormatInt(i, 10)
	}
	var room [32]byte
	return string(appendGeneral(room[:0], n, 14, false, false))
}

// appendSpecial appends what C prints for numbers that are none.
func appendSpecial(dst []byte, n float64) ([]byte, bool) {
	switch {
	case math.IsInf(n, 0):
		if n < 0 {
			dst = append(dst, '-')
		}
		return append(dst, "inf"...), true
	case math.IsNaN(n):
		if math.Signbit(n) {
			dst = append(dst, '-')
		}
		return append(dst, "nan"...), true
	}
	return dst, false
}

// appendGeneral appends what C's "%.*g" prints; keep is its flag '#'.
func appendGeneral(dst []byte, n float64, prec int, upper, keep bool) []byte {
	if dst, ok := appendSpecial(dst, n); ok {
		return dst
	}
	if prec == 0 {
		prec = 1
	}
	var room [400]byte
	text := strconv.AppendFloat(room[:0], n, 'e', prec-1, 64)
	e := len(text) - 1
	for text[e] != 'e' {
		e--
	}
	exp, _ := strconv.Atoi(string(text[e+1:]))
	mantissa := text[:e]
	if exp >= -4 && exp < prec {
		mantissa = strconv.AppendFloat(room[:0], n, 'f', prec-1-exp, 64)
		e = -1
	}
	if !keep {
		mantissa = trimZeros(mantissa)
	}
	dst = append(dst, mantissa...)
	if e < 0 {
		return dst
	}
	return appendExponent(dst, exp, upper)
}

func appendExponent(dst []byte, exp int, upper bool) []byte {
	mark := byte('e')
	if upper {
		mark = 'E'
	}
	dst = append(dst, mark)
	if exp < 0 {
		dst, exp = append(dst, '-'), -exp
	} else {
		dst = append(dst, '+')
	}
	if exp < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}

// trimZeros drops the zeros behind a decimal point, and the point.
func trimZeros(text []byte) []byte {
	point := false
	for _, c := range text {
		point = point || c == '.'
	}
	if !point {
		return text
	}
	for text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	if text[len(text)-1] == '.' {
		text = text[:len(text)-1]
	}
	return text
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// maxNumeral is how many bytes of a numeral are looked at: longer ones are none.
const maxNumeral = 1 << 10

// ParseNumber reads a whole string as C's strtod does, white space around it allowed.
func ParseNumber(s string) (float64, bool) {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	if s == "" || len(s) > maxNumeral {
		return 0, false
	}
	body := s
	if body[0] == '+' || body[0] == '-' {
		body = body[1:]
	}
	hex := len(body) > 2 && body[0] == '0' && body[1]|0x20 == 'x'
	power := false
	for i := range len(body) {
		c := body[i]
		if c == '_' {
			return 0, false
		}
		power = power || c|0x20 == 'p'
	}
	if hex && !power {
		s += "p0"
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 0) {
		return 0, false
	}
	return n, true
}

// AppendGeneral appends what C's "%.*g" prints.
func AppendGeneral(dst []byte, n float64, prec int) []byte {
	return appendGeneral(dst, n, prec, false, false)
}
