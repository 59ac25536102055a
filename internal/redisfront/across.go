package redisfront

import (
	"bytes"
	"slices"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/spanning"
)

// across is a blocking command whose keys lie in several partitions. Each is
// asked to tell when one of its keys is written (AWAIT, which takes nothing);
// when all have them in line, the command is evaluated here, without waiting.
// If it finds nothing, that is done again as soon as one of them has spoken up.
type across struct {
	b      *blocked
	job    spanning.Job
	owners []*awaiting
	events chan struct{} // of one: something is new about owners
	ended  chan []byte   // of one: the reply to end with
	// relative says that the arguments speak of what is there now ($): the first
	// evaluation, before anything else, says what that is.
	relative bool
	looked   bool // it has been evaluated
}

// awaiting is one partition's part.
type awaiting struct {
	x    *across
	req  partition.Request
	args [][]byte // of the request that waits for its keys
	slot base.Slot

	// Guarded by the session's mu.
	inLine, done, failed bool
	refusal              []byte // there is no room to wait
}

var _ partition.WaitSink = (*awaiting)(nil)

// Waits implements partition.WaitSink.
func (a *awaiting) Waits(*partition.Request) { a.note(func() { a.inLine = true }) }

// Complete implements partition.Sink.
func (a *awaiting) Complete(r *partition.Request) {
	a.note(func() {
		a.done, a.failed = true, r.Status != partition.Done
		if !a.failed && len(r.Reply) > 0 && r.Reply[0] == '-' {
			a.refusal = slices.Clone(r.Reply)
		}
	})
}

func (a *awaiting) note(what func()) {
	a.x.b.s.mu.Lock()
	what()
	a.x.b.s.mu.Unlock()
	select {
	case a.x.events <- struct{}{}:
	default:
	}
}

// blockAcross sends a blocking command whose keys lie in several partitions.
func (s *session) blockAcross(o *op, timeout int64) {
	b := s.newBlocked(o)
	if b == nil {
		return
	}
	x := &across{b: b, events: make(chan struct{}, 1), ended: make(chan []byte, 1)}
	x.job = spanning.Job{
		Args: o.args, Keys: s.watchedKeys(nil, o.cmd, o.args), DB: uint8(s.db.Load()), Proto: uint8(s.proto.Load()),
		Session: s.id, MaxBytes: s.f.opts.Limits.TransactionBytes,
	}
	x.relative = o.cmd.spec.Timeout == command.TimeoutBlock && slices.ContainsFunc(o.args, func(a []byte) bool { return string(a) == "$" })
	b.across = x
	s.holdFor(b, timeout)
	s.submit() // what was sent before comes before
	s.f.awaiting.Add(1)
	go func() {
		defer s.f.awaiting.Done()
		reply := x.run()
		for _, a := range x.owners {
			x.leave(a)
		}
		b.Complete(&partition.Request{Status: partition.Done, Reply: reply})
		s.f.Flush()
	}()
}

// run returns the command's reply. Before it says that there was nothing it has
// looked once, however soon its time is up.
func (x *across) run() []byte {
	c := &reach{s: x.b.s, dir: x.b.s.f.router.Directory()}
	reply := x.serve(c)
	if !x.looked && bytes.Equal(reply, x.b.null) {
		reply, _ = x.evaluate(c, nil)
	}
	return reply
}

func (x *across) serve(c *reach) []byte {
	if why := x.divide(c); why != "" {
		return []byte("-" + why + "\r\n")
	}
	if x.relative {
		if reply, over := x.evaluate(c, x.ended); over || !isNull(reply) {
			return reply
		}
	}
	for {
		for _, a := range x.owners {
			x.enter(a)
		}
		if reply, over := x.wait(func(a *awaiting) bool { return a.inLine || a.done }, true); over {
			return reply
		}
		x.b.Waits(nil)
		if reply, over := x.evaluate(c, x.ended); over || !isNull(reply) {
			return reply
		}
		if reply, over := x.wait(func(a *awaiting) bool { return a.done }, false); over {
			return reply
		}
	}
}

// maxAcrossKeys bounds the keys of all commands that wait in several partitions and are
// being evaluated here: each takes about 4 KiB for that time. A write may wake thousands.
const maxAcrossKeys = 2 << 10

// evaluate runs the command, when its turn comes. over is true if it has ended before.
func (x *across) evaluate(c *reach, ended <-chan []byte) (reply []byte, over bool) {
	f := x.b.s.f
	turn := f.acrossTurns.ask(len(x.job.Keys))
	defer f.acrossTurns.giveBack(turn)
	select {
	case <-turn.come:
	case reply := <-ended:
		return reply, true
	case <-f.closing:
		return []byte(replyUnblocked), true
	}
	job := x.job
	job.MayWait = x.relative
	status, reply := f.evaluateJob(c, &job, nil, nil)
	x.looked = true
	if status == partition.Done && job.Waits {
		if x.relative = false; job.WaitArgs != nil {
			x.job.Args = job.WaitArgs
		}
		return x.b.null, false
	}
	return answer(x.b.s, &partition.Request{Status: status, Reply: reply}), false
}

// divide finds the partitions of the keys.
func (x *across) divide(c *reach) (why string) {
	of := map[base.PartitionID]*awaiting{}
	for _, key := range x.job.Keys {
		p, ok := c.Owner(base.KeySlot(key[1:]))
		if !ok {
			return errNoOwner
		}
		a := of[p]
		if a == nil {
			a = &awaiting{x: x, args: command.AwaitGroup(x.b.s.id), slot: base.KeySlot(key[1:])}
			a.req.Partition, a.done = p, true
			of[p], x.owners = a, append(x.owners, a)
		}
		a.args = append(a.args, key)
	}
	for _, a := range x.owners {
		a.args = slices.Clip(a.args)
	}
	return ""
}

// enter puts one that is in no line into one.
func (x *across) enter(a *awaiting) {
	s := x.b.s
	s.mu.Lock()
	again := a.done
	if again {
		a.inLine, a.done, a.failed = false, false, false
	}
	s.mu.Unlock()
	if again {
		a.req = partition.Request{
			Partition: a.req.Partition, Slot: a.slot, Proto: 2, Flags: partition.Blocking | partition.Group,
			Args: a.args, Sink: a,
		}
		s.f.router.Submit([]*partition.Request{&a.req})
	}
}

// leave takes one out of its line.
func (x *across) leave(a *awaiting) {
	s := x.b.s
	s.mu.Lock()
	in := !a.done
	s.mu.Unlock()
	if in {
		s.f.router.Submit([]*partition.Request{cancelOf(&a.req, []byte("+OK\r\n"))})
	}
}

// wait waits until all or any of the partitions have come so far. over is true
// if the command has ended before.
func (x *across) wait(so func(*awaiting) bool, all bool) (reply []byte, over bool) {
	for {
		n, failed, refusal := 0, false, []byte(nil)
		x.b.s.mu.Lock()
		for _, a := range x.owners {
			if so(a) {
				n++
			}
			if failed = failed || a.failed; a.refusal != nil {
				refusal = a.refusal
			}
		}
		x.b.s.mu.Unlock()
		switch {
		case refusal != nil:
			return refusal, true
		case failed:
			return answer(x.b.s, &partition.Request{Status: partition.NotRun}), true
		case all && n == len(x.owners) || !all && n > 0:
			return nil, false
		}
		select {
		case <-x.events:
		case reply := <-x.ended:
			return reply, true
		case <-x.b.s.f.closing:
			return []byte(replyUnblocked), true
		}
	}
}
