package redistest

import "fmt"

// SortCommand makes a SORT of the keys that a test has made.
func (g Generator) SortCommand() []string {
	args := List(Pick(g, "sort", "SORT", "sort_ro"), Pick(g, "numbers", "members", "integers", "scored", "texts", "string", "none", "wrong", "stored"))
	for range g.IntN(6) {
		args = append(args, Pick(g,
			List("ALPHA"), List("alpha"), List("desc"), List("ASC"), List("limit", fmt.Sprint(g.IntN(30)-5), fmt.Sprint(g.IntN(40)-5)), List("LIMIT", "0", "10"),
			List("by", "weight_*"), List("BY", "{h}*->f"), List("by", "nosort"), List("by", "{h}*->none"), List("by", "#"),
			List("get", "#"), List("get", "weight_*"), List("GET", "{h}*->g"), List("get", "constant"), List("get", "weight_*->f"), List("get", "{h}*->"),
			List("limit", "x", "1"), List("foo"), List("store"))...)
	}
	if args[0] != "sort_ro" && g.IntN(4) == 0 || g.IntN(40) == 0 {
		args = append(args, "STORE", "stored")
	}
	return args
}
