package redistest

import (
	"fmt"
	"strconv"
)

func (g Generator) setKey() string { return Pick(g, "s1", "s2", "{t}s3", "bigset", g.key()) }

func (g Generator) member() string {
	return Pick(g, "a", "b", "c", "", "1", "2", "3", "-7", "01", "9223372036854775807", "-9223372036854775808", g.Value(), strconv.Itoa(g.IntN(100)))
}

// many is members that come again, enough for a large set.
func (g Generator) many() string {
	return Pick(g, strconv.Itoa(g.IntN(400)), fmt.Sprint("member", g.IntN(300)))
}

func (g Generator) setCommand() []string {
	k := g.setKey()
	switch g.IntN(18) {
	case 0, 1, 2:
		return Join("sadd", List(k), g.Repeat(1, 4, One(g.member)))
	case 3, 4:
		return Join("sadd", List(Pick(g, "bigset", k)), g.Repeat(1, 80, One(g.many)))
	case 5:
		return Join("srem", List(k), g.Repeat(1, 4, One(g.member)))
	case 6:
		return Join("srem", List("bigset"), g.Repeat(1, 80, One(g.many)))
	case 7:
		return List("sismember", k, g.member())
	case 8:
		return Join("smismember", List(k), g.Repeat(1, 4, One(g.member)))
	case 9:
		return List(Pick(g, "scard", "smembers"), k)
	case 10:
		return List("smove", k, g.setKey(), Pick(g, g.member(), g.many()))
	case 11:
		return Join(Pick(g, "sinter", "sunion", "sdiff"), g.Repeat(1, 3, One(g.setKey)))
	case 12:
		return Join(Pick(g, "sinterstore", "sunionstore", "sdiffstore"), List(g.setKey()), g.Repeat(1, 3, One(g.setKey)))
	case 13:
		return Join("sintercard", List(Pick(g, "1", "2", "2", "3", "0", "-1", "x")), g.Repeat(1, 3, One(g.setKey)), g.Maybe("LIMIT", Pick(g, "0", "1", "10", "-1", "x")))
	case 14: // what chance decides would make the two differ from then on
		return List("spop", k, Pick(g, "100000", "0", "-1", "x", "9223372036854775808"))
	case 15:
		return Join("srandmember", List(k), g.Maybe(Pick(g, "1000", "-5", "0", "x", "9223372036854775807", "-9223372036854775808")))
	default:
		return Join("sscan", List(k, Pick(g, "0", "0", "0", "x", "", "18446744073709551616")), g.Maybe("MATCH", Pick(g, "m*", "*", "1?", "[a-f]")), g.Maybe("count", Pick(g, "1000", "0", "-1", "x")))
	}
}

// SetModelCommand makes a command that the model knows.
func (g Generator) SetModelCommand() []string {
	k := g.setKey()
	switch g.IntN(9) {
	case 0, 1, 2:
		return Join("sadd", List(k), g.Repeat(1, 60, One(g.many)))
	case 3, 4:
		return Join("srem", List(k), g.Repeat(1, 80, One(g.many)))
	case 5:
		return List("sismember", k, g.many())
	case 6:
		return List("smove", k, g.setKey(), g.many())
	case 7:
		return Join(Pick(g, "sinterstore", "sunionstore", "sdiffstore"), List(g.setKey()), g.Repeat(1, 3, One(g.setKey)))
	}
	keys := g.Repeat(1, 3, One(g.setKey))
	return Pick(g, List("scard", k), Join("sintercard", List(strconv.Itoa(len(keys))), keys))
}
