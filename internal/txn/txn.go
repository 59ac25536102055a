// Package txn coordinates transactions over several partitions: the half of
// docs/internals/transactions.md that the gateway node runs. It is a state
// machine without I/O and without a clock, called by the node's loop.
//
// Invariants:
//   - A transaction is finished once. If it is finished as committed, every
//     part has its reply, and home has the verdict on a majority.
//   - COMMIT goes to home only after every participant has prepared under the
//     same id; an id is given up before the next attempt begins.
//   - Nothing is resolved as long as it is not known what came of COMMIT.
//   - Answers of requests are only noted as they come (routing.Caller); requests are
//     submitted by Begin, Release, Turn and Tick alone, when the loop is ready for it.
//
// What a lost answer leaves behind is settled by the leaders of the
// partitions: they report it to the coordinator of their own node (Recover,
// Settle).
package txn

import (
	"cmp"
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/routing"
)

// Replies for transactions that were not run.
const (
	ReplyCrowded = "-TRYAGAIN Too many transactions over several partitions are under way; nothing was run\r\n"
	ReplyAborted = "-TRYAGAIN The transaction was held up for too long and given up; nothing was run\r\n"
	ReplyTooWide = "-ERR the transaction spans too many partitions; nothing was run\r\n"
)

// Bounds of one node's coordinator.
const (
	maxTransactions = 1 << 14 // under way at once, or yet to be resolved
	maxErrands      = 1 << 12 // recoveries and settlements under way; leaders report the others again
	maxForgets      = 1 << 14 // verdicts to be forgotten at the next tick; of others home reports itself
	forgetBatch     = 1 << 10 // verdicts in one FORGET
	maxAgain        = 3       // attempts after the first, when others recovered the one before
	maxReads        = 2       // attempts to read without locks
)

// Part is a transaction's share in one partition.
type Part struct {
	Partition base.PartitionID
	Slot      base.Slot
	Args      [][]byte // a group: command.ExecGroup
	Reply     []byte   // the group's reply, once it is prepared
	// Work is what the gateway evaluated, if it did. Then Args may be empty.
	Work *partition.Work
}

// Transaction is what a session asks for. From Begin until it is finished
// nothing in it may be touched.
type Transaction struct {
	Session uint64
	Proto   uint8
	DB      uint8
	Parts   []Part // rising by partition, each once, at least one
	// Once says that a part which has run and is taken back cannot be asked a
	// second time, because it looks at watched keys and they are forgotten with
	// it. Such a transaction waits for its locks at once.
	Once bool
	// ReadOnly says that no part writes. Then the parts are read without locks,
	// and asked once more whether what they said still holds.
	ReadOnly bool
	// Hold says that the transaction is to be prepared, and then to be held: it
	// is neither committed nor aborted. Its ID is set; it ends with another
	// Begin of the same ID, or with Release. The parts wait for their locks.
	Hold bool
	// ID names the held transaction that this one continues. Its parts are all
	// of the held one's, and perhaps more; the first is the same.
	ID   partition.TxnID
	Sink Sink

	// Status is Done if it is committed, or was declined by a part: then Reply
	// is that part's. NotRun and Unknown come with an error reply.
	Status partition.Status
	// Reply is the one reply for the client, if it was not committed.
	Reply []byte
	// Conflict says that it was not committed because others were in the way of
	// what its gateway evaluated: it may be evaluated again.
	Conflict bool
}

// evaluated says whether the gateway evaluated it.
func (t *Transaction) evaluated() bool { return t.Parts[0].Work != nil }

// Committed says, of a finished transaction, that its parts have taken effect.
func (t *Transaction) Committed() bool { return t.Status == partition.Done && t.Reply == nil }

// Sink receives a finished transaction, on the node's loop: it must not block
// or call back.
type Sink interface {
	CompleteTxn(*Transaction)
}

// attempt is a transaction on its way, under one id after the other.
type attempt struct {
	t        *Transaction
	id       partition.TxnID
	ordered  bool
	prepares []*routing.Call // by part; nil if not yet sent
	waiting  int             // of them, not answered
	aborted  int             // attempts that others recovered
}

// errandKey names what is done for a leader here: a recovery for the
// partition that asked, or a settlement.
type errandKey struct {
	id        partition.TxnID
	partition base.PartitionID
	settle    bool
}

// Coordinator is one node's.
type Coordinator struct {
	// MaxParts bounds the participants of one transaction. 0: there is no bound.
	MaxParts int

	calls    *routing.Caller          // in order: a RESOLVE comes before the next attempt's PREPARE
	owned    map[partition.TxnID]bool // ids under way here, until all are resolved
	errands  map[errandKey]bool
	finished []*Transaction
	forgets  map[base.PartitionID][]partition.TxnID // by home
	nforgets int
}

// New returns a node's coordinator.
func New(r routing.Submitter) *Coordinator {
	return &Coordinator{
		calls: routing.NewCaller(r),
		owned: map[partition.TxnID]bool{}, errands: map[errandKey]bool{}, forgets: map[base.PartitionID][]partition.TxnID{},
	}
}

// Waiting is how much is not over yet: transactions, what they left to be
// resolved and forgotten, and what is done for leaders here.
func (c *Coordinator) Waiting() int {
	return len(c.owned) + len(c.errands) + c.nforgets + len(c.finished)
}

// Begin takes a new transaction.
func (c *Coordinator) Begin(t *Transaction) {
	t.Status, t.Reply, t.Conflict = partition.Done, nil, false
	switch {
	case len(t.Parts) == 0:
		c.finish(t, partition.Done, nil)
	case t.ID != (partition.TxnID{}):
		c.lock(t)
	case len(c.owned) >= maxTransactions:
		c.finish(t, partition.NotRun, []byte(ReplyCrowded))
	case c.MaxParts > 0 && len(t.Parts) > c.MaxParts:
		c.finish(t, partition.NotRun, []byte(ReplyTooWide))
	case t.ReadOnly:
		c.read(t, 1)
	default:
		c.lock(t)
	}
}

// Turn works through the answers that came, submits what follows from them,
// and returns the transactions that are over.
func (c *Coordinator) Turn() (finished []*Transaction) {
	c.calls.Turn()
	finished, c.finished = c.finished, nil
	return finished
}

func (c *Coordinator) finish(t *Transaction, status partition.Status, reply []byte) {
	t.Status, t.Reply = status, reply
	c.finished = append(c.finished, t)
}

// call makes a request that writes. Session, database and protocol concern only
// the commands of a PREPARE.
func (c *Coordinator) call(p base.PartitionID, args [][]byte, came func(*routing.Call)) *routing.Call {
	k := c.calls.Call(p, args, came)
	k.Req.Flags |= partition.Write
	return k
}

// read asks all parts at once, and then, when all have answered, whether what
// they said still holds: if it does, it all held at the moment in between. After
// maxReads attempts the transaction takes locks like any other.
func (c *Coordinator) read(t *Transaction, try int) {
	calls := make([]*routing.Call, len(t.Parts))
	left := len(calls)
	for i := range t.Parts {
		k := c.calls.Call(t.Parts[i].Partition, partition.ReadArgs(t.Parts[i].Args), func(*routing.Call) {
			if left--; left == 0 {
				c.readDone(t, try, calls)
			}
		})
		carries(k, t, &t.Parts[i])
		calls[i] = k
	}
	c.calls.Submit()
}

// carries makes a call one that brings a transaction's commands.
func carries(k *routing.Call, t *Transaction, part *Part) {
	k.Req.Slot, k.Req.Session, k.Req.DB, k.Req.Proto = part.Slot, t.Session, t.DB, t.Proto
}

func (c *Coordinator) readDone(t *Transaction, try int, calls []*routing.Call) {
	tokens := make([][]byte, len(calls))
	for i, k := range calls {
		if k.Vote() != partition.TxnRead || len(k.Req.Reply) <= 1+partition.TokenLen {
			c.finish(t, partition.NotRun, notRun(k))
			return
		}
		tokens[i], t.Parts[i].Reply = k.Req.Reply[1:1+partition.TokenLen], k.Req.Reply[1+partition.TokenLen:]
	}
	left, changed := len(calls), false
	for i := range t.Parts {
		k := c.calls.Call(t.Parts[i].Partition, partition.ValidateArgs(tokens[i], t.Parts[i].Args), func(k *routing.Call) {
			changed = changed || k.Vote() != partition.TxnValid
			if left--; left > 0 {
				return
			}
			switch {
			case !changed:
				c.finish(t, partition.Done, nil)
			case try < maxReads:
				c.read(t, try+1)
			default:
				c.lock(t)
			}
		})
		carries(k, t, &t.Parts[i])
	}
}

// lock begins a transaction that takes locks.
func (c *Coordinator) lock(t *Transaction) {
	c.start(&attempt{t: t, ordered: t.ID == (partition.TxnID{}) && (t.Once || t.Hold)})
}

// start begins an attempt, under a new id unless it continues a held one.
func (c *Coordinator) start(a *attempt) {
	a.id = a.t.ID
	a.prepares = make([]*routing.Call, len(a.t.Parts))
	for i := range a.t.Parts {
		a.t.Parts[i].Reply = nil
	}
	c.prepare(a, 0)
	if home := a.prepares[0].Req.Origin; a.id == (partition.TxnID{}) {
		a.id = partition.TxnID{Gateway: home.Gateway, Sequence: home.Sequence}
	}
	c.owned[a.id] = true
	for i := 1; i < len(a.prepares) && !a.ordered; i++ {
		c.prepare(a, i)
	}
}

// prepare sends a part's PREPARE. It is submitted at once: home's gives the
// id.
func (c *Coordinator) prepare(a *attempt, i int) {
	t, part := a.t, &a.t.Parts[i]
	participants := make([]base.PartitionID, len(t.Parts))
	for j := range t.Parts {
		participants[j] = t.Parts[j].Partition
	}
	var args [][]byte
	if part.Work != nil {
		args = partition.PrepareWorkArgs(a.id, participants, a.ordered, part.Work, part.Args)
	} else {
		args = partition.PrepareArgs(a.id, participants, a.ordered, part.Args)
	}
	k := c.call(part.Partition, args, func(*routing.Call) {
		if a.waiting--; a.waiting == 0 {
			c.prepared(a)
		}
	})
	carries(k, t, part)
	a.prepares[i] = k
	a.waiting++
	c.calls.Submit()
}

// prepared decides what follows when all PREPAREs that were sent are
// answered.
func (c *Coordinator) prepared(a *attempt) {
	var declined, failed, busy *routing.Call
	sent := 0
	for i, k := range a.prepares {
		if k == nil {
			continue
		}
		sent++
		switch v := k.Vote(); {
		case v == partition.TxnPrepared:
			a.t.Parts[i].Reply = k.Req.Reply[1:]
		case v == partition.TxnDeclined && declined == nil:
			declined = k
		case v == partition.TxnBusy && !a.ordered:
			busy = k
		case v != partition.TxnDeclined && failed == nil:
			failed = k
		}
	}
	switch {
	case declined != nil:
		c.abort(a)
		c.finish(a.t, partition.Done, declined.Req.Reply[1:])
	case (failed != nil || busy != nil) && a.t.evaluated():
		c.abort(a)
		c.conflict(a.t, cmp.Or(failed, busy))
	case failed != nil:
		c.abort(a)
		c.finish(a.t, partition.NotRun, notRun(failed))
	case busy != nil:
		c.abort(a)
		a.ordered = true
		c.start(a)
	case sent < len(a.prepares):
		c.prepare(a, sent)
	case a.t.Hold:
		a.t.ID = a.id
		c.finish(a.t, partition.Done, nil)
	default:
		c.commit(a)
	}
}

// conflict ends a transaction whose gateway evaluated it, because of what one
// part said.
func (c *Coordinator) conflict(t *Transaction, k *routing.Call) {
	t.Conflict = k.Vote() == partition.TxnBusy || k.Vote() == partition.TxnAborted
	c.finish(t, partition.NotRun, notRun(k))
}

// Release gives up a held transaction.
func (c *Coordinator) Release(t *Transaction) {
	to := make([]base.PartitionID, len(t.Parts))
	for i := range t.Parts {
		to[i] = t.Parts[i].Partition
	}
	c.resolve(t.ID, to, false, func(bool) {})
	c.calls.Submit()
}

// notRun is what the client is told when a PREPARE was not answered properly.
func notRun(k *routing.Call) []byte {
	switch reply := k.Req.Reply; {
	case k.Req.Status == partition.Unknown || len(reply) == 0:
		return []byte(routing.ReplyNoLeader)
	case reply[0] == '-':
		return reply
	default: // it was recovered by others
		return []byte(ReplyAborted)
	}
}

// abort tells every participant that may have prepared, or holds locks already,
// to drop it.
func (c *Coordinator) abort(a *attempt) {
	var to []base.PartitionID
	for _, k := range a.prepares {
		held := a.t.ID != (partition.TxnID{})
		if !held && (k == nil || k.Vote() == partition.TxnDeclined || k.Vote() == partition.TxnBusy) {
			continue
		}
		to = append(to, k.Req.Partition)
	}
	c.resolve(a.id, to, false, func(bool) {})
}

// resolve tells participants what became of a transaction. done is called
// when all have answered; with false if one has not taken note.
func (c *Coordinator) resolve(id partition.TxnID, to []base.PartitionID, commit bool, done func(all bool)) {
	left, all := len(to), true
	over := func() {
		delete(c.owned, id)
		done(all)
	}
	if left == 0 {
		over()
		return
	}
	for _, p := range to {
		c.call(p, partition.ResolveArgs(id, commit), func(k *routing.Call) {
			all = all && k.Vote() == partition.TxnResolved
			if left--; left == 0 {
				over()
			}
		})
	}
}

// commit asks home for the verdict.
func (c *Coordinator) commit(a *attempt) {
	home := a.t.Parts[0].Partition
	c.call(home, partition.CommitArgs(a.id), func(k *routing.Call) {
		switch v := k.Vote(); {
		case v == partition.TxnCommitted:
			c.finish(a.t, partition.Done, nil)
			c.committed(a.id, a.t.Parts)
		case v == partition.TxnAborted:
			c.abort(a)
			if a.t.evaluated() {
				c.conflict(a.t, k)
			} else if a.aborted++; a.aborted <= maxAgain {
				c.start(a)
			} else {
				c.finish(a.t, partition.NotRun, []byte(ReplyAborted))
			}
		case k.Req.Status == partition.NotRun: // and never will be
			c.abort(a)
			c.finish(a.t, partition.NotRun, notRun(k))
		default:
			delete(c.owned, a.id)
			c.finish(a.t, partition.Unknown, []byte(routing.ReplyUnknown))
		}
	})
}

// committed tells the other participants, and then home that it may forget.
func (c *Coordinator) committed(id partition.TxnID, parts []Part) {
	home := parts[0].Partition
	to := make([]base.PartitionID, 0, len(parts)-1)
	for i := range parts[1:] {
		to = append(to, parts[1+i].Partition)
	}
	c.resolve(id, to, true, func(all bool) {
		if all {
			c.forget(home, id)
		}
	})
}

func (c *Coordinator) forget(home base.PartitionID, id partition.TxnID) {
	if c.nforgets < maxForgets {
		c.nforgets++
		c.forgets[home] = append(c.forgets[home], id)
	}
}

// begins says whether an errand is to be done: it is not under way, and not
// about a transaction that this node is still busy with itself.
func (c *Coordinator) begins(key errandKey) bool {
	if c.owned[key.id] || c.errands[key] || len(c.errands) >= maxErrands {
		return false
	}
	c.errands[key] = true
	return true
}

// Recover finds out for a leader here what became of a transaction that has
// left an intent, and brings it the answer.
func (c *Coordinator) Recover(r partition.Recover) {
	key := errandKey{id: r.ID, partition: r.Partition}
	if !c.begins(key) {
		return
	}
	c.call(r.Home, partition.RecoverArgs(r.ID), func(k *routing.Call) {
		v := k.Vote()
		known := v == partition.TxnCommitted || v == partition.TxnAborted
		if !known || r.Partition == r.Home { // home itself has taken note
			delete(c.errands, key)
			return
		}
		c.resolve(r.ID, []base.PartitionID{r.Partition}, v == partition.TxnCommitted, func(bool) { delete(c.errands, key) })
	})
}

// Settle brings a committed transaction's verdict to its participants for
// home, whose leader is here.
func (c *Coordinator) Settle(s partition.Settle) {
	if len(s.Participants) == 0 {
		return
	}
	home := s.Participants[0]
	key := errandKey{id: s.ID, partition: home, settle: true}
	if !c.begins(key) {
		return
	}
	c.resolve(s.ID, s.Participants[1:], true, func(all bool) {
		delete(c.errands, key)
		if all {
			c.forget(home, s.ID)
		}
	})
}

// Tick sends the FORGETs that gathered. Nobody waits for them: of a verdict
// that stays home's leader reports that it is to be settled.
func (c *Coordinator) Tick() {
	homes := make([]base.PartitionID, 0, len(c.forgets))
	for home := range c.forgets {
		homes = append(homes, home)
	}
	slices.Sort(homes)
	for _, home := range homes {
		for ids := range slices.Chunk(c.forgets[home], forgetBatch) {
			c.call(home, partition.ForgetArgs(ids...), func(*routing.Call) {})
		}
	}
	clear(c.forgets)
	c.nforgets = 0
	c.calls.Submit()
}
