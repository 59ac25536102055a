package spanning

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/effects"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
	"coterie/internal/overlay"
	"coterie/internal/partition"
	"coterie/internal/txn"
)

// Cluster is how an evaluation reaches the partitions. What waits is false when
// it does not wait any longer, since the node stops: what was handed over must
// not be looked at then.
type Cluster interface {
	// Owner is the partition of a slot; ok is false if nobody knows.
	Owner(base.Slot) (id base.PartitionID, ok bool)
	// Submit hands requests over, and waits until all are answered.
	Submit([]*partition.Request) bool
	// Transact hands a transaction over, and waits until it is answered.
	Transact(*txn.Transaction) bool
	// Release gives a held transaction up.
	Release(*txn.Transaction)
	// Rand is the random source that commands see.
	Rand() uint64
}

const maxAttempts = 16 // after which others have been in the way too often

// DefaultMaxBytes bounds what one evaluation may fetch, and what it may write.
const DefaultMaxBytes = 64 << 20

// Replies for what was not run.
const (
	replyContended = "-TRYAGAIN Others have changed the keys again and again while the command was run over several partitions; nothing was done\r\n"
	replyStopping  = "-UNKNOWNOUTCOME The node was stopped while it ran the command\r\n"
	replyStopped   = "-TRYAGAIN The node was stopped while it ran the command; nothing was done\r\n"
	replyUnsure    = "-TRYAGAIN Nobody could say in time whether what the command read was so; ask again\r\n"
	replyNoOwner   = "-CLUSTERDOWN Hash slot not served\r\n"
)

// Job is what is to be evaluated.
type Job struct {
	DB, Proto uint8
	// Args are a command's, or with Group those of command.ExecGroup without
	// watched keys.
	Args  [][]byte
	Group bool
	// Keys are those that it names, each as command.WatchedKey has it: they are
	// fetched at once. It may use others.
	Keys [][]byte
	// Watched keys must not have changed since the session began to watch them.
	Watched [][]byte
	Session uint64
	// MaxBytes bounds what is fetched, and what is written. 0: DefaultMaxBytes.
	MaxBytes int

	// MayWait lets a blocking command say that it has found nothing: then Waits is set,
	// the reply is empty, and WaitArgs are what it is to be run with again; nil: Args.
	MayWait  bool
	Waits    bool
	WaitArgs [][]byte

	// Mail is what the commands say to subscribers: with status Done the caller
	// sends it.
	Mail []kv.Mail
}

// Evaluation runs one job.
type Evaluation struct {
	cluster Cluster
	eval    *command.Evaluator
	job     *Job

	met   map[base.Slot]base.PartitionID // all slots that any attempt read
	gens  map[base.PartitionID]keyspace.Generations
	held  *txn.Transaction // what this attempt has locked; nil: nothing
	locks map[base.Slot]bool

	parts   map[base.PartitionID]*part
	found   map[string]partition.Item // by key of the state
	made    map[keys.Collection]bool  // collections that the attempt made: all of them is in its view
	asked   int                       // requests that fetched
	fetched int                       // bytes
	stamp   base.Stamp
	err     error // the first; sticky
}

// part is what the attempt knows of one partition.
type part struct {
	term   uint64
	nextID uint64
	reads  map[base.Slot]uint64 // round, of slots read without a lock
	body   []byte
}

// errConflict says that others were in the way: another attempt may do better.
var errConflict = errors.New("conflict")

// refusal is an error reply.
type refusal string

func (r refusal) Error() string { return string(r) }

// Run runs a job. The status is as a replica's: Done with the reply, which may
// be an error of the command, or NotRun or Unknown with an error reply.
func Run(c Cluster, eval *command.Evaluator, job *Job) (partition.Status, []byte) {
	if job.MaxBytes == 0 {
		job.MaxBytes = DefaultMaxBytes
	}
	e := &Evaluation{
		cluster: c, eval: eval, job: job,
		met: map[base.Slot]base.PartitionID{}, gens: map[base.PartitionID]keyspace.Generations{},
	}
	// What is watched is looked at once: it ends with that.
	lock := len(job.Watched) > 0
	for range maxAttempts {
		status, reply, again := e.attempt(lock)
		if !again {
			return status, reply
		}
		lock = true
	}
	return partition.NotRun, []byte(replyContended)
}

// attempt evaluates once. again says that others were in the way.
func (e *Evaluation) attempt(lock bool) (status partition.Status, reply []byte, again bool) {
	e.held, e.locks, e.err = nil, nil, nil
	e.parts, e.found = map[base.PartitionID]*part{}, map[string]partition.Item{}
	e.made = map[keys.Collection]bool{}
	e.asked, e.fetched = 0, 0
	e.job.Mail = nil
	if lock && !e.hold() {
		return e.failed()
	}
	defer func() {
		if e.held != nil {
			e.cluster.Release(e.held)
		}
	}()
	reply = e.evaluate()
	if e.err != nil {
		return e.failed()
	}
	t := e.transaction()
	if e.err != nil {
		return e.failed()
	}
	if t == nil {
		if !e.holds() {
			return e.failed()
		}
		return partition.Done, reply, false
	}
	e.held = nil // it ends with t
	matters := e.matters()
	switch done := e.cluster.Transact(t); {
	case !done && matters:
		return partition.Unknown, []byte(replyStopping), false
	case !done:
		return partition.NotRun, []byte(replyStopped), false
	case t.Conflict:
		return 0, nil, true
	case t.Status == partition.Unknown && !matters:
		return partition.NotRun, []byte(replyUnsure), false
	case !t.Committed():
		return t.Status, t.Reply, false
	}
	return partition.Done, reply, false
}

// failed is what comes of an attempt after an error.
func (e *Evaluation) failed() (partition.Status, []byte, bool) {
	var r refusal
	switch {
	case errors.Is(e.err, errConflict):
		return 0, nil, true
	case errors.As(e.err, &r):
		return partition.NotRun, []byte(r), false
	}
	return partition.NotRun, []byte("-ERR " + e.err.Error() + "\r\n"), false
}

func (e *Evaluation) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// evaluate runs the job's commands over what is fetched as they ask for it, and
// divides what they wrote.
func (e *Evaluation) evaluate() (reply []byte) {
	e.prefetch()
	if e.err != nil {
		return nil
	}
	defer e.torn()
	view := &view{Overlay: overlay.New(remote{e}), e: e, now: e.stamp}
	view.Begin()
	call := command.Call{
		Txn: view, Span: base.Span{Lo: 0, Hi: base.NumSlots}, DB: e.job.DB, Proto: e.job.Proto, Args: e.job.Args,
		Group: e.job.Group, Places: e,
	}
	if e.job.Waits = false; e.job.MayWait {
		call.Blocking, call.Waiters = true, (*waits)(e.job)
	}
	reply, _ = e.eval.Evaluate(call, nil)
	body := view.End()
	if err := view.Err(); err != nil {
		e.fail(err)
	}
	if len(body) > e.job.MaxBytes {
		e.fail(tooLarge("changes", e.job.MaxBytes))
	}
	e.divide(body)
	return reply
}

// waits takes down that a job's command waits.
type waits Job

var _ command.Waiters = (*waits)(nil)

// Any implements command.Waiters.
func (*waits) Any() bool { return false }

// Touch implements command.Waiters.
func (*waits) Touch([]byte) {}

// TouchAll implements command.Waiters.
func (*waits) TouchAll() {}

// Wait implements command.Waiters.
func (w *waits) Wait(_, args [][]byte, _ string, _ bool) { w.Waits, w.WaitArgs = true, args }

// torn ends an evaluation that could not fetch all that it needed: the types take
// what is missing for a bug, and panic, as they should in any other case.
func (e *Evaluation) torn() {
	if e.err != nil {
		_ = recover()
	}
}

func tooLarge(what string, limit int) error {
	return fmt.Errorf("the command %s more than %d bytes over several partitions, and was not run", what, limit)
}

// divide gives each partition what was written of its slots.
func (e *Evaluation) divide(body []byte) {
	d := effects.Body(body)
	for {
		op, ok := d.Next()
		if !ok {
			break
		}
		slot, ofSlot := keys.SlotOf(op.Key)
		p := e.parts[e.met[slot]]
		if !ofSlot || p == nil {
			e.fail(errWhole)
			return
		}
		switch op.Kind {
		case effects.Set:
			p.body = effects.AppendSet(p.body, op.Key, op.Value)
		case effects.Delete:
			p.body = effects.AppendDelete(p.body, op.Key)
		case effects.DeleteRange:
			p.body = effects.AppendDeleteRange(p.body, op.Key, op.Value)
		}
	}
}

// part is the attempt's knowledge of a partition.
func (e *Evaluation) part(id base.PartitionID) *part {
	p := e.parts[id]
	if p == nil {
		p = &part{reads: map[base.Slot]uint64{}}
		e.parts[id] = p
	}
	return p
}

// owner is the partition of a slot, which is noted as met.
func (e *Evaluation) owner(slot base.Slot) (base.PartitionID, bool) {
	if id, known := e.met[slot]; known {
		return id, true
	}
	id, ok := e.cluster.Owner(slot)
	if !ok {
		e.fail(refusal(replyNoOwner))
		return 0, false
	}
	e.met[slot] = id
	return id, true
}

// hold locks all slots that are known.
func (e *Evaluation) hold() bool {
	for _, list := range [][][]byte{e.job.Keys, e.job.Watched} {
		for _, key := range list {
			if _, ok := e.owner(base.KeySlot(key[1:])); !ok {
				return false
			}
		}
	}
	if len(e.met) == 0 {
		return true
	}
	works := map[base.PartitionID]*partition.Work{}
	e.locks = map[base.Slot]bool{}
	for _, slot := range slices.Sorted(maps.Keys(e.met)) {
		w := works[e.met[slot]]
		if w == nil {
			w = &partition.Work{}
			works[e.met[slot]] = w
		}
		w.Locks = append(w.Locks, slot)
		e.locks[slot] = true
	}
	t := e.newTransaction()
	t.Hold = true
	for _, id := range slices.Sorted(maps.Keys(works)) {
		t.Parts = append(t.Parts, txn.Part{Partition: id, Slot: works[id].Locks[0], Work: works[id]})
	}
	switch {
	case !e.cluster.Transact(t):
		e.fail(refusal(replyStopped))
		return false
	case t.Conflict:
		e.fail(errConflict)
		return false
	case t.Status != partition.Done:
		e.fail(refusal(t.Reply))
		return false
	}
	e.held = t
	return true
}

func (e *Evaluation) newTransaction() *txn.Transaction {
	return &txn.Transaction{Session: e.job.Session, Proto: e.job.Proto, DB: e.job.DB}
}

// transaction makes that of the attempt's work; nil if there is nothing to
// write and nothing watched.
func (e *Evaluation) transaction() *txn.Transaction {
	groups := map[base.PartitionID][][]byte{}
	for _, key := range e.job.Watched {
		id, ok := e.owner(base.KeySlot(key[1:]))
		if !ok {
			return nil
		}
		e.part(id)
		groups[id] = append(groups[id], key)
	}
	t, writes := e.newTransaction(), len(groups) > 0
	ids := slices.Sorted(maps.Keys(e.parts))
	held, taken := map[base.PartitionID]bool{}, map[base.PartitionID]bool{}
	if e.held != nil {
		t.ID = e.held.ID
		for i, part := range e.held.Parts {
			held[part.Partition] = true
			ids = slices.Insert(ids, i, part.Partition) // its first stays the first
			e.part(part.Partition)
		}
	}
	for _, id := range ids {
		p := e.parts[id]
		if taken[id] || !held[id] && len(p.body)+len(p.reads)+len(groups[id]) == 0 {
			continue
		}
		taken[id] = true
		part := txn.Part{Partition: id, Work: p.work()}
		part.Work.Held, part.Work.NextID, part.Work.Body = held[id], p.nextID, p.body
		if watched := groups[id]; len(watched) > 0 {
			part.Args = command.ExecGroup(e.job.Session, watched, nil)
		}
		t.Parts = append(t.Parts, part)
		writes = writes || len(p.body) > 0 || e.held != nil && len(p.reads) > 0
	}
	if !writes {
		return nil
	}
	return t
}

// matters says whether anybody need know if the attempt's effects came to be. Those of
// commands that only read need not: they remove what has expired, which anybody may do
// at any time. They are committed with the reply all the same, lest a leader whose clock
// is behind should find again what this one has seen gone.
func (e *Evaluation) matters() bool {
	if e.eval.OnlyReads(e.job.Args, e.job.Group) {
		return false
	}
	for _, p := range e.parts {
		if len(p.body) > 0 {
			return true
		}
	}
	return false
}

// work is what was read of a partition without locks.
func (p *part) work() *partition.Work {
	w := &partition.Work{Term: p.term}
	for _, slot := range slices.Sorted(maps.Keys(p.reads)) {
		w.Reads = append(w.Reads, partition.SlotRound{Slot: slot, Round: p.reads[slot]})
	}
	return w
}

// holds says whether what was only read, without locks, all held at one moment.
// One answer always did.
func (e *Evaluation) holds() bool {
	if e.held != nil || e.asked == 1 {
		return true
	}
	var reqs []*partition.Request
	for _, id := range slices.Sorted(maps.Keys(e.parts)) {
		if p := e.parts[id]; len(p.reads) > 0 {
			reqs = append(reqs, e.request(id, partition.ValidateWorkArgs(p.work())))
		}
	}
	e.submit(reqs)
	for _, req := range reqs {
		switch {
		case e.err != nil:
			return false
		case req.Status != partition.Done || len(req.Reply) == 0 || req.Reply[0] == '-':
			e.fail(refusal(req.Reply))
		case req.Reply[0] != partition.TxnValid:
			e.fail(errConflict)
		}
	}
	return e.err == nil
}

func (e *Evaluation) request(id base.PartitionID, args [][]byte) *partition.Request {
	return &partition.Request{
		Partition: id, Session: e.job.Session, DB: e.job.DB, Proto: e.job.Proto,
		Flags: partition.Whole | partition.Transaction, Args: args,
	}
}

func (e *Evaluation) submit(reqs []*partition.Request) {
	if len(reqs) > 0 && e.err == nil && !e.cluster.Submit(reqs) {
		e.fail(refusal(replyStopped))
	}
}
