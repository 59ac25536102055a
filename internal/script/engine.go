package script

import (
	"strconv"

	"coterie/internal/resp"
	"coterie/internal/script/libs"
	"coterie/internal/script/lua"
)

// MaxMemory bounds, in bytes, what one run has reachable.
const MaxMemory = 64 << 20

// Host is where a run's commands run.
type Host interface {
	// Call runs a command and returns its reply in RESP version proto. refusal says
	// why it was not run. ok is false if the run is to be diverted.
	Call(args [][]byte, proto int) (reply []byte, refusal string, ok bool)
	// Known says whether there is such a command.
	Known(args [][]byte) bool
	// More is asked when the steps are used up: for more of them, or why and how the
	// run ends.
	More() (steps int, end End)
	// Rand is where the run's random numbers begin.
	Rand() uint64
	// Seconds is processor time, about, for os.clock.
	Seconds() float64
	// Log takes a line that the script logs; level is 0 … 3 from debug to warning.
	Log(level int, text string)
}

// End is how a run ends that a Host gives no more steps.
type End struct {
	// Divert ends the run as if it had not been.
	Divert bool
	// Error, if not empty, is the error that the run ends with, its code included.
	Error string
}

// Run is one run of a script or function.
type Run struct {
	Host       Host
	Keys, Args [][]byte
	Out        *resp.Writer
	MaxReply   int // bytes; 0: no limit
	Steps      int // before Host.More is asked
}

// Engine runs scripts, one after another.
type Engine struct {
	scripts   *world
	functions *world
	loaded    map[string]*loaded // by library
}

// NewEngine returns an Engine. What it needs is made when it is first used.
func NewEngine() *Engine { return &Engine{loaded: map[string]*loaded{}} }

// world is a State with its globals.
type world struct {
	s     *lua.State
	libs  *libs.Libraries
	redis *lua.Table // what the global is
	// Of libraries: what redis is while one is loaded, the globals at that time, and
	// the table that its functions have as globals. That is empty; its metatable's
	// __index leads to the one or the other.
	load, loading, inLibrary, libraryMeta *lua.Table

	run   *Run
	proto int // of replies to the script's commands
	// registering is set while a library is loaded.
	registering *registering
}

// Eval runs a script and writes its reply. It is false if the run was diverted: then
// nothing is written.
func (e *Engine) Eval(sc *Script, r *Run) bool {
	if e.scripts == nil {
		e.scripts = newWorld(false)
	}
	w := e.scripts
	w.s.Globals.SetString("KEYS", texts(r.Keys))
	w.s.Globals.SetString("ARGV", texts(r.Args))
	return w.execute(r, sc.SHA, w.s.Load(sc.proto))
}

// execute runs a function of Lua. name is what errors call the script.
func (w *world) execute(r *Run, name string, fn lua.Value, args ...lua.Value) bool {
	w.begin(r)
	start := len(r.Out.Buf)
	v, err := w.s.Run(fn, args...)
	diverted := false
	switch {
	case err != nil && err.Final && err.Value == divert:
		diverted = true
	case err != nil:
		w.writeError(name, err)
	default:
		(&converter{out: r.Out, resp: w.proto, limit: start + r.MaxReply, limited: r.MaxReply > 0}).value(v, 0)
		if r.MaxReply > 0 && len(r.Out.Buf)-start > r.MaxReply {
			r.Out.Buf = r.Out.Buf[:start]
			r.Out.Error("ERR reply would exceed the maximum reply size")
		}
	}
	w.end()
	return !diverted
}

var divert = lua.String("\x00divert")

func (w *world) begin(r *Run) {
	w.run, w.proto = r, 2
	w.libs.Reset()
	w.s.Hook = func() (int, *lua.Error) {
		steps, end := r.Host.More()
		switch {
		case end.Divert:
			return 0, &lua.Error{Value: divert}
		case end.Error != "":
			t := lua.NewTable(0)
			t.SetString("err", lua.String(end.Error))
			return 0, &lua.Error{Value: lua.FromTable(t)}
		}
		return steps, nil
	}
	w.s.MemoryLimit = MaxMemory
	w.s.Begin(r.Steps)
	w.s.Seed(int32(r.Host.Rand()))
}

func (w *world) end() {
	w.s.End()
	w.run, w.s.Hook = nil, nil
	w.s.Globals.SetString("KEYS", lua.Nil)
	w.s.Globals.SetString("ARGV", lua.Nil)
}

// writeError writes the error that a run ended with.
func (w *world) writeError(name string, err *lua.Error) {
	text, ok := "", false
	if t, isTable := err.Value.Table(); isTable {
		if text, ok = t.GetString("err").Text(); !ok {
			text = "ERR unknown error"
		}
	} else if s, isText := err.Value.Text(); isText && err.Final {
		w.run.Out.Error("ERR Error running script " + name + ", " + s)
		return
	} else {
		text = "ERR " + w.s.Text(err.Value)
	}
	source, line := "=[C]", -1
	if err.Source != "" {
		source, line = "@"+err.Source, err.Line
	}
	w.run.Out.Error(text + " script: " + name + ", on " + source + ":" + strconv.Itoa(line) + ".")
}

func texts(items [][]byte) lua.Value {
	t := lua.NewTable(len(items))
	for _, b := range items {
		t.Append(lua.String(string(b)))
	}
	return lua.FromTable(t)
}
