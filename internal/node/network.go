package node

import (
	"coterie/internal/base"
	"coterie/internal/broker"
	"coterie/internal/transport"
)

// network is the other nodes as the broker sees them. Its messages have a class
// of their own, the lowest: they never delay what the cluster needs.
type network Node

var _ broker.Network = (*network)(nil)

// Send implements broker.Network.
func (n *network) Send(to base.NodeID, msg []byte) bool {
	return n.transport.Send(to, transport.Publish, msg)
}

// Queued implements broker.Network.
func (n *network) Queued(to base.NodeID) int {
	if !n.transport.Connected(to) {
		return -1
	}
	return n.transport.Queued(to, transport.Publish)
}
