package redisfront

import (
	"math/rand/v2"
	"sync/atomic"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/spanning"
	"coterie/internal/txn"
)

// spanned is an op that this session's goroutine evaluates itself, because its
// keys lie in several partitions and it cannot be divided. It is the last of
// its batch.
type spanned struct {
	o     *op
	job   spanning.Job
	write func(w *resp.Writer, reply []byte) // the reply from the evaluation's; nil: it is that
	// run, if it is set, is done instead of the job.
	run func(*reach) (partition.Status, []byte)

	script *scriptOf // it is one; nil: it is none, or several
	// first, if there is one, may do it: only if its answer is that it was
	// diverted, the op is evaluated here.
	first *partition.Request
	// reads are what its scripts read; nil: nobody caches that.
	reads *scriptReads
}

// span puts such an op into the batch.
func (s *session) span(x *spanned) {
	x.job.DB, x.job.Proto, x.job.Session = uint8(s.db.Load()), uint8(s.proto.Load()), s.id
	x.job.MaxBytes = s.f.opts.Limits.TransactionBytes
	if len(s.mayRead) > 0 || x.script != nil && s.caches() {
		x.reads = &scriptReads{s: s, may: s.mayRead}
		s.mayRead = nil
	}
	s.spanned = x
	s.enqueue(x.o)
}

// watchedKeys are a command's keys as a job names them.
func (s *session) watchedKeys(dst [][]byte, e *entry, args [][]byte) [][]byte {
	return appendWatched(dst, uint8(s.db.Load()), e, args)
}

func appendWatched(dst [][]byte, db uint8, e *entry, args [][]byte) [][]byte {
	for _, i := range e.spec.AppendKeys(nil, args) {
		dst = append(dst, command.WatchedKey(db, args[i]))
	}
	return dst
}

// evaluate runs the op, behind what came before it. It returns false when the
// session is over.
func (s *session) evaluate() bool {
	x := s.spanned
	s.spanned = nil
	s.submit()
	if x.reads != nil {
		x.reads.begin()
	}
	c := &reach{s: s, dir: s.f.router.Directory()}
	status, reply, done := s.tryFirst(c, x)
	var missed [][]byte
	if done && x.reads != nil {
		reply, missed = x.reads.split(status, reply)
	}
	switch {
	case done:
	case x.run != nil:
		status, reply = x.run(c)
	default:
		status, reply = s.f.evaluateJob(c, &x.job, x.script, x.reads)
	}
	if status != partition.Done || x.write == nil || len(reply) > 0 && reply[0] == '-' {
		reply = answer(s, &partition.Request{Status: status, Reply: reply})
	} else {
		w := resp.Writer{Proto: int(x.job.Proto)}
		x.write(&w, reply)
		reply = w.Buf
	}
	if s.silence != replyOn { // by CLIENT REPLY in a transaction: its array would lack what is not answered
		x.o.silent = true
	}
	s.finish(x.o, reply)
	if x.reads != nil {
		x.reads.settleReads(missed)
	}
	s.f.Flush()
	_, ok := s.settle()
	return ok
}

// settle waits until everything that was submitted is answered: over is false
// if that was not to be waited for. ok is false when the session is over.
func (s *session) settle() (over, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaitAll()
	over = s.mu.pending == 0
	return over, s.pace()
}

// awaitAll, called with mu, waits until everything that was submitted is answered
// or the session is over.
func (s *session) awaitAll() {
	m := &s.mu
	m.waiting = true
	for !m.dead && m.pending > 0 {
		m.wakeAt = 0
		s.cond.Wait()
	}
	m.waiting = false
}

// tryFirst lets a partition do the op. done is false if it was diverted.
func (s *session) tryFirst(c *reach, x *spanned) (status partition.Status, reply []byte, done bool) {
	if x.first == nil {
		return 0, nil, false
	}
	if x.reads != nil {
		x.first.Proto |= command.TellReads
	}
	if !c.Submit([]*partition.Request{x.first}) {
		return partition.Unknown, nil, true
	}
	return x.first.Status, x.first.Reply, string(x.first.Reply) != command.DivertReply
}

// reach is how a session's evaluation reaches the partitions.
type reach struct {
	s   *session
	dir *Directory
}

var _ spanning.Cluster = (*reach)(nil)

// Owner implements spanning.Cluster.
func (c *reach) Owner(slot base.Slot) (base.PartitionID, bool) {
	if p := c.dir.BySlot(slot); p != nil {
		return p.ID, true
	}
	return 0, false
}

// Rand implements spanning.Cluster.
func (c *reach) Rand() uint64 { return rand.Uint64() }

// gather waits for several answers.
type gather struct {
	left atomic.Int32
	done chan struct{}
}

func (g *gather) came() {
	if g.left.Add(-1) == 0 {
		close(g.done)
	}
}

// Complete implements partition.Sink.
func (g *gather) Complete(*partition.Request) { g.came() }

// CompleteTxn implements txn.Sink.
func (g *gather) CompleteTxn(*txn.Transaction) { g.came() }

func newGather(n int) *gather {
	g := &gather{done: make(chan struct{})}
	g.left.Store(int32(n))
	return g
}

// wait is false when the front was closed first.
func (c *reach) wait(g *gather) bool {
	select {
	case <-g.done:
		return true
	case <-c.s.f.closing:
		return false
	}
}

// Submit implements spanning.Cluster.
func (c *reach) Submit(reqs []*partition.Request) bool {
	g := newGather(len(reqs))
	for _, r := range reqs {
		r.Sink = g
	}
	c.s.f.router.Submit(reqs)
	return c.wait(g)
}

// Transact implements spanning.Cluster.
func (c *reach) Transact(t *txn.Transaction) bool {
	g := newGather(1)
	t.Sink = g
	c.s.f.router.Transact(t)
	return c.wait(g)
}

// Release implements spanning.Cluster.
func (c *reach) Release(t *txn.Transaction) { c.s.f.router.Release(t) }
