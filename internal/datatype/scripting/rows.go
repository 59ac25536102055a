package scripting

import (
	cmd "coterie/internal/command"
	"coterie/internal/command/number"
)

const (
	writes = cmd.NoScript | cmd.NoMandatoryKeys | cmd.Stale | cmd.SkipMonitor | cmd.MovableKeys | cmd.MayReplicate | cmd.RunsOthers
	reads  = cmd.NoScript | cmd.NoMandatoryKeys | cmd.Stale | cmd.SkipMonitor | cmd.MovableKeys | cmd.ReadOnly | cmd.RunsOthers
)

func row(name string, flags cmd.Flags, since, what, by string, run func(*cmd.Ctx)) cmd.Spec {
	use := []string{"RW", "access", "update"}
	if flags&cmd.ReadOnly != 0 {
		use = []string{"RO", "access"}
	}
	return cmd.Spec{Name: name, Arity: -3, Flags: flags, Since: since, Run: run, FindKeys: findKeys,
		Summary: what, Complexity: "Depends on the script",
		Args:     []cmd.Arg{cmd.Text(by), cmd.Integer("numkeys"), cmd.Key("key").Opt().Many(), cmd.Text("arg").Opt().Many()},
		KeySpecs: []cmd.KeySpec{{Keys: cmd.KeyRange{First: 2}, Numbered: true, Flags: use}},
		Group:    "scripting", Categories: []string{"scripting"}}
}

// Rows is the command rows of scripts.
func Rows() []cmd.Spec {
	return []cmd.Spec{
		row("eval", writes, "2.6.0", "Runs a script in Lua.", "script", func(c *cmd.Ctx) { eval(c, false, false) }),
		row("eval_ro", reads, "7.0.0", "Runs a script in Lua that only reads.", "script", func(c *cmd.Ctx) { eval(c, false, true) }),
		row("evalsha", writes, "2.6.0", "Runs a script that was loaded before, by its digest.", "sha1", func(c *cmd.Ctx) { eval(c, true, false) }),
		row("evalsha_ro", reads, "7.0.0", "Runs a script that was loaded before and only reads, by its digest.", "sha1", func(c *cmd.Ctx) { eval(c, true, true) }),
		row("fcall", writes, "7.0.0", "Calls a function of a library.", "function", func(c *cmd.Ctx) { fcall(c, false) }),
		row("fcall_ro", reads, "7.0.0", "Calls a function of a library that only reads.", "function", func(c *cmd.Ctx) { fcall(c, true) }),
	}
}

// findKeys finds the keys behind their number, the second argument.
func findKeys(dst []int, args [][]byte) []int {
	n, ok := number.ParseInt(args[2])
	if !ok || n < 0 || n > int64(len(args)-3) {
		return dst
	}
	for i := range int(n) {
		dst = append(dst, 3+i)
	}
	return dst
}
