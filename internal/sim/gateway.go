package sim

import (
	"iter"
	"slices"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/cut"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/spanning"
	"coterie/internal/txn"
)

// gateway evaluates an op's commands at the node of its client, as it is done
// with what cannot be divided over partitions. It is a coroutine: it runs until
// it has to wait for an answer, and goes on when that has come.
type gateway struct {
	o    *op
	p    *proc
	run  func(*gateway) (partition.Status, []byte)
	left int // answers to come
	wait func(struct{}) bool
	next func() (struct{}, bool)
	stop func()
}

var (
	_ spanning.Cluster = (*gateway)(nil)
	_ cut.Cluster      = (*gateway)(nil)
)

// atGateway has one op in so many evaluated at its gateway, if it can be.
const atGateway = 5

// evaluateHere makes the op one that is evaluated at the gateway.
func (o *op) evaluateHere(job spanning.Job) {
	job.Proto, job.DB, job.Session = 2, uint8(o.of.kind.DB), o.watcher()
	o.here = &gateway{o: o, run: func(g *gateway) (partition.Status, []byte) {
		return g.evaluate(&job)
	}}
}

// readCut makes the op one that reads keys in a consistent cut over everything,
// as the front's COTERIE CUTGET.
func (o *op) readCut(keys []string) {
	o.here = &gateway{o: o, run: func(g *gateway) (partition.Status, []byte) {
		c := g.p.c
		s, err := cut.Take(g, c.order)
		if err != nil {
			c.stats.CutsFailed++
			return partition.NotRun, []byte(err.Error())
		}
		defer s.Close()
		c.met(eventCut)
		var names [][]byte
		for _, k := range keys {
			names = append(names, []byte(k))
		}
		values, err := s.Values(uint8(o.of.kind.DB), names, g.Owner)
		if err != nil {
			c.met(eventCutLost)
			return partition.NotRun, []byte(err.Error())
		}
		c.stats.Cuts++
		w := resp.Writer{Proto: 2}
		w.Array(len(values))
		for _, v := range values {
			if v.Null {
				w.Null()
			} else {
				w.BulkString(v.Text())
			}
		}
		return partition.Done, w.Buf
	}}
}

// single is the job of one command; ok is false if it is none with keys.
func (o *op) single(args [][]byte) (job spanning.Job, ok bool) {
	spec := o.s.c.table.Lookup(args)
	job.Args = args
	for _, i := range spec.AppendKeys(nil, args) {
		job.Keys = append(job.Keys, command.WatchedKey(uint8(o.of.kind.DB), args[i]))
	}
	return job, len(job.Keys) > 0
}

// several is the job of a transaction.
func (o *op) several(groups []*group, n int) (job spanning.Job) {
	db := uint8(o.of.kind.DB)
	cmds := make([]command.Grouped, n)
	for _, g := range groups {
		job.Watched = append(job.Watched, g.watched...)
		for i, cmd := range g.commands {
			cmds[g.places[i]] = cmd
			for _, at := range o.s.c.table.Lookup(cmd.Args).AppendKeys(nil, cmd.Args) {
				job.Keys = append(job.Keys, command.WatchedKey(db, cmd.Args[at]))
			}
		}
	}
	job.Args, job.Group = command.ExecGroup(o.watcher(), nil, cmds), true
	return job
}

// begin runs the evaluation until it has to wait for the first time.
func (g *gateway) begin(p *proc) {
	g.p = p
	p.gateways = append(p.gateways, g)
	g.next, g.stop = iter.Pull(func(wait func(struct{}) bool) {
		g.wait = wait
		if status, reply := g.run(g); !p.dead {
			g.o.completed(status, reply)
		}
	})
	g.resume()
}

func (g *gateway) resume() {
	if _, more := g.next(); !more {
		g.p.gateways = slices.DeleteFunc(g.p.gateways, func(x *gateway) bool { return x == g })
	}
}

// came is called by the loop: the evaluation goes on a moment later.
func (g *gateway) came() {
	if g.left--; g.left == 0 {
		p := g.p
		p.c.after(p.c.between(5*micro, 100*micro), func() {
			if !p.dead {
				g.resume()
			}
		})
	}
}

// Complete implements partition.Sink.
func (g *gateway) Complete(*partition.Request) { g.came() }

// CompleteTxn implements txn.Sink.
func (g *gateway) CompleteTxn(*txn.Transaction) { g.came() }

// CompleteCut implements cut.Sink.
func (g *gateway) CompleteCut(*cut.Cut) { g.came() }

// Cut implements cut.Cluster.
func (g *gateway) Cut(x *cut.Cut) bool {
	g.left, x.Sink = 1, g
	g.p.do(func() { g.p.cuts.Begin(x) })
	return g.wait(struct{}{}) && !g.p.dead
}

// End implements cut.Cluster.
func (g *gateway) End(x *cut.Cut) { g.p.do(func() { g.p.cuts.End(x) }) }

// Owner implements spanning.Cluster.
func (g *gateway) Owner(slot base.Slot) (base.PartitionID, bool) {
	return g.p.c.owner(slot)
}

// Submit implements spanning.Cluster.
func (g *gateway) Submit(reqs []*partition.Request) bool {
	g.left = len(reqs)
	for _, r := range reqs {
		r.Sink = g
	}
	g.p.do(func() { g.p.router.Submit(reqs) })
	return g.wait(struct{}{}) && !g.p.dead
}

// Transact implements spanning.Cluster.
func (g *gateway) Transact(t *txn.Transaction) bool {
	if g.left, t.Sink = 1, g; t.Hold {
		g.p.c.met(eventAtGatewayHeld)
	}
	g.p.do(func() { g.p.txns.Begin(t) })
	return g.wait(struct{}{}) && !g.p.dead
}

// Release implements spanning.Cluster.
func (g *gateway) Release(t *txn.Transaction) { g.p.do(func() { g.p.txns.Release(t) }) }

// Rand implements spanning.Cluster.
func (g *gateway) Rand() uint64 { return g.p.c.rand.Uint64() }

// endGateways ends the evaluations of a process that has died.
func (p *proc) endGateways() {
	for _, g := range p.gateways {
		g.stop()
	}
	p.gateways = nil
}
