package catalog

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"coterie/internal/base"
	"coterie/internal/kv"
)

// Names of the catalog's commands: the first argument of a request to
// partition 0. The second is JSON; the reply is JSON, or an error.
const (
	CmdJoin       = "catalog.join"       // Node (Token set) → JoinReply
	CmdUpdate     = "catalog.update"     // Node: addresses and version of a known node → Node
	CmdPlace      = "catalog.place"      // Partition based on Version → Partition
	CmdGeneration = "catalog.generation" // → a fresh namespace generation
	CmdSet        = "catalog.set"        // Setting → Setting
)

// JoinReply tells a joining node who it is.
type JoinReply struct {
	ClusterID string `json:"cluster_id"`
	Node      Node   `json:"node"`
	// Peers are the nodes known so far, so that the new one can reach them.
	Peers []Node `json:"peers"`
	// Catalog is the new node's replica of partition 0.
	Catalog base.ReplicaID `json:"catalog"`
}

// Run evaluates a catalog command.
func Run(txn kv.Txn, args [][]byte) (reply []byte, err error) {
	v, err := Load(txn)
	if err != nil {
		return nil, err
	}
	if v.Meta.Version == 0 {
		return nil, fmt.Errorf("catalog: not founded")
	}
	var result any
	switch name := string(args[0]); {
	case isScripts(name):
		result, err = runScripts(txn, v, args)
	case name == CmdGeneration:
		result = generation(txn, v)
	case len(args) < 2:
		return nil, fmt.Errorf("catalog: %s needs an argument", name)
	case name == CmdJoin:
		result, err = join(txn, v, args[1])
	case name == CmdUpdate:
		result, err = update(txn, v, args[1])
	case name == CmdPlace:
		result, err = place(txn, v, args[1])
	case name == CmdSet:
		result, err = set(txn, v, args[1])
	default:
		return nil, fmt.Errorf("catalog: unknown command %q", name)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

func generation(txn kv.Txn, v *View) uint32 {
	gen := v.Meta.NextGeneration
	v.Meta.NextGeneration += 16 // one for each namespace: FLUSHALL takes as many
	put(txn, metaKey(), &v.Meta)
	return gen
}

// Setting is a parameter for the whole cluster; an empty value takes it back.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Bounds of the settings of a cluster.
const (
	maxSettings     = 64
	maxSettingBytes = 1 << 10
)

func set(txn kv.Txn, v *View, arg []byte) (*Setting, error) {
	var s Setting
	if err := json.Unmarshal(arg, &s); err != nil || s.Name == "" {
		return nil, fmt.Errorf("catalog: set: malformed request")
	}
	if len(s.Name)+len(s.Value) > maxSettingBytes || len(v.Meta.Settings) >= maxSettings && v.Meta.Settings[s.Name] == "" {
		return nil, fmt.Errorf("catalog: set: too much")
	}
	if v.Meta.Settings[s.Name] == s.Value {
		return &s, nil
	}
	if v.Meta.Settings == nil {
		v.Meta.Settings = map[string]string{}
	}
	if v.Meta.Settings[s.Name] = s.Value; s.Value == "" {
		delete(v.Meta.Settings, s.Name)
	}
	put(txn, metaKey(), &v.Meta)
	return &s, nil
}

// join admits a node: a new id, and a learner's place in partition 0, from
// where it learns the rest.
func join(txn kv.Txn, v *View, arg []byte) (*JoinReply, error) {
	var n Node
	if err := json.Unmarshal(arg, &n); err != nil || n.Token == "" {
		return nil, fmt.Errorf("catalog: join: malformed request")
	}
	r := &JoinReply{ClusterID: v.Meta.ClusterID, Peers: v.Nodes}
	cat := v.Partition(base.Catalog)
	for _, old := range v.Nodes {
		if old.Token == n.Token { // asked for twice
			r.Node = old
			if on := cat.On(old.ID); on != nil {
				r.Catalog = on.Replica
			} else { // it was taken for dead meanwhile, and its place given away
				r.Catalog = admit(txn, v, old.ID)
			}
			return r, nil
		}
		if old.Peer == n.Peer {
			return nil, fmt.Errorf("catalog: join: node %d has the address %s already; if its data is lost, start the new node on another address", old.ID, n.Peer)
		}
	}
	var cluster [16]byte
	id, err := hex.DecodeString(v.Meta.ClusterID)
	if err != nil || len(id) != len(cluster) {
		return nil, fmt.Errorf("catalog: malformed cluster id")
	}
	copy(cluster[:], id)
	n.ID = v.Meta.NextNode
	n.Name = NodeName(cluster, n.ID)
	v.Meta.NextNode++
	r.Node, r.Catalog = n, admit(txn, v, n.ID)
	put(txn, nodeKey(n.ID), &n)
	return r, nil
}

// admit gives a node a learner's place in partition 0.
func admit(txn kv.Txn, v *View, node base.NodeID) base.ReplicaID {
	cat, id := v.Partition(base.Catalog), v.Meta.NextReplica
	cat.Replicas = append(cat.Replicas, Replica{Node: node, Replica: id, Learner: true})
	cat.Version++
	cat.Reason = fmt.Sprintf("node %d joined", node)
	v.Meta.NextReplica++
	put(txn, metaKey(), &v.Meta)
	put(txn, partitionKey(base.Catalog), cat)
	return id
}

// update records a known node's addresses and version, after a restart.
func update(txn kv.Txn, v *View, arg []byte) (*Node, error) {
	var n Node
	if err := json.Unmarshal(arg, &n); err != nil {
		return nil, fmt.Errorf("catalog: update: malformed request")
	}
	old := v.Node(n.ID)
	if old == nil {
		return nil, fmt.Errorf("catalog: update: no node %d", n.ID)
	}
	n.Name, n.Token = old.Name, old.Token
	if n != *old {
		put(txn, nodeKey(n.ID), &n)
	}
	return &n, nil
}

// place changes where a partition's replicas belong. Replicas without an id
// get a fresh one.
func place(txn kv.Txn, v *View, arg []byte) (*Partition, error) {
	var p Partition
	if err := json.Unmarshal(arg, &p); err != nil {
		return nil, fmt.Errorf("catalog: place: malformed request")
	}
	old := v.Partition(p.ID)
	if old == nil {
		return nil, fmt.Errorf("catalog: place: no partition %d", p.ID)
	}
	if old.Version != p.Version {
		return nil, fmt.Errorf("catalog: place: partition %d changed meanwhile (version %d, not %d)", p.ID, old.Version, p.Version)
	}
	voters := 0
	for i := range p.Replicas {
		r := &p.Replicas[i]
		if v.Node(r.Node) == nil {
			return nil, fmt.Errorf("catalog: place: no node %d", r.Node)
		}
		if p.On(r.Node) != r {
			return nil, fmt.Errorf("catalog: place: two replicas on node %d", r.Node)
		}
		if was := old.On(r.Node); r.Replica == 0 || was == nil || was.Replica != r.Replica {
			r.Replica = v.Meta.NextReplica
			v.Meta.NextReplica++
		}
		if !r.Learner {
			voters++
		}
	}
	if voters%2 == 0 {
		return nil, fmt.Errorf("catalog: place: %d voters: an odd number is needed", voters)
	}
	p.Lo, p.Hi, p.Version = old.Lo, old.Hi, old.Version+1
	put(txn, metaKey(), &v.Meta)
	put(txn, partitionKey(p.ID), &p)
	return &p, nil
}
