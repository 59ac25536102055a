package script

import (
	"sort"
	"strings"

	"coterie/internal/script/lua"
)

// FunctionInfo is a function as its library registers it.
type FunctionInfo struct {
	Name        string
	Description string
	Described   bool
	Flags       Flags
}

// Library is a library of functions. It is not changed once made.
type Library struct {
	Name      string
	Code      string
	SHA       string
	Functions []FunctionInfo // in the order of their names
	proto     *lua.Proto
}

// Function finds a function by its name.
func (l *Library) Function(name string) *FunctionInfo {
	for i := range l.Functions {
		if strings.EqualFold(l.Functions[i].Name, name) {
			return &l.Functions[i]
		}
	}
	return nil
}

// Bytes is about how much memory the library takes.
func (l *Library) Bytes() int { return len(l.Code) + l.proto.Bytes() }

// Bounds of loading a library.
const (
	loadSteps    = 5_000_000
	maxFunctions = 1000
)

const errName = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && !('0' <= c && c <= '9') && !('a' <= c|0x20 && c|0x20 <= 'z') {
			return false
		}
	}
	return name != ""
}

// ParseLibrary reads a library's code and runs it once, to see which functions it
// registers; or says in Redis's words why not.
func ParseLibrary(code string) (*Library, string) {
	if len(code) > MaxBody {
		return nil, ErrTooLarge
	}
	name, body, why := metadata(code)
	if why != "" {
		return nil, "ERR " + why
	}
	p, err := lua.Compile(body, "user_function")
	if err != nil {
		return nil, "ERR Error compiling function: " + err.Error()
	}
	l := &Library{Name: name, Code: code, SHA: SHA1(code), proto: p}
	reg, why := newWorld(true).loadLibrary(l)
	if why != "" {
		return nil, "ERR Error registering functions: " + why
	}
	if len(reg.functions) == 0 {
		return nil, "ERR No functions registered"
	}
	for _, f := range reg.functions {
		l.Functions = append(l.Functions, f.info)
	}
	sort.Slice(l.Functions, func(i, j int) bool { return l.Functions[i].Name < l.Functions[j].Name })
	return l, ""
}

func metadata(code string) (name, body, why string) {
	if !strings.HasPrefix(code, "#!") {
		return "", "", "Missing library metadata"
	}
	line, _, ok := strings.Cut(code, "\n")
	if !ok {
		return "", "", "Invalid library metadata"
	}
	parts := strings.Fields(line)
	given := false
	for _, part := range parts[1:] {
		if len(part) < 5 || !strings.EqualFold(part[:5], "name=") {
			return "", "", "Invalid metadata value given: " + part
		}
		if given {
			return "", "", "Invalid metadata value, name argument was given multiple times"
		}
		name, given = strings.Trim(part[5:], `"'`), true
	}
	switch engine := parts[0][2:]; {
	case !given:
		return "", "", "Library name was not given"
	case !validName(name):
		return "", "", errName
	case !strings.EqualFold(engine, "lua"):
		return "", "", "Engine '" + engine + "' not found"
	}
	return name, code[len(line):], ""
}

// registering gathers what a library registers.
type registering struct {
	functions map[string]*registered // by name in lower case
}

type registered struct {
	info FunctionInfo
	fn   lua.Value
}

// loaded is a library in one Engine.
type loaded struct {
	sha string
	reg *registering
}

// loadLibrary runs a library's code.
func (w *world) loadLibrary(l *Library) (*registering, string) {
	reg := &registering{functions: map[string]*registered{}}
	w.registering = reg
	w.libraryMeta.SetString("__index", lua.FromTable(w.loading))
	defer func() {
		w.registering = nil
		w.libraryMeta.SetString("__index", lua.FromTable(w.s.Globals))
		w.s.End()
	}()
	w.s.MemoryLimit = MaxMemory
	w.s.Hook = func() (int, *lua.Error) { return 0, &lua.Error{Value: errorTable("FUNCTION LOAD timeout")} }
	w.s.Begin(loadSteps)
	_, err := w.s.Run(w.s.LoadIn(l.proto, w.inLibrary))
	if err == nil {
		return reg, ""
	}
	if t, ok := err.Value.Table(); ok {
		if text, ok := t.GetString("err").Text(); ok {
			return nil, text
		}
	}
	return nil, "ERR " + w.s.Text(err.Value)
}

// registerFunction is redis.register_function.
func (w *world) registerFunction(c *lua.Call) {
	reg := w.registering
	if reg == nil {
		fail(c, "redis.register_function can only be called on FUNCTION LOAD command")
	}
	if c.N() < 1 || c.N() > 2 {
		fail(c, "wrong number of arguments to redis.register_function")
	}
	f := &registered{}
	if c.N() == 1 {
		f.named(c)
	} else {
		name, ok := c.Arg(1).Text()
		if !ok {
			fail(c, "first argument to redis.register_function must be a string")
		}
		if !c.Arg(2).IsFunction() {
			fail(c, "second argument to redis.register_function must be a function")
		}
		f.info.Name, f.fn = name, c.Arg(2)
	}
	key := strings.ToLower(f.info.Name)
	switch {
	case !validName(f.info.Name):
		fail(c, errName)
	case reg.functions[key] != nil:
		fail(c, "Function already exists in the library")
	case len(reg.functions) >= maxFunctions:
		fail(c, "too many functions in the library")
	}
	reg.functions[key] = f
}

// named reads the arguments given by name.
func (f *registered) named(c *lua.Call) {
	t, ok := c.Arg(1).Table()
	if !ok {
		fail(c, "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
	}
	given := false
	for k, v, _ := t.Next(lua.Nil); !k.IsNil(); k, v, _ = t.Next(k) {
		key, ok := k.Text()
		if !ok {
			fail(c, "named argument key given to redis.register_function is not a string")
		}
		switch strings.ToLower(key) {
		case "function_name":
			if f.info.Name, given = v.Text(); !given {
				fail(c, "function_name argument given to redis.register_function must be a string")
			}
		case "description":
			if f.info.Description, f.info.Described = v.Text(); !f.info.Described {
				fail(c, "description argument given to redis.register_function must be a string")
			}
		case "callback":
			if f.fn = v; !v.IsFunction() {
				fail(c, "callback argument given to redis.register_function must be a function")
			}
		case "flags":
			list, ok := v.Table()
			if !ok {
				fail(c, "flags argument to redis.register_function must be a table representing function flags")
			}
			f.flags(c, list)
		default:
			fail(c, "unknown argument given to redis.register_function")
		}
	}
	if !given {
		fail(c, "redis.register_function must get a function name argument")
	}
	if f.fn.IsNil() {
		fail(c, "redis.register_function must get a callback argument")
	}
}

func (f *registered) flags(c *lua.Call, list *lua.Table) {
	for i := 1; !list.GetInt(i).IsNil(); i++ {
		name, _ := list.GetInt(i).Text()
		flag, ok := flagNamed(strings.ToLower(name))
		if !ok {
			fail(c, "unknown flag given")
		}
		f.info.Flags |= flag
	}
}

// Call runs a function of a library and writes its reply. It is false if the run was
// diverted.
func (e *Engine) Call(l *Library, name string, r *Run) bool {
	if e.functions == nil {
		e.functions = newWorld(true)
	}
	w := e.functions
	have := e.loaded[l.Name]
	if have == nil || have.sha != l.SHA {
		reg, why := w.loadLibrary(l)
		if why != "" {
			r.Out.Error("ERR Error registering functions: " + why)
			return true
		}
		have = &loaded{sha: l.SHA, reg: reg}
		e.loaded[l.Name] = have
		e.keep()
	}
	f := have.reg.functions[strings.ToLower(name)]
	if f == nil {
		r.Out.Error("ERR Function not found")
		return true
	}
	return w.execute(r, f.info.Name, f.fn, texts(r.Keys), texts(r.Args))
}

// roots is how many tables of a world are reachable beside globals, libraries apart.
const roots = 4

// keep makes what the loaded libraries hold count as reachable.
func (e *Engine) keep() {
	held := lua.NewTable(0)
	for _, l := range e.loaded {
		for _, f := range l.reg.functions {
			held.Append(f.fn)
		}
	}
	e.functions.s.Roots = append(e.functions.s.Roots[:roots:roots], held)
}

// Forget drops the libraries that are not in the store any more.
func (e *Engine) Forget(alive func(name string) bool) {
	for name := range e.loaded {
		if !alive(name) {
			delete(e.loaded, name)
		}
	}
}
