// Package pubsub knows who has subscribed to what: clients of this node, which
// it is given as handles, and how many there are on the other nodes, by what
// these tell. From that it says whom a message is for. It delivers nothing.
//
// A topic is a channel, a pattern or a sharded channel that anybody here or
// elsewhere has subscribed to. Channels and sharded channels are two worlds;
// patterns are about channels.
//
// What holds:
//   - A topic without subscribers takes no memory.
//   - To find a message's audience costs a look-up, and a match per pattern.
//   - Every change of a topic's number of subscribers here is reported by
//     Changes once, with the number at the time of the call: so what is told
//     to the other nodes may be told twice, but not in another order.
//   - Walk, called again with what it returned, visits every topic that has
//     had subscribers here during the whole walk.
//
// It is not for concurrent use. Callers: broker.
package pubsub
