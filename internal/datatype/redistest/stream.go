package redistest

import (
	"fmt"
	"strconv"
	"strings"
)

func (g Generator) streamKey() string {
	if g.IntN(40) == 0 {
		return Pick(g, "str", "none", "")
	}
	return Pick(g, "x", "x", "x", "y", "{t}z")
}

func (g Generator) entryID() string {
	if g.IntN(25) == 0 {
		return Pick(g, "0-0", "0", "-", "+", "(5", "5-", "-5", "1-1-1", "18446744073709551616", "x", "",
			"1-*", "5-18446744073709551615", "01-02", "1-+3", " 1-2", strings.Repeat("1", 130), "7\x00x", "$", ">")
	}
	id := strconv.Itoa(g.IntN(40))
	if g.IntN(2) == 0 {
		id += "-" + strconv.Itoa(g.IntN(4))
	}
	return id
}

func (g Generator) bound(all string) string {
	switch g.IntN(4) {
	case 0:
		return all
	case 1:
		return "(" + g.entryID()
	}
	return g.entryID()
}

func (g Generator) groupName() string    { return Pick(g, "g1", "g1", "g1", "g2", "", "nosuch") }
func (g Generator) consumerName() string { return Pick(g, "c1", "c2", "c3", "", "\x00c") }

func (g Generator) small() string {
	if g.IntN(20) == 0 {
		return g.integer()
	}
	return strconv.Itoa(g.IntN(8))
}

// trim makes MAXLEN or MINID. What an approximate one removes from a short
// stream is nothing or all.
func (g Generator) trim() (o []string) {
	switch g.IntN(6) {
	case 0:
		return List("MAXLEN", strconv.Itoa(g.IntN(30)))
	case 1:
		return List("minid", "=", g.entryID())
	case 2:
		o = List("MAXLEN", "~", strconv.Itoa(g.IntN(3)))
	case 3:
		o = List("MINID", "~", Pick(g, "1000", "0"))
	case 4:
		o = List("maxlen", "=", g.small())
	default:
		return Pick(g, List("MAXLEN", "1", "MINID", "1"), List("MAXLEN"), List("LIMIT", "3"), List("MAXLEN", "-1"), List("MAXLEN", "5", "LIMIT", "3"), List("MAXLEN", "x"))
	}
	return Join(o[0], o[1:], g.Maybe("LIMIT", Pick(g, "0", "1000", "-1")))
}

func (g Generator) pairs() []string {
	return g.Repeat(1, 3, func() []string { return List(Pick(g, "f", "g", "longer field", ""), fmt.Sprint("v", g.IntN(100))) })
}

func (g Generator) streamsAndIDs(id func() string) []string {
	n := 1 + g.IntN(2)
	out := List("STREAMS")
	for range n {
		out = append(out, g.streamKey())
	}
	for range n {
		out = append(out, id())
	}
	return out
}

// streamCommand makes a command about streams.
func (g Generator) streamCommand() []string {
	k := g.streamKey()
	switch g.IntN(31) {
	case 0, 1, 2, 3, 4, 5:
		return Join("xadd", List(k), g.Maybe("NOMKSTREAM"), g.Maybe(g.trim()...), List(Pick(g, g.entryID(), strconv.Itoa(30+g.IntN(5))+"-*", strconv.Itoa(g.IntN(40))+"-*")), g.pairs())
	case 6:
		return Join("xtrim", List(k), g.trim())
	case 7:
		return Join("xdel", List(k), g.Repeat(1, 3, One(g.entryID)))
	case 8, 9:
		return Join(Pick(g, "xrange", "xrange", "xpending"), List(k), List(g.bound("-"), g.bound("+")), g.Maybe("COUNT", g.small()))
	case 10:
		return Join("xrevrange", List(k, g.bound("+"), g.bound("-")), g.Maybe("COUNT", g.small()))
	case 11:
		return List("xlen", k)
	case 12, 13:
		return Join("xread", g.Maybe("COUNT", g.small()), g.streamsAndIDs(func() string { // + is a later version's
			if id := Pick(g, g.entryID(), g.entryID(), "$"); id != "+" {
				return id
			}
			return "-"
		}))
	case 14, 15, 16, 17:
		return Join("xreadgroup", List("GROUP", g.groupName(), g.consumerName()), g.Maybe("COUNT", g.small()), g.Maybe("NOACK"),
			g.streamsAndIDs(func() string { return Pick(g, ">", ">", ">", g.entryID()) }))
	case 18, 19:
		return Join("xgroup", List("CREATE", k, g.groupName(), Pick(g, g.entryID(), "0", "$")), g.Maybe("MKSTREAM"), g.Maybe("ENTRIESREAD", Pick(g, "3", "0", "-1", "-2", "x")))
	case 20:
		return Join("xgroup", List("setid", k, g.groupName(), Pick(g, g.entryID(), "0", "$")), g.Maybe("ENTRIESREAD", g.small()))
	case 21:
		return Join("xgroup", Pick(g, List("DESTROY", k, g.groupName()), List("createconsumer", k, g.groupName(), g.consumerName()),
			List("DELCONSUMER", k, g.groupName(), g.consumerName()), List("createconsumer", k, g.groupName(), g.consumerName(), "x"), List("nosuch", k, "g")))
	case 22, 23:
		return Join("xack", List(k, g.groupName()), g.Repeat(1, 3, One(g.entryID)))
	case 24:
		return Join("xpending", List(k, g.groupName()), Pick(g, nil, List(g.bound("-"), g.bound("+"), g.small()), List("-", "+", "100"), List("-", "+"),
			List("IDLE", "50000", "-", "+", "10"), List("-", "+", "10", g.consumerName()), List("idle", "0", "-", "+", "10", g.consumerName()), List("IDLE", "1", "-", "+")))
	case 25, 26:
		return Join("xclaim", List(k, g.groupName(), g.consumerName(), Pick(g, "0", "50000", "-1", "x")), g.Repeat(0, 3, One(g.entryID)),
			g.Maybe(Pick(g, List("IDLE", "100000"), List("TIME", "1"), List("IDLE", "x"), List("TIME", "-5"), List("IDLE", "-100000"))...),
			g.Maybe("RETRYCOUNT", g.small()), g.Maybe("FORCE"), g.Maybe("justid"), g.Maybe("LASTID", g.entryID()), g.Maybe(Pick(g, List("foo"), nil)...))
	case 27:
		return Join("xautoclaim", List(k, g.groupName(), g.consumerName(), Pick(g, "0", "50000", "x"), g.bound("-")), g.Maybe("COUNT", Pick(g, "1", "2", "3", "0", "x", "999999999999999999")), g.Maybe("JUSTID"))
	case 28:
		return Join("xsetid", List(k, Pick(g, "50", "60-1", "x")), g.Maybe("ENTRIESADDED", Pick(g, "60", "40", "0", "-1")), g.Maybe("MAXDELETEDID", g.entryID()))
	case 29:
		return Pick(g, List("del", k), List("type", k), List("rename", k, Pick(g, "x", "y", "{t}z")), List("copy", k, Pick(g, "x", "y", "{t}z"), "REPLACE"), List("exists", k), List("object", "encoding", k))
	default:
		return Join("xinfo", Pick(g, List("STREAM", k), List("STREAM", k, "FULL"), List("stream", k, "full", "count", Pick(g, "1", "0", "-1", "x")),
			List("STREAM", k, "FULL", "3"), List("groups", k), List("consumers", k, g.groupName()), List("groups", k, "x")))
	}
}

// StreamCommands makes n random commands about streams, with those around them
// that make every version answer alike, and a look at all streams at the end.
func (g Generator) StreamCommands(n int) [][]string {
	commands := [][]string{List("set", "str", "v"), List("xgroup", "create", "x", "g1", "0", "mkstream")}
	keys := []string{"x", "y", "{t}z"}
	for range n {
		args := g.streamCommand()
		switch args[0] { // a later version makes the consumer in any case
		case "xclaim", "xautoclaim":
			commands = append(commands, Join("xgroup", List("createconsumer"), args[1:4]))
		case "xreadgroup":
			for _, k := range keys {
				commands = append(commands, Join("xgroup", List("createconsumer", k), args[2:4]))
			}
		}
		commands = append(commands, args)
	}
	for _, k := range keys {
		commands = append(commands, List("xinfo", "stream", k, "full", "count", "0"), List("xinfo", "groups", k))
	}
	return commands
}
