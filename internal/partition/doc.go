// Package partition is the replica: one member of one partition's Raft
// group, as a state machine without I/O.
package partition
