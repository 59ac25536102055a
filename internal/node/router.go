package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/cut"
	"coterie/internal/partition"
	"coterie/internal/redisfront"
	"coterie/internal/transport"
	"coterie/internal/txn"
)

// Submit implements redisfront.Router.
func (n *Node) Submit(reqs []*partition.Request) { n.inbox.putRequests(reqs) }

// Transact implements redisfront.Router.
func (n *Node) Transact(t *txn.Transaction) { n.inbox.putTransaction(t) }

// Release implements redisfront.Router.
func (n *Node) Release(t *txn.Transaction) { n.inbox.putEvent(func() { n.coordinator.Release(t) }) }

// Cut implements redisfront.Router.
func (n *Node) Cut(c *cut.Cut) {
	n.inbox.putEvent(func() {
		if n.failed != nil {
			c.Reply, n.completed = n.failedReply, true
			c.Sink.CompleteCut(c)
			return
		}
		n.cuts.Begin(c)
	})
}

// EndCut implements redisfront.Router.
func (n *Node) EndCut(c *cut.Cut) { n.inbox.putEvent(func() { n.cuts.End(c) }) }

// Directory implements redisfront.Router.
func (n *Node) Directory() *redisfront.Directory { return n.directory.Load() }

// NextGeneration implements redisfront.Router.
func (n *Node) NextGeneration(ctx context.Context) (uint32, error) {
	b, err := n.callCatalog(ctx, catalog.CmdGeneration, nil)
	if err != nil {
		return 0, err
	}
	gen, err := strconv.ParseUint(string(b), 10, 32)
	return uint32(gen), err
}

// Set implements redisfront.Router.
func (n *Node) Set(ctx context.Context, name, value string) error {
	_, err := n.callCatalog(ctx, catalog.CmdSet, mustJSON(catalog.Setting{Name: name, Value: value}))
	return err
}

// catalogSink receives the answer of a catalog command, on the loop.
type catalogSink func(reply []byte, err error)

// Complete implements partition.Sink.
func (f catalogSink) Complete(req *partition.Request) {
	reply := string(req.Reply)
	switch {
	case req.Status == partition.Done && strings.HasPrefix(reply, "+"):
		f([]byte(reply[1:]), nil)
	default:
		f(nil, errors.New(strings.TrimSpace(strings.TrimPrefix(reply, "-"))))
	}
}

// catalogRequest makes a request to partition 0.
func catalogRequest(cmd string, arg []byte, done func([]byte, error)) *partition.Request {
	return &partition.Request{
		Partition: base.Catalog, Flags: partition.Write, Proto: 2,
		Args: [][]byte{[]byte(cmd), arg}, Sink: catalogSink(done),
	}
}

// submitCatalog runs a catalog command from the loop; done is called on the
// loop.
func (n *Node) submitCatalog(cmd string, arg []byte, done func([]byte, error)) {
	n.router.Submit([]*partition.Request{catalogRequest(cmd, arg, done)})
}

// callCatalog runs a catalog command from any other goroutine.
func (n *Node) callCatalog(ctx context.Context, cmd string, arg []byte) ([]byte, error) {
	type answer struct {
		b   []byte
		err error
	}
	ch := make(chan answer, 1)
	n.inbox.putRequests([]*partition.Request{catalogRequest(cmd, arg, func(b []byte, err error) { ch <- answer{b, err} })})
	select {
	case a := <-ch:
		return a.b, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.loopDone:
		return nil, errors.New("the node is stopping")
	}
}

// handler is the node as the transport sees it.
type handler Node

var _ transport.Handler = (*handler)(nil)

// Receive implements transport.Handler.
func (h *handler) Receive(from base.NodeID, class transport.Class, msg []byte) {
	if class == transport.Publish { // not the loop's
		if err := h.broker.Receive(from, msg); err != nil {
			h.log.Warn("dropped a message", "from", from, "err", err)
		}
		return
	}
	h.inbox.putMessage(received{from: from, class: class, msg: msg})
}

// PeerUp implements transport.Handler.
func (h *handler) PeerUp(id base.NodeID, incarnation uint64) {
	n := (*Node)(h)
	n.broker.PeerUp(id)
	n.inbox.putEvent(func() {
		n.hear(id).up = true
		n.router.PeerUp(id)
		n.reportSoon = true
	})
}

// PeerDown implements transport.Handler.
func (h *handler) PeerDown(id base.NodeID, why error) {
	n := (*Node)(h)
	n.broker.PeerDown(id)
	n.inbox.putEvent(func() {
		n.log.Info("lost a peer", "node", id, "cause", why)
		n.hear(id).up = false
		n.shard.PeerDown(id)
		n.router.PeerDown(id)
		n.loseStreams(id)
		for _, in := range n.inStreams {
			if in.from == id {
				n.endIn(in)
			}
		}
	})
}

// Undelivered implements transport.Handler. It waits for the loop: nothing may
// go over the next connection before what was lost with the last one.
func (h *handler) Undelivered(to base.NodeID, _ transport.Class, msgs [][]byte) {
	n := (*Node)(h)
	n.broker.Lost(to)
	done := make(chan struct{})
	n.inbox.putEvent(func() {
		defer close(done)
		for _, m := range msgs {
			n.undelivered(to, m)
		}
		n.router.Lost(to)
		n.loseStreams(to)
	})
	select {
	case <-done:
	case <-n.loopDone:
	}
}

// Call implements transport.Handler.
func (h *handler) Call(kind uint8, payload []byte) ([]byte, error) {
	n := (*Node)(h)
	switch kind {
	case callJoin:
		ctx, cancel := context.WithTimeout(context.Background(), n.cfg.RequestTimeout)
		defer cancel()
		b, err := n.callCatalog(ctx, catalog.CmdJoin, payload)
		if err != nil {
			return nil, err
		}
		var r catalog.JoinReply
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, err
		}
		// The newcomer must be reachable before the next catalog is read.
		n.inbox.putEvent(func() { n.catalogDirty = true })
		return b, nil
	case callWho:
		return []byte(n.id.ClusterID), nil
	}
	return nil, fmt.Errorf("unknown question %d", kind)
}

// retryableJoin says whether a join that was refused with this text may
// succeed a moment later.
func retryableJoin(text string) bool {
	return strings.Contains(text, "CLUSTERDOWN") || strings.Contains(text, "UNKNOWNOUTCOME") || strings.Contains(text, "deadline")
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("node: marshal: " + err.Error()) // plain structs always marshal
	}
	return b
}

// oneLine flattens an error's text.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// rootCause is the innermost error, without what Go's net package says
// around it.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
