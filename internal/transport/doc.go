// Package transport carries messages between nodes: framed, checksummed,
// versioned TCP, optionally under TLS. The node (the composition root) owns
// one Transport, hands it messages and receives those of its peers.
//
// Each node dials each peer that it sends to, so between two nodes there are
// two connections, and each carries frames in one direction only, from dialer
// to acceptor. A handshake comes first: both sides agree on a protocol version
// and learn cluster, node and incarnation of the other, or why not.
//
//	Send ─▶ five queues ─▶ frames by priority ─▶ one write ─▶ TCP
//	                                                           │
//	Receive ◀── whole messages ◀── reassembly per class ◀──────┘
//
// What holds:
//   - Messages of one class arrive in the order of their Sends, or not at all
//     from some message on: a broken connection loses what was on its way.
//   - Messages of the Request class that were certainly never handed to the
//     kernel come back through Handler.Undelivered; nothing else does.
//   - A message longer than a frame is cut, and frames are picked by class, so
//     a message waits for at most the write that is under way, whatever is
//     queued in the classes below its own.
//   - One incarnation of a node at a time: a connection from an older one than
//     the newest seen is refused, or closed.
//   - PeerDown comes before the next PeerUp of the same peer, and after the
//     last Receive of its connection.
//   - Queues are bounded per class and peer, reassembly by Limits.MaxMessage;
//     a receiver allocates at most one frame ahead of the bytes it has received.
//   - An idle peer costs one parked goroutine per connection end and no timers.
//
// Nobody may call Close from a Handler method.
package transport
