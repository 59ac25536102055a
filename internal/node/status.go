package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/config"
	"coterie/internal/httpfront"
	"coterie/internal/placement"
	"coterie/internal/redisfront"
	"coterie/internal/resp"
	"coterie/internal/status"
	"coterie/internal/storage/statestore"

	"github.com/prometheus/client_golang/prometheus"
)

// picture is what status and metrics are made of: a copy that the loop
// publishes with every report, so that nobody has to ask the loop.
type picture struct {
	at     time.Time
	self   report
	view   *catalog.View
	others map[base.NodeID]heard
	health map[base.NodeID]placement.Health
}

// publish makes a new picture of this node's own report and all it heard.
func (n *Node) publish(self *report) {
	p := &picture{
		at: time.Now(), self: *self, view: n.view,
		others: make(map[base.NodeID]heard, len(n.heard)), health: map[base.NodeID]placement.Health{},
	}
	for id, h := range n.heard {
		p.others[id] = *h
	}
	for _, x := range n.view.Nodes {
		p.health[x.ID] = n.health(x.ID)
	}
	n.picture.Store(p)
}

// stale is the age from which another node's figures are said to be old.
const stale = 5 * time.Second

// clusterStatus describes the cluster as of the last picture.
func (n *Node) clusterStatus() *status.Cluster {
	pic := n.picture.Load()
	c := &status.Cluster{
		ID: n.id.ClusterID, Version: n.version, AnsweredBy: uint64(n.id.Node), Time: time.Now().UTC(),
		ReplicasWanted: pic.view.Meta.Replication,
	}
	for i := range pic.view.Nodes {
		c.Nodes = append(c.Nodes, n.nodeStatus(pic, &pic.view.Nodes[i], c))
	}
	for i := range pic.view.Partitions {
		c.Partitions = append(c.Partitions, partitionStatus(pic, &pic.view.Partitions[i], n.id.Node))
	}
	c.Totals.OpsPerSecond = pic.self.Ops
	for _, h := range pic.others {
		if h.up {
			c.Totals.OpsPerSecond += h.report.Ops
		}
	}
	c.Count()
	if len(pic.view.Nodes) == 0 {
		c.Unknown = append(c.Unknown, "the catalog: this node has not received it yet")
	}
	var lost []string
	for _, p := range c.Partitions {
		if p.State == status.PartitionUnavailable {
			lost = append(lost, fmt.Sprint(p.ID))
		}
	}
	if len(lost) > 0 {
		c.Unknown = append(c.Unknown, "no leader known for partition "+strings.Join(lost, ", ")+": what was written last there, and whether a majority is left")
	}
	return c
}

// nodeStatus is one node's line.
func (n *Node) nodeStatus(pic *picture, x *catalog.Node, c *status.Cluster) status.Node {
	s := status.Node{
		ID: uint64(x.ID), Zone: x.Zone, Version: x.Version, Redis: x.Redis, Cluster: x.Cluster, Peer: x.Peer, HTTP: x.HTTP,
		State: status.NodeAlive,
	}
	r, age := pic.self, time.Since(pic.at)
	if x.ID != n.id.Node {
		h, known := pic.others[x.ID]
		if !known || h.at.IsZero() {
			s.State = status.NodeJoining
			if pic.health[x.ID] == placement.Dead {
				s.State = status.NodeDead
			}
			c.Unknown = append(c.Unknown, fmt.Sprintf("node %d: not heard of since this node started", x.ID))
			return s
		}
		r, age = h.report, time.Since(h.at)
		switch {
		case pic.health[x.ID] == placement.Dead:
			s.State = status.NodeDead
		case !h.up || age > suspectAfter:
			s.State = status.NodeSuspect
		}
		if age > stale {
			c.Unknown = append(c.Unknown, fmt.Sprintf("figures of node %d are %d s old", x.ID, int(age.Seconds())))
		}
	}
	ms := age.Milliseconds()
	if x.ID == n.id.Node {
		ms = 0
	}
	s.PID, s.Problem, s.HeardMillis = r.PID, r.Problem, &ms
	if r.Version != "" {
		s.Version = r.Version
	}
	s.DiskUsed, s.DiskFree = &r.DiskUsed, &r.DiskFree
	return s
}

// partitionStatus takes a partition's figures from its leader's last report,
// or says that there is none.
func partitionStatus(pic *picture, p *catalog.Partition, self base.NodeID) status.Partition {
	s := status.Partition{ID: uint32(p.ID), State: status.PartitionUnavailable}
	if !p.Span().Empty() {
		s.Slots = p.Span().String()
	}
	var lead *replicaReport
	var age time.Duration
	consider := func(r *report, heardAgo time.Duration, up bool) {
		for i := range r.Replicas {
			rr := &r.Replicas[i]
			if rr.Partition != p.ID {
				continue
			}
			s.Term = max(s.Term, rr.Term)
			s.Applied = max(s.Applied, rr.Applied)
			s.Commit = max(s.Commit, rr.Commit)
			if rr.Leads && rr.Ready && up && (lead == nil || rr.Term > lead.Term) {
				lead, age = rr, heardAgo
				s.Leader = uint64(r.Node)
			}
		}
	}
	consider(&pic.self, 0, true)
	for _, h := range pic.others {
		consider(&h.report, time.Since(h.at), h.up && time.Since(h.at) < stale)
	}
	if lead == nil {
		for _, r := range p.Replicas {
			s.Replicas = append(s.Replicas, status.Replica{Node: uint64(r.Node), Replica: uint64(r.Replica), Role: role(r.Learner)})
		}
		return s
	}
	s.Term, s.Applied, s.Commit, s.AgeMillis = lead.Term, lead.Applied, lead.Commit, age.Milliseconds()
	good := 0
	for _, m := range lead.Members {
		match, lag := m.Match, lead.Last-min(m.Match, lead.Last)
		s.Replicas = append(s.Replicas, status.Replica{
			Node: uint64(m.Node), Replica: uint64(m.Replica), Role: role(m.Learner), Match: &match, Lag: &lag,
		})
		if !m.Learner && pic.health[m.Node] == placement.Alive && (m.Live || m.Node == base.NodeID(s.Leader)) {
			good++
		}
	}
	slices.SortFunc(s.Replicas, func(a, b status.Replica) int { return int(a.Node) - int(b.Node) })
	s.State = status.PartitionOK
	if good < pic.view.Meta.Replication {
		s.State = status.PartitionUnderReplicated
	}
	return s
}

func role(learner bool) status.Role {
	if learner {
		return status.Learner
	}
	return status.Voter
}

// loopPatience is how long the loop may take for a turn before the node
// counts as hung.
const loopPatience = 10 * time.Second

// Live implements httpfront.Source.
func (n *Node) Live() error {
	if quiet := time.Since(time.Unix(0, n.heartbeat.Load())); quiet > loopPatience {
		return fmt.Errorf("the node's loop has not turned for %d s", int(quiet.Seconds()))
	}
	if p := n.problem.Load(); p != nil && p.fatal {
		return errors.New(p.text)
	}
	return nil
}

// Ready implements httpfront.Source.
func (n *Node) Ready() error {
	if err := n.Live(); err != nil {
		return err
	}
	if p := n.problem.Load(); p != nil {
		return errors.New(p.text)
	}
	d := n.directory.Load()
	if len(d.Partitions()) == 0 {
		return errors.New("the catalog has not arrived yet")
	}
	missing := 0
	for _, p := range d.Partitions() {
		if p.Leader == 0 {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d partitions have no leader known here", missing, len(d.Partitions()))
	}
	return nil
}

// serveHTTP opens the HTTP listener, if there is one.
func (n *Node) serveHTTP() error {
	if n.listeners.http == nil {
		return nil
	}
	var err error
	n.http, err = httpfront.New(httpfront.Config{
		Source: n, Version: n.version, Log: n.log,
		Collectors: []prometheus.Collector{n.front, (*collector)(n), n.metrics.logAppend.h, n.metrics.stateFlush.h},
	})
	if err != nil {
		return err
	}
	go n.http.Serve(n.listeners.http) //nolint:errcheck // ends with Shutdown
	return nil
}

// newFront makes the Redis front.
func (n *Node) newFront(table *command.Table) *redisfront.Front {
	c := n.cfg
	return redisfront.New(redisfront.Options{
		Router: n, Broker: n.broker, Scripts: n.scripts, Table: table, Log: n.log, Fault: n.commandFault, Version: n.version, CrossSlot: c.ClusterCrossSlot,
		Limits: redisfront.Limits{
			Connections: c.MaxConnections, KeyBytes: int(c.MaxKeySize), RequestMemory: int64(c.MaxRequestMemory),
			OutputBuffer: int64(c.MaxOutputBuffer), TransactionBytes: int(c.MaxTransactionSize), Values: valueLimits(c),
			Request: resp.Limits{MaxArgs: c.MaxArgs, MaxBulk: int(c.MaxValueSize), MaxInline: 64 << 10, MaxRequest: int(c.MaxValueSize) + (1 << 20)},
		},
	})
}

// Stats implements redisfront.Router.
func (n *Node) Stats() redisfront.Stats {
	pic := n.picture.Load()
	s := redisfront.Stats{
		Started: n.started, ClusterID: n.id.ClusterID, DiskBytes: n.disk.used.Load(), Changes: n.evaluator.changes.Load(), Replicas: pic.view.Meta.Replication - 1,
		Evicted: n.evaluator.evicted.Load(), Expired: n.evaluator.tally.Expired.Load(),
		Hits: n.evaluator.tally.Hits.Load(), Misses: n.evaluator.tally.Misses.Load(),
	}
	for _, r := range pic.self.Replicas {
		if r.Leads {
			s.Applied += r.Applied
		}
	}
	for _, p := range n.directory.Load().Partitions() {
		if p.Leader == 0 {
			s.Unavailable++
		}
	}
	return s
}

// watchSelf looks for what should keep this node from leading: a disk that
// is almost full, a clock that is off. Writes stop here before the disk is
// full, and others lead while they can.
func (n *Node) watchSelf() {
	if free, err := statestore.DiskFree(n.fs, n.cfg.DataDir); err == nil {
		n.disk.free.Store(int64(free))
	}
	if n.ticks%(10*housekeepingTicks) == 0 {
		n.disk.used.Store(diskUsed(n.cfg.DataDir))
	}
	if n.failed != nil {
		return
	}
	old, cause := n.problem.Load(), n.findProblem()
	switch {
	case cause == "" && old != nil:
		n.log.Info("this node takes writes again", "was", old.text)
		n.problem.Store(nil)
	case cause != "" && old == nil:
		n.log.Error("this node takes no writes", "cause", cause)
		n.problem.Store(&problem{text: cause})
	case cause != "":
		n.problem.Store(&problem{text: cause})
	}
	if cause == "" {
		return
	}
	for _, r := range n.shard.Replicas() {
		if to := n.successor(r); to != 0 {
			r.Transfer(to)
			n.shard.Touch(r)
			n.quiet[r.Partition()] = true
		}
	}
}

// findProblem says what keeps this node from taking writes, or "". A problem
// that is there goes away only with some distance, so that it does not
// flicker.
func (n *Node) findProblem() string {
	free, floor := n.disk.free.Load(), int64(n.cfg.MinFreeDisk)
	if n.problem.Load() != nil {
		floor += floor / 8
	}
	if free < floor {
		return fmt.Sprintf("disk almost full: %s free in %s, writes need %s (--min-free-disk)", config.Size(free), n.cfg.DataDir, n.cfg.MinFreeDisk)
	}
	limit := n.cfg.MaxClockOffset.Microseconds()
	others, off := 0, 0
	for _, h := range n.heard {
		if !h.up || time.Since(h.at) > suspectAfter {
			continue
		}
		others++
		if h.skew.exceeds(limit) {
			off++
		}
	}
	if others >= 2 && 2*off > others { // with most of the others, itself counted as right
		return fmt.Sprintf("this node's clock is more than %v off from %d of %d others (--max-clock-offset)", n.cfg.MaxClockOffset, off, others)
	}
	return ""
}
