// Package bench is the load generator behind `coterie bench`. It drives any
// server of the Redis protocol and tells what a client would have felt.
//
// A worker is one goroutine that drives many non-blocking connections from
// one poller, because the generator usually shares its machine with the
// servers it measures: a request costs it about one write and one read, and
// no allocation. Each worker owns its clients, their connections and its
// source of keys, and shares with others only its recorder. A client is what
// waits for answers; it has one connection, or one to every master of a
// cluster.
//
// Closed loop: a client sends Pipeline requests, waits for all answers, and
// sends the next. Open loop (a Rate is set): requests are due at fixed times,
// whatever the server does, and a latency counts from the time the request
// was due, so a stall is felt by all requests that would have come in it.
//
// Callers: the command line. Production code does not import it.
package bench
