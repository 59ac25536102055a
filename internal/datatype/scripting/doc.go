// Package scripting is the commands that run scripts and functions: EVAL, EVALSHA,
// FCALL, and their forms that only read. What a script's commands do is done through
// Ctx.Nested, over the same keyspace, and replicated as effects like any other write.
//
// A script is first run by the leader of the partition of its keys, inside the round.
// Since that holds up everything else there, it has a budget of steps, and may use no
// key of another partition; else the command is diverted: what it wrote is taken back,
// and the gateway runs it, over what it fetches from all partitions and without a
// budget (package spanning).
//
// What scripts and libraries there are, is in a script.Store, which is attached to
// each evaluator with Attach; an evaluator without one knows only what it is given.
package scripting
