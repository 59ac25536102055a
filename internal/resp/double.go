package resp

import (
	"math"
	"strconv"
)

// AppendDouble appends f as Redis 7.2 shows a double, in a reply as well as
// in a stored value: an integer without a fraction, otherwise the shortest
// digits that read back as f, with an exponent only for the very large and
// the very small.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case f == 0 && math.Signbit(f):
		return append(dst, "-0"...)
	case math.Abs(f) <= math.MaxInt64/2 && f == math.Trunc(f):
		return strconv.AppendInt(dst, int64(f), 10)
	}
	// Shortest digits, as d.ddde±xx; then laid out by hand, because Redis's
	// choice between plain and exponent form is its own.
	var room [32]byte
	text := strconv.AppendFloat(room[:0], math.Abs(f), 'e', -1, 64)
	mantissa, exponent := splitExponent(text)
	if math.Signbit(f) {
		dst = append(dst, '-')
	}
	return layoutDouble(dst, mantissa, exponent)
}

// splitExponent takes "d.ddde±xx" apart into its digits, without the point,
// and the exponent of the first one. The digits share text's memory.
func splitExponent(text []byte) (digits []byte, exponent int) {
	e := len(text) - 1
	for text[e] != 'e' {
		e--
	}
	for _, c := range text[e+2:] {
		exponent = exponent*10 + int(c-'0')
	}
	if text[e+1] == '-' {
		exponent = -exponent
	}
	if e == 1 {
		return text[:1], exponent
	}
	text[1] = text[0] // close the gap of the point
	return text[1:e], exponent
}

// layoutDouble writes digits × 10^(exponent-len(digits)+1). Plain form is for
// up to seven zeros behind the digits, or six behind the point, or a small
// exponent.
func layoutDouble(dst, digits []byte, exponent int) []byte {
	shift := exponent - len(digits) + 1 // power of ten of the last digit
	magnitude := max(exponent, -exponent)
	switch {
	case shift >= 0 && magnitude < len(digits)+7:
		dst = append(dst, digits...)
		return appendZeros(dst, shift)
	case shift < 0 && (shift > -7 || magnitude < 4):
		whole := len(digits) + shift
		if whole > 0 {
			dst = append(append(dst, digits[:whole]...), '.')
			return append(dst, digits[whole:]...)
		}
		dst = appendZeros(append(dst, '0', '.'), -whole)
		return append(dst, digits...)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	dst = append(dst, 'e')
	if exponent < 0 {
		dst = append(dst, '-')
	} else {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(magnitude), 10)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}
