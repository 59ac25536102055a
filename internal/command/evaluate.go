package command

import (
	"slices"

	"coterie/internal/base"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
	"coterie/internal/resp"
)

// Evaluator runs commands for one loop, one after another. It keeps scratch
// memory between them.
type Evaluator struct {
	// Events are the keyspace events that subscribers want to be told of.
	Events keyspace.Classes
	// Limits are the namespaces' for calls that have none of their own.
	Limits *keyspace.NamespaceLimits
	// Fault takes panics of commands, which are then answered as an error; nil: they
	// are whoever's who called. See fault.go.
	Fault func(Fault)
	// Reads is told of each key that a command run by another one reads, before it
	// does; nil: nobody.
	Reads func(key []byte)
	// Tally counts what commands meet; nil: nobody wants to know.
	Tally *keyspace.Tally
	// Receivers is how many subscribers a message would have; nil: none.
	Receivers func(sharded bool, channel []byte) int64

	table *Table
	space keyspace.Space
	out   resp.Writer
	ctx   Ctx

	call         Call  // being run
	keys         []int // scratch
	groupFlushed bool  // by one of a group's commands

	// Of commands that run others, see nested.go.
	inner    resp.Writer
	local    any
	grouped  bool // a group is run
	diverted bool
}

// NewEvaluator returns an Evaluator of a table's commands.
func NewEvaluator(t *Table, limits keyspace.Limits) *Evaluator {
	e := &Evaluator{table: t}
	e.space.Limits = limits
	return e
}

// Call is one command for one partition.
type Call struct {
	Txn       kv.Txn
	Partition base.PartitionID
	Span      base.Span
	DB        uint8
	Proto     uint8
	Args      [][]byte
	// Generations may be the partition's map if the caller keeps it; nil: it
	// is read. See keyspace.Space.Bind.
	Generations *keyspace.Generations
	// Group says that Args are a group's; Gateway is the node of its
	// connection, and Watches what is watched in the partition. Without groups
	// Watches may be nil.
	Group bool
	// Places, if not nil, says that the call spans partitions; then Span is that
	// of all slots, and Partition means nothing.
	Places  keyspace.Places
	Gateway base.NodeID
	Watches *Watches
	// Limits of the namespaces, nil if there are none, and what the leader
	// remembers of them. NoEvict says that nothing may be evicted for the call,
	// which must write to no keys that it does not name.
	Limits *keyspace.NamespaceLimits
	Caches *keyspace.Caches
	// Uses is what the leader remembers of when keys were used; it may be nil.
	Uses    *keyspace.Uses
	NoEvict bool
	// Of one that runs as a part of another: whether that met a full namespace.
	nested, full bool
	// Waiters may be nil. Blocking says that the call may become one of them,
	// Waited that it is one and runs again.
	Waiters  Waiters
	Blocking bool
	Waited   bool
}

// Evaluate runs a call and appends its reply. Names, arity and keys are
// checked again, as the request may come from a node of another version or
// with another idea of who owns what. flushed says that the map of generations
// changed.
func (e *Evaluator) Evaluate(call Call, reply []byte) (answer []byte, flushed bool) {
	tell, from := call.Proto&TellReads != 0, len(reply)
	call.Proto &^= TellReads
	if e.Fault != nil {
		before, start := savepoint(&call), reply
		defer func() {
			if p := recover(); p != nil {
				answer, flushed = e.mend(p, call, before, start), false
			}
		}()
	}
	e.out.Buf, e.out.Proto = reply, int(call.Proto)
	e.grouped, e.diverted, e.groupFlushed = false, false, false // the last call may have ended in a panic
	var reads readKeys
	if tell {
		defer func(before func([]byte)) { e.Reads = before }(e.Reads)
		e.Reads = reads.add
	}
	if call.Group {
		e.runGroup(call)
	} else {
		e.run(call)
	}
	if reply = e.out.Buf; tell {
		reply = reads.precede(reply, from)
	}
	e.out.Buf = nil
	e.ctx, e.call = Ctx{}, Call{}
	return reply, e.groupFlushed || !call.Group && e.space.Flushed()
}

// bind makes the space the call's view of a namespace.
func (e *Evaluator) bind(call Call, db int) {
	gens := call.Generations
	if call.Places != nil {
		gens = &keyspace.Generations{} // Spread finds them key by key
	}
	limits := call.Limits
	if limits == nil {
		limits = e.Limits
	}
	e.space.Limit(limits, call.Caches)
	e.space.Bind(call.Txn, call.Partition, call.Span, min(db, keyspace.Namespaces-1), gens)
	e.space.Spread(call.Places)
	e.space.Events, e.space.Reading = e.Events, false
	e.space.Uses, e.space.Tally = call.Uses, e.Tally
}

func (e *Evaluator) run(call Call) {
	e.bind(call, int(call.DB))
	e.ctx = Ctx{Space: &e.space, Out: &e.out, MayBlock: call.Blocking && call.Waiters != nil, Waited: call.Waited, eval: e}
	e.call = call
	e.dispatch(&e.call, &e.ctx)
}

// errOOM is for a command that may need memory which its namespace has not.
const errOOM = "OOM command not allowed when used memory > 'maxmemory'."

// room makes room in a limited namespace for a command that writes. It is false
// when there is none and the command would need it.
func (e *Evaluator) room(call *Call, c *Ctx, spec *Spec) bool {
	if call.Caches == nil || spec.Flags&(Write|DenyOOM|RunsOthers) == 0 || spec.Flags&ReadOnly != 0 {
		return true
	}
	if call.nested { // what has begun goes on
		return !call.full || spec.Flags&DenyOOM == 0
	}
	fits := c.MakeRoom(!call.NoEvict, func(key []byte) { call.touched(WatchedKey(uint8(c.DB), key)) })
	call.full = !fits
	return fits || spec.Flags&DenyOOM == 0
}

// dispatch runs a command over the space as it is bound.
func (e *Evaluator) dispatch(call *Call, c *Ctx) {
	spec, why := e.find(call)
	if why == "" && !e.ownsKeys(spec, call.Args) {
		why = errMoved
	}
	if why != "" {
		c.Out.Error(why)
		return
	}
	c.Args, c.Spec, c.call = call.Args, spec, call
	outer, start := c.Reading, len(c.Out.Buf)
	c.Reading = spec.Flags&(ReadOnly|Write) == ReadOnly
	quiet := c.Quiet
	defer func() { c.Reading, c.Quiet = outer, quiet }()
	if !e.room(call, c, spec) {
		c.Fail(errOOM)
		return
	}
	defer c.Settle()
	if spec.Flags&RunsOthers != 0 {
		e.runOthers(c) // what they write is told one by one
		return
	}
	if call.interested() {
		before := effects(call)
		var there [][]byte
		if empties(spec) {
			there = call.Watches.existing(c.Space)
		}
		spec.Run(c)
		if after := effects(call); after != before || after < 0 {
			e.touch(call, c, there)
		}
	} else {
		spec.Run(c)
	}
	if c.blocked {
		e.wait(call, spec)
	}
	if e.diverted && !e.grouped && c == &e.ctx {
		e.divert(start)
	}
}

// find is the row of a call's command, or why it cannot be run.
func (e *Evaluator) find(call *Call) (spec *Spec, why string) {
	if len(call.Args) == 0 {
		return nil, "ERR empty command"
	}
	spec = e.table.Lookup(call.Args)
	switch {
	case spec == nil:
		return nil, e.table.Unknown(call.Args)
	case !spec.CheckArity(len(call.Args)):
		return nil, spec.ArityError()
	case spec.Run == nil:
		return nil, "ERR '" + spec.Full + "' is not run by partitions"
	case call.DB >= keyspace.Namespaces:
		return nil, "ERR DB index is out of range"
	}
	return spec, ""
}

// Reachable says whether a command that runs as a part of this one may use
// these arguments' keys here: this partition has them all, and no transaction
// has locked one that this command did not name itself. Arguments that make no
// sense are fine.
func (c *Ctx) Reachable(args [][]byte) bool {
	spec := c.eval.table.Lookup(args)
	if spec == nil || !spec.CheckArity(len(args)) {
		return true
	}
	c.eval.keys = spec.AppendKeys(c.eval.keys[:0], args)
	for _, i := range slices.Backward(c.eval.keys) { // the first key stays located
		if !c.ReachableKey(args[i]) {
			return false
		}
	}
	return true
}

// ReachableKey is Reachable for one key.
func (c *Ctx) ReachableKey(key []byte) bool {
	locks, _ := c.Txn.(interface{ Locked(base.Slot) bool })
	return c.Owns(key) && (locks == nil || !locks.Locked(c.Slot(key)))
}

// Call runs another command as a part of this one, in the same database, and
// writes its reply to w. Its keys must be [Ctx.Reachable]. It does not block.
func (c *Ctx) Call(args [][]byte, w *resp.Writer) {
	inner := *c.call
	inner.Args, inner.DB, inner.Blocking, inner.nested = args, uint8(c.DB), false, true
	c.eval.dispatch(&inner, &Ctx{Space: c.Space, Out: w, eval: c.eval})
}

// touch tells who watches the keys of a command that wrote, or waits for them;
// the key at position kept was not written.
// there are the watched keys that were there before one that empties namespaces.
func (e *Evaluator) touch(call *Call, c *Ctx, there [][]byte) {
	spec, kept := c.Spec, c.Kept
	e.keys = spec.AppendKeys(e.keys[:0], call.Args)
	switch {
	case len(e.keys) > 0:
	case empties(spec):
		call.Watches.touchGone(c.Space, there)
		if call.Waiters != nil {
			call.Waiters.TouchAll()
		}
	default: // it has exchanged namespaces, or met keys that had expired
		call.touchedAll()
	}
	for _, i := range e.keys {
		if i == kept {
			continue
		}
		call.touched(WatchedKey(call.DB, call.Args[i]))
	}
}

// empties says whether a command is one that empties namespaces, and does nothing
// else.
func empties(s *Spec) bool { return s.Name == "flushdb" || s.Name == "flushall" }

// Slots visits the slots of all keys that a call names. It is false when the
// call speaks of a partition as a whole.
func (e *Evaluator) Slots(args [][]byte, group bool, visit func(base.Slot)) bool {
	if !group {
		return e.slots(args, visit)
	}
	op, _, rest, ok := splitGroup(args)
	if !ok {
		return true
	}
	watched, commands := rest, []Grouped(nil)
	if op == groupExec {
		watched, commands, _ = splitExec(rest)
	}
	for _, key := range watched {
		if len(key) > 0 {
			visit(base.KeySlot(key[1:]))
		}
	}
	for _, c := range commands {
		if !e.slots(c.Args, visit) {
			return false
		}
	}
	return true
}

// OnlyReads says whether none of the commands of a call, or of a group that is run, may
// write. They may all the same have effects: what has expired is removed.
func (e *Evaluator) OnlyReads(args [][]byte, group bool) bool {
	commands, ok := []Grouped{{Args: args}}, true
	if group {
		var rest [][]byte
		if _, _, rest, ok = splitGroup(args); ok {
			_, commands, ok = splitExec(rest)
		}
	}
	return ok && !slices.ContainsFunc(commands, func(c Grouped) bool {
		spec := e.table.Lookup(c.Args)
		return spec == nil || spec.Flags&Write != 0 || spec.Flags&RunsOthers != 0 && spec.Flags&ReadOnly == 0
	})
}

func (e *Evaluator) slots(args [][]byte, visit func(base.Slot)) bool {
	if len(args) == 0 {
		return true
	}
	spec := e.table.Lookup(args)
	if spec == nil || !spec.CheckArity(len(args)) {
		return true
	}
	e.keys = spec.AppendKeys(e.keys[:0], args)
	for _, i := range e.keys {
		visit(base.KeySlot(args[i]))
	}
	return len(e.keys) > 0 || spec.FindKeys == nil && spec.Keys.First > 0 || spec.Flags&RunsOthers != 0
}

// ownsKeys says whether all keys are in the partition's span. The first key
// comes last, so that the handler finds it located.
func (e *Evaluator) ownsKeys(spec *Spec, args [][]byte) bool {
	e.keys = spec.AppendKeys(e.keys[:0], args)
	for n := len(e.keys) - 1; n >= 0; n-- {
		if !e.space.Owns(args[e.keys[n]]) {
			return false
		}
	}
	return true
}
