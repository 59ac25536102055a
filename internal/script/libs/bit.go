package libs

import (
	"math"
	"math/bits"

	"coterie/internal/script/lua"
)

func openBit(s *lua.State) {
	t := lua.NewTable(0)
	fold := func(f func(a, b uint32) uint32) lua.Function {
		return func(c *lua.Call) {
			b := bitArg(c, 1)
			for i := 2; i <= c.N(); i++ {
				b = f(b, bitArg(c, i))
			}
			pushBits(c, b)
		}
	}
	shift := func(f func(b uint32, n uint) uint32) lua.Function {
		return func(c *lua.Call) { pushBits(c, f(bitArg(c, 1), uint(bitArg(c, 2)&31))) }
	}
	s.Register(t, map[string]lua.Function{
		"tobit":   func(c *lua.Call) { pushBits(c, bitArg(c, 1)) },
		"bnot":    func(c *lua.Call) { pushBits(c, ^bitArg(c, 1)) },
		"bswap":   func(c *lua.Call) { pushBits(c, bits.ReverseBytes32(bitArg(c, 1))) },
		"band":    fold(func(a, b uint32) uint32 { return a & b }),
		"bor":     fold(func(a, b uint32) uint32 { return a | b }),
		"bxor":    fold(func(a, b uint32) uint32 { return a ^ b }),
		"lshift":  shift(func(b uint32, n uint) uint32 { return b << n }),
		"rshift":  shift(func(b uint32, n uint) uint32 { return b >> n }),
		"arshift": shift(func(b uint32, n uint) uint32 { return uint32(int32(b) >> n) }),
		"rol":     shift(func(b uint32, n uint) uint32 { return bits.RotateLeft32(b, int(n)) }),
		"ror":     shift(func(b uint32, n uint) uint32 { return bits.RotateLeft32(b, -int(n)) }),
		"tohex":   bitHex,
	})
	s.Globals.SetString("bit", lua.FromTable(t))
}

// bitArg is an argument modulo 2^32.
func bitArg(c *lua.Call, i int) uint32 {
	n := c.CheckNumber(i) + 6755399441055744.0 // 2^52 + 2^51: the low bits are then the integer's
	return uint32(math.Float64bits(n))
}

func pushBits(c *lua.Call, b uint32) { c.Push(lua.Number(float64(int32(b)))) }

func bitHex(c *lua.Call) {
	b, n := bitArg(c, 1), int32(8)
	if c.N() > 1 {
		n = int32(bitArg(c, 2))
	}
	digits := "0123456789abcdef"
	if n < 0 {
		n, digits = -n, "0123456789ABCDEF"
	}
	if n > 8 || n < 0 {
		n = 8
	}
	text := make([]byte, n)
	for i := n - 1; i >= 0; i-- {
		text[i] = digits[b&15]
		b >>= 4
	}
	c.PushBytes(text)
}
