// Package bits is the commands that see a string as an array of bits, the
// most significant bit of the first byte being bit 0. What they store are
// ordinary strings.
package bits
