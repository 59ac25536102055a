package stream

import (
	"strings"

	cmd "coterie/internal/command"
)

const writeFast = cmd.Write | cmd.Fast

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: append([]cmd.Arg{cmd.Key("key")}, args...), Keys: cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, use...)},
		Group: "stream", Categories: []string{"stream"}}
}

// second is the key of a subcommand.
var second = cmd.KeyRange{First: 2, Last: 2, Step: 1}

func sub(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	r := row(name, arity, flags, since, run, use, summary, complexity, args...)
	r.Keys, r.KeySpecs = second, []cmd.KeySpec{cmd.Use(second, use...)}
	return r
}

func tipped(r cmd.Spec) cmd.Spec {
	r.Tips = []string{"nondeterministic_output"}
	return r
}

var (
	reads   = []string{"RO", "access"}
	updates = []string{"RW", "update"}
	inserts = []string{"RW", "insert"}
	removes = []string{"RW", "delete"}

	countArg  = cmd.Integer("count").After("COUNT").Opt()
	groupArg  = cmd.Text("group")
	memberArg = cmd.Text("consumer")
	idArg     = cmd.Text("id")
	startArg  = cmd.Text("start")
	endArg    = cmd.Text("end")
)

// trimArgs is how XADD and XTRIM are told what to remove.
func trimArgs() cmd.Arg {
	return cmd.Block("trim",
		cmd.OneOf("strategy", cmd.Token("maxlen", "MAXLEN"), cmd.Token("minid", "MINID")),
		cmd.OneOf("operator", cmd.Token("equal", "="), cmd.Token("approximately", "~")).Opt(),
		cmd.Text("threshold"),
		cmd.Integer("count").After("LIMIT").Opt())
}

// Rows is the command rows of streams.
func Rows() []cmd.Spec {
	newID := cmd.OneOf("id-selector", cmd.Token("auto-id", "*"), idArg)
	return append([]cmd.Spec{
		tipped(row("xadd", -5, cmd.Write|cmd.DenyOOM|cmd.Fast, "5.0.0", xAdd, updates, "Appends an entry to a stream.", "O(log(N)); O(M) for M entries that are trimmed",
			cmd.Token("nomkstream", "NOMKSTREAM").Opt(), trimArgs().Opt(), newID, cmd.Block("data", cmd.Text("field"), cmd.Text("value")).Many())),
		tipped(row("xtrim", -4, cmd.Write, "5.0.0", xTrim, removes, "Removes a stream's oldest entries.", "O(log(N)+M) for M entries removed", trimArgs())),
		row("xlen", 2, cmd.ReadOnly|cmd.Fast, "5.0.0", xLen, []string{"RO"}, "Counts the entries of a stream.", "O(1)"),
		row("xrange", -4, cmd.ReadOnly, "5.0.0", xRange, reads, "Answers a stream's entries between two ids.", "O(log(N)+M) for M entries answered", startArg, endArg, countArg),
		row("xrevrange", -4, cmd.ReadOnly, "5.0.0", xRevRange, reads, "Answers a stream's entries between two ids, the last one first.", "O(log(N)+M) for M entries answered", endArg, startArg, countArg),
		row("xdel", -3, writeFast, "5.0.0", xDel, removes, "Deletes entries of a stream.", "O(log(N)) for each id", idArg.Many()),
		row("xsetid", -3, cmd.Write|cmd.DenyOOM|cmd.Fast, "5.0.0", xSetID, updates, "Sets what a stream remembers of the entries that it had.", "O(log(N))",
			cmd.Text("last-id"), cmd.Integer("entries-added").After("ENTRIESADDED").Opt(), cmd.Text("max-deleted-id").After("MAXDELETEDID").Opt()),
		readRow("xread", -4, cmd.ReadOnly, 1, xRead, "Answers what came to streams behind given ids, or waits for it.", countArg, block(), streams()),
		readRow("xreadgroup", -7, cmd.Write, 4, xReadGroup, "Answers what came to streams to one consumer of a group, or waits for it.",
			cmd.Block("group-block", groupArg, memberArg).After("GROUP"), countArg, block(), cmd.Token("noack", "NOACK").Opt(), streams()),
		row("xack", -4, writeFast, "5.0.0", xAck, updates, "Acknowledges entries: they are pending in a group no more.", "O(log(N)) for each id", groupArg, idArg.Many()),
		tipped(row("xpending", -3, cmd.ReadOnly, "5.0.0", xPending, reads, "Answers what is pending in a group: a summary, or entry by entry.",
			"O(log(N)+M) for M entries answered; with IDLE, for M entries looked at", groupArg,
			cmd.Block("filters", cmd.Integer("min-idle-time").After("IDLE").Opt(), startArg, endArg, cmd.Integer("count"), memberArg.Opt()).Opt())),
		tipped(row("xclaim", -6, writeFast, "5.0.0", xClaim, updates, "Makes pending entries those of another consumer.", "O(log(N)) for each id",
			groupArg, memberArg, cmd.Text("min-idle-time"), idArg.Many(),
			cmd.Integer("ms").After("IDLE").Opt(), cmd.UnixTime("unix-time-milliseconds").After("TIME").Opt(), cmd.Integer("count").After("RETRYCOUNT").Opt(),
			cmd.Token("force", "FORCE").Opt(), cmd.Token("justid", "JUSTID").Opt(), cmd.Text("lastid").After("LASTID").Opt())),
		tipped(row("xautoclaim", -6, writeFast, "6.2.0", xAutoClaim, removes, "Makes what is pending for long one consumer's, some at a time.", "O(log(N)) for each entry looked at, ten at most for each of COUNT",
			groupArg, memberArg, cmd.Text("min-idle-time"), startArg, countArg, cmd.Token("justid", "JUSTID").Opt())),
	}, xGroupRow(), xInfoRow())
}

func block() cmd.Arg { return cmd.Integer("milliseconds").After("BLOCK").Opt() }

func streams() cmd.Arg {
	return cmd.Block("streams", cmd.Key("key").Many(), idArg.Many()).After("STREAMS")
}

// readRow is a row of XREAD or XREADGROUP. Both may wait. One that finds nothing
// says nothing about those behind it: they may want other entries, or be of
// another group.
func readRow(name string, arity int, flags cmd.Flags, from int, run func(*cmd.Ctx), summary string, args ...cmd.Arg) cmd.Spec {
	r := row(name, arity, flags|cmd.Blocking|cmd.MovableKeys, "5.0.0", run, nil, summary, "O(log(N)+M) for each stream, for M entries answered")
	r.Args, r.Keys, r.FindKeys = args, cmd.KeyRange{}, findKeys
	r.KeySpecs = []cmd.KeySpec{{Keyword: "STREAMS", Keys: cmd.KeyRange{First: from, Last: -1, Step: 1}, Flags: reads}}
	r.Timeout, r.Broadcast = cmd.TimeoutBlock, true
	return r
}

// container makes a command with subcommands, one of which lists the others.
func container(name, summary string, subs ...cmd.Spec) cmd.Spec {
	r := row(name, -2, 0, "5.0.0", nil, nil, summary, "Depends on the subcommand.")
	r.Args, r.Keys, r.KeySpecs, r.Categories = nil, cmd.KeyRange{}, nil, nil
	help := row("help", 2, cmd.Loading|cmd.Stale, "5.0.0", nil, nil, "Lists the subcommands.", "O(1)")
	help.Args, help.Keys, help.KeySpecs = nil, cmd.KeyRange{}, nil
	help.Run = func(c *cmd.Ctx) { cmd.Help(c.Out, strings.ToUpper(name), append(subs, help)) }
	r.Sub = append(subs, help)
	return r
}

func xGroupRow() cmd.Spec {
	at := cmd.OneOf("id-selector", idArg, cmd.Token("new-id", "$"))
	read := cmd.Integer("entries-read").After("ENTRIESREAD").Opt()
	return container("xgroup", "Makes and changes groups of consumers.",
		sub("create", -5, cmd.Write|cmd.DenyOOM, "5.0.0", xGroupCreate, inserts, "Makes a group of consumers.", "O(log(N))", groupArg, at, cmd.Token("mkstream", "MKSTREAM").Opt(), read),
		sub("setid", -5, cmd.Write, "5.0.0", xGroupSetID, updates, "Sets from where on a group is given entries.", "O(log(N))", groupArg, at, read),
		sub("destroy", 4, cmd.Write, "5.0.0", xGroupDestroy, removes, "Removes a group.", "O(N) with what is pending in it", groupArg),
		sub("createconsumer", 5, cmd.Write|cmd.DenyOOM, "6.2.0", xGroupCreateConsumer, inserts, "Makes a consumer in a group.", "O(log(N))", groupArg, memberArg),
		sub("delconsumer", 5, cmd.Write, "5.0.0", xGroupDelConsumer, removes, "Removes a consumer from a group.", "O(N) with what it has pending", groupArg, memberArg))
}

func xInfoRow() cmd.Spec {
	return container("xinfo", "Tells about streams, groups and consumers.",
		sub("stream", -3, cmd.ReadOnly, "5.0.0", xInfoStream, reads, "Tells about a stream.", "O(log(N)); with FULL, O(M) for M entries answered",
			cmd.Block("full-block", cmd.Token("full", "FULL"), countArg).Opt()),
		sub("groups", 3, cmd.ReadOnly, "5.0.0", xInfoGroups, reads, "Tells about a stream's groups.", "O(N) with the number of groups"),
		tipped(sub("consumers", 4, cmd.ReadOnly, "5.0.0", xInfoConsumers, reads, "Tells about a group's consumers.", "O(N) with the number of consumers", groupArg)))
}
