package lua

import "math"

// rand48 is the generator that Redis gives scripts: a run's numbers are the same each
// time, unless it seeds otherwise.
type rand48 struct{ x uint64 }

const randMax = math.MaxInt32

func (r *rand48) next() int32 {
	r.x = (r.x*0x5DEECE66D + 0xB) & (1<<48 - 1)
	return int32(r.x >> 17)
}

// Seed sets the seed of math.random.
func (s *State) Seed(seed int32) { s.rand.x = uint64(uint32(seed))<<16 | 0x330E }

func openMath(s *State) {
	t := NewTable(0)
	one := map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "asin": math.Asin, "atan": math.Atan, "ceil": math.Ceil, "cos": math.Cos,
		"cosh": math.Cosh, "exp": math.Exp, "floor": math.Floor, "log": math.Log, "log10": math.Log10, "sin": math.Sin,
		"sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan, "tanh": math.Tanh,
		"deg": func(x float64) float64 { return x / (math.Pi / 180) },
		"rad": func(x float64) float64 { return x * (math.Pi / 180) },
	}
	for name, f := range one {
		t.SetString(name, s.Function(name, func(c *Call) { c.Push(Number(f(c.CheckNumber(1)))) }))
	}
	two := map[string]func(float64, float64) float64{
		"atan2": math.Atan2, "fmod": math.Mod, "mod": math.Mod, "pow": math.Pow,
		"ldexp": func(x, e float64) float64 { return math.Ldexp(x, int(max(min(e, 1<<20), -1<<20))) },
	}
	for name, f := range two {
		t.SetString(name, s.Function(name, func(c *Call) { c.Push(Number(f(c.CheckNumber(1), c.CheckNumber(2)))) }))
	}
	s.Register(t, map[string]Function{"frexp": mathFrexp, "modf": mathModf, "max": mathMax, "min": mathMin, "random": mathRandom, "randomseed": mathSeed})
	t.SetString("pi", Number(math.Pi))
	t.SetString("huge", Number(math.Inf(1)))
	s.Globals.SetString("math", FromTable(t))
}

func mathFrexp(c *Call) {
	m, e := math.Frexp(c.CheckNumber(1))
	c.Push(Number(m))
	c.Push(Number(float64(e)))
}

func mathModf(c *Call) {
	x := c.CheckNumber(1)
	if math.IsInf(x, 0) {
		c.Push(Number(x))
		c.Push(Number(math.Copysign(0, x)))
		return
	}
	whole, part := math.Modf(x)
	c.Push(Number(whole))
	c.Push(Number(part))
}

func mathMax(c *Call) {
	m := c.CheckNumber(1)
	for i := 2; i <= c.N(); i++ {
		if n := c.CheckNumber(i); n > m {
			m = n
		}
	}
	c.Push(Number(m))
}

func mathMin(c *Call) {
	m := c.CheckNumber(1)
	for i := 2; i <= c.N(); i++ {
		if n := c.CheckNumber(i); n < m {
			m = n
		}
	}
	c.Push(Number(m))
}

func mathRandom(c *Call) {
	r := float64(c.rand.next()%randMax) / randMax
	switch c.N() {
	case 0:
		c.Push(Number(r))
	case 1:
		u := float64(int32(c.CheckInt(1)))
		if u < 1 {
			c.BadArgument(1, "interval is empty")
		}
		c.Push(Number(math.Floor(r*u) + 1))
	case 2:
		l, u := float64(int32(c.CheckInt(1))), float64(int32(c.CheckInt(2)))
		if l > u {
			c.BadArgument(2, "interval is empty")
		}
		c.Push(Number(math.Floor(r*(u-l+1)) + l))
	default:
		c.Fail("wrong number of arguments")
	}
}

func mathSeed(c *Call) { c.Seed(int32(c.CheckInt(1))) }
