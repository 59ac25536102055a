package datatype_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// generator makes random commands, most of them sensible.
type generator struct{ *rand.Rand }

func pick[T any](g generator, list ...T) T { return list[g.IntN(len(list))] }

func (g generator) key() string {
	return pick(g, "a", "b", "c", "{t}1", "{t}2", "", "h1", "h2", "{t}h3", "big", "s1", "l1", "z1", "{t}z3", "zbig")
}

func (g generator) field() string { return pick(g, "f1", "f2", "f3", "f4", "", "n1", "n2") }

func (g generator) value() string {
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

func (g generator) integer() string {
	if g.IntN(8) == 0 {
		return pick(g, "9223372036854775807", "-9223372036854775808", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
			" 1", "1 ", "+1", "01", "-0", "", "-", "1.0", "abc", "9223372036854775806", "4294967295", "4294967296", "1e3", "0x10", "99999999999999999999999")
	}
	return strconv.Itoa(g.IntN(41) - 20)
}

func (g generator) float() string {
	switch g.IntN(6) {
	case 0:
		return pick(g, "inf", "-inf", "+Infinity", "nan", "1e400", "1e5000", "-1e4932", "1e-5000", "0x1p3", "0x1.8", "1.", ".5", ".", "5e", "1e+3", "-0", "-0.0",
			" 1", "1 ", "1_0", "0b11", "3.0e3", "1e17", "1e20", "1e-17", "1e-18", "123456789012345678", "0.1", "0.30000000000000004", "1e4931", "00012.5", "0x", "0x.8", "1e-4940", "1.7976931348623157e308")
	case 1:
		return strconv.FormatFloat(g.NormFloat64()*1e10, 'g', -1, 64)
	default:
		return strconv.FormatFloat(float64(g.IntN(2000)-1000)/float64(pick(g, 1, 2, 3, 7, 10, 100)), 'f', g.IntN(18), 64)
	}
}

func (g generator) position() string {
	if g.IntN(6) == 0 {
		return g.integer()
	}
	return strconv.Itoa(g.IntN(60) - 25)
}

func (g generator) bit() string {
	if g.IntN(20) == 0 {
		return pick(g, "8388608", "8388607", "4294967296", "-1", "99999999999", "x", "1.5", "")
	}
	return strconv.Itoa(g.IntN(200))
}

// repeat calls f between least and most times and joins what it gives.
func (g generator) repeat(least, most int, f func() []string) (list []string) {
	for range least + g.IntN(most-least+1) {
		list = append(list, f()...)
	}
	return list
}

func (g generator) maybe(words ...string) []string {
	if g.IntN(3) > 0 {
		return nil
	}
	return words
}

func one(f func() string) func() []string { return func() []string { return []string{f()} } }

func join(name string, parts ...[]string) []string {
	args := []string{name}
	for _, p := range parts {
		args = append(args, p...)
	}
	return args
}

func list(args ...string) []string { return args }

// command makes a command. One in some has an argument too many, too few, or
// a wrong one.
func (g generator) command() []string {
	args := g.sensible()
	if args[0] == "spop" { // with another count, chance decides what stays
		return args
	}
	switch i := 1 + g.IntN(len(args)); g.IntN(30) {
	case 0:
		args = args[:i]
	case 1:
		args = append(args, g.value())
	case 2:
		if i < len(args) {
			args[i] = g.value()
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

func (g generator) sensible() []string {
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

func (g generator) setOptions() (o []string) {
	o = append(o, g.maybe(pick(g, "NX", "xx"))...)
	o = append(o, g.maybe("GET")...)
	o = append(o, g.maybe(g.expiry("KEEPTTL")...)...)
	g.Shuffle(len(o), func(i, j int) {
		if len(o) == 2 {
			o[i], o[j] = o[j], o[i]
		}
	})
	return o
}

func (g generator) expiry(word string) []string {
	switch g.IntN(6) {
	case 0:
		return list(word)
	case 1:
		return list("px", pick(g, "1000000", "100000", "0", "-1", "x", "9223372036854775807"))
	case 2:
		return list("exat", pick(g, "9999999999", "2000000000", "1", "0", "9223372036854775"))
	case 3:
		return list("PXAT", pick(g, "9999999999999", "2000000000000", "1", "-5"))
	default:
		return list("EX", pick(g, "1000", "100", "0", "-1", "x", "9223372036854775807"))
	}
}

func (g generator) stringCommand() []string {
	k := g.key()
	switch g.IntN(22) {
	case 0, 1, 2:
		return list("get", k)
	case 3, 4, 5:
		return list("set", k, g.value())
	case 6, 7:
		return join("set", list(k, g.value()), g.setOptions())
	case 8:
		return list(pick(g, "setnx", "getset", "append"), k, g.value())
	case 9:
		return list(pick(g, "setex", "psetex"), k, pick(g, "100000", "0", "-1", "1000000", "x"), g.value())
	case 10:
		return list(pick(g, "getdel", "strlen"), k)
	case 11:
		return join("getex", list(k), g.maybe(g.expiry("PERSIST")...))
	case 12, 13:
		return list(pick(g, "getrange", "substr"), k, g.position(), g.position())
	case 14:
		return list("setrange", k, pick(g, "0", "1", "5", "100", "-1", "1048576", "1048575", "65536", "x", "9223372036854775807"), g.value())
	case 15, 16:
		return list(pick(g, "incr", "decr"), k)
	case 17:
		return list(pick(g, "incrby", "decrby"), k, g.integer())
	case 18:
		return list("incrbyfloat", k, g.float())
	case 19:
		return join("mget", g.repeat(1, 4, one(g.key)))
	case 20:
		return join(pick(g, "mset", "msetnx"), g.repeat(1, 3, func() []string { return list(g.key(), g.value()) }))
	default:
		return join("lcs", list(k, g.key()), g.repeat(0, 3, func() []string {
			return pick(g, list("LEN"), list("IDX"), list("WITHMATCHLEN"), list("MINMATCHLEN", g.integer()))
		}))
	}
}

func (g generator) hashKey() string { return pick(g, "h1", "h2", "{t}h3", "big", g.key()) }

func (g generator) hashCommand() []string {
	k := g.hashKey()
	switch g.IntN(17) {
	case 0, 1, 2:
		return join(pick(g, "hset", "hmset"), list(k), g.repeat(1, 3, func() []string { return list(g.field(), g.value()) }))
	case 3:
		return join("hset", list("big"), g.repeat(1, 60, func() []string { return list(fmt.Sprint("f", g.IntN(300)), g.value()) }))
	case 4:
		return list("hsetnx", k, g.field(), g.value())
	case 5, 6:
		return list(pick(g, "hget", "hexists", "hstrlen"), k, g.field())
	case 7:
		return join("hmget", list(k), g.repeat(1, 4, one(g.field)))
	case 8:
		return list(pick(g, "hgetall", "hkeys", "hvals", "hlen"), k)
	case 9:
		return join("hdel", list(k), g.repeat(1, 3, one(g.field)))
	case 10:
		return join("hdel", list("big"), g.repeat(1, 50, one(func() string { return fmt.Sprint("f", g.IntN(300)) })))
	case 11:
		return list("hincrby", k, pick(g, "n1", "n2", g.field()), g.integer())
	case 12:
		return list("hincrbyfloat", k, pick(g, "n1", "n2", g.field()), g.float())
	case 13, 14:
		return join("hrandfield", list(k), g.maybe(pick(g, list("1000"), list("-5"), list("0"), list("3", "withvalues"), list("1000", "WITHVALUES"), list("x"),
			list("9223372036854775807"), list("-9223372036854775808"), list("-9223372036854775807", "withvalues"), list("1", "foo"))...))
	default:
		return join("hscan", list(k, pick(g, "0", "0", "0", "x", "", "18446744073709551616")), g.maybe("MATCH", pick(g, "f*", "*", "n?", "[a-f]1")), g.maybe("count", pick(g, "1000", "0", "-1", "x")))
	}
}

func (g generator) bitCommand() []string {
	k := g.key()
	unit := func() []string { return g.maybe(pick(g, "BIT", "byte", "bits")) }
	switch g.IntN(9) {
	case 0, 1:
		return list("setbit", k, g.bit(), pick(g, "0", "1", "1", "2", "x"))
	case 2:
		return list("getbit", k, g.bit())
	case 3:
		return join("bitcount", list(k), g.maybe(join(g.position(), list(g.position()), unit())...))
	case 4:
		return join("bitpos", list(k, pick(g, "0", "1", "1", "2", "x")), g.maybe(join(g.position(), g.maybe(join(g.position(), unit())...))...))
	case 5:
		return join("bitop", list(pick(g, "AND", "or", "xor", "NOT", "nand"), g.key()), g.repeat(1, 3, one(g.key)))
	default:
		kind := func() string {
			return pick(g, "u8", "i8", "u1", "i1", "u63", "i64", "u4", "i5", "u13", "i16", "u64", "i65", "x8", "u0", "U8", "i")
		}
		at := func() string { return pick(g, g.bit(), "0", "#0", "#1", "#7", "#-1", "7") }
		return join(pick(g, "bitfield", "bitfield", "bitfield", "bitfield_ro"), list(k), g.repeat(0, 4, func() []string {
			switch g.IntN(4) {
			case 0:
				return list("GET", kind(), at())
			case 1:
				return list("set", kind(), at(), g.integer())
			case 2:
				return list("incrby", kind(), at(), g.integer())
			}
			return list("overflow", pick(g, "wrap", "SAT", "FAIL", "foo"))
		}))
	}
}

func (g generator) keyCommand() []string {
	k := g.key()
	switch g.IntN(17) {
	case 0, 1:
		return join(pick(g, "del", "unlink", "exists", "touch"), g.repeat(1, 3, one(g.key)))
	case 2:
		return list("type", k)
	case 3, 4:
		return join(pick(g, "expire", "pexpire"), list(k, pick(g, "1000", "100000", "0", "-1", "x", "9223372036854775807", "-9223372036854775808", "5000000")),
			g.repeat(0, 1, one(func() string { return pick(g, "NX", "xx", "GT", "lt", "foo") })), g.maybe(pick(g, "NX", "XX", "GT", "LT")))
	case 5:
		return join("expireat", list(k, pick(g, "9999999999", "2000000000", "1", "-1", "9223372036854775807")), g.maybe(pick(g, "NX", "XX", "GT", "LT")))
	case 6:
		return join("pexpireat", list(k, pick(g, "9999999999999", "2000000000000", "1", "-1")), g.maybe(pick(g, "NX", "XX", "GT", "LT")))
	case 7, 8:
		return list(pick(g, "ttl", "pttl", "expiretime", "pexpiretime", "persist"), k)
	case 9, 10:
		return list(pick(g, "rename", "renamenx"), k, g.key())
	case 11, 12:
		return join("copy", list(k, g.key()), g.maybe("REPLACE"), g.maybe("DB", pick(g, "0", "1", "16", "-1", "x")))
	case 13:
		return list("keys", pick(g, "*", "[ab]", "h?", "{t}*", "*1", "[^a-c]*", "\\a", "", "[", "[^", "[a", "**", "?"))
	case 14:
		return list("dbsize")
	case 15:
		return list("object", pick(g, "freq", "idletime", "nosuch", "help2"), k)
	default:
		return join(pick(g, "nosuchcommand", "get\x00x", strings.Repeat("y", 200)), g.repeat(0, 5, one(g.value)))
	}
}
