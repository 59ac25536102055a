package redistest

import (
	"fmt"
	"strconv"
)

// ModelCommand makes a command that the model knows.
func (g Generator) ModelCommand() []string {
	k, ms := g.key(), strconv.Itoa(g.IntN(60)+1)
	field := func() string { return fmt.Sprint("f", g.IntN(200)) }
	switch g.IntN(40) {
	case 0:
		return List("set", k, g.Value())
	case 1:
		return List("get", k)
	case 2:
		return List("append", k, g.Value()+"x")
	case 3:
		return List("setrange", k, strconv.Itoa(g.IntN(50)), g.Value()+"y")
	case 4:
		return List("setbit", k, strconv.Itoa(g.IntN(300)), Pick(g, "0", "1"))
	case 5:
		return List("incrby", k, strconv.Itoa(g.IntN(100)))
	case 6:
		return Join("mset", g.Repeat(1, 4, func() []string { return List(g.key(), strconv.Itoa(g.IntN(50))) }))
	case 7:
		return Join("mget", g.Repeat(1, 4, One(g.key)))
	case 8, 9, 10:
		return Join("hset", List(g.hashKey()), g.Repeat(1, 40, func() []string { return List(field(), g.Value()) }))
	case 11, 12:
		return Join("hdel", List(g.hashKey()), g.Repeat(1, 60, One(field)))
	case 13:
		return List("hget", g.hashKey(), field())
	case 14:
		return List("hlen", g.hashKey())
	case 15:
		return List("hincrby", g.hashKey(), Pick(g, "n", field()), "3")
	case 16:
		return Join("hmget", List(g.hashKey()), g.Repeat(1, 5, One(field)))
	case 17:
		return Join(Pick(g, "del", "exists"), g.Repeat(1, 3, One(g.key)))
	case 18:
		return List("type", k)
	case 19:
		return List("rename", k, g.key())
	case 20:
		return List("copy", k, g.key())
	case 21:
		return List("pexpire", k, ms)
	case 22:
		return Pick(g, List("pttl", k), List("persist", k))
	case 23, 24, 25, 26, 27, 28, 29, 30:
		return g.SetModelCommand()
	case 31, 32, 33, 34, 35, 36, 37, 38:
		return g.listModelCommand()
	default:
		return Pick(g, List("psetex", k, ms, "v"), List("getex", k, "px", ms))
	}
}
