package sim

import (
	"fmt"
	"slices"
	"strings"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/txn"
	"coterie/internal/workload"
)

// group is what a transaction, or WATCH, asks of one partition.
type group struct {
	partition base.PartitionID
	slot      base.Slot
	watched   [][]byte
	commands  []command.Grouped
	places    []int // of the commands in the transaction
}

// groups divides keys and commands by partition, rising by its id.
func (o *op) groups(watched []string, cmds []workload.Command) (all []*group) {
	c := o.s.c
	at := func(key string) *group {
		slot := base.KeySlot([]byte(key))
		id, _ := c.owner(slot)
		for _, g := range all {
			if g.partition == id {
				return g
			}
		}
		all = append(all, &group{partition: id, slot: slot})
		return all[len(all)-1]
	}
	db := uint8(o.of.kind.DB)
	for _, k := range watched {
		g := at(k)
		g.watched = append(g.watched, command.WatchedKey(db, []byte(k)))
	}
	for i, x := range cmds {
		g := at(x.Key())
		one := command.Grouped{DB: db}
		for _, a := range x {
			one.Args = append(one.Args, []byte(a))
		}
		g.commands, g.places = append(g.commands, one), append(g.places, i)
	}
	slices.SortFunc(all, func(a, b *group) int { return int(a.partition) - int(b.partition) })
	return all
}

// apart says whether a command's keys lie in several partitions.
func (c *cluster) apart(args [][]byte) bool {
	first := base.PartitionID(0)
	for i, at := range c.table.Lookup(args).AppendKeys(nil, args) {
		id, _ := c.owner(base.KeySlot(args[at]))
		if i > 0 && id != first {
			return true
		}
		first = id
	}
	return false
}

// owner is the partition of a slot.
func (c *cluster) owner(slot base.Slot) (base.PartitionID, bool) {
	i := slices.IndexFunc(c.order, func(id base.PartitionID) bool { return c.spans[id].Contains(slot) })
	return c.order[i], true
}

// session is what requests name their connection by; the last reads have none.
func (o *op) session() uint64 {
	if o.Final {
		return 0
	}
	return uint64(o.ID+1)<<20 | uint64(o.Conn)
}

// watcher is the connection as the evaluators of groups know it: each chapter
// has one for itself, so that transactions of others do not end its watching.
func (o *op) watcher() uint64 { return o.session()<<20 | uint64(o.of.number) }

// watch is a request to each partition that has one of the keys.
func (o *op) watch() {
	for _, g := range o.groups(o.Command[1:], nil) {
		o.add(g.partition, g.slot, partition.Group, command.WatchGroup(o.watcher(), g.watched...))
	}
}

// transact is one request if all is in one partition; else the gateway's
// coordinator is asked.
func (o *op) transact() {
	watched, cmds, _ := o.Command.Txn()
	groups := o.groups(watched, cmds)
	apart := slices.ContainsFunc(groups, func(g *group) bool {
		return slices.ContainsFunc(g.commands, func(cmd command.Grouped) bool { return o.s.c.apart(cmd.Args) })
	})
	if o.s.c.clientRand.IntN(atGateway) == 0 || apart {
		o.evaluateHere(o.several(groups, len(cmds)))
		return
	}
	if len(groups) == 1 {
		g := groups[0]
		o.add(g.partition, g.slot, partition.Write|partition.Group, command.ExecGroup(o.watcher(), g.watched, g.commands))
		return
	}
	o.txn = &crossing{o: o, groups: groups, commands: len(cmds)}
	t := &o.txn.Transaction
	t.Session, t.Proto, t.DB, t.Once, t.Sink = o.session(), 2, uint8(o.of.kind.DB), len(watched) > 0, o.txn
	t.ReadOnly = len(watched) == 0
	for _, g := range groups {
		for _, cmd := range g.commands {
			t.ReadOnly = t.ReadOnly && o.s.c.table.Lookup(cmd.Args).Flags&command.Write == 0
		}
	}
	for _, g := range groups {
		t.Parts = append(t.Parts, txn.Part{
			Partition: g.partition, Slot: g.slot, Args: command.ExecGroup(o.watcher(), g.watched, g.commands),
		})
	}
}

// crossing is a transaction over several partitions.
type crossing struct {
	txn.Transaction
	o        *op
	groups   []*group
	commands int
	done     bool
}

// CompleteTxn implements txn.Sink.
func (x *crossing) CompleteTxn(t *txn.Transaction) {
	c := x.o.s.c
	if x.done {
		c.violate("completed twice: %v", x.o.Command)
		return
	}
	x.done = true
	reply := append([]byte(nil), t.Reply...)
	if t.Committed() {
		c.stats.Spanning++
		reply = x.merge()
	}
	x.o.completed(t.Status, reply)
}

// merge puts the partitions' replies in the order of the commands.
func (x *crossing) merge() []byte {
	replies := make([][]byte, x.commands)
	for i, g := range x.groups {
		b := x.Parts[i].Reply
		v, n, err := resp.ParseReply(b)
		if err != nil || n != len(b) || v.Kind != '*' || len(v.Elems) != len(g.places) {
			x.o.s.c.violate("p%d answers a transaction's %d commands with %q", g.partition, len(g.places), b)
			return b
		}
		for at := range b { // behind the head
			if b[at] == '\n' {
				b = b[at+1:]
				break
			}
		}
		for _, place := range g.places {
			n, _ := resp.SkipReply(b)
			replies[place], b = b[:n], b[n:]
		}
	}
	w := resp.Writer{Proto: 2}
	w.Array(x.commands)
	for _, r := range replies {
		w.Raw(r)
	}
	return w.Buf
}

// gone says whether no process speaks for a node any more.
func (c *cluster) gone(id base.NodeID) bool {
	for _, m := range c.machines {
		if m.id == id && m.proc != nil {
			return false
		}
	}
	return true
}

// nothingLeft says whether nothing is left of any transaction over partitions.
func (c *cluster) nothingLeft() bool { return c.leftovers() == "" }

// leftovers names something that is.
func (c *cluster) leftovers() string {
	for _, m := range c.machines {
		if m.proc == nil {
			continue
		}
		if n := m.proc.txns.Waiting(); n > 0 {
			return fmt.Sprintf("n%d still coordinates %d transactions", m.id, n)
		}
		for _, r := range m.proc.shard.Replicas() {
			if !r.Ready() || r.TxnsAtRest(c.gone) == 0 {
				continue
			}
			if left := c.records(r); left != "" {
				return fmt.Sprintf("p%d, led by n%d, keeps%s", r.Partition(), m.id, left)
			}
		}
	}
	return ""
}

// records lists a replica's intents and verdicts, without those that may stay:
// aborted, of a gateway's life that is over. Its next one says so with its
// first write here, if there is any.
func (c *cluster) records(r *partition.Replica) (text string) {
	it := r.Overlay().Iter(keys.TxnBounds(r.Partition()))
	defer it.Close()
	for it.Next() {
		gateway, sequence, verdict, ok := keys.ParseTxnKey(it.Key())
		id := partition.TxnID{Gateway: gateway, Sequence: sequence}
		switch aborted := verdict && it.Value()[1] == 0; { // behind the version
		case !ok || aborted && c.over(id):
		case verdict:
			text += fmt.Sprintf(" verdict %v %x", id, it.Value())
		default:
			text += fmt.Sprintf(" intent %v %x", id, it.Value())
		}
	}
	return text
}

// over says whether the life of the gateway that made an id has ended.
func (c *cluster) over(id partition.TxnID) bool {
	for _, m := range c.machines {
		if m.id == id.Gateway && m.proc != nil {
			return !strings.HasPrefix(id.String(), fmt.Sprintf("%d.%d.", m.id, m.incarnation))
		}
	}
	return true
}
