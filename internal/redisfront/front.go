package redisfront

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/broker"
	"coterie/internal/keyspace"
	"coterie/internal/resp"
)

// Front serves Redis clients. Its methods may be called from any goroutine.
type Front struct {
	opts    Options
	router  Router
	log     *slog.Logger
	table   *table
	budget  *budget
	broker  *broker.Broker
	push    pushLimits
	events  atomic.Uint32 // keyspace.Classes that subscribers want to be told of
	limits  atomic.Pointer[keyspace.NamespaceLimits]
	started time.Time
	runID   string

	counters counters
	blocked  blockedCount
	slow     slowLog
	scripts  scripts
	latency  latencyMonitor
	pause    pause
	tracking tracking
	settings settings
	nextID   atomic.Uint64
	turn     atomic.Int64 // the clock as of this turn of the node's loop; 0 when not read yet
	sweepDue atomic.Bool
	monitors atomic.Int32
	shedding atomic.Bool   // a shedLoop runs
	shedNow  chan struct{} // it is urgent

	dirty struct {
		sync.Mutex
		list, spare []*session
	}
	closing  chan struct{}  // closed by Close
	proto    atomic.Uint32  // version that new connections begin with
	awaiting sync.WaitGroup // goroutines of commands that wait in several partitions
	// acrossTurns are keys that these may look at.
	acrossTurns *turns

	mu struct {
		sync.Mutex
		sessions  map[uint64]*session
		listeners map[net.Listener]Personality
		ports     [2]int // by personality, for INFO
		closed    bool
		gone      sync.Cond // on mu: a session has ended
	}
}

// New makes a front. It starts nothing.
func New(opts Options) *Front {
	opts.Limits = opts.Limits.withDefaults()
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	f := &Front{
		opts:    opts,
		router:  opts.Router,
		log:     opts.Log,
		budget:  newBudget(opts.Limits.RequestMemory),
		broker:  opts.Broker,
		started: time.Now(),
		shedNow: make(chan struct{}, 1),
		closing: make(chan struct{}),

		acrossTurns: newTurns(maxAcrossKeys),
	}
	var id [20]byte
	_, _ = rand.Read(id[:])
	f.runID = hex.EncodeToString(id[:])
	f.table = newTable(opts.Table)
	f.slow.init()
	f.tracking.init()
	f.scripts.init(opts.Scripts, opts.Fault)
	f.push.init()
	f.settings.init(f)
	f.mu.sessions = make(map[uint64]*session)
	f.mu.listeners = make(map[net.Listener]Personality)
	f.mu.gone.L = &f.mu.Mutex
	return f
}

// nanos is the front's clock: nanoseconds since it was made.
func (f *Front) nanos() int64 { return int64(time.Since(f.started)) }

// Serve accepts connections until the listener or the front is closed. It
// returns nil when that was asked for.
func (f *Front) Serve(l net.Listener, p Personality) error {
	f.mu.Lock()
	if f.mu.closed {
		f.mu.Unlock()
		return l.Close()
	}
	f.mu.listeners[l] = p
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		f.mu.ports[p] = a.Port
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.mu.listeners, l)
		f.mu.Unlock()
	}()
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			f.welcome(conn, p)
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			// Out of descriptors, or a connection that was gone before it was
			// accepted: neither is a reason to stop listening.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			f.log.Warn("accepting a Redis connection failed", "listen", l.Addr().String(), "err", err, "retry_in", pause)
			time.Sleep(pause)
		}
	}
}

// welcome starts a session, or turns the connection away.
func (f *Front) welcome(conn net.Conn, p Personality) {
	s := &session{
		f:       f,
		conn:    conn,
		raw:     openRaw(conn),
		cluster: p == Cluster,
		remote:  conn.RemoteAddr().String(),
		local:   conn.LocalAddr().String(),
		created: time.Now(),
		parser:  resp.NewParser(f.opts.Limits.Request),
		id:      f.nextID.Add(1),
	}
	s.cond = sync.NewCond(&s.mu)
	s.mu.expect = firstExpect
	s.proto.Store(f.proto.Load())
	s.lastSeen.Store(f.nanos())
	f.mu.Lock()
	full, closed := len(f.mu.sessions) >= f.opts.Limits.Connections, f.mu.closed
	if !full && !closed {
		f.mu.sessions[s.id] = s
	}
	f.mu.Unlock()
	if full || closed {
		if full {
			f.counters.rejectedConnections.Add(1)
			_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = conn.Write([]byte("-ERR max number of clients reached\r\n"))
		}
		_ = conn.Close()
		return
	}
	f.counters.connections.Add(1)
	go s.run()
}

// forget takes an ended session off the list.
func (f *Front) forget(s *session) {
	s.mu.Lock()
	watching := s.mu.monitor
	s.mu.Unlock()
	if watching {
		f.monitors.Add(-1)
	}
	s.setTracking(nil)
	f.mu.Lock()
	delete(f.mu.sessions, s.id)
	f.mu.gone.Broadcast()
	f.mu.Unlock()
}

// sessions are the connections there are, in the order of their ids.
func (f *Front) sessions() []*session {
	f.mu.Lock()
	all := make([]*session, 0, len(f.mu.sessions))
	for _, s := range f.mu.sessions {
		all = append(all, s)
	}
	f.mu.Unlock()
	sort.Slice(all, func(i, j int) bool { return all[i].id < all[j].id })
	return all
}

// markDirty puts a session on the list for the next Flush.
func (f *Front) markDirty(s *session) {
	f.dirty.Lock()
	f.dirty.list = append(f.dirty.list, s)
	f.dirty.Unlock()
}

// Flush writes what was completed since the last Flush. The node's loop calls
// it at the end of each turn in which it called Complete; one system call
// writes all of a session's replies.
func (f *Front) Flush() {
	f.turn.Store(0)
	f.dirty.Lock()
	list := f.dirty.list
	f.dirty.list, f.dirty.spare = f.dirty.spare[:0], nil
	f.dirty.Unlock()
	for _, s := range list {
		s.mu.Lock()
		s.mu.dirty = false
		s.send()
		s.mu.Unlock()
	}
	clear(list)
	f.dirty.Lock()
	f.dirty.spare = list[:0]
	f.dirty.Unlock()
}

// turnNanos is the clock for everything completed in one turn of the loop.
func (f *Front) turnNanos() int64 {
	if n := f.turn.Load(); n != 0 {
		return n
	}
	n := f.nanos()
	f.turn.Store(n)
	return n
}

// Connections is the number of open client connections.
func (f *Front) Connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.sessions)
}

// Close stops listening, ends all connections and waits for their goroutines.
// Requests still in flight may be completed later; their replies go nowhere.
func (f *Front) Close() {
	f.mu.Lock()
	if !f.mu.closed {
		close(f.closing)
	}
	f.mu.closed = true
	f.endScripts()
	for l := range f.mu.listeners {
		_ = l.Close()
	}
	f.mu.Unlock()
	for _, s := range f.sessions() {
		s.mu.Lock()
		s.abort()
		s.mu.Unlock()
	}
	f.mu.Lock()
	for len(f.mu.sessions) > 0 {
		f.mu.gone.Wait()
	}
	f.mu.Unlock()
	f.awaiting.Wait()
}
