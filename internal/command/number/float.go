package number

import (
	"bytes"
	"math"
	"math/big"
)

// Redis adds fractions as C's long double, which on its usual machines has 64
// bits of mantissa and 15 of exponent. [Float] is that: a big.Float of 64 bits
// precision, rounded to nearest even, whose results are the same for all
// values that its exponent can hold.

// Float is a number of C's 80-bit long double, infinities included.
type Float struct{ f *big.Float }

const (
	mantissaBits = 64
	// maxExponent and minExponent bound x = 0.mant × 2^exp of a long double:
	// the largest, and the smallest that is not rounded to zero.
	maxExponent = 16384
	minExponent = -16445
	// maxDigits is the length of what Redis takes for a number, in bytes.
	maxDigits = 5*1024 - 1
	// maxDecimal bounds a decimal exponent that is worth computing with.
	maxDecimal = 20000
)

// ParseFloat reads a number as C's strtold does, without spaces: decimal or
// hexadecimal, with or without a fraction and an exponent, or an infinity. A
// number too large or too small for a long double is refused, and so is NaN.
func ParseFloat(p []byte) (Float, bool) {
	if len(p) == 0 || len(p) > maxDigits {
		return Float{}, false
	}
	body, negative := p, false
	if p[0] == '+' || p[0] == '-' {
		negative = p[0] == '-'
		body = p[1:]
	}
	if bytes.EqualFold(body, []byte("inf")) || bytes.EqualFold(body, []byte("infinity")) {
		return Float{new(big.Float).SetInf(negative)}, true
	}
	zero, ok := checkNumber(body)
	if !ok {
		return Float{}, false
	}
	f := newFloat()
	if zero {
		return Float{f}, true
	}
	// Through a fraction, because only that way every value is rounded once.
	r, ok := new(big.Rat).SetString(string(completed(p)))
	if !ok {
		return Float{}, false
	}
	f.SetRat(r)
	if e := f.MantExp(nil); e > maxExponent || e < minExponent {
		return Float{}, false
	}
	return Float{f}, true
}

func newFloat() *big.Float {
	return new(big.Float).SetPrec(mantissaBits).SetMode(big.ToNearestEven)
}

// checkNumber verifies the form of an unsigned number, and that its exponent
// is of a size that can be computed with.
func checkNumber(p []byte) (zero, ok bool) {
	zero, exponent, ok := form(p)
	return zero, ok && (zero || exponent <= maxDecimal)
}

// checkDigits verifies the form of an unsigned number.
func checkDigits(p []byte) (zero, ok bool) {
	zero, _, ok = form(p)
	return zero, ok
}

// form verifies the form of an unsigned number; exponent is the size of its
// exponent, if that is not above maxDecimal.
func form(p []byte) (zero bool, exponent int, ok bool) {
	isDigit, exponentMark := isDecimal, byte('e')
	if len(p) > 2 && p[0] == '0' && p[1]|0x20 == 'x' {
		p, isDigit, exponentMark = p[2:], isHex, 'p'
	}
	digits, points := 0, 0
	zero = true
	for len(p) > 0 && (isDigit(p[0]) || p[0] == '.') {
		if p[0] == '.' {
			points++
		} else {
			digits++
			zero = zero && p[0] == '0'
		}
		p = p[1:]
	}
	if digits == 0 || points > 1 {
		return false, 0, false
	}
	if len(p) == 0 {
		return zero, 0, true
	}
	if p[0]|0x20 != exponentMark {
		return false, 0, false
	}
	p = p[1:]
	if len(p) > 0 && (p[0] == '+' || p[0] == '-') {
		p = p[1:]
	}
	for _, c := range p {
		if !isDecimal(c) {
			return false, 0, false
		}
		exponent = min(exponent*10+int(c-'0'), maxDecimal+1)
	}
	return zero, exponent, len(p) > 0
}

// completed adds the exponent that Go wants behind a hexadecimal fraction.
func completed(p []byte) []byte {
	if bytes.ContainsAny(p, "xX") && !bytes.ContainsAny(p, "pP") {
		return append(append([]byte(nil), p...), "p0"...)
	}
	return p
}

func isDecimal(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDecimal(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// Add adds; ok is false when the sum is no number or infinite. The zero Float
// is zero.
func (a Float) Add(b Float) (sum Float, ok bool) {
	if a.f == nil {
		a.f = newFloat()
	}
	if a.f.IsInf() || b.f.IsInf() {
		return Float{}, false
	}
	f := newFloat()
	f.Add(a.f, b.f)
	return Float{f}, f.MantExp(nil) <= maxExponent
}

// Ceil is a times n, rounded up to an integer; ok is false if that is too
// large for one.
func (a Float) Ceil(n int64) (i int64, ok bool) {
	if a.f.IsInf() {
		return 0, false
	}
	product := newFloat().Mul(a.f, newFloat().SetInt64(n))
	i, acc := product.Int64()
	switch {
	case i == math.MaxInt64 || i == math.MinInt64:
		return 0, false
	case acc == big.Below:
		i++
	}
	return i, true
}

// IsInf says whether a is an infinity.
func (a Float) IsInf() bool { return a.f.IsInf() }

// Append appends a as Redis shows a long double to people: 17 digits behind
// the point, without the zeros at the end.
func (a Float) Append(dst []byte) []byte {
	start := len(dst)
	dst = a.f.Append(dst, 'f', 17)
	dst = bytes.TrimRight(dst, "0")
	dst = bytes.TrimSuffix(dst, []byte("."))
	if string(dst[start:]) == "-0" {
		return append(dst[:start], '0')
	}
	return dst
}
