// Package hll is HyperLogLog: how many different elements were added, told
// with a standard error of 0.81 %, in at most 12 KiB.
//
// A sketch is the value of a string, byte for byte as Redis keeps it, so that
// it can be read with GET and written with SET:
//
//	"HYLL" | encoding:u8 | 0 0 0 | cached count:u64 little endian | registers
//
// The count's highest bit says that it is out of date. There are 16,384
// registers, and an element's hash chooses one: it keeps the longest run of
// zeros (plus one) that any of its elements' hashes had. Encoding 0 is dense:
// six bits a register, from the lowest bits up. Encoding 1 is sparse: runs of
// equal registers, in the order of registers:
//
//	00nnnnnn           n+1 registers of 0
//	01nnnnnn nnnnnnnn  n+1 registers of 0
//	1vvvvvnn           n+1 registers of v+1
//
// A sketch begins sparse and becomes dense when it would be longer than 3,000
// bytes or a register larger than 32.
//
// What GET shows may be anything that a client wrote; nothing here trusts it.
package hll
