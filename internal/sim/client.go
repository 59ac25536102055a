package sim

import (
	"fmt"
	"strconv"

	"coterie/internal/base"
	"coterie/internal/partition"
)

// op is one operation of a session, from its call to its return.
type op struct {
	s         *session
	conn      int
	cmd       string
	key       string
	partition base.PartitionID
	arg, new  int64
	call, ret int64 // ret 0: not yet
	status    partition.Status
	value     int64
	step      bool // part of the counting sequence
	completed int
	sent      *partition.Request
}

// session is a client connection that pipelines requests to one node.
type session struct {
	c       *cluster
	id      int
	conn    int // connections so far
	proc    *proc
	open    []*op // under way, in order
	depth   int
	steps   map[base.PartitionID]*steps
	silent  bool // sends nothing new
	planned bool
}

// steps is a connection's counting sequence in one partition: each request
// swaps the next number into the key.
type steps struct {
	key   string
	sent  int64
	acked []*op
}

// connect attaches the session to a live node.
func (s *session) connect() {
	if s.proc != nil || s.silent {
		return
	}
	alive := s.c.serving()
	if len(alive) == 0 {
		s.c.after(100*milli, s.connect)
		return
	}
	s.proc = alive[s.c.rand.IntN(len(alive))].proc
	s.conn++
	s.steps = map[base.PartitionID]*steps{}
	s.think()
}

// think plans the next burst.
func (s *session) think() {
	if s.silent || s.planned {
		return
	}
	s.planned = true
	s.c.after(s.c.skewed(2*milli, s.c.opts.Think), func() {
		s.planned = false
		if s.proc != nil && !s.silent {
			s.burst()
		}
	})
}

// burst sends as many requests as the pipeline has room for, in one piece.
func (s *session) burst() {
	var reqs []*partition.Request
	for len(s.open) < s.depth {
		o := s.c.draw(s)
		s.open = append(s.open, o)
		s.c.history = append(s.c.history, o)
		reqs = append(reqs, o.request())
		if s.c.chance(0.3) {
			break
		}
	}
	p := s.proc
	if len(reqs) > 0 {
		s.c.after(s.c.between(20*micro, 300*micro), func() { p.do(func() { p.router.Submit(reqs) }) })
	}
	s.think()
}

// request is the op as a node gets it.
func (o *op) request() *partition.Request {
	req := &partition.Request{
		Partition: o.partition, Slot: base.KeySlot([]byte(o.key)), Proto: 2, Sink: o,
		Args: [][]byte{[]byte(o.cmd), []byte(o.key)},
	}
	if o.cmd != cmdGet {
		req.Flags = partition.Write
	}
	o.sent = req
	if o.s.c.opts.Commands {
		req.Args = nil
		for _, a := range o.realArgs() {
			req.Args = append(req.Args, []byte(a))
		}
		return req
	}
	switch o.cmd {
	case cmdCAS:
		req.Args = append(req.Args, strconv.AppendInt(nil, o.arg, 10), strconv.AppendInt(nil, o.new, 10))
	case cmdSet, cmdSwap:
		req.Args = append(req.Args, strconv.AppendInt(nil, o.arg, 10))
	}
	return req
}

func (o *op) String() string {
	return fmt.Sprintf("s%d.%d %s %s %d %d", o.s.id, o.conn, o.cmd, o.key, o.arg, o.new)
}

// Complete implements partition.Sink.
func (o *op) Complete(req *partition.Request) {
	c := o.s.c
	o.completed++
	if o.completed > 1 {
		c.violate("completed twice: %v", o)
		return
	}
	status, reply := req.Status, append([]byte(nil), req.Reply...)
	c.trace("%v: %d %q", o, status, reply)
	c.after(c.between(20*micro, 300*micro), func() { o.returned(status, reply) })
}

// returned is the reply at the client.
func (o *op) returned(status partition.Status, reply []byte) {
	s, c := o.s, o.s.c
	if o.ret != 0 {
		return // its connection is gone
	}
	o.ret, o.status = c.now, status
	c.stats.Ops++
	switch status {
	case partition.Done:
		v, ok := number(reply)
		if !ok {
			c.violate("reply %q to %v", reply, o)
			return
		}
		o.value = v
		if o.step {
			o.checkStep()
		}
	case partition.NotRun:
		c.stats.NotRun++
	case partition.Unknown:
		c.stats.Unknown++
	}
	for i, x := range s.open {
		if x == o {
			s.open = append(s.open[:i:i], s.open[i+1:]...)
			break
		}
	}
	s.think()
}

// checkStep: a request found a number sent before it, and none older than any
// acknowledged one sent before it.
func (o *op) checkStep() {
	st := o.s.steps[o.partition]
	if st == nil || o.s.conn != o.conn {
		return
	}
	if o.value >= o.arg {
		o.s.c.violate("out of order or twice: %v found %d", o, o.value)
	}
	for _, x := range st.acked {
		before, after := x, o
		if x.arg > o.arg {
			before, after = o, x
		}
		if after.value < before.arg {
			o.s.c.violate("lost or out of order: %v found %d, but %v was acknowledged", after, after.value, before)
			break
		}
	}
	st.acked = append(st.acked, o)
}

// gatewayDied ends what was under way: the client cannot know.
func (s *session) gatewayDied(p *proc) {
	if s.proc != p {
		return
	}
	for _, o := range s.open {
		o.ret, o.status = s.c.now, partition.Unknown
		s.c.stats.Ops++
		s.c.stats.Cut++
	}
	s.open, s.proc = nil, nil
	s.c.after(s.c.between(10*milli, 300*milli), s.connect)
}

// draw picks the next operation of a session.
func (c *cluster) draw(s *session) *op {
	ids := c.opts.Partitions
	p := base.PartitionID(1 + c.rand.IntN(ids))
	o := &op{s: s, conn: s.conn, partition: p, call: c.now}
	if c.chance(0.35) {
		st := s.steps[p]
		if st == nil {
			st = &steps{key: c.key(fmt.Sprintf("step:%d.%d", s.id, s.conn), p)}
			s.steps[p] = st
		}
		st.sent++
		o.cmd, o.key, o.arg, o.step = cmdSwap, st.key, st.sent, true
		return o
	}
	o.key = c.key(fmt.Sprintf("k%d:%d", c.now/c.opts.Chapter, c.rand.IntN(c.opts.Keys)), p)
	c.value++
	o.arg = c.value
	switch c.rand.IntN(10) {
	case 0, 1, 2:
		o.cmd, o.arg = cmdGet, 0
	case 3:
		o.cmd, o.arg = cmdFetch, 0
	case 4:
		o.cmd = cmdSet
	case 5, 6:
		o.cmd = cmdSwap
	case 7:
		o.cmd, o.new, o.arg = cmdCAS, c.value, c.lastValue[o.key]
		if c.opts.Commands {
			o.cmd, o.new, o.arg = cmdFetch, 0, 0
		}
	case 8:
		o.cmd, o.arg = cmdIncr, 0
	default:
		o.cmd, o.arg = cmdDelete, 0
	}
	if o.cmd == cmdSet || o.cmd == cmdSwap {
		c.lastValue[o.key] = o.arg
	}
	return o
}

// key is a name that belongs to a partition.
func (c *cluster) key(name string, p base.PartitionID) string {
	span := c.spans[p]
	for i := 0; ; i++ {
		k := fmt.Sprintf("%s:%d", name, i)
		if span.Contains(base.KeySlot([]byte(k))) {
			return k
		}
	}
}
