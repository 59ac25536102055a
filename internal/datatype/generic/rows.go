package generic

import (
	"slices"

	cmd "coterie/internal/command"
)

const (
	readFast  = cmd.ReadOnly | cmd.Fast
	writeFast = cmd.Write | cmd.Fast
)

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: args, Group: "generic", Categories: []string{"keyspace"}}
}

// Rows is the command rows that work on keys of any type.
func Rows() []cmd.Spec {
	return slices.Concat(keyRows(), fenceRows(), expireRows(), wholeRows())
}

// using says where a row's keys are and how they are used.
func using(r cmd.Spec, k cmd.KeyRange, flags ...string) cmd.Spec {
	r.Keys, r.KeySpecs = k, []cmd.KeySpec{cmd.Use(k, flags...)}
	return r
}

// many is using for a row whose keys may be divided over partitions, each of
// which counts.
func many(r cmd.Spec, flags ...string) cmd.Spec {
	r = using(r, cmd.All, flags...)
	r.Fan, r.Tips = cmd.FanSum, []string{"request_policy:multi_shard", "response_policy:agg_sum"}
	return r
}

// pair is using for a row with a source and a destination.
func pair(r cmd.Spec, source, destination []string) cmd.Spec {
	r.Keys = cmd.Two
	r.KeySpecs = []cmd.KeySpec{
		cmd.Use(cmd.One, source...),
		cmd.Use(cmd.KeyRange{First: 2, Last: 2, Step: 1}, destination...),
	}
	return r
}

func keyRows() []cmd.Spec {
	key, from, to := cmd.Key("key"), cmd.Key("source"), cmd.Key("destination")
	return []cmd.Spec{
		many(row("del", -2, cmd.Write, "1.0.0", del, "Deletes keys.", "O(1) for each key", key.Many()), "RM", "delete"),
		many(row("unlink", -2, writeFast, "4.0.0", del, "Deletes keys; the same as DEL here.", "O(1) for each key", key.Many()), "RM", "delete"),
		many(row("exists", -2, readFast, "1.0.0", exists, "Counts how many of the keys exist.", "O(1) for each key", key.Many()), "RO"),
		many(row("touch", -2, readFast, "3.2.1", exists, "Counts how many of the keys exist; when a key was last used is not kept.", "O(1) for each key", key.Many()), "RO"),
		using(row("type", 2, readFast, "1.0.0", typeOf, "Answers the type of the value under a key.", "O(1)", key), cmd.One, "RO"),
		pair(row("rename", 3, cmd.Write, "1.0.0", rename, "Gives a key another name; what has that name is replaced.", "O(1) within a slot, else O(N) with the size of the value", key, cmd.Key("newkey")),
			[]string{"RW", "access", "delete"}, []string{"OW", "update"}),
		pair(row("renamenx", 3, writeFast, "1.0.0", renameNX, "Gives a key another name unless that is taken.", "O(1) within a slot, else O(N) with the size of the value", key, cmd.Key("newkey")),
			[]string{"RW", "access", "delete"}, []string{"OW", "insert"}),
		pair(row("copy", -3, cmd.Write|cmd.DenyOOM, "6.2.0", copyKey, "Copies the value under a key to another.", "O(N) with the size of the value", from, to,
			cmd.Integer("destination-db").After("DB").Opt(), cmd.Token("replace", "REPLACE").Opt()),
			[]string{"RO", "access"}, []string{"OW", "update"}),
		using(row("move", 3, writeFast, "1.0.0", move, "Takes a key to another namespace.", "O(1)", key, cmd.Integer("db")), cmd.One, "RW", "access", "update"),
		objectRow(),
	}
}

func objectRow() cmd.Spec {
	second := cmd.KeyRange{First: 2, Last: 2, Step: 1}
	sub := func(name, since, summary string, run func(*cmd.Ctx)) cmd.Spec {
		r := row(name, 3, cmd.ReadOnly, since, run, summary, "O(1)", cmd.Key("key"))
		r.Tips = []string{"nondeterministic_output"}
		return using(r, second, "RO")
	}
	object := row("object", -2, 0, "2.2.3", nil, "Tells how a value is kept.", "Depends on the subcommand.")
	object.Categories = nil
	help := row("help", 2, cmd.Loading|cmd.Stale, "6.2.0", objectHelp, "Lists the subcommands.", "O(1)")
	object.Sub = []cmd.Spec{
		sub("encoding", "2.2.3", "Answers how a value is encoded, in Redis's words.", objectEncoding),
		sub("freq", "4.0.0", "Answers how often a key is used, in a namespace whose limit goes by it.", objectFreq),
		sub("idletime", "2.2.3", "Answers for how many seconds a key was not used, as far as the leader knows.", objectIdle),
		sub("refcount", "2.2.3", "Answers 1: values are not shared.", objectConstant(1)),
		help,
	}
	return object
}

func objectHelp(c *cmd.Ctx) {
	cmd.Help(c.Out, "OBJECT", objectRow().Sub)
}

func expireRows() []cmd.Spec {
	key := cmd.Key("key")
	condition := cmd.OneOf("condition", cmd.Token("nx", "NX"), cmd.Token("xx", "XX"), cmd.Token("gt", "GT"), cmd.Token("lt", "LT")).Opt()
	set := func(name, since string, run func(*cmd.Ctx), summary string, at cmd.Arg) cmd.Spec {
		return using(row(name, -3, writeFast, since, run, summary, "O(1)", key, at, condition), cmd.One, "RW", "update")
	}
	get := func(name, since string, run func(*cmd.Ctx), summary string) cmd.Spec {
		return using(row(name, 2, readFast, since, run, summary, "O(1)", key), cmd.One, "RO", "access")
	}
	rows := []cmd.Spec{
		set("expire", "1.0.0", expire, "Lets a key expire after some seconds.", cmd.Integer("seconds")),
		set("pexpire", "2.6.0", pExpire, "Lets a key expire after some milliseconds.", cmd.Integer("milliseconds")),
		set("expireat", "1.2.0", expireAt, "Lets a key expire at a moment, in seconds since 1970.", cmd.UnixTime("unix-time-seconds")),
		set("pexpireat", "2.6.0", pExpireAt, "Lets a key expire at a moment, in milliseconds since 1970.", cmd.UnixTime("unix-time-milliseconds")),
		get("ttl", "1.0.0", ttl, "Answers in how many seconds a key expires."),
		get("pttl", "2.6.0", pTTL, "Answers in how many milliseconds a key expires."),
		get("expiretime", "7.0.0", expireTime, "Answers when a key expires, in seconds since 1970."),
		get("pexpiretime", "7.0.0", pExpireTime, "Answers when a key expires, in milliseconds since 1970."),
		using(row("persist", 2, writeFast, "2.2.0", persist, "Lets a key not expire any more.", "O(1)", key), cmd.One, "RW", "update"),
	}
	rows[4].Tips = []string{"nondeterministic_output"}
	rows[5].Tips = rows[4].Tips
	return rows
}

// wholeRows is the commands about a namespace; they have no keys and run in
// every partition.
func wholeRows() []cmd.Spec {
	mode := cmd.OneOf("flush-type", cmd.Token("async", "ASYNC"), cmd.Token("sync", "SYNC")).Opt()
	whole := func(r cmd.Spec, group string, fan cmd.Fan, categories []string, tips ...string) cmd.Spec {
		r.Group, r.Fan, r.Categories, r.Tips = group, fan, categories, tips
		return r
	}
	keyspace, dangerous := []string{"keyspace"}, []string{"keyspace", "dangerous"}
	return []cmd.Spec{
		whole(row("dbsize", 1, readFast, "1.0.0", dbSize, "Counts the keys.", "O(N) with the number of slots that hold keys"),
			"server", cmd.FanAllSum, keyspace, "request_policy:all_shards", "response_policy:agg_sum"),
		whole(row("keys", 2, cmd.ReadOnly, "1.0.0", allKeys, "Answers all keys that match a pattern.", "O(N) with the number of keys", cmd.Pattern("pattern")),
			"generic", cmd.FanAllConcat, dangerous, "request_policy:all_shards", "nondeterministic_output_order"),
		whole(row("scan", -2, cmd.ReadOnly, "2.8.0", scan, "Walks through all keys, some at a time.", "O(1) for each key looked at",
			cmd.Integer("cursor"), cmd.Pattern("pattern").After("MATCH").Opt(), cmd.Integer("count").After("COUNT").Opt(), cmd.Text("type").After("TYPE").Opt()),
			"generic", cmd.FanScan, keyspace, "nondeterministic_output", "request_policy:special"),
		whole(row("randomkey", 1, cmd.ReadOnly, "1.0.0", randomKey, "Answers some key.", "O(1)"),
			"generic", cmd.FanAny, keyspace, "request_policy:all_shards", "response_policy:special", "nondeterministic_output"),
		whole(row("flushdb", -1, cmd.Write, "1.0.0", flushDB, "Deletes all keys of the selected namespace.", "O(1) for each partition; memory is freed later", mode),
			"server", cmd.FanAllOK, dangerous, "request_policy:all_shards", "response_policy:all_succeeded"),
		whole(row("flushall", -1, cmd.Write, "1.0.0", flushAll, "Deletes all keys of all namespaces.", "O(1) for each partition; memory is freed later", mode),
			"server", cmd.FanAllOK, dangerous, "request_policy:all_shards", "response_policy:all_succeeded"),
		whole(row("swapdb", 3, writeFast, "4.0.0", swapDB, "Exchanges what two namespaces hold.", "O(1) for each partition", cmd.Integer("index1"), cmd.Integer("index2")),
			"server", cmd.FanAllOK, dangerous),
	}
}
