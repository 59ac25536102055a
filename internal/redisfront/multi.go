package redisfront

import (
	"cmp"
	"slices"
	"strings"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/spanning"
)

// multi is a connection's transaction between MULTI and EXEC. If all of its
// keys, and the watched ones, are in one partition, its commands run there as
// one group; else they are a transaction over partitions, see joint.
type multi struct {
	queued []queuedCommand
	bytes  int
	failed bool      // a command could not be queued: EXEC refuses
	slot   base.Slot // of the first key
	keyed  bool      // there is one
}

type queuedCommand struct {
	e    *entry
	args [][]byte
}

// keyed says whether a command is run by the partition of its keys.
func (e *entry) keyed() bool { return e.local == nil && e.full != "unwatch" }

// maxQueuedCommands bounds one transaction.
const maxQueuedCommands = 1 << 16

const (
	errExecAbort  = "EXECABORT Transaction discarded because of previous errors."
	errNotInMulti = "ERR Command not allowed inside a transaction"
)

// queue takes a command into the open transaction. It is false for those that
// steer the transaction itself.
func (s *session) queue(o *op, e *entry) bool {
	switch e.full {
	case "multi", "exec", "discard", "watch", "quit", "reset":
		return false
	}
	t := s.multi
	if why := s.notQueued(o, e); why != "" {
		t.failed = true
		s.refuse(e, why)
		return true
	}
	q := queuedCommand{e: e, args: make([][]byte, len(o.args))}
	for i, a := range o.args {
		q.args[i] = append([]byte(nil), a...)
		t.bytes += len(a) + 24
	}
	t.queued = append(t.queued, q)
	s.queued.Add(1)
	if s.silence == replyOn {
		s.reply(func(w *resp.Writer) { w.Simple("QUEUED") })
	}
	return true
}

// notQueued says why a command cannot be part of the transaction, or "".
func (s *session) notQueued(o *op, e *entry) string {
	size := 0
	for _, a := range o.args {
		size += len(a) + 24
	}
	switch {
	case e.spec.Flags&command.NoMulti != 0:
		return errNotInMulti
	case len(s.multi.queued) >= maxQueuedCommands || s.multi.bytes+size > s.f.opts.Limits.TransactionBytes:
		return "ERR the transaction is too large"
	case e.full == "script|load": // as below: a command behind it may run it
		_, _ = s.f.scripts.compile(string(o.args[2]))
		return ""
	case e.local != nil, e.full == "unwatch":
		return ""
	case e.spec.Fan >= command.FanAllSum:
		return flushSyntax(e, o.args)
	case e.route != nil, !e.spec.HasKeys():
		return "ERR '" + e.full + "' cannot be part of a transaction"
	case e.spec.Runs(o.args):
		_, _ = s.findScript(s.script(e, o.args)) // what is given by its text is known from now on
		return ""
	case len(e.spec.AppendKeys(nil, o.args)) == 0: // it says what is wrong when it is run
		return ""
	}
	shares, why := s.shares(e, o.args)
	t := s.multi
	switch {
	case why == errCrossPartition:
		why = ""
	case why != "":
	case !t.keyed:
		t.slot, t.keyed = shares[0].slot, true
	case s.oneSlot() && shares[0].slot != t.slot:
		return errCrossSlot
	}
	return why
}

// oneSlot says whether all keys of a command must be in one slot, as in Redis
// Cluster.
func (s *session) oneSlot() bool { return s.cluster && !s.f.opts.CrossSlot }

// owner is the partition of a slot, if the session may use it here. Of the keys
// of one command, a client of the cluster listener is sent to the leader of the
// first alone: there the others may be anywhere.
func (s *session) owner(slot base.Slot, another bool) (p *Partition, why string) {
	p = s.directory().BySlot(slot)
	switch {
	case p == nil:
		return nil, errNoOwner
	case another || s.multi != nil && s.multi.keyed && !s.oneSlot():
	case s.cluster && p.Leader != s.dir.Self:
		if to := s.redirection(slot, p); to != "" {
			return nil, to
		}
	}
	return p, ""
}

func cmdMulti(s *session, _ [][]byte) {
	if s.multi != nil {
		s.rw.Error("ERR MULTI calls can not be nested")
		return
	}
	s.multi = &multi{}
	s.queued.Store(1)
	s.rw.Simple("OK")
}

func routeDiscard(s *session, o *op) {
	if s.multi == nil {
		s.refuse(o.cmd, "ERR DISCARD without MULTI")
		return
	}
	s.multi = nil
	s.queued.Store(0)
	routeUnwatch(s, o)
}

// routeWatch tells the partitions of the keys to watch them.
func routeWatch(s *session, o *op) {
	if s.multi != nil {
		s.refuse(o.cmd, "ERR WATCH inside MULTI is not allowed")
		return
	}
	if _, _, why := s.keysAt(o, false); why != "" {
		s.refuse(o.cmd, why)
		return
	}
	f := &fan{merge: mergeOK}
	var parts []*part
	for _, key := range o.args[1:] {
		slot := base.KeySlot(key)
		p, why := s.owner(slot, len(s.watched) > 0 && !s.oneSlot())
		if why != "" {
			s.refuse(o.cmd, why)
			return
		}
		var to *part
		for _, x := range parts {
			if x.req.Partition == p.ID {
				to = x
			}
		}
		if to == nil {
			to = &part{f: f}
			s.fill(&to.req, to, o.cmd)
			to.req.Partition, to.req.Slot, to.req.Flags = p.ID, slot, partition.Group
			to.req.Args = command.WatchGroup(s.id)
			parts = append(parts, to)
		}
		watched := command.WatchedKey(uint8(s.db.Load()), key)
		to.req.Args = append(to.req.Args, watched)
		s.watched = append(s.watched, watched)
	}
	f.parts = make([]part, len(parts))
	for i, x := range parts {
		f.parts[i] = *x
		f.parts[i].req.Sink = &f.parts[i]
	}
	s.launch(o, f)
}

// routeUnwatch tells the partitions that the connection watches nothing any
// more.
func routeUnwatch(s *session, o *op) {
	f := &fan{merge: mergeOK, lenient: true}
	var ids []base.PartitionID
	for _, w := range s.watched {
		p := s.directory().BySlot(base.KeySlot(w[1:]))
		known := p == nil
		for _, id := range ids {
			known = known || id == p.ID
		}
		if !known {
			ids = append(ids, p.ID)
		}
	}
	s.watched = nil
	f.parts = make([]part, len(ids))
	for i, id := range ids {
		s.whole(&f.parts[i], f, o.cmd, id, command.UnwatchGroup(s.id))
		f.parts[i].req.Flags = partition.Whole | partition.Group
	}
	s.launch(o, f)
}

// routeExec runs the transaction.
func routeExec(s *session, o *op) {
	t := s.multi
	if t == nil {
		s.refuse(o.cmd, "ERR EXEC without MULTI")
		return
	}
	why := ""
	if t.failed {
		why = errExecAbort
	}
	x := &spread{}
	for _, w := range s.watched {
		if why == "" {
			slot := base.KeySlot(w[1:])
			var p *Partition
			if p, why = s.owner(slot, !s.oneSlot()); why == "" {
				m := x.member(p, slot)
				m.watched = append(m.watched, w)
			}
		}
	}
	placed, divided := make([][]share, len(t.queued)), true
	for i, q := range t.queued {
		if q.e.spec.Strays(q.args) {
			divided = false
			continue
		}
		if why == "" && q.e.keyed() {
			if placed[i], why = s.shares(q.e, q.args); why == errCrossPartition {
				why, divided = "", false
			}
		}
	}
	s.multi = nil
	s.queued.Store(0)
	if why != "" {
		s.unwatchQuietly()
		s.refuse(o.cmd, why)
		return
	}
	watched := s.watched
	s.watched = nil
	if !divided {
		x, placed = s.together(t)
	}
	s.exec(o, t, x, placed, watched)
}

// together makes one member of all partitions, for a transaction that is
// evaluated here.
func (s *session) together(t *multi) (*spread, [][]share) {
	all := &Partition{}
	x := &spread{here: true}
	x.member(all, 0)
	placed := make([][]share, len(t.queued))
	for i, q := range t.queued {
		placed[i] = []share{{p: all, args: q.args}}
	}
	return x, placed
}

// exec has a transaction's commands run by their partitions, and answers those that the
// front itself answers when it is known that the others were run. Its replies take their
// places among the partitions'.
func (s *session) exec(o *op, t *multi, x *spread, placed [][]share, watched [][]byte) {
	if s.tracker.Load() != nil {
		for _, q := range t.queued {
			s.noteReads(q.e, q.args)
		}
	}
	if slices.ContainsFunc(t.queued, func(q queuedCommand) bool { return q.e.publishes() || q.e.scripted }) {
		s.inOrder()
		if s.subs.any() {
			s.hold()
		}
	}
	db, proto, locals := uint8(s.db.Load()), uint8(0), false
	for i, q := range t.queued {
		switch { // SELECT and HELLO are for the commands behind them
		case q.e.keyed():
			x.add(q.e, placed[i], db, proto)
		case q.e.full == "select":
			if to, why := s.database(q.args[1]); why == "" {
				db = uint8(to)
			}
			locals = true
		case q.e.full == "hello":
			if h, why := readHello(cmp.Or(proto, uint8(s.proto.Load())), q.args); why == "" {
				proto = h.proto
			}
			locals = true
		default:
			locals = locals || q.e.local != nil && !q.e.publishes()
		}
	}
	own := s.ownReplies(t)
	switch {
	case x.here:
		s.execHere(o, x, watched, own)
	case locals && len(x.members) > 0:
		s.execFirst(o, x, watched, own)
	case len(x.members) > 1:
		s.joinUp(o, x, watched, func(w *resp.Writer) { x.writeExec(w, own) })
	default:
		f := &fan{parts: make([]part, len(x.members))}
		if len(x.members) == 0 { // there is nothing to wait for
			settleOwn(own)
		}
		f.merge = func(w *resp.Writer, f *fan) {
			for i := range f.parts {
				x.members[i].reply = f.parts[i].reply
			}
			x.writeExec(w, own)
		}
		for i, m := range x.members {
			s.fillExec(&f.parts[i].req, &f.parts[i], o, m)
			f.parts[i].f = f
		}
		s.launch(o, f)
	}
}

// ownReply is the front's reply to a command of a transaction.
type ownReply struct {
	// run, if there is one, has to be done for it, on the session's goroutine.
	run   func() (reply []byte)
	write func(*resp.Writer) // nil, and no run: it is the partitions'
}

func raw(reply []byte) func(*resp.Writer) { return func(w *resp.Writer) { w.Raw(reply) } }

// settleOwn does what has to be done for replies, before anything is published: whoever
// unsubscribes behind that in the same transaction would be counted, and not get it.
func settleOwn(own []ownReply) {
	for i := range own {
		if own[i].run != nil {
			own[i] = ownReply{write: raw(own[i].run())}
		}
	}
}

// ownReplies are the replies to the front's own commands.
func (s *session) ownReplies(t *multi) []ownReply {
	own := make([]ownReply, len(t.queued))
	for i, q := range t.queued {
		switch {
		case q.e.keyed():
		case q.e.publishes():
			own[i].write = s.publishLater(q)
		case q.e.local == nil: // UNWATCH: EXEC ends it in any case
			own[i].write = func(w *resp.Writer) { w.Simple("OK") }
		default:
			own[i].run = func() []byte {
				kept := s.rw.Buf
				s.rw.Buf, s.rw.Proto = []byte{}, int(s.proto.Load())
				q.e.local(s, q.args)
				reply := s.rw.Buf
				s.rw.Buf = kept
				return reply
			}
		}
	}
	return own
}

// fillExec makes the request for a transaction's only partition.
func (s *session) fillExec(r *partition.Request, sink partition.Sink, o *op, m *member) {
	s.fill(r, sink, o.cmd)
	r.Partition, r.Slot = m.p.ID, m.slot
	r.Flags = partition.Write | partition.Group
	r.Args = command.ExecGroup(s.id, m.watched, m.group)
}

// execHere evaluates a transaction on this goroutine.
func (s *session) execHere(o *op, x *spread, watched [][]byte, own []ownReply) {
	m := x.members[0]
	j := &spanned{o: o, job: spanning.Job{Args: command.ExecGroup(s.id, nil, m.group), Group: true, Watched: watched}}
	for _, c := range x.commands {
		j.job.Keys = appendWatched(j.job.Keys, c.db, c.e, c.parts[0].args)
		// The first script stands for all: it is shown, and killed.
		if e, args := s.script(c.e, c.parts[0].args); j.script == nil && e != nil && e.spec.Group == "scripting" {
			j.script = &scriptOf{args: args, eval: strings.HasPrefix(e.full, "eval")}
		}
	}
	j.write = func(w *resp.Writer, reply []byte) {
		m.reply = reply
		x.writeExec(w, own)
	}
	s.span(j)
}

// execFirst has the partitions run their commands first, and waits for that: what the
// session does itself it does only if they did.
func (s *session) execFirst(o *op, x *spread, watched [][]byte, own []ownReply) {
	j, committed := &spanned{o: o}, true
	if len(x.members) == 1 {
		r := &partition.Request{}
		s.fillExec(r, nil, o, x.members[0])
		j.run = func(c *reach) (partition.Status, []byte) {
			if !c.Submit([]*partition.Request{r}) {
				return partition.Unknown, nil
			}
			x.members[0].reply = r.Reply
			return r.Status, r.Reply
		}
	} else {
		k := s.jointOf(o, x, watched)
		j.run = func(c *reach) (partition.Status, []byte) {
			over := c.Transact(&k.t)
			committed = over && k.t.Committed()
			s.unwatchRest(k, over)
			switch {
			case !over:
				return partition.Unknown, nil
			case !committed:
				return k.t.Status, k.t.Reply
			}
			k.takeReplies()
			return partition.Done, nil
		}
	}
	j.write = func(w *resp.Writer, reply []byte) {
		if !committed {
			w.Raw(reply)
			return
		}
		x.writeExec(w, own)
	}
	s.span(j)
}

// unwatchQuietly ends the connection's watching, and nobody waits for it.
func (s *session) unwatchQuietly() {
	seen := map[base.PartitionID]bool{}
	for _, w := range s.watched {
		p := s.directory().BySlot(base.KeySlot(w[1:]))
		if p == nil || seen[p.ID] {
			continue
		}
		seen[p.ID] = true
		s.reqs = append(s.reqs, &partition.Request{
			Partition: p.ID, Flags: partition.Whole | partition.Group, Proto: 2, Sink: nobody{},
			Args: command.UnwatchGroup(s.id),
		})
	}
	s.watched = nil
}

// nobody waits for a request.
type nobody struct{}

func (nobody) Complete(*partition.Request) {}
