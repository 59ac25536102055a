// Package zset is the sorted set type: members with a score each, under one
// key, in the order of scores and, within a score, of the members' bytes.
//
// A score is stored as eight bytes that sort as scores do: the IEEE 754 bits
// with the sign bit turned over, and all bits of a negative one. -0 is 0; NaN
// is no score.
//
// A small set is kept in its record, in order:
//
//	0x00 | members:u8 | { score:8 len:u8 member } …
//
// A larger one has an element per member, under slot|0x02|object|hash48|member,
// whose value is the score, and a tree (package tree) of the keys score|member,
// which answers ranks and ranges; the record names the object and the tree's
// root. Both hold the same members. A set that has become large stays so until
// it is deleted. Every range, by rank, score or bytes, is turned into ranks
// first. So no command costs more than its answer, and a logarithm for each
// member that it names, whatever the set's size.
//
// The command table calls the rows' handlers; package geo keeps places in
// sorted sets, through [Value].
package zset
