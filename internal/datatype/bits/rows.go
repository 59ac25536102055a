package bits

import cmd "coterie/internal/command"

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), summary, complexity string, args ...cmd.Arg) cmd.Spec {
	use := []string{"RO", "access"}
	if flags&cmd.Write != 0 {
		use = []string{"RW", "access", "update"}
	}
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity, Args: args,
		Keys: cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, use...)}, Group: "bitmap", Categories: []string{"bitmap"}}
}

// Rows is the command rows of bits.
func Rows() []cmd.Spec {
	const write = cmd.Write | cmd.DenyOOM
	var (
		key    = cmd.Key("key")
		at     = cmd.Integer("offset")
		unit   = cmd.OneOf("unit", cmd.Token("byte", "BYTE"), cmd.Token("bit", "BIT")).Opt()
		within = cmd.Block("range", cmd.Integer("start"), cmd.Integer("end"), unit).Opt()
		after  = cmd.Block("range", cmd.Integer("start"), cmd.Block("end-unit-block", cmd.Integer("end"), unit).Opt()).Opt()
		field  = []cmd.Arg{cmd.Text("encoding"), at}
		get    = cmd.Block("get-block", field...).After("GET")
		mode   = cmd.OneOf("overflow-block", cmd.Token("wrap", "WRAP"), cmd.Token("sat", "SAT"), cmd.Token("fail", "FAIL")).After("OVERFLOW").Opt()
		set    = cmd.Block("set-block", append(field[:2:2], cmd.Integer("value"))...).After("SET")
		incr   = cmd.Block("incrby-block", append(field[:2:2], cmd.Integer("increment"))...).After("INCRBY")
	)
	op := row("bitop", -4, write, "2.6.0", bitOp, "Combines strings bit by bit and stores the result.", "O(N) with the length of the longest string",
		cmd.OneOf("operation", cmd.Token("and", "AND"), cmd.Token("or", "OR"), cmd.Token("xor", "XOR"), cmd.Token("not", "NOT")),
		cmd.Key("destkey"), key.Many())
	op.Keys = cmd.KeyRange{First: 2, Last: -1, Step: 1}
	op.KeySpecs = []cmd.KeySpec{
		cmd.Use(cmd.KeyRange{First: 2, Last: 2, Step: 1}, "OW", "update"),
		cmd.Use(cmd.KeyRange{First: 3, Last: -1, Step: 1}, "RO", "access"),
	}
	fields := row("bitfield", -2, write, "3.2.0", bitField, "Reads, sets and increments integers of any width within a string.", "O(1) for each operation",
		key, cmd.OneOf("operation", get, cmd.Block("write", mode, cmd.OneOf("write-operation", set, incr))).Opt().Many())
	fields.KeySpecs = []cmd.KeySpec{cmd.Use(cmd.One, "RW", "access", "update", "variable_flags")}
	return []cmd.Spec{
		row("setbit", 4, write, "2.2.0", setBit, "Sets or clears a bit, and answers what it was.", "O(N) with the length of the string", key, at, cmd.Integer("value")),
		row("getbit", 3, cmd.ReadOnly|cmd.Fast, "2.2.0", getBit, "Answers a bit.", "O(1)", key, at),
		row("bitcount", -2, cmd.ReadOnly, "2.6.0", bitCount, "Counts the bits that are set.", "O(N) with the length of the range", key, within),
		row("bitpos", -3, cmd.ReadOnly, "2.8.7", bitPos, "Finds the first bit that is set, or that is not.", "O(N) with the length of the range", key, cmd.Integer("bit"), after),
		op,
		fields,
		row("bitfield_ro", -2, cmd.ReadOnly|cmd.Fast, "6.0.0", bitField, "Reads integers of any width within a string.", "O(1) for each operation", key, get.Opt().Many()),
	}
}
