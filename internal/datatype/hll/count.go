package hll

import "math"

// alpha is 1/(2·ln 2).
const alpha = 0.721347520444481703680

// count estimates the number of different elements (Ertl's improved raw
// estimator, arXiv:1702.01284); ok is false when the sketch is broken.
func (s sketch) count() (n uint64, ok bool) {
	var how [maxValue + 1]int // many registers have each value
	if s.isDense() {
		for i := range registers {
			how[s.get(i)]++
		}
		return estimate(&how), true
	}
	sum := 0
	for r := range s.runs {
		how[r.value] += r.n
		sum += r.n
	}
	return estimate(&how), sum == registers
}

func countOf(values *[registers]byte) uint64 {
	var how [maxValue + 1]int
	for _, v := range values {
		how[v]++
	}
	return estimate(&how)
}

// estimate computes in the order of Redis, as its results depend on it. The
// conversions keep a processor from multiplying and adding in one step.
func estimate(how *[maxValue + 1]int) uint64 {
	const m = float64(registers)
	z := m * tau((m-float64(how[runBits+1]))/m)
	for v := runBits; v >= 1; v-- {
		z += float64(how[v])
		z *= 0.5
	}
	z += float64(m * sigma(float64(how[0])/m))
	return uint64(math.Round(alpha * m * m / z))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += float64(x * y)
		y += y
		if before == z {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if before == z {
			return z / 3
		}
	}
}
