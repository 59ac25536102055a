package node

import (
	"strconv"
	"sync/atomic"
	"time"

	"coterie/internal/command"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the node's own figures; fronts have theirs.
type metrics struct {
	logAppend         timing
	stateFlush        timing
	snapshotsSent     atomic.Int64
	snapshotsReceived atomic.Int64
	commandFaults     atomic.Int64
	faultLogged       atomic.Int64 // second in which one was logged last
}

func newMetrics() *metrics {
	return &metrics{
		logAppend: timing{prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "coterie_log_append_seconds", Help: "Time of one group commit of the log: write and fsync.",
			Buckets: prometheus.ExponentialBuckets(20e-6, 2, 16),
		})},
		stateFlush: timing{prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "coterie_state_flush_seconds", Help: "Time to make the state store durable.",
			Buckets: prometheus.ExponentialBuckets(1e-3, 2, 14),
		})},
	}
}

// commandFault takes note of a command that panicked. A client can do it as often as it
// likes: at most one a second is logged.
func (n *Node) commandFault(f command.Fault) {
	n.metrics.commandFaults.Add(1)
	now := time.Now().Unix()
	if n.metrics.faultLogged.Swap(now) != now {
		n.log.Error("a command failed; this is a bug", "command", f.Command, "panic", f.Panic, "stack", string(f.Stack))
	}
}

type timing struct{ h prometheus.Histogram }

func (t timing) observe(d time.Duration) { t.h.Observe(d.Seconds()) }

// collector gives the node's state to /metrics.
type collector Node

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("coterie_"+name, help, labels, nil)
}

var (
	descApplied   = desc("partition_applied_index", "Last applied log index of the replica here.", "partition")
	descCommit    = desc("partition_commit_index", "Commit index known here.", "partition")
	descTerm      = desc("partition_term", "Raft term.", "partition")
	descLeads     = desc("partition_leader", "1 if this node leads the partition.", "partition")
	descLag       = desc("partition_lag_entries", "Entries of the leader's log that a member lacks; known to the leader.", "partition", "node")
	descLogBytes  = desc("log_bytes", "Size of the log store.")
	descSegments  = desc("log_segments", "Segments of the log store.")
	descPeerUp    = desc("peer_connected", "1 if the peer's connection is open.", "node")
	descPeerBytes = desc("peer_sent_bytes_total", "Bytes sent to the peer.", "node")
	descPeerDrops = desc("peer_dropped_messages_total", "Messages to the peer that were dropped.", "node")
	descDiskFree  = desc("disk_free_bytes", "Free bytes of the data directory's file system.")
	descWritable  = desc("node_writable", "0 when the node takes no writes; /status says why.")
	descPubsub    = desc("pubsub_messages_total", "Messages between clients: published here, sent to other nodes and received from them, delivered to clients here, dropped for want of room here or to another node.", "what")
	descSubs      = desc("pubsub_subscriptions", "Subscriptions of this node's clients.")
	descSubsBytes = desc("pubsub_registry_bytes", "Memory of what is known of subscriptions, of all nodes.")
	descFaults    = desc("command_faults_total", "Commands that panicked: their clients got an error, and nothing of them was kept.")
	descSnapshots = desc("snapshots_total", "Partition snapshots by direction.", "direction")

	descStateDisk    = desc("pebble_disk_bytes", "Disk space of the state store.")
	descStateMem     = desc("pebble_memtable_bytes", "Bytes of the state store not yet durable.")
	descStateL0      = desc("pebble_l0_sublevels", "L0 sublevels of the state store.")
	descStateAmp     = desc("pebble_read_amplification", "Files that a read may look into.")
	descStateDebt    = desc("pebble_compaction_debt_bytes", "Estimated bytes to compact.")
	descStateFlushes = desc("pebble_flushes_total", "Memtable flushes.")
	descStateCompact = desc("pebble_compactions_total", "Compactions.")
	descStateHits    = desc("pebble_cache_hits_total", "Block cache hits.")
	descStateMisses  = desc("pebble_cache_misses_total", "Block cache misses.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descApplied, descCommit, descTerm, descLeads, descLag, descLogBytes, descSegments, descPeerUp, descPeerBytes,
		descPeerDrops, descDiskFree, descWritable, descFaults, descSnapshots, descPubsub, descSubs, descSubsBytes, descStateDisk, descStateMem, descStateL0, descStateAmp,
		descStateDebt, descStateFlushes, descStateCompact, descStateHits, descStateMisses,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It reads the picture of the last
// report: scraping never asks the loop.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	n := (*Node)(c)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	pic := n.picture.Load()
	for _, r := range pic.self.Replicas {
		p := label(uint64(r.Partition))
		gauge(descApplied, float64(r.Applied), p)
		gauge(descCommit, float64(r.Commit), p)
		gauge(descTerm, float64(r.Term), p)
		gauge(descLeads, boolFloat(r.Leads), p)
		for _, m := range r.Members {
			if m.Node != n.id.Node {
				gauge(descLag, float64(r.Last-min(m.Match, r.Last)), p, label(uint64(m.Node)))
			}
		}
	}
	bytes, segments := n.logs.Size()
	gauge(descLogBytes, float64(bytes))
	gauge(descSegments, float64(segments))
	gauge(descDiskFree, float64(n.disk.free.Load()))
	gauge(descWritable, boolFloat(n.problem.Load() == nil))
	count(descFaults, float64(n.metrics.commandFaults.Load()))
	count(descSnapshots, float64(n.metrics.snapshotsSent.Load()), "sent")
	count(descSnapshots, float64(n.metrics.snapshotsReceived.Load()), "received")
	ps := n.broker.Stats()
	gauge(descSubs, float64(ps.Subscriptions))
	gauge(descSubsBytes, float64(ps.Bytes))
	for what, v := range map[string]uint64{
		"published": ps.Published, "sent": ps.Forwarded, "received": ps.Received, "delivered": ps.Delivered,
		"dropped_here": ps.DroppedHere, "dropped_there": ps.DroppedThere,
	} {
		count(descPubsub, float64(v), what)
	}
	for _, p := range n.transport.Peers() {
		id := label(uint64(p.ID))
		gauge(descPeerUp, boolFloat(p.Connected), id)
		count(descPeerBytes, float64(p.BytesOut), id)
		drops := p.Lost
		for _, d := range p.Dropped {
			drops += d
		}
		count(descPeerDrops, float64(drops), id)
	}
	s := n.states.Metrics()
	gauge(descStateDisk, float64(s.DiskBytes))
	gauge(descStateMem, float64(s.MemTableBytes))
	gauge(descStateL0, float64(s.L0Sublevels))
	gauge(descStateAmp, float64(s.ReadAmp))
	gauge(descStateDebt, float64(s.CompactionDebt))
	count(descStateFlushes, float64(s.Flushes))
	count(descStateCompact, float64(s.Compactions))
	count(descStateHits, float64(s.CacheHits))
	count(descStateMisses, float64(s.CacheMisses))
}

func boolFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// opsRate is the requests evaluated or forwarded here, per second, since it
// was last asked.
func (n *Node) opsRate() float64 {
	now, ops := time.Now(), n.front.CommandsRun()
	if d := now.Sub(n.lastOpsAt); d > 200*time.Millisecond {
		if !n.lastOpsAt.IsZero() {
			n.opsPerSecond = float64(ops-n.lastOps) / d.Seconds()
		}
		n.lastOps, n.lastOpsAt = ops, now
	}
	return n.opsPerSecond
}

// label renders an id as a metric's label.
func label(id uint64) string { return strconv.FormatUint(id, 10) }
