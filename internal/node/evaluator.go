package node

import (
	"sync/atomic"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/config"
	"coterie/internal/datatype"
	"coterie/internal/datatype/scripting"
	"coterie/internal/keyspace"
	"coterie/internal/partition"
	"coterie/internal/redisfront"
)

// Budgets of one piece of housekeeping, in keys looked at.
const (
	expireBudget = 64
	sweepBudget  = 256
)

// evaluator runs requests for the shard: catalog commands in partition 0,
// the command table everywhere else.
type evaluator struct {
	eval    *command.Evaluator
	scripts *scripting.Machine
	parts   map[base.PartitionID]*housekeeping
	limits  keyspace.Limited
	evicted atomic.Uint64 // keys, as of the last housekeeping
	// watching says that there was a group since the last look at any part's
	// watches: most clusters never have one.
	watching bool
	changes  atomic.Int64 // requests that changed something
	tally    keyspace.Tally
}

// housekeeping is what a leader remembers between two rounds of one
// partition. It is only a hint where to go on: nothing depends on it.
type housekeeping struct {
	term     uint64 // of the leadership it belongs to
	expiring bool   // there may be keys with deadlines
	expireAt uint16
	pending  int // slots with deadlines met in this pass
	sweeping bool
	sweepAt  uint16
	watches  command.Watches
	uses     *keyspace.Uses
	caches   keyspace.LedCaches
}

var _ partition.Evaluator = (*evaluator)(nil)

// commands is the whole command table.
func commands() (*command.Table, error) {
	return command.NewTable(redisfront.Specs(), datatype.All())
}

func newEvaluator(n *Node, table *command.Table) *evaluator {
	e := &evaluator{
		eval:  command.NewEvaluator(table, valueLimits(n.cfg)),
		parts: map[base.PartitionID]*housekeeping{},
	}
	e.eval.Fault, e.eval.Tally = n.commandFault, &e.tally
	e.scripts = scripting.Attach(e.eval, n.scripts, leaderControl{n.log, n.started})
	return e
}

// valueLimits bound what commands build.
func valueLimits(c *config.Node) keyspace.Limits {
	return keyspace.Limits{MaxString: int(c.MaxValueSize), MaxReply: maxReply(c)}
}

// Evaluate implements partition.Evaluator.
func (e *evaluator) Evaluate(txn *partition.Txn, req *partition.Request, reply []byte) []byte {
	if req.Partition == base.Catalog {
		b, err := catalog.Run(txn, req.Args)
		if err != nil {
			return append(append(append(reply, "-ERR "...), oneLine(err)...), "\r\n"...)
		}
		return append(append(reply, '+'), b...)
	}
	call := command.Call{
		Txn: txn, Partition: txn.Partition(), Span: txn.Span(), DB: req.DB, Proto: req.Proto, Args: req.Args,
		Uses: e.part(txn).uses, Waiters: txn.Waiters(), Blocking: req.Flags&partition.Blocking != 0, Waited: req.Waited(),
	}
	if e.limits.Now != nil {
		call.Limits, call.Caches, call.NoEvict = e.limits.Now, e.caches(txn), txn.Preparing()
	}
	if req.Flags&partition.Group != 0 {
		e.watching = true
		call.Group, call.Gateway = true, req.Origin.Gateway
	}
	if e.watching {
		call.Watches = &e.part(txn).watches
	}
	before := txn.Effects()
	reply, flushed := e.eval.Evaluate(call, reply)
	if txn.Effects() != before {
		e.changes.Add(1)
	}
	if flushed {
		e.flushed(txn)
	}
	return reply
}

// caches are what the leadership remembers of limited namespaces.
func (e *evaluator) caches(txn *partition.Txn) *keyspace.Caches {
	return e.part(txn).caches.Follow(&e.limits, txn.Span(), txn.Now().Millis())
}

// maintain is the housekeeping of limited namespaces.
func (e *evaluator) maintain(txn *partition.Txn, expired bool) (more bool) {
	caches := e.caches(txn)
	if expired {
		caches.Dirty()
	}
	more = keyspace.Maintain(txn, txn.Partition(), txn.Span(), e.limits.Now, caches, e.eval.Events, func(db int, key []byte) {
		name := command.WatchedKey(uint8(db), key)
		e.part(txn).watches.Touch(name)
		txn.Waiters().Touch(name)
	})
	e.evicted.Add(caches.TakeEvicted())
	return more
}

// flushed follows a change of the map of generations. The command has told those
// who watch keys that are gone.
func (e *evaluator) flushed(txn *partition.Txn) {
	h := e.part(txn)
	h.caches.Forget()
	h.sweeping, h.sweepAt = true, txn.Span().Lo
	txn.Waiters().TouchAll()
}

func (e *evaluator) part(txn *partition.Txn) *housekeeping {
	h := e.parts[txn.Partition()]
	if h == nil || h.term != txn.Term() {
		// A new leader does not know what the last one left: it looks.
		h = &housekeeping{
			term: txn.Term(), expiring: true, expireAt: txn.Span().Lo, sweeping: true, sweepAt: txn.Span().Lo,
			uses: keyspace.NewUses(txn.Now().Millis()),
		}
		e.parts[txn.Partition()] = h
	}
	return h
}

// Wrote implements partition.Evaluator.
func (e *evaluator) Wrote(txn *partition.Txn, body []byte, whole bool) {
	if whole {
		e.flushed(txn)
		e.part(txn).watches.TouchAll()
		return
	}
	if e.limits.Now != nil { // counters, too
		e.caches(txn).Dirty()
	}
	if e.watching {
		if w := &e.part(txn).watches; w.Any() {
			w.TouchSlots(partition.WrittenSlots(body))
		}
	}
}

// Slots implements partition.Evaluator.
func (e *evaluator) Slots(req *partition.Request, visit func(base.Slot)) bool {
	return e.eval.Slots(req.Args, req.Flags&partition.Group != 0, visit)
}

// Background implements partition.Evaluator: some slots' expired keys, and
// some of what a flush left behind. A partition where no key has a deadline
// costs nothing: a pass that met none is the last, until one is set.
func (e *evaluator) Background(txn *partition.Txn) (more bool) {
	if txn.Partition() == base.Catalog {
		return false
	}
	h, span := e.part(txn), txn.Span()
	h.expiring = txn.TookDeadlines() || h.expiring
	if h.expiring {
		p := keyspace.SweepExpired(txn, txn.Partition(), span, h.expireAt, expireBudget, datatype.Due, e.eval.Events)
		h.pending += p.Pending + p.Removed
		e.tally.Expired.Add(uint64(p.Expired))
		if h.expireAt = p.Next; p.Next >= span.Hi {
			h.expiring, h.pending, h.expireAt = h.pending > 0, 0, span.Lo
		}
		if more = p.Removed > 0; more {
			h.watches.TouchAll()
			txn.Waiters().Expired()
		}
	}
	if e.limits.Now != nil {
		more = e.maintain(txn, more) || more
	}
	if h.sweeping {
		p := keyspace.SweepDead(txn, txn.Partition(), span, h.sweepAt, sweepBudget)
		h.sweepAt = p.Next
		h.sweeping = p.Next < span.Hi
		more = more || p.Removed > 0
	}
	return more
}
