package script

import (
	"strings"

	"coterie/internal/resp"
	"coterie/internal/script/libs"
	"coterie/internal/script/lua"
)

// Version is the Redis that scripts are told they run in.
const (
	Version    = "7.2.4"
	versionNum = 0x070204
)

// Levels of redis.log.
var logLevels = []string{"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"}

// newWorld makes a State as scripts or, with functions, libraries see it.
func newWorld(functions bool) *world {
	s := lua.NewState()
	w := &world{s: s, libs: libs.Open(s), redis: lua.NewTable(0)}
	w.api()
	if functions {
		w.load = lua.NewTable(0)
		w.load.SetString("register_function", s.Function("register_function", w.registerFunction))
		w.common(w.load)
		w.load.SetMeta(w.undefined())
		w.loading = lua.NewTable(0)
		w.loading.SetString("redis", lua.FromTable(w.load))
		w.loading.SetString("server", lua.FromTable(w.load))
		w.loading.SetMeta(w.undefined())
		w.inLibrary, w.libraryMeta = lua.NewTable(0), lua.NewTable(0)
		w.libraryMeta.SetString("__index", lua.FromTable(s.Globals))
		w.inLibrary.SetMeta(w.libraryMeta)
		s.Roots = append(s.Roots, w.load, w.loading, w.inLibrary)
	} else {
		w.redis.SetString("breakpoint", s.Function("breakpoint", func(c *lua.Call) { c.Push(lua.Bool(false)) }))
		w.redis.SetString("debug", s.Function("debug", func(*lua.Call) {}))
		w.redis.SetString("replicate_commands", s.Function("replicate_commands", func(c *lua.Call) { c.Push(lua.Bool(true)) }))
	}
	g := s.Globals
	g.SetString("redis", lua.FromTable(w.redis))
	g.SetString("server", lua.FromTable(w.redis))
	os := lua.NewTable(0)
	os.SetString("clock", s.Function("clock", func(c *lua.Call) { c.Push(lua.Number(w.run.Host.Seconds())) }))
	g.SetString("os", lua.FromTable(os))
	g.SetMeta(w.undefined())
	s.Caught = func(v lua.Value) lua.Value {
		if t, ok := v.Table(); ok {
			if text, ok := t.GetString("err").Text(); ok {
				return lua.String(text)
			}
		}
		return v
	}
	seen := map[*lua.Table]bool{}
	freeze(g, seen)
	freeze(s.StringMeta(), seen)
	if w.load != nil {
		freeze(w.loading, seen)
		freeze(w.inLibrary, seen)
	}
	return w
}

// undefined makes the metatable that finds fault with names that are not there.
func (w *world) undefined() *lua.Table {
	m := lua.NewTable(0)
	m.SetString("__index", w.s.Function("index", func(c *lua.Call) {
		name, ok := c.Arg(2).Text()
		switch {
		case c.N() != 2:
			c.Fail("Wrong number of arguments to luaProtectedTableError")
		case !ok:
			c.Fail("Second argument to luaProtectedTableError must be a string or number")
		}
		c.Fail("Script attempted to access nonexistent global variable '%s'", name)
	}))
	return m
}

// freeze makes a table, and all that can be reached from it, read-only.
func freeze(t *lua.Table, seen map[*lua.Table]bool) {
	if t == nil || seen[t] {
		return
	}
	seen[t] = true
	t.SetReadonly(true)
	for k, v, _ := t.Next(lua.Nil); !k.IsNil(); k, v, _ = t.Next(k) {
		if inner, ok := v.Table(); ok {
			freeze(inner, seen)
		}
	}
	freeze(t.Meta(), seen)
}

// common puts into a table what scripts and libraries find in redis alike.
func (w *world) common(t *lua.Table) {
	t.SetString("log", w.s.Function("log", w.log))
	for i, name := range logLevels {
		t.SetString(name, lua.Number(float64(i)))
	}
	t.SetString("REDIS_VERSION", lua.String(Version))
	t.SetString("REDIS_VERSION_NUM", lua.Number(versionNum))
}

func (w *world) api() {
	t := w.redis
	w.common(t)
	w.s.Register(t, map[string]lua.Function{
		"call":          func(c *lua.Call) { w.call(c, true) },
		"pcall":         func(c *lua.Call) { w.call(c, false) },
		"sha1hex":       sha1hex,
		"error_reply":   errorReply,
		"status_reply":  statusReply,
		"setresp":       w.setResp,
		"set_repl":      setRepl,
		"acl_check_cmd": w.aclCheck,
	})
	for name, n := range map[string]float64{"REPL_NONE": 0, "REPL_AOF": 1, "REPL_SLAVE": 2, "REPL_REPLICA": 2, "REPL_ALL": 3} {
		t.SetString(name, lua.Number(n))
	}
}

// errorTable makes an error as scripts see it. An error of a command begins with '-'
// and its code; other texts get the code ERR.
func errorTable(text string) lua.Value {
	code, message := "ERR", text
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		if code, message, ok = strings.Cut(rest, " "); !ok {
			code, message = "ERR", rest
		}
	}
	t := lua.NewTable(0)
	t.SetString("err", lua.String(code+" "+strings.Trim(message, "\r\n")))
	return lua.FromTable(t)
}

func fail(c *lua.Call, text string) { c.Throw(errorTable(text)) }

// arguments are those of a command that a script calls; nil when it has raised or, with
// pcall, answered the error.
func (w *world) arguments(c *lua.Call, raise bool) [][]byte {
	why := ""
	args := make([][]byte, 0, c.N())
	if c.N() == 0 {
		why = "Please specify at least one argument for this redis lib call"
	}
	for i := 1; i <= c.N() && why == ""; i++ {
		v := c.Arg(i)
		if n, ok := v.Num(); ok {
			args = append(args, appendNumber(nil, n))
		} else if s, ok := v.Str(); ok {
			args = append(args, []byte(s))
		} else {
			why = "Lua redis lib command arguments must be strings or integers"
		}
	}
	if why == "" {
		return args
	}
	if raise {
		fail(c, why)
	}
	c.Push(errorTable(why))
	return nil
}

// appendNumber appends a number as an argument: an integer if it is one.
func appendNumber(dst []byte, n float64) []byte {
	if i := int64(n); n >= -(1<<62) && n <= 1<<62 && float64(i) == n {
		return appendInt(dst, i)
	}
	return resp.AppendDouble(dst, n)
}

// call is redis.call and redis.pcall.
func (w *world) call(c *lua.Call, raise bool) {
	args := w.arguments(c, raise)
	if args == nil {
		return
	}
	size := 0
	for _, a := range args {
		size += len(a)
	}
	c.Step(callSteps + size/16)
	reply, refusal, ok := w.run.Host.Call(args, w.proto)
	if !ok {
		c.Abort(divert)
	}
	if refusal != "" {
		v := errorTable(refusal)
		if raise {
			c.Throw(v)
		}
		c.Push(v)
		return
	}
	c.Step(len(reply) / 16)
	v := fromReply(c, reply)
	if raise && len(reply) > 0 && reply[0] == '-' {
		c.Throw(v)
	}
	c.Push(v)
}

// callSteps is what a command counts, in steps.
const callSteps = 200

func sha1hex(c *lua.Call) {
	if c.N() != 1 {
		fail(c, "wrong number of arguments")
	}
	s, _ := c.Arg(1).Text()
	c.Step(len(s) / 16)
	c.PushString(SHA1(s))
}

func oneString(c *lua.Call) (string, bool) {
	s, ok := c.Arg(1).Str()
	if c.N() != 1 || !ok {
		c.Push(errorTable("wrong number or type of arguments"))
		return "", false
	}
	return s, true
}

func errorReply(c *lua.Call) {
	if s, ok := oneString(c); ok {
		c.Push(errorTable("-" + strings.TrimPrefix(s, "-")))
	}
}

func statusReply(c *lua.Call) {
	if s, ok := oneString(c); ok {
		t := lua.NewTable(0)
		t.SetString("ok", lua.String(s))
		c.Push(lua.FromTable(t))
	}
}

func (w *world) setResp(c *lua.Call) {
	if c.N() != 1 {
		fail(c, "redis.setresp() requires one argument.")
	}
	n, _ := c.Arg(1).ToNumber()
	if n != 2 && n != 3 {
		fail(c, "RESP version must be 2 or 3.")
	}
	w.proto = int(n)
}

// setRepl is accepted: what a script writes is always replicated.
func setRepl(c *lua.Call) {
	if c.N() != 1 {
		fail(c, "redis.set_repl() requires two arguments.")
	}
	n, _ := c.Arg(1).ToNumber()
	if int(n)&^3 != 0 {
		fail(c, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
}

func (w *world) aclCheck(c *lua.Call) {
	args := w.arguments(c, true)
	if !w.run.Host.Known(args) {
		fail(c, "Invalid command passed to redis.acl_check_cmd()")
	}
	c.Push(lua.Bool(true)) // there is one user, who may do everything
}

// maxLogLine bounds, in bytes, what a script logs at once.
const maxLogLine = 4 << 10

func (w *world) log(c *lua.Call) {
	if c.N() < 2 {
		fail(c, "redis.log() requires two arguments or more.")
	}
	level, ok := c.Arg(1).ToNumber()
	if !ok {
		fail(c, "First argument must be a number (log level).")
	}
	if level < 0 || level > 3 {
		fail(c, "Invalid debug level.")
	}
	var parts []string
	size := 0
	for i := 2; i <= c.N() && size < maxLogLine; i++ {
		if s, ok := c.Arg(i).Text(); ok {
			parts = append(parts, s)
			size += len(s)
		}
	}
	text := strings.Join(parts, " ")
	if w.run != nil {
		w.run.Host.Log(int(level), text[:min(len(text), maxLogLine)])
	}
}
