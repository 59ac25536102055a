package redisfront

import (
	"cmp"
	"slices"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/txn"
)

// spread is a transaction's commands by the partitions that run them.
type spread struct {
	members  []*member
	commands []spreadCommand // in their order
	here     bool            // it is evaluated on this node, and its one member stands for all
}

// member is one partition's share of a transaction.
type member struct {
	p       *Partition
	slot    base.Slot
	watched [][]byte
	group   []command.Grouped
	reply   []byte // the group's; what is not yet read of it
}

// spreadCommand is one command, and who has a part of it.
type spreadCommand struct {
	e     *entry
	db    uint8
	proto uint8 // of its reply; 0: the transaction's
	by    []*member
	parts []share // likewise
}

// member is a partition's member, a new one if it has none yet.
func (x *spread) member(p *Partition, slot base.Slot) *member {
	for _, m := range x.members {
		if m.p.ID == p.ID {
			return m
		}
	}
	m := &member{p: p, slot: slot}
	x.members = append(x.members, m)
	return m
}

// add puts a command behind those before it.
func (x *spread) add(e *entry, shares []share, db, proto uint8) {
	c := spreadCommand{e: e, db: db, proto: proto, parts: shares}
	for _, sh := range shares {
		m := x.member(sh.p, sh.slot)
		m.group = append(m.group, command.Grouped{DB: db, Proto: proto, Args: sh.args})
		c.by = append(c.by, m)
	}
	x.commands = append(x.commands, c)
}

// readOnly says whether none of the commands writes.
func (x *spread) readOnly() bool {
	return !slices.ContainsFunc(x.commands, func(c spreadCommand) bool { return c.e.spec.Flags&(command.Write|command.MayReplicate) != 0 })
}

// begin takes the headers off the groups' replies. It is false when the
// partition declined, and then has written its reply.
func (x *spread) begin(w *resp.Writer) bool {
	for _, m := range x.members {
		_, rest, ok := arrayReply(m.reply)
		if !ok { // null: a watched key has changed
			w.Raw(m.reply)
			return false
		}
		m.reply = rest
	}
	return true
}

// writeExec makes EXEC's reply of the partitions' and the front's own, which
// are nil where a partition's belongs.
func (x *spread) writeExec(w *resp.Writer, own []ownReply) {
	if !x.begin(w) {
		return
	}
	settleOwn(own)
	w.Array(len(own))
	next := 0
	for _, o := range own {
		if o.write != nil {
			o.write(w)
			continue
		}
		x.commands[next].write(w)
		next++
	}
}

// writeOne writes the reply of the only command.
func (x *spread) writeOne(w *resp.Writer) {
	if x.begin(w) {
		x.commands[0].write(w)
	}
}

// write takes the command's replies off those of its members, and makes one
// of them.
func (c *spreadCommand) write(w *resp.Writer) {
	f := fan{parts: make([]part, len(c.by)), proto: cmp.Or(int(c.proto), w.Proto), merge: mergeOf(c.e.spec.Fan)}
	for i, m := range c.by {
		n, err := resp.SkipReply(m.reply)
		if err != nil || n == 0 {
			w.Error(errMerge)
			return
		}
		f.parts[i].reply, m.reply = m.reply[:n], m.reply[n:]
		f.parts[i].keys = c.parts[i].keys
	}
	if len(c.parts) > 0 && c.parts[0].merge != nil {
		f.merge = c.parts[0].merge
	} else if len(f.parts) == 1 {
		w.Raw(f.parts[0].reply)
		return
	}
	w.Raw(f.result())
}

// joint is a transaction over partitions on its way: a MULTI, or a write of
// keys that lie apart.
type joint struct {
	t       txn.Transaction
	o       *op
	x       *spread
	watched [][]byte
	write   func(*resp.Writer) // the reply, once it is committed
}

var _ txn.Sink = (*joint)(nil)

// joinUp puts an op into the batch whose commands are a transaction over
// partitions. It is the last of its batch, see transact.
func (s *session) joinUp(o *op, x *spread, watched [][]byte, write func(*resp.Writer)) {
	s.joint = s.jointOf(o, x, watched)
	s.joint.write = write
	s.enqueue(o)
}

// jointOf makes a transaction over partitions.
func (s *session) jointOf(o *op, x *spread, watched [][]byte) *joint {
	slices.SortFunc(x.members, func(a, b *member) int { return int(a.p.ID) - int(b.p.ID) })
	j := &joint{o: o, x: x, watched: watched}
	j.t = txn.Transaction{
		Session: s.id, Proto: uint8(s.proto.Load()), DB: uint8(s.db.Load()),
		Once: len(watched) > 0, ReadOnly: len(watched) == 0 && x.readOnly(), Sink: j, Parts: make([]txn.Part, len(x.members)),
	}
	for i, m := range x.members {
		j.t.Parts[i] = txn.Part{Partition: m.p.ID, Slot: m.slot, Args: command.ExecGroup(s.id, m.watched, m.group)}
	}
	return j
}

// joinShares is joinUp of one command.
func (s *session) joinShares(o *op, shares []share) {
	x := &spread{}
	x.add(o.cmd, shares, uint8(s.db.Load()), 0)
	s.joinUp(o, x, nil, x.writeOne)
}

// CompleteTxn is called by the router when the transaction has ended.
func (j *joint) CompleteTxn(t *txn.Transaction) {
	if !t.Committed() {
		j.o.s.finish(j.o, answer(j.o.s, &partition.Request{Status: t.Status, Reply: t.Reply}))
		return
	}
	j.takeReplies()
	w := resp.Writer{Proto: int(t.Proto)}
	j.write(&w)
	j.o.s.finish(j.o, w.Buf)
}

// takeReplies gives the members what the partitions said.
func (j *joint) takeReplies() {
	for i, m := range j.x.members {
		m.reply = j.t.Parts[i].Reply
	}
}

// unwatchRest ends the watching of what may still be watched behind a transaction.
func (s *session) unwatchRest(j *joint, over bool) {
	if len(j.watched) == 0 || over && j.t.Committed() {
		return
	}
	s.watched = j.watched
	s.unwatchQuietly()
	s.f.router.Submit(s.reqs)
	clear(s.reqs)
	s.reqs = s.reqs[:0]
}

// transact hands the transaction over, behind what came before it, and waits
// until it is answered: a command behind it could overtake what it has yet to
// send. It returns false when the session is over.
func (s *session) transact() bool {
	j := s.joint
	s.joint = nil
	s.submit()
	s.f.router.Transact(&j.t)
	over, ok := s.settle()
	s.unwatchRest(j, over)
	return ok
}
