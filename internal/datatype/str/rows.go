package str

import cmd "coterie/internal/command"

const (
	readFast  = cmd.ReadOnly | cmd.Fast
	write     = cmd.Write | cmd.DenyOOM
	writeFast = write | cmd.Fast
)

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: args, Keys: cmd.One, Group: "string", Categories: []string{"string"}}
}

// using says how a row's keys are used.
func using(r cmd.Spec, k cmd.KeyRange, flags ...string) cmd.Spec {
	r.Keys = k
	r.KeySpecs = []cmd.KeySpec{cmd.Use(k, flags...)}
	return r
}

// fan says how a row's keys may be divided over partitions, and what a router
// of clients is told about it.
func fan(r cmd.Spec, f cmd.Fan, tips ...string) cmd.Spec {
	r.Fan, r.Tips = f, tips
	return r
}

// Rows is the command rows of strings.
func Rows() []cmd.Spec {
	var (
		key       = cmd.Key("key")
		value     = cmd.Text("value")
		increment = cmd.Integer("increment")
		expire    = []cmd.Arg{
			cmd.Integer("seconds").After("EX"), cmd.Integer("milliseconds").After("PX"),
			cmd.UnixTime("unix-time-seconds").After("EXAT"), cmd.UnixTime("unix-time-milliseconds").After("PXAT"),
		}
		setExpire = cmd.OneOf("expiration", append(expire[:4:4], cmd.Token("keepttl", "KEEPTTL"))...).Opt()
		getExpire = cmd.OneOf("expiration", append(expire[:4:4], cmd.Token("persist", "PERSIST"))...).Opt()
		pairs     = cmd.Block("data", key, value).Many()
		readRange = []cmd.Arg{key, cmd.Integer("start"), cmd.Integer("end")}
	)
	setRow := using(row("set", -3, write, "1.0.0", set, "Stores a string under a key, whatever was there before.", "O(1)", key, value,
		cmd.OneOf("condition", cmd.Token("nx", "NX"), cmd.Token("xx", "XX")).Opt(), cmd.Token("get", "GET").Opt(), setExpire),
		cmd.One, "RW", "access", "update", "variable_flags")
	return []cmd.Spec{
		row("get", 2, readFast, "1.0.0", get, "Answers the string under a key.", "O(1)", key),
		setRow,
		using(row("setnx", 3, writeFast, "1.0.0", setNX, "Stores a string unless the key exists.", "O(1)", key, value), cmd.One, "OW", "insert"),
		using(row("setex", 4, write, "2.0.0", setEX, "Stores a string that expires after some seconds.", "O(1)", key, cmd.Integer("seconds"), value), cmd.One, "OW", "update"),
		using(row("psetex", 4, write, "2.6.0", pSetEX, "Stores a string that expires after some milliseconds.", "O(1)", key, cmd.Integer("milliseconds"), value), cmd.One, "OW", "update"),
		using(row("getset", 3, writeFast, "1.0.0", getSet, "Stores a string and answers the one it replaces.", "O(1)", key, value), cmd.One, "RW", "access", "update"),
		using(row("getdel", 2, cmd.Write|cmd.Fast, "6.2.0", getDel, "Answers a string and deletes its key.", "O(1)", key), cmd.One, "RW", "access", "delete"),
		using(row("getex", -2, cmd.Write|cmd.Fast, "6.2.0", getEx, "Answers a string and changes when it expires.", "O(1)", key, getExpire), cmd.One, "RW", "access", "update"),
		using(row("append", 3, writeFast, "2.0.0", appendTo, "Adds to the end of a string; a missing one counts as empty.", "O(N) with the length of the result", key, value), cmd.One, "RW", "insert"),
		using(row("strlen", 2, readFast, "2.2.0", strLen, "Answers how many bytes a string has.", "O(1)", key), cmd.One, "RO"),
		row("getrange", 4, cmd.ReadOnly, "2.4.0", getRange, "Answers a part of a string.", "O(N) with the length of the part", readRange...),
		row("substr", 4, cmd.ReadOnly, "1.0.0", getRange, "Answers a part of a string; the older name of GETRANGE.", "O(N) with the length of the part", readRange...),
		row("setrange", 4, write, "2.2.0", setRange, "Overwrites a string from an offset on; what lies before it is filled with zeros.", "O(N) with the length of the result", key, cmd.Integer("offset"), value),
		using(row("incr", 2, writeFast, "1.0.0", incr, "Adds one to an integer; a missing one counts as zero.", "O(1)", key), cmd.One, "RW", "access", "update"),
		using(row("decr", 2, writeFast, "1.0.0", decr, "Takes one from an integer; a missing one counts as zero.", "O(1)", key), cmd.One, "RW", "access", "update"),
		using(row("incrby", 3, writeFast, "1.0.0", incrBy, "Adds to an integer; a missing one counts as zero.", "O(1)", key, increment), cmd.One, "RW", "access", "update"),
		using(row("decrby", 3, writeFast, "1.0.0", decrBy, "Takes from an integer; a missing one counts as zero.", "O(1)", key, cmd.Integer("decrement")), cmd.One, "RW", "access", "update"),
		using(row("incrbyfloat", 3, writeFast, "2.6.0", incrByFloat, "Adds to a number with a fraction; a missing one counts as zero.", "O(1)", key, cmd.Number("increment")), cmd.One, "RW", "access", "update"),
		fan(using(row("mget", -2, readFast, "1.0.0", mGet, "Answers the strings under several keys.", "O(N) with the number of keys", key.Many()), cmd.All, "RO", "access"),
			cmd.FanGather, "request_policy:multi_shard"),
		fan(using(row("mset", -3, write, "1.0.1", mSet, "Stores several strings.", "O(N) with the number of keys", pairs), cmd.Pairs, "OW", "update"),
			cmd.FanOK, "request_policy:multi_shard", "response_policy:all_succeeded"),
		using(row("msetnx", -3, write, "1.0.1", mSetNX, "Stores several strings unless one of the keys exists.", "O(N) with the number of keys", pairs), cmd.Pairs, "OW", "insert"),
		using(row("lcs", -3, cmd.ReadOnly, "7.0.0", lcs, "Answers the longest bytes that two strings have in common, in order.", "O(N*M) with the lengths of the strings",
			cmd.Key("key1"), cmd.Key("key2"), cmd.Token("len", "LEN").Opt(), cmd.Token("idx", "IDX").Opt(),
			cmd.Integer("min-match-len").After("MINMATCHLEN").Opt(), cmd.Token("withmatchlen", "WITHMATCHLEN").Opt()), cmd.Two, "RO", "access"),
	}
}
