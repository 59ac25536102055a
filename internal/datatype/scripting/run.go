package scripting

import (
	"strconv"

	cmd "coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keyspace"
	"coterie/internal/script"
)

const (
	// leaderSteps is what a leader gives a script: less than 20 ms.
	leaderSteps = 1_000_000
	// leaderBytes is how many bytes of effects a script may add to a leader's round.
	leaderBytes = 8 << 20
	// spanningSteps is how many steps a gateway gives a script at a time.
	spanningSteps = 100_000
)

// Errors word for word as in Redis.
const (
	errNoScript  = "NOSCRIPT No matching script. Please use EVAL."
	errManyKeys  = "ERR Number of keys can't be greater than number of args"
	errFewKeys   = "ERR Number of keys can't be negative"
	errBadNumber = "ERR Bad number of keys provided"
	errFunction  = "ERR Function not found"
	errWriteRO   = "ERR Can not execute a script with write flag using *_ro command."

	errFull = "OOM command not allowed when used memory > 'maxmemory'."

	errUnknown   = "Unknown Redis command called from script"
	errArity     = "Wrong number of args calling Redis command from script"
	errForbidden = "This Redis command is not allowed from script"
	errReadOnly  = "Write commands are not allowed from read-only scripts."
)

// Control is who watches over scripts that run at a gateway.
type Control interface {
	// Running says that a script goes on, and whether it is to end, with which error.
	Running() (end string)
	// Seconds is processor time, about.
	Seconds() float64
	// Log takes what a script logs; level is 0 … 3.
	Log(level int, text string)
}

// Machine is what one evaluator runs scripts with.
type Machine struct {
	Store   *script.Store
	Engine  *script.Engine
	Control Control // nil: nobody
	// Monitor is shown what scripts call; nil: nobody.
	Monitor func(db int, args [][]byte)
}

// Attach gives an evaluator's scripts a store, and somebody who watches over them.
func Attach(e *cmd.Evaluator, store *script.Store, control Control) *Machine {
	m := &Machine{Store: store, Engine: script.NewEngine(), Control: control}
	e.SetLocal(m)
	return m
}

func machine(c *cmd.Ctx) *Machine {
	m, ok := (*c.Local()).(*Machine)
	if !ok {
		m = &Machine{Store: script.NewStore(), Engine: script.NewEngine()}
		*c.Local() = m
	}
	return m
}

// keyCount reads the number of keys. When it makes no sense, it replies with the error.
func keyCount(c *cmd.Ctx, malformed string) (n int, ok bool) {
	count, isInt := number.ParseInt(c.Args[2])
	switch {
	case !isInt:
		c.Fail(malformed)
	case count > int64(len(c.Args)-3):
		c.Fail(errManyKeys)
	case count < 0:
		c.Fail(errFewKeys)
	default:
		return int(count), true
	}
	return 0, false
}

func eval(c *cmd.Ctx, bySHA, readOnly bool) {
	n, ok := keyCount(c, cmd.ErrNotInteger)
	if !ok {
		return
	}
	m := machine(c)
	var sc *script.Script
	if bySHA {
		if sc = m.Store.Script(string(c.Args[1])); sc == nil {
			c.Fail(errNoScript)
			return
		}
	} else {
		var why string
		if sc, why = m.Store.Compile(string(c.Args[1])); sc == nil {
			c.Fail(why)
			return
		}
	}
	m.run(c, sc.Flags, readOnly, n, func(r *script.Run) bool { return m.Engine.Eval(sc, r) })
}

func fcall(c *cmd.Ctx, readOnly bool) {
	m := machine(c)
	lib, f := m.Store.Function(string(c.Args[1]))
	if f == nil {
		if c.Spans() {
			c.Fail(errFunction)
		} else {
			c.Divert() // the gateway knew it: this node will, too
		}
		return
	}
	n, ok := keyCount(c, errBadNumber)
	if !ok {
		return
	}
	m.run(c, f.Flags, readOnly, n, func(r *script.Run) bool { return m.Engine.Call(lib, f.Name, r) })
}

// run runs a script with the keys that the command names.
func (m *Machine) run(c *cmd.Ctx, flags script.Flags, readOnly bool, keys int, run func(*script.Run) bool) {
	declared := flags&script.Plain == 0
	if declared && readOnly && flags&script.NoWrites == 0 {
		c.Fail(errWriteRO)
		return
	}
	if c.Full() && declared {
		switch {
		case flags&script.AllowOOM != 0:
			c.MayExceed()
		case flags&script.NoWrites == 0:
			c.Fail(errFull)
			return
		}
	}
	h := &host{c: c, m: m, db: c.DB, written: c.Written(), readOnly: readOnly || flags&script.NoWrites != 0}
	r := &script.Run{Host: h, Keys: c.Args[3 : 3+keys], Args: c.Args[3+keys:], Out: c.Out, MaxReply: c.Limits.MaxReply, Steps: leaderSteps}
	if c.Spans() {
		r.Steps = spanningSteps
	}
	ended := false
	defer func() {
		if !ended { // by a panic, and with it what the engine's scripts have in common
			m.Engine = script.NewEngine()
		}
	}()
	done := run(r)
	ended = true
	c.Select(h.db)
	if !done {
		c.Divert()
	}
}

// host runs a script's commands.
type host struct {
	c        *cmd.Ctx
	m        *Machine
	db       int // of the command, which a script does not change for others
	written  int
	readOnly bool
}

var _ script.Host = (*host)(nil)

// Call implements script.Host.
func (h *host) Call(args [][]byte, proto int) (reply []byte, refusal string, ok bool) {
	spec := h.c.Table().Lookup(args)
	switch {
	case spec == nil:
		return nil, errUnknown, true
	case !spec.CheckArity(len(args)):
		return nil, errArity, true
	case spec.Flags&cmd.NoScript != 0 || spec.Wrapped(args) != nil && spec.Wrapped(args).Flags&cmd.NoScript != 0:
		return nil, errForbidden, true
	case h.readOnly && spec.Flags&(cmd.Write|cmd.MayReplicate) != 0:
		return nil, errReadOnly, true
	case spec.Run == nil:
		return h.local(spec, args, proto)
	}
	spans := h.c.Spans()
	whole := spec.Fan >= cmd.FanAllSum
	switch {
	case whole && spans:
		return nil, "'" + spec.Full + "' asks all partitions and is not allowed from script", true
	case whole, !spans && !h.c.Reachable(args):
		return nil, "", false
	}
	if h.m.Monitor != nil {
		h.m.Monitor(h.c.DB, args)
	}
	w := h.c.Scratch(proto)
	if _, blocks := spec.Blocks(args); blocks && spec.Timeout == cmd.TimeoutBlock {
		w.Error("ERR " + spec.Full + " command is not allowed with BLOCK option from scripts")
		return w.Buf, "", true
	}
	h.c.Read(spec, args)
	h.c.Call(args, w)
	if spans && h.c.Txn.Err() != nil || !spans && h.c.Written()-h.written > leaderBytes {
		return nil, "", false // nothing that it sees from here on is true, or it is too much for a leader
	}
	return w.Buf, "", true
}

// local answers what no partition is needed for.
func (h *host) local(spec *cmd.Spec, args [][]byte, proto int) (reply []byte, refusal string, ok bool) {
	w := h.c.Scratch(proto)
	switch spec.Full {
	case "ping":
		if len(args) > 2 {
			return nil, "wrong number of arguments for 'ping' command", true
		}
		if len(args) == 2 {
			w.Bulk(args[1])
		} else {
			w.Simple("PONG")
		}
	case "wait": // there are no copies of what is not committed
		w.Int(0)
	case "echo":
		w.Bulk(args[1])
	case "select":
		n, ok := number.ParseInt(args[1])
		if !ok || n < 0 || n >= keyspace.Namespaces {
			w.Error("ERR DB index is out of range")
			break
		}
		h.c.Select(int(n))
		w.Simple("OK")
	case "time":
		us := int64(h.c.Txn.Now())
		w.Array(2)
		w.BulkString(strconv.FormatInt(us/1e6, 10))
		w.BulkString(strconv.FormatInt(us%1e6, 10))
	default:
		return nil, errForbidden, true
	}
	return w.Buf, "", true
}

// Known implements script.Host.
func (h *host) Known(args [][]byte) bool { return h.c.Table().Lookup(args) != nil }

// More implements script.Host.
func (h *host) More() (steps int, end script.End) {
	if !h.c.Spans() {
		return 0, script.End{Divert: true}
	}
	if err := h.c.Txn.Err(); err != nil { // nothing that it sees from here on is true
		return 0, script.End{Error: "ERR " + err.Error()}
	}
	if h.m.Control != nil {
		if why := h.m.Control.Running(); why != "" {
			return 0, script.End{Error: why}
		}
	}
	return spanningSteps, script.End{}
}

// Rand implements script.Host.
func (h *host) Rand() uint64 { return h.c.Txn.Rand() }

// Seconds implements script.Host.
func (h *host) Seconds() float64 {
	if h.m.Control != nil {
		return h.m.Control.Seconds()
	}
	return 0
}

// Log implements script.Host.
func (h *host) Log(level int, text string) {
	if h.m.Control != nil {
		h.m.Control.Log(level, text)
	}
}
