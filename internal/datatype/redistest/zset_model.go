package redistest

import (
	"fmt"
	"strconv"
	"strings"
)

// ZModelCommand makes a command that the model knows, about sets of up to
// thousands of members.
func (g Generator) ZModelCommand(members int) []string {
	k := Pick(g, "z1", "{t}z2", "zbig", "zbig")
	member := func() string { return fmt.Sprint("m", g.IntN(members)) + strings.Repeat("y", g.IntN(10)/9*g.IntN(100)) }
	score := func() string { return strconv.Itoa(g.IntN(40) - 20) }
	rank := func() string { return strconv.Itoa(g.IntN(2*members) - members) }
	switch g.IntN(18) {
	case 0, 1, 2, 3:
		return Join("zadd", List(k), g.Repeat(1, members/4, func() []string { return List(score(), member()) }))
	case 4:
		return List("zincrby", k, score(), member())
	case 5:
		return Join("zrem", List(k), g.Repeat(1, members/8, One(member)))
	case 6:
		return List("zcard", k)
	case 7, 8:
		return List(Pick(g, "zscore", "zrank", "zrevrank"), k, member())
	case 9, 10:
		return Join(Pick(g, "zrange", "zrevrange"), List(k, rank(), rank()), g.Maybe("WITHSCORES"))
	case 11:
		return List("zcount", k, score(), score())
	case 12:
		return List("zrangebyscore", k, score(), score(), "LIMIT", strconv.Itoa(g.IntN(30)), strconv.Itoa(g.IntN(30)))
	case 13:
		s := g.IntN(40) - 20
		return List("zremrangebyscore", k, strconv.Itoa(s), strconv.Itoa(s+g.IntN(3)))
	case 14:
		return List("zremrangebyrank", k, rank(), rank())
	case 15:
		return List(Pick(g, "zpopmin", "zpopmax"), k, strconv.Itoa(g.IntN(members/4)))
	case 16:
		return List("rename", k, Pick(g, "z1", "{t}z2", "{t}z3"))
	}
	return List("zunionstore", k, "2", Pick(g, "z1", "zbig"), Pick(g, "{t}z2", "{t}z3"))
}
