package lua

// block generates statements; the registers of its locals are free behind it.
func (g *generator) block(body []stat) {
	free := g.free
	for _, s := range body {
		g.statement(s)
	}
	g.free = free
}

func (g *generator) statement(s stat) {
	free := g.free
	switch s := s.(type) {
	case *localStat:
		g.line = s.line
		g.localStatement(s)
		return // its registers stay
	case *localFunc:
		g.line = s.line
		s.v.reg = g.alloc()
		if s.v.captured { // the function itself finds the cell
			g.emit(opLoadNil, s.v.reg, 1, 0)
			g.wrap(s.v)
		}
		r := g.next(&funcExpr{s.f})
		g.store(s.v, r)
		g.free = s.v.reg + 1
		return
	case *assignStat:
		g.line = s.line
		g.assign(s)
	case *callStat:
		g.line = s.line
		g.call(s.call, 0)
	case *doStat:
		g.block(s.body)
	case *whileStat:
		g.while(s)
	case *repeatStat:
		g.repeat(s)
	case *ifStat:
		g.ifElse(s)
	case *numericFor:
		g.numericFor(s)
	case *genericFor:
		g.genericFor(s)
	case *returnStat:
		g.line = s.line
		g.returnStatement(s)
	case *breakStat:
		g.line = s.line
		top := len(g.breaks) - 1
		g.breaks[top] = append(g.breaks[top], g.jump(0))
	}
	g.free = free
}

func (g *generator) localStatement(s *localStat) {
	first := g.free
	g.exprList(s.exprs, len(s.vars))
	for i, v := range s.vars {
		v.reg = first + i
	}
	for _, v := range s.vars {
		g.wrap(v)
	}
}

// exprList evaluates expressions into the next n registers: what is missing is nil,
// what is too much is evaluated and dropped.
func (g *generator) exprList(list []expr, n int) {
	first := g.free
	for i, e := range list {
		if last := i == len(list)-1; last && multiple(e) && n > i {
			g.several(e, n-i)
			break
		}
		g.next(e)
	}
	if have := g.free - first; have < n {
		r := g.allocN(n - have)
		g.emit(opLoadNil, r, n-have, 0)
	}
	g.free = first + n
}

// multiple says whether an expression may have several values.
func multiple(e expr) bool {
	switch e.(type) {
	case *callExpr, *methodExpr, *varargExpr:
		return true
	}
	return false
}

// several evaluates such an expression into the next n registers; n < 0: all values,
// up to the top.
func (g *generator) several(e expr, n int) {
	if _, ok := e.(*varargExpr); ok {
		r := g.free
		if n > 0 {
			g.allocN(n)
		}
		g.emit(opVararg, r, 0, n)
		return
	}
	r := g.call(e, n)
	g.free = r
	if n > 0 {
		g.allocN(n)
	}
}

// store writes a register into a local.
func (g *generator) store(v *local, r int) {
	switch {
	case v.captured:
		g.emit(opSetCell, v.reg, r, 0)
	case v.reg != r:
		g.emit(opMove, v.reg, r, 0)
	}
}

func (g *generator) assign(s *assignStat) {
	if len(s.targets) == 1 && len(s.exprs) == 1 {
		g.assignOne(s.targets[0], s.exprs[0])
		return
	}
	type place struct{ obj, key int }
	places := make([]place, len(s.targets))
	for i, t := range s.targets {
		if x, ok := t.(*indexExpr); ok {
			places[i].obj = g.next(x.obj) // a copy: the statement may change the variable
			if c, ok := x.key.(*constExpr); ok {
				places[i].key = g.constant(c.value)
			} else {
				places[i].key = g.next(x.key)
			}
		}
	}
	first := g.free
	g.exprList(s.exprs, len(s.targets))
	for i := len(s.targets) - 1; i >= 0; i-- {
		if x, ok := s.targets[i].(*indexExpr); ok {
			g.emit(opSetIndex, places[i].obj, places[i].key, first+i)
			g.name(naming1(x.obj))
		} else {
			g.setVariable(s.targets[i], first+i)
		}
	}
}

func (g *generator) assignOne(target, e expr) {
	switch t := target.(type) {
	case *localExpr:
		if !t.v.captured && !clobbers(e) {
			g.expr(e, t.v.reg)
			return
		}
	case *indexExpr:
		obj := g.register(t.obj)
		key := g.operand(t.key)
		v := g.operand(e)
		g.emit(opSetIndex, obj, key, v)
		g.name(naming1(t.obj))
		return
	}
	g.setVariable(target, g.operand(e))
}

// clobbers says whether evaluating an expression writes its target before it has read
// everything.
func clobbers(e expr) bool {
	switch e := e.(type) {
	case *tableExpr:
		return true
	case *binaryExpr:
		return e.op == "and" || e.op == "or"
	case *parenExpr:
		return clobbers(e.inner)
	}
	return false
}

// setVariable writes an operand into a variable.
func (g *generator) setVariable(target expr, rk int) {
	switch t := target.(type) {
	case *localExpr:
		switch {
		case t.v.captured:
			g.emit(opSetCell, t.v.reg, rk, 0)
		case rk < 0:
			g.emit(opLoad, t.v.reg, -1-rk, 0)
		default:
			g.store(t.v, rk)
		}
	case *upvalueExpr:
		g.emit(opSetUp, t.index, rk, 0)
	case *globalExpr:
		g.emit(opSetGlobal, g.constIndex(t.name), rk, 0)
	}
}

// loop generates a body that break leaves, and returns the jumps out of it.
func (g *generator) loop(body func()) []int {
	g.breaks = append(g.breaks, nil)
	body()
	top := len(g.breaks) - 1
	out := g.breaks[top]
	g.breaks = g.breaks[:top]
	return out
}

func (g *generator) while(s *whileStat) {
	start := g.here()
	g.line = s.line
	exits := g.condition(s.cond, false)
	out := g.loop(func() { g.block(s.body) })
	g.line = s.line
	g.jump(start)
	g.patch(append(exits, out...), g.here())
}

func (g *generator) repeat(s *repeatStat) {
	start, free := g.here(), g.free
	out := g.loop(func() {
		for _, x := range s.body {
			g.statement(x)
		}
	})
	g.patch(g.condition(s.cond, false), start)
	g.free = free
	g.patch(out, g.here())
}

func (g *generator) ifElse(s *ifStat) {
	var ends []int
	for i, cond := range s.conds {
		if i == 0 {
			g.line = s.line
		}
		skip := g.condition(cond, false)
		g.block(s.bodies[i])
		if i < len(s.bodies)-1 {
			ends = append(ends, g.jump(0))
		}
		g.patch(skip, g.here())
	}
	if len(s.bodies) > len(s.conds) {
		g.block(s.bodies[len(s.bodies)-1])
	}
	g.patch(ends, g.here())
}

func (g *generator) numericFor(s *numericFor) {
	g.line = s.line
	base := g.next(s.start)
	g.next(s.limit)
	if s.step != nil {
		g.next(s.step)
	} else {
		g.next(&constExpr{Number(1)})
	}
	prep := g.emit(opForPrep, base, 0, 0)
	s.v.reg = g.alloc()
	body := g.here()
	out := g.loop(func() {
		g.wrap(s.v)
		g.block(s.body)
	})
	g.line = s.line
	end := g.emit(opForLoop, base, body, 0)
	g.patch([]int{prep}, end)
	g.patch(out, g.here())
}

func (g *generator) genericFor(s *genericFor) {
	g.line = s.line
	base := g.free
	g.exprList(s.exprs, 3)
	prep := g.jump(0)
	for _, v := range s.vars {
		v.reg = g.alloc()
	}
	if n := 3 - len(s.vars); n > 0 { // room for the call
		free := g.free
		g.allocN(n)
		g.free = free
	}
	body := g.here()
	out := g.loop(func() {
		for _, v := range s.vars {
			g.wrap(v)
		}
		g.block(s.body)
	})
	g.patch([]int{prep}, g.here())
	g.line = s.line
	g.emit(opForCall, base, body, len(s.vars))
	g.patch(out, g.here())
}

func (g *generator) returnStatement(s *returnStat) {
	if len(s.exprs) == 1 {
		switch e := s.exprs[0].(type) {
		case *callExpr, *methodExpr:
			r := g.call(e, -1)
			i := &g.p.code[len(g.p.code)-1]
			i.op = opTailCall
			g.emit(opReturn, r, -1, 0)
			return
		case *localExpr:
			if !e.v.captured {
				g.emit(opReturn, e.v.reg, 1, 0)
				return
			}
		}
	}
	first := g.free
	for i, e := range s.exprs {
		if i == len(s.exprs)-1 && multiple(e) {
			g.several(e, -1)
			g.emit(opReturn, first, -1, 0)
			return
		}
		g.next(e)
	}
	g.emit(opReturn, first, len(s.exprs), 0)
}

// next evaluates an expression into the next register.
func (g *generator) next(e expr) int {
	switch x := e.(type) {
	case *callExpr, *methodExpr:
		r := g.call(x, 1)
		g.free = r
		return g.alloc()
	case *parenExpr:
		return g.next(x.inner)
	}
	r := g.alloc()
	g.expr(e, r)
	g.free = r + 1
	return r
}

// register evaluates an expression into some register: a local's own, or the next.
func (g *generator) register(e expr) int {
	switch x := e.(type) {
	case *localExpr:
		if !x.v.captured {
			return x.v.reg
		}
	case *parenExpr:
		return g.register(x.inner)
	}
	return g.next(e)
}

// operand is a register or a constant.
func (g *generator) operand(e expr) int {
	if c, ok := e.(*constExpr); ok {
		return g.constant(c.value)
	}
	return g.register(e)
}

var arithmetic = map[string]opcode{"+": opAdd, "-": opSub, "*": opMul, "/": opDiv, "%": opMod, "^": opPow}

// expr evaluates an expression into a register.
func (g *generator) expr(e expr, dst int) {
	free := g.free
	switch e := e.(type) {
	case *constExpr:
		g.emit(opLoad, dst, -1-g.constant(e.value), 0)
	case *varargExpr:
		g.emit(opVararg, dst, 0, 1)
	case *localExpr:
		if e.v.captured {
			g.emit(opGetCell, dst, e.v.reg, 0)
		} else if e.v.reg != dst {
			g.emit(opMove, dst, e.v.reg, 0)
		}
	case *upvalueExpr:
		g.emit(opGetUp, dst, e.index, 0)
	case *globalExpr:
		g.line = e.line
		g.emit(opGetGlobal, dst, g.constIndex(e.name), 0)
	case *indexExpr:
		obj := g.register(e.obj)
		key := g.operand(e.key)
		g.line = e.line
		g.emit(opIndex, dst, obj, key)
		g.name(naming1(e.obj))
	case *callExpr, *methodExpr:
		if r := g.call(e, 1); r != dst {
			g.emit(opMove, dst, r, 0)
		}
	case *parenExpr:
		g.expr(e.inner, dst)
	case *funcExpr:
		g.p.protos = append(g.p.protos, g.function(e.f, g.p.chunk, g.fnState))
		g.emit(opClosure, dst, len(g.p.protos)-1, 0)
	case *tableExpr:
		g.table(e, dst)
	case *unaryExpr:
		a := g.operand(e.a)
		g.line = e.line
		g.emit(map[string]opcode{"-": opNeg, "not": opNot, "#": opLen}[e.op], dst, a, 0)
		g.name(naming1(e.a))
	case *binaryExpr:
		g.binary(e, dst)
	}
	g.free = free
}

func (g *generator) binary(e *binaryExpr, dst int) {
	switch e.op {
	case "and", "or":
		g.expr(e.a, dst)
		op := opJumpIfNot
		if e.op == "or" {
			op = opJumpIf
		}
		end := g.emit(op, 0, dst, 0)
		g.expr(e.b, dst)
		g.patch([]int{end}, g.here())
	case "..":
		g.concat(e, dst)
	case "==", "~=", "<", "<=", ">", ">=":
		yes := g.condition(e, true)
		g.emit(opLoad, dst, -1-g.constant(Bool(false)), 0)
		end := g.jump(0)
		g.patch(yes, g.here())
		g.emit(opLoad, dst, -1-g.constant(Bool(true)), 0)
		g.patch([]int{end}, g.here())
	default:
		a := g.operand(e.a)
		b := g.operand(e.b)
		g.line = e.line
		g.emit(arithmetic[e.op], dst, a, b)
		g.name(naming1(e.a), naming1(e.b))
	}
}

// concat joins a whole chain of operands at once.
func (g *generator) concat(e *binaryExpr, dst int) {
	first, n := g.free, 0
	var names []naming
	var x expr = e
	for {
		b, ok := x.(*binaryExpr)
		if !ok || b.op != ".." {
			break
		}
		g.next(b.a)
		names = append(names, naming1(b.a))
		n++
		x = b.b
	}
	g.next(x)
	names = append(names, naming1(x))
	g.line = e.line
	g.emit(opConcat, dst, first, n+1)
	g.name(names...)
}

// comparisons: the jump if it holds, the jump if not, and whether operands are swapped.
var comparisons = map[string]struct {
	yes, no opcode
	swap    bool
}{
	"==": {opJumpEq, opJumpNe, false}, "~=": {opJumpNe, opJumpEq, false},
	"<": {opJumpLt, opJumpNotLt, false}, ">": {opJumpLt, opJumpNotLt, true},
	"<=": {opJumpLe, opJumpNotLe, false}, ">=": {opJumpLe, opJumpNotLe, true},
}

// condition generates jumps that are taken if the expression's truth is when.
func (g *generator) condition(e expr, when bool) []int {
	free := g.free
	defer func() { g.free = free }()
	switch e := e.(type) {
	case *parenExpr:
		if !multiple(e.inner) {
			return g.condition(e.inner, when)
		}
	case *constExpr:
		if e.value.Truth() == when {
			return []int{g.jump(0)}
		}
		return nil
	case *unaryExpr:
		if e.op == "not" {
			return g.condition(e.a, !when)
		}
	case *binaryExpr:
		if e.op == "and" || e.op == "or" {
			if (e.op == "or") == when { // one of both is enough
				return append(g.condition(e.a, when), g.condition(e.b, when)...)
			}
			skip := g.condition(e.a, !when)
			jumps := g.condition(e.b, when)
			g.patch(skip, g.here())
			return jumps
		}
		if c, ok := comparisons[e.op]; ok {
			a := g.operand(e.a)
			b := g.operand(e.b)
			if c.swap {
				a, b = b, a
			}
			op := c.no
			if when {
				op = c.yes
			}
			g.line = e.line
			return []int{g.emit(op, 0, a, b)}
		}
	}
	op := opJumpIfNot
	if when {
		op = opJumpIf
	}
	return []int{g.emit(op, 0, g.register(e), 0)}
}

// call generates a call with n results (-1: all), which are where it returns.
func (g *generator) call(e expr, n int) int {
	base := g.free
	var args []expr
	var line int
	var called naming
	switch e := e.(type) {
	case *callExpr:
		g.next(e.fn)
		args, line, called = e.args, e.line, naming1(e.fn)
	case *methodExpr:
		obj := g.register(e.obj)
		g.free = base
		g.allocN(2)
		g.line = e.line
		g.emit(opSelf, base, obj, g.constIndex(e.name))
		g.name(naming1(e.obj))
		args, line, called = e.args, e.line, naming{"method", e.name}
	}
	for i, a := range args {
		if i == len(args)-1 && multiple(a) {
			g.several(a, -1)
			g.line = line
			g.emit(opCall, base, -1, n)
			g.name(called)
			g.free = base
			g.allocN(1)
			g.free = base
			return base
		}
		g.next(a)
	}
	nargs := g.free - base - 1
	g.line = line
	g.emit(opCall, base, nargs, n)
	g.name(called)
	g.free = base
	return base
}

// fieldsPerFlush is how many listed fields of a constructor wait in registers.
const fieldsPerFlush = 50

func (g *generator) table(e *tableExpr, dst int) {
	listed := 0
	for _, item := range e.items {
		if item.key == nil {
			listed++
		}
	}
	g.line = e.line
	if len(e.items) == 0 {
		g.emit(opNewTable, dst, 0, 0)
		return
	}
	t := dst // the listed fields follow it
	if t != g.free-1 {
		t = g.alloc()
	}
	g.emit(opNewTable, t, min(listed, 1<<16), 0)
	done, waiting := 0, 0
	for i, item := range e.items {
		if item.key != nil {
			free := g.free
			key := g.operand(item.key)
			v := g.operand(item.value)
			g.emit(opSetIndex, t, key, v)
			g.free = free
			continue
		}
		if i == len(e.items)-1 && multiple(item.value) {
			g.several(item.value, -1)
			g.emit(opSetList, t, -1, done)
			g.free = t + 1
			waiting = 0
			break
		}
		g.next(item.value)
		if waiting++; waiting == fieldsPerFlush {
			g.emit(opSetList, t, waiting, done)
			done, waiting, g.free = done+waiting, 0, t+1
		}
	}
	if waiting > 0 {
		g.emit(opSetList, t, waiting, done)
	}
	if t != dst {
		g.emit(opMove, dst, t, 0)
	}
}
