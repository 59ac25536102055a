package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
)

// Bug is a fault planted around the core, to see that the checks find it.
type Bug int

// The bugs that can be planted.
const (
	NoBug                 Bug = iota
	BugEarlyAck               // an append is reported before it is durable
	BugTornState              // the state record is written before the state it stands for
	BugNoReconcile            // a restart takes the log as it is
	BugRetriedWrites          // leaders do not recognize a write that is sent again
	BugWronglyUndelivered     // a broken connection gives back a request that it had sent
	BugEarlyTruncate          // logs are cut at the applied index
	BugForgottenVote          // term and vote are not durable
	BugReorderedRequests      // requests overtake each other on a connection
	BugLostEffect             // a move down skips an operation
	BugReusedConfirmation     // a confirmation of leadership is used again for seconds
	BugSelfConfirmedReads     // a leader confirms its leadership by itself
	BugDroppedWrites          // a write is answered, and its effects are dropped
	BugForgottenApplied       // a restart does not know what was applied
	BugLearnerCounted         // a learner's acknowledgement counts as a voter's
	BugEarlyPromotion         // a learner is promoted before it has caught up
	BugWipedOldID             // a machine comes back without its disks, under its old id
	BugResurrected            // a late message brings a removed replica back
	BugTornIngest             // a snapshot's position is written before its content
	BugFollowerClock          // replicas decide deadlines by their own clocks
	BugWallClock              // a leader's own clock is the time, also after a failover
	BugNoLocks                // transactions over partitions lock nothing
	BugBlindWatch             // transactions do not look at what was watched
	BugDroppedIntent          // a participant takes a commit for an abort
	BugImpatient              // a participant gives an intent up without asking home
	BugHungLeader             // a leader whose disk hangs goes on leading
	BugStaleAppend            // an append that was overtaken is taken for the one at its index
	BugCutWhileSent           // logs are cut while a snapshot is sent
	BugLatePrepare            // home forgets that it aborted a transaction
	BugReleasedLocks          // VALIDATE does not see locks that its round released
	BugStaleValidate          // VALIDATE takes what another leadership said
	BugNoRecovery             // nobody asks about transactions that their coordinator left
	BugValueWatch             // what is watched is the value
	BugCutMoving              // a leader goes on before all others stand still for a cut
	BugCutBlind               // a cut leaves out what is committed and not resolved
	BugUncheckedReads         // PREPARE does not look at what was read at a gateway
	BugUntoldWatch            // who watches is not told of what was evaluated elsewhere
	BugServedTwice            // the answer to a blocking request is not found again
	BugScriptTwice            // a gateway runs a script that its leader has run
	BugScriptUndone           // a script that fails leaves nothing behind
	BugEvictsAny              // keys are evicted that are to be kept
	BugRoomy                  // writes go on where there is no room
	BugUntoldCache            // who evicts is not told of what was evaluated elsewhere
	BugEarlyMail              // what a script publishes is sent before it is committed
	BugNotToldAnew            // a node is not told anew of subscriptions over its next connection
	BugDeafWaiter             // a write does not wake who waits for its key, now and then
	BugForgottenWaiter        // a leader forgets one who waits, now and then
	BugLockedFetch            // a FETCH reads what another transaction holds locked
)

// cluster is one run.
type cluster struct {
	*world
	opts       Options
	machines   []*machine
	links      [][]*link
	sessions   []*session
	spans      map[base.PartitionID]base.Span
	atRest     bool // clients send nothing any more
	faulty     bool // faults happen
	active     []fault
	faultDice  dice // of what follows from faults
	armed      map[Point]int
	favourites []int    // points that this run prefers
	fair       weather  // without faults of the network
	recruits   int      // nodes that asked to join
	lost       *machine // the last one whose disk was damaged or taken away
	net        weather
	parcels    int64 // sent so far
	leaders    map[leadership]base.NodeID
	elections  map[base.PartitionID][]election
	entries    map[sentEntry]uint64 // terms of entries that leaders sent
	digests    map[position]uint64
	stats      Stats
	clients
}

type leadership struct {
	partition base.PartitionID
	term      uint64
}

// Run simulates one cluster. Runs must not overlap: see seedElections.
func Run(o Options) *Result {
	defer seedElections(o.Seed)()
	asked := o
	c, err := build(&o)
	if err != nil {
		return &Result{Asked: asked, Options: o, Violations: []string{err.Error()}}
	}
	defer c.closeDisks()
	c.found()
	c.play()
	c.verify()
	for _, m := range c.machines { // their coroutines would wait for ever
		if p := m.proc; p != nil {
			p.dead = true
			p.endGateways()
		}
	}
	return &Result{
		Asked: asked, Options: o, Tail: c.tail(), Hash: c.hash.Sum64(), Lines: c.lines, Events: c.events,
		Virtual: time.Duration(c.now) * time.Microsecond, Stats: c.stats, Violations: c.broken,
	}
}

// build draws what o leaves open, and makes a world without machines.
func build(o *Options) (*cluster, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	c := &cluster{
		world: newWorld(o.Seed, o.Trace), opts: *o, spans: map[base.PartitionID]base.Span{},
		leaders: map[leadership]base.NodeID{}, entries: map[sentEntry]uint64{}, elections: map[base.PartitionID][]election{}, digests: map[position]uint64{},
		armed: map[Point]int{}, faultDice: newDice(o.Seed, "what follows from faults"),
	}
	c.fair = climate(newDice(o.Seed, "network"), o.Harsh)
	c.net = c.fair
	c.trace("seed %d: %d nodes, %d partitions, grow %v, election %d, bug %d", o.Seed, o.Nodes, o.Partitions, o.Grow, o.ElectionTicks, o.Bug)
	return c, c.employ()
}

// found makes the machines and the cluster's first state.
func (c *cluster) found() {
	first := c.opts.Nodes
	if c.opts.Grow {
		first = 1
	}
	for range first {
		c.addMachine()
	}
	b := newTable()
	cluster := [16]byte{1, 2, 3}
	v := catalog.Found(b, cluster, catalog.Node{Token: "token 1", Peer: "peer 1"}, c.opts.Partitions, min(c.opts.Replication, max(1, c.opts.Nodes)))
	if !c.opts.Grow {
		v = c.enlarge(b)
	}
	c.divide(v)
	for _, m := range c.machines {
		c.format(m, b, v)
	}
	for _, m := range c.machines {
		m.start()
	}
	for range c.opts.Nodes - first {
		c.after(c.between(milli, 8*second), c.recruit)
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
	if err := m.logs.open(); err != nil {
		c.violate("founding: %v", err)
		return
	}
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
		c.plan(until)
	}
	c.run(until, never)
	c.after(0, c.heal)
	c.run(c.now+2*second, never) // a while of good weather
	for _, s := range c.sessions {
		s.silent = true
	}
	c.atRest = true
	since := c.now
	c.run(c.now+calmTicks*tick, c.answered)
	c.stats.Slowest = c.now - since
	c.unanswered()
	c.awaitTold()
	c.lastReads()
	c.run(c.now+calmTicks*tick, c.answered)
	c.unanswered()
	c.run(c.now+2*second, never) // replicas catch up
	c.run(c.now+calmTicks*tick, func() bool { return c.idle() && c.nothingLeft() })
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

// noteLeader: a term has one leader.
func (c *cluster) noteLeader(p base.PartitionID, term uint64, n base.NodeID) {
	l := leadership{p, term}
	if before, ok := c.leaders[l]; ok && before != n {
		c.violate("p%d has two leaders in term %d: n%d and n%d", p, term, before, n)
	} else if !ok {
		c.trace("n%d leads p%d in term %d", n, p, term)
		c.stats.Leaders++
		c.elections[p] = append(c.elections[p], election{term, c.now})
		c.noteElection(p, n)
	}
	c.leaders[l] = n
}
