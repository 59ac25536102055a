package lua

import (
	"math"
	"strings"
)

// What Go functions do with their arguments. Errors are worded as Lua's.

// BadArgument fails because of argument i.
func (c *Call) BadArgument(i int, why string) {
	n := naming{name: "?"}
	if f := c.t.frame; f.cl != nil {
		if called := f.operand(0); called.kind != "" && f.calls(c.base-1) {
			n = called
		}
	}
	if n.kind == "method" {
		if i--; i == 0 {
			c.Fail("calling '%s' on bad self (%s)", n.name, why)
		}
	}
	c.Fail("bad argument #%d to '%s' (%s)", i, n.name, why)
}

// calls says whether the instruction under way calls the function in a slot.
func (f *frame) calls(at int) bool {
	i := f.cl.p.code[f.pc-1]
	return (i.op == opCall || i.op == opTailCall) && f.base+int(i.a) == at
}

func (c *Call) typeMismatch(i int, want string) {
	got := "no value"
	if i <= c.n {
		got = c.Arg(i).Type()
	}
	c.BadArgument(i, want+" expected, got "+got)
}

// CheckAny requires that there is an argument.
func (c *Call) CheckAny(i int) Value {
	if i > c.n {
		c.BadArgument(i, "value expected")
	}
	return c.Arg(i)
}

// CheckTable requires a table.
func (c *Call) CheckTable(i int) *Table {
	t, ok := c.Arg(i).Table()
	if !ok {
		c.typeMismatch(i, "table")
	}
	return t
}

// CheckString requires a string or a number, of which all will be looked at.
func (c *Call) CheckString(i int) string {
	s := c.checkText(i)
	c.look(len(s))
	return s
}

// checkText requires a string or a number, of which a part may be looked at.
func (c *Call) checkText(i int) string {
	s, ok := c.Arg(i).Text()
	if !ok {
		c.typeMismatch(i, "string")
	}
	return s
}

// CheckNumber requires a number, or a string that spells one.
func (c *Call) CheckNumber(i int) float64 {
	c.lookAt(c.Arg(i))
	n, ok := c.Arg(i).ToNumber()
	if !ok {
		c.typeMismatch(i, "number")
	}
	return n
}

// CheckInt requires a number and cuts it to an integer.
func (c *Call) CheckInt(i int) int { return int(Integer(c.CheckNumber(i))) }

// OptInt is CheckInt with a default for what is missing.
func (c *Call) OptInt(i, def int) int {
	if c.Arg(i).IsNil() {
		return def
	}
	return c.CheckInt(i)
}

// CheckFunction requires a function.
func (c *Call) CheckFunction(i int) Value {
	v := c.Arg(i)
	if !v.IsFunction() {
		c.typeMismatch(i, "function")
	}
	return v
}

// Integer is what C makes of a number that becomes an integer of 64 bits on amd64.
func Integer(n float64) int64 {
	if n >= -(1<<63) && n < 1<<63 {
		return int64(n)
	}
	return math.MinInt64
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "\x00", "") + "'" }
