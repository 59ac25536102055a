package hash

import cmd "coterie/internal/command"

const (
	readFast  = cmd.ReadOnly | cmd.Fast
	writeFast = cmd.Write | cmd.DenyOOM | cmd.Fast
)

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: append([]cmd.Arg{cmd.Key("key")}, args...), Keys: cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, use...)},
		Group: "hash", Categories: []string{"hash"}}
}

func tips(r cmd.Spec, tips ...string) cmd.Spec {
	r.Tips = tips
	return r
}

// Rows is the command rows of hashes.
func Rows() []cmd.Spec {
	var (
		field  = cmd.Text("field")
		value  = cmd.Text("value")
		data   = cmd.Block("data", field, value).Many()
		look   = []string{"RO"}
		access = []string{"RO", "access"}
		update = []string{"RW", "update"}
		change = []string{"RW", "access", "update"}
	)
	return append([]cmd.Spec{
		row("hset", -4, writeFast, "2.0.0", hSet, update, "Sets fields of a hash.", "O(1) for each field", data),
		row("hsetnx", 4, writeFast, "2.0.0", hSetNX, []string{"RW", "insert"}, "Sets a field of a hash unless it exists.", "O(1)", field, value),
		row("hmset", -4, writeFast, "2.0.0", hmSet, update, "Sets fields of a hash; the older name of HSET.", "O(1) for each field", data),
		row("hget", 3, readFast, "2.0.0", hGet, access, "Answers a field of a hash.", "O(1)", field),
		row("hmget", -3, readFast, "2.0.0", hmGet, access, "Answers several fields of a hash.", "O(1) for each field", field.Many()),
		tips(row("hgetall", 2, cmd.ReadOnly, "2.0.0", hGetAll, access, "Answers all fields of a hash with their values.", "O(N) with the number of fields"), "nondeterministic_output_order"),
		row("hdel", -3, cmd.Write|cmd.Fast, "2.0.0", hDel, []string{"RW", "delete"}, "Deletes fields of a hash.", "O(1) for each field", field.Many()),
		row("hexists", 3, readFast, "2.0.0", hExists, look, "Says whether a hash has a field.", "O(1)", field),
		row("hlen", 2, readFast, "2.0.0", hLen, look, "Counts the fields of a hash.", "O(1)"),
		tips(row("hkeys", 2, cmd.ReadOnly, "2.0.0", hKeys, access, "Answers the names of all fields of a hash.", "O(N) with the number of fields"), "nondeterministic_output_order"),
		tips(row("hvals", 2, cmd.ReadOnly, "2.0.0", hVals, access, "Answers the values of all fields of a hash.", "O(N) with the number of fields"), "nondeterministic_output_order"),
		row("hstrlen", 3, readFast, "3.2.0", hStrLen, look, "Answers how many bytes a field of a hash has.", "O(1)", field),
		row("hincrby", 4, writeFast, "2.0.0", hIncrBy, change, "Adds to an integer in a field; a missing one counts as zero.", "O(1)", field, cmd.Integer("increment")),
		row("hincrbyfloat", 4, writeFast, "2.6.0", hIncrByFloat, change, "Adds to a number with a fraction in a field; a missing one counts as zero.", "O(1)", field, cmd.Number("increment")),
		tips(row("hrandfield", -2, cmd.ReadOnly, "6.2.0", hRandField, access, "Answers fields of a hash picked at random.", "O(1) for each field picked",
			cmd.Block("options", cmd.Integer("count"), cmd.Token("withvalues", "WITHVALUES").Opt()).Opt()), "nondeterministic_output"),
		tips(row("hscan", -3, cmd.ReadOnly, "2.8.0", hScan, access, "Walks through the fields of a hash, some at a time.", "O(1) for each field looked at",
			cmd.Integer("cursor"), cmd.Pattern("pattern").After("MATCH").Opt(), cmd.Integer("count").After("COUNT").Opt()), "nondeterministic_output"),
	}, deadlineRows()...)
}

// deadlineRows is the rows about the deadlines of fields.
func deadlineRows() []cmd.Spec {
	fields := cmd.Block("fields", cmd.Integer("numfields"), cmd.Text("field").Many()).After("FIELDS")
	condition := cmd.OneOf("condition", cmd.Token("nx", "NX"), cmd.Token("xx", "XX"), cmd.Token("gt", "GT"), cmd.Token("lt", "LT")).Opt()
	set := func(name string, run func(*cmd.Ctx), summary string, at cmd.Arg) cmd.Spec {
		return row(name, -6, writeFast, "7.4.0", run, []string{"RW", "update"}, summary, "O(1) for each field", at, condition, fields)
	}
	get := func(name string, run func(*cmd.Ctx), summary string) cmd.Spec {
		return row(name, -5, readFast, "7.4.0", run, []string{"RO", "access"}, summary, "O(1) for each field", fields)
	}
	return []cmd.Spec{
		set("hexpire", hExpire, "Lets fields of a hash expire after some seconds.", cmd.Integer("seconds")),
		set("hpexpire", hpExpire, "Lets fields of a hash expire after some milliseconds.", cmd.Integer("milliseconds")),
		set("hexpireat", hExpireAt, "Lets fields of a hash expire at a moment, in seconds since 1970.", cmd.UnixTime("unix-time-seconds")),
		set("hpexpireat", hpExpireAt, "Lets fields of a hash expire at a moment, in milliseconds since 1970.", cmd.UnixTime("unix-time-milliseconds")),
		tips(get("httl", hTTL, "Answers in how many seconds fields of a hash expire."), "nondeterministic_output"),
		tips(get("hpttl", hpTTL, "Answers in how many milliseconds fields of a hash expire."), "nondeterministic_output"),
		get("hexpiretime", hExpireTime, "Answers when fields of a hash expire, in seconds since 1970."),
		get("hpexpiretime", hpExpireTime, "Answers when fields of a hash expire, in milliseconds since 1970."),
		row("hpersist", -5, cmd.Write|cmd.Fast, "7.4.0", hPersist, []string{"RW", "update"}, "Lets fields of a hash not expire any more.", "O(1) for each field", fields),
	}
}
