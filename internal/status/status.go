// Package status is what a node tells about its cluster: the types of
// `GET /status`, how they look as a table, JSON or YAML, and how to ask a
// node for them.
//
// Invariants: the JSON is a public format. Fields are added, never renamed;
// a figure that is not known is absent (a pointer) or said in Unknown, never
// shown as zero. Slices are sorted by id, so that equal states give equal
// bytes.
//
// A node fills a Cluster, the HTTP front serves it, `coterie status` and
// `coterie demo` read it.
package status

import "time"

// Cluster is a cluster as one node sees it.
type Cluster struct {
	ID         string    `json:"cluster_id"`
	Version    string    `json:"version"` // of the node that answered
	AnsweredBy uint64    `json:"answered_by"`
	Time       time.Time `json:"time"`
	// ReplicasWanted is the number of copies each partition should have; a
	// cluster with fewer nodes has fewer.
	ReplicasWanted int `json:"replicas_wanted"`

	Nodes      []Node      `json:"nodes"`
	Partitions []Partition `json:"partitions"`
	Totals     Totals      `json:"totals"`

	// Changes are the moves of copies and leaders under way, with their reason.
	Changes []Change `json:"changes,omitempty"`
	// Unknown says in words what the answering node cannot know now, and why:
	// "no quorum for partitions 2, 5", "figures of node 3 are 12 s old".
	Unknown []string `json:"unknown,omitempty"`
}

// NodeState is how the answering node sees another.
type NodeState string

// The states of a node.
const (
	NodeAlive   NodeState = "alive"
	NodeSuspect NodeState = "suspect" // silent for about a second
	NodeDead    NodeState = "dead"    // silent for longer than dead-after
	NodeJoining NodeState = "joining" // has an id, was never heard of since
)

// Node is one node.
type Node struct {
	ID      uint64    `json:"id"`
	State   NodeState `json:"state"`
	Zone    string    `json:"zone,omitempty"`
	Version string    `json:"version,omitempty"`
	PID     int       `json:"pid,omitempty"`

	// Addresses as others are told to dial them; empty when that listener is
	// off.
	Redis   string `json:"redis"`
	Cluster string `json:"cluster,omitempty"`
	Peer    string `json:"peer"`
	HTTP    string `json:"http,omitempty"`

	Leaders  int `json:"leaders"`  // partitions it leads
	Replicas int `json:"replicas"` // copies it holds, learners included

	DiskUsed *int64 `json:"disk_used_bytes,omitempty"` // of its data directory
	DiskFree *int64 `json:"disk_free_bytes,omitempty"` // of that file system
	// HeardMillis is how long ago the answering node heard of it; 0 for itself.
	HeardMillis *int64 `json:"heard_ms_ago,omitempty"`
	// Problem is why the node takes no writes or does not lead, if so.
	Problem string `json:"problem,omitempty"`
}

// PartitionState sums up a partition.
type PartitionState string

// The states of a partition.
const (
	PartitionOK              PartitionState = "ok"
	PartitionUnderReplicated PartitionState = "under_replicated" // fewer live, caught-up voters than wanted
	PartitionUnavailable     PartitionState = "unavailable"      // no leader, or no majority
	PartitionUnknown         PartitionState = "unknown"
)

// Partition is one partition.
type Partition struct {
	ID       uint32         `json:"id"`
	Slots    string         `json:"slots"` // "0-2730"; empty for the catalog
	State    PartitionState `json:"state"`
	Leader   uint64         `json:"leader,omitempty"` // node id; 0 when not known
	Replicas []Replica      `json:"replicas"`
	Term     uint64         `json:"term"`
	Commit   uint64         `json:"commit"`
	Applied  uint64         `json:"applied"`
	// AgeMillis is how old these figures are, when they came from elsewhere.
	AgeMillis int64 `json:"age_ms,omitempty"`
}

// Role is a replica's part in its partition.
type Role string

// The roles.
const (
	Voter   Role = "voter"
	Learner Role = "learner"
)

// Replica is one member of a partition.
type Replica struct {
	Node    uint64 `json:"node"`
	Replica uint64 `json:"replica"`
	Role    Role   `json:"role"`
	// Match is the last entry known to be on its disk, Lag how many it lacks
	// of the leader's log. Only the leader knows them.
	Match *uint64 `json:"match,omitempty"`
	Lag   *uint64 `json:"lag,omitempty"`
	// Snapshot says that it is being sent one.
	Snapshot bool `json:"snapshot,omitempty"`
}

// Change is one decision being carried out.
type Change struct {
	Partition uint32 `json:"partition"`
	What      string `json:"what"`   // "add a learner on node 3"
	Reason    string `json:"reason"` // "2 of 3 copies"
	Progress  string `json:"progress,omitempty"`
}

// Totals are sums over the cluster, partition 0 (the catalog) included in the
// counts of partitions.
type Totals struct {
	OpsPerSecond    float64 `json:"ops_per_second"`
	UnderReplicated int     `json:"under_replicated"` // partitions
	Unavailable     int     `json:"unavailable"`      // partitions
	Keys            *int64  `json:"keys,omitempty"`
}

// Count fills Totals.UnderReplicated and Totals.Unavailable, and each node's
// Leaders and Replicas, from Partitions.
func (c *Cluster) Count() {
	c.Totals.UnderReplicated, c.Totals.Unavailable = 0, 0
	leaders, replicas := map[uint64]int{}, map[uint64]int{}
	for _, p := range c.Partitions {
		switch p.State {
		case PartitionUnderReplicated:
			c.Totals.UnderReplicated++
		case PartitionUnavailable:
			c.Totals.Unavailable++
		}
		if p.Leader != 0 {
			leaders[p.Leader]++
		}
		for _, r := range p.Replicas {
			replicas[r.Node]++
		}
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.Leaders, n.Replicas = leaders[n.ID], replicas[n.ID]
	}
}

// Missing says in a few words what keeps the cluster from having `nodes` live
// nodes and every partition in order with the copies it should have; empty
// when nothing does.
func (c *Cluster) Missing(nodes int) string {
	alive := 0
	for _, n := range c.Nodes {
		if n.State == NodeAlive {
			alive++
		}
	}
	if alive < nodes {
		return plural(alive, "node") + " of " + itoa(nodes)
	}
	if len(c.Partitions) == 0 {
		return "no partitions yet"
	}
	want := c.ReplicasWanted
	for want > nodes || want%2 == 0 {
		want--
	}
	behind := 0
	for _, p := range c.Partitions {
		voters := 0
		for _, r := range p.Replicas {
			if r.Role == Voter {
				voters++
			}
		}
		bad := p.State == PartitionUnavailable || p.State == PartitionUnknown || p.Leader == 0 || voters < want
		if bad || (p.State == PartitionUnderReplicated && want == c.ReplicasWanted) {
			behind++
		}
	}
	if behind > 0 {
		return plural(len(c.Partitions)-behind, "partition") + " of " + itoa(len(c.Partitions)) + " in order"
	}
	return ""
}
