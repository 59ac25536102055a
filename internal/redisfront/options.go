package redisfront

import (
	"log/slog"
	"time"

	"coterie/internal/broker"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/resp"
	"coterie/internal/script"
	"coterie/internal/spanning"
)

// Personality is what a listener shows of the cluster.
type Personality uint8

const (
	// Standalone takes any key, never redirects, and has databases 0 to 15.
	Standalone Personality = iota
	// Cluster speaks as one node of a Redis Cluster: database 0 only, MOVED
	// for keys led elsewhere, and DBSIZE, SCAN, KEYS, FLUSHALL over what this
	// node leads.
	Cluster
)

// Databases is the number of namespaces that SELECT reaches.
const Databases = 16

// Limits bound what clients can make a node hold. A zero field stands for its
// default.
type Limits struct {
	Connections int // open client connections; default 10000
	KeyBytes    int // one key; default 64 KiB
	// TransactionBytes bounds the commands of a MULTI, and what commands over
	// several partitions read and write; default 64 MiB.
	TransactionBytes int
	// Values bound what evaluations on sessions build.
	Values        keyspace.Limits
	Request       resp.Limits // one command as sent
	Pending       int         // commands of one connection in flight; default 1024
	RequestMemory int64       // bytes of read buffers and of unsent replies of slow readers, all connections together; default 256 MiB
	OutputBuffer  int64       // bytes of unsent replies of one connection, above which it is closed; default 128 MiB
	// MemoryWait is how long a connection waits for request memory that
	// others hold, before it is refused; default 10 s.
	MemoryWait time.Duration
}

func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def64 := func(p *int64, v int64) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.Connections, 10_000)
	def(&l.KeyBytes, 64<<10)
	def(&l.Pending, 1024)
	def(&l.TransactionBytes, spanning.DefaultMaxBytes)
	def64(&l.RequestMemory, 256<<20)
	def64(&l.OutputBuffer, 128<<20)
	if l.MemoryWait <= 0 {
		l.MemoryWait = 10 * time.Second
	}
	return l
}

// Options is everything a Front is made of.
type Options struct {
	Router Router
	Broker *broker.Broker // brings messages to subscribers; not the front's to close
	// Table has all commands: the rows of Specs, and the evaluated ones.
	Table  *command.Table
	Limits Limits
	// Scripts is what the node knows of scripts; nil: nothing.
	Scripts *script.Store
	// CrossSlot lets clients of the cluster listener use keys of several slots
	// in one command or transaction.
	CrossSlot bool
	Log       *slog.Logger
	// Fault takes the panics of commands that are evaluated here, which only they and
	// their clients suffer from; nil: they end the process.
	Fault func(command.Fault)
	// Version is Coterie's own, shown as coterie_version.
	Version string
	// Settings are more parameters for CONFIG GET to show, all read-only.
	Settings map[string]string
}
