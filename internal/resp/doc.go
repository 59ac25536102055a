// Package resp speaks the Redis serialization protocol, versions 2 and 3. It
// does no I/O: the Writer appends replies to a byte slice, the Parser finds
// commands in a buffer that the caller fills, ParseReply and SkipReply read
// replies on a client's side.
//
// Invariants: what the Parser and ParseReply return aliases the caller's
// buffer; memory follows the bytes received, never a length that was only
// declared; where the input was cut into pieces changes nothing in what is
// found in it.
//
// Callers: the Redis front and the commands (Writer, Parser), the load
// generator and tests (ParseReply, SkipReply, AppendCommand).
package resp
