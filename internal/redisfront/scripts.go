package redisfront

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype/scripting"
	"coterie/internal/keyspace"
	"coterie/internal/partition"
	"coterie/internal/script"
	"coterie/internal/spanning"
)

const (
	errNoScript = "NOSCRIPT No matching script. Please use EVAL."
	// errNoLibraries is for a function that this node does not know, while the
	// others cannot be asked for it.
	errNoLibraries = "CLUSTERDOWN The function is not known here, and the catalog cannot be asked for it"
	// scriptTime is how long a script may run at a gateway.
	scriptTime = 60 * time.Second
	errTooLong = "ERR Script ended: it ran for longer than 60 s."
	errKilled  = "ERR Script killed by user with "
)

// scripts is what a front has of scripts.
type scripts struct {
	store *script.Store
	fault func(command.Fault) // see Options
	mu    sync.Mutex
	// free are evaluators to use again; running are scripts on their way here.
	free    []*scriptEvaluator
	running map[*runningScript]struct{}
}

// freeEvaluators bounds the evaluators that are kept.
const freeEvaluators = 8

// scriptEvaluator evaluates what spans partitions, scripts too.
type scriptEvaluator struct {
	eval    *command.Evaluator
	machine *scripting.Machine
}

// runningScript is a script that a session of this node runs.
type runningScript struct {
	args    [][]byte
	eval    bool // and no function
	started time.Time
	log     *slog.Logger
	end     atomic.Pointer[string]
}

var _ scripting.Control = (*runningScript)(nil)

// Running implements scripting.Control.
func (r *runningScript) Running() (end string) {
	if why := r.end.Load(); why != nil {
		return *why
	}
	if time.Since(r.started) > scriptTime {
		return errTooLong
	}
	return ""
}

// Seconds implements scripting.Control.
func (r *runningScript) Seconds() float64 { return time.Since(r.started).Seconds() }

// Log implements scripting.Control.
func (r *runningScript) Log(level int, text string) { LogScript(r.log, level, text) }

// LogScript logs what a script has to say; level is Redis's, 0 … 3.
func LogScript(log *slog.Logger, level int, text string) {
	l := [...]slog.Level{slog.LevelDebug, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn}[level&3]
	log.Log(context.Background(), l, "script", "says", text)
}

func (x *scripts) init(store *script.Store, fault func(command.Fault)) {
	if store == nil {
		store = script.NewStore()
	}
	x.store, x.fault, x.running = store, fault, map[*runningScript]struct{}{}
}

// takeEvaluator returns an evaluator for one evaluation on a session, which gives it
// back.
func (f *Front) takeEvaluator() (e *scriptEvaluator) {
	x := &f.scripts
	x.mu.Lock()
	if n := len(x.free); n > 0 {
		e, x.free = x.free[n-1], x.free[:n-1]
	}
	x.mu.Unlock()
	if e == nil {
		e = &scriptEvaluator{eval: command.NewEvaluator(f.opts.Table, f.opts.Limits.Values)}
		e.machine = scripting.Attach(e.eval, x.store, nil)
		e.machine.Monitor = f.MonitorScript
		e.eval.Receivers, e.eval.Fault = f.broker.Receivers, f.opts.Fault
	}
	e.eval.Events, e.eval.Limits = keyspace.Classes(f.events.Load()), f.evaluatorLimits()
	return e
}

// compile compiles a script, or finds it compiled.
func (x *scripts) compile(body string) (sc *script.Script, why string) {
	defer x.mend("script", &why)
	return x.store.Compile(body)
}

// parseLibrary compiles a library, and runs it once.
func (x *scripts) parseLibrary(code string) (l *script.Library, why string) {
	defer x.mend("function|load", &why)
	return script.ParseLibrary(code)
}

// mend makes a panic of what leaves nothing behind an error.
func (x *scripts) mend(name string, why *string) {
	if x.fault == nil {
		return
	}
	if p := recover(); p != nil {
		x.fault(command.NewFault(name, p))
		*why = command.ErrFault
	}
}

func (f *Front) giveEvaluator(e *scriptEvaluator) {
	x := &f.scripts
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.free) < freeEvaluators {
		x.free = append(x.free, e)
	}
}

// evaluateJob runs a job on this goroutine, and sends what it says to subscribers. A
// script can be seen and killed meanwhile; nil: it is none.
func (f *Front) evaluateJob(c spanning.Cluster, job *spanning.Job, sc *scriptOf, reads *scriptReads) (status partition.Status, reply []byte) {
	e := f.takeEvaluator()
	defer f.giveEvaluator(e)
	if reads != nil {
		e.eval.Reads = reads.note
		defer func() { e.eval.Reads = nil }()
	}
	run := &runningScript{args: job.Args, started: time.Now(), log: f.log}
	if sc != nil {
		run.args, run.eval = sc.args, sc.eval
		f.scripts.mu.Lock()
		f.scripts.running[run] = struct{}{}
		f.scripts.mu.Unlock()
		defer func() {
			f.scripts.mu.Lock()
			delete(f.scripts.running, run)
			f.scripts.mu.Unlock()
		}()
	}
	e.machine.Control = run
	defer func() { e.machine.Control = nil }()
	status, reply = spanning.Run(c, e.eval, job)
	if status == partition.Done {
		for _, m := range job.Mail {
			f.broker.Publish(m.Sharded, m.Channel, m.Payload, true)
		}
	}
	return status, reply
}

// kill ends the scripts that run on this node: those of EVAL, or functions.
func (f *Front) kill(eval bool, by string) (reply string) {
	x := &f.scripts
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.running) == 0 {
		return "NOTBUSY No scripts in execution right now."
	}
	why := errKilled + by + "."
	found := false
	for r := range x.running {
		if r.eval == eval {
			r.end.Store(&why)
			found = true
		}
	}
	switch {
	case found:
		return ""
	case eval:
		return "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	}
	return "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
}

// endScripts ends all scripts, for a front that closes.
func (f *Front) endScripts() {
	why := "ERR the node is stopping"
	f.scripts.mu.Lock()
	defer f.scripts.mu.Unlock()
	for r := range f.scripts.running {
		r.end.Store(&why)
	}
}

// scriptOf is what a command of scripts is about, once it is known that it can run.
type scriptOf struct {
	args  [][]byte
	eval  bool
	spans bool // the script says that its keys may be anywhere
	body  string
}

// script is the command of scripts that a command is, or wraps.
func (s *session) script(e *entry, args [][]byte) (*entry, [][]byte) {
	if inner := e.spec.Wrapped(args); inner != nil {
		return s.f.table.lookup([]byte(inner.Full)), args[e.spec.Wraps:]
	}
	return e, args
}

// findScript finds the script or function of a command; why is the error if there is
// none. What was given by its text is remembered.
func (s *session) findScript(e *entry, args [][]byte) (x *scriptOf, why string) {
	x = &scriptOf{args: args, eval: true}
	store := s.f.scripts.store
	switch e.full {
	case "eval", "eval_ro":
		sc, why := s.f.scripts.compile(string(args[1]))
		if why != "" {
			return nil, why
		}
		x.spans = sc.Flags&(script.AllowCrossSlot|script.Plain) == script.AllowCrossSlot
	case "evalsha", "evalsha_ro":
		sc := store.Script(string(args[1]))
		if sc == nil && len(args[1]) == 40 && s.f.catchUp() {
			sc = store.Script(string(args[1]))
		}
		if sc == nil {
			return nil, errNoScript
		}
		x.body = sc.Body
		x.spans = sc.Flags&(script.AllowCrossSlot|script.Plain) == script.AllowCrossSlot
	default:
		x.eval = false
		_, f := store.Function(string(args[1]))
		if f == nil {
			if !s.f.catchUp() { // there may be one
				return nil, errNoLibraries
			}
			_, f = store.Function(string(args[1]))
		}
		if f == nil {
			return nil, "ERR Function not found"
		}
		x.spans = f.Flags&script.AllowCrossSlot != 0
	}
	return x, ""
}

// routeScript brings a script to the partition of its keys, and waits for it: it may
// turn out to need others, and nothing behind it may overtake it then.
func (s *session) routeScript(o *op) {
	x, why := s.findScript(s.script(o.cmd, o.args))
	if why != "" {
		s.refuse(o.cmd, why)
		return
	}
	j := &spanned{o: o, script: x, job: spanning.Job{Args: o.args, Keys: s.watchedKeys(nil, o.cmd, o.args)}}
	slot, apart, why := s.keysAt(o, x.spans)
	var p *Partition
	if why == "" && len(s.keyAt) > 0 {
		p, why = s.owner(slot, false)
	}
	if why != "" {
		s.refuse(o.cmd, why)
		return
	}
	if !apart && o.cmd.spec.Wraps == 0 {
		j.first = s.firstTry(o, x, p, slot)
	}
	s.span(j)
}

// firstTry is the request by which a partition's leader may run a script; nil if there
// is no partition.
func (s *session) firstTry(o *op, x *scriptOf, p *Partition, slot base.Slot) *partition.Request {
	r := &partition.Request{}
	s.fill(r, nil, o.cmd)
	if p == nil {
		if p = s.directory().some(); p == nil {
			return nil
		}
		r.Flags |= partition.Whole
	}
	r.Partition, r.Slot, r.Args = p.ID, slot, o.args
	if x.body != "" { // the leader may not know it
		r.Args = append([][]byte(nil), o.args...)
		name := "eval"
		if o.cmd.full == "evalsha_ro" {
			name = "eval_ro"
		}
		r.Args[0], r.Args[1] = []byte(name), []byte(x.body)
	}
	return r
}
