package redistest

import "strconv"

func (g Generator) hllCommand() []string {
	key := func() string { return Pick(g, "l1", "l2", "{t}l3", "l4", g.key()) }
	k := key()
	element := func() string { return strconv.Itoa(g.IntN(50_000)) }
	switch g.IntN(10) {
	case 0, 1:
		return Join("pfadd", List(k), g.Repeat(0, 3, One(g.Value)))
	case 2, 3:
		return Join("pfadd", List(k), g.Repeat(0, Pick(g, 20, 2000), One(element)))
	case 4:
		return Join("pfcount", List(k))
	case 5:
		return Join("pfcount", g.Repeat(1, 4, One(key)))
	case 6:
		return Join("pfmerge", List(k), g.Repeat(0, 3, One(key)))
	case 7:
		return List("pfdebug", Pick(g, "encoding", "DECODE", "todense", "getreg", "x"), k)
	case 8: // another count is cached, or none
		return List("setrange", k, strconv.Itoa(g.IntN(16)), Pick(g, "\x00", "\x80", "\xff"))
	}
	return List("get", k)
}
