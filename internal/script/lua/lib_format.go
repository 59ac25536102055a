package lua

import (
	"strconv"
	"strings"
)

// verb is one conversion of string.format.
type verb struct {
	minus, plus, space, alternate, zero bool
	width, prec                         int // prec: -1 if there is none
}

func stringFormat(c *Call) {
	format := c.CheckString(1)
	var b []byte
	arg := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b = append(b, format[i])
			continue
		}
		if i++; i < len(format) && format[i] == '%' {
			b = append(b, '%')
			continue
		}
		var v verb
		i = v.parse(c, format, i)
		if arg++; arg > c.N() {
			c.BadArgument(arg, "no value")
		}
		var kind byte
		if i < len(format) {
			kind = format[i]
		}
		before := len(b)
		b = v.append(c, b, kind, arg)
		c.Step(1 + (len(b)-before)/8)
	}
	c.PushBytes(b)
}

func (v *verb) parse(c *Call, format string, i int) int {
	flags := i
	for ; i < len(format) && strings.IndexByte("-+ #0", format[i]) >= 0; i++ {
		switch format[i] {
		case '-':
			v.minus = true
		case '+':
			v.plus = true
		case ' ':
			v.space = true
		case '#':
			v.alternate = true
		case '0':
			v.zero = true
		}
	}
	if i-flags > 5 {
		c.Fail("invalid format (repeated flags)")
	}
	two := func() (n int) {
		for range 2 {
			if i < len(format) && isDigit(format[i]) {
				n = 10*n + int(format[i]-'0')
				i++
			}
		}
		return n
	}
	v.width, v.prec = two(), -1
	if i < len(format) && format[i] == '.' {
		i++
		v.prec = two()
	}
	if i < len(format) && isDigit(format[i]) {
		c.Fail("invalid format (width or precision too long)")
	}
	return i
}

func (v *verb) append(c *Call, b []byte, kind byte, arg int) []byte {
	var room [512]byte
	switch kind {
	case 'c':
		return v.pad(b, []byte{byte(c.CheckInt(arg))}, 0)
	case 'd', 'i':
		return v.integer(b, Integer(c.CheckNumber(arg)))
	case 'o', 'u', 'x', 'X':
		return v.unsigned(b, kind, uint64(Integer(c.CheckNumber(arg))))
	case 'e', 'E', 'f', 'g', 'G':
		n := c.CheckNumber(arg)
		text := v.float(room[:0], kind, n)
		if kind == 'E' || kind == 'G' {
			text = []byte(strings.ToUpper(string(text)))
		}
		if text[0] != '-' {
			text = v.sign(text)
		}
		if strings.ContainsAny(string(text), "nN") { // inf and nan are not padded with zeros
			w := *v
			w.zero = false
			return w.pad(b, text, 0)
		}
		return v.pad(b, text, signLen(text))
	case 'q':
		return appendQuoted(b, c.CheckString(arg))
	case 's':
		s := c.CheckString(arg)
		if v.prec >= 0 && v.prec < len(s) {
			s = s[:v.prec]
		}
		v.zero = false
		return v.pad(b, []byte(s), 0)
	}
	text := ""
	if kind != 0 {
		text = string(kind)
	}
	c.Fail("invalid option '%%%s' to 'format'", text)
	return nil
}

func signLen(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	if text[0] == '-' || text[0] == '+' || text[0] == ' ' {
		return 1
	}
	return 0
}

func (v *verb) sign(text []byte) []byte {
	switch {
	case v.plus:
		return append([]byte{'+'}, text...)
	case v.space:
		return append([]byte{' '}, text...)
	}
	return text
}

func (v *verb) float(dst []byte, kind byte, n float64) []byte {
	if dst, ok := appendSpecial(dst, n); ok {
		return dst
	}
	prec := v.prec
	if prec < 0 {
		prec = 6
	}
	switch kind | 0x20 {
	case 'f':
		dst = strconv.AppendFloat(dst, n, 'f', prec, 64)
		if v.alternate && prec == 0 {
			dst = append(dst, '.')
		}
		return dst
	case 'e':
		var room [128]byte
		text := strconv.AppendFloat(room[:0], n, 'e', prec, 64)
		at := strings.IndexByte(string(text), 'e')
		dst = append(dst, text[:at]...)
		if v.alternate && prec == 0 {
			dst = append(dst, '.')
		}
		exp, _ := strconv.Atoi(string(text[at+1:]))
		return appendExponent(dst, exp, false)
	}
	return appendGeneral(dst, n, prec, false, v.alternate)
}

func (v *verb) integer(b []byte, n int64) []byte {
	var room [64]byte
	digits := strconv.AppendUint(room[:0], magnitude(n), 10)
	text := v.digits(digits)
	if n < 0 {
		text = append([]byte{'-'}, text...)
	} else {
		text = v.sign(text)
	}
	w := *v
	w.zero = v.zero && v.prec < 0
	return w.pad(b, text, signLen(text))
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// digits brings an integer to its least number of digits.
func (v *verb) digits(text []byte) []byte {
	if v.prec == 0 && string(text) == "0" {
		return nil
	}
	if missing := v.prec - len(text); missing > 0 {
		text = append([]byte(strings.Repeat("0", missing)), text...)
	}
	return text
}

func (v *verb) unsigned(b []byte, kind byte, n uint64) []byte {
	base, prefix := 10, ""
	switch kind {
	case 'o':
		base = 8
		if v.alternate {
			prefix = "0"
		}
	case 'x', 'X':
		base = 16
		if v.alternate && n != 0 {
			prefix = "0x"
		}
	}
	var room [64]byte
	text := append([]byte(prefix), v.digits(strconv.AppendUint(room[:0], n, base))...)
	if kind == 'X' {
		text = []byte(strings.ToUpper(string(text)))
	}
	w := *v
	w.zero = v.zero && v.prec < 0
	return w.pad(b, text, len(prefix))
}

// pad brings text to the width; zeros go behind its first lead bytes.
func (v *verb) pad(b, text []byte, lead int) []byte {
	missing := v.width - len(text)
	switch {
	case missing <= 0:
		return append(b, text...)
	case v.minus:
		b = append(b, text...)
		return append(b, strings.Repeat(" ", missing)...)
	case v.zero:
		b = append(b, text[:lead]...)
		b = append(b, strings.Repeat("0", missing)...)
		return append(b, text[lead:]...)
	}
	b = append(b, strings.Repeat(" ", missing)...)
	return append(b, text...)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b = append(b, '\\', c)
		case '\r':
			b = append(b, `\r`...)
		case 0:
			b = append(b, `\000`...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
