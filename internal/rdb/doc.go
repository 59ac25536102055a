// Package rdb reads and writes values in the form in which Redis's DUMP and
// RESTORE carry them: a byte of type, the value, and a footer of ten bytes, the
// version of the format and a checksum, both little endian.
//
// It reads all that servers of versions up to 7.2 write: strings as they are, as
// integers and compressed with LZF; collections plain, and packed as ziplists,
// zipmaps, intsets and listpacks; streams of all three layouts. It writes the
// plain layouts only, which all of these versions read.
//
// What it reads may come from anywhere. Every length is checked against what is
// there before memory is taken for it, all that the value comes to is bounded by
// [Decode]'s limit, and a value that breaks a promise of its type (a member
// twice, an entry out of order, a pending entry without an owner) is refused. So
// a command may write what comes out of Decode without looking at it again.
//
// The package is pure. Its callers are the commands of packages dump and stream,
// and script, whose FUNCTION DUMP has the same strings and checksum.
package rdb
