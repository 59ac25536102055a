package sorting

import (
	cmd "coterie/internal/command"
)

// Rows is the rows of both commands.
func Rows() []cmd.Spec {
	args := []cmd.Arg{
		cmd.Key("key"),
		cmd.Pattern("by-pattern").After("BY").Opt(),
		cmd.Block("limit", cmd.Integer("offset"), cmd.Integer("count")).After("LIMIT").Opt(),
		cmd.Pattern("get-pattern").After("GET").Opt().Many(),
		cmd.OneOf("order", cmd.Token("asc", "ASC"), cmd.Token("desc", "DESC")).Opt(),
		cmd.Token("sorting", "ALPHA").Opt(),
	}
	row := func(name, since string, flags cmd.Flags, run func(*cmd.Ctx), summary string, args []cmd.Arg) cmd.Spec {
		return cmd.Spec{Name: name, Arity: -2, Flags: flags, Since: since, Run: run, Summary: summary, Args: args,
			Complexity: "O(N+M*log(M)) with the number of members and of those that are answered",
			Keys:       cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, "RO", "access")}, FindKeys: findKeys, Undeclared: strays,
			Group: "generic", Categories: []string{"set", "sortedset", "list", "dangerous"}}
	}
	store := append(args[:len(args):len(args)], cmd.Key("destination").After("STORE").Opt())
	return []cmd.Spec{
		row("sort", "1.0.0", cmd.Write|cmd.DenyOOM, func(c *cmd.Ctx) { sort(c, true) },
			"Answers, or stores, the members of a list, a set or a sorted set in order.", store),
		row("sort_ro", "7.0.0", cmd.ReadOnly, func(c *cmd.Ctx) { sort(c, false) },
			"Answers the members of a list, a set or a sorted set in order.", args),
	}
}

// findKeys finds the key and, for SORT, the last destination.
func findKeys(dst []int, args [][]byte) []int {
	dst = append(dst, 1)
	if len(args[0]) > len("sort") {
		return dst
	}
	stored := 0
	options(args, func(at int) {
		if cmd.Is(args[at-1], "STORE") {
			stored = at
		}
	})
	if stored > 0 {
		dst = append(dst, stored)
	}
	return dst
}

// strays says whether there is a pattern, by which keys are found that are not
// named.
func strays(args [][]byte) (keyed bool) {
	options(args, func(at int) {
		keyed = keyed || !cmd.Is(args[at-1], "STORE") && patternOf(args[at]).keyed
	})
	return keyed
}

// options visits where the arguments of BY, GET and STORE are.
func options(args [][]byte, visit func(at int)) {
	for i := 2; i+1 < len(args); i++ {
		switch {
		case cmd.Is(args[i], "LIMIT"):
			i += 2
		case cmd.Is(args[i], "BY"), cmd.Is(args[i], "GET"), cmd.Is(args[i], "STORE"):
			i++
			visit(i)
		}
	}
}
