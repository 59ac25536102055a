package set

import cmd "coterie/internal/command"

const (
	readFast  = cmd.ReadOnly | cmd.Fast
	writeFast = cmd.Write | cmd.Fast
	write     = cmd.Write | cmd.DenyOOM
)

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: append([]cmd.Arg{cmd.Key("key")}, args...), Keys: cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, use...)},
		Group: "set", Categories: []string{"set"}}
}

func tips(r cmd.Spec, tips ...string) cmd.Spec {
	r.Tips = tips
	return r
}

// many makes a row's key any number of keys.
func many(r cmd.Spec) cmd.Spec {
	r.Args[0] = r.Args[0].Many()
	r.Keys, r.KeySpecs = cmd.All, []cmd.KeySpec{cmd.Use(cmd.All, "RO", "access")}
	return tips(r, "nondeterministic_output_order")
}

// storing makes a row's key a destination, which other keys follow.
func storing(r cmd.Spec, use ...string) cmd.Spec {
	r.Args = []cmd.Arg{cmd.Key("destination"), cmd.Key("key").Many()}
	r.Keys = cmd.All
	r.KeySpecs = []cmd.KeySpec{cmd.Use(cmd.One, use...), cmd.Use(cmd.KeyRange{First: 2, Last: -1, Step: 1}, "RO", "access")}
	return r
}

// Rows is the command rows of sets.
func Rows() []cmd.Spec {
	var (
		member = cmd.Text("member")
		count  = cmd.Integer("count").Opt()
		look   = []string{"RO"}
		access = []string{"RO", "access"}
	)
	return append([]cmd.Spec{
		row("sadd", -3, write|cmd.Fast, "1.0.0", sAdd, []string{"RW", "insert"}, "Adds members to a set.", "O(1) for each member", member.Many()),
		row("srem", -3, writeFast, "1.0.0", sRem, []string{"RW", "delete"}, "Removes members from a set.", "O(1) for each member", member.Many()),
		moveRow(),
		row("sismember", 3, readFast, "1.0.0", sIsMember, look, "Says whether a set has a member.", "O(1)", member),
		row("smismember", -3, readFast, "6.2.0", smIsMember, access, "Says of several members whether a set has them.", "O(1) for each member", member.Many()),
		row("scard", 2, readFast, "1.0.0", sCard, look, "Counts the members of a set.", "O(1)"),
		tips(row("smembers", 2, cmd.ReadOnly, "1.0.0", sMembers, access, "Answers all members of a set.", "O(N) with the number of members"), "nondeterministic_output_order"),
		tips(row("spop", -2, writeFast, "1.0.0", sPop, []string{"RW", "access", "delete"}, "Removes members picked at random and answers them.",
			"O(1) for each member removed", count), "nondeterministic_output"),
		tips(row("srandmember", -2, cmd.ReadOnly, "1.0.0", sRandMember, access, "Answers members picked at random.", "O(1) for each member picked", count), "nondeterministic_output"),
		tips(row("sscan", -3, cmd.ReadOnly, "2.8.0", sScan, access, "Walks through the members of a set, some at a time.", "O(1) for each member looked at",
			cmd.Integer("cursor"), cmd.Pattern("pattern").After("MATCH").Opt(), cmd.Integer("count").After("COUNT").Opt()), "nondeterministic_output"),
	}, algebraRows()...)
}

func moveRow() cmd.Spec {
	r := row("smove", 4, writeFast, "1.0.0", sMove, nil, "Moves a member from one set to another.", "O(1)")
	r.Args = []cmd.Arg{cmd.Key("source"), cmd.Key("destination"), cmd.Text("member")}
	r.Keys = cmd.Two
	r.KeySpecs = []cmd.KeySpec{
		cmd.Use(cmd.One, "RW", "access", "delete"),
		cmd.Use(cmd.KeyRange{First: 2, Last: 2, Step: 1}, "RW", "insert"),
	}
	return r
}

func algebraRows() []cmd.Spec {
	const (
		smallest = "O(N*M) with the size of the smallest set and the number of sets"
		first    = "O(N*M) with the size of the first set and the number of sets"
		all      = "O(N) with the size of all sets together"
	)
	card := row("sintercard", -3, cmd.ReadOnly|cmd.MovableKeys, "7.0.0", sInterCard, nil, "Counts the members that several sets have in common.", smallest)
	card.Args = []cmd.Arg{cmd.Integer("numkeys"), cmd.Key("key").Many(), cmd.Integer("limit").After("LIMIT").Opt()}
	card.Keys, card.FindKeys = cmd.KeyRange{}, cmd.NumberedKeys(1)
	card.KeySpecs = []cmd.KeySpec{{Keys: cmd.KeyRange{First: 1}, Flags: []string{"RO", "access"}, Numbered: true}}
	return []cmd.Spec{
		many(row("sinter", -2, cmd.ReadOnly, "1.0.0", replyCombined(intersection), nil, "Answers the members that several sets have in common.", smallest)),
		card,
		storing(row("sinterstore", -3, write, "1.0.0", storeCombined(intersection), nil, "Stores the members that several sets have in common.", smallest), "RW", "update"),
		many(row("sunion", -2, cmd.ReadOnly, "1.0.0", replyCombined(union), nil, "Answers the members of several sets.", all)),
		storing(row("sunionstore", -3, write, "1.0.0", storeCombined(union), nil, "Stores the members of several sets.", all), "OW", "update"),
		many(row("sdiff", -2, cmd.ReadOnly, "1.0.0", replyCombined(difference), nil, "Answers the members of the first set that no other has.", first)),
		storing(row("sdiffstore", -3, write, "1.0.0", storeCombined(difference), nil, "Stores the members of the first set that no other has.", first), "OW", "update"),
	}
}
