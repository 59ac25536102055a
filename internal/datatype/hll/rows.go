package hll

import cmd "coterie/internal/command"

func row(name string, arity int, flags cmd.Flags, run func(*cmd.Ctx), summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: "2.8.9", Run: run, Summary: summary, Complexity: complexity,
		Args: args, Group: "hyperloglog", Categories: []string{"hyperloglog"}}
}

// using says where a row's keys are and how they are used.
func using(r cmd.Spec, all cmd.KeyRange, specs ...cmd.KeySpec) cmd.Spec {
	r.Keys, r.KeySpecs = all, specs
	return r
}

// Rows is the command rows of HyperLogLog.
func Rows() []cmd.Spec {
	const write = cmd.Write | cmd.DenyOOM
	test := row("pfselftest", 1, cmd.Admin, pfSelfTest, "Tests the estimates of HyperLogLog.", "O(1), with a large constant")
	test.Fan = cmd.FanAny
	key, second := cmd.Key("key"), cmd.KeyRange{First: 2, Last: 2, Step: 1}
	return []cmd.Spec{
		using(row("pfadd", -2, write|cmd.Fast, pfAdd, "Adds elements to a HyperLogLog.", "O(1) for each element", key, cmd.Text("element").Opt().Many()),
			cmd.One, cmd.Use(cmd.One, "RW", "insert")),
		using(row("pfcount", -2, cmd.ReadOnly, pfCount, "Estimates how many different elements were added to HyperLogLogs.", "O(N) with the number of keys, with a large constant", key.Many()),
			cmd.All, cmd.Use(cmd.All, "RW", "access")),
		using(row("pfmerge", -2, write, pfMerge, "Adds HyperLogLogs to another.", "O(N) with the number of keys, with a large constant",
			cmd.Key("destkey"), cmd.Key("sourcekey").Opt().Many()),
			cmd.All, cmd.Use(cmd.One, "RW", "access", "insert"), cmd.Use(cmd.KeyRange{First: 2, Last: -1, Step: 1}, "RO", "access")),
		using(row("pfdebug", 3, write|cmd.Admin, pfDebug, "Shows how a HyperLogLog is kept, for tests.", "O(1), with a large constant", cmd.Text("subcommand"), key),
			second, cmd.Use(second, "RW", "access")),
		test,
	}
}
