package redistest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Generator makes random commands, most of them sensible.
type Generator struct{ *rand.Rand }

// NewGenerator makes the generator of a seed, and of one of its purposes.
func NewGenerator(seed, purpose uint64) Generator {
	return Generator{rand.New(rand.NewPCG(seed, purpose))}
}

// Pick picks one of a list.
func Pick[T any](g Generator, list ...T) T { return list[g.IntN(len(list))] }

func (g Generator) key() string {
	return Pick(g, "a", "b", "c", "{t}1", "{t}2", "", "h1", "h2", "{t}h3", "big", "s1", "l1", "z1", "{t}z3", "zbig")
}

func (g Generator) field() string { return Pick(g, "f1", "f2", "f3", "f4", "", "n1", "n2") }

// Value makes a value of a string.
func (g Generator) Value() string {
	switch g.IntN(12) {
	case 0:
		return strings.Repeat("x", g.IntN(2000))
	case 1:
		return ""
	case 2, 3:
		return g.integer()
	case 4:
		return g.float()
	case 5:
		return "\x00\xff\r\n" + strconv.Itoa(g.IntN(100))
	default:
		b := make([]byte, g.IntN(12))
		for i := range b {
			b[i] = byte(g.IntN(256))
		}
		return string(b)
	}
}

func (g Generator) integer() string {
	if g.IntN(8) == 0 {
		return Pick(g, "9223372036854775807", "-9223372036854775808", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
			" 1", "1 ", "+1", "01", "-0", "", "-", "1.0", "abc", "9223372036854775806", "4294967295", "4294967296", "1e3", "0x10", "99999999999999999999999")
	}
	return strconv.Itoa(g.IntN(41) - 20)
}

func (g Generator) float() string {
	switch g.IntN(6) {
	case 0:
		return Pick(g, "inf", "-inf", "+Infinity", "nan", "1e400", "1e5000", "-1e4932", "1e-5000", "0x1p3", "0x1.8", "1.", ".5", ".", "5e", "1e+3", "-0", "-0.0",
			" 1", "1 ", "1_0", "0b11", "3.0e3", "1e17", "1e20", "1e-17", "1e-18", "123456789012345678", "0.1", "0.30000000000000004", "1e4931", "00012.5", "0x", "0x.8", "1e-4940", "1.7976931348623157e308")
	case 1:
		return strconv.FormatFloat(g.NormFloat64()*1e10, 'g', -1, 64)
	default:
		return strconv.FormatFloat(float64(g.IntN(2000)-1000)/float64(Pick(g, 1, 2, 3, 7, 10, 100)), 'f', g.IntN(18), 64)
	}
}

func (g Generator) position() string {
	if g.IntN(6) == 0 {
		return g.integer()
	}
	return strconv.Itoa(g.IntN(60) - 25)
}

func (g Generator) bit() string {
	if g.IntN(20) == 0 {
		return Pick(g, "8388608", "8388607", "4294967296", "-1", "99999999999", "x", "1.5", "")
	}
	return strconv.Itoa(g.IntN(200))
}

// Repeat calls f between least and most times and joins what it gives.
func (g Generator) Repeat(least, most int, f func() []string) (list []string) {
	for range least + g.IntN(most-least+1) {
		list = append(list, f()...)
	}
	return list
}

// Maybe gives the words, one time in three.
func (g Generator) Maybe(words ...string) []string {
	if g.IntN(3) > 0 {
		return nil
	}
	return words
}

// One is a list of one, made by f.
func One(f func() string) func() []string { return func() []string { return []string{f()} } }

// Join is a command of a name and several lists of arguments.
func Join(name string, parts ...[]string) []string {
	args := []string{name}
	for _, p := range parts {
		args = append(args, p...)
	}
	return args
}

// List is a command.
func List(args ...string) []string { return args }

// Command makes a command. One in some has an argument too many, too few, or
// a wrong one.
func (g Generator) Command() []string {
	args := g.sensible()
	if args[0] == "spop" { // with another count, chance decides what stays
		return args
	}
	switch i := 1 + g.IntN(len(args)); g.IntN(30) {
	case 0:
		args = args[:i]
	case 1:
		args = append(args, g.Value())
	case 2:
		if i < len(args) {
			args[i] = g.Value()
		}
	case 3:
		if i < len(args) {
			args[i] = g.key()
		}
	}
	if g.IntN(4) == 0 {
		args[0] = strings.ToUpper(args[0])
	}
	return args
}

// Everything is commands that read all that Generator.Command can have made.
func Everything() (commands [][]string) {
	for _, key := range []string{"a", "b", "c", "{t}1", "{t}2", "", "h1", "h2", "{t}h3", "big", "s1", "l1", "s2", "{t}s3", "bigset", "l2", "{t}l3", "biglist", "z1", "z2", "{t}z3", "zbig", "zlex", "zlexbig", "geo", "geobig", "geodist"} {
		commands = append(commands, List("type", key), List("get", key), List("hgetall", key), List("smembers", key),
			List("lrange", key, "0", "-1"), List("zrange", key, "0", "-1", "withscores"))
	}
	return commands
}

func (g Generator) sensible() []string {
	switch g.IntN(6) {
	case 0:
		return g.stringCommand()
	case 1:
		return g.hashCommand()
	case 2:
		return g.setCommand()
	case 3:
		if g.IntN(4) == 0 {
			return g.geoCommand()
		}
		return g.zsetCommand()
	case 4:
		return g.listCommand()
	}
	if g.IntN(4) == 0 {
		return g.hllCommand()
	}
	if g.IntN(2) == 0 {
		return g.bitCommand()
	}
	return g.keyCommand()
}

func (g Generator) setOptions() (o []string) {
	o = append(o, g.Maybe(Pick(g, "NX", "xx"))...)
	o = append(o, g.Maybe("GET")...)
	o = append(o, g.Maybe(g.expiry("KEEPTTL")...)...)
	g.Shuffle(len(o), func(i, j int) {
		if len(o) == 2 {
			o[i], o[j] = o[j], o[i]
		}
	})
	return o
}

func (g Generator) expiry(word string) []string {
	switch g.IntN(6) {
	case 0:
		return List(word)
	case 1:
		return List("px", Pick(g, "1000000", "100000", "0", "-1", "x", "9223372036854775807"))
	case 2:
		return List("exat", Pick(g, "9999999999", "2000000000", "1", "0", "9223372036854775"))
	case 3:
		return List("PXAT", Pick(g, "9999999999999", "2000000000000", "1", "-5"))
	default:
		return List("EX", Pick(g, "1000", "100", "0", "-1", "x", "9223372036854775807"))
	}
}

func (g Generator) stringCommand() []string {
	k := g.key()
	switch g.IntN(22) {
	case 0, 1, 2:
		return List("get", k)
	case 3, 4, 5:
		return List("set", k, g.Value())
	case 6, 7:
		return Join("set", List(k, g.Value()), g.setOptions())
	case 8:
		return List(Pick(g, "setnx", "getset", "append"), k, g.Value())
	case 9:
		return List(Pick(g, "setex", "psetex"), k, Pick(g, "100000", "0", "-1", "1000000", "x"), g.Value())
	case 10:
		return List(Pick(g, "getdel", "strlen"), k)
	case 11:
		return Join("getex", List(k), g.Maybe(g.expiry("PERSIST")...))
	case 12, 13:
		return List(Pick(g, "getrange", "substr"), k, g.position(), g.position())
	case 14:
		return List("setrange", k, Pick(g, "0", "1", "5", "100", "-1", "1048576", "1048575", "65536", "x", "9223372036854775807"), g.Value())
	case 15, 16:
		return List(Pick(g, "incr", "decr"), k)
	case 17:
		return List(Pick(g, "incrby", "decrby"), k, g.integer())
	case 18:
		return List("incrbyfloat", k, g.float())
	case 19:
		return Join("mget", g.Repeat(1, 4, One(g.key)))
	case 20:
		return Join(Pick(g, "mset", "msetnx"), g.Repeat(1, 3, func() []string { return List(g.key(), g.Value()) }))
	default:
		return Join("lcs", List(k, g.key()), g.Repeat(0, 3, func() []string {
			return Pick(g, List("LEN"), List("IDX"), List("WITHMATCHLEN"), List("MINMATCHLEN", g.integer()))
		}))
	}
}

func (g Generator) hashKey() string { return Pick(g, "h1", "h2", "{t}h3", "big", g.key()) }

func (g Generator) hashCommand() []string {
	k := g.hashKey()
	switch g.IntN(17) {
	case 0, 1, 2:
		return Join(Pick(g, "hset", "hmset"), List(k), g.Repeat(1, 3, func() []string { return List(g.field(), g.Value()) }))
	case 3:
		return Join("hset", List("big"), g.Repeat(1, 60, func() []string { return List(fmt.Sprint("f", g.IntN(300)), g.Value()) }))
	case 4:
		return List("hsetnx", k, g.field(), g.Value())
	case 5, 6:
		return List(Pick(g, "hget", "hexists", "hstrlen"), k, g.field())
	case 7:
		return Join("hmget", List(k), g.Repeat(1, 4, One(g.field)))
	case 8:
		return List(Pick(g, "hgetall", "hkeys", "hvals", "hlen"), k)
	case 9:
		return Join("hdel", List(k), g.Repeat(1, 3, One(g.field)))
	case 10:
		return Join("hdel", List("big"), g.Repeat(1, 50, One(func() string { return fmt.Sprint("f", g.IntN(300)) })))
	case 11:
		return List("hincrby", k, Pick(g, "n1", "n2", g.field()), g.integer())
	case 12:
		return List("hincrbyfloat", k, Pick(g, "n1", "n2", g.field()), g.float())
	case 13, 14:
		return Join("hrandfield", List(k), g.Maybe(Pick(g, List("1000"), List("-5"), List("0"), List("3", "withvalues"), List("1000", "WITHVALUES"), List("x"),
			List("9223372036854775807"), List("-9223372036854775808"), List("-9223372036854775807", "withvalues"), List("1", "foo"))...))
	default:
		return Join("hscan", List(k, Pick(g, "0", "0", "0", "x", "", "18446744073709551616")), g.Maybe("MATCH", Pick(g, "f*", "*", "n?", "[a-f]1")), g.Maybe("count", Pick(g, "1000", "0", "-1", "x")))
	}
}

func (g Generator) bitCommand() []string {
	k := g.key()
	unit := func() []string { return g.Maybe(Pick(g, "BIT", "byte", "bits")) }
	switch g.IntN(9) {
	case 0, 1:
		return List("setbit", k, g.bit(), Pick(g, "0", "1", "1", "2", "x"))
	case 2:
		return List("getbit", k, g.bit())
	case 3:
		return Join("bitcount", List(k), g.Maybe(Join(g.position(), List(g.position()), unit())...))
	case 4:
		return Join("bitpos", List(k, Pick(g, "0", "1", "1", "2", "x")), g.Maybe(Join(g.position(), g.Maybe(Join(g.position(), unit())...))...))
	case 5:
		return Join("bitop", List(Pick(g, "AND", "or", "xor", "NOT", "nand"), g.key()), g.Repeat(1, 3, One(g.key)))
	default:
		kind := func() string {
			return Pick(g, "u8", "i8", "u1", "i1", "u63", "i64", "u4", "i5", "u13", "i16", "u64", "i65", "x8", "u0", "U8", "i")
		}
		at := func() string { return Pick(g, g.bit(), "0", "#0", "#1", "#7", "#-1", "7") }
		return Join(Pick(g, "bitfield", "bitfield", "bitfield", "bitfield_ro"), List(k), g.Repeat(0, 4, func() []string {
			switch g.IntN(4) {
			case 0:
				return List("GET", kind(), at())
			case 1:
				return List("set", kind(), at(), g.integer())
			case 2:
				return List("incrby", kind(), at(), g.integer())
			}
			return List("overflow", Pick(g, "wrap", "SAT", "FAIL", "foo"))
		}))
	}
}

func (g Generator) keyCommand() []string {
	k := g.key()
	switch g.IntN(17) {
	case 0, 1:
		return Join(Pick(g, "del", "unlink", "exists", "touch"), g.Repeat(1, 3, One(g.key)))
	case 2:
		return List("type", k)
	case 3, 4:
		return Join(Pick(g, "expire", "pexpire"), List(k, Pick(g, "1000", "100000", "0", "-1", "x", "9223372036854775807", "-9223372036854775808", "5000000")),
			g.Repeat(0, 1, One(func() string { return Pick(g, "NX", "xx", "GT", "lt", "foo") })), g.Maybe(Pick(g, "NX", "XX", "GT", "LT")))
	case 5:
		return Join("expireat", List(k, Pick(g, "9999999999", "2000000000", "1", "-1", "9223372036854775807")), g.Maybe(Pick(g, "NX", "XX", "GT", "LT")))
	case 6:
		return Join("pexpireat", List(k, Pick(g, "9999999999999", "2000000000000", "1", "-1")), g.Maybe(Pick(g, "NX", "XX", "GT", "LT")))
	case 7, 8:
		return List(Pick(g, "ttl", "pttl", "expiretime", "pexpiretime", "persist"), k)
	case 9, 10:
		return List(Pick(g, "rename", "renamenx"), k, g.key())
	case 11, 12:
		return Join("copy", List(k, g.key()), g.Maybe("REPLACE"), g.Maybe("DB", Pick(g, "0", "1", "16", "-1", "x")))
	case 13:
		return List("keys", Pick(g, "*", "[ab]", "h?", "{t}*", "*1", "[^a-c]*", "\\a", "", "[", "[^", "[a", "**", "?"))
	case 14:
		return List("dbsize")
	case 15:
		return List("object", Pick(g, "freq", "idletime", "nosuch", "help2"), k)
	default:
		return Join(Pick(g, "nosuchcommand", "get\x00x", strings.Repeat("y", 200)), g.Repeat(0, 5, One(g.Value)))
	}
}
