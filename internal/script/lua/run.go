package lua

import "math"

// run carries out the innermost function of a thread, and those it calls, until the
// one returns that was entered from Go. It returns true if the coroutine yields instead.
//
// Registers are a slice of the stack. Whatever may call or grow the stack is followed
// by taking it anew.
func (s *State) run(t *thread) (yielded bool) {
	f := t.frame
	code, k := f.cl.p.code, f.cl.p.consts
	regs := t.stack[f.base : f.base+f.cl.p.maxStack]
	pc := f.pc
	for {
		i := &code[pc]
		pc++
		f.pc = pc
		switch i.op {
		case opMove:
			regs[i.a] = regs[i.b]
		case opLoad:
			regs[i.a] = k[i.b]
		case opLoadNil:
			clear(regs[i.a : i.a+i.b])
		case opGetUp:
			regs[i.a] = f.cl.up[i.b].v
		case opSetUp:
			f.cl.up[i.a].v = *rk(regs, k, i.b)
		case opGetCell:
			regs[i.a] = regs[i.b].o.(*cell).v
		case opSetCell:
			regs[i.a].o.(*cell).v = *rk(regs, k, i.b)
		case opNewCell:
			s.charge(slotBytes + 8)
			regs[i.a] = Value{o: &cell{regs[i.a]}}
		case opGetGlobal:
			name := k[i.b].o.(string)
			v := f.cl.env.GetString(name)
			if v.o == nil && f.cl.env.meta != nil {
				v = s.index(Value{o: f.cl.env}, k[i.b], naming{})
				regs = t.stack[f.base : f.base+f.cl.p.maxStack]
			}
			regs[i.a] = v
		case opSetGlobal:
			s.setIndex(Value{o: f.cl.env}, k[i.a], *rk(regs, k, i.b), naming{})
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
		case opIndex:
			key := rk(regs, k, i.c)
			s.lookAt(*key)
			if tab, ok := regs[i.b].o.(*Table); ok {
				if v := tab.Get(*key); v.o != nil || tab.meta == nil {
					regs[i.a] = v
					continue
				}
			}
			v := s.index(regs[i.b], *key, f.operand(0))
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
			regs[i.a] = v
		case opSetIndex:
			key, v := rk(regs, k, i.b), rk(regs, k, i.c)
			s.lookAt(*key)
			if tab, ok := regs[i.a].o.(*Table); ok && tab.meta == nil && !tab.readonly {
				if _, isNumber := key.o.(number); isNumber && key.n == key.n {
					s.charge(tab.Set(*key, *v))
					continue
				} else if _, isString := key.o.(string); isString {
					s.charge(tab.Set(*key, *v))
					continue
				}
			}
			s.setIndex(regs[i.a], *key, *v, f.operand(0))
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
		case opNewTable:
			s.charge(tableBytes + int(i.b)*slotBytes)
			regs[i.a] = Value{o: NewTable(int(i.b))}
		case opSetList:
			n := int(i.b)
			if n < 0 {
				n = t.top - (f.base + int(i.a) + 1)
			}
			s.setList(regs[i.a].o.(*Table), t.stack[f.base+int(i.a)+1:][:n], int(i.c))
			t.top = f.base + f.cl.p.maxStack
		case opSelf:
			obj := regs[i.b]
			v := s.index(obj, k[i.c], f.operand(0))
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
			regs[i.a], regs[i.a+1] = v, obj
		case opAdd:
			b, c := rk(regs, k, i.b), rk(regs, k, i.c)
			if both(b, c) {
				regs[i.a] = Value{o: number{}, n: b.n + c.n}
				continue
			}
			regs = s.arithmetic(t, f, i, *b, *c)
		case opSub:
			b, c := rk(regs, k, i.b), rk(regs, k, i.c)
			if both(b, c) {
				regs[i.a] = Value{o: number{}, n: b.n - c.n}
				continue
			}
			regs = s.arithmetic(t, f, i, *b, *c)
		case opMul:
			b, c := rk(regs, k, i.b), rk(regs, k, i.c)
			if both(b, c) {
				regs[i.a] = Value{o: number{}, n: b.n * c.n}
				continue
			}
			regs = s.arithmetic(t, f, i, *b, *c)
		case opDiv, opMod, opPow:
			regs = s.arithmetic(t, f, i, *rk(regs, k, i.b), *rk(regs, k, i.c))
		case opNeg:
			b := rk(regs, k, i.b)
			regs = s.arithmetic(t, f, i, *b, *b)
		case opNot:
			regs[i.a] = Value{o: !rk(regs, k, i.b).Truth()}
		case opLen:
			v := s.length(*rk(regs, k, i.b), f.operand(0))
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
			regs[i.a] = v
		case opConcat:
			v := s.concat(t, f, f.base+int(i.b), int(i.c))
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
			regs[i.a] = v
		case opJump:
			if to := int(i.a); to < pc {
				s.back(pc - to)
			}
			pc = int(i.a)
		case opJumpIf, opJumpIfNot:
			if regs[i.b].Truth() == (i.op == opJumpIf) {
				if to := int(i.a); to < pc {
					s.back(pc - to)
				}
				pc = int(i.a)
			}
		case opJumpEq, opJumpNe, opJumpLt, opJumpNotLt, opJumpLe, opJumpNotLe:
			b, c := rk(regs, k, i.b), rk(regs, k, i.c)
			var holds bool
			if both(b, c) {
				holds = compareNumbers(i.op, b.n, c.n)
			} else {
				holds = s.compare(i.op, *b, *c)
				regs = t.stack[f.base : f.base+f.cl.p.maxStack]
			}
			if holds {
				if to := int(i.a); to < pc {
					s.back(pc - to)
				}
				pc = int(i.a)
			}
		case opCall:
			at, nargs := f.base+int(i.a), int(i.b)
			if nargs < 0 {
				nargs = t.top - at - 1
			}
			if yielded, f = s.callOp(t, f, at, nargs, int(i.c)); yielded {
				return true
			}
			code, k, pc = f.cl.p.code, f.cl.p.consts, f.pc
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
		case opTailCall:
			at, nargs := f.base+int(i.a), int(i.b)
			if nargs < 0 {
				nargs = t.top - at - 1
			}
			if cl, ok := t.stack[at].o.(*closure); ok {
				copy(t.stack[f.to:], t.stack[at:at+nargs+1])
				to, want, entry := f.to, f.want, f.entry
				t.frame = f.prev
				t.depth--
				s.push(t, cl, to, nargs, want)
				t.frame.entry = entry
				f = t.frame
			} else if yielded, f = s.callOp(t, f, at, nargs, -1); yielded {
				return true
			}
			code, k, pc = f.cl.p.code, f.cl.p.consts, f.pc
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
		case opReturn:
			n := int(i.b)
			if n < 0 {
				n = t.top - (f.base + int(i.a))
			}
			t.frame = f.prev
			t.depth--
			s.deliver(t, f.base+int(i.a), n, f.to, f.want)
			entry, want := f.entry, f.want
			f.cl, f.varargs = nil, nil
			if entry {
				return false
			}
			f = t.frame
			if want >= 0 {
				t.top = f.base + f.cl.p.maxStack
			}
			code, k, pc = f.cl.p.code, f.cl.p.consts, f.pc
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
		case opVararg:
			s.deliverVarargs(t, f, f.base+int(i.a), int(i.c))
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
		case opArg:
			arg := NewTable(len(f.varargs))
			s.setList(arg, f.varargs, 0)
			arg.SetString("n", Number(float64(len(f.varargs))))
			regs[i.a] = FromTable(arg)
		case opClosure:
			regs[i.a] = s.closure(f, regs, f.cl.p.protos[i.b])
		case opForPrep:
			s.forPrep(regs[i.a : i.a+3])
			pc = int(i.b)
		case opForLoop:
			r := regs[i.a : i.a+4 : i.a+4]
			n := r[0].n + r[2].n
			if r[2].n > 0 && n <= r[1].n || r[2].n <= 0 && n >= r[1].n {
				r[0].n = n
				r[3] = Value{o: number{}, n: n}
				s.back(pc - int(i.b))
				pc = int(i.b)
			}
		case opForCall:
			r := regs[i.a:]
			if fn, ok := r[0].o.(*goFunction); ok && fn == s.next {
				if tab, ok := r[1].o.(*Table); ok {
					key, v := s.nextOf(tab, r[2])
					clear(r[3 : 3+max(i.c, 2)])
					r[3], r[4] = key, v
					if key.o != nil {
						r[2] = key
						s.back(pc - int(i.b))
						pc = int(i.b)
					}
					continue
				}
			}
			if fn, ok := r[0].o.(*goFunction); ok && fn == s.ipairs {
				if tab, ok := r[1].o.(*Table); ok {
					n := int(r[2].n) + 1
					v := tab.GetInt(n)
					clear(r[3 : 3+max(i.c, 2)])
					if v.o != nil {
						r[3], r[4] = Number(float64(n)), v
						r[2] = r[3]
						s.back(pc - int(i.b))
						pc = int(i.b)
					}
					continue
				}
			}
			r[3], r[4], r[5] = r[0], r[1], r[2]
			at := f.base + int(i.a) + 3
			s.invoke(t, at, 2, int(i.c))
			t.top = f.base + f.cl.p.maxStack
			regs = t.stack[f.base : f.base+f.cl.p.maxStack]
			if r := regs[i.a:]; r[3].o != nil {
				r[2] = r[3]
				s.back(pc - int(i.b))
				pc = int(i.b)
			}
		}
	}
}

// rk is the place of an operand.
func rk(regs, k []Value, i int32) *Value {
	if i >= 0 {
		return &regs[i]
	}
	return &k[-1-i]
}

// both says whether two values are numbers.
func both(a, b *Value) bool {
	_, x := a.o.(number)
	_, y := b.o.(number)
	return x && y
}

// back counts the steps of a loop's body.
func (s *State) back(n int) {
	if s.steps -= n; s.steps < 0 {
		s.exhausted()
	}
}

// callOp calls what is in a slot from a Lua function. It returns the frame to go on
// with: the one called, or the caller's.
func (s *State) callOp(t *thread, f *frame, at, nargs, want int) (yielded bool, _ *frame) {
	for {
		switch fn := t.stack[at].o.(type) {
		case *closure:
			s.push(t, fn, at, nargs, want)
			return false, t.frame
		case *goFunction:
			if fn.yields && t.loops == 1 && t != s.main {
				t.to, t.want = at, want
				t.top = at + 1 + nargs // what is yielded lies below
				return true, f
			}
			s.callGo(t, fn, at, nargs, want, true)
			if want >= 0 {
				t.top = f.base + f.cl.p.maxStack
			}
			return false, f
		}
		s.shift(t, at, nargs, f.operand(0))
		nargs++
	}
}

func (s *State) deliverVarargs(t *thread, f *frame, to, want int) {
	n := want
	if n < 0 {
		n = len(f.varargs)
	}
	s.Step(n / 8)
	s.room(t, to+n)
	dst := t.stack[to : to+n]
	clear(dst[copy(dst, f.varargs):])
	if want < 0 {
		t.top = to + n
	}
}

func (s *State) closure(f *frame, regs []Value, p *Proto) Value {
	s.charge(64 + 8*len(p.up))
	cl := &closure{p: p, env: f.cl.env}
	if len(p.up) > 0 {
		cl.up = make([]*cell, len(p.up))
		for j, c := range p.up {
			if c.fromUp {
				cl.up[j] = f.cl.up[c.index]
			} else {
				cl.up[j] = regs[c.index].o.(*cell)
			}
		}
	}
	return Value{o: cl}
}

func (s *State) setList(t *Table, values []Value, from int) {
	s.Step(len(values) / 8)
	if from == len(t.list) && t.live == 0 {
		s.charge(len(values) * slotBytes)
		t.list = append(t.list, values...)
		n := len(t.list)
		for n > 0 && t.list[n-1].IsNil() {
			n--
		}
		t.list = t.list[:n]
		return
	}
	for i, v := range values {
		s.charge(t.Set(Number(float64(from+i+1)), v))
	}
}

func (s *State) forPrep(r []Value) {
	for j, what := range [...]string{"initial value", "limit", "step"} {
		s.lookAt(r[j])
		n, ok := r[j].ToNumber()
		if !ok {
			s.fail("'for' %s must be a number", what)
		}
		r[j] = Number(n)
	}
	r[0].n -= r[2].n
}

// operand is what operand j of the instruction under way is called.
func (f *frame) operand(j int) naming {
	if n := f.cl.p.names[int32(f.pc-1)]; j < len(n) {
		return n[j]
	}
	return naming{}
}

func compareNumbers(op opcode, a, b float64) bool {
	switch op {
	case opJumpEq:
		return a == b
	case opJumpNe:
		return a != b
	case opJumpLt:
		return a < b
	case opJumpNotLt:
		return !(a < b)
	case opJumpLe:
		return a <= b
	}
	return !(a <= b)
}

// arithmetic is what the loop does not do itself. It returns the registers anew.
func (s *State) arithmetic(t *thread, f *frame, i *instr, b, c Value) []Value {
	s.lookAt(b)
	s.lookAt(c)
	x, okB := b.ToNumber()
	y, okC := c.ToNumber()
	var v Value
	if okB && okC {
		v = Number(calculate(i.op, x, y))
	} else {
		v = s.metaArithmetic(f, i.op, b, c)
	}
	regs := t.stack[f.base : f.base+f.cl.p.maxStack]
	regs[i.a] = v
	return regs
}

func calculate(op opcode, x, y float64) float64 {
	switch op {
	case opAdd:
		return x + y
	case opSub:
		return x - y
	case opMul:
		return x * y
	case opDiv:
		return x / y
	case opMod:
		return x - math.Floor(x/y)*y
	case opPow:
		return math.Pow(x, y)
	}
	return -x
}
