package partition

import (
	"errors"
	"fmt"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"

	"go.etcd.io/raft/v3"
)

// Held names the gateways whose requests are to wait: they have not taken
// their replies yet.
type Held map[base.NodeID]bool

// Evaluate runs the waiting requests as one round: at most one is under way.
// now is the node's clock as a stamp. Requests of held gateways stay queued.
func (r *Replica) Evaluate(now base.Stamp, held Held, out *Output) {
	if !r.ready || r.Busy() || r.handover > 0 || r.stands(0) {
		return
	}
	// Messages stepped in this turn may have deposed the leader already.
	if st := r.rn.BasicStatus(); st.RaftState != raft.StateLeader || st.HardState.GetTerm() != r.term {
		return
	}
	r.txn.now = max(now, r.state.Stamp+1)
	r.txn.nextID = r.state.NextObjectID
	r.ov.Begin()
	r.versions.round++
	r.mail, r.mailBytes = nil, 0
	r.waiters.touched.rest(r.ticks, r.waiters.keys[string(trackKey)] != nil)
	e := r.evaluateQueue(held, out)
	background := r.background && r.cuts.barrier == nil
	if background {
		r.forgetAborted()
	}
	if background && r.ov.BodyLen() < maxRoundBytes {
		r.keepHouse()
	}
	body := r.ov.End()
	r.versions.noteWrites(body, r.ticks)
	if err := r.ov.Err(); err != nil {
		out.fail(fmt.Errorf("partition %d: read state: %w", r.cfg.Partition, err))
		return
	}
	switch {
	case body != nil || e.confirmed:
		r.propose(body, e.ran, out)
	case len(e.ran) > 0:
		r.keepUnrecorded(e.ran)
		r.readID++
		r.reads = e.ran
		r.rn.ReadIndex(readContext(r.readID))
	}
}

// replyUnread is in the place of a reply that nobody gets: the node ends.
const replyUnread = "-ERR The state could not be read\r\n"

// evaluate has a command evaluated. After a read that failed it may find less than
// must be there, and panic. Nothing of what it did counts: the node ends, and by the
// store's error, which says more.
func (r *Replica) evaluate(txn *Txn, req *Request, reply []byte) (answer []byte) {
	defer func() {
		if txn.Err() != nil && recover() != nil {
			txn.ov.CloseIters()
			answer = append(reply, replyUnread...)
		}
	}()
	return r.cfg.Evaluator.Evaluate(txn, req, reply)
}

// keepHouse does the evaluator's housekeeping, as evaluate does a command.
func (r *Replica) keepHouse() {
	defer func() {
		if r.ov.Err() != nil {
			_ = recover()
		}
	}()
	r.background = r.cfg.Evaluator.Background(&r.txn)
}

// replyOverdue answers a request whose gateway has given it up. It is an
// answer and no refusal: what was sent behind it may run.
const replyOverdue = "-TRYAGAIN The partition's leader has too much to do; the command waited too long and was not run\r\n"

// evaluation is a round as it is being evaluated.
type evaluation struct {
	round     uint64
	ran       []*Request
	reply     []byte // of all
	confirmed bool   // one of them makes kept replies superfluous
}

// add makes a request part of the round, once.
func (e *evaluation) add(req *Request) {
	if req.round != e.round {
		req.round = e.round
		e.ran = append(e.ran, req)
	}
}

// room says whether the round's limits allow more.
func (r *Replica) room(e *evaluation) bool {
	return len(e.ran) < maxRoundRequests && r.ov.BodyLen() < maxRoundBytes && len(e.reply) < maxRoundBytes && r.mailBytes < maxRoundBytes
}

// evaluateQueue runs requests from the queue within the round's limits, and
// behind each whoever waited for what it wrote.
func (r *Replica) evaluateQueue(held Held, out *Output) evaluation {
	r.rounds++
	e := evaluation{round: r.rounds}
	n, kept := 0, 0
	if r.cuts.barrier == nil { // else RELEASE is the first
		r.unpark()
	}
	r.highest = r.highest[:0]
	for r.serve(&e); n < len(r.queue) && r.room(&e) && !r.stands(n); r.serve(&e) {
		req := r.queue[n]
		switch {
		case len(held) > 0 && held[req.Origin.Gateway] && !isRelease(req):
			r.queue[kept] = req
			kept, n = kept+1, n+1
			continue
		case req.Flags&Whole == 0 && r.cfg.Partition != base.Catalog && !r.state.Span.Contains(req.Slot):
			r.refuse(req, out)
			n++
			continue
		}
		origin, before, known, over := req.recordedAs(), []byte(nil), false, false
		if req.Flags&(Write|Blocking) != 0 {
			// A gateway's requests come in the order of their sequences, or again.
			if r.highest.covers(origin) {
				break // sent twice: the second copy finds the first one's answer in the next round
			}
			if before, known, over = r.state.Answers.find(origin); !known && !over {
				before, known = r.findUnrecorded(origin)
			}
		}
		n++
		// What has run already must not wait: the lock may be its own.
		if !known && !over && r.txns.contended() && !r.overdue(req) && r.mustWait(req) {
			r.txns.park(req)
			continue
		}
		if req.Flags&(Write|Blocking) != 0 {
			r.highest.raise(origin)
		}
		if over { // a late copy: nobody waits for it
			req.Status, req.Reply = Unknown, nil
			out.Finished = append(out.Finished, req)
			continue
		}
		r.runNext(req, before, known, &e, out)
	}
	r.replyBytes = len(e.reply)
	rest := kept + copy(r.queue[kept:], r.queue[n:])
	clear(r.queue[rest:])
	r.queue = r.queue[:rest]
	return e
}

// runNext makes the next request of the queue part of the round: it is run,
// or answered with what is known of it.
func (r *Replica) runNext(req *Request, before []byte, known bool, e *evaluation, out *Output) {
	start, status := len(e.reply), Done
	x := r.waiters.of[originID(req)]
	switch {
	case known:
		e.reply = append(e.reply, before...)
	case req.Flags&Confirm != 0:
		e.confirmed = e.confirmed || r.state.Answers.confirms(req)
		e.reply = append(e.reply, "+OK\r\n"...)
	case req.Flags&Cancel != 0:
		r.runCancel(req, e)
		start = len(e.reply)
		e.reply = append(e.reply, "+OK\r\n"...)
	case x != nil && req.Flags&Blocking != 0:
		r.rejoin(x, req, out)
		status = Waits
	default:
		e.reply = r.run(req, e.reply)
		switch {
		case r.waiters.asked == nil:
		case r.keepWaiting(req):
			e.reply, status = e.reply[:start], Waits
		default:
			e.reply = append(e.reply[:start], replyTooManyWait...)
		}
	}
	req.Route.Evaluated, req.Route.Known = true, known
	req.Status, req.Reply = status, e.reply[start:len(e.reply):len(e.reply)]
	e.add(req)
}

// run runs a request that was not run before, or says why not.
func (r *Replica) run(req *Request, reply []byte) []byte {
	if r.overdue(req) {
		return append(reply, replyOverdue...)
	}
	if req.Flags&Write != 0 && !endsTransaction(req) {
		if why := r.cfg.ReadOnly(); why != "" {
			return append(append(append(reply, "-MISCONF "...), why...), "\r\n"...)
		}
	}
	if req.Flags&Track != 0 {
		return r.track(req, reply)
	}
	r.waiters.touched.writer = writer{}
	if req.Flags&Transaction != 0 {
		return r.runTransaction(req, reply)
	}
	if req.Flags&Write != 0 && req.Session != 0 {
		r.waiters.touched.writer = writer{req.Origin.Gateway, req.Session}
	}
	return r.evaluate(&r.txn, req, reply)
}

// overdue says whether a request has been here for longer than its gateway
// waits. A CANCEL never is: it must not pass the request that it is for.
func (r *Replica) overdue(req *Request) bool {
	return r.cfg.QueueTicks > 0 && req.Flags&(Blocking|Cancel) == 0 && r.ticks-req.Route.Queued > r.cfg.QueueTicks
}

// propose hands the round to raft. If raft drops it, its layer is taken back
// before anything is built on it.
func (r *Replica) propose(body []byte, ran []*Request, out *Output) {
	number := uint64(1)
	if r.state.RoundTerm == r.term {
		number = r.state.Round + 1
	}
	r.scratch = answersOf(append(r.scratch[:0], r.unrecorded...), ran)
	r.answers = gatherAnswers(r.answers, r.scratch)
	clear(r.scratch)
	size := 48 + len(body)
	for i := range r.answers {
		size += 32 + len(r.answers[i].List)
	}
	h := effects.Header{Term: r.term, Round: number, Stamp: r.txn.now, NextObjectID: r.txn.nextID, Transactions: len(r.txns.undo) > 0}
	entry := effects.AppendHeader(make([]byte, 0, size), h, r.answers)
	entry = append(entry, body...)
	if err := r.rn.Propose(entry); err != nil {
		if !errors.Is(err, raft.ErrProposalDropped) {
			out.fail(fmt.Errorf("partition %d: propose: %w", r.cfg.Partition, err))
		}
		if body != nil {
			r.ov.RollbackLast()
		}
		r.txns.rollback()
		r.mail = nil
		r.giveBack(ran, out)
		return
	}
	r.current = &round{term: r.term, number: number, requests: ran, bytes: len(entry), layer: body != nil}
}

// maxUnrecorded bounds the answers that wait for an entry to go with.
const maxUnrecorded = 1 << 14

// keepUnrecorded remembers the answers to writes that left no entry. They go
// with the next one, unless their gateway has them by then.
func (r *Replica) keepUnrecorded(ran []*Request) {
	if !slices.ContainsFunc(ran, func(req *Request) bool { return req.Flags&Write != 0 }) {
		return
	}
	r.unrecorded = unconfirmed(r.unrecorded, ran)
	for _, x := range answersOf(nil, ran) {
		if !x.recorded && len(x.reply) > 0 && len(r.unrecorded) < maxUnrecorded {
			x.reply = slices.Clone(x.reply)
			r.unrecorded = append(r.unrecorded, x)
			r.unrecordedHigh.raise(x.origin)
		}
	}
}

// findUnrecorded returns such an answer. A request that comes again to the same
// leader must not be run behind later ones, which may have left something that
// is no effect: a transaction would find the watch of the next one.
func (r *Replica) findUnrecorded(o base.Origin) (reply []byte, known bool) {
	if !r.unrecordedHigh.covers(o) { // as all new requests
		return nil, false
	}
	i := slices.IndexFunc(r.unrecorded, func(x answer) bool {
		return x.origin.Gateway == o.Gateway && x.origin.Sequence == o.Sequence
	})
	if i < 0 {
		return nil, false
	}
	return r.unrecorded[i].reply, true
}

// finishRound answers the requests of a committed and applied round.
func (r *Replica) finishRound(out *Output) {
	r.unrecorded = r.unrecorded[:0]
	r.finish(r.current.requests, out)
	r.current = nil
}

// finishReads answers the reads that a ReadIndex confirmed.
func (r *Replica) finishReads(out *Output) {
	r.finish(r.reads, out)
	r.reads = nil
}

// finish answers the requests of a round, sends its messages, and tells of
// those that wait; those abandoned meanwhile are nil.
func (r *Replica) finish(reqs []*Request, out *Output) {
	out.Mail = append(out.Mail, r.mail...)
	r.mail = nil
	for _, req := range reqs {
		switch {
		case req == nil:
		case req.Status == Waits:
			r.tell(req, out)
		default:
			out.Finished = append(out.Finished, req)
		}
	}
}

// giveBack ends the requests of a round that is taken back. What one saw that
// waits may never have been.
func (r *Replica) giveBack(ran []*Request, out *Output) {
	for _, req := range ran {
		switch {
		case req == nil:
		case req.Status != Waits:
			r.refuse(req, out)
		case req.wait != nil: // else it is parked, and runs again
			r.waiters.remove(req.wait)
			r.refuse(req, out)
		}
	}
}

// stepDown takes back what this leadership evaluated. What it proposed may
// still commit: whoever leads next knows by the answers in the entry.
func (r *Replica) stepDown(out *Output) {
	r.ready, r.handover, r.background, r.confIndex, r.confBarrier = false, 0, false, 0, 0
	r.mail = nil
	r.ov.RollbackAll()
	r.txns.rollback()
	r.unrecorded, r.unrecordedHigh = nil, nil
	r.versions = versions{}
	if r.current != nil { // first: who waits, or is parked, may be in it too
		for _, req := range r.current.requests {
			if req != nil && req.Status != Waits { // those come with the other waiters
				req.Status, req.Reply = Unknown, nil
				out.Finished = append(out.Finished, req)
			}
		}
		r.current = nil
	}
	r.refuseAll(slices.DeleteFunc(r.reads, func(req *Request) bool { return req != nil && req.Status == Waits }), out) // reads without effects can run again elsewhere
	r.reads = nil
	r.refuseAll(r.txns.parked, out)
	r.txns.parked = nil
	r.CloseViews()
	r.refuseAll(r.cuts.queue, out)
	r.cuts.queue = nil
	r.refuseAll(r.waiters.take(func(*Request) bool { return true }), out)
	r.waiters.due, r.waiters.touched = nil, Touched{}
	r.refuseAll(r.queue, out)
	clear(r.queue)
	r.queue = r.queue[:0]
}

// refuseAll ends requests that were not run, or whose effects are gone.
func (r *Replica) refuseAll(reqs []*Request, out *Output) {
	for _, req := range reqs {
		if req != nil {
			r.refuse(req, out)
		}
	}
}

// Abandon forgets an evaluated request that its gateway gave up.
func (r *Replica) Abandon(req *Request) {
	if req.wait != nil {
		r.waiters.remove(req.wait)
	}
	r.txns.parked = slices.DeleteFunc(r.txns.parked, func(x *Request) bool { return x == req })
	r.queue = slices.DeleteFunc(r.queue, func(x *Request) bool { return x == req }) // it was parked
	r.cuts.queue = slices.DeleteFunc(r.cuts.queue, func(x *Request) bool { return x == req })
	r.leaveRound(req)
}

// leaveRound takes a request out of the round under way: it ends, or has ended, in
// another way. Whoever is answered twice is taken for another one the second time.
func (r *Replica) leaveRound(req *Request) {
	rounds := [][]*Request{r.reads, nil}
	if r.current != nil {
		rounds[1] = r.current.requests
	}
	for _, reqs := range rounds {
		if i := slices.Index(reqs, req); i >= 0 {
			reqs[i] = nil
		}
	}
}
