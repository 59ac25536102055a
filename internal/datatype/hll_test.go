package datatype_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
)

func (g generator) hllCommand() []string {
	key := func() string { return pick(g, "l1", "l2", "{t}l3", "l4", g.key()) }
	k := key()
	element := func() string { return strconv.Itoa(g.IntN(50_000)) }
	switch g.IntN(10) {
	case 0, 1:
		return join("pfadd", list(k), g.repeat(0, 3, one(g.value)))
	case 2, 3:
		return join("pfadd", list(k), g.repeat(0, pick(g, 20, 2000), one(element)))
	case 4:
		return join("pfcount", list(k))
	case 5:
		return join("pfcount", g.repeat(1, 4, one(key)))
	case 6:
		return join("pfmerge", list(k), g.repeat(0, 3, one(key)))
	case 7:
		return list("pfdebug", pick(g, "encoding", "DECODE", "todense", "getreg", "x"), k)
	case 8: // another count is cached, or none
		return list("setrange", k, strconv.Itoa(g.IntN(16)), pick(g, "\x00", "\x80", "\xff"))
	}
	return list("get", k)
}

// TestSketchesAgainstRedis compares the bytes of sketches after every command,
// from empty ones to dense ones.
func TestSketchesAgainstRedis(t *testing.T) {
	r := startRedis(t)()
	for seed := range uint64(6) {
		s := newServer(t, seed)
		g := generator{rand.New(rand.NewPCG(seed, 7))}
		s.txn.Stamp = base.StampFromMillis(time.Now().UnixMilli())
		r.run([]string{"flushall"})
		for i := range 600 {
			k := pick(g, "a", "b", "c", "d")
			args := join("pfadd", list(k), g.repeat(1, 1+i/4, one(func() string { return fmt.Sprint(k, g.Uint64()) })))
			switch g.IntN(40) {
			case 0:
				args = join("pfmerge", list(k), g.repeat(0, 2, one(func() string { return pick(g, "a", "b", "c", "d") })))
			case 1:
				args = list("pfcount", "a", "b", "c", "d")
			case 2:
				args = list("del", k)
			case 3, 4, 5, 6:
				args = list("pfcount", k)
			}
			want := r.run(args, []string{"get", k})
			for j, cmd := range [][]string{args, {"get", k}} {
				if got := string(s.run(cmd...)); got != string(want[j]) {
					t.Fatalf("seed %d, command %d %.60q, then %q:\n  here  %.200q\n  redis %.200q", seed, i, args, cmd, got, want[j])
				}
			}
		}
	}
}

func TestSelfTest(t *testing.T) {
	for seed := range uint64(3) {
		newServer(t, seed).want(okay, "pfselftest")
	}
}

// TestBrokenSketches: whatever a client wrote, nothing panics, and what
// nothing can be made of is an error that leaves no effect.
func TestBrokenSketches(t *testing.T) {
	s := newServer(t, 1)
	g := generator{rand.New(rand.NewPCG(1, 1))}
	broken := 0
	for i := range 1000 {
		s.run("del", "x", "y")
		s.run(join("pfadd", list("x"), g.repeat(0, 300, one(func() string { return strconv.Itoa(g.Int()) })))...)
		for range 1 + g.IntN(5) {
			n := len(s.get("x"))
			s.run("setrange", "x", strconv.Itoa(g.IntN(n+1)), string([]byte{byte(g.IntN(256))}))
		}
		for _, args := range [][]string{{"pfcount", "x"}, {"pfcount", "x", "y"}, {"pfadd", "x", fmt.Sprint(i)}, {"pfmerge", "y", "x"}, {"pfdebug", "decode", "x"}, {"pfdebug", "getreg", "x"}} {
			if strings.HasPrefix(string(s.run(args...)), "-INVALIDOBJ") {
				broken++
			}
		}
	}
	if broken < 100 {
		t.Errorf("only %d replies say that a sketch is broken", broken)
	}
}

// get is a string's value.
func (s *server) get(key string) string {
	reply := string(s.run("get", key))
	_, rest, _ := strings.Cut(reply, "\r\n")
	return strings.TrimSuffix(rest, "\r\n")
}
