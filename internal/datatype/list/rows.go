package list

import cmd "coterie/internal/command"

const (
	readFast  = cmd.ReadOnly | cmd.Fast
	writeFast = cmd.Write | cmd.Fast
	write     = cmd.Write | cmd.DenyOOM
	pushFast  = write | cmd.Fast
)

// What commands say about how long they take.
const (
	constant = "O(log N) with the length of the list"
	each     = "O(1) for each value"
	looking  = "O(N) with the number of values looked at"
)

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: append([]cmd.Arg{cmd.Key("key")}, args...), Keys: cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, use...)},
		Group: "list", Categories: []string{"list"}}
}

// Rows is the command rows of lists.
func Rows() []cmd.Spec {
	var (
		value  = cmd.Text("element")
		index  = cmd.Integer("index")
		start  = cmd.Integer("start")
		stop   = cmd.Integer("stop")
		count  = cmd.Integer("count").Opt()
		access = []string{"RO", "access"}
		insert = []string{"RW", "insert"}
		take   = []string{"RW", "access", "delete"}
	)
	rows := []cmd.Spec{
		row("lpush", -3, pushFast, "1.0.0", pushAll(true, false), insert, "Puts values in front of a list.", each, value.Many()),
		row("rpush", -3, pushFast, "1.0.0", pushAll(false, false), insert, "Puts values behind a list.", each, value.Many()),
		row("lpushx", -3, pushFast, "2.2.0", pushAll(true, true), insert, "Puts values in front of a list if it exists.", each, value.Many()),
		row("rpushx", -3, pushFast, "2.2.0", pushAll(false, true), insert, "Puts values behind a list if it exists.", each, value.Many()),
		row("lpop", -2, writeFast, "1.0.0", pop(true), take, "Removes values from the front of a list and answers them.", each, count),
		row("rpop", -2, writeFast, "1.0.0", pop(false), take, "Removes values from the end of a list and answers them.", each, count),
		row("llen", 2, readFast, "1.0.0", lLen, []string{"RO"}, "Answers the length of a list.", "O(1)"),
		row("lindex", 3, cmd.ReadOnly, "1.0.0", lIndex, access, "Answers the value at a position of a list.", constant, index),
		row("lset", 4, write, "1.0.0", lSet, []string{"RW", "update"}, "Replaces the value at a position of a list.", constant, index, value),
		row("linsert", 5, write, "2.2.0", lInsert, insert, "Puts a value before or after another one of a list.", looking,
			cmd.OneOf("where", cmd.Token("before", "BEFORE"), cmd.Token("after", "AFTER")), cmd.Text("pivot"), value),
		row("lrange", 4, cmd.ReadOnly, "1.0.0", lRange, access, "Answers the values between two positions of a list.", each, start, stop),
		row("ltrim", 4, cmd.Write, "1.0.0", lTrim, []string{"RW", "delete"}, "Removes all values but those between two positions of a list.",
			"O(1) for each node of the list that goes", start, stop),
		row("lrem", 4, cmd.Write, "1.0.0", lRem, []string{"RW", "delete"}, "Removes equal values from a list.", looking, cmd.Integer("count"), value),
		row("lpos", -3, cmd.ReadOnly, "6.0.6", lPos, access, "Answers at which positions of a list a value is.", looking, value,
			cmd.Integer("rank").After("RANK").Opt(), cmd.Integer("num-matches").After("COUNT").Opt(), cmd.Integer("len").After("MAXLEN").Opt()),
	}
	return append(append(rows, moveRows()...), takeRows()...)
}

func side(name string) cmd.Arg {
	return cmd.OneOf(name, cmd.Token("left", "LEFT"), cmd.Token("right", "RIGHT"))
}

// moveRows is the commands that move a value from one list to another.
func moveRows() []cmd.Spec {
	source, destination := cmd.Key("source"), cmd.Key("destination")
	timeout := cmd.Number("timeout")
	pair := func(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), summary string, args ...cmd.Arg) cmd.Spec {
		r := row(name, arity, write|flags, since, run, nil, summary, constant)
		r.Args, r.Keys = append([]cmd.Arg{source, destination}, args...), cmd.Two
		r.KeySpecs = []cmd.KeySpec{
			cmd.Use(cmd.One, "RW", "access", "delete"),
			cmd.Use(cmd.KeyRange{First: 2, Last: 2, Step: 1}, "RW", "insert"),
		}
		return waiting(r, cmd.TimeoutLast)
	}
	return []cmd.Spec{
		pair("lmove", 5, 0, "6.2.0", lMove, "Moves a value from an end of a list to an end of another, and answers it.", side("wherefrom"), side("whereto")),
		pair("rpoplpush", 3, 0, "1.2.0", rPopLPush, "Moves a value from the end of a list to the front of another, and answers it."),
		pair("blmove", 6, cmd.Blocking, "6.2.0", bLMove, "Moves a value from an end of a list to an end of another, and waits for one.", side("wherefrom"), side("whereto"), timeout),
		pair("brpoplpush", 4, cmd.Blocking, "2.2.0", bRPopLPush, "Moves a value from the end of a list to the front of another, and waits for one.", timeout),
	}
}

// waiting says where the timeout is, of a row that blocks.
func waiting(r cmd.Spec, at cmd.TimeoutAt) cmd.Spec {
	if r.Flags&cmd.Blocking != 0 {
		r.Timeout = at
	}
	return r
}

// takeRows is the commands that take from the first of several lists that has
// something.
func takeRows() []cmd.Spec {
	use := []string{"RW", "access", "delete"}
	first := func(name string, front bool, summary string) cmd.Spec {
		r := row(name, -3, cmd.Write|cmd.Blocking, "2.0.0", bPop(front), nil, summary, "O(N) with the number of keys")
		r.Args = []cmd.Arg{cmd.Key("key").Many(), cmd.Number("timeout")}
		r.Keys = cmd.KeyRange{First: 1, Last: -2, Step: 1}
		r.KeySpecs = []cmd.KeySpec{cmd.Use(r.Keys, use...)}
		return waiting(r, cmd.TimeoutLast)
	}
	many := func(name string, arity, at int, flags cmd.Flags, run func(*cmd.Ctx), summary string, before ...cmd.Arg) cmd.Spec {
		r := row(name, arity, cmd.Write|cmd.MovableKeys|flags, "7.0.0", run, nil, summary, "O(N+M) with the number of keys and of values")
		r.Args = append(before, cmd.Integer("numkeys"), cmd.Key("key").Many(), side("where"), cmd.Integer("count").After("COUNT").Opt())
		r.Keys, r.FindKeys = cmd.KeyRange{}, cmd.NumberedKeys(at)
		r.KeySpecs = []cmd.KeySpec{{Keys: cmd.KeyRange{First: at}, Flags: use, Numbered: true}}
		return waiting(r, cmd.TimeoutFirst)
	}
	return []cmd.Spec{
		first("blpop", true, "Removes a value from the front of the first list that has one, and waits for it."),
		first("brpop", false, "Removes a value from the end of the first list that has one, and waits for it."),
		many("lmpop", -4, 1, 0, lMPop, "Removes values from an end of the first list that has some, and answers them."),
		many("blmpop", -5, 2, cmd.Blocking, bLMPop, "Removes values from an end of the first list that has some, and waits for one.", cmd.Number("timeout")),
	}
}
