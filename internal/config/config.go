// Package config is everything an operator can set on a node: one struct
// (Node), one table that describes its options (Options), one place that
// gathers them from flags, environment and file (Load), and one place that
// judges them (Validate).
//
// Invariants: every field of Node is an option of the table and every option
// has a flag, an environment variable and a key in the file, all derived from
// its name. A flag beats the environment, the environment the file, the file
// the default. Where each value came from stays known, for errors and for
// `coterie config show`.
//
// The command line calls it; a node receives a validated Node and reads
// nothing else.
package config

import (
	"log/slog"
	"net"
	"time"
)

// Off switches a listener off.
const Off = "off"

// Node is the configuration of one node. The table in Options says what each
// field means; sizes are in bytes.
type Node struct {
	DataDir string
	Zone    string

	Listen        string // standalone Redis listener
	ClusterListen string // cluster Redis listener, or Off
	// ClusterCrossSlot lets clients of the cluster listener use keys of several
	// slots together.
	ClusterCrossSlot bool
	PeerListen       string
	HTTPListen       string // or Off

	// What others are told to dial; empty means the listening address. Use
	// Advertised, which knows the rule.
	AdvertiseRedis   string
	AdvertiseCluster string
	AdvertisePeer    string
	AdvertiseHTTP    string

	Insecure bool

	Join       []string // peer addresses of any nodes of the cluster to join
	Partitions int      // used only when this start founds a cluster
	Replicas   int

	DeadAfter       time.Duration
	MaxClockOffset  time.Duration
	RequestTimeout  time.Duration
	TickInterval    time.Duration
	ElectionTimeout time.Duration

	MaxKeySize       Size
	MaxValueSize     Size
	MaxArgs          int
	MaxConnections   int
	MaxRequestMemory Size
	MaxOutputBuffer  Size
	MaxInflightBytes Size
	MaxReplyQueue    Size
	// MaxTransactionSize bounds the commands of a MULTI, and what commands over
	// several partitions read and write.
	MaxTransactionSize Size
	// MaxTransactionPartitions bounds the partitions that one command or MULTI
	// that writes may touch.
	MaxTransactionPartitions int

	MinFreeDisk   Size
	CacheSize     Size
	WriteBackSize Size

	LogLevel  slog.Level
	LogFormat string // "text" or "json"
}

// Addresses are the four addresses that a node tells others; Cluster and HTTP
// are empty when that listener is off.
type Addresses struct {
	Redis, Cluster, Peer, HTTP string
}

// Advertised is what others should dial: the advertise option where it is
// set, else the listening address, else (when that is a wildcard such as
// 0.0.0.0) the peer address's host with the listener's port. Call it with the
// addresses that were really bound when a port was 0.
func (n *Node) Advertised() Addresses {
	peer := n.AdvertisePeer
	if peer == "" {
		peer = n.PeerListen
	}
	peerHost, _, _ := net.SplitHostPort(peer)
	pick := func(listen, advertise string) string {
		switch {
		case listen == Off:
			return ""
		case advertise != "":
			return advertise
		}
		if host, port, err := net.SplitHostPort(listen); err == nil && isWildcard(host) {
			return net.JoinHostPort(peerHost, port)
		}
		return listen
	}
	return Addresses{
		Redis:   pick(n.Listen, n.AdvertiseRedis),
		Cluster: pick(n.ClusterListen, n.AdvertiseCluster),
		Peer:    peer,
		HTTP:    pick(n.HTTPListen, n.AdvertiseHTTP),
	}
}

// Error is a setting that cannot be used: what is wrong, and what to do.
type Error struct {
	Cause string
	Next  string
}

func (e *Error) Error() string { return e.Cause + "; " + e.Next }
