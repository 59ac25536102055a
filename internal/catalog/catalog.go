// Package catalog is the cluster's own records: its nodes, its partitions and
// where their replicas belong. They are kept in partition 0, which every node
// holds a replica of, and changed only by the commands of this package,
// evaluated at that partition's leader like any other command.
//
// The catalog is a directory. What a partition owns and who its members are
// is the partition's own replicated state; the catalog says what they should
// become (Replicas) and who should lead (Preferred). A node with a stale
// catalog can only route wrongly, never serve wrongly.
//
// Records are JSON under keys of the catalog's range (package keys), so that
// fields can be added; unknown fields are kept out of the way, not refused.
package catalog

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Meta is the cluster's one record about itself.
type Meta struct {
	ClusterID      string         `json:"cluster_id"` // 32 hex digits
	Version        uint64         `json:"version"`    // of the record format
	Replication    int            `json:"replication"`
	NextNode       base.NodeID    `json:"next_node"`
	NextReplica    base.ReplicaID `json:"next_replica"`
	NextGeneration uint32         `json:"next_generation"`
	// Settings are parameters that clients set for the whole cluster.
	Settings map[string]string `json:"settings,omitempty"`
	// ScriptsVersion counts changes of scripts and libraries, ScriptsFlushed how
	// often scripts were flushed.
	ScriptsVersion uint64 `json:"scripts_version,omitempty"`
	ScriptsFlushed uint64 `json:"scripts_flushed,omitempty"`
}

// MetaVersion is the version of the catalog's records.
const MetaVersion = 1

// Node is a member of the cluster.
type Node struct {
	ID      base.NodeID `json:"id"`
	Name    string      `json:"name"` // 40 hex digits, as Redis Cluster names nodes
	Peer    string      `json:"peer"`
	Redis   string      `json:"redis"`
	Cluster string      `json:"cluster,omitempty"`
	HTTP    string      `json:"http"`
	Zone    string      `json:"zone,omitempty"`
	Version string      `json:"version"`
	// Token is what the node drew before it joined: a join that is asked for
	// twice gives the same id.
	Token string `json:"token"`
}

// Replica is a partition's member as the catalog wants it.
type Replica struct {
	Node    base.NodeID    `json:"node"`
	Replica base.ReplicaID `json:"replica"`
	Learner bool           `json:"learner,omitempty"`
}

// Partition is a partition's record.
type Partition struct {
	ID        base.PartitionID `json:"id"`
	Lo        uint16           `json:"lo"`
	Hi        uint16           `json:"hi"`
	Replicas  []Replica        `json:"replicas"`
	Preferred base.NodeID      `json:"preferred"`
	Version   uint64           `json:"version"` // counts changes; a change names the one it is based on
	Reason    string           `json:"reason"`  // why it was last changed
}

// Span is the span of slots as founded.
func (p *Partition) Span() base.Span { return base.Span{Lo: p.Lo, Hi: p.Hi} }

// On returns the replica that belongs on a node, or nil.
func (p *Partition) On(n base.NodeID) *Replica {
	for i := range p.Replicas {
		if p.Replicas[i].Node == n {
			return &p.Replicas[i]
		}
	}
	return nil
}

// View is the catalog as read at one point.
type View struct {
	Meta       Meta
	Nodes      []Node
	Partitions []Partition
}

// Node returns a node's record, or nil.
func (v *View) Node(id base.NodeID) *Node {
	for i := range v.Nodes {
		if v.Nodes[i].ID == id {
			return &v.Nodes[i]
		}
	}
	return nil
}

// Partition returns a partition's record, or nil.
func (v *View) Partition(id base.PartitionID) *Partition {
	for i := range v.Partitions {
		if v.Partitions[i].ID == id {
			return &v.Partitions[i]
		}
	}
	return nil
}

// Keys: the catalog's prefix, a letter, the id.
func key(kind byte, id uint64) []byte {
	lower, _ := keys.CatalogBounds()
	return binary.BigEndian.AppendUint64(append(lower, kind), id)
}

func metaKey() []byte                         { return key('c', 0) }
func nodeKey(id base.NodeID) []byte           { return key('n', uint64(id)) }
func partitionKey(id base.PartitionID) []byte { return key('p', uint64(id)) }

func put(w kv.Writer, k []byte, record any) {
	b, err := json.Marshal(record)
	if err != nil {
		panic("catalog: marshal: " + err.Error()) // plain structs always marshal
	}
	w.Set(k, b)
}

// Load reads the whole catalog. An empty catalog gives a zero Meta.
func Load(r kv.Reader) (*View, error) {
	v := &View{}
	lower, upper := keys.CatalogBounds()
	it := r.Iter(lower, upper)
	defer it.Close()
	for ok := it.Next(); ok; ok = it.Next() {
		for ok && len(it.Key()) > len(lower) && (it.Key()[len(lower)] == kindLibrary || it.Key()[len(lower)] == kindScript) {
			ok = it.SeekGE(append(lower[:len(lower):len(lower)], it.Key()[len(lower)]+1))
		}
		if !ok {
			break
		}
		k := it.Key()
		if len(k) != len(lower)+9 {
			return nil, fmt.Errorf("catalog: unknown record %x", k)
		}
		var err error
		switch k[len(lower)] {
		case 'c':
			err = json.Unmarshal(it.Value(), &v.Meta)
		case 'n':
			var n Node
			err = json.Unmarshal(it.Value(), &n)
			v.Nodes = append(v.Nodes, n)
		case 'p':
			var p Partition
			err = json.Unmarshal(it.Value(), &p)
			v.Partitions = append(v.Partitions, p)
		}
		if err != nil {
			return nil, fmt.Errorf("catalog: record %x: %w", k, err)
		}
	}
	if v.Meta.Version > MetaVersion {
		return nil, fmt.Errorf("catalog: written by a newer version (format %d, this program knows %d)", v.Meta.Version, MetaVersion)
	}
	return v, r.Err()
}

// NodeName derives the name by which Redis Cluster clients know a node.
func NodeName(cluster [16]byte, id base.NodeID) string {
	b := slices.Concat(cluster[:], binary.BigEndian.AppendUint32(nil, uint32(id)))
	return hex.EncodeToString(b)
}

// Found writes the records of a new cluster: one node, and partitions with
// one replica each on it.
func Found(w kv.Writer, cluster [16]byte, first Node, partitions, replication int) *View {
	first.ID, first.Name = 1, NodeName(cluster, 1)
	v := &View{
		Meta: Meta{
			ClusterID: hex.EncodeToString(cluster[:]), Version: MetaVersion, Replication: replication,
			NextNode: 2, NextReplica: base.ReplicaID(partitions) + 2, NextGeneration: 16,
		},
		Nodes: []Node{first},
	}
	for i := range partitions + 1 {
		p := Partition{
			ID: base.PartitionID(i), Version: 1, Preferred: 1, Reason: "founded",
			Replicas: []Replica{{Node: 1, Replica: base.ReplicaID(i + 1)}},
		}
		if i > 0 {
			p.Lo = uint16((i - 1) * base.NumSlots / partitions)
			p.Hi = uint16(i * base.NumSlots / partitions)
		}
		v.Partitions = append(v.Partitions, p)
	}
	put(w, metaKey(), &v.Meta)
	put(w, nodeKey(1), &v.Nodes[0])
	for i := range v.Partitions {
		put(w, partitionKey(v.Partitions[i].ID), &v.Partitions[i])
	}
	return v
}
