// Package sim runs whole clusters of the core in one goroutine, in virtual
// time, from one seed: shards, routers and placement are the real ones, and
// what the node does around them (log writer, mover, snapshot streams,
// connections, clocks) is a model that can be cut off at any moment. Equal
// seeds give equal histories, so a failure is a number.
//
//	          ┌──────────── world: event queue, virtual clock, *rand.Rand ───────────┐
//	sessions ─▶ proc: router ─▶ shard ─▶ Output ─▶ log writer · mover · network ─▶ … │
//	          └─ machine: log and state store (they survive the proc), clock ─────────┘
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
// What goes wrong, and where to read on:
//
//   - options.go: what makes a run. Everything is drawn from the seed, and then
//     set fields replace what was drawn: to set one changes no other one.
//   - faults.go: the kinds of faults as a table. Each seed draws its own kinds
//     and rates (swarm testing); they come singly, in pairs and in storms. Each
//     kind has a stream of chance of its own. netfaults.go, diskfaults.go and
//     operators.go hold what they do.
//   - points.go: labelled points at which a process may die, as a table.
//   - events.go: situations worth meeting, as a table; a long campaign that
//     misses one has failed.
//   - store.go, realstore.go: the stores are models, or (Options.Store) the
//     production ones over a file system in memory. On those Pebble's goroutines
//     decide what a crash leaves, so that only the verdict is the seed's.
//   - campaign.go, shrink.go: many runs; a smaller run that fails alike.
//
// Of the disks of a cluster at most one is damaged or lost at a time, and only
// where a majority has copies: dispensable says when.
//
// A Bug plants a fault in the model around the core, and the tests show that
// the checks find each of them. Only tests and cmd/coterie-sim use this package:
// nothing that runs in production may import it (see package lint).
package sim
