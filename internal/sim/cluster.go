package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/memstate"
)

// Bug is a fault planted around the core, to see that the checks find it.
type Bug int

// The bugs that can be planted.
const (
	NoBug                 Bug = iota
	BugEarlyAck               // an append is reported before it is durable
	BugTornState              // the state record is written before the state it stands for
	BugNoReconcile            // a restart takes the log as it is
	BugRetriedWrites          // writes with an unknown outcome are sent again
	BugWronglyUndelivered     // a broken connection gives back a request that it had sent
	BugEarlyTruncate          // logs are cut at the applied index
	BugForgottenVote          // term and vote are not durable
	BugReorderedRequests      // requests overtake each other on a connection
	BugLostEffect             // a move down skips an operation
)

// Options make a run. Zero fields get defaults drawn from the seed.
type Options struct {
	Seed           uint64
	Nodes          int // 1..5
	Partitions     int
	Grow           bool          // found one node, and let the others join
	Commands       bool          // run the real commands instead of the workload's own
	Sessions       int           // clients
	Duration       time.Duration // with faults, in virtual time
	Calm           bool          // no faults
	FaultEvery     int64         // µs, in the mean
	Think          int64         // longest pause of a client between bursts, µs
	Keys           int           // registers per partition and chapter
	Chapter        int64         // how long a set of keys is in use, µs
	WriteBack      int           // bytes of all partitions' applied state before it goes down
	KeepEntries    uint64
	HousekeepTicks uint64
	ElectionTicks  int
	DeadAfter      int64 // µs
	Bug            Bug
	Trace          io.Writer // readable history; may be nil
}

func (o *Options) fill(w *world) {
	o.Nodes = cmp.Or(o.Nodes, []int{1, 2, 3, 3, 3, 3, 3, 4, 5}[w.rand.IntN(9)])
	o.Partitions = cmp.Or(o.Partitions, 1+w.rand.IntN(4))
	if !o.Grow && o.Nodes > 1 && w.rand.IntN(4) == 0 || o.Nodes == 2 {
		o.Grow = true
	}
	o.Commands = o.Commands || w.rand.IntN(4) == 0
	o.Sessions = cmp.Or(o.Sessions, 2+w.rand.IntN(5))
	o.Duration = cmp.Or(o.Duration, 12*time.Second)
	o.Think = cmp.Or(o.Think, []int64{20, 60, 200}[w.rand.IntN(3)]*milli)
	o.Keys = cmp.Or(o.Keys, 1+w.rand.IntN(4))
	o.Chapter = cmp.Or(o.Chapter, second)
	o.WriteBack = cmp.Or(o.WriteBack, []int{2 << 10, 16 << 10, 1 << 20}[w.rand.IntN(3)])
	o.KeepEntries = cmp.Or(o.KeepEntries, []uint64{1, 10, 100}[w.rand.IntN(3)])
	o.HousekeepTicks = cmp.Or(o.HousekeepTicks, []uint64{7, 20, 60}[w.rand.IntN(3)])
	o.ElectionTicks = cmp.Or(o.ElectionTicks, []int{20, 20, 20, 30, 10}[w.rand.IntN(5)])
	o.DeadAfter = cmp.Or(o.DeadAfter, []int64{4, 300}[w.rand.IntN(2)]*second)
}

// Stats says what a run came across.
type Stats struct {
	Ops, NotRun, Unknown, Cut                  int
	Points, Kills, Pauses, Splits, PowerLosses int
	Moves, Truncations                         int
	Snapshots, Installed, Reconciled           int
	Transfers, ConfChanges, Removed            int
	Leaders, Digests, Inconclusive, Resets     int
	Slowest                                    int64 // completion of an op after the faults stopped, µs
}

// Result is the outcome of a run.
type Result struct {
	Options    Options
	Hash       uint64 // of the trace
	Lines      int
	Events     int
	Virtual    time.Duration
	Stats      Stats
	Violations []string
}

// cluster is one run.
type cluster struct {
	*world
	opts      Options
	machines  []*machine
	links     [][]*link
	sessions  []*session
	history   []*op
	spans     map[base.PartitionID]base.Span
	faulty    bool    // faults happen
	lossy     float64 // share of raft messages lost
	slowNet   int64
	value     int64
	lastValue map[string]int64
	leaders   map[leadership]base.NodeID
	digests   map[position]uint64
	stats     Stats
}

type leadership struct {
	partition base.PartitionID
	term      uint64
}

// Run simulates one cluster. Runs must not overlap: see seedElections.
func Run(o Options) *Result {
	defer seedElections(o.Seed)()
	w := newWorld(o.Seed, o.Trace)
	o.fill(w)
	c := &cluster{
		world: w, opts: o, spans: map[base.PartitionID]base.Span{}, lastValue: map[string]int64{},
		leaders: map[leadership]base.NodeID{}, digests: map[position]uint64{},
	}
	c.trace("seed %d: %d nodes, %d partitions, grow %v, election %d, bug %d", o.Seed, o.Nodes, o.Partitions, o.Grow, o.ElectionTicks, o.Bug)
	c.found()
	c.play()
	c.verify()
	return &Result{
		Options: o, Hash: w.hash.Sum64(), Lines: w.lines, Events: w.events,
		Virtual: time.Duration(w.now) * time.Microsecond, Stats: c.stats, Violations: w.broken,
	}
}

// found makes the machines and the cluster's first state.
func (c *cluster) found() {
	for i := range c.opts.Nodes {
		m := &machine{c: c, id: base.NodeID(i + 1), logs: newLogDisk(), states: memstate.New()}
		m.logs.forgetful = c.opts.Bug == BugForgottenVote
		m.offset = c.between(-second, second)
		if c.chance(0.2) {
			m.offset = c.between(-3600*second, 3600*second)
		}
		m.drift = (c.rand.Float64() - 0.5) * 0.02
		c.machines = append(c.machines, m)
	}
	c.links = make([][]*link, len(c.machines))
	for i, from := range c.machines {
		for _, to := range c.machines {
			c.links[i] = append(c.links[i], &link{from: from, to: to})
		}
	}
	b := newTable()
	cluster := [16]byte{1, 2, 3}
	v := catalog.Found(b, cluster, catalog.Node{Token: "token 1", Peer: "peer 1"}, c.opts.Partitions, min(3, max(1, c.opts.Nodes)))
	first := c.machines[:1]
	if !c.opts.Grow {
		first = c.machines
		v = c.enlarge(b)
	}
	for _, p := range v.Partitions {
		c.spans[p.ID] = p.Span()
	}
	for _, m := range first {
		c.format(m, b, v)
	}
	for _, m := range first {
		m.start()
	}
	if c.opts.Grow && c.opts.Nodes > 1 {
		c.after(c.between(milli, 2*second), func() { c.join(c.machines[1]) })
	}
	for i := range c.opts.Sessions {
		s := &session{c: c, id: i, depth: 1 + c.rand.IntN(6)}
		c.sessions = append(c.sessions, s)
		c.after(c.between(100*milli, second), s.connect)
	}
}

// enlarge admits all nodes and places the replicas, through the catalog's own
// commands.
func (c *cluster) enlarge(b *table) *catalog.View {
	run := func(cmd string, arg any) {
		j, err := json.Marshal(arg)
		if err == nil {
			_, err = catalog.Run(b, [][]byte{[]byte(cmd), j})
		}
		if err != nil {
			c.violate("founding: %v", err)
		}
	}
	for _, m := range c.machines[1:] {
		run(catalog.CmdJoin, catalog.Node{Token: fmt.Sprint("token ", m.id), Peer: fmt.Sprint("peer ", m.id)})
	}
	v, err := catalog.Load(b)
	if err != nil {
		c.violate("founding: %v", err)
		return v
	}
	for _, p := range v.Partitions {
		voters := v.Meta.Replication - (v.Meta.Replication+1)%2
		var rs []catalog.Replica
		for i := range len(c.machines) {
			r := catalog.Replica{Node: base.NodeID((int(p.ID)+i)%len(c.machines) + 1)}
			if old := p.On(r.Node); old != nil {
				r.Replica = old.Replica
			}
			if r.Learner = i >= voters; !r.Learner || p.ID == base.Catalog {
				rs = append(rs, r)
			}
		}
		p.Replicas, p.Preferred = rs, rs[0].Node
		run(catalog.CmdPlace, p)
	}
	v, _ = catalog.Load(b)
	return v
}

// format writes what a founding node starts from.
func (c *cluster) format(m *machine, b *table, v *catalog.View) {
	batch := m.states.NewBatch()
	var ups []logstore.Update
	for _, p := range v.Partitions {
		on := p.On(m.id)
		if on == nil {
			continue
		}
		s := partition.State{
			Index: 1, Term: 1, NextObjectID: 1, Span: p.Span(), Epoch: 1, Members: map[base.ReplicaID]base.NodeID{},
		}
		for _, r := range p.Replicas {
			s.Members[r.Replica] = r.Node
			if r.Learner {
				s.Conf.Learners = append(s.Conf.Learners, uint64(r.Replica))
			} else {
				s.Conf.Voters = append(s.Conf.Voters, uint64(r.Replica))
			}
		}
		slices.Sort(s.Conf.Voters)
		slices.Sort(s.Conf.Learners)
		if p.ID == base.Catalog {
			for _, k := range b.order() {
				batch.Set([]byte(k), b.m[k])
			}
		}
		batch.Set(keys.StateKey(p.ID), partition.AppendState(nil, &s))
		ups = append(ups, logstore.Update{
			Partition: p.ID, Replica: on.Replica, Reset: &logstore.Mark{Index: 1, Term: 1},
			HardState: &logstore.HardState{Term: 1, Commit: 1},
		})
	}
	if err := m.states.Commit(batch); err != nil || m.states.Flush(context.Background()) != nil {
		c.violate("founding: %v", err)
	}
	if err := m.logs.write(ups); err != nil {
		c.violate("founding: %v", err)
	}
	m.joined = true
}

// serving lists the machines that take clients: those that know the catalog.
func (c *cluster) serving() []*machine {
	var ms []*machine
	for _, m := range c.machines {
		if m.proc != nil && !m.paused && m.proc.view != nil && len(m.proc.view.Partitions) > 0 {
			ms = append(ms, m)
		}
	}
	return ms
}

// calmTicks is how long everything may take to be answered once the faults
// have stopped.
const calmTicks = 400

// play runs the workload: with faults, then without, then to the end.
func (c *cluster) play() {
	never := func() bool { return false }
	until := int64(c.opts.Duration / time.Microsecond)
	if !c.opts.Calm {
		c.lossy = []float64{0, 0.01, 0.05}[c.rand.IntN(3)]
		c.plan(until)
	}
	c.run(until, never)
	c.heal()
	c.run(c.now+2*second, never) // a while of good weather
	for _, s := range c.sessions {
		s.silent = true
	}
	since := c.now
	c.run(c.now+calmTicks*tick, c.answered)
	c.stats.Slowest = c.now - since
	if !c.answered() && len(c.broken) == 0 {
		for _, o := range c.history {
			if o.ret == 0 {
				c.violate("never answered: %v, called at %.3f s via n%d", o, float64(o.call)/1e6, o.s.proc.m.id)
			}
		}
	}
	c.lastReads()
	c.run(c.now+calmTicks*tick, c.answered)
	for _, s := range c.sessions {
		for _, o := range s.open {
			if len(c.broken) > 0 {
				return
			}
			if o.ret == 0 || o.status != partition.Done {
				c.violate("not answered in good weather: %v", o)
			}
		}
	}
	c.run(c.now+2*second, never) // replicas catch up
	c.run(c.now+calmTicks*tick, c.idle)
}

// answered says whether nothing is under way.
func (c *cluster) answered() bool {
	for _, s := range c.sessions {
		if len(s.open) > 0 {
			return false
		}
	}
	return true
}

// idle says whether no node waits for an answer of its own either.
func (c *cluster) idle() bool {
	for _, m := range c.machines {
		if m.proc != nil && m.proc.router.Waiting() > 0 {
			return false
		}
	}
	return true
}

// lastReads reads every register once more, each through some node.
func (c *cluster) lastReads() {
	seen := map[string]bool{}
	alive := c.serving()
	if len(alive) == 0 {
		c.violate("no node serves")
		return
	}
	if len(c.broken) > 0 {
		return
	}
	s := &session{c: c, id: len(c.sessions), silent: true, depth: math.MaxInt}
	c.sessions = append(c.sessions, s)
	var all []*op
	for _, o := range c.history {
		if !seen[o.key] {
			seen[o.key] = true
			all = append(all, &op{s: s, cmd: cmdGet, key: o.key, partition: o.partition})
		}
	}
	for i, o := range all {
		p := alive[c.rand.IntN(len(alive))].proc
		c.after(int64(i)*200*micro, func() {
			o.call = c.now
			s.open = append(s.open, o)
			c.history = append(c.history, o)
			p.do(func() { p.router.Submit([]*partition.Request{o.request()}) })
		})
	}
	c.run(c.now+int64(len(all))*200*micro, func() bool { return false })
}

// retryAll makes the router send again what a lost node may have run.
func (c *cluster) retryAll(p *proc, node base.NodeID) {
	for _, o := range c.history {
		if req := o.sent; req != nil && o.ret == 0 && o.s.proc == p && req.Route.Node == node {
			p.router.Undelivered(node, req.Origin.Sequence)
		}
	}
}

// noteLeader: a term has one leader.
func (c *cluster) noteLeader(p base.PartitionID, term uint64, n base.NodeID) {
	l := leadership{p, term}
	if before, ok := c.leaders[l]; ok && before != n {
		c.violate("p%d has two leaders in term %d: n%d and n%d", p, term, before, n)
	} else if !ok {
		c.trace("n%d leads p%d in term %d", n, p, term)
		c.stats.Leaders++
	}
	c.leaders[l] = n
}
