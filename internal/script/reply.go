package script

import (
	"strconv"
	"strings"

	"coterie/internal/resp"
	"coterie/internal/script/lua"
)

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// fromReply makes values of a command's reply.
func fromReply(c *lua.Call, reply []byte) lua.Value {
	v, n, err := resp.ParseReply(reply)
	if err != nil || n == 0 {
		fail(c, "internal: a command left no reply")
	}
	return fromValue(c, v)
}

// field makes a table with one field.
func field(c *lua.Call, name string, v lua.Value) lua.Value {
	c.Charge(128)
	t := lua.NewTable(0)
	t.SetString(name, v)
	return lua.FromTable(t)
}

func text(c *lua.Call, b []byte) lua.Value {
	c.Charge(len(b) + 16)
	return lua.String(string(b))
}

func fromValue(c *lua.Call, v resp.Value) lua.Value {
	switch v.Kind {
	case ':':
		return lua.Number(float64(v.Int))
	case '_':
		return lua.Nil
	case '#':
		return lua.Bool(v.Int != 0)
	case '$', '*':
		if v.Null {
			return lua.Bool(false)
		}
		if v.Kind == '$' {
			return text(c, v.Str)
		}
		t := lua.NewTable(len(v.Elems))
		c.Charge(96 + 24*len(v.Elems))
		for i, e := range v.Elems {
			t.SetInt(i+1, fromValue(c, e))
		}
		return lua.FromTable(t)
	case '+':
		return field(c, "ok", text(c, v.Str))
	case '-', '!':
		c.Charge(len(v.Str) + 128)
		return errorTable("-" + string(v.Str))
	case ',':
		return field(c, "double", lua.Number(v.Float))
	case '(':
		return field(c, "big_number", text(c, v.Str))
	case '=':
		t := lua.NewTable(0)
		c.Charge(256)
		t.SetString("string", text(c, []byte(v.Text())))
		t.SetString("format", text(c, v.Str[:min(len(v.Str), 3)]))
		return field(c, "verbatim_string", lua.FromTable(t))
	case '%', '~', '>':
		t := lua.NewTable(0)
		c.Charge(96)
		if v.Kind == '%' {
			for i := 0; i+1 < len(v.Elems); i += 2 {
				c.SetRaw(t, fromValue(c, v.Elems[i]), fromValue(c, v.Elems[i+1]))
			}
			return field(c, "map", lua.FromTable(t))
		}
		for _, e := range v.Elems {
			c.SetRaw(t, fromValue(c, e), lua.Bool(true))
		}
		return field(c, "set", lua.FromTable(t))
	}
	return lua.Nil
}

// maxReplyDepth is how deep tables may nest in a reply.
const maxReplyDepth = 7000

// converter writes values as replies. resp is the version that the script has set.
type converter struct {
	out     *resp.Writer
	resp    int
	limit   int // of out.Buf's length, if limited
	limited bool
}

func (r *converter) value(v lua.Value, depth int) {
	if r.limited && len(r.out.Buf) > r.limit { // the caller replaces it by an error
		r.out.Null()
		return
	}
	if s, ok := v.Str(); ok {
		r.out.BulkString(s)
	} else if n, ok := v.Num(); ok {
		r.out.Int(lua.Integer(n))
	} else if b, ok := v.Bool(); ok {
		switch {
		case r.resp == 3:
			r.out.Bool(b)
		case b:
			r.out.Int(1)
		default:
			r.out.Null()
		}
	} else if t, ok := v.Table(); ok {
		if depth > maxReplyDepth {
			r.out.Error("ERR reached lua stack limit")
			return
		}
		r.table(t, depth)
	} else {
		r.out.Null()
	}
}

// oneLine replaces line ends.
func oneLine(s string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}

func (r *converter) table(t *lua.Table, depth int) {
	if s, ok := t.GetString("err").Str(); ok {
		r.out.Error(s)
		return
	}
	if s, ok := t.GetString("ok").Str(); ok {
		r.out.Simple(oneLine(s))
		return
	}
	if n, ok := t.GetString("double").Num(); ok {
		r.out.Double(n)
		return
	}
	if s, ok := t.GetString("big_number").Str(); ok {
		r.out.BigNumber(oneLine(s))
		return
	}
	if vt, ok := t.GetString("verbatim_string").Table(); ok {
		format, ok := vt.GetString("format").Str()
		s, ok2 := vt.GetString("string").Str()
		if ok && ok2 {
			r.out.Verbatim((format + "   ")[:3], s)
			return
		}
	}
	if m, ok := t.GetString("map").Table(); ok {
		r.out.Map(size(m))
		for k, v, _ := m.Next(lua.Nil); !k.IsNil(); k, v, _ = m.Next(k) {
			r.value(k, depth+1)
			r.value(v, depth+1)
		}
		return
	}
	if m, ok := t.GetString("set").Table(); ok {
		r.out.Set(size(m))
		for k, _, _ := m.Next(lua.Nil); !k.IsNil(); k, _, _ = m.Next(k) {
			r.value(k, depth+1)
		}
		return
	}
	n := 0
	for !t.GetInt(n + 1).IsNil() {
		n++
	}
	r.out.Array(n)
	for i := 1; i <= n; i++ {
		r.value(t.GetInt(i), depth+1)
	}
}

// size counts a table's entries.
func size(t *lua.Table) (n int) {
	for k, _, _ := t.Next(lua.Nil); !k.IsNil(); k, _, _ = t.Next(k) {
		n++
	}
	return n
}
