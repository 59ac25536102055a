package datatype_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"
)

func (g generator) streamKey() string {
	if g.IntN(40) == 0 {
		return pick(g, "str", "none", "")
	}
	return pick(g, "x", "x", "x", "y", "{t}z")
}

func (g generator) entryID() string {
	if g.IntN(25) == 0 {
		return pick(g, "0-0", "0", "-", "+", "(5", "5-", "-5", "1-1-1", "18446744073709551616", "x", "",
			"1-*", "5-18446744073709551615", "01-02", "1-+3", " 1-2", strings.Repeat("1", 130), "7\x00x", "$", ">")
	}
	id := strconv.Itoa(g.IntN(40))
	if g.IntN(2) == 0 {
		id += "-" + strconv.Itoa(g.IntN(4))
	}
	return id
}

func (g generator) bound(all string) string {
	switch g.IntN(4) {
	case 0:
		return all
	case 1:
		return "(" + g.entryID()
	}
	return g.entryID()
}

func (g generator) groupName() string    { return pick(g, "g1", "g1", "g1", "g2", "", "nosuch") }
func (g generator) consumerName() string { return pick(g, "c1", "c2", "c3", "", "\x00c") }

func (g generator) small() string {
	if g.IntN(20) == 0 {
		return g.integer()
	}
	return strconv.Itoa(g.IntN(8))
}

// trim makes MAXLEN or MINID. What an approximate one removes from a short
// stream is nothing or all.
func (g generator) trim() (o []string) {
	switch g.IntN(6) {
	case 0:
		return list("MAXLEN", strconv.Itoa(g.IntN(30)))
	case 1:
		return list("minid", "=", g.entryID())
	case 2:
		o = list("MAXLEN", "~", strconv.Itoa(g.IntN(3)))
	case 3:
		o = list("MINID", "~", pick(g, "1000", "0"))
	case 4:
		o = list("maxlen", "=", g.small())
	default:
		return pick(g, list("MAXLEN", "1", "MINID", "1"), list("MAXLEN"), list("LIMIT", "3"), list("MAXLEN", "-1"), list("MAXLEN", "5", "LIMIT", "3"), list("MAXLEN", "x"))
	}
	return join(o[0], o[1:], g.maybe("LIMIT", pick(g, "0", "1000", "-1")))
}

func (g generator) pairs() []string {
	return g.repeat(1, 3, func() []string { return list(pick(g, "f", "g", "longer field", ""), fmt.Sprint("v", g.IntN(100))) })
}

func (g generator) streamsAndIDs(id func() string) []string {
	n := 1 + g.IntN(2)
	out := list("STREAMS")
	for range n {
		out = append(out, g.streamKey())
	}
	for range n {
		out = append(out, id())
	}
	return out
}

// streamCommand makes a command about streams.
func (g generator) streamCommand() []string {
	k := g.streamKey()
	switch g.IntN(31) {
	case 0, 1, 2, 3, 4, 5:
		return join("xadd", list(k), g.maybe("NOMKSTREAM"), g.maybe(g.trim()...), list(pick(g, g.entryID(), strconv.Itoa(30+g.IntN(5))+"-*", strconv.Itoa(g.IntN(40))+"-*")), g.pairs())
	case 6:
		return join("xtrim", list(k), g.trim())
	case 7:
		return join("xdel", list(k), g.repeat(1, 3, one(g.entryID)))
	case 8, 9:
		return join(pick(g, "xrange", "xrange", "xpending"), list(k), list(g.bound("-"), g.bound("+")), g.maybe("COUNT", g.small()))
	case 10:
		return join("xrevrange", list(k, g.bound("+"), g.bound("-")), g.maybe("COUNT", g.small()))
	case 11:
		return list("xlen", k)
	case 12, 13:
		return join("xread", g.maybe("COUNT", g.small()), g.streamsAndIDs(func() string { // + is a later version's
			if id := pick(g, g.entryID(), g.entryID(), "$"); id != "+" {
				return id
			}
			return "-"
		}))
	case 14, 15, 16, 17:
		return join("xreadgroup", list("GROUP", g.groupName(), g.consumerName()), g.maybe("COUNT", g.small()), g.maybe("NOACK"),
			g.streamsAndIDs(func() string { return pick(g, ">", ">", ">", g.entryID()) }))
	case 18, 19:
		return join("xgroup", list("CREATE", k, g.groupName(), pick(g, g.entryID(), "0", "$")), g.maybe("MKSTREAM"), g.maybe("ENTRIESREAD", pick(g, "3", "0", "-1", "-2", "x")))
	case 20:
		return join("xgroup", list("setid", k, g.groupName(), pick(g, g.entryID(), "0", "$")), g.maybe("ENTRIESREAD", g.small()))
	case 21:
		return join("xgroup", pick(g, list("DESTROY", k, g.groupName()), list("createconsumer", k, g.groupName(), g.consumerName()),
			list("DELCONSUMER", k, g.groupName(), g.consumerName()), list("createconsumer", k, g.groupName(), g.consumerName(), "x"), list("nosuch", k, "g")))
	case 22, 23:
		return join("xack", list(k, g.groupName()), g.repeat(1, 3, one(g.entryID)))
	case 24:
		return join("xpending", list(k, g.groupName()), pick(g, nil, list(g.bound("-"), g.bound("+"), g.small()), list("-", "+", "100"), list("-", "+"),
			list("IDLE", "50000", "-", "+", "10"), list("-", "+", "10", g.consumerName()), list("idle", "0", "-", "+", "10", g.consumerName()), list("IDLE", "1", "-", "+")))
	case 25, 26:
		return join("xclaim", list(k, g.groupName(), g.consumerName(), pick(g, "0", "50000", "-1", "x")), g.repeat(0, 3, one(g.entryID)),
			g.maybe(pick(g, list("IDLE", "100000"), list("TIME", "1"), list("IDLE", "x"), list("TIME", "-5"), list("IDLE", "-100000"))...),
			g.maybe("RETRYCOUNT", g.small()), g.maybe("FORCE"), g.maybe("justid"), g.maybe("LASTID", g.entryID()), g.maybe(pick(g, list("foo"), nil)...))
	case 27:
		return join("xautoclaim", list(k, g.groupName(), g.consumerName(), pick(g, "0", "50000", "x"), g.bound("-")), g.maybe("COUNT", pick(g, "1", "2", "3", "0", "x", "999999999999999999")), g.maybe("JUSTID"))
	case 28:
		return join("xsetid", list(k, pick(g, "50", "60-1", "x")), g.maybe("ENTRIESADDED", pick(g, "60", "40", "0", "-1")), g.maybe("MAXDELETEDID", g.entryID()))
	case 29:
		return pick(g, list("del", k), list("type", k), list("rename", k, pick(g, "x", "y", "{t}z")), list("copy", k, pick(g, "x", "y", "{t}z"), "REPLACE"), list("exists", k), list("object", "encoding", k))
	default:
		return join("xinfo", pick(g, list("STREAM", k), list("STREAM", k, "FULL"), list("stream", k, "full", "count", pick(g, "1", "0", "-1", "x")),
			list("STREAM", k, "FULL", "3"), list("groups", k), list("consumers", k, g.groupName()), list("groups", k, "x")))
	}
}

// TestStreamsAgainstRedis runs random commands about streams here and in a real
// redis-server, and compares what both reply.
func TestStreamsAgainstRedis(t *testing.T) {
	dial := startRedis(t)
	for _, proto := range []uint8{2, 3} {
		t.Run(fmt.Sprint("RESP", proto), func(t *testing.T) {
			r := dial()
			r.t = t
			r.run([]string{"hello", fmt.Sprint(proto)})
			for seed := range uint64(200) {
				if differStreams(t, r, proto, seed); t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func differStreams(t *testing.T, r *redis, proto uint8, seed uint64) {
	s := newServer(t, seed)
	s.proto = proto
	g := generator{rand.New(rand.NewPCG(seed, 100+uint64(proto)))}
	commands := [][]string{list("set", "str", "v"), list("xgroup", "create", "x", "g1", "0", "mkstream")}
	for range differentialCommands {
		args := g.streamCommand()
		switch args[0] { // a later version makes the consumer in any case
		case "xclaim", "xautoclaim":
			commands = append(commands, join("xgroup", list("createconsumer"), args[1:4]))
		case "xreadgroup":
			for _, k := range []string{"x", "y", "{t}z"} {
				commands = append(commands, join("xgroup", list("createconsumer", k), args[2:4]))
			}
		}
		commands = append(commands, args)
	}
	for _, k := range []string{"x", "y", "{t}z"} {
		commands = append(commands, list("xinfo", "stream", k, "full", "count", "0"), list("xinfo", "groups", k))
	}
	r.run([]string{"flushall"})
	replies := r.run(commands...)
	s.txn.Stamp = base.StampFromMillis(time.Now().UnixMilli())
	for i, args := range commands {
		got := s.run(args...)
		if string(got) == string(replies[i]) {
			continue
		}
		if a, b := streamReply(t, args, replies[i]), streamReply(t, args, got); a != b {
			for _, args := range commands[max(0, i-20):i] {
				t.Logf("%q", args)
			}
			t.Errorf("command %d %q:\n  here  %s\n  redis %s", i, args, b, a)
			return
		}
		s.txn.Stamp++
	}
	s.check()
}

// streamReply is a reply as text, without what differs between versions and
// times.
func streamReply(t *testing.T, args []string, reply []byte) string {
	t.Helper()
	v, _, err := resp.ParseReply(reply)
	if err != nil {
		t.Fatal(err)
	}
	switch strings.ToLower(args[0]) {
	case "xinfo":
		return infoText(v)
	case "xpending":
		for _, e := range v.Elems {
			if len(e.Elems) == 4 {
				e.Elems[2].Int = (e.Elems[2].Int + 5000) / 10000
				if e.Elems[2].Int > 1e6 {
					e.Elems[2].Int = 1e6
				}
			}
		}
	}
	return replyText(v)
}

func replyText(v resp.Value) string {
	if len(v.Elems) == 0 {
		return fmt.Sprintf("%c %d %q %v", v.Kind, v.Int, v.Str, v.Null)
	}
	var list []string
	for _, e := range v.Elems {
		list = append(list, replyText(e))
	}
	return fmt.Sprintf("%c(%s)", v.Kind, strings.Join(list, ", "))
}

// infoText is a reply of XINFO as text.
func infoText(v resp.Value) string {
	if len(v.Elems) == 0 {
		if v.Kind == ':' && v.Int > 1e9 {
			return "time"
		}
		return replyText(v)
	}
	var list []string
	for i := 0; i < len(v.Elems); i++ {
		switch string(v.Elems[i].Str) {
		case "inactive", "active-time": // later than the server to compare with
			i++
			continue
		case "radix-tree-keys", "radix-tree-nodes", "idle", "seen-time":
			i++
			continue
		}
		list = append(list, infoText(v.Elems[i]))
	}
	return fmt.Sprintf("(%s)", strings.Join(list, " "))
}
