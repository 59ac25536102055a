// Package sim runs whole clusters of the core in one goroutine, in virtual
// time, from one seed: shards, routers and placement are the real ones, and
// what the node does around them (log writer, mover, snapshot streams,
// connections, clocks) is a model that can be cut off at any moment. Equal
// seeds give equal histories, so a failure is a number.
//
//	          ┌──────────── world: event queue, virtual clock, *rand.Rand ───────────┐
//	sessions ─▶ proc: router ─▶ shard ─▶ Output ─▶ log writer · mover · network ─▶ … │
//	          └─ machine: logDisk, memstate (they survive the proc), clock offset ───┘
//
// What is checked, in every run:
//
//   - what the clients saw, by the checkers of package workload;
//   - every request is completed once, and all of them within a bounded time
//     after the faults have stopped;
//   - replicas with equal applied index hold equal state; a term has one
//     leader; a log begins nowhere behind the durable state; no invariant of
//     the core is broken (panic or Output.Fatal).
//
// A Bug plants a fault in the model around the core, and the tests show that
// the checks find each of them. Only tests use this package: nothing that runs
// in production may import it.
package sim
