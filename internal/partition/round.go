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
	if !r.ready || r.Busy() || r.handover > 0 {
		return
	}
	// Messages stepped in this turn may have deposed the leader already.
	if st := r.rn.BasicStatus(); st.RaftState != raft.StateLeader || st.HardState.GetTerm() != r.term {
		return
	}
	r.txn.now = max(now, r.state.Stamp+1)
	r.txn.nextID = r.state.NextObjectID
	r.ov.Begin()
	ran := r.evaluateQueue(held, out)
	if r.background && r.ov.BodyLen() < maxRoundBytes {
		r.background = r.cfg.Evaluator.Background(&r.txn)
	}
	body := r.ov.End()
	if err := r.ov.Err(); err != nil {
		out.fail(fmt.Errorf("partition %d: read state: %w", r.cfg.Partition, err))
		return
	}
	switch {
	case body != nil:
		r.propose(body, ran, out)
	case len(ran) > 0:
		r.readID++
		r.reads = ran
		r.rn.ReadIndex(readContext(r.readID))
	}
}

// replyOverdue answers a request whose gateway has given it up. It is an
// answer and no refusal: what was sent behind it may run.
const replyOverdue = "-TRYAGAIN The partition's leader has too much to do; the command waited too long and was not run\r\n"

// evaluateQueue runs requests from the queue within the round's limits.
func (r *Replica) evaluateQueue(held Held, out *Output) (ran []*Request) {
	var reply []byte
	readOnly := r.cfg.ReadOnly()
	n, kept := 0, 0
	for n < len(r.queue) && len(ran) < maxRoundRequests && r.ov.BodyLen() < maxRoundBytes && len(reply) < maxRoundBytes {
		req := r.queue[n]
		n++
		if len(held) > 0 && held[req.Origin.Gateway] {
			r.queue[kept] = req
			kept++
			continue
		}
		if req.Flags&Whole == 0 && r.cfg.Partition != base.Catalog && !r.state.Span.Contains(req.Slot) {
			r.refuse(req, out)
			continue
		}
		start := len(reply)
		switch {
		case r.cfg.QueueTicks > 0 && r.ticks-req.Route.Queued > r.cfg.QueueTicks:
			reply = append(reply, replyOverdue...)
		case readOnly != "" && req.Flags&Write != 0:
			reply = append(append(append(reply, "-MISCONF "...), readOnly...), "\r\n"...)
		default:
			reply = r.cfg.Evaluator.Evaluate(&r.txn, req, reply)
		}
		req.Route.Evaluated = true
		req.Status, req.Reply = Done, reply[start:len(reply):len(reply)]
		ran = append(ran, req)
	}
	r.replyBytes = len(reply)
	rest := kept + copy(r.queue[kept:], r.queue[n:])
	clear(r.queue[rest:])
	r.queue = r.queue[:rest]
	return ran
}

// propose hands the round to raft. If raft drops it, its layer is taken back
// before anything is built on it.
func (r *Replica) propose(body []byte, ran []*Request, out *Output) {
	number := uint64(1)
	if r.state.RoundTerm == r.term {
		number = r.state.Round + 1
	}
	origins := make([]base.Origin, 0, len(ran))
	for _, req := range ran {
		if req.Flags&Write != 0 {
			origins = append(origins, req.Origin)
		}
	}
	h := effects.Header{Term: r.term, Round: number, Stamp: r.txn.now, NextObjectID: r.txn.nextID}
	entry := make([]byte, 0, 48+6*len(origins)+len(body))
	entry = effects.AppendHeader(entry, h, origins)
	entry = append(entry, body...)
	if err := r.rn.Propose(entry); err != nil {
		if !errors.Is(err, raft.ErrProposalDropped) {
			out.fail(fmt.Errorf("partition %d: propose: %w", r.cfg.Partition, err))
		}
		r.ov.RollbackLast()
		r.refuseAll(ran, out)
		return
	}
	r.current = &round{term: r.term, number: number, requests: ran, bytes: len(entry)}
}

// finishRound answers the requests of a committed and applied round.
func (r *Replica) finishRound(out *Output) {
	out.finish(r.current.requests)
	r.current = nil
}

// finishReads answers the reads that a ReadIndex confirmed.
func (r *Replica) finishReads(out *Output) {
	out.finish(r.reads)
	r.reads = nil
}

// stepDown takes back what this leadership evaluated. What it proposed may
// still commit; settle finds out.
func (r *Replica) stepDown(out *Output) {
	r.ready, r.handover, r.background, r.confIndex = false, 0, false, 0
	r.ov.RollbackAll()
	if r.current != nil {
		r.orphans = append(r.orphans, r.current)
		r.current = nil
	}
	r.refuseAll(r.reads, out) // reads without effects can run again elsewhere
	r.reads = nil
	r.refuseAll(r.queue, out)
	clear(r.queue)
	r.queue = r.queue[:0]
}

// settle ends the rounds of earlier leaderships when an entry is applied at
// their index. An older round may stand at a higher index than a newer one: a
// later term made the log shorter.
func (r *Replica) settle(index, term uint64, out *Output) {
	if len(r.orphans) == 0 {
		return
	}
	r.orphans = slices.DeleteFunc(r.orphans, func(o *round) bool {
		switch {
		case o.index > index:
			return false
		case o.index == index && o.term == term:
			out.finish(o.requests)
		case o.index == index:
			r.refuseAll(o.requests, out)
		default:
			r.lose(o, out)
		}
		return true
	})
}

// lose ends a round whose outcome cannot be known here any more.
func (r *Replica) lose(o *round, out *Output) {
	for _, req := range o.requests {
		if req != nil {
			req.Status, req.Reply = Unknown, nil
			out.Finished = append(out.Finished, req)
		}
	}
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
	forget := func(reqs []*Request) {
		for i := range reqs {
			if reqs[i] == req {
				reqs[i] = nil
			}
		}
	}
	forget(r.reads)
	if r.current != nil {
		forget(r.current.requests)
	}
	for _, o := range r.orphans {
		forget(o.requests)
	}
}
