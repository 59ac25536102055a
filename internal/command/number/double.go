package number

import (
	"bytes"
	"math"
	"strconv"
)

// ParseDouble reads a number as C's strtod does, without spaces: decimal or
// hexadecimal, with or without a fraction and an exponent, or an infinity. One
// too large or too small for a float64 is refused, and so is NaN.
func ParseDouble(p []byte) (f float64, ok bool) {
	f, inRange, ok := parseDouble(p)
	return f, ok && inRange
}

// ParseBound reads one end of a range of numbers, for which Redis takes more:
// space in front, nothing at all as zero, what follows a zero byte ignored,
// and a number too large or too small as the nearest there is.
func ParseBound(p []byte) (f float64, ok bool) {
	if end := bytes.IndexByte(p, 0); end >= 0 {
		p = p[:end]
	}
	if len(p) == 0 {
		return 0, true
	}
	f, _, ok = parseDouble(bytes.TrimLeft(p, " \t\n\v\f\r"))
	return f, ok
}

func parseDouble(p []byte) (f float64, inRange, ok bool) {
	body := p
	if len(p) > 0 && (p[0] == '+' || p[0] == '-') {
		body = p[1:]
	}
	if len(body) == 0 || len(p) > maxDigits {
		return 0, false, false
	}
	if len(p) < 16 && isInteger(body) { // by far the most frequent
		n := int64(0)
		for _, c := range body {
			n = n*10 + int64(c-'0')
		}
		if p[0] == '-' {
			return math.Copysign(float64(n), -1), true, true
		}
		return float64(n), true, true
	}
	if bytes.EqualFold(body, []byte("inf")) || bytes.EqualFold(body, []byte("infinity")) {
		sign := 1
		if p[0] == '-' {
			sign = -1
		}
		return math.Inf(sign), true, true
	}
	zero, ok := checkDigits(body)
	if !ok {
		return 0, false, false
	}
	f, err := strconv.ParseFloat(string(completed(p)), 64)
	return f, err == nil && (zero || f != 0), err == nil || math.IsInf(f, 0)
}

func isInteger(p []byte) bool {
	for _, c := range p {
		if !isDecimal(c) {
			return false
		}
	}
	return true
}
