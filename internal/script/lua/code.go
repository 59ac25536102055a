package lua

import "math"

type opcode uint8

// Operands called rk are a register, or a constant as -1-index.
const (
	opMove      opcode = iota // R[a] = R[b]
	opLoad                    // R[a] = K[b]
	opLoadNil                 // R[a] … R[a+b-1] = nil
	opGetUp                   // R[a] = up[b]
	opSetUp                   // up[a] = rk b
	opGetCell                 // R[a] = cell R[b]
	opSetCell                 // cell R[a] = rk b
	opNewCell                 // R[a] = new cell of R[a]
	opGetGlobal               // R[a] = globals[K[b]]
	opSetGlobal               // globals[K[a]] = rk b
	opIndex                   // R[a] = R[b][rk c]
	opSetIndex                // R[a][rk b] = rk c
	opNewTable                // R[a] = {} with room for b
	opSetList                 // R[a][c+1 …] = R[a+1] … b of them; b < 0: up to the top
	opSelf                    // R[a+1] = R[b]; R[a] = R[b][K[c]]
	opAdd                     // R[a] = rk b + rk c
	opSub                     //
	opMul                     //
	opDiv                     //
	opMod                     //
	opPow                     //
	opNeg                     // R[a] = -rk b
	opNot                     // R[a] = not rk b
	opLen                     // R[a] = #rk b
	opConcat                  // R[a] = R[b] .. … c of them
	opJump                    // to a
	opJumpIf                  // to a if R[b]
	opJumpIfNot               // to a if not R[b]
	opJumpEq                  // to a if rk b == rk c
	opJumpNe                  //
	opJumpLt                  //
	opJumpNotLt               //
	opJumpLe                  //
	opJumpNotLe               //
	opCall                    // R[a], … = R[a](R[a+1] …) b arguments (-1: up to the top), c results (-1: all)
	opTailCall                // return R[a](…)
	opReturn                  // return R[a] … b of them; -1: up to the top
	opVararg                  // R[a] … = ... c of them; -1: all
	opArg                     // R[a] = {n = …, ...}
	opClosure                 // R[a] = function b
	opForPrep                 // R[a] … R[a+2] checked; to b
	opForLoop                 // R[a] += R[a+2]; to b while within R[a+1], with R[a+3] = R[a]
	opForCall                 // R[a+3] … c of them = R[a](R[a+1], R[a+2]); to b unless nil, with R[a+2] = R[a+3]
)

type instr struct {
	op      opcode
	a, b, c int32
}

// naming says what an operand is called, for errors.
type naming struct{ kind, name string }

// Proto is a compiled function.
type Proto struct {
	chunk    string
	line     int
	code     []instr
	lines    []int32
	names    map[int32][]naming // by instruction
	consts   []Value
	protos   []*Proto
	up       []capture
	params   int
	vararg   bool
	maxStack int
	bytes    int // of all that was compiled, about; of the main function only
}

// Bytes is about how much memory the compiled chunk takes.
func (p *Proto) Bytes() int { return p.bytes }

// capture says where a new closure finds a variable: in a cell in a register of the
// function around it, or among its upvalues.
type capture struct {
	fromUp bool
	index  int
}

// maxRegisters bounds the registers of one function.
const maxRegisters = 250

// Compile compiles a chunk. Its name is what errors call it.
func Compile(src, chunk string) (p *Proto, err *Error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			p, err = nil, e
		}
	}()
	g := &generator{}
	p = g.function(parse(src, chunk), chunk, nil)
	p.bytes = len(src) + g.total*40
	return p, nil
}

type generator struct {
	*fnState
	total int // instructions
}

// fnState is one function being generated.
type fnState struct {
	p      *Proto
	f      *function
	outer  *fnState
	free   int // first free register
	line   int
	consts map[any]int32
	breaks [][]int // jumps out of the loops around
}

func (g *generator) function(f *function, chunk string, outer *fnState) *Proto {
	saved := g.fnState
	defer func() { g.fnState = saved }()
	g.fnState = &fnState{
		p: &Proto{chunk: chunk, line: f.line, params: len(f.params), vararg: f.vararg, names: map[int32][]naming{}},
		f: f, outer: outer, line: f.line, consts: map[any]int32{},
	}
	for _, u := range f.up {
		c := capture{fromUp: u.local == nil, index: u.index}
		if u.local != nil {
			c.index = u.local.reg
		}
		g.p.up = append(g.p.up, c)
	}
	for _, v := range f.params {
		v.reg = g.alloc()
	}
	for _, v := range f.params {
		g.wrap(v)
	}
	if f.arg != nil {
		f.arg.reg = g.alloc()
		if f.usesVararg {
			g.emit(opLoadNil, f.arg.reg, 1, 0)
		} else {
			g.emit(opArg, f.arg.reg, 0, 0)
		}
		g.wrap(f.arg)
	}
	g.block(f.body)
	g.line = f.endLine
	g.emit(opReturn, 0, 0, 0)
	g.p.maxStack += 2
	g.total += len(g.p.code)
	return g.p
}

func (g *generator) emit(op opcode, a, b, c int) int {
	g.p.code = append(g.p.code, instr{op, int32(a), int32(b), int32(c)})
	g.p.lines = append(g.p.lines, int32(g.line))
	return len(g.p.code) - 1
}

// name notes what the operands of the last instruction are called.
func (g *generator) name(names ...naming) {
	for _, n := range names {
		if n.kind != "" {
			g.p.names[int32(len(g.p.code)-1)] = names
			return
		}
	}
}

func naming1(e expr) naming {
	switch e := e.(type) {
	case *localExpr:
		return naming{"local", e.v.name}
	case *upvalueExpr:
		return naming{"upvalue", e.name}
	case *globalExpr:
		return naming{"global", e.name}
	case *indexExpr:
		if c, ok := e.key.(*constExpr); ok {
			if s, ok := c.value.Str(); ok {
				return naming{"field", s}
			}
		}
		return naming{"field", "?"}
	case *parenExpr:
		return naming1(e.inner)
	}
	return naming{}
}

func (g *generator) alloc() int { return g.allocN(1) }

func (g *generator) allocN(n int) int {
	r := g.free
	g.free += n
	if g.free > g.p.maxStack {
		g.p.maxStack = g.free
		if g.free > maxRegisters {
			g.fail("function or expression too complex")
		}
	}
	return r
}

func (g *generator) fail(text string) {
	panic(&Error{Value: String(g.p.chunk + ":" + FormatNumber(float64(g.line)) + ": " + text)})
}

type zeroKey struct{ negative bool }

// constant returns a constant as an operand.
func (g *generator) constant(v Value) int {
	key := v.o
	if n, ok := v.Num(); ok {
		key = n
		if n == 0 {
			key = zeroKey{math.Signbit(n)} // 0 and -0 are equal and differ
		}
		if n != n {
			key = nil
		}
	}
	if i, ok := g.consts[key]; ok && key != nil {
		return int(-1 - i)
	}
	if v.IsNil() {
		key = struct{}{}
		if i, ok := g.consts[key]; ok {
			return int(-1 - i)
		}
	}
	i := int32(len(g.p.consts))
	g.p.consts = append(g.p.consts, v)
	if key != nil {
		g.consts[key] = i
	}
	return int(-1 - i)
}

// constIndex is a string's place among the constants.
func (g *generator) constIndex(s string) int { return -1 - g.constant(String(s)) }

// wrap puts a new local into a cell if inner functions use it.
func (g *generator) wrap(v *local) {
	if v.captured {
		g.emit(opNewCell, v.reg, 0, 0)
	}
}

func (g *generator) here() int { return len(g.p.code) }

// patch lets jumps go to a place.
func (g *generator) patch(jumps []int, to int) {
	for _, pc := range jumps {
		i := &g.p.code[pc]
		switch i.op {
		case opForPrep, opForLoop, opForCall:
			i.b = int32(to)
		default:
			i.a = int32(to)
		}
	}
}

func (g *generator) jump(to int) int { return g.emit(opJump, to, 0, 0) }
