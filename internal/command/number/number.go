// Package number reads and writes numbers exactly as Redis does, where Go's
// own conversions accept or show something else. It is pure.
package number

import "math"

// ParseInt reads a signed 64-bit integer in the one form that Redis takes:
// decimal, no sign but '-', no leading zeros, no spaces.
func ParseInt(p []byte) (n int64, ok bool) {
	if len(p) == 0 || len(p) > 20 {
		return 0, false
	}
	if len(p) == 1 && p[0] == '0' {
		return 0, true
	}
	negative := p[0] == '-'
	if negative {
		p = p[1:]
	}
	if len(p) == 0 || p[0] < '1' || p[0] > '9' {
		return 0, false
	}
	var u uint64
	for _, c := range p {
		d := c - '0'
		if d > 9 || u > (math.MaxUint64-uint64(d))/10 {
			return 0, false
		}
		u = u*10 + uint64(d)
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case !negative && u <= math.MaxInt64:
		return int64(u), true
	}
	return 0, false
}

// Add adds, unless the sum does not fit.
func Add(a, b int64) (sum int64, ok bool) {
	sum = a + b
	return sum, (a^sum)&(b^sum) >= 0
}
