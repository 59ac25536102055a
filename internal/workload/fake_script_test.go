package workload

import (
	"fmt"
	"strings"
)

// script runs a script, as what it is known to do.
func (s *server) script(who Client, c Command) string {
	if cmds, fails, ok := c.program(); ok {
		if !fails {
			return s.multi(who, Multi(nil, cmds...))
		}
		if s.flaw != rollsBack {
			s.multi(who, Multi(nil, cmds...))
		}
		return "-FAILED at 1\r\n"
	}
	return s.single(c)
}

// ticket is the scripts of a book.
func (s *server) ticket(c Command) string {
	keys, args, _ := c.Script()
	if c.runs(bookBody, "wl_book") {
		return "*2\r\n" + s.apply(Command{"GET", keys[0]}) + s.apply(Command{"GET", args[0]})
	}
	var n int
	fmt.Sscanf(s.apply(Command{"INCR", keys[0]}), ":%d", &n)
	hole := args[len(args)-1] == "hole"
	if hole && s.flaw != rollsBack {
		return fmt.Sprintf("-HOLE %d script: x\r\n", n)
	}
	line := fmt.Sprintf("%07d%06d,", n, s.rand.IntN(1000000))
	if s.flaw != halves || !s.odd() {
		s.apply(Command{"APPEND", args[0], line})
	}
	if hole {
		return fmt.Sprintf("-HOLE %d script: x\r\n", n)
	}
	if s.flaw == drawsAgain && s.odd() {
		line = line[:7] + strings.Repeat("7", 6) + ","
	}
	return bulkReply(line)
}
