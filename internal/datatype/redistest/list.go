package redistest

import "strconv"

func (g Generator) listKey() string { return Pick(g, "l1", "l2", "{t}l3", "biglist", g.key()) }

// element makes values of which some are often equal.
func (g Generator) element() string {
	return Pick(g, "a", "b", "c", "", strconv.Itoa(g.IntN(30)), g.Value())
}

func (g Generator) side() string { return Pick(g, "LEFT", "right", "LEFT", "RIGHT", "left") }

func (g Generator) index() string {
	if g.IntN(12) == 0 {
		return g.integer()
	}
	return strconv.Itoa(g.IntN(300) - 150)
}

func (g Generator) keys(f func() string) []string {
	list := g.Repeat(1, 3, One(f))
	n := strconv.Itoa(len(list))
	if g.IntN(12) == 0 {
		n = Pick(g, "0", "-1", "x", "5", "1")
	}
	return append([]string{n}, list...)
}

func (g Generator) listCommand() []string {
	k := g.listKey()
	switch g.IntN(22) {
	case 0, 1, 2:
		return Join(Pick(g, "lpush", "rpush", "lpush", "rpush", "lpushx", "rpushx"), List(k), g.Repeat(1, 4, One(g.element)))
	case 3, 4:
		return Join(Pick(g, "lpush", "rpush"), List(Pick(g, "biglist", k)), g.Repeat(1, 200, One(g.element)))
	case 5, 6:
		return Join(Pick(g, "lpop", "rpop"), List(k), g.Maybe(Pick(g, "0", "1", "3", "100", "-1", "x", "9223372036854775807")))
	case 7:
		return List("llen", k)
	case 8:
		return List("lindex", k, g.index())
	case 9, 10:
		return List("lset", k, g.index(), g.element())
	case 11:
		return List("linsert", k, Pick(g, "BEFORE", "after", "before", "AFTER", "beside"), g.element(), g.element())
	case 12:
		return List("lrange", k, g.index(), g.index())
	case 13:
		return List("ltrim", k, Pick(g, "0", "1", "2", g.index()), Pick(g, "-1", "-2", "-3", "200", g.index()))
	case 14:
		return List("lrem", k, Pick(g, "0", "1", "-1", "2", "-5", "-9223372036854775808", g.integer()), g.element())
	case 15, 16:
		return Join("lpos", List(k, g.element()), g.Maybe("RANK", Pick(g, "1", "2", "-1", "-2", "0", "x", "-9223372036854775807")),
			g.Maybe("COUNT", Pick(g, "0", "1", "3", "-1", "x")), g.Maybe("maxlen", Pick(g, "0", "1", "50", "-1", "x")))
	case 17:
		return List("lmove", k, g.listKey(), g.side(), g.side())
	case 18:
		return List("rpoplpush", k, g.listKey())
	case 19, 20:
		return Join("lmpop", g.keys(g.listKey), List(Pick(g, g.side(), "middle", g.side(), g.side())), g.Maybe("COUNT", Pick(g, "1", "2", "100", "0", "-1", "x")))
	default:
		return g.blockingListCommand()
	}
}

// blockingListCommand waits for a millisecond at most.
func (g Generator) blockingListCommand() []string {
	timeout := Pick(g, "0.001", "0.001", "-1", "x")
	switch g.IntN(4) {
	case 0:
		return Join(Pick(g, "blpop", "brpop"), g.Repeat(1, 3, One(g.listKey)), List(timeout))
	case 1:
		return Join("blmpop", List(timeout), g.keys(g.listKey), List(g.side()), g.Maybe("COUNT", Pick(g, "1", "3", "0")))
	case 2:
		return List("brpoplpush", g.listKey(), g.listKey(), timeout)
	}
	return List("blmove", g.listKey(), g.listKey(), g.side(), g.side(), timeout)
}

// listModelCommand makes a command that the model knows.
func (g Generator) listModelCommand() []string {
	k, i := g.listKey(), func() string { return strconv.Itoa(g.IntN(400) - 200) }
	switch g.IntN(16) {
	case 0, 1, 2:
		return Join(Pick(g, "lpush", "rpush"), List(k), g.Repeat(1, 120, One(g.element)))
	case 3:
		return Join(Pick(g, "lpushx", "rpushx"), List(k), g.Repeat(1, 5, One(g.element)))
	case 4, 5:
		return List(Pick(g, "lpop", "rpop"), k, strconv.Itoa(g.IntN(60)))
	case 6:
		return List(Pick(g, "lpop", "rpop", "llen"), k)
	case 7:
		return List("lindex", k, i())
	case 8:
		return List("lset", k, i(), g.element())
	case 9:
		return List("linsert", k, Pick(g, "before", "after"), g.element(), g.element())
	case 10:
		return List("lrange", k, i(), i())
	case 11:
		return List("ltrim", k, strconv.Itoa(g.IntN(40)), strconv.Itoa(-1-g.IntN(40)))
	case 12:
		return List("lrem", k, strconv.Itoa(g.IntN(9)-4), g.element())
	case 13:
		return List("lpos", k, g.element(), "rank", Pick(g, "1", "2", "-1", "-3"), "count", strconv.Itoa(g.IntN(4)), "maxlen", strconv.Itoa(g.IntN(100)))
	case 14:
		return List("lmove", k, g.listKey(), Pick(g, "left", "right"), Pick(g, "left", "right"))
	}
	return Pick(g, List("lmpop", "2", k, g.listKey(), Pick(g, "left", "right"), "count", strconv.Itoa(1+g.IntN(20))), List("blpop", k, g.listKey(), "0"))
}
