package redistest

import (
	"fmt"
	"strconv"
	"strings"
)

func (g Generator) zsetKey() string { return Pick(g, "z1", "z2", "{t}z3", "zbig", "zbig", g.key()) }

func (g Generator) scored() string {
	switch g.IntN(10) {
	case 0:
		return g.Value()
	case 1, 2:
		return fmt.Sprint("m", g.IntN(300))
	}
	return Pick(g, "a", "b", "c", "d", "e", "", "aa", "1", "2")
}

func (g Generator) score() string {
	switch g.IntN(8) {
	case 0:
		return g.float()
	case 1:
		return Pick(g, "inf", "-inf", "+inf", "nan", "1e308", "-1e308", "0x10", "-0", "1e-400", "1e400", "", " 1", "1 ", "9007199254740993", "0.1", "1e21", "-1e-7")
	}
	return strconv.Itoa(g.IntN(12) - 3)
}

func (g Generator) scoreEnd() string {
	return Pick(g, "", "", "(") + Pick(g, g.score(), g.score(), "-inf", "+inf", "0", " 1", "")
}

func (g Generator) lexEnd() string {
	return Pick(g, "-", "+", "["+g.scored(), "("+g.scored(), "[", "(", "[m1", "(m2", Pick(g, "a", "", "-x", "++"))
}

func (g Generator) rankEnd() string { return Pick(g, "0", "-1", "1", "2", "-3", "100", g.position()) }

func (g Generator) limits() []string {
	return g.Maybe("LIMIT", Pick(g, "0", "1", "2", "-1", "5", "x", "200"), Pick(g, "1", "3", "-1", "0", "10", "-2", "y"))
}

// zsetCommand has no ranges of bytes but for zlexCommand's keys: over
// different scores these are not specified.
func (g Generator) zsetCommand() []string {
	k := g.zsetKey()
	pair := func() []string { return List(g.score(), g.scored()) }
	switch g.IntN(30) {
	case 0, 1, 2, 3:
		return Join("zadd", List(k), g.zaddOptions(), g.Repeat(1, 4, pair))
	case 4, 5:
		return Join("zadd", List("zbig"), g.Repeat(1, 200, func() []string { return List(strconv.Itoa(g.IntN(20)), fmt.Sprint("m", g.IntN(300))) }))
	case 6:
		return Join("zincrby", List(k, g.score(), g.scored()))
	case 7:
		return Join("zrem", List(k), g.Repeat(1, 4, One(g.scored)))
	case 8:
		return Join("zrem", List("zbig"), g.Repeat(1, 50, One(func() string { return fmt.Sprint("m", g.IntN(300)) })))
	case 9:
		return List(Pick(g, "zcard", "zcard", "zpopmin", "zpopmax"), k)
	case 10:
		return List(Pick(g, "zscore", "zrank", "zrevrank"), k, g.scored())
	case 11:
		return Join("zmscore", List(k), g.Repeat(1, 4, One(g.scored)))
	case 12:
		return List("zcount", k, g.scoreEnd(), g.scoreEnd())
	case 13, 14:
		return Join(Pick(g, "zrange", "zrevrange"), List(k, g.rankEnd(), g.rankEnd()), g.Maybe("WITHSCORES"))
	case 15, 16, 17:
		return Join(Pick(g, "zrangebyscore", "zrevrangebyscore"), List(k, g.scoreEnd(), g.scoreEnd()), g.Maybe("withscores"), g.limits())
	case 18:
		return Join("zrange", List(k, g.scoreEnd(), g.scoreEnd()), List("BYSCORE"), g.Maybe("REV"), g.limits(), g.Maybe("WITHSCORES"), g.Maybe(Pick(g, "BYLEX", "foo", "REV")))
	case 19:
		return Join("zrangestore", List(g.zsetKey(), k), Pick(g, List(g.rankEnd(), g.rankEnd()), List(g.scoreEnd(), g.scoreEnd(), "byscore")), g.Maybe("REV"), g.limits())
	case 20:
		return List("zremrangebyrank", k, g.rankEnd(), g.rankEnd())
	case 21:
		return List("zremrangebyscore", k, g.scoreEnd(), g.scoreEnd())
	case 22:
		return List(Pick(g, "zpopmin", "zpopmax"), k, Pick(g, "0", "1", "2", "100", "-1", "x"))
	case 23:
		return g.zmpop()
	case 24:
		return Join("zrandmember", List(k), g.Maybe(Pick(g, List("1000"), List("-5"), List("0"), List("3", "withscores"), List("1000", "WITHSCORES"), List("x"),
			List("9223372036854775807"), List("-9223372036854775808"), List("9223372036854775806", "withscores"), List("1", "foo"))...))
	case 25:
		return Join("zscan", List(k, Pick(g, "0", "0", "0", "x", "", "18446744073709551616")), g.Maybe("MATCH", Pick(g, "m*", "*", "m?", "[a-c]")), g.Maybe("count", Pick(g, "1000", "0", "x")))
	case 26:
		return g.zlexCommand()
	}
	return g.zcombine()
}

func (g Generator) zaddOptions() []string {
	return g.Repeat(0, 1, func() []string {
		return g.Repeat(1, 3, One(func() string { return Pick(g, "NX", "xx", "GT", "lt", "CH", "ch", "INCR") }))
	})
}

func (g Generator) zmpop() []string {
	keys := g.Repeat(1, 3, One(g.zsetKey))
	n := Pick(g, strconv.Itoa(len(keys)), strconv.Itoa(len(keys)), strconv.Itoa(len(keys)), "0", "x", "9", "-1")
	return Join("zmpop", List(n), keys, List(Pick(g, "MIN", "max", "MAX", "foo")), g.Maybe("COUNT", Pick(g, "1", "2", "100", "0", "x")))
}

// zlexCommand is about sets whose scores are all the same.
func (g Generator) zlexCommand() []string {
	k := Pick(g, "zlex", "zlexbig")
	switch g.IntN(8) {
	case 0, 1:
		return Join("zadd", List(k), g.Repeat(1, 4, func() []string { return List("5", g.scored()) }))
	case 2:
		return Join("zadd", List("zlexbig"), g.Repeat(1, 200, func() []string { return List("5", fmt.Sprint("m", g.IntN(300))) }))
	case 3:
		return List("zremrangebylex", k, g.lexEnd(), g.lexEnd())
	case 4:
		return List("zlexcount", k, g.lexEnd(), g.lexEnd())
	case 5:
		return Join(Pick(g, "zrangestore"), List("z1", k, g.lexEnd(), g.lexEnd(), "BYLEX"), g.Maybe("REV"), g.limits())
	case 6:
		return Join("zrange", List(k, g.lexEnd(), g.lexEnd(), "bylex"), g.Maybe("rev"), g.limits(), g.Maybe("WITHSCORES"))
	}
	return Join(Pick(g, "zrangebylex", "zrevrangebylex"), List(k, g.lexEnd(), g.lexEnd()), g.limits())
}

func (g Generator) zcombine() []string {
	name := Pick(g, "zunion", "zinter", "zdiff", "zunionstore", "zinterstore", "zdiffstore", "zintercard")
	keys := g.Repeat(1, 4, One(func() string { return Pick(g, "z1", "z2", "{t}z3", "zbig", "zlex", g.zsetKey(), "s1", "bigset") }))
	args := List(name)
	if strings.HasSuffix(name, "store") {
		args = append(args, Pick(g, "z2", "{t}z3", g.zsetKey()))
	}
	n := strconv.Itoa(len(keys))
	args = append(args, Pick(g, n, n, n, n, n, n, n, Pick(g, "0", "x", "9", "1")))
	args = append(args, keys...)
	if strings.HasPrefix(name, "zdiff") || name == "zintercard" {
		args = append(args, Pick(g, nil, nil, nil, List("AGGREGATE", "SUM"))...)
	} else {
		if g.IntN(2) == 0 {
			args = append(append(args, "WEIGHTS"), g.Repeat(len(keys), len(keys), One(func() string { return Pick(g, "1", "2", "-1", "0", "inf", "0.5", "3", g.score()) }))...)
		}
		args = append(args, Pick(g, nil, List("AGGREGATE", "MIN"), List("aggregate", "max"), List("AGGREGATE", Pick(g, "sum", "foo")))...)
	}
	if !strings.HasSuffix(name, "store") || g.IntN(10) == 0 {
		args = append(args, g.Maybe("withscores")...)
	}
	if name == "zintercard" || g.IntN(10) == 0 {
		args = append(args, g.Maybe("LIMIT", Pick(g, "0", "1", "5", "-1", "x"))...)
	}
	return args
}
