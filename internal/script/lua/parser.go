package lua

import "strings"

// Bounds of one chunk.
const (
	maxLocals   = 200
	maxUpvalues = 60
	maxNesting  = 200 // C levels, as Lua calls it
)

// parser reads a chunk by recursive descent.
type parser struct {
	lexer
	tok, ahead token
	looked     bool
	fn         *function
	depth      int
}

// parse reads a chunk; what is wrong with it is a panic of *Error.
func parse(src, chunk string) *function {
	p := &parser{lexer: lexer{src: src, line: 1, chunk: chunk}}
	p.fn = &function{vararg: true}
	if strings.HasPrefix(src, "#") { // as Lua skips a first line for the shell
		for p.pos < len(src) && src[p.pos] != '\n' {
			p.pos++
		}
	}
	p.advance()
	p.fn.body = p.block()
	if p.tok.kind != tokEOF {
		p.expected("<eof>")
	}
	p.fn.endLine = p.tok.line
	return p.fn
}

func (p *parser) advance() {
	if p.looked {
		p.tok, p.looked = p.ahead, false
		return
	}
	p.tok = p.next()
}

func (p *parser) lookahead() token {
	if !p.looked {
		p.ahead, p.looked = p.next(), true
	}
	return p.ahead
}

func (p *parser) syntax(what string) {
	line := p.line
	p.line = p.tok.line
	defer func() { p.line = line }()
	p.fail(p.tok.raw, "%s", what)
}

func (p *parser) expected(what string) { p.syntax("'" + what + "' expected") }

// is says whether the token is this operator or keyword.
func (p *parser) is(text string) bool {
	return p.tok.text == text && (p.tok.kind == tokOp || p.tok.kind == tokKeyword)
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.expected(text)
	}
}

// closeWith expects the end of what began with open at a line.
func (p *parser) closeWith(text, open string, line int) {
	if p.accept(text) {
		return
	}
	if line == p.tok.line {
		p.expected(text)
	}
	p.syntax("'" + text + "' expected (to close '" + open + "' at line " + FormatNumber(float64(line)) + ")")
}

func (p *parser) name() string {
	if p.tok.kind != tokName {
		p.expected("<name>")
	}
	s := p.tok.text
	p.advance()
	return s
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxNesting {
		p.fail("", "chunk has too many syntax levels")
	}
}

func (p *parser) leave() { p.depth-- }

// declare makes a local visible.
func (p *parser) declare(v *local) {
	if len(p.fn.scope) >= maxLocals {
		p.fail("", "%s", p.tooMany("local variables", maxLocals))
	}
	p.fn.scope = append(p.fn.scope, v)
}

func (p *parser) tooMany(what string, limit int) string {
	where := "main function has more than "
	if p.fn.outer != nil {
		where = "function at line " + FormatNumber(float64(p.fn.line)) + " has more than "
	}
	return where + FormatNumber(float64(limit)) + " " + what
}

func (p *parser) blockEnds() bool {
	return p.tok.kind == tokEOF || p.is("end") || p.is("else") || p.is("elseif") || p.is("until")
}

// block reads statements; its locals are not visible behind it.
func (p *parser) block() []stat {
	visible := len(p.fn.scope)
	body := p.statements()
	p.fn.scope = p.fn.scope[:visible]
	return body
}

func (p *parser) statements() (body []stat) {
	p.enter()
	defer p.leave()
	for !p.blockEnds() {
		last := p.is("return") || p.is("break")
		body = append(body, p.statement())
		p.accept(";")
		if last {
			break
		}
	}
	return body
}

func (p *parser) statement() stat {
	line := p.tok.line
	if p.tok.kind == tokKeyword {
		switch p.tok.text {
		case "if":
			return p.ifStatement(line)
		case "while":
			p.advance()
			cond := p.expr()
			p.expect("do")
			body := p.loop()
			p.closeWith("end", "while", line)
			return &whileStat{cond, body, line}
		case "do":
			p.advance()
			body := p.block()
			p.closeWith("end", "do", line)
			return &doStat{body}
		case "for":
			return p.forStatement(line)
		case "repeat":
			return p.repeatStatement(line)
		case "function":
			return p.functionStatement(line)
		case "local":
			p.advance()
			if p.accept("function") {
				v := &local{name: p.name()}
				p.declare(v)
				return &localFunc{v, p.functionBody(false, line), line}
			}
			return p.localStatement(line)
		case "return":
			p.advance()
			s := &returnStat{line: line}
			if !p.blockEnds() && !p.is(";") {
				s.exprs = p.exprs()
			}
			return s
		case "break":
			p.advance()
			if p.fn.loops == 0 {
				p.syntax("no loop to break")
			}
			return &breakStat{line}
		}
	}
	return p.exprStatement(line)
}

// loop is a block that break leaves.
func (p *parser) loop() []stat {
	p.fn.loops++
	defer func() { p.fn.loops-- }()
	return p.block()
}

func (p *parser) ifStatement(line int) stat {
	s := &ifStat{line: line}
	for {
		p.advance() // if, elseif
		s.conds = append(s.conds, p.expr())
		p.expect("then")
		s.bodies = append(s.bodies, p.block())
		if !p.is("elseif") {
			break
		}
	}
	if p.accept("else") {
		s.bodies = append(s.bodies, p.block())
	}
	p.closeWith("end", "if", line)
	return s
}

func (p *parser) repeatStatement(line int) stat {
	p.advance()
	visible := len(p.fn.scope)
	p.fn.loops++
	s := &repeatStat{body: p.statements(), line: line}
	p.fn.loops--
	p.closeWith("until", "repeat", line)
	s.cond = p.expr() // sees the body's locals
	p.fn.scope = p.fn.scope[:visible]
	return s
}

func (p *parser) forStatement(line int) stat {
	p.advance()
	first := &local{name: p.name()}
	fn, visible := p.fn, len(p.fn.scope)
	defer func() { fn.scope = fn.scope[:visible] }()
	hide := func(names ...string) { // the loop's own state takes places too
		for _, n := range names {
			p.declare(&local{name: n})
		}
	}
	switch {
	case p.accept("="):
		s := &numericFor{v: first, line: line}
		s.start = p.expr()
		p.expect(",")
		s.limit = p.expr()
		if p.accept(",") {
			s.step = p.expr()
		}
		hide("(for index)", "(for limit)", "(for step)")
		p.expect("do")
		p.declare(first)
		s.body = p.loop()
		p.closeWith("end", "for", line)
		return s
	case p.is(",") || p.is("in"):
		s := &genericFor{vars: []*local{first}, line: line}
		for p.accept(",") {
			s.vars = append(s.vars, &local{name: p.name()})
		}
		p.expect("in")
		s.line = p.tok.line
		s.exprs = p.exprs()
		hide("(for generator)", "(for state)", "(for control)")
		p.expect("do")
		for _, v := range s.vars {
			p.declare(v)
		}
		s.body = p.loop()
		p.closeWith("end", "for", line)
		return s
	}
	p.syntax("'=' or 'in' expected")
	return nil
}

func (p *parser) functionStatement(line int) stat {
	p.advance()
	var target expr = p.variable(p.name(), line)
	method := false
	for p.is(".") || p.is(":") {
		method = p.is(":")
		p.advance()
		target = &indexExpr{target, &constExpr{String(p.name())}, line}
		if method {
			break
		}
	}
	return &assignStat{[]expr{target}, []expr{&funcExpr{p.functionBody(method, line)}}, line}
}

func (p *parser) localStatement(line int) stat {
	s := &localStat{line: line}
	for {
		s.vars = append(s.vars, &local{name: p.name()})
		if !p.accept(",") {
			break
		}
	}
	if p.accept("=") {
		s.exprs = p.exprs()
	}
	for _, v := range s.vars { // visible behind the statement
		p.declare(v)
	}
	return s
}

func (p *parser) exprStatement(line int) stat {
	e := p.suffixed()
	switch e.(type) {
	case *callExpr, *methodExpr:
		return &callStat{e, line}
	}
	s := &assignStat{targets: []expr{p.assignable(e)}, line: line}
	for p.accept(",") {
		s.targets = append(s.targets, p.assignable(p.suffixed()))
	}
	p.expect("=")
	s.exprs = p.exprs()
	return s
}

func (p *parser) assignable(e expr) expr {
	switch e.(type) {
	case *localExpr, *upvalueExpr, *globalExpr, *indexExpr:
	default:
		p.syntax("syntax error")
	}
	return e
}

func (p *parser) exprs() []expr {
	list := []expr{p.expr()}
	for p.accept(",") {
		list = append(list, p.expr())
	}
	return list
}

// variable resolves a name.
func (p *parser) variable(name string, line int) expr {
	if v := p.fn.find(name); v != nil {
		return &localExpr{v}
	}
	if i := p.upvalue(p.fn, name); i >= 0 {
		return &upvalueExpr{i, name}
	}
	return &globalExpr{name, line}
}

func (f *function) find(name string) *local {
	for i := len(f.scope) - 1; i >= 0; i-- {
		if f.scope[i].name == name {
			return f.scope[i]
		}
	}
	return nil
}

// upvalue finds a name in the functions around f, and its place in f's closures; -1 if
// it is global.
func (p *parser) upvalue(f *function, name string) int {
	if f.outer == nil {
		return -1
	}
	up := upvalue{name: name, local: f.outer.find(name)}
	if up.local != nil {
		up.local.captured = true
	} else if up.index = p.upvalue(f.outer, name); up.index < 0 {
		return -1
	}
	for i, u := range f.up {
		if u.local == up.local && u.index == up.index {
			return i
		}
	}
	if len(f.up) >= maxUpvalues {
		p.fail("", "%s", p.tooMany("upvalues", maxUpvalues))
	}
	f.up = append(f.up, up)
	return len(f.up) - 1
}

func (p *parser) primary() expr {
	line := p.tok.line
	switch {
	case p.tok.kind == tokName:
		return p.variable(p.name(), line)
	case p.accept("("):
		e := p.expr()
		p.closeWith(")", "(", line)
		return &parenExpr{e}
	}
	p.syntax("unexpected symbol")
	return nil
}

func (p *parser) suffixed() expr {
	e := p.primary()
	for {
		line := p.tok.line
		switch {
		case p.accept("."):
			e = &indexExpr{e, &constExpr{String(p.name())}, line}
		case p.accept("["):
			key := p.expr()
			p.expect("]")
			e = &indexExpr{e, key, line}
		case p.accept(":"):
			name := p.name()
			e = &methodExpr{e, name, p.callArgs(), line}
		case p.is("(") || p.is("{") || p.tok.kind == tokString:
			if p.is("(") && line != p.lastLine() {
				p.syntax("ambiguous syntax (function call x new statement)")
			}
			e = &callExpr{e, p.callArgs(), line}
		default:
			return e
		}
	}
}

// lastLine is the line of the token before the current one.
func (p *parser) lastLine() int {
	if p.looked { // never before an argument list
		return p.tok.line
	}
	at := p.pos - len(p.tok.raw)
	line := p.tok.line
	for at > 0 && isSpace(p.src[at-1]) {
		at--
		if p.src[at] == '\n' {
			line--
		}
	}
	return line
}

func (p *parser) callArgs() []expr {
	line := p.tok.line
	switch {
	case p.tok.kind == tokString:
		s := p.tok.text
		p.advance()
		return []expr{&constExpr{String(s)}}
	case p.is("{"):
		return []expr{p.table()}
	case p.accept("("):
		if p.accept(")") {
			return nil
		}
		args := p.exprs()
		p.closeWith(")", "(", line)
		return args
	}
	p.syntax("function arguments expected")
	return nil
}

func (p *parser) table() expr {
	t := &tableExpr{line: p.tok.line}
	p.expect("{")
	for !p.is("}") {
		var item tableItem
		switch {
		case p.tok.kind == tokName && p.lookahead().kind == tokOp && p.lookahead().text == "=":
			item.key = &constExpr{String(p.name())}
			p.expect("=")
		case p.accept("["):
			item.key = p.expr()
			p.expect("]")
			p.expect("=")
		}
		item.value = p.expr()
		t.items = append(t.items, item)
		if !p.accept(",") && !p.accept(";") {
			break
		}
	}
	p.closeWith("}", "{", t.line)
	return t
}

func (p *parser) functionBody(method bool, line int) *function {
	f := &function{outer: p.fn, line: line}
	p.fn = f
	depth := p.depth
	if method {
		f.params = append(f.params, &local{name: "self"})
	}
	p.expect("(")
	for !p.is(")") {
		if p.accept("...") {
			f.vararg = true
			break
		}
		if p.tok.kind != tokName {
			p.syntax("<name> or '...' expected")
		}
		f.params = append(f.params, &local{name: p.name()})
		if !p.accept(",") {
			break
		}
		if p.is(")") {
			p.syntax("<name> or '...' expected")
		}
	}
	p.expect(")")
	for _, v := range f.params {
		p.declare(v)
	}
	if f.vararg { // as before Lua 5.1
		f.arg = &local{name: "arg"}
		p.declare(f.arg)
	}
	f.body = p.block()
	f.endLine = p.tok.line
	p.closeWith("end", "function", line)
	p.fn, p.depth = f.outer, depth
	return f
}

// Priorities of binary operators, to the left and to the right.
var priorities = map[string][2]int{
	"or": {1, 1}, "and": {2, 2}, "<": {3, 3}, ">": {3, 3}, "<=": {3, 3}, ">=": {3, 3}, "~=": {3, 3}, "==": {3, 3},
	"..": {5, 4}, "+": {6, 6}, "-": {6, 6}, "*": {7, 7}, "/": {7, 7}, "%": {7, 7}, "^": {10, 9},
}

const unaryPriority = 8

func (p *parser) expr() expr { return p.operation(0) }

// operation reads an expression whose operators bind stronger than limit.
func (p *parser) operation(limit int) expr {
	p.enter()
	defer p.leave()
	var e expr
	line := p.tok.line
	switch {
	case p.is("not") || p.is("-") || p.is("#"):
		op := p.tok.text
		p.advance()
		e = fold(&unaryExpr{op, p.operation(unaryPriority), line})
	default:
		e = p.simple()
	}
	for p.tok.kind == tokOp || p.tok.kind == tokKeyword {
		op := p.tok.text
		prio, ok := priorities[op]
		if !ok || prio[0] <= limit {
			break
		}
		line := p.tok.line
		p.advance()
		e = fold(&binaryExpr{op, e, p.operation(prio[1]), line})
	}
	return e
}

// fold computes a negated numeral; more is not worth the care.
func fold(e expr) expr {
	if u, ok := e.(*unaryExpr); ok && u.op == "-" {
		if c, ok := u.a.(*constExpr); ok {
			if n, ok := c.value.Num(); ok && n != 0 {
				return &constExpr{Number(-n)}
			}
		}
	}
	return e
}

func (p *parser) simple() expr {
	var e expr
	switch {
	case p.tok.kind == tokNumber:
		e = &constExpr{Number(p.tok.num)}
	case p.tok.kind == tokString:
		e = &constExpr{String(p.tok.text)}
	case p.is("nil"):
		e = &constExpr{Nil}
	case p.is("true"):
		e = &constExpr{Bool(true)}
	case p.is("false"):
		e = &constExpr{Bool(false)}
	case p.is("..."):
		if !p.fn.vararg {
			p.syntax("cannot use '...' outside a vararg function")
		}
		p.fn.usesVararg = true
		e = &varargExpr{}
	case p.is("{"):
		return p.table()
	case p.is("function"):
		line := p.tok.line
		p.advance()
		return &funcExpr{p.functionBody(false, line)}
	default:
		return p.suffixed()
	}
	p.advance()
	return e
}
