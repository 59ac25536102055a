// Package broker brings messages from publishers to subscribers: clients of
// this node and, through the other nodes' brokers, theirs. At most once, and in
// the order of their publisher per channel.
//
// A broker tells the other nodes which topics its clients have subscribed to,
// and how many of them; a message goes only to nodes that have subscribers for
// it, and a publisher learns the number of receivers without asking anybody.
// docs/decisions/0012-pubsub.md says why.
//
//	Publish ─┬─▶ queue ─▶ deliver (one goroutine) ─▶ Subscriber.Deliver, Flush
//	         └─▶ Network.Send ─▶ the other node's Receive ─▶ its queue ─▶ …
//	Subscribe ─▶ Registry ─▶ tell (one goroutine) ─▶ Network.Send ─▶ Receive ─▶ ack
//
// What holds:
//   - Messages of one publisher to one channel reach each subscriber in their
//     order, and no subscriber twice by the same topic.
//   - When Settle has returned, every node that was reachable meanwhile knows
//     of what was subscribed before, or has not confirmed it within SettleWait.
//   - A node whose connection broke is told everything anew; what it had told
//     is forgotten, as its subscribers cannot be reached.
//   - Everything is bounded: what waits for delivery here (QueueBytes), for
//     another node (PeerBytes) and what subscriptions take (RegistryBytes).
//     A message that finds no room is dropped and counted; only a publisher on
//     a goroutine of its own waits for room here.
//   - Receive never waits: transport readers call it.
//
// Callers: redisfront (clients), node (the other nodes, the loop).
package broker
