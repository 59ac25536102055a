package sim

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/workload"
)

// op is one command of a session, from its call to its return. A command
// about a whole database is one request to each partition.
type op struct {
	workload.Op
	s     *session
	of    *chapter
	parts []*part
	open  int // parts that are not completed
	merge func([]*part) []byte
	txn   *crossing // instead of parts
	here  *gateway  // likewise
	via   *proc     // that a Final read was sent through

	blocks  bool  // it may wait
	timeout int64 // milliseconds
}

// part is one request of an op.
type part struct {
	o         *op
	req       partition.Request
	completed int
	status    partition.Status
	reply     []byte
}

// session is a client connection that pipelines commands to one node.
type session struct {
	c       *cluster
	id      int
	conn    int // connections so far
	proc    *proc
	open    []*op // under way, in order
	depth   int
	silent  bool // sends nothing new
	planned bool
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

// burst sends as many commands as the pipeline has room for, in one piece.
func (s *session) burst() {
	var reqs []*partition.Request
	var last *op
	for len(s.open) < s.depth && !s.spans() {
		ch := s.c.chapter()
		cmd := ch.workload.Next(workload.Client{ID: s.id, Conn: s.conn})
		if len(cmd) == 0 {
			break
		}
		last = s.call(ch, cmd)
		reqs = append(reqs, last.requests()...)
		if s.c.chance(0.3) {
			break
		}
	}
	p := s.proc
	if last != nil {
		s.c.after(s.c.between(20*micro, 300*micro), func() { p.do(func() { last.submit(p, reqs) }) })
	}
	s.think()
}

// submit hands requests to a process, and the last command with them if it is
// a transaction over partitions.
func (o *op) submit(p *proc, reqs []*partition.Request) {
	switch p.router.Submit(reqs); {
	case o.txn != nil:
		p.txns.Begin(&o.txn.Transaction)
	case o.here != nil:
		o.here.begin(p)
	}
	if o.blocks && o.open > 0 {
		o.timeOut(p)
	}
}

// timeOut ends a blocking command when its time is up, or at times earlier, as
// if somebody had unblocked the client.
func (o *op) timeOut(p *proc) {
	c, after, reply := o.s.c, o.timeout*milli, "*-1\r\n"
	if c.chance(0.1) {
		after, reply = c.between(0, max(after, 1)), "-UNBLOCKED\r\n"
	}
	target := &o.parts[0].req
	c.after(after, func() {
		p.do(func() {
			if o.open > 0 {
				p.router.Submit([]*partition.Request{{
					Partition: target.Partition, Flags: partition.Whole | partition.Cancel, Proto: 2,
					Args: [][]byte{nil, []byte(reply)}, Cancels: target, Sink: cancelling{o},
				}})
			}
		})
	})
}

// cancelling waits for the end of the CANCEL of an op.
type cancelling struct{ o *op }

// Complete implements partition.Sink: a leader that has run a CANCEL has
// answered what it was for before, or with it.
func (x cancelling) Complete(req *partition.Request) {
	if req.Status == partition.Done && x.o.open > 0 {
		x.o.s.c.violate("a CANCEL was run, and nobody has answered what it was for: %v", &x.o.Op)
	}
}

// spans says whether a transaction over several partitions is under way, or a
// command that may wait: nothing is sent behind it.
func (s *session) spans() bool {
	return slices.ContainsFunc(s.open, func(o *op) bool { return o.txn != nil || o.here != nil || o.blocks })
}

// call begins an op and writes it into its chapter's history.
func (s *session) call(ch *chapter, cmd workload.Command) *op {
	o := &op{s: s, of: ch, Op: workload.Op{
		Client: workload.Client{ID: s.id, Conn: s.conn}, Command: cmd, Call: s.c.now,
	}}
	s.open = append(s.open, o)
	ch.history = append(ch.history, &o.Op)
	return o
}

// Complete implements partition.Sink.
func (p *part) Complete(req *partition.Request) {
	o, c := p.o, p.o.s.c
	p.completed++
	if p.completed > 1 {
		c.violate("completed twice: %v", o.Command)
		return
	}
	p.status, p.reply = req.Status, append([]byte(nil), req.Reply...)
	if o.open--; o.open > 0 {
		return
	}
	status, reply := partition.Done, []byte(nil)
	for _, x := range o.parts {
		if x.status != partition.Done {
			status, reply = x.status, x.reply
		}
	}
	if status == partition.Done {
		reply = o.merge(o.parts)
	}
	o.completed(status, reply)
}

// completed sends the reply on its way to the client.
func (o *op) completed(status partition.Status, reply []byte) {
	c := o.s.c
	c.endLine(o.appendCompleted(c.beginLine(), status, reply))
	c.after(c.between(20*micro, 300*micro), func() { o.returned(status, reply) })
}

// appendCompleted writes a command's end as a line of the trace.
func (o *op) appendCompleted(b []byte, status partition.Status, reply []byte) []byte {
	b = strconv.AppendInt(append(b, 's'), int64(o.ID), 10)
	b = strconv.AppendInt(append(b, '.'), int64(o.Conn), 10)
	for _, word := range o.Command {
		b = append(append(b, ' '), word...)
	}
	b = strconv.AppendUint(append(b, ": "...), uint64(status), 10)
	return appendQuoted(append(b, ' '), reply)
}

// appendQuoted is strconv.AppendQuote, in little time for plain text.
func appendQuoted(b, text []byte) []byte {
	start := len(b)
	b = append(b, '"')
	for _, c := range text {
		switch {
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < ' ' || c > '~' || c == '"' || c == '\\':
			return strconv.AppendQuote(b[:start], string(text))
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// returned is the reply at the client.
func (o *op) returned(status partition.Status, reply []byte) {
	s, c := o.s, o.s.c
	if o.Return != 0 {
		return // its connection is gone
	}
	o.Return, o.Reply = c.now, reply
	c.stats.Ops++
	switch status {
	case partition.Done:
		o.Outcome = workload.Done
	case partition.NotRun:
		o.Outcome = workload.Refused
		c.stats.NotRun++
	case partition.Unknown:
		if o.Command.Reads() {
			c.violate("a read with an unknown outcome: %v", &o.Op)
		}
		c.stats.Unknown++
	}
	for i, x := range s.open {
		if x == o {
			s.open = append(s.open[:i:i], s.open[i+1:]...)
			break
		}
	}
	o.of.workload.Returned(&o.Op)
	if o.Final {
		o.of.lastRead(o)
	}
	s.think()
}

// gatewayDied ends what was under way: the client cannot know.
func (s *session) gatewayDied(p *proc) {
	for _, o := range s.open {
		if o.Final && o.via == p {
			o.askElsewhere()
		}
	}
	if s.proc != p {
		return
	}
	cut := s.open
	s.open, s.proc = nil, nil
	for _, o := range cut {
		o.Return, o.Outcome = s.c.now, workload.Unknown
		s.c.stats.Ops++
		s.c.stats.Cut++
		o.of.workload.Returned(&o.Op)
	}
	s.c.after(s.c.between(10*milli, 300*milli), s.connect)
}

// clients is what the sessions of a run have in common.
type clients struct {
	mix        []workload.Kind
	clientRand *rand.Rand // of what they do, not of when
	table      *command.Table
	order      []base.PartitionID // with slots, by slot
	chapters   []*chapter
	current    []*chapter
	chapterNow int64
	graves     map[grave]bool // replicas that were removed

	subscribers int // so far

	clockLow, clockHigh int64 // offsets of the nodes' clocks, µs
}

// employ decides what the clients do.
func (c *cluster) employ() (err error) {
	c.graves = map[grave]bool{}
	c.clientRand, c.table = rand.New(rand.NewPCG(c.opts.Seed, 0xc11e)), commandTable()
	if c.mix = workload.Draw(c.clientRand); c.opts.Workload != "" {
		c.mix, err = workload.Parse(c.opts.Workload)
	}
	for _, k := range c.mix {
		c.trace("workload %s", k.Name)
	}
	return err
}

// divide learns which partition has which slots.
func (c *cluster) divide(v *catalog.View) {
	for _, p := range v.Partitions {
		if c.spans[p.ID] = p.Span(); !p.Span().Empty() {
			c.order = append(c.order, p.ID)
		}
	}
	slices.SortFunc(c.order, func(a, b base.PartitionID) int { return cmp.Compare(c.spans[a].Lo, c.spans[b].Lo) })
}

// chapter is one workload at work for a while.
type chapter struct {
	c        *cluster
	number   int
	kind     workload.Kind
	workload workload.Workload
	history  []*workload.Op
	reader   *session // of the Final reads
	left     int      // Final reads under way
}

// chapter is the one that the next command belongs to.
func (c *cluster) chapter() *chapter {
	if n := c.now / c.opts.Chapter; n != c.chapterNow || len(c.current) == 0 {
		c.chapterNow, c.current = n, nil
		for _, k := range c.mix {
			c.current = append(c.current, &chapter{c: c, number: len(c.chapters) + len(c.current), kind: k, workload: k.New(workload.Config{
				Prefix: fmt.Sprintf("%s:%d", k.Name, n), Keys: c.opts.Keys, Rand: c.clientRand, Spread: c.clientRand.IntN(3) > 0, Cuts: true,
			})})
		}
		c.chapters = append(c.chapters, c.current...)
	}
	return c.current[c.clientRand.IntN(len(c.current))]
}

// lastReads lets each workload have a last look at what it left behind, each
// command through some node.
func (c *cluster) lastReads() {
	if len(c.serving()) == 0 {
		c.violate("no node serves")
	}
	if len(c.broken) > 0 {
		return
	}
	for i, ch := range c.chapters {
		ch.reader = &session{c: c, id: len(c.sessions), silent: true, depth: math.MaxInt}
		c.sessions = append(c.sessions, ch.reader)
		c.after(int64(i)*milli, ch.readOn)
		ch.left = 1 // until then not answered
		ch.reader.open = append(ch.reader.open, &op{s: ch.reader, of: ch})
	}
}

// readOn asks for the next Final reads.
func (ch *chapter) readOn() {
	c := ch.c
	ch.reader.open = nil
	cmds := ch.workload.Final()
	ch.left = len(cmds)
	alive := c.serving()
	for i, cmd := range cmds {
		o := ch.reader.call(ch, cmd)
		o.Final = true
		p := alive[c.rand.IntN(len(alive))].proc
		c.after(int64(i)*200*micro, func() {
			o.Call = c.now
			o.askAt(p)
		})
	}
}

// askAt sends a Final read through a process.
func (o *op) askAt(p *proc) {
	if p.dead {
		o.askElsewhere()
		return
	}
	o.via = p
	p.do(func() { o.submit(p, o.requests()) })
}

// askElsewhere sends it again when that process is gone: a node whose disk is
// damaged may be given up also when all faults have ended.
func (o *op) askElsewhere() {
	c := o.s.c
	o.parts, o.open, o.txn, o.here, o.via = nil, 0, nil, nil, nil
	c.after(10*milli, func() {
		if alive := c.serving(); len(alive) > 0 {
			o.askAt(alive[c.rand.IntN(len(alive))].proc)
		}
	})
}

func (ch *chapter) lastRead(o *op) {
	if o.Outcome != workload.Done {
		ch.c.violate("not answered in good weather: %v", &o.Op)
		return
	}
	if ch.left--; ch.left == 0 {
		ch.readOn()
	}
}

// unanswered says what is still under way when it should not be.
func (c *cluster) unanswered() {
	for _, s := range c.sessions {
		for _, o := range s.open {
			if len(c.broken) == 0 && s.proc != nil {
				c.violate("never answered: %v, via n%d", &o.Op, s.proc.m.id)
			} else if len(c.broken) == 0 {
				c.violate("never answered: %v", &o.Op)
			}
		}
	}
}
