package lua

func openCoroutine(s *State) {
	t := NewTable(0)
	s.Register(t, map[string]Function{
		"create": coCreate, "resume": coResume, "running": coRunning, "status": coStatus, "wrap": coWrap,
	})
	t.SetString("yield", Value{o: &goFunction{name: "yield", env: s.Globals, yields: true}})
	s.Globals.SetString("coroutine", FromTable(t))
}

func (c *Call) newCoroutine() *thread {
	fn := c.Arg(1)
	if _, ok := fn.o.(*closure); !ok {
		c.BadArgument(1, "Lua function expected")
	}
	co := newThread(64)
	c.Step(len(co.stack))
	c.charge(len(co.stack)*slotBytes + 256)
	co.fn = fn
	return co
}

func coCreate(c *Call) { c.Push(Value{o: c.newCoroutine()}) }

func (c *Call) checkThread() *thread {
	co, ok := c.Arg(1).o.(*thread)
	if !ok {
		c.BadArgument(1, "coroutine expected")
	}
	return co
}

func coRunning(c *Call) {
	if c.t == c.main {
		c.Push(Nil)
		return
	}
	c.Push(Value{o: c.t})
}

var statusNames = [...]string{suspended: "suspended", running: "running", normal: "normal", dead: "dead"}

func coStatus(c *Call) { c.Push(String(statusNames[c.checkThread().status])) }

func coResume(c *Call) {
	co := c.checkThread()
	n, err := c.resume(co, 2)
	if err != nil {
		c.Push(Bool(false))
		c.Push(err.Value)
		return
	}
	c.Push(Bool(true))
	for i := range n {
		c.Push(co.stack[co.top-n+i])
	}
}

func coWrap(c *Call) {
	co := c.newCoroutine()
	c.Push(c.Function("wrap", func(c *Call) {
		n, err := c.resume(co, 1)
		if err != nil {
			if text, ok := err.Value.Str(); ok {
				c.Fail("%s", text)
			}
			c.Throw(err.Value)
		}
		for i := range n {
			c.Push(co.stack[co.top-n+i])
		}
	}))
}

// resume runs a coroutine with the arguments from number from on. Its n results are
// the topmost of its stack.
func (c *Call) resume(co *thread, from int) (n int, err *Error) {
	if co.status != suspended {
		return 0, &Error{Value: String("cannot resume " + statusNames[co.status] + " coroutine")}
	}
	if c.nested++; c.nested > maxNested {
		c.nested--
		return 0, &Error{Value: String("C stack overflow")}
	}
	defer func() { c.nested-- }()
	args := make([]Value, 0, max(c.n-from+1, 0))
	for i := from; i <= c.n; i++ {
		args = append(args, c.Arg(i))
	}
	caller := c.t
	err = c.protect(func() {
		caller.status, co.status, co.outer = normal, running, caller
		c.cur = co
		yielded := c.enter(co, args)
		c.cur = caller
		caller.status = running
		if co.status = suspended; !yielded {
			co.status = dead
		}
		n = co.top - co.to
		if yielded {
			n = co.top - co.to - 1
		}
	})
	co.outer = nil
	if err != nil {
		co.status = dead
		if err.Final {
			panic(err)
		}
	}
	return n, err
}

// enter begins a coroutine, or lets its yield return.
func (c *Call) enter(co *thread, args []Value) (yielded bool) {
	co.loops = 1
	defer func() { co.loops = 0 }()
	if !co.fn.IsNil() {
		fn := co.fn.o.(*closure)
		co.fn = Nil
		c.room(co, len(args)+1)
		copy(co.stack[1:], args)
		c.push(co, fn, 0, len(args), -1)
		co.frame.entry = true
	} else {
		f := co.frame
		at := f.base + f.cl.p.maxStack
		c.room(co, at+len(args))
		copy(co.stack[at:], args)
		c.deliver(co, at, len(args), co.to, co.want)
		if co.want >= 0 {
			co.top = at
		}
	}
	if yielded = c.run(co); !yielded {
		co.to = 0
	}
	return yielded
}
