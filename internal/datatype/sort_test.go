package datatype_test

import (
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype/redistest"
)

// sortable makes values to sort, and what to sort them by.
func sortable(g redistest.Generator) (commands [][]string) {
	do := func(line string, args ...any) {
		commands = append(commands, strings.Fields(fmt.Sprintf(line, args...)))
	}
	do("flushall")
	for i := range 1 + g.IntN(200) {
		do("rpush numbers %v", redistest.Pick(g, fmt.Sprint(g.IntN(1000)-500), fmt.Sprint(g.NormFloat64()), "1e3", "inf"))
		do("sadd members m%d", g.IntN(300))
		do("sadd integers %d", g.IntN(5000))
		do("zadd scored %d z%d", g.IntN(20), g.IntN(100))
		do("rpush texts t%d", g.IntN(50))
		if g.IntN(3) > 0 {
			do("set weight_m%d %d", i, g.IntN(40))
			do("set weight_t%d %d", i, g.IntN(40))
			do("hset {h}z%d f %d g text%d", i, g.IntN(30), i)
		}
	}
	do("set string x")
	do("set weight_wrong x")
	do("rpush wrong wrong 1 2")
	return commands
}

// settled says whether the order of a SORT's reply follows from its arguments:
// it does not for a set that is not sorted, nor for members with the same text
// to be sorted by.
func settled(args []string) bool {
	by, alpha := "", false
	for i := 2; i < len(args); i++ {
		switch strings.ToLower(args[i]) {
		case "by":
			if i++; by == "" || !strings.Contains(args[i], "*") {
				by = args[i]
			}
		case "get", "store":
			i++
		case "limit":
			i += 2
		case "alpha":
			alpha = true
		}
	}
	if strings.Contains(by, "*") {
		return !alpha
	}
	return by == "" || args[1] != "members" && args[1] != "integers"
}

func TestSortAgainstRedis(t *testing.T) {
	r := redistest.Dial(t, startRedis(t))
	for seed := range uint64(6) {
		s := newServer(t, seed)
		g := redistest.NewGenerator(seed, 3)
		prepare := sortable(g)
		r.Run(t, prepare...)
		for _, args := range prepare[1:] {
			s.run(args...)
		}
		for range 400 {
			args := g.SortCommand()
			want, got := r.Run(t, args)[0], s.run(args...)
			if len(want) != len(got) && settled(args) || settled(args) && string(want) != string(got) || (want[0] == '-') != (got[0] == '-') {
				t.Fatalf("seed %d: %q:\n  here  %.300q\n  redis %.300q", seed, args, got, want)
			}
			if !settled(args) && args[len(args)-1] == "stored" { // go on with the same
				r.Run(t, redistest.List("del", "stored"))
				s.run("del", "stored")
			}
			look := redistest.List("lrange", "stored", "0", "-1")
			if there, here := r.Run(t, look)[0], s.run(look...); string(there) != string(here) {
				t.Fatalf("seed %d: %q stored:\n  here  %.300q\n  redis %.300q", seed, args, here, there)
			}
		}
		s.check()
	}
}

func TestSortKeys(t *testing.T) {
	s := newServer(t, 1)
	for line, want := range map[string]string{
		"sort k":                                   "[1]",
		"sort k by store get x desc":               "[1]",
		"sort k store a limit 0 store store b":     "[1 8]",
		"sort k get # store d":                     "[1 5]",
		"sort_ro k store d":                        "[1]",
		"sort k store":                             "[1]",
		"sort k limit 0 1 by w_* store d":          "[1 8]",
		"fence lock 5 sort k by w_* store d alpha": "[1 4 8]",
	} {
		args := [][]byte{}
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		spec := s.table.Lookup(args)
		if got := fmt.Sprint(spec.AppendKeys(nil, args)); got != want {
			t.Errorf("%s: keys at %s, want %s", line, got, want)
		}
		if got := spec.Strays(args); got != strings.Contains(line, "w_*") {
			t.Errorf("%s: strays: %v", line, got)
		}
	}
}

// A key of a pattern that lies elsewhere brings the command to the gateway, with
// nothing done.
func TestSortDiverts(t *testing.T) {
	s := newServer(t, 1)
	s.run("rpush", "list", "1", "2")
	slot := base.KeySlot([]byte("list"))
	s.span = base.Span{Lo: uint16(slot), Hi: uint16(slot) + 1}
	writes := s.txn.Writes
	s.want(command.DivertReply, "sort", "list", "by", "w_*")
	s.want(command.DivertReply, "sort", "list", "get", "w_*", "store", "{list}stored")
	s.want("*2\r\n$-1\r\n$-1\r\n", "sort", "list", "get", "{list}w_*")
	s.want(":2\r\n", "sort", "list", "by", "{list}w_*", "store", "{list}stored")
	if s.want(command.DivertReply, "sort", "{list}stored", "get", "w_*", "store", "list"); s.txn.Writes == writes {
		t.Error("nothing was stored")
	}
	s.want("*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "sort", "list")
}
