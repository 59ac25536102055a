package lua

import "fmt"

// Bounds of a State.
const (
	maxStackSlots = 1 << 18 // of one coroutine
	maxFrames     = 20000   // calls of Lua functions under way, as in Lua
	maxNested     = 195     // calls through Go functions under way: Lua's C levels
)

// Error is what a script fails with: any value, and where that was.
type Error struct {
	Value  Value
	Source string // chunk of the innermost Lua function, "" if there was none
	Line   int
	// Final errors cannot be caught by scripts.
	Final bool
}

// Error is the message.
func (e *Error) Error() string {
	if s, ok := e.Value.Text(); ok {
		return s
	}
	return "(error object is a " + e.Value.Type() + " value)"
}

type cell struct{ v Value }

type closure struct {
	p   *Proto
	up  []*cell
	env *Table
}

// Function is a function of Lua that Go provides.
type Function func(c *Call)

type goFunction struct {
	name string
	fn   Function
	env  *Table
	// yields marks coroutine.yield, which the loop itself carries out.
	yields bool
}

// frame is one call of a Lua function under way.
type frame struct {
	cl      *closure
	pc      int
	base    int // of its registers
	to      int // where results go
	want    int // how many, -1: all
	entry   bool
	varargs []Value
	prev    *frame
	next    *frame // kept for the next call
}

type threadStatus uint8

const (
	suspended threadStatus = iota
	running
	normal // it resumed another
	dead
)

// thread is a coroutine, or the main program.
type thread struct {
	stack  []Value
	frame  *frame
	depth  int
	top    int // with open results; and while a Go function runs, its end
	status threadStatus
	fn     Value // of a coroutine that has not begun
	loops  int   // run calls under way on this thread
	want   int   // results that the yield under way is to have
	to     int   // and where
	outer  *thread
	seen   uint32
	first  frame
}

func newThread(slots int) *thread {
	t := &thread{stack: make([]Value, slots)}
	t.frame = &t.first // the bottom: no function
	return t
}

// Hook is asked when the steps are used up. It gives more, or an error that ends the
// run.
type Hook func() (more int, end *Error)

// State is a Lua world: globals and a machine. Not for concurrent use.
type State struct {
	Globals *Table
	// Hook may be nil: then a run may take as long as it wants.
	Hook Hook
	// MemoryLimit in bytes is what one run may reach; 0: no limit.
	MemoryLimit int
	// Caught, if set, is what pcall makes of an error's value.
	Caught func(Value) Value
	// Roots are reachable tables beside Globals.
	Roots []*Table

	main    *thread
	cur     *thread
	strings *Table      // metatable of strings
	next    *goFunction // what pairs and ipairs step with: the loop does it itself
	ipairs  *goFunction
	steps   int
	nested  int
	calls   []*Call
	depth   int // calls under way
	inGo    bool
	charged int // bytes since the last measurement
	used    int // bytes at the last measurement
	limit   int // of charged
	epoch   uint32
	rand    rand48
}

// NewState makes a State with the libraries.
func NewState() *State {
	s := &State{Globals: NewTable(0)}
	s.main = newThread(256)
	s.main.status = running
	s.cur = s.main
	openBase(s)
	openString(s)
	openTable(s)
	openMath(s)
	openCoroutine(s)
	s.Seed(0)
	return s
}

// Function makes a value of a Go function.
func (s *State) Function(name string, fn Function) Value {
	return Value{o: &goFunction{name: name, fn: fn, env: s.Globals}}
}

// Register puts Go functions into a table.
func (s *State) Register(t *Table, fns map[string]Function) {
	for name, fn := range fns {
		t.SetString(name, s.Function(name, fn))
	}
}

// Load makes a function of a compiled chunk.
func (s *State) Load(p *Proto) Value { return Value{o: &closure{p: p, env: s.Globals}} }

// LoadIn is Load with other globals.
func (s *State) LoadIn(p *Proto, globals *Table) Value {
	return Value{o: &closure{p: p, env: globals}}
}

// Begin prepares a run: it may take so many steps before the Hook is asked.
func (s *State) Begin(steps int) {
	s.steps = steps
	s.charged, s.used, s.limit = 0, 0, s.MemoryLimit
	s.depth, s.nested, s.inGo = 0, 0, false
	s.cur = s.main
	if len(s.main.stack) > 4096 {
		s.main.stack = make([]Value, 256)
	}
}

// Steps is how many of the steps given are left.
func (s *State) Steps() int { return s.steps }

// End forgets what the run left on the stack.
func (s *State) End() { clear(s.main.stack) }

// Run calls a function and returns its first result.
func (s *State) Run(fn Value, args ...Value) (result Value, err *Error) {
	err = s.protect(func() { result = s.call(fn, args...) })
	return result, err
}

// free is the first slot that no call under way uses.
func (t *thread) free() int {
	if f := t.frame; f.cl != nil {
		return max(t.top, f.base+f.cl.p.maxStack)
	}
	return t.top
}

// room makes a thread's stack at least n long.
func (s *State) room(t *thread, n int) {
	if n <= len(t.stack) {
		return
	}
	if n > maxStackSlots {
		s.fail("stack overflow")
	}
	size := min(max(2*len(t.stack), n), maxStackSlots)
	s.charge((size - len(t.stack)) * slotBytes)
	bigger := make([]Value, size)
	copy(bigger, t.stack)
	t.stack = bigger
}

// protect runs f; errors of scripts end up as a result, and everything is as before.
func (s *State) protect(f func()) (err *Error) {
	t, fr, depth, top, nested, calls, loops := s.cur, s.cur.frame, s.cur.depth, s.cur.top, s.nested, s.depth, s.cur.loops
	inGo := s.inGo
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			err = e
			s.cur, s.nested, s.depth, s.inGo = t, nested, calls, inGo
			t.frame, t.depth, t.top, t.loops, t.status = fr, depth, top, loops, running
		}
	}()
	f()
	return nil
}

// innermost is the position of the innermost Lua function under way.
func (s *State) innermost() (chunk string, line int) {
	if f := s.cur.frame; f != nil && f.cl != nil {
		return f.cl.p.chunk, f.line()
	}
	return "", 0
}

// where is the position of whoever called the Go function (level 1), or called that
// (level 2 …), if it is a Lua function.
func (c *Call) where(level int) (chunk string, line int) {
	f := c.t.frame
	if !c.fromLua || f.cl == nil {
		return "", 0
	}
	for ; level > 1; level-- {
		if f.entry || f.prev == nil || f.prev.cl == nil {
			return "", 0
		}
		f = f.prev
	}
	return f.cl.p.chunk, f.line()
}

// Fail fails with a message, and the caller's position in front of it.
func (c *Call) Fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if chunk, line := c.where(1); chunk != "" {
		text = fmt.Sprintf("%s:%d: %s", chunk, line, text)
	}
	c.Throw(String(text))
}

func (f *frame) line() int {
	if pc := f.pc - 1; pc >= 0 && pc < len(f.cl.p.lines) {
		return int(f.cl.p.lines[pc])
	}
	return f.cl.p.line
}

// Throw fails with a value.
func (s *State) Throw(v Value) {
	chunk, line := s.innermost()
	panic(&Error{Value: v, Source: chunk, Line: line})
}

// fail fails with a message; the position comes in front of it if it is Lua that is
// running.
func (s *State) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if chunk, line := s.innermost(); chunk != "" && !s.inGo {
		text = fmt.Sprintf("%s:%d: %s", chunk, line, text)
	}
	s.Throw(String(text))
}

// Abort ends the run with an error that scripts cannot catch.
func (s *State) Abort(v Value) {
	chunk, line := s.innermost()
	panic(&Error{Value: v, Source: chunk, Line: line, Final: true})
}

// Step counts n steps.
func (s *State) Step(n int) {
	s.steps -= n
	if s.steps < 0 {
		s.exhausted()
	}
}

// longString is the length in bytes from which on it counts steps to look at all of a
// string.
const longString = 1 << 10

// look counts the steps of looking at all of a string of n bytes.
func (s *State) look(n int) {
	if n >= longString {
		s.Step(n / 64)
	}
}

// lookAt counts the steps of looking at a value that a table is asked for, or that is
// taken for a number.
func (s *State) lookAt(v Value) {
	if o, ok := v.o.(string); ok && len(o) >= longString {
		s.Step(len(o) / 64)
	}
}

func (s *State) exhausted() {
	if s.Hook == nil {
		s.steps += 1 << 30
		return
	}
	more, end := s.Hook()
	if end != nil {
		if end.Source == "" {
			end.Source, end.Line = s.innermost()
		}
		end.Final = true
		panic(end)
	}
	s.steps = more
}

// invoke calls what is in a slot with the arguments behind it. Results come into the
// slot and those behind it: want of them, or, if that is -1, up to the thread's top.
func (s *State) invoke(t *thread, at, nargs, want int) {
	switch f := t.stack[at].o.(type) {
	case *closure:
		if s.nested++; s.nested > maxNested {
			s.nested--
			s.fail("C stack overflow")
		}
		s.push(t, f, at, nargs, want)
		t.frame.entry = true
		t.loops++
		inGo := s.inGo
		s.inGo = false
		s.run(t)
		s.inGo = inGo
		t.loops--
		s.nested--
	case *goFunction:
		if s.nested++; s.nested > maxNested {
			s.nested--
			s.fail("C stack overflow")
		}
		s.callGo(t, f, at, nargs, want, !s.inGo)
		s.nested--
	default:
		s.shift(t, at, nargs, naming{})
		s.invoke(t, at, nargs+1, want)
	}
}

// shift puts the metamethod for calls in front of a value that is called.
func (s *State) shift(t *thread, at, nargs int, n naming) {
	m := s.metamethod(t.stack[at], "__call")
	if !m.IsFunction() {
		s.typeError("call", t.stack[at], n)
	}
	s.room(t, at+nargs+2)
	copy(t.stack[at+1:at+nargs+2], t.stack[at:at+nargs+1])
	t.stack[at] = m
	if t.top < at+nargs+2 {
		t.top = at + nargs + 2
	}
}

// push begins a call of a Lua function.
func (s *State) push(t *thread, cl *closure, at, nargs, want int) {
	if t.depth++; t.depth > maxFrames {
		t.depth--
		s.fail("stack overflow")
	}
	p := cl.p
	base := at + 1
	s.room(t, max(base+p.maxStack, base+nargs))
	f := t.frame.next
	if f == nil {
		f = &frame{prev: t.frame}
		t.frame.next = f
	}
	f.cl, f.pc, f.base, f.to, f.want, f.entry = cl, 0, base, at, want, false
	f.varargs = nil
	if nargs > p.params {
		if p.vararg {
			f.varargs = append([]Value(nil), t.stack[base+p.params:base+nargs]...)
		}
		clear(t.stack[base+p.params : base+nargs])
	} else {
		clear(t.stack[base+nargs : base+p.params])
	}
	t.frame = f
	t.top = base + p.maxStack
	if s.steps -= 4 + nargs/8; s.steps < 0 {
		s.exhausted()
	}
}

// callGo calls a Go function.
func (s *State) callGo(t *thread, f *goFunction, at, nargs, want int, fromLua bool) {
	if f.yields {
		s.Throw(String("attempt to yield across metamethod/C-call boundary"))
	}
	if s.steps -= 2 + nargs/8; s.steps < 0 {
		s.exhausted()
	}
	if s.depth == len(s.calls) {
		s.calls = append(s.calls, &Call{State: s})
	}
	c := s.calls[s.depth]
	s.depth++
	c.t, c.f, c.base, c.n = t, f, at+1, nargs
	t.top = at + 1 + nargs
	c.fromLua = fromLua
	inGo := s.inGo
	s.inGo = true
	f.fn(c)
	s.inGo = inGo
	s.depth--
	first := at + 1 + nargs
	s.steps -= (t.top - first) / 8
	s.deliver(t, first, t.top-first, at, want)
}

// deliver copies results to where they are wanted.
func (s *State) deliver(t *thread, first, n, to, want int) {
	if want < 0 {
		s.room(t, to+n)
		copy(t.stack[to:to+n], t.stack[first:first+n])
		t.top = to + n
		return
	}
	s.room(t, to+want)
	m := min(n, want)
	copy(t.stack[to:to+m], t.stack[first:first+m])
	if m < want {
		clear(t.stack[to+m : to+want])
	}
}

// Call is one call of a Go function.
type Call struct {
	*State
	t       *thread
	f       *goFunction
	base    int
	n       int
	fromLua bool
}

// N is the number of arguments.
func (c *Call) N() int { return c.n }

// Arg is argument i, from 1; nil if there are fewer.
func (c *Call) Arg(i int) Value {
	if i > c.n {
		return Nil
	}
	return c.t.stack[c.base+i-1]
}

// Push adds a result.
func (c *Call) Push(v Value) {
	t := c.t
	if t.top >= len(t.stack) {
		c.room(t, t.top+1)
	}
	t.stack[t.top] = v
	t.top++
}

// PushString adds a string as a result, and charges its memory.
func (c *Call) PushString(s string) {
	c.charge(len(s) + 16)
	c.look(len(s))
	c.Push(String(s))
}

// PushBytes adds a string made of bytes.
func (c *Call) PushBytes(b []byte) {
	c.charge(len(b) + 16)
	c.look(len(b))
	c.Push(String(string(b)))
}

// Call1 calls a function and returns its first result. Errors go on.
func (c *Call) Call1(fn Value, args ...Value) Value {
	return c.call(fn, args...)
}

// call calls a function from Go, for one result.
func (s *State) call(fn Value, args ...Value) Value {
	t := s.cur
	at, top := t.free(), t.top
	s.room(t, at+len(args)+1)
	t.stack[at] = fn
	copy(t.stack[at+1:], args)
	t.top = at + 1 + len(args)
	s.invoke(t, at, len(args), 1)
	t.top = top
	return t.stack[at]
}

// Charge counts n bytes that were allocated.
func (s *State) Charge(n int) { s.charge(n) }

// SetRaw stores into a table that is being built, for a script.
func (s *State) SetRaw(t *Table, key, v Value) { s.rawSet(t, key, v) }

// NewProxy makes a value that is equal to itself alone.
func (s *State) NewProxy() Value { return Value{o: &proxy{}} }

// Text is what a value looks like, without asking its metatable.
func (s *State) Text(v Value) string { return s.plainText(v) }
