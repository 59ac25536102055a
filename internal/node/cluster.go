package node

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"time"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/keyspace"
	"coterie/internal/partition"
	"coterie/internal/placement"
	"coterie/internal/redisfront"
	"coterie/internal/storage/logstore"
	"coterie/internal/transport"
	"coterie/internal/wire"
)

// Paces, in ticks.
const (
	reportTicks    = 20
	placementTicks = 4
	// suspectTicks is how long a node may be silent before it counts as
	// suspect. Reports come every reportTicks.
	suspectAfter = 2500 * time.Millisecond
)

// report is what a node says of itself to all others: for status, for
// routing, and so that the catalog's leader knows who is alive.
type report struct {
	Node        base.NodeID     `json:"node"`
	Incarnation uint64          `json:"incarnation"`
	Clock       base.Stamp      `json:"clock"` // when it was sent, by the sender's clock
	Version     string          `json:"version"`
	PID         int             `json:"pid"`
	DiskUsed    int64           `json:"disk_used"`
	DiskFree    int64           `json:"disk_free"`
	Ops         float64         `json:"ops"`
	Problem     string          `json:"problem,omitempty"`
	Replicas    []replicaReport `json:"replicas"`
	// Echoes are by the nodes that it has heard lately.
	Echoes map[base.NodeID]echo `json:"echoes,omitempty"`
}

// replicaReport is one replica in a report. Members is filled by leaders.
type replicaReport struct {
	Partition base.PartitionID `json:"p"`
	Replica   base.ReplicaID   `json:"r"`
	Leader    base.NodeID      `json:"leader,omitempty"`
	Term      uint64           `json:"term"`
	Commit    uint64           `json:"commit"`
	Applied   uint64           `json:"applied"`
	Last      uint64           `json:"last"`
	Leads     bool             `json:"leads,omitempty"`
	Ready     bool             `json:"ready,omitempty"`
	Known     bool             `json:"known,omitempty"` // a quorum knows the members durably
	Joint     bool             `json:"joint,omitempty"`
	Settled   bool             `json:"settled,omitempty"`
	Members   []memberReport   `json:"members,omitempty"`
}

type memberReport struct {
	Replica base.ReplicaID `json:"r"`
	Node    base.NodeID    `json:"n"`
	Learner bool           `json:"l,omitempty"`
	Match   uint64         `json:"m"`
	Live    bool           `json:"live,omitempty"`
}

// heard is what this node knows of another.
type heard struct {
	report report
	at     time.Time
	up     bool // its connection to this node is open
	skew   skew // by its last report
}

// makeReport says how this node is.
func (n *Node) makeReport() report {
	r := report{
		Node: n.id.Node, Incarnation: n.id.Incarnation, Clock: n.now(), Version: n.version, PID: os.Getpid(),
		DiskUsed: n.disk.used.Load(), DiskFree: n.disk.free.Load(), Ops: n.opsRate(), Problem: n.problemText(),
	}
	for id, h := range n.heard {
		if held := time.Since(h.at); h.up && held < suspectAfter {
			if r.Echoes == nil {
				r.Echoes = map[base.NodeID]echo{}
			}
			r.Echoes[id] = echo{Clock: h.report.Clock, Held: held.Microseconds()}
		}
	}
	for _, rep := range n.shard.Replicas() {
		leader, term := rep.Leader()
		commit, last := rep.Positions()
		rr := replicaReport{
			Partition: rep.Partition(), Replica: rep.ID(), Leader: leader, Term: term,
			Commit: commit, Applied: rep.State().Index, Last: last, Leads: rep.Leads(), Ready: rep.Ready(), Known: rep.ConfKnown(),
			Joint: rep.State().Conf.Joint(), Settled: n.settled[rep.Partition()],
		}
		rep.Progress(func(id base.ReplicaID, node base.NodeID, learner bool, match uint64, live bool) {
			rr.Members = append(rr.Members, memberReport{Replica: id, Node: node, Learner: learner, Match: match, Live: live})
		})
		slices.SortFunc(rr.Members, func(a, b memberReport) int { return int(a.Replica) - int(b.Replica) })
		r.Replicas = append(r.Replicas, rr)
	}
	return r
}

// report tells all others how this node is, and keeps a copy for status.
func (n *Node) report() {
	r := n.makeReport()
	n.publish(&r)
	b, err := json.Marshal(&r)
	if err != nil {
		return
	}
	for _, peer := range n.view.Nodes {
		if peer.ID != n.id.Node {
			n.transport.Send(peer.ID, transport.Control, wire.AppendReport(nil, b))
		}
	}
}

func (n *Node) receiveReport(m *received) error {
	b, err := wire.ReadReport(m.msg)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	h := n.hear(m.from)
	h.report, h.at = r, time.Now()
	var e *echo
	if own, ok := r.Echoes[n.id.Node]; ok {
		e = &own
	}
	h.skew = skewOf(r.Clock, n.now(), e)
	for _, rr := range r.Replicas {
		if rr.Leads {
			n.learnLeader(rr.Partition, m.from, rr.Term)
		}
	}
	return nil
}

func (n *Node) hear(id base.NodeID) *heard {
	h := n.heard[id]
	if h == nil {
		h = &heard{}
		n.heard[id] = h
	}
	return h
}

// learnLeader notes a partition's leader, from its own replica here or from a
// report.
func (n *Node) learnLeader(p base.PartitionID, leader base.NodeID, term uint64) {
	before, _ := n.router.Leader(p)
	n.router.SetLeader(p, leader, term)
	if after, _ := n.router.Leader(p); after != before {
		n.directoryDirty = true
	}
}

// replicaChanged follows a replica's change of leader, term or members.
func (n *Node) replicaChanged(r *partition.Replica) {
	leader, term := r.Leader()
	n.learnLeader(r.Partition(), leader, term)
	delete(n.settled, r.Partition())
	delete(n.quiet, r.Partition())
	n.reportSoon = true // so that those without a replica learn it at once
}

// afterTurn follows what a turn changed in the catalog and in leaderships.
func (n *Node) afterTurn() {
	if r := n.shard.Replica(base.Catalog); r != nil && (n.catalogDirty || r.State().Round != n.catalogRound || r.State().RoundTerm != n.catalogRoundTerm) && r.Initialized() && !r.Busy() {
		n.catalogDirty = false
		n.catalogRound, n.catalogRoundTerm = r.State().Round, r.State().RoundTerm
		n.loadCatalog(r)
	}
	if n.directoryDirty {
		n.directoryDirty = false
		n.publishDirectory()
	}
	if n.reportSoon {
		n.reportSoon = false
		n.report()
	}
}

// loadCatalog reads the catalog anew after it changed.
func (n *Node) loadCatalog(r *partition.Replica) {
	v, err := catalog.Load(r.Overlay())
	if err != nil {
		n.fail(err)
		return
	}
	n.view = v
	n.settled, n.quiet = map[base.PartitionID]bool{}, map[base.PartitionID]bool{}
	n.directoryDirty = true
	n.applySettings()
	n.loadScripts(r)
	peers := map[base.NodeID]string{}
	for _, node := range v.Nodes {
		if node.ID != n.id.Node {
			peers[node.ID] = node.Peer
		}
	}
	n.setPeers(peers)
	n.placeReplicas()
}

// settingEvents names the keyspace events that subscribers are told of.
const settingEvents = "notify-keyspace-events"

// applySettings follows the parameters of the whole cluster.
func (n *Node) applySettings() {
	value := n.view.Meta.Settings[settingEvents]
	n.evaluator.eval.Events, _ = keyspace.ParseClasses(value)
	n.evaluator.limits.Follow(keyspace.ParseLimits(n.view.Meta.Settings))
	n.front.Settings(map[string]string{settingEvents: value})
	n.front.Limits(n.view.Meta.Settings)
}

// setPeers makes the peers' addresses known, and remembers them for the next
// start.
func (n *Node) setPeers(peers map[base.NodeID]string) {
	if maps.Equal(peers, n.id.Peers) && n.peerAddrs.Load() != nil {
		return
	}
	n.peerAddrs.Store(&peers)
	for peer := range peers {
		n.transport.Connect(peer)
	}
	id := n.id
	id.Peers = peers
	if err := id.save(n.fs, n.cfg.DataDir); err != nil {
		n.log.Warn("could not remember the peers' addresses", "err", err)
	}
	n.id.Peers = peers // only this: others read the rest
}

// placeReplicas opens the replicas that the catalog wants here, and closes
// those that it does not want and that are members no more.
func (n *Node) placeReplicas() {
	n.readmit()
	for i := range n.view.Partitions {
		p := &n.view.Partitions[i]
		want, have := p.On(n.id.Node), n.shard.Replica(p.ID)
		switch {
		case want != nil && have == nil:
			n.createReplica(p.ID, want.Replica)
		case have != nil && (want == nil || want.Replica != have.ID()) && !have.Storing() && n.outOf(have):
			n.removeReplica(have)
		}
	}
}

// readmit opens this node's new replica of the catalog. A node that was taken
// for dead and came back has one that is no member any more, and a catalog
// that does not say so: only the catalog's leader can tell.
func (n *Node) readmit() {
	var id base.ReplicaID
	for _, h := range n.heard {
		for _, rr := range h.report.Replicas {
			if rr.Partition != base.Catalog || !rr.Leads || !rr.Ready || rr.Joint {
				continue
			}
			for _, m := range rr.Members {
				if m.Node == n.id.Node {
					id = max(id, m.Replica)
				}
			}
		}
	}
	switch have := n.shard.Replica(base.Catalog); {
	case id == 0:
	case have == nil:
		n.createReplica(base.Catalog, id)
	case have.ID() < id && !have.Storing() && n.outOf(have):
		n.removeReplica(have)
	}
}

// outOf says whether a replica is certainly no member any more, and nobody
// needs it: by the word of a later leader whose members know it durably. Its
// own state does not tell: it may be the first to have applied its removal, and
// the others may still need its vote to find out.
func (n *Node) outOf(r *partition.Replica) bool {
	if !r.Initialized() {
		return true
	}
	_, term := r.Leader()
	for _, h := range n.heard {
		for _, rr := range h.report.Replicas {
			if rr.Partition != r.Partition() || !rr.Leads || !rr.Known || rr.Joint || rr.Term < term || rr.Applied < r.State().Index {
				continue
			}
			if !slices.ContainsFunc(rr.Members, func(m memberReport) bool { return m.Replica == r.ID() }) {
				return true
			}
		}
	}
	return false
}

// createReplica makes an empty replica, unless its id was used before.
func (n *Node) createReplica(p base.PartitionID, id base.ReplicaID) {
	if n.creating[p] != 0 || n.failed != nil {
		return
	}
	if ls, ok := n.logs.State(p); ok && ls.Replica >= id {
		return // removed before: an id never comes back
	}
	n.creating[p] = id
	var ups []logstore.Update
	if old, ok := n.logs.State(p); ok { // an earlier replica's tombstone makes way: the new id is higher
		ups = append(ups, logstore.Update{Partition: p, Replica: old.Replica, Remove: true})
	}
	ups = append(ups, logstore.Update{Partition: p, Replica: id, Reset: &logstore.Mark{}, HardState: &logstore.HardState{}})
	n.logWrites <- logWrite{updates: ups, done: func() {
		delete(n.creating, p)
		r, err := n.newReplica(partition.Recovered{Log: logstore.State{Partition: p, Replica: id}})
		if err != nil {
			n.fail(err)
			return
		}
		n.shard.Add(r)
		n.log.Info("replica created", "partition", p, "replica", id)
	}}
}

// removeReplica drops a replica. Its id stays in the log store as a
// tombstone; its data goes with the next replica's first snapshot, or stays
// unused.
func (n *Node) removeReplica(r *partition.Replica) {
	p, id := r.Partition(), r.ID()
	n.log.Info("replica removed", "partition", p, "replica", id)
	bounds := partition.Bounds(p, r.State().Span)
	n.shard.Remove(p)
	n.creating[p] = id
	up := logstore.Update{
		Partition: p, Replica: id, Reset: &logstore.Mark{},
		HardState: &logstore.HardState{Vote: tombstoneVote},
	}
	n.logWrites <- logWrite{updates: []logstore.Update{up}, done: func() {
		delete(n.creating, p)
		n.background.Add(1)
		go func() {
			defer n.background.Done()
			b := n.states.NewBatch()
			for _, x := range bounds {
				b.DeleteRange(x.Lower, x.Upper)
			}
			if err := n.states.Commit(b); err != nil {
				n.inbox.putEvent(func() { n.fail(err) })
			}
		}()
		n.catalogDirty = true
	}}
}

// members lists what a leader knows of its partition.
func members(r *partition.Replica) []placement.Member {
	var ms []placement.Member
	r.Progress(func(id base.ReplicaID, node base.NodeID, learner bool, match uint64, live bool) {
		ms = append(ms, placement.Member{Replica: id, Node: node, Learner: learner, Match: match, Live: live})
	})
	return ms
}

// reconcile takes, for each partition led here, the next step towards what
// the catalog wishes.
func (n *Node) reconcile() {
	for _, r := range n.shard.Replicas() {
		p := r.Partition()
		if !r.Ready() || n.quiet[p] {
			continue
		}
		want := n.view.Partition(p)
		if want == nil {
			continue
		}
		commit, _ := r.Positions()
		step, settled := placement.Next(want, members(r), r.State().Conf.Joint(), commit, r.ID(), n.alive)
		switch {
		case step.Transfer != 0:
			if r.Transfer(step.Transfer) {
				n.log.Info("handing leadership over", "partition", p, "to", step.Transfer)
			}
			n.shard.Touch(r)
		case len(step.Changes) > 0:
			if r.ProposeConf(step.Changes, step.Joint, step.Joined) {
				n.log.Info("changing members", "partition", p, "changes", len(step.Changes), "joint", step.Joint, "reason", want.Reason)
			}
			n.shard.Touch(r)
		}
		n.settled[p] = settled
		n.quiet[p] = settled && want.Preferred == n.id.Node
	}
}

// alive says whether a node is connected and talking.
func (n *Node) alive(id base.NodeID) bool { return n.health(id) == placement.Alive }

func (n *Node) health(id base.NodeID) placement.Health {
	if id == n.id.Node {
		return placement.Alive
	}
	h := n.heard[id]
	since := n.started
	if h != nil && h.at.After(since) {
		since = h.at
	}
	silent := time.Since(since)
	switch {
	case silent > n.cfg.DeadAfter:
		return placement.Dead
	case h == nil || !h.up || silent > suspectAfter || h.report.Problem != "":
		return placement.Suspect
	}
	return placement.Alive
}

// place, on the catalog's leader, decides where replicas belong and writes
// the decisions into the catalog.
func (n *Node) place() {
	n.placeReplicas()
	r := n.shard.Replica(base.Catalog)
	if r == nil || !r.Ready() || n.placing > 0 || n.view.Meta.Version == 0 {
		return
	}
	pic := placement.Picture{
		Replication: n.view.Meta.Replication, Partitions: n.view.Partitions,
		Settled: n.settledByReports(),
	}
	for _, node := range n.view.Nodes {
		pic.Nodes = append(pic.Nodes, placement.Node{ID: node.ID, Zone: node.Zone, Health: n.health(node.ID)})
	}
	for _, change := range placement.Plan(&pic) {
		b, err := json.Marshal(&change)
		if err != nil {
			continue
		}
		n.placing++
		n.log.Info("placement", "partition", change.ID, "reason", change.Reason, "preferred", change.Preferred)
		n.submitCatalog(catalog.CmdPlace, b, func(_ []byte, err error) {
			n.placing--
			if err != nil {
				n.log.Warn("placement not recorded", "partition", change.ID, "err", err)
			}
		})
	}
}

// settledByReports says which partitions are as the catalog wishes, by what
// their leaders last said.
func (n *Node) settledByReports() map[base.PartitionID]bool {
	s := map[base.PartitionID]bool{}
	for p, ok := range n.settled {
		s[p] = ok
	}
	for _, h := range n.heard {
		for _, rr := range h.report.Replicas {
			if rr.Leads {
				s[rr.Partition] = rr.Settled
			}
		}
	}
	return s
}

// publishDirectory gives the fronts a new picture of who leads what.
func (n *Node) publishDirectory() {
	var parts []redisfront.Partition
	for i := range n.view.Partitions {
		p := &n.view.Partitions[i]
		leader, _ := n.router.Leader(p.ID)
		parts = append(parts, redisfront.Partition{ID: p.ID, Span: p.Span(), Leader: leader})
	}
	var nodes []redisfront.Node
	for _, x := range n.view.Nodes {
		nodes = append(nodes, redisfront.Node{ID: x.ID, Name: x.Name, Redis: x.Redis, Cluster: x.Cluster, Alive: n.health(x.ID) != placement.Dead})
	}
	n.directoryEpoch++
	n.directory.Store(redisfront.NewDirectory(n.directoryEpoch, n.id.Node, parts, nodes))
}
