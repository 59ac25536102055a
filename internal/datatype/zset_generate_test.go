package datatype_test

import (
	"fmt"
	"strconv"
	"strings"
)

func (g generator) zsetKey() string { return pick(g, "z1", "z2", "{t}z3", "zbig", "zbig", g.key()) }

func (g generator) scored() string {
	switch g.IntN(10) {
	case 0:
		return g.value()
	case 1, 2:
		return fmt.Sprint("m", g.IntN(300))
	}
	return pick(g, "a", "b", "c", "d", "e", "", "aa", "1", "2")
}

func (g generator) score() string {
	switch g.IntN(8) {
	case 0:
		return g.float()
	case 1:
		return pick(g, "inf", "-inf", "+inf", "nan", "1e308", "-1e308", "0x10", "-0", "1e-400", "1e400", "", " 1", "1 ", "9007199254740993", "0.1", "1e21", "-1e-7")
	}
	return strconv.Itoa(g.IntN(12) - 3)
}

func (g generator) scoreEnd() string {
	return pick(g, "", "", "(") + pick(g, g.score(), g.score(), "-inf", "+inf", "0", " 1", "")
}

func (g generator) lexEnd() string {
	return pick(g, "-", "+", "["+g.scored(), "("+g.scored(), "[", "(", "[m1", "(m2", pick(g, "a", "", "-x", "++"))
}

func (g generator) rankEnd() string { return pick(g, "0", "-1", "1", "2", "-3", "100", g.position()) }

func (g generator) limits() []string {
	return g.maybe("LIMIT", pick(g, "0", "1", "2", "-1", "5", "x", "200"), pick(g, "1", "3", "-1", "0", "10", "-2", "y"))
}

// zsetCommand has no ranges of bytes but for zlexCommand's keys: over
// different scores these are not specified.
func (g generator) zsetCommand() []string {
	k := g.zsetKey()
	pair := func() []string { return list(g.score(), g.scored()) }
	switch g.IntN(30) {
	case 0, 1, 2, 3:
		return join("zadd", list(k), g.zaddOptions(), g.repeat(1, 4, pair))
	case 4, 5:
		return join("zadd", list("zbig"), g.repeat(1, 200, func() []string { return list(strconv.Itoa(g.IntN(20)), fmt.Sprint("m", g.IntN(300))) }))
	case 6:
		return join("zincrby", list(k, g.score(), g.scored()))
	case 7:
		return join("zrem", list(k), g.repeat(1, 4, one(g.scored)))
	case 8:
		return join("zrem", list("zbig"), g.repeat(1, 50, one(func() string { return fmt.Sprint("m", g.IntN(300)) })))
	case 9:
		return list(pick(g, "zcard", "zcard", "zpopmin", "zpopmax"), k)
	case 10:
		return list(pick(g, "zscore", "zrank", "zrevrank"), k, g.scored())
	case 11:
		return join("zmscore", list(k), g.repeat(1, 4, one(g.scored)))
	case 12:
		return list("zcount", k, g.scoreEnd(), g.scoreEnd())
	case 13, 14:
		return join(pick(g, "zrange", "zrevrange"), list(k, g.rankEnd(), g.rankEnd()), g.maybe("WITHSCORES"))
	case 15, 16, 17:
		return join(pick(g, "zrangebyscore", "zrevrangebyscore"), list(k, g.scoreEnd(), g.scoreEnd()), g.maybe("withscores"), g.limits())
	case 18:
		return join("zrange", list(k, g.scoreEnd(), g.scoreEnd()), list("BYSCORE"), g.maybe("REV"), g.limits(), g.maybe("WITHSCORES"), g.maybe(pick(g, "BYLEX", "foo", "REV")))
	case 19:
		return join("zrangestore", list(g.zsetKey(), k), pick(g, list(g.rankEnd(), g.rankEnd()), list(g.scoreEnd(), g.scoreEnd(), "byscore")), g.maybe("REV"), g.limits())
	case 20:
		return list("zremrangebyrank", k, g.rankEnd(), g.rankEnd())
	case 21:
		return list("zremrangebyscore", k, g.scoreEnd(), g.scoreEnd())
	case 22:
		return list(pick(g, "zpopmin", "zpopmax"), k, pick(g, "0", "1", "2", "100", "-1", "x"))
	case 23:
		return g.zmpop()
	case 24:
		return join("zrandmember", list(k), g.maybe(pick(g, list("1000"), list("-5"), list("0"), list("3", "withscores"), list("1000", "WITHSCORES"), list("x"),
			list("9223372036854775807"), list("-9223372036854775808"), list("9223372036854775806", "withscores"), list("1", "foo"))...))
	case 25:
		return join("zscan", list(k, pick(g, "0", "0", "0", "x", "", "18446744073709551616")), g.maybe("MATCH", pick(g, "m*", "*", "m?", "[a-c]")), g.maybe("count", pick(g, "1000", "0", "x")))
	case 26:
		return g.zlexCommand()
	}
	return g.zcombine()
}

func (g generator) zaddOptions() []string {
	return g.repeat(0, 1, func() []string {
		return g.repeat(1, 3, one(func() string { return pick(g, "NX", "xx", "GT", "lt", "CH", "ch", "INCR") }))
	})
}

func (g generator) zmpop() []string {
	keys := g.repeat(1, 3, one(g.zsetKey))
	n := pick(g, strconv.Itoa(len(keys)), strconv.Itoa(len(keys)), strconv.Itoa(len(keys)), "0", "x", "9", "-1")
	return join("zmpop", list(n), keys, list(pick(g, "MIN", "max", "MAX", "foo")), g.maybe("COUNT", pick(g, "1", "2", "100", "0", "x")))
}

// zlexCommand is about sets whose scores are all the same.
func (g generator) zlexCommand() []string {
	k := pick(g, "zlex", "zlexbig")
	switch g.IntN(8) {
	case 0, 1:
		return join("zadd", list(k), g.repeat(1, 4, func() []string { return list("5", g.scored()) }))
	case 2:
		return join("zadd", list("zlexbig"), g.repeat(1, 200, func() []string { return list("5", fmt.Sprint("m", g.IntN(300))) }))
	case 3:
		return list("zremrangebylex", k, g.lexEnd(), g.lexEnd())
	case 4:
		return list("zlexcount", k, g.lexEnd(), g.lexEnd())
	case 5:
		return join(pick(g, "zrangestore"), list("z1", k, g.lexEnd(), g.lexEnd(), "BYLEX"), g.maybe("REV"), g.limits())
	case 6:
		return join("zrange", list(k, g.lexEnd(), g.lexEnd(), "bylex"), g.maybe("rev"), g.limits(), g.maybe("WITHSCORES"))
	}
	return join(pick(g, "zrangebylex", "zrevrangebylex"), list(k, g.lexEnd(), g.lexEnd()), g.limits())
}

func (g generator) zcombine() []string {
	name := pick(g, "zunion", "zinter", "zdiff", "zunionstore", "zinterstore", "zdiffstore", "zintercard")
	keys := g.repeat(1, 4, one(func() string { return pick(g, "z1", "z2", "{t}z3", "zbig", "zlex", g.zsetKey(), "s1", "bigset") }))
	args := list(name)
	if strings.HasSuffix(name, "store") {
		args = append(args, pick(g, "z2", "{t}z3", g.zsetKey()))
	}
	n := strconv.Itoa(len(keys))
	args = append(args, pick(g, n, n, n, n, n, n, n, pick(g, "0", "x", "9", "1")))
	args = append(args, keys...)
	if strings.HasPrefix(name, "zdiff") || name == "zintercard" {
		args = append(args, pick(g, nil, nil, nil, list("AGGREGATE", "SUM"))...)
	} else {
		if g.IntN(2) == 0 {
			args = append(append(args, "WEIGHTS"), g.repeat(len(keys), len(keys), one(func() string { return pick(g, "1", "2", "-1", "0", "inf", "0.5", "3", g.score()) }))...)
		}
		args = append(args, pick(g, nil, list("AGGREGATE", "MIN"), list("aggregate", "max"), list("AGGREGATE", pick(g, "sum", "foo")))...)
	}
	if !strings.HasSuffix(name, "store") || g.IntN(10) == 0 {
		args = append(args, g.maybe("withscores")...)
	}
	if name == "zintercard" || g.IntN(10) == 0 {
		args = append(args, g.maybe("LIMIT", pick(g, "0", "1", "5", "-1", "x"))...)
	}
	return args
}
