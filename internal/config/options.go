package config

import (
	"log/slog"
	"math"
	"strings"
	"time"
)

// Kind says how an option's text is read.
type Kind uint8

// The kinds of options.
const (
	Text     Kind = iota
	Path          // a file system path
	Address       // HOST:PORT
	List          // HOST:PORT,HOST:PORT,…
	Switch        // true or false
	Count         // a whole number
	Bytes         // a Size
	Duration      // "500ms", "5s", "5m"
	Choice        // one of Choices
)

// Placeholder is how help shows a value of this kind.
func (k Kind) Placeholder() string {
	return [...]string{"TEXT", "PATH", "HOST:PORT", "HOST:PORT,…", "", "N", "SIZE", "DURATION", "WORD"}[k]
}

// Option describes one setting. Flag, environment variable and file key
// follow from Name; range and choices are checked by Validate and shown in
// help and documentation.
type Option struct {
	Name    string
	Group   string
	Kind    Kind
	Default string
	Doc     string // one or two sentences, in lower case like a man page

	// Min and Max are the allowed range of Count, Bytes and Duration
	// (nanoseconds), both included.
	Min, Max int64
	Choices  []string // of a Choice

	// field points at the option's place in a Node.
	field func(*Node) any
}

// Env is the option's environment variable.
func (o Option) Env() string {
	return "COTERIE_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

// ConfigOption is the one setting that is not a field of Node: the file that
// the others may stand in. It has a flag and an environment variable.
var ConfigOption = Option{
	Name: "config", Group: groupNode, Kind: Path,
	Doc: "YAML file with settings: one `name: value` a line, the names of the flags",
}

// The groups, in the order in which help and documentation show them.
const (
	groupNode    = "Node"
	groupAddress = "Addresses"
	groupCluster = "Cluster"
	groupTiming  = "Timing"
	groupLimits  = "Limits"
	groupStorage = "Storage"
	groupLog     = "Log"
)

// Groups lists the groups in the order in which they are shown.
func Groups() []string {
	return []string{groupNode, groupAddress, groupCluster, groupTiming, groupLimits, groupStorage, groupLog}
}

// Options describes every setting of a node, in the order in which they are
// shown.
func Options() []Option {
	var all []Option
	for _, group := range [][]Option{
		nodeOptions(), clusterOptions(), timingOptions(), limitOptions(), storageOptions(), logOptions(),
	} {
		all = append(all, group...)
	}
	return all
}

func nodeOptions() []Option {
	return []Option{
		{Name: "data-dir", Group: groupNode, Kind: Path, Default: "coterie-data",
			Doc:   "directory that holds everything this node knows; an empty one founds a cluster, or joins one when join is set",
			field: func(n *Node) any { return &n.DataDir }},
		{Name: "zone", Group: groupNode, Kind: Text,
			Doc:   "failure zone of this node (rack, room, data center); copies are spread over zones",
			field: func(n *Node) any { return &n.Zone }},
		{Name: "insecure", Group: groupNode, Kind: Switch, Default: "false",
			Doc:   "allow listeners off loopback although there is no authentication and no encryption",
			field: func(n *Node) any { return &n.Insecure }},

		{Name: "listen", Group: groupAddress, Kind: Address, Default: "127.0.0.1:6379",
			Doc:   "for Redis clients: any key on any node, no redirections",
			field: func(n *Node) any { return &n.Listen }},
		{Name: "cluster-listen", Group: groupAddress, Kind: Address, Default: Off,
			Doc:   "for cluster-aware Redis clients, which are redirected to the leader of a slot; off for none",
			field: func(n *Node) any { return &n.ClusterListen }},
		{Name: "cluster-cross-slot", Group: groupAddress, Kind: Switch, Default: "true",
			Doc:   "whether a command or transaction of a client of the cluster listener may have keys of several slots; false: CROSSSLOT, as Redis Cluster answers",
			field: func(n *Node) any { return &n.ClusterCrossSlot }},
		{Name: "peer-listen", Group: groupAddress, Kind: Address, Default: "127.0.0.1:7379",
			Doc:   "for the other nodes; this is the address to join",
			field: func(n *Node) any { return &n.PeerListen }},
		{Name: "http-listen", Group: groupAddress, Kind: Address, Default: "127.0.0.1:8379",
			Doc:   "for health, status and metrics; off for none",
			field: func(n *Node) any { return &n.HTTPListen }},
		{Name: "advertise-redis", Group: groupAddress, Kind: Address,
			Doc:   "address of listen as others reach it (default: the listening address)",
			field: func(n *Node) any { return &n.AdvertiseRedis }},
		{Name: "advertise-cluster", Group: groupAddress, Kind: Address,
			Doc:   "address of cluster-listen as clients reach it (default: the listening address)",
			field: func(n *Node) any { return &n.AdvertiseCluster }},
		{Name: "advertise-peer", Group: groupAddress, Kind: Address,
			Doc:   "address of peer-listen as other nodes reach it (default: the listening address)",
			field: func(n *Node) any { return &n.AdvertisePeer }},
		{Name: "advertise-http", Group: groupAddress, Kind: Address,
			Doc:   "address of http-listen as others reach it (default: the listening address)",
			field: func(n *Node) any { return &n.AdvertiseHTTP }},
	}
}

func clusterOptions() []Option {
	return []Option{
		{Name: "join", Group: groupCluster, Kind: List,
			Doc:   "peer addresses of nodes of the cluster to join; not needed again once this node has joined",
			field: func(n *Node) any { return &n.Join }},
		{Name: "partitions", Group: groupCluster, Kind: Count, Default: "3", Min: 1, Max: 256,
			Doc:   "number of partitions of a new cluster; used only by the start that founds it",
			field: func(n *Node) any { return &n.Partitions }},
		{Name: "replicas", Group: groupCluster, Kind: Count, Default: "3", Min: 1, Max: 7,
			Doc:   "copies of every partition, an odd number; reached as soon as the cluster has so many nodes; used only by the start that founds it",
			field: func(n *Node) any { return &n.Replicas }},
	}
}

func timingOptions() []Option {
	return []Option{
		{Name: "request-timeout", Group: groupTiming, Kind: Duration, Default: "5s", Min: ms(100), Max: ms(600_000),
			Doc:   "how long a request may wait for a leader or a majority before its client gets an error",
			field: func(n *Node) any { return &n.RequestTimeout }},
		{Name: "dead-after", Group: groupTiming, Kind: Duration, Default: "5m", Min: ms(1000), Max: ms(7 * 24 * 3600_000),
			Doc:   "how long a node must be silent before its copies are rebuilt on others; leadership moves at once",
			field: func(n *Node) any { return &n.DeadAfter }},
		{Name: "max-clock-offset", Group: groupTiming, Kind: Duration, Default: "500ms", Min: ms(1), Max: ms(60_000),
			Doc:   "a node whose clock is further than this from the others does not lead",
			field: func(n *Node) any { return &n.MaxClockOffset }},
		{Name: "tick-interval", Group: groupTiming, Kind: Duration, Default: "100ms", Min: ms(10), Max: ms(1000),
			Doc:   "time between two heartbeats of a leader",
			field: func(n *Node) any { return &n.TickInterval }},
		{Name: "election-timeout", Group: groupTiming, Kind: Duration, Default: "1s", Min: ms(50), Max: ms(60_000),
			Doc:   "silence of a leader after which the others elect a new one; at least 5 tick intervals",
			field: func(n *Node) any { return &n.ElectionTimeout }},
	}
}

func limitOptions() []Option {
	return []Option{
		{Name: "max-key-size", Group: groupLimits, Kind: Bytes, Default: "64KiB", Min: 64, Max: int64(16 * MiB),
			Doc:   "longest key, field or member name",
			field: func(n *Node) any { return &n.MaxKeySize }},
		{Name: "max-value-size", Group: groupLimits, Kind: Bytes, Default: "64MiB", Min: int64(KiB), Max: int64(512 * MiB),
			Doc:   "longest value, and longest single argument of a command",
			field: func(n *Node) any { return &n.MaxValueSize }},
		{Name: "max-args", Group: groupLimits, Kind: Count, Default: "262144", Min: 16, Max: 1 << 24,
			Doc:   "most arguments of one command, its name included",
			field: func(n *Node) any { return &n.MaxArgs }},
		{Name: "max-connections", Group: groupLimits, Kind: Count, Default: "10000", Min: 1, Max: 1 << 20,
			Doc:   "most client connections of this node; further ones get an error and are closed",
			field: func(n *Node) any { return &n.MaxConnections }},
		{Name: "max-request-memory", Group: groupLimits, Kind: Bytes, Default: "256MiB", Min: int64(MiB), Max: int64(TiB),
			Doc:   "bytes of requests and replies that all client connections of this node hold together; at the limit it stops reading from them",
			field: func(n *Node) any { return &n.MaxRequestMemory }},
		{Name: "max-output-buffer", Group: groupLimits, Kind: Bytes, Default: "128MiB", Min: int64(64 * KiB), Max: int64(TiB),
			Doc:   "bytes of replies that wait for one slow client before its connection is closed",
			field: func(n *Node) any { return &n.MaxOutputBuffer }},
		{Name: "max-inflight-bytes", Group: groupLimits, Kind: Bytes, Default: "64MiB", Min: int64(MiB), Max: int64(TiB),
			Doc:   "bytes of writes proposed by this node and not yet committed, and of replies not yet confirmed; further requests wait",
			field: func(n *Node) any { return &n.MaxInflightBytes }},
		{Name: "max-reply-queue", Group: groupLimits, Kind: Bytes, Default: "16MiB", Min: int64(MiB), Max: int64(TiB),
			Doc:   "bytes of replies that wait to be sent to one other node; at the limit the requests of its clients wait",
			field: func(n *Node) any { return &n.MaxReplyQueue }},
		{Name: "max-transaction-size", Group: groupLimits, Kind: Bytes, Default: "64MiB", Min: int64(64 * KiB), Max: int64(512 * MiB),
			Doc:   "bytes of the commands of a MULTI, and of what a command or MULTI over several partitions reads, and of what it writes",
			field: func(n *Node) any { return &n.MaxTransactionSize }},
		{Name: "max-transaction-partitions", Group: groupLimits, Kind: Count, Default: "256", Min: 1, Max: 256,
			Doc:   "partitions that one command or MULTI may lock",
			field: func(n *Node) any { return &n.MaxTransactionPartitions }},
	}
}

func storageOptions() []Option {
	return []Option{
		{Name: "min-free-disk", Group: groupStorage, Kind: Bytes, Default: "256MiB", Min: 0, Max: math.MaxInt64,
			Doc:   "free space of the data directory's disk below which this node takes no more writes",
			field: func(n *Node) any { return &n.MinFreeDisk }},
		{Name: "cache-size", Group: groupStorage, Kind: Bytes, Default: "64MiB", Min: int64(MiB), Max: int64(TiB),
			Doc:   "memory for the state store's block cache",
			field: func(n *Node) any { return &n.CacheSize }},
		{Name: "write-back-size", Group: groupStorage, Kind: Bytes, Default: "64MiB", Min: int64(MiB), Max: int64(TiB),
			Doc:   "memory for applied writes that are not yet in the state store",
			field: func(n *Node) any { return &n.WriteBackSize }},
	}
}

func logOptions() []Option {
	return []Option{
		{Name: "log-level", Group: groupLog, Kind: Choice, Default: "info", Choices: []string{"debug", "info", "warn", "error"},
			Doc:   "least severity that is logged, to standard error",
			field: func(n *Node) any { return (*level)(&n.LogLevel) }},
		{Name: "log-format", Group: groupLog, Kind: Choice, Default: "text", Choices: []string{"text", "json"},
			Doc:   "form of the log's lines",
			field: func(n *Node) any { return &n.LogFormat }},
	}
}

// level lets a slog.Level be told apart from other fields.
type level slog.Level

func ms(n int64) int64 { return n * int64(time.Millisecond) }

// find returns the option of a name.
func find(name string) (Option, bool) {
	for _, o := range Options() {
		if o.Name == name {
			return o, true
		}
	}
	return Option{}, false
}
