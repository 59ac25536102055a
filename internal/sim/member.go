package sim

import (
	"encoding/json"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/keyspace"
	"coterie/internal/partition"
	"coterie/internal/placement"
	"coterie/internal/storage/logstore"
)

// This file is what package node does about the catalog: reports, opening and
// closing replicas, and the steps towards what the catalog wishes.

const (
	reportTicks    = 20
	placementTicks = 4
	suspectAfter   = 2500 * milli
)

// report is what a node says of itself.
type report struct {
	leads   []leadReport
	problem string
}

type leadReport struct {
	partition base.PartitionID
	term      uint64
	applied   uint64
	known     bool
	joint     bool
	settled   bool
	members   []base.ReplicaID
	here      map[base.NodeID]base.ReplicaID // the newest member on each node
}

// heard is what a process knows of another node.
type heard struct {
	report report
	at     int64
	up     bool
}

func (p *proc) hear(id base.NodeID) *heard {
	h := p.heard[id]
	if h == nil {
		h = &heard{}
		p.heard[id] = h
	}
	return h
}

func (p *proc) report() {
	r := report{problem: p.m.disk.full}
	for _, rep := range p.shard.Replicas() {
		if !rep.Leads() {
			continue
		}
		_, term := rep.Leader()
		l := leadReport{
			partition: rep.Partition(), term: term, applied: rep.State().Index, known: rep.ConfKnown(),
			joint: rep.State().Conf.Joint(), settled: p.settled[rep.Partition()],
		}
		l.here = map[base.NodeID]base.ReplicaID{}
		rep.Progress(func(id base.ReplicaID, node base.NodeID, _ bool, _ uint64, _ bool) {
			l.members = append(l.members, id)
			l.here[node] = max(l.here[node], id)
		})
		slices.Sort(l.members)
		r.leads = append(r.leads, l)
	}
	from := p.m.id
	for _, m := range p.c.machines {
		if m.id != from && m.joined {
			p.c.scatter(p, m.id, laneControl, func(q *proc) {
				h := q.hear(from)
				h.report, h.at = r, q.c.now
				for _, l := range r.leads {
					q.router.SetLeader(l.partition, from, l.term)
				}
			})
		}
	}
}

func (p *proc) replicaChanged(r *partition.Replica) {
	leader, term := r.Leader()
	if r.Leads() {
		p.c.noteLeader(r.Partition(), term, p.m.id)
		if p.point(pointElected) {
			return
		}
	}
	if p.noteConf(r); p.dead {
		return
	}
	p.router.SetLeader(r.Partition(), leader, term)
	delete(p.settled, r.Partition())
	p.reportSoon = true
}

// afterTurn follows what a turn changed in the catalog.
func (p *proc) afterTurn() {
	if r := p.shard.Replica(base.Catalog); r != nil && r.Initialized() && !r.Busy() {
		at := [2]uint64{r.State().Round, r.State().RoundTerm}
		if p.catalogDirty || at != p.catalogRound {
			p.catalogDirty, p.catalogRound = false, at
			if p.loadCatalog(r); p.point(pointCatalogRead) {
				return
			}
		}
	}
	if p.reportSoon {
		p.reportSoon = false
		p.report()
	}
}

func (p *proc) loadCatalog(r *partition.Replica) {
	v, err := catalog.Load(r.Overlay())
	if err != nil {
		if planned(err) {
			p.fail(err)
		} else {
			p.c.violate("n%d: %v", p.m.id, err)
		}
		return
	}
	p.view, p.settled = v, map[base.PartitionID]bool{}
	for _, n := range v.Nodes {
		if n.ID != p.m.id && int(n.ID) <= len(p.c.machines) {
			p.c.dial(p.c.link(p.m.id, n.ID))
		}
	}
	p.evaluator.limits.Follow(keyspace.ParseLimits(v.Meta.Settings))
	p.loadScripts(r)
	p.placeReplicas()
}

func (p *proc) placeReplicas() {
	p.readmit()
	if p.view == nil {
		return
	}
	for i := range p.view.Partitions {
		part := &p.view.Partitions[i]
		want, have := part.On(p.m.id), p.shard.Replica(part.ID)
		switch {
		case want != nil && have == nil:
			p.createReplica(part.ID, want.Replica)
		case have != nil && (want == nil || want.Replica != have.ID()) && !have.Storing() && p.outOf(have):
			p.removeReplica(have)
		}
	}
}

// readmit opens the machine's new replica of the catalog, if its leader has
// one, as in package node.
func (p *proc) readmit() {
	var id base.ReplicaID
	for _, h := range p.heard {
		for _, l := range h.report.leads {
			if l.partition == base.Catalog && l.known && !l.joint {
				id = max(id, l.here[p.m.id])
			}
		}
	}
	switch have := p.shard.Replica(base.Catalog); {
	case id == 0:
	case have == nil:
		p.createReplica(base.Catalog, id)
	case have.ID() < id && !have.Storing() && p.outOf(have):
		p.removeReplica(have)
	}
}

// outOf says whether a replica is certainly no member any more, and nobody
// needs it.
func (p *proc) outOf(r *partition.Replica) bool {
	if !r.Initialized() {
		return true
	}
	_, term := r.Leader()
	for _, h := range p.heard {
		for _, l := range h.report.leads {
			if l.partition == r.Partition() && l.known && !l.joint && l.term >= term && l.applied >= r.State().Index &&
				!slices.Contains(l.members, r.ID()) {
				return true
			}
		}
	}
	return false
}

func (p *proc) createReplica(id base.PartitionID, replica base.ReplicaID) {
	if p.creating[id] != 0 {
		return
	}
	var ups []logstore.Update
	if ls, ok := p.m.logs.state(id); ok {
		if ls.Replica >= replica {
			return // an id never comes back
		}
		ups = append(ups, logstore.Update{Partition: id, Replica: ls.Replica, Remove: true})
	}
	p.creating[id] = replica
	ups = append(ups, logstore.Update{Partition: id, Replica: replica, Reset: &logstore.Mark{}, HardState: &logstore.HardState{}})
	p.enqueueLog(logWrite{updates: ups, done: func() {
		if p.point(pointReplicaLogged) {
			return
		}
		delete(p.creating, id)
		r := p.newReplica(partition.Recovered{Log: logstore.State{Partition: id, Replica: replica}})
		if r != nil {
			p.c.trace("n%d p%d replica %d created", p.m.id, id, replica)
			p.shard.Add(r)
			p.point(pointReplicaOpen)
		}
	}})
}

func (p *proc) removeReplica(r *partition.Replica) {
	id, replica := r.Partition(), r.ID()
	p.c.trace("n%d p%d replica %d removed", p.m.id, id, replica)
	p.c.stats.Removed++
	bounds := partition.Bounds(id, r.State().Span)
	p.shard.Remove(id)
	p.creating[id] = replica
	up := logstore.Update{
		Partition: id, Replica: replica, Reset: &logstore.Mark{}, HardState: &logstore.HardState{Vote: tombstoneVote},
	}
	p.enqueueLog(logWrite{updates: []logstore.Update{up}, done: func() {
		p.c.graves[grave{id, replica}] = true
		if p.point(pointTombstone) {
			return
		}
		delete(p.creating, id)
		delete(p.digested, id)
		b := p.m.states.NewBatch()
		for _, x := range bounds {
			b.DeleteRange(x.Lower, x.Upper)
		}
		if err := p.m.states.Commit(b); err != nil {
			p.c.violate("n%d: %v", p.m.id, err)
		}
		p.catalogDirty = true
		p.point(pointRemoved)
	}})
}

// members lists what a leader knows of its partition.
func members(r *partition.Replica) []placement.Member {
	var ms []placement.Member
	r.Progress(func(id base.ReplicaID, node base.NodeID, learner bool, match uint64, live bool) {
		ms = append(ms, placement.Member{Replica: id, Node: node, Learner: learner, Match: match, Live: live})
	})
	return ms
}

// reconcile takes the next step towards the catalog's wish for each partition
// led here.
func (p *proc) reconcile() {
	if p.view == nil {
		return
	}
	for _, r := range p.shard.Replicas() {
		id := r.Partition()
		want := p.view.Partition(id)
		if !r.Ready() || want == nil {
			continue
		}
		commit, _ := r.Positions()
		ms := members(r)
		step, settled := placement.Next(want, p.membersPlanted(slices.Clone(ms), commit), r.State().Conf.Joint(), commit, r.ID(), p.alive)
		switch {
		case step.Transfer != 0:
			if r.Transfer(step.Transfer) {
				p.c.trace("n%d p%d hands over to n%d", p.m.id, id, step.Transfer)
				p.c.stats.Transfers++
				p.point(pointHandover)
			}
			p.shard.Touch(r)
		case len(step.Changes) > 0:
			p.c.checkPromotions(r, ms, step.Changes, commit)
			if r.ProposeConf(step.Changes, step.Joint, step.Joined) {
				p.c.trace("n%d p%d changes %d members, joint %v", p.m.id, id, len(step.Changes), step.Joint)
				p.c.stats.ConfChanges++
				p.after(p.c.skewed(micro, 20*milli), func() { p.point(pointConfProposed) })
			}
			p.shard.Touch(r)
		}
		p.settled[id] = settled
	}
}

func (p *proc) alive(id base.NodeID) bool { return p.health(id) == placement.Alive }

func (p *proc) health(id base.NodeID) placement.Health {
	if id == p.m.id {
		return placement.Alive
	}
	h, since := p.heard[id], p.startedAt
	if h != nil {
		since = max(since, h.at)
	}
	switch silent := p.c.now - since; {
	case silent > p.c.opts.DeadAfter:
		return placement.Dead
	case h == nil || !h.up || silent > suspectAfter || h.report.problem != "":
		return placement.Suspect
	}
	return placement.Alive
}

// place, on the catalog's leader, decides where replicas belong.
func (p *proc) place() {
	p.placeReplicas()
	r := p.shard.Replica(base.Catalog)
	if r == nil || !r.Ready() || p.placing > 0 || p.view == nil || p.view.Meta.Version == 0 {
		return
	}
	pic := placement.Picture{
		Replication: p.view.Meta.Replication, Partitions: p.view.Partitions, Settled: map[base.PartitionID]bool{},
	}
	maps.Copy(pic.Settled, p.settled)
	for _, id := range slices.Sorted(maps.Keys(p.heard)) {
		for _, l := range p.heard[id].report.leads {
			pic.Settled[l.partition] = l.settled
		}
	}
	for _, n := range p.view.Nodes {
		pic.Nodes = append(pic.Nodes, placement.Node{ID: n.ID, Zone: n.Zone, Health: p.health(n.ID)})
	}
	for _, change := range placement.Plan(&pic) {
		b, err := json.Marshal(&change)
		if err != nil {
			p.c.violate("%v", err)
			return
		}
		p.placing++
		p.c.trace("n%d places p%d: %s, preferred n%d", p.m.id, change.ID, change.Reason, change.Preferred)
		p.submitCatalog(catalog.CmdPlace, b, func(_ []byte, ok bool) {
			p.placing--
			if ok {
				p.c.met(eventReplicaMoved)
				p.point(pointPlaced)
			}
		})
		if p.point(pointPlaceAsked) {
			return
		}
	}
}

// catalogSink receives the answer of a catalog command.
type catalogSink struct {
	p    *proc
	done func(reply []byte, ok bool)
}

// Complete implements partition.Sink.
func (s *catalogSink) Complete(req *partition.Request) {
	ok := req.Status == partition.Done && len(req.Reply) > 0 && req.Reply[0] == '+'
	reply := req.Reply
	if ok {
		reply = reply[1:]
	}
	s.done(reply, ok)
}

func (p *proc) submitCatalog(cmd string, arg []byte, done func([]byte, bool)) {
	p.router.Submit([]*partition.Request{{
		Partition: base.Catalog, Flags: partition.Write, Proto: 2,
		Args: [][]byte{[]byte(cmd), arg}, Sink: &catalogSink{p: p, done: done},
	}})
}
