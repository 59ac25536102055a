package lua

// The tree of a chunk, its names resolved. Expressions and statements are told apart
// by type switches in the generator.

// local is a declared local variable. It lives in a cell once an inner function uses it.
type local struct {
	name     string
	captured bool
	reg      int
}

type expr any

type (
	constExpr  struct{ value Value }
	varargExpr struct{}
	localExpr  struct{ v *local }
	// upvalueExpr is a variable of an outer function, by its place in the closure.
	upvalueExpr struct {
		index int
		name  string
	}
	globalExpr struct {
		name string
		line int
	}
	indexExpr struct {
		obj, key expr
		line     int
	}
	callExpr struct {
		fn   expr
		args []expr
		line int
	}
	methodExpr struct {
		obj  expr
		name string
		args []expr
		line int
	}
	funcExpr  struct{ f *function }
	tableExpr struct {
		items []tableItem
		line  int
	}
	binaryExpr struct {
		op   string
		a, b expr
		line int
	}
	unaryExpr struct {
		op   string
		a    expr
		line int
	}
	// parenExpr cuts several values down to one.
	parenExpr struct{ inner expr }
)

// tableItem is one of a constructor; without a key it goes to the next position.
type tableItem struct{ key, value expr }

type stat any

type (
	localStat struct {
		vars  []*local
		exprs []expr
		line  int
	}
	assignStat struct {
		targets []expr
		exprs   []expr
		line    int
	}
	callStat struct {
		call expr
		line int
	}
	doStat    struct{ body []stat }
	whileStat struct {
		cond expr
		body []stat
		line int
	}
	repeatStat struct {
		body []stat
		cond expr
		line int
	}
	ifStat struct {
		conds  []expr
		bodies [][]stat // one more than conds if there is an else
		line   int
	}
	numericFor struct {
		v                  *local
		start, limit, step expr
		body               []stat
		line               int
	}
	genericFor struct {
		vars  []*local
		exprs []expr
		body  []stat
		line  int
	}
	localFunc struct {
		v    *local
		f    *function
		line int
	}
	returnStat struct {
		exprs []expr
		line  int
	}
	breakStat struct{ line int }
)

// function is a function's text, and while it is read, what is visible in it.
type function struct {
	params  []*local
	vararg  bool
	body    []stat
	line    int
	endLine int
	up      []upvalue
	// arg is the table of further arguments, for those that do not say '...'.
	arg        *local
	usesVararg bool

	outer *function
	scope []*local // visible, innermost last
	loops int
}

// upvalue says where a closure finds a variable when it is made: in a register of the
// function around it, or among that one's own upvalues.
type upvalue struct {
	name  string
	local *local // of the function around
	index int    // among its upvalues, if local is nil
}
