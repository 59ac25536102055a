package lua

import (
	"fmt"
	"strconv"
	"strings"
)

func openBase(s *State) {
	g := s.Globals
	g.SetString("_G", FromTable(g))
	g.SetString("_VERSION", String("Lua 5.1"))
	s.Register(g, map[string]Function{
		"assert": baseAssert, "collectgarbage": baseCollect, "error": baseError, "gcinfo": baseGcinfo,
		"getfenv": baseGetfenv, "setfenv": baseSetfenv, "getmetatable": baseGetmetatable, "setmetatable": baseSetmetatable,
		"load": baseLoad, "loadstring": baseLoadstring, "next": baseNext, "pcall": basePcall, "xpcall": baseXpcall,
		"rawequal": baseRawequal, "rawget": baseRawget, "rawset": baseRawset, "select": baseSelect,
		"tonumber": baseTonumber, "tostring": baseTostring, "type": baseType, "unpack": baseUnpack, "newproxy": baseNewproxy,
	})
	s.next = g.GetString("next").o.(*goFunction)
	step := s.Function("ipairs_aux", ipairsStep)
	s.ipairs = step.o.(*goFunction)
	g.SetString("ipairs", s.Function("ipairs", func(c *Call) {
		t := c.CheckTable(1)
		c.Push(step)
		c.Push(FromTable(t))
		c.Push(Number(0))
	}))
	g.SetString("pairs", s.Function("pairs", func(c *Call) {
		t := c.CheckTable(1)
		c.Push(Value{o: c.next})
		c.Push(FromTable(t))
		c.Push(Nil)
	}))
}

func ipairsStep(c *Call) {
	i := c.CheckInt(2) + 1
	v := c.CheckTable(1).GetInt(i)
	if v.IsNil() {
		c.Push(Nil)
		return
	}
	c.Push(Number(float64(i)))
	c.Push(v)
}

func (s *State) nextOf(t *Table, k Value) (key, v Value) {
	key, v, passed, ok := t.walk(k)
	s.Step(passed / 8)
	if !ok {
		s.fail("invalid key to 'next'")
	}
	return key, v
}

func baseNext(c *Call) {
	key, v := c.nextOf(c.CheckTable(1), c.Arg(2))
	c.Push(key)
	if !key.IsNil() {
		c.Push(v)
	}
}

func baseAssert(c *Call) {
	if !c.CheckAny(1).Truth() {
		text := "assertion failed!"
		if !c.Arg(2).IsNil() {
			text = c.CheckString(2)
		}
		c.Fail("%s", text)
	}
	for i := 1; i <= c.N(); i++ {
		c.Push(c.Arg(i))
	}
}

func baseCollect(c *Call) {
	switch opt := "collect"; {
	case c.N() > 0 && !c.Arg(1).IsNil():
		opt = c.CheckString(1)
		switch opt {
		case "count":
			c.Push(Number(float64(c.Memory()) / 1024))
			return
		case "collect", "stop", "restart", "step", "setpause", "setstepmul":
		default:
			c.BadArgument(1, "invalid option "+quote(opt))
		}
		if opt == "step" {
			c.Push(Bool(true))
			return
		}
	}
	c.Push(Number(0))
}

func baseGcinfo(c *Call) { c.Push(Number(float64(c.Memory() / 1024))) }

func baseError(c *Call) {
	v := c.Arg(1)
	level := c.OptInt(2, 1)
	if text, ok := v.Text(); ok && level > 0 {
		if chunk, line := c.where(level); chunk != "" {
			c.look(8 * len(text))
			v = String(fmt.Sprintf("%s:%d: %s", chunk, line, text))
		}
	}
	c.Throw(v)
}

// function finds what getfenv and setfenv are about.
func (c *Call) envOf(v Value) **Table {
	switch f := v.o.(type) {
	case *closure:
		return &f.env
	case *goFunction:
		return &f.env
	}
	level := 1
	if !v.IsNil() {
		n, ok := v.ToNumber()
		if !ok {
			c.typeMismatch(1, "number")
		}
		if level = int(n); level < 0 {
			c.BadArgument(1, "level must be non-negative")
		}
	}
	if level == 0 {
		return nil
	}
	f := c.t.frame
	for ; level > 1 && f.cl != nil; level-- {
		f = f.prev
	}
	if f == nil || f.cl == nil {
		c.BadArgument(1, "invalid level")
	}
	return &f.cl.env
}

func baseGetfenv(c *Call) {
	if e := c.envOf(c.Arg(1)); e != nil {
		c.Push(FromTable(*e))
	} else {
		c.Push(FromTable(c.Globals))
	}
}

func baseSetfenv(c *Call) {
	t := c.CheckTable(2)
	e := c.envOf(c.Arg(1))
	if e == nil {
		c.Fail("'setfenv' cannot change environment of given object")
	}
	if _, ok := c.Arg(1).o.(*goFunction); ok {
		c.Fail("'setfenv' cannot change environment of given object")
	}
	*e = t
	if c.Arg(1).IsFunction() {
		c.Push(c.Arg(1))
	}
}

func baseGetmetatable(c *Call) {
	m := c.metatable(c.CheckAny(1))
	if m == nil {
		c.Push(Nil)
		return
	}
	if p := m.GetString("__metatable"); !p.IsNil() {
		c.Push(p)
		return
	}
	c.Push(FromTable(m))
}

func baseSetmetatable(c *Call) {
	t := c.CheckTable(1)
	m, isTable := c.Arg(2).Table()
	if !isTable && (c.N() < 2 || !c.Arg(2).IsNil()) {
		c.BadArgument(2, "nil or table expected")
	}
	if t.meta != nil && !t.meta.GetString("__metatable").IsNil() {
		c.Fail("cannot change a protected metatable")
	}
	if t.readonly {
		c.fail("Attempt to modify a readonly table")
	}
	t.meta = m
	c.Push(c.Arg(1))
}

// maxLoaded bounds, in bytes, what load gathers.
const maxLoaded = 1 << 20

func baseLoad(c *Call) {
	fn := c.CheckFunction(1)
	name := "=(load)"
	if !c.Arg(2).IsNil() {
		name = c.CheckString(2)
	}
	var b strings.Builder
	for {
		piece := c.Call1(fn)
		if piece.IsNil() {
			break
		}
		s, ok := piece.Str()
		if !ok {
			c.Push(Nil)
			c.PushString("reader function must return a string")
			return
		}
		if s == "" {
			break
		}
		if b.WriteString(s); b.Len() > maxLoaded {
			c.Fail("chunk is too long")
		}
	}
	c.load(b.String(), name)
}

func baseLoadstring(c *Call) {
	src := c.CheckString(1)
	name := src
	if !c.Arg(2).IsNil() {
		name = c.CheckString(2)
	}
	c.load(src, name)
}

func (c *Call) load(src, name string) {
	c.charge(len(src) * 8)
	c.Step(4 * len(src))
	p, err := Compile(src, chunkName(name))
	if err != nil {
		c.Push(Nil)
		c.Push(err.Value)
		return
	}
	c.Push(Value{o: &closure{p: p, env: c.Globals}})
}

// maxChunkName is how many bytes of a chunk's name messages show.
const maxChunkName = 60

// chunkName is how messages call a chunk: '@' and '=' stand before a name, all else is
// the source itself.
func chunkName(name string) string {
	if name == "" {
		return `[string ""]`
	}
	if name[0] == '=' || name[0] == '@' {
		return name[1:min(len(name), maxChunkName)]
	}
	room := maxChunkName - len(`[string "..."]`) - 1
	line, _, cut := strings.Cut(name, "\n")
	if len(line) > room {
		line, cut = line[:room], true
	}
	if cut {
		line += "..."
	}
	return `[string "` + line + `"]`
}

func basePcall(c *Call) {
	c.CheckAny(1)
	t, first := c.t, c.base+c.n
	at := 0
	err := c.protect(func() {
		at = max(t.free(), first+1)
		c.room(t, at+c.n+1)
		copy(t.stack[at:at+c.n], t.stack[c.base:c.base+c.n])
		t.top = at + c.n
		c.invoke(t, at, c.n-1, -1)
	})
	c.answerProtected(err, at, first, func(v Value) Value {
		if c.Caught != nil {
			return c.Caught(v)
		}
		return v
	})
}

// answerProtected pushes what pcall and xpcall answer: the results lie from at up to
// the top.
func (c *Call) answerProtected(err *Error, at, first int, handle func(Value) Value) {
	t := c.t
	if err != nil {
		if err.Final {
			panic(err)
		}
		v := handle(err.Value)
		c.Push(Bool(false))
		c.Push(v)
		return
	}
	n := t.top - at
	c.room(t, first+1+n)
	copy(t.stack[first+1:], t.stack[at:at+n])
	t.stack[first] = Bool(true)
	t.top = first + 1 + n
}

func baseXpcall(c *Call) {
	c.CheckAny(2)
	t, first, handler := c.t, c.base+c.n, c.Arg(2)
	at := 0
	err := c.protect(func() {
		at = max(t.free(), first+1)
		c.room(t, at+1)
		t.stack[at] = c.Arg(1)
		t.top = at + 1
		c.invoke(t, at, 0, -1)
	})
	c.answerProtected(err, at, first, func(v Value) Value { return c.Call1(handler, v) })
}

func baseRawequal(c *Call) { c.Push(Bool(c.equal(c.CheckAny(1), c.CheckAny(2)))) }

func baseRawget(c *Call) {
	t := c.CheckTable(1)
	c.lookAt(c.CheckAny(2))
	c.Push(t.Get(c.Arg(2)))
}

func baseRawset(c *Call) {
	t := c.CheckTable(1)
	c.lookAt(c.CheckAny(2))
	c.rawSet(t, c.CheckAny(2), c.CheckAny(3))
	c.Push(c.Arg(1))
}

func baseSelect(c *Call) {
	if s, ok := c.Arg(1).Str(); ok && strings.HasPrefix(s, "#") {
		c.Push(Number(float64(c.N() - 1)))
		return
	}
	i := c.CheckInt(1)
	switch {
	case i < 0:
		i += c.N()
	case i > c.N():
		i = c.N()
	}
	if i < 1 {
		c.BadArgument(1, "index out of range")
	}
	for j := i + 1; j <= c.N(); j++ {
		c.Push(c.Arg(j))
	}
}

func baseTonumber(c *Call) {
	base := c.OptInt(2, 10)
	if base == 10 {
		c.lookAt(c.CheckAny(1))
		if n, ok := c.Arg(1).ToNumber(); ok {
			c.Push(Number(n))
			return
		}
		c.Push(Nil)
		return
	}
	text := c.CheckString(1)
	if base < 2 || base > 36 {
		c.BadArgument(2, "base out of range")
	}
	text = strings.TrimFunc(text, func(r rune) bool { return r < 128 && isSpace(byte(r)) })
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if lower := strings.ToLower(text); base == 16 && strings.HasPrefix(lower, "0x") {
		text = text[2:]
	}
	n, err := strconv.ParseUint(text, base, 64)
	if err != nil && (n == 0 || strings.ContainsAny(text, "_+-")) {
		c.Push(Nil)
		return
	}
	if negative {
		n = -n
	}
	c.Push(Number(float64(n)))
}

func (s *State) plainText(v Value) string {
	switch o := v.o.(type) {
	case nil:
		return "nil"
	case bool:
		return strconv.FormatBool(o)
	case string:
		return o
	case number:
		return FormatNumber(v.n)
	case *goFunction:
		return fmt.Sprintf("function: builtin: %p", o)
	}
	return fmt.Sprintf("%s: %p", v.Type(), v.o)
}

func baseTostring(c *Call) { c.PushString(c.toText(c.CheckAny(1))) }

func baseType(c *Call) { c.Push(String(c.CheckAny(1).Type())) }

func baseUnpack(c *Call) {
	t := c.CheckTable(1)
	i, e := c.OptInt(2, 1), t.Len()
	if !c.Arg(3).IsNil() {
		e = c.CheckInt(3)
	}
	if i > e {
		return
	}
	if n := e - i + 1; n <= 0 || n > maxStackSlots-c.t.top-64 {
		c.Fail("too many results to unpack")
	}
	c.Step((e - i) / 8)
	for ; i <= e; i++ {
		c.Push(t.GetInt(i))
	}
}

func baseNewproxy(c *Call) {
	p := &proxy{}
	switch o := c.Arg(1).o.(type) {
	case nil:
	case bool:
		if o {
			p.meta = NewTable(0)
		}
	case *proxy:
		p.meta = o.meta
	default:
		c.BadArgument(1, "boolean or proxy expected")
	}
	c.charge(64)
	c.Push(Value{o: p})
}
