package sim

import (
	"strconv"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/datatype/scripting"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/partition"
	"coterie/internal/redisfront"
	"coterie/internal/resp"
	"coterie/internal/script"
)

// evaluator runs the real commands, and the sweep of expired keys.
type evaluator struct {
	m    *machine
	real *command.Evaluator
	// scripts are those that the process knows.
	scripts *script.Store
	limits  *keyspace.Limited
	sweep   map[base.PartitionID]uint16 // slot to go on at
	watch   map[base.PartitionID]*watching
}

// watching is what clients watch in a partition, under one leadership.
type watching struct {
	command.Watches
	term   uint64
	values map[string]string // of what is watched, for BugValueWatch

	caches   keyspace.LedCaches
	sweeping bool // a flush may have left something to be removed
	sweepAt  uint16
}

func (e evaluator) watching(txn *partition.Txn) *watching {
	w := e.watch[txn.Partition()]
	if w == nil || w.term != txn.Term() {
		w = &watching{term: txn.Term(), values: map[string]string{}, sweeping: true, sweepAt: txn.Span().Lo}
		e.watch[txn.Partition()] = w
	}
	return w
}

func (e evaluator) watches(txn *partition.Txn) *command.Watches { return &e.watching(txn).Watches }

// Limits of the simulated nodes.
const (
	maxString   = 1 << 20
	sweepBudget = 16 // keys at once: small, so that it takes several rounds
)

// commandTable is the table that nodes run and fronts look at.
func commandTable() *command.Table {
	t, err := command.NewTable(redisfront.Specs(), datatype.All())
	if err != nil {
		panic(err)
	}
	return t
}

// newEvaluator makes one process's evaluator.
func (m *machine) newEvaluator() evaluator {
	e := evaluator{
		m: m, real: command.NewEvaluator(m.c.table, keyspace.Limits{MaxString: maxString}), scripts: script.NewStore(), limits: &keyspace.Limited{},
		sweep: map[base.PartitionID]uint16{}, watch: map[base.PartitionID]*watching{},
	}
	scripting.Attach(e.real, e.scripts, nil)
	e.real.Events = m.c.tells()
	return e
}

var _ partition.Evaluator = evaluator{}

// Evaluate implements partition.Evaluator.
func (e evaluator) Evaluate(txn *partition.Txn, req *partition.Request, reply []byte) []byte {
	if req.Partition == base.Catalog {
		b, err := catalog.Run(txn, req.Args)
		if err != nil {
			return append(append(append(reply, "-ERR "...), err.Error()...), "\r\n"...)
		}
		return append(append(reply, '+'), b...)
	}
	if string(req.Args[0]) == lockedFetch {
		return e.answerFetchPlanted(txn, req, reply)
	}
	call := command.Call{
		Txn: e.evaluatedPlanted(txn, req.Flags&partition.Write != 0, req.Args), Partition: txn.Partition(), Span: txn.Span(), DB: req.DB, Proto: req.Proto, Args: e.argsPlanted(txn, req),
		Group: req.Flags&partition.Group != 0, Gateway: req.Origin.Gateway, Watches: e.watches(txn),
		Waiters: e.waitersPlanted(txn, req), Blocking: req.Flags&partition.Blocking != 0, Waited: req.Waited(),
	}
	if e.limits.Now != nil {
		call.Limits, call.Caches, call.NoEvict = e.limits.Now, e.caches(txn), txn.Preparing()
	}
	before, start := e.usage(&call), len(reply)
	over := e.roomyPlanted(&call)
	reply, flushed := e.real.Evaluate(call, reply)
	over()
	e.checkGrowth(before, &call, reply[start:])
	if flushed {
		e.flushed(txn)
	}
	return reply
}

// flushed follows a flush, as production's evaluator does.
func (e evaluator) flushed(txn *partition.Txn) {
	w := e.watching(txn)
	w.caches.Forget()
	w.sweeping, w.sweepAt = true, txn.Span().Lo
	txn.Waiters().TouchAll()
	e.m.c.met(eventFlushed)
}

// Wrote implements partition.Evaluator.
func (e evaluator) Wrote(txn *partition.Txn, body []byte, whole bool) {
	e.wroteLimited(txn)
	switch {
	case e.m.c.opts.Bug == BugUntoldWatch:
	case whole:
		e.flushed(txn)
		e.watches(txn).TouchAll()
	default:
		e.watches(txn).TouchSlots(partition.WrittenSlots(body))
	}
}

// Slots implements partition.Evaluator.
func (e evaluator) Slots(req *partition.Request, visit func(base.Slot)) bool {
	if e.m.c.opts.Bug == BugNoLocks || string(req.Args[0]) == lockedFetch {
		return true
	}
	return e.real.Slots(req.Args, req.Flags&partition.Group != 0, e.slotsPlanted(req, visit))
}

// Background implements partition.Evaluator.
func (e evaluator) Background(txn *partition.Txn) bool {
	id, span := txn.Partition(), txn.Span()
	if id == base.Catalog {
		return false
	}
	at := max(e.sweep[id], span.Lo)
	if at >= span.Hi {
		at = span.Lo
	}
	p := keyspace.SweepExpired(txn, id, span, at, sweepBudget, datatype.Due, 0)
	e.sweep[id] = p.Next
	more := p.Removed > 0
	if more {
		e.watches(txn).TouchAll()
		txn.Waiters().Expired()
	}
	if e.limits.Now != nil {
		more = e.maintain(txn, more) || more
	}
	if w := e.watching(txn); w.sweeping {
		p := keyspace.SweepDead(txn, id, span, w.sweepAt, sweepBudget)
		w.sweepAt, w.sweeping = p.Next, p.Next < span.Hi
		more = more || p.Removed > 0
	}
	return more
}

// requests divides a command as the fronts do: by its key, by its cursor, or
// to every partition.
func (o *op) requests() []*partition.Request {
	c := o.s.c
	o.merge = func(ps []*part) []byte { return ps[0].reply }
	switch o.Command[0] {
	case "MULTI":
		o.transact()
		return o.sent()
	case "WATCH":
		o.watch()
		return o.sent()
	case "COTERIE": // CUTGET
		o.readCut(o.Command[2:])
		return nil
	case "SUBSCRIBE", "PSUBSCRIBE":
		o.subscribeHere()
		return nil
	case "PUBLISH":
		o.publishHere()
		return nil
	case "CONFIG":
		o.setHere()
		return nil
	case "SCRIPT", "FUNCTION":
		o.loadHere()
		return nil
	}
	args := make([][]byte, len(o.Command))
	for i, a := range o.Command {
		args[i] = []byte(a)
	}
	spec := c.table.Lookup(args)
	if spec == nil {
		panic("sim: no command " + o.Command[0])
	}
	if spec.Flags&command.RunsOthers != 0 {
		o.scriptHere(args)
		return nil
	}
	o.timeout, o.blocks = spec.Blocks(args)
	if job, ok := o.single(args); ok && !o.blocks && (c.clientRand.IntN(atGateway) == 0 || c.apart(args)) {
		o.evaluateHere(job)
		return nil
	}
	var flags partition.RequestFlags
	if spec.Flags&command.Write != 0 {
		flags |= partition.Write
	}
	if o.blocks {
		flags |= partition.Blocking
	}
	if spec.Fan >= command.FanAllSum {
		flags |= partition.Whole
	}
	switch spec.Fan {
	case command.FanAllSum:
		for _, id := range c.order {
			o.add(id, 0, flags, args)
		}
		o.merge = sum
	case command.FanAllOK:
		for _, id := range c.order {
			o.add(id, 0, flags, args)
		}
		o.merge = allOK
	case command.FanScan:
		o.scan(flags, args)
	default:
		slot := base.KeySlot(args[spec.AppendKeys(nil, args)[0]])
		id, _ := c.owner(slot)
		o.add(id, slot, flags, args)
	}
	return o.sent()
}

// sent are the requests of the parts.
func (o *op) sent() []*partition.Request {
	reqs := make([]*partition.Request, len(o.parts))
	for i, p := range o.parts {
		reqs[i] = &p.req
	}
	return reqs
}

func (o *op) add(id base.PartitionID, slot base.Slot, flags partition.RequestFlags, args [][]byte) {
	p := &part{o: o}
	p.req = partition.Request{
		Partition: id, Slot: slot, DB: uint8(o.of.kind.DB), Proto: 2, Flags: flags, Args: args, Sink: p, Session: o.session(),
	}
	o.parts = append(o.parts, p)
	o.open++
}

// scan sends SCAN to the partition that its cursor lies in. When that one is
// finished, the reply's cursor is the beginning of the next.
func (o *op) scan(flags partition.RequestFlags, args [][]byte) {
	c := o.s.c
	at, _ := strconv.ParseUint(o.Command[1], 10, 64)
	slot, _ := keys.Cursor(at).Slot()
	for i, id := range c.order {
		if c.spans[id].Hi <= uint16(slot) {
			continue
		}
		next := uint64(0)
		if i+1 < len(c.order) {
			next = uint64(keys.CursorAtSlot(base.Slot(c.spans[c.order[i+1]].Lo)))
		}
		o.add(id, 0, flags, args)
		o.merge = func(ps []*part) []byte { return scanned(ps[0].reply, next) }
		return
	}
	panic("sim: a cursor behind all partitions")
}

// scanned is the reply to a SCAN, with the next partition for a cursor at the
// end of this one.
func scanned(reply []byte, next uint64) []byte {
	const end = "*2\r\n$1\r\n0\r\n"
	if next == 0 || len(reply) < len(end) || string(reply[:len(end)]) != end {
		return reply
	}
	w := resp.Writer{Proto: 2}
	w.Array(2)
	w.BulkString(strconv.FormatUint(next, 10))
	w.Raw(reply[len(end):])
	return w.Buf
}

// allOK is the first reply that is not OK, if there is one.
func allOK(ps []*part) []byte {
	for _, p := range ps {
		if string(p.reply) != "+OK\r\n" {
			return p.reply
		}
	}
	return ps[0].reply
}

func sum(ps []*part) []byte {
	w, n := resp.Writer{Proto: 2}, int64(0)
	for _, p := range ps {
		v, _, err := resp.ParseReply(p.reply)
		if err != nil || v.Kind != ':' {
			return p.reply
		}
		n += v.Int
	}
	w.Int(n)
	return w.Buf
}
