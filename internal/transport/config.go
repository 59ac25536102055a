package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"coterie/internal/base"
)

// Handler receives what peers send. Its methods are called on the transport's
// goroutines, must be quick, and may call Send but not Close.
type Handler interface {
	// Receive gets one message; msg is the handler's from then on. Messages of
	// one peer come one after another. A small message shares its memory with
	// the ones received around it: copy what is to be kept for long.
	Receive(from base.NodeID, class Class, msg []byte)
	// PeerUp says that the peer's connection to this node is open, PeerDown that
	// it has ended: that is how a dead process is noticed at once.
	PeerUp(id base.NodeID, incarnation uint64)
	PeerDown(id base.NodeID, why error)
	// Undelivered says that the connection to a peer has ended, and gives back
	// those messages of the Request class that were queued for it and certainly
	// not sent, in order. What was sent may be lost. There is no other
	// connection to that peer before Undelivered has returned.
	Undelivered(to base.NodeID, class Class, msgs [][]byte)
	// Call answers one question of a node that is not yet a member, or of an
	// administrator. It may block; Close does not wait for it.
	Call(kind uint8, payload []byte) ([]byte, error)
}

// Config says who a Transport is and whom it serves.
type Config struct {
	Node        base.NodeID
	Cluster     [16]byte
	Incarnation uint64 // this node's boot counter: higher at each start

	// Listener accepts the peers' connections; the Transport closes it.
	Listener net.Listener
	// Resolve is the address of a peer, if it is known. It must not block.
	Resolve func(base.NodeID) (addr string, ok bool)
	// Removed says whether a node was removed from the cluster. May be nil.
	Removed func(base.NodeID) bool
	Handler Handler

	TLS    *tls.Config  // nil: plain TCP. Used for both ends of connections.
	Logger *slog.Logger // nil: silent
	Limits Limits
	// Dial opens a connection; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Limits bounds what a Transport holds. Zero fields get DefaultLimits' values.
type Limits struct {
	// QueueBytes is how much may wait for one peer in each class. One message
	// is always taken by an empty queue.
	QueueBytes [NumClasses]int
	// MaxMessage is the longest message sent or received, in bytes.
	MaxMessage int
	// MaxCall is the longest question or answer of a Call, in bytes.
	MaxCall int
	// MaxPeers is how many different nodes may be connected.
	MaxPeers int
	// MaxPending is how many accepted connections may be in their handshake,
	// and how many calls may be running.
	MaxPending int
}

// DefaultLimits are the limits used where Config leaves them open.
func DefaultLimits() Limits {
	return Limits{
		QueueBytes: [NumClasses]int{Control: 4 << 20, Request: 32 << 20, Append: 64 << 20, Bulk: 16 << 20, Publish: 16 << 20},
		MaxMessage: 64 << 20,
		MaxCall:    maxCall,
		MaxPeers:   1024,
		MaxPending: 128,
	}
}

const (
	maxCall = 16 << 20 // bytes

	connectTimeout   = 1500 * time.Millisecond // long enough for one lost SYN
	handshakeTimeout = 5 * time.Second
	callTimeout      = 30 * time.Second // of a Call whose context has no deadline
	minBackoff       = 10 * time.Millisecond
	maxBackoff       = time.Second

	// socketBuffer is each socket's send and receive buffer, in bytes: what is
	// in there is past all priorities.
	socketBuffer = 256 << 10
	// unackedTimeout is how long sent bytes may stay unacknowledged, and
	// keepAliveIdle and keepAliveInterval how soon a silent connection is
	// probed, before the kernel gives it up.
	unackedTimeout    = 5 * time.Second
	keepAliveIdle     = 3 * time.Second
	keepAliveInterval = time.Second
	keepAliveCount    = 3
)

func (c *Config) prepare() error {
	switch {
	case c.Node == 0:
		return errors.New("transport: node id 0")
	case c.Listener == nil || c.Resolve == nil || c.Handler == nil:
		return errors.New("transport: listener, resolver and handler are required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	if c.Removed == nil {
		c.Removed = func(base.NodeID) bool { return false }
	}
	d := DefaultLimits()
	for i, v := range c.Limits.QueueBytes {
		if v <= 0 {
			c.Limits.QueueBytes[i] = d.QueueBytes[i]
		}
	}
	for _, f := range []struct {
		v *int
		d int
	}{
		{&c.Limits.MaxMessage, d.MaxMessage},
		{&c.Limits.MaxCall, d.MaxCall},
		{&c.Limits.MaxPeers, d.MaxPeers},
		{&c.Limits.MaxPending, d.MaxPending},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return nil
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
