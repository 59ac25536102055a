package redisfront

import (
	"context"
	"sort"
	"time"

	"coterie/internal/base"
	"coterie/internal/cut"
	"coterie/internal/partition"
	"coterie/internal/txn"
)

// Router brings requests to partitions. The node implements it.
type Router interface {
	// Submit hands requests over. It does not keep the slice. Each request's
	// Sink.Complete is called once, later or before Submit returns. Requests of
	// one session to one partition keep their order. The router fills in
	// Origin, sends again what was NotRun, and bounds the wait.
	Submit(reqs []*partition.Request)

	// Transact runs a transaction over partitions, behind what its session has
	// submitted before. Its session submits nothing until it is answered.
	Transact(t *txn.Transaction)

	// Release gives a held transaction up.
	Release(t *txn.Transaction)

	// Cut makes a consistent cut over partitions; EndCut gives it up.
	Cut(c *cut.Cut)
	EndCut(c *cut.Cut)

	// Directory is a snapshot of where everything is.
	Directory() *Directory

	// Catalog runs a command of the catalog, see package catalog. Its error is
	// what the command says.
	Catalog(ctx context.Context, cmd string, arg []byte) ([]byte, error)

	// NextGeneration returns a namespace generation that was never used in
	// this cluster.
	NextGeneration(ctx context.Context) (uint32, error)

	// Set sets a parameter of the whole cluster.
	Set(ctx context.Context, name, value string) error

	// Stats is what INFO says about the node beyond its front.
	Stats() Stats
}

// Stats is the node's own part of INFO.
type Stats struct {
	Started     time.Time
	ClusterID   string
	Applied     uint64 // sum of the applied indexes of the partitions led here, shown as the replication offset
	Replicas    int    // copies of each partition beside its leader
	Unavailable int    // partitions without a leader, as far as this node knows
	DiskBytes   int64
	Changes     int64  // requests evaluated on this node that changed something
	Evicted     uint64 // keys, by the partitions led here
	Expired     uint64 // likewise
	// Hits and Misses are keys that commands looked up which only read, in the
	// partitions led here.
	Hits, Misses uint64
}

// Node is one line of the directory.
type Node struct {
	ID      base.NodeID
	Name    string // stable, 40 hexadecimal digits, as CLUSTER NODES shows it
	Redis   string // host:port of the standalone listener
	Cluster string // host:port of the cluster listener; empty if it has none
	Alive   bool
}

// Partition is where one partition's slots are.
type Partition struct {
	ID     base.PartitionID
	Span   base.Span
	Leader base.NodeID // 0 if not known
}

// Directory says where everything is. It is never changed after it was made.
type Directory struct {
	Epoch uint64
	Self  base.NodeID

	partitions []Partition // in the order of their slots
	nodes      []Node      // in the order of their ids
	bySlot     *[base.NumSlots]uint16
}

// noPartition marks a slot that no partition owns.
const noPartition = 1<<16 - 1

// NewDirectory makes a directory. It keeps copies; partitions that hold no
// slot, such as the catalog, are left out.
func NewDirectory(epoch uint64, self base.NodeID, partitions []Partition, nodes []Node) *Directory {
	d := &Directory{Epoch: epoch, Self: self, bySlot: new([base.NumSlots]uint16)}
	d.nodes = append(d.nodes, nodes...)
	sort.Slice(d.nodes, func(i, j int) bool { return d.nodes[i].ID < d.nodes[j].ID })
	for _, p := range partitions {
		if !p.Span.Empty() {
			d.partitions = append(d.partitions, p)
		}
	}
	sort.Slice(d.partitions, func(i, j int) bool { return d.partitions[i].Span.Lo < d.partitions[j].Span.Lo })
	for i := range d.bySlot {
		d.bySlot[i] = noPartition
	}
	for i, p := range d.partitions {
		for s := p.Span.Lo; s < p.Span.Hi && s < base.NumSlots; s++ {
			d.bySlot[s] = uint16(i)
		}
	}
	return d
}

// Partitions are the partitions that hold slots, in their order. The caller
// does not change them.
func (d *Directory) Partitions() []Partition { return d.partitions }

// Nodes are the nodes in the order of their ids. The caller does not change
// them.
func (d *Directory) Nodes() []Node { return d.nodes }

// BySlot is the partition that owns a slot, nil if none does.
func (d *Directory) BySlot(s base.Slot) *Partition {
	i := d.bySlot[s%base.NumSlots]
	if i == noPartition {
		return nil
	}
	return &d.partitions[i]
}

// Node finds a node, nil if it is not there.
func (d *Directory) Node(id base.NodeID) *Node {
	i := sort.Search(len(d.nodes), func(i int) bool { return d.nodes[i].ID >= id })
	if i == len(d.nodes) || d.nodes[i].ID != id {
		return nil
	}
	return &d.nodes[i]
}

// ledBy are the partitions that a node leads.
func (d *Directory) ledBy(id base.NodeID) []Partition {
	var led []Partition
	for _, p := range d.partitions {
		if p.Leader == id {
			led = append(led, p)
		}
	}
	return led
}

// some is a partition for what any can do, preferably one led here; nil if there
// is none.
func (d *Directory) some() *Partition {
	for i := range d.partitions {
		if d.partitions[i].Leader == d.Self {
			return &d.partitions[i]
		}
	}
	if len(d.partitions) == 0 {
		return nil
	}
	return &d.partitions[0]
}

// spansLedBy are the slots that a node leads, neighbours merged.
func (d *Directory) spansLedBy(id base.NodeID) []base.Span {
	var spans []base.Span
	for _, p := range d.ledBy(id) {
		if n := len(spans); n > 0 && spans[n-1].Hi == p.Span.Lo {
			spans[n-1].Hi = p.Span.Hi
			continue
		}
		spans = append(spans, p.Span)
	}
	return spans
}
