package generic

import (
	"strconv"

	cmd "coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keyspace"
)

// Fencing: a key that was made with SET NX, or SETNX, carries a token that is
// higher than those of all its predecessors. FENCE makes commands depend on
// it, so that a holder who was away for longer than its lock lived does no harm
// when it comes back.

func fenceRows() []cmd.Spec {
	key := cmd.Key("key")
	token := using(row("fencetoken", -2, readFast, "7.2.0", fenceToken,
		"Answers the fencing token of a lock: of a key that was made with SET NX.", "O(1)", key, cmd.Text("value").Opt()), cmd.One, "RO", "access")
	fence := using(row("fence", -3, cmd.Write, "7.2.0", fence,
		"Runs a command only if a lock still has the fencing token; without a command, and in a transaction, it is a condition for all of it.",
		"that of the command", key, cmd.Integer("token"), cmd.Text("command").Opt(), cmd.Text("arg").Opt().Many()), cmd.One, "RO", "access")
	fence.Wraps, fence.Condition = 3, true
	return []cmd.Spec{token, fence}
}

// fenceToken answers a lock's token; with a value, only if the lock has it: a
// holder whose lock ran out must not read the next one's token.
func fenceToken(c *cmd.Ctx) {
	if len(c.Args) > 3 {
		c.Fail(c.Spec.ArityError())
		return
	}
	r := c.Lookup(c.Args[1])
	if r.Token == 0 || len(c.Args) == 3 && (r.Type != keyspace.String || string(r.Body) != string(c.Args[2])) {
		c.Out.Null()
		return
	}
	c.Out.Int(int64(r.Token))
}

func fence(c *cmd.Ctx) {
	token, ok := number.ParseInt(c.Args[2])
	if !ok || token <= 0 {
		c.Fail("ERR fencing token is not a positive integer")
		return
	}
	if r := c.Lookup(c.Args[1]); r.Token != uint64(token) {
		text := "it is free"
		switch {
		case r.Token != 0:
			text = "it has token " + strconv.FormatUint(r.Token, 10)
		case r.Exists():
			text = "the key is no lock: it was not made with SET NX, or has been written since"
		}
		c.Fail("FENCED The lock is not held with token " + strconv.FormatInt(token, 10) + ", " + text + "; nothing was run")
		return
	}
	if len(c.Args) == 3 {
		c.Out.Simple("OK")
		return
	}
	if inner := c.Spec.Wrapped(c.Args); inner != nil && (inner.Wraps > 0 || inner.Fan >= cmd.FanAllSum) {
		c.Fail("ERR '" + inner.Full + "' cannot be run by 'fence'") // here it would be about one partition alone
		return
	}
	c.Call(c.Args[3:], c.Out)
}
