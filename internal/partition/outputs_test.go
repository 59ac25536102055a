package partition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/keys"
	"coterie/internal/sim/script"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// note prints what a replica's output says, and keeps what is to be done.
func (g *group) note(m *member) {
	out := &m.out
	if out.Fatal != nil {
		fmt.Fprintf(&g.text, "%d: FATAL %v\n", m.id, out.Fatal)
	}
	for _, x := range out.Recovers {
		fmt.Fprintf(&g.text, "%d: asks p%d about %v\n", m.id, x.Home, x.ID)
	}
	for _, x := range out.Settles {
		fmt.Fprintf(&g.text, "%d: tells %v of %v\n", m.id, x.Participants, x.ID)
	}
	for _, w := range out.Waiting {
		fmt.Fprintf(&g.text, "%d: %s waits: %s\n", m.id, g.nameOf(w.Request), bytes.Join(DecodeArgs(w.Args), []byte(" ")))
	}
	for _, x := range out.Mail {
		fmt.Fprintf(&g.text, "%d: says %s\n", m.id, x.Payload)
	}
	for _, req := range out.Finished {
		name := g.nameOf(req)
		switch req.Status {
		case Done:
			reply := req.Reply
			if operation(req) == txnFetch && len(reply) > 1 {
				reply = g.took(reply)
			}
			if len(reply) > 1+TokenLen && reply[0] == TxnRead { // the token is for validate
				g.token, reply = slices.Clone(reply[1:1+TokenLen]), slices.Concat(reply[:1], reply[1+TokenLen:])
			}
			switch op := operation(req); {
			case op == cutPin && reply[0] == CutPinned:
				reply = []byte(pinned(reply))
			case op == cutRelease && reply[0] == CutYes:
				stood, _ := binary.Uvarint(reply[1:])
				reply = fmt.Appendf(nil, "Y after %d µs", stood)
			}
			fmt.Fprintf(&g.text, "%d: %s is done: %s\n", m.id, name, reply)
		case NotRun:
			fmt.Fprintf(&g.text, "%d: %s was not run; leader %d, term %d\n", m.id, name, req.Leader, req.Term)
		case Unknown:
			fmt.Fprintf(&g.text, "%d: %s is unknown\n", m.id, name)
		}
	}
	if len(out.Changed) > 0 {
		g.show(m)
	}
	m.appends = append(m.appends, out.Appends...)
	g.mail = append(g.mail, out.Messages...)
	downs, sends, pins := slices.Clone(out.MoveDowns), slices.Clone(out.Snapshots), slices.Clone(out.Pins)
	out.Reset()
	for _, p := range pins {
		fmt.Fprintf(&g.text, "%d: pins for %v\n", m.id, p.ID)
		view, err := m.store.Pin()
		if err != nil {
			g.t.Fatal(err)
		}
		m.r.Pinned(p.ID, view)
	}
	for i := range sends {
		g.stream(m, &sends[i])
	}
	if m.late {
		m.downs = append(m.downs, downs...)
		return
	}
	g.moveDown(m, downs)
}

// moveDown carries out moves down.
func (g *group) moveDown(m *member, downs []MoveDown) {
	for i := range downs {
		d := &downs[i]
		b := m.store.NewBatch()
		for _, op := range d.Frozen.Ops() {
			if op.Kind == effects.Set {
				b.Set(op.Key, op.Value)
			}
		}
		b.Set(keys.StateKey(1), d.Record)
		if err := m.store.Commit(b); err != nil {
			g.t.Fatal(err)
		}
		m.r.Moved(&d.State, &m.out)
		g.note(m)
	}
}

// nameOf finds a request's name.
func (g *group) nameOf(req *Request) string {
	for n, r := range g.reqs {
		if r == req {
			return n
		}
	}
	return "?"
}

// stream carries a snapshot over at once.
func (g *group) stream(m *member, s *SendSnapshot) {
	im := importing{keys: map[string][]byte{}}
	it, err := m.store.Iter(nil, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for it.Next() {
		im.keys[string(it.Key())] = slices.Clone(it.Value())
	}
	it.Close()
	s.Raft = proto.Clone(s.Raft).(*pb.Message)
	g.imports = append(g.imports, im)
	to := g.members[uint64(s.To)]
	fmt.Fprintf(&g.text, "%d: snapshot at %d to %d\n", m.id, s.Raft.GetSnapshot().GetMetadata().GetIndex(), s.To)
	if to != nil && to.r != nil {
		to.r.LearnSender(m.r.ID(), base.NodeID(m.id))
		to.r.StepSnapshot(s.Raft, uint64(len(g.imports)-1), &to.out)
		for _, token := range to.out.Discarded {
			fmt.Fprintf(&g.text, "%d: does not want snapshot %d\n", to.id, token)
		}
		g.note(to)
	}
	m.r.SnapshotSent(s.To, to != nil && !g.unheard)
	g.unheard = false
}

// ingest makes the snapshot among a replica's appends its state.
func (g *group) ingest(m *member) State {
	for i := range m.appends {
		if m.appends[i].Snapshot == nil {
			continue
		}
		b := m.store.NewBatch()
		im := g.imports[m.appends[i].Snapshot.Token]
		b.DeleteRange([]byte{0}, []byte{0xff})
		for _, k := range slices.Sorted(maps.Keys(im.keys)) {
			b.Set([]byte(k), im.keys[k])
		}
		if err := m.store.Commit(b); err != nil {
			g.t.Fatal(err)
		}
		s, err := DecodeState(im.keys[string(keys.StateKey(1))])
		if err != nil {
			g.t.Fatal(err)
		}
		return s
	}
	g.t.Fatal("no snapshot is being installed")
	return State{}
}

// durable finishes a replica's appends.
func (g *group) durable(m *member) {
	appends := m.appends
	for i := range appends {
		a := &appends[i]
		if a.Snapshot != nil {
			s := g.ingest(m)
			m.r.Installed(s)
			fmt.Fprintf(&g.text, "%d: snapshot installed at %d\n", m.id, s.Index)
		}
		m.log.apply(&a.Update)
		m.r.Appended(a, &m.out)
	}
	m.appends = nil
}

// run lets the named replicas act until nothing is left to do.
func (g *group) run(c *script.Command) {
	var ids []uint64
	for i := range c.Args {
		ids = append(ids, c.Arg(i))
	}
	if len(ids) == 0 {
		for id := range g.members {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	g.settle(c, ids, c.Nums("hold"))
}

// settle is run for the given replicas.
func (g *group) settle(c *script.Command, ids, hold []uint64) {
	for busy, turns := true, 0; busy; turns++ {
		if turns > 200 {
			c.Fatal("does not come to rest:\n%s", g.text.String())
		}
		busy = false
		for _, id := range ids {
			m := g.members[id]
			if m.r == nil {
				continue
			}
			for m.r.rn.HasReady() && !m.r.installing {
				busy = true
				m.r.HandleReady(&m.out)
			}
			m.r.ServeCuts(1000, &m.out)
			if m.r.WantsMove(1 << 20) {
				m.r.Move(&m.out)
			}
			g.note(m)
			held := slices.Contains(hold, id) || len(m.appends) > 0 && m.appends[0].Snapshot != nil && slices.Contains(c.Nums("stop"), id)
			if len(m.appends) > 0 && !held {
				busy = true
				g.durable(m)
			}
			g.note(m)
		}
		mail := g.mail
		g.mail = nil
		for _, x := range mail {
			from, to := uint64(x.From), uint64(x.Node)
			if !slices.Contains(ids, from) || !slices.Contains(ids, to) {
				g.mail = append(g.mail, x)
				continue
			}
			busy = true
			if m := g.members[to]; m.r != nil {
				m.r.LearnSender(x.From, base.NodeID(from))
				m.r.Step(x.Raft)
			}
		}
	}
}
