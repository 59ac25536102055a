package transport

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/base"
)

// Transport is one node's end of all connections with its peers. Its methods
// may be called from any goroutine.
type Transport struct {
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// peers is replaced, never changed, so that Send reads it without a lock.
	peers   atomic.Pointer[map[base.NodeID]*peer]
	pending chan struct{} // accepted connections in their handshake
	calls   chan struct{} // calls being answered
	dials   atomic.Uint64 // connections begun to any peer

	mu struct {
		sync.Mutex
		started, closed bool
		accepted        map[net.Conn]struct{}
		refused         map[refusal]struct{} // logged already
	}
}

// refusal is what is logged once about a refused peer.
type refusal struct {
	node   base.NodeID
	status uint8
}

// maxRefusals bounds the refusals remembered as logged.
const maxRefusals = 256

// New makes a Transport. It does nothing before Start.
func New(cfg Config) (*Transport, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	t := &Transport{
		cfg:     cfg,
		pending: make(chan struct{}, cfg.Limits.MaxPending),
		calls:   make(chan struct{}, cfg.Limits.MaxPending),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.peers.Store(&map[base.NodeID]*peer{})
	t.mu.accepted = make(map[net.Conn]struct{})
	t.mu.refused = make(map[refusal]struct{})
	return t, nil
}

// Start begins to accept connections.
func (t *Transport) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.started || t.mu.closed {
		return
	}
	t.mu.started = true
	t.wg.Add(1)
	go t.accept()
}

// Close ends all connections and returns when no handler method is running any
// more, Call excepted. What is queued is lost, or comes back as Undelivered.
func (t *Transport) Close() {
	t.mu.Lock()
	t.mu.closed = true
	t.cancel()
	_ = t.cfg.Listener.Close()
	for conn := range t.mu.accepted {
		_ = conn.Close()
	}
	t.mu.Unlock()
	for _, p := range *t.peers.Load() {
		p.fail(errClosing)
	}
	t.wg.Wait()
}

// Connect begins to keep a connection to a peer, as the first Send does.
func (t *Transport) Connect(to base.NodeID) { t.peer(to) }

// Send queues a message for a peer and has it written at once. It takes
// ownership of msg. It is false if the peer is not connected, the class's queue
// is full, or the message too long: the message is dropped then.
//
// Messages sent one right after the other share a write as far as the writing
// goroutine has not begun; Post and Flush make sure that they do.
func (t *Transport) Send(to base.NodeID, class Class, msg []byte) bool {
	p := t.peer(to)
	return p != nil && p.post(class, msg, true)
}

// Post queues a message as Send does, but leaves it for Flush to write.
func (t *Transport) Post(to base.NodeID, class Class, msg []byte) bool {
	p := t.peer(to)
	return p != nil && p.post(class, msg, false)
}

// Flush writes what was posted, one write per peer, on the caller's goroutine
// as far as that is possible without waiting, and leaves the rest to the
// peers' own goroutines.
func (t *Transport) Flush() {
	for _, p := range *t.peers.Load() {
		if p.posted.Load() && p.posted.Swap(false) {
			p.flush()
		}
	}
}

// Connected says whether messages for a peer have somewhere to go.
func (t *Transport) Connected(to base.NodeID) bool {
	p := (*t.peers.Load())[to]
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.out != nil && p.mu.out.err == nil
}

// Queued is how many bytes wait for a peer in a class.
func (t *Transport) Queued(to base.NodeID, class Class) int {
	p := (*t.peers.Load())[to]
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.q[class].bytes
}

// Drop ends the connections with a peer and forgets it: for a node that was
// removed. Config.Removed must be true for it, or the next Send connects again.
func (t *Transport) Drop(id base.NodeID) {
	t.mu.Lock()
	old := *t.peers.Load()
	p := old[id]
	if p != nil {
		fresh := make(map[base.NodeID]*peer, len(old))
		for k, v := range old {
			if k != id {
				fresh[k] = v
			}
		}
		t.peers.Store(&fresh)
	}
	t.mu.Unlock()
	if p != nil {
		p.drop()
	}
}

// peer finds a peer, or begins to know it. It is nil for this node itself, a
// removed node, and at the limit.
func (t *Transport) peer(id base.NodeID) *peer {
	if p := (*t.peers.Load())[id]; p != nil {
		return p
	}
	if id == 0 || id == t.cfg.Node || t.cfg.Removed(id) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.peers.Load()
	if p := old[id]; p != nil {
		return p
	}
	if !t.mu.started || t.mu.closed || len(old) >= t.cfg.Limits.MaxPeers {
		return nil
	}
	p := newPeer(t, id)
	fresh := make(map[base.NodeID]*peer, len(old)+1)
	for k, v := range old {
		fresh[k] = v
	}
	fresh[id] = p
	t.peers.Store(&fresh)
	t.wg.Add(1)
	go p.run()
	return p
}

// accept takes connections until the listener closes.
func (t *Transport) accept() {
	defer t.wg.Done()
	for {
		conn, err := t.cfg.Listener.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, most likely: let some be closed.
			t.cfg.Logger.Error("cannot accept peer connections", "err", err)
			select {
			case <-t.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case t.pending <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		if !t.keep(conn) {
			return
		}
		t.wg.Add(1)
		go t.serve(conn)
	}
}

// keep notes an accepted connection for Close; false if that came first.
func (t *Transport) keep(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.closed {
		_ = conn.Close()
		return false
	}
	t.mu.accepted[conn] = struct{}{}
	return true
}

func (t *Transport) release(conn net.Conn) {
	_ = conn.Close()
	t.mu.Lock()
	delete(t.mu.accepted, conn)
	t.mu.Unlock()
}

// PeerStats is what is known about a peer and its traffic since the start.
type PeerStats struct {
	ID          base.NodeID
	Addr        string
	Incarnation uint64        // the newest seen
	Connected   bool          // this node's connection to the peer
	Inbound     bool          // the peer's connection to this node
	RTT         time.Duration // the kernel's estimate; 0 if not known
	Err         error         // why not Connected

	Connects, Writes, Reads uint64 // system calls: Writes, Reads
	FramesOut, FramesIn     uint64
	MessagesOut, MessagesIn uint64
	BytesOut, BytesIn       uint64
	QueuedBytes             [NumClasses]int
	Dropped                 [NumClasses]uint64 // by Send
	Lost                    uint64             // in queues of broken connections
	Undelivered             uint64             // given back to the handler
}

// Peers is the state of all known peers, by id.
func (t *Transport) Peers() []PeerStats {
	peers := *t.peers.Load()
	out := make([]PeerStats, 0, len(peers))
	for _, p := range peers {
		out = append(out, p.stats())
	}
	slices.SortFunc(out, func(a, b PeerStats) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out
}
