package datatype_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/datatype/redistest"
)

// TestSketchesAgainstRedis compares the bytes of sketches after every command,
// from empty ones to dense ones.
func TestSketchesAgainstRedis(t *testing.T) {
	r := redistest.Dial(t, startRedis(t))
	for seed := range uint64(6) {
		s := newServer(t, seed)
		g := redistest.NewGenerator(seed, 7)
		s.txn.Stamp = base.StampFromMillis(time.Now().UnixMilli())
		r.Run(t, []string{"flushall"})
		for i := range 600 {
			k := redistest.Pick(g, "a", "b", "c", "d")
			args := redistest.Join("pfadd", redistest.List(k), g.Repeat(1, 1+i/4, redistest.One(func() string { return fmt.Sprint(k, g.Uint64()) })))
			switch g.IntN(40) {
			case 0:
				args = redistest.Join("pfmerge", redistest.List(k), g.Repeat(0, 2, redistest.One(func() string { return redistest.Pick(g, "a", "b", "c", "d") })))
			case 1:
				args = redistest.List("pfcount", "a", "b", "c", "d")
			case 2:
				args = redistest.List("del", k)
			case 3, 4, 5, 6:
				args = redistest.List("pfcount", k)
			}
			want := r.Run(t, args, []string{"get", k})
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
	g := redistest.NewGenerator(1, 1)
	broken := 0
	for i := range 1000 {
		s.run("del", "x", "y")
		s.run(redistest.Join("pfadd", redistest.List("x"), g.Repeat(0, 300, redistest.One(func() string { return strconv.Itoa(g.Int()) })))...)
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
