// Package redisfront is the Redis protocol front: it accepts connections,
// reads pipelines of commands, answers what concerns only the connection or
// the node, sends everything else to the partitions that own the keys, and
// writes the replies in the order of the commands.
//
// One front serves two kinds of listener. A standalone listener takes any key
// and hides the cluster; a cluster listener speaks as one node of a Redis
// Cluster does, with redirections.
//
// The way of a command: a session's goroutine reads bytes into a buffer and
// parses every complete command in it. A command for a partition becomes an op
// with one request (or one for each partition it is divided over), whose
// arguments alias the buffer. All requests of one read go to the Router in one
// call. When a request is complete, the Router calls back on the node's loop;
// replies that are next in order move to the session's output, and Flush, at
// the end of the loop's turn, writes each such session's output with one
// non-blocking system call. Only when the socket is full does a goroutine take
// over the writing.
//
// Invariants:
//   - Replies leave in the order of the commands, one for each command.
//   - Bytes that a request aliases are not touched before it is complete.
//   - A reader never waits for its client to read. It waits when too many of
//     its commands are in flight, when the node's request memory is used up,
//     and while the client owes the node more reads than a bound; each of
//     these waits ends, or the connection does.
//   - Complete and Flush never block.
//   - A protocol error ends the connection that made it, and disturbs no other.
//
// Locks: Front.mu, Front.dirty and session.mu are never held together; the
// budget's is taken under session.mu, the slow log's and the counters' under
// none. The only system call made under session.mu is the non-blocking write:
// the lock is what keeps the descriptor from being closed, and reused, under
// it.
//
// Callers: node, which implements Router, and calls Serve, Flush and Close.
package redisfront
