// Package node is the composition root: the one place that knows all floors.
// It founds, joins or reopens a node, runs its goroutines, and carries out
// what the pure core decides.
//
// The goroutines of a node, and who may touch what:
//
//	loop        shard, router, peers, views of the cluster: everything without a lock
//	log writer  the log store's Append
//	mover       the state store's Commit and Flush of moved-down state
//	streams     one per snapshot being sent or received, a few at a time
//	transport   one reader and one writer per peer; they only fill the inbox
//	fronts      one per client connection; they fill the inbox and read the directory
//
// Everything reaches the loop through the inbox and leaves it through the
// Output of a turn. A fault in the log store, the state store or an
// invariant ends the node's part in the cluster (fail); the process stays up
// to say so.
package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/base"
	"coterie/internal/broker"
	"coterie/internal/catalog"
	"coterie/internal/config"
	"coterie/internal/cut"
	"coterie/internal/httpfront"
	"coterie/internal/partition"
	"coterie/internal/redisfront"
	"coterie/internal/routing"
	"coterie/internal/script"
	"coterie/internal/shard"
	"coterie/internal/status"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/statestore"
	"coterie/internal/transport"
	"coterie/internal/txn"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Node is a running node.
type Node struct {
	cfg     *config.Node
	log     *slog.Logger
	fs      vfs.FS
	lock    io.Closer
	id      identity
	how     string
	version string
	started time.Time
	told    config.Addresses
	bound   config.Addresses

	logs      *logstore.Store
	states    *statestore.Store
	transport *transport.Transport
	front     *redisfront.Front
	broker    *broker.Broker
	http      *httpfront.Server
	evaluator *evaluator
	scripts   *script.Store
	metrics   *metrics
	listeners listeners

	inbox      *inbox
	logWrites  chan logWrite
	moves      chan moveJob
	quit       chan struct{}
	quitOnce   sync.Once
	loopDone   chan struct{}
	logDone    chan struct{}
	moverDone  chan struct{}
	background sync.WaitGroup
	done       chan struct{}

	heartbeat atomic.Int64 // wall clock of the loop's last turn, ns
	problem   atomic.Pointer[problem]
	disk      struct{ used, free atomic.Int64 }
	directory atomic.Pointer[redisfront.Directory]
	peerAddrs atomic.Pointer[map[base.NodeID]string]
	picture   atomic.Pointer[picture]

	// The loop's own.
	shard            *shard.Shard
	router           *routing.Router
	routed           routing.Output
	coordinator      *txn.Coordinator
	cuts             *cut.Coordinator
	localBuf         []*partition.Request
	spare            []*partition.Request
	crowded          bool // some peer's replies may be more than its queue should hold
	peers            map[base.NodeID]*peerOut
	sinks            map[base.NodeID]*remoteSink
	heard            map[base.NodeID]*heard
	view             *catalog.View
	settled          map[base.PartitionID]bool // members are as the catalog wishes
	quiet            map[base.PartitionID]bool // and the leader too: nothing to do
	creating         map[base.PartitionID]base.ReplicaID
	outStreams       map[uint64]*outStream
	inStreams        map[uint64]*inStream
	imports          map[uint64]*pendingImport
	streamSeq        uint64
	ticks            uint64
	placing          int
	directoryEpoch   uint64
	catalogRound     uint64
	scriptsVersion   uint64
	catalogRoundTerm uint64
	waits            *partition.WaitLimit
	truncatedAt      int64
	truncatedTick    uint64
	flushing         bool
	afterMoves       bool
	completed        bool
	catalogDirty     bool
	directoryDirty   bool
	reportSoon       bool
	stopping         bool
	failed           error
	gaveUp           bool // failed, and what waited was told
	failedReply      []byte
	lastOps          uint64
	lastOpsAt        time.Time
	opsPerSecond     float64
}

// problem is why the node takes no writes, or nothing at all.
type problem struct {
	text  string
	fatal bool
}

// listeners are bound before anything else, so that a port in use is found
// out before anything is touched.
type listeners struct {
	redis, cluster, peer, http net.Listener
}

func (l *listeners) close() {
	for _, x := range []net.Listener{l.redis, l.cluster, l.peer, l.http} {
		if x != nil {
			_ = x.Close()
		}
	}
}

// now is the node's clock: wall time at start, advanced by the monotonic
// clock, so that it never jumps.
func (n *Node) now() base.Stamp {
	return base.Stamp(n.started.UnixMicro() + time.Since(n.started).Microseconds())
}

func (n *Node) rand() uint64 { return rand.Uint64() }

// readOnly says why the node takes no writes at the moment, or "".
func (n *Node) readOnly() string {
	if p := n.problem.Load(); p != nil {
		return p.text
	}
	return ""
}

func (n *Node) problemText() string { return n.readOnly() }

// Start opens, founds or joins a node and returns when it serves clients.
func Start(ctx context.Context, cfg *config.Node, version string, log *slog.Logger) (*Node, error) {
	tune(cfg)
	n := &Node{
		cfg: cfg, log: log, fs: vfs.Default, version: version, started: time.Now(),
		inbox: newInbox(), logWrites: make(chan logWrite, logQueue), moves: make(chan moveJob, moveQueue),
		quit: make(chan struct{}), loopDone: make(chan struct{}), logDone: make(chan struct{}),
		moverDone: make(chan struct{}), done: make(chan struct{}),
		shard: shard.New(), peers: map[base.NodeID]*peerOut{}, sinks: map[base.NodeID]*remoteSink{},
		heard: map[base.NodeID]*heard{}, view: &catalog.View{}, settled: map[base.PartitionID]bool{},
		quiet: map[base.PartitionID]bool{}, creating: map[base.PartitionID]base.ReplicaID{},
		outStreams: map[uint64]*outStream{}, inStreams: map[uint64]*inStream{}, imports: map[uint64]*pendingImport{},
		metrics: newMetrics(),
	}
	err := n.start(ctx)
	if err != nil {
		n.listeners.close()
		n.closeStores()
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	if err := n.listen(); err != nil {
		return err
	}
	err := n.checkJoin(ctx)
	if err != nil {
		return err
	}
	if n.lock, err = lockDir(n.fs, n.cfg.DataDir); err != nil {
		return err
	}
	id, err := loadIdentity(n.fs, n.cfg.DataDir)
	if err != nil {
		return err
	}
	switch {
	case id == nil && len(n.cfg.Join) == 0:
		n.how = "founded"
		err = n.found()
	case id == nil || id.Phase == phaseJoining:
		n.how = "joined"
		err = n.join(ctx, id)
	case id.Phase == phaseFounding:
		n.how = "founded" // the last attempt was cut off before it served anybody
		err = n.found()
	default:
		n.how = "restarted"
		n.id = *id
		err = n.reopen(ctx)
	}
	if err != nil {
		return err
	}
	return n.serve(ctx)
}

// listen binds all listeners.
func (n *Node) listen() error {
	bind := func(what, flag, addr string, into *net.Listener, bound *string) error {
		if addr == "" || addr == config.Off {
			return nil
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return &StartError{
				Cause: fmt.Sprintf("cannot listen on %s for %s: %v", addr, what, rootCause(err)),
				Next:  fmt.Sprintf("stop what uses it, or choose another address with --%s", flag), Err: err,
			}
		}
		*into, *bound = l, l.Addr().String()
		return nil
	}
	c, l := n.cfg, &n.listeners
	for _, err := range []error{
		bind("peers", "peer-listen", c.PeerListen, &l.peer, &n.bound.Peer),
		bind("Redis clients", "listen", c.Listen, &l.redis, &n.bound.Redis),
		bind("Redis Cluster clients", "cluster-listen", c.ClusterListen, &l.cluster, &n.bound.Cluster),
		bind("HTTP", "http-listen", c.HTTPListen, &l.http, &n.bound.HTTP),
	} {
		if err != nil {
			return err
		}
	}
	with := *c // advertise what was really bound, where a port was 0
	with.Listen, with.PeerListen = n.bound.Redis, n.bound.Peer
	if n.bound.Cluster != "" {
		with.ClusterListen = n.bound.Cluster
	}
	if n.bound.HTTP != "" {
		with.HTTPListen = n.bound.HTTP
	}
	n.told = with.Advertised()
	return nil
}

// serve starts the goroutines and opens the doors.
func (n *Node) serve(ctx context.Context) error {
	cluster, err := n.id.cluster()
	if err != nil {
		return err
	}
	table, err := commands()
	if err != nil {
		return err
	}
	n.scripts = script.NewStore()
	n.evaluator, n.waits = newEvaluator(n, table), partition.NewWaitLimit()
	n.shard.Limit(int(n.cfg.WriteBackSize), int(n.cfg.MaxInflightBytes))
	n.router = routing.New(n.id.Node, n.id.Incarnation, uint64(n.cfg.RequestTimeout/n.tickEvery()), &n.routed)
	n.coordinator = txn.New(n.router)
	n.coordinator.MaxParts = n.cfg.MaxTransactionPartitions
	n.cuts = cut.New(n.router)
	for _, ls := range n.logs.Replicas() {
		if isTombstone(&ls) {
			continue
		}
		r, err := n.openReplica(ls)
		if err != nil {
			return &StartError{Cause: err.Error(), Next: "restore the data directory, or rejoin with an empty one", Err: err}
		}
		n.shard.Add(r)
	}
	peers := n.id.Peers
	n.peerAddrs.Store(&peers)
	n.broker = broker.New(broker.Config{Network: (*network)(n), Log: n.log})
	n.evaluator.eval.Receivers = n.broker.Receivers
	n.front = n.newFront(table)
	n.evaluator.scripts.Monitor = n.front.MonitorScript
	n.transport, err = transport.New(transport.Config{
		Node: n.id.Node, Cluster: cluster, Incarnation: n.id.Incarnation, Listener: n.listeners.peer,
		Resolve: n.resolve, Handler: (*handler)(n), Logger: n.log, Limits: n.transportLimits(),
	})
	if err != nil {
		return err
	}
	n.watchSelf()
	n.heartbeat.Store(time.Now().UnixNano())
	n.catalogDirty = true
	n.publishDirectory()
	n.publish(&report{Node: n.id.Node})
	n.transport.Start()
	go n.logWriter()
	go n.mover()
	go n.run()
	go n.ticker()
	if err := n.serveHTTP(); err != nil {
		return err
	}
	if err := n.awaitMember(ctx); err != nil {
		n.shutdown()
		return err
	}
	go n.front.Serve(n.listeners.redis, redisfront.Standalone) //nolint:errcheck // ends with Close
	if n.listeners.cluster != nil {
		go n.front.Serve(n.listeners.cluster, redisfront.Cluster) //nolint:errcheck // likewise
	}
	if n.how == "restarted" {
		n.announce()
	}
	return nil
}

// awaitMember waits until the node knows the catalog: then it can route. A
// node that founded or joined cannot do without. A restarted one has it in its
// own state as a rule, as soon as the log is replayed; if not, it serves after
// a while all the same, and says that the slots have no owner.
func (n *Node) awaitMember(ctx context.Context) error {
	var enough <-chan time.Time
	if n.how == "restarted" {
		enough = time.After(n.cfg.RequestTimeout)
	}
	for {
		if d := n.directory.Load(); len(d.Partitions()) > 0 {
			return nil
		}
		if p := n.problem.Load(); p != nil && p.fatal {
			return &StartError{Cause: p.text}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-enough:
			return nil
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// tickEvery is the core's tick: a heartbeat interval has several.
func (n *Node) tickEvery() time.Duration { return n.cfg.TickInterval / partition.HeartbeatTicks }

// ticker puts a tick into the inbox at the configured pace. A loop that is
// behind gets one tick for many: time that the process did not have must not
// look like a silent leader.
func (n *Node) ticker() {
	t := time.NewTicker(n.tickEvery())
	defer t.Stop()
	var due atomic.Bool
	for {
		select {
		case <-n.quit:
			return
		case <-t.C:
			if due.CompareAndSwap(false, true) {
				n.inbox.putEvent(func() {
					due.Store(false)
					n.tick()
				})
			}
		}
	}
}

func (n *Node) resolve(id base.NodeID) (string, bool) {
	addr, ok := (*n.peerAddrs.Load())[id]
	return addr, ok
}

func (n *Node) transportLimits() transport.Limits {
	c, l := n.cfg, transport.DefaultLimits()
	l.MaxMessage = max(l.MaxMessage, 2*int(c.MaxValueSize)+(4<<20), int(c.MaxTransactionSize)+(4<<20), maxReply(c)+2*maxCoalesced)
	// What was evaluated must find room: a reply that is dropped costs its
	// client the request timeout. Requests share the class, and come back.
	l.QueueBytes[transport.Request] = max(l.QueueBytes[transport.Request],
		int(c.MaxReplyQueue)+int(c.MaxInflightBytes)+2*l.MaxMessage)
	return l
}

// maxReply bounds one reply, in bytes: a client's connection could not hold a
// larger one.
func maxReply(c *config.Node) int {
	return int(min(c.MaxOutputBuffer, 256<<20))
}

// announce tells the catalog this node's addresses and version, which may
// have changed since the last start.
func (n *Node) announce() {
	n.inbox.putEvent(func() {
		b := mustJSON(n.record())
		n.submitCatalog(catalog.CmdUpdate, b, func(_ []byte, err error) {
			if err != nil {
				n.log.Warn("could not tell the cluster this node's addresses", "err", err)
				time.AfterFunc(time.Second, n.announce)
			}
		})
	})
}

// record is this node as the catalog should know it.
func (n *Node) record() catalog.Node {
	return catalog.Node{
		ID: n.id.Node, Peer: n.told.Peer, Redis: n.told.Redis, Cluster: n.told.Cluster, HTTP: n.told.HTTP,
		Zone: n.cfg.Zone, Version: n.version, Token: n.id.Token,
	}
}

// Close stops the node: leaderships are handed over, requests under way
// finish, what is in memory goes down. ctx bounds the wait.
func (n *Node) Close(ctx context.Context) error {
	n.handOver(ctx)
	n.front.Close()
	n.shutdown()
	return nil
}

// handOver moves leaderships to living followers and waits until they took
// them.
func (n *Node) handOver(ctx context.Context) {
	for range 100 {
		left := make(chan int, 1)
		n.inbox.putEvent(func() {
			leads := 0
			for _, r := range n.shard.Replicas() {
				if to := n.successor(r); to != 0 {
					leads++
					r.Transfer(to)
					n.shard.Touch(r)
					n.quiet[r.Partition()] = true // do not take it back
				}
			}
			left <- leads
		})
		select {
		case k := <-left:
			if k == 0 {
				return
			}
		case <-ctx.Done():
			return
		case <-n.loopDone:
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// successor is a living voter that is caught up, if this node leads.
func (n *Node) successor(r *partition.Replica) base.NodeID {
	if !r.Leads() || n.failed != nil {
		return 0
	}
	var best base.NodeID
	commit, _ := r.Positions()
	r.Progress(func(_ base.ReplicaID, node base.NodeID, learner bool, match uint64, live bool) {
		if node != n.id.Node && !learner && live && match >= commit && n.alive(node) && (best == 0 || node < best) {
			best = node
		}
	})
	return best
}

// shutdown ends all goroutines and closes the stores.
func (n *Node) shutdown() {
	n.quitOnce.Do(func() {
		close(n.quit)
		<-n.loopDone
		n.transport.Close()
		n.broker.Close()
		n.background.Wait()
		close(n.logWrites)
		close(n.moves)
		<-n.logDone
		<-n.moverDone
		n.shard.CloseViews()
		if n.http != nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = n.http.Shutdown(ctx)
		}
		n.listeners.close()
		n.closeStores()
		close(n.done)
	})
}

func (n *Node) closeStores() {
	if n.states != nil {
		_ = n.states.Close()
	}
	if n.logs != nil {
		n.logs.Close()
	}
	if n.lock != nil {
		_ = n.lock.Close()
	}
	n.states, n.logs, n.lock = nil, nil, nil
}

// Done is closed when the node has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

// Info says who the node is and where it listens.
func (n *Node) Info() (id base.NodeID, cluster, how string, bound, told config.Addresses) {
	return n.id.Node, n.id.ClusterID, n.how, n.bound, n.told
}

// Status describes the cluster as far as this node knows it.
func (n *Node) Status(context.Context) (*status.Cluster, error) { return n.clusterStatus(), nil }
