package command

import (
	"encoding/binary"
	"slices"
)

// What a script has read, told to the gateway of a client that caches it.

// TellReads is set in Call.Proto when the reply is to say which keys commands
// read that this one ran: they precede it, see [SplitReads]. Who does not know of
// it replies without them.
const TellReads uint8 = 0x80

// Bounds of what is told: then it is as if anything had been read.
const (
	maxReadKeys  = 1 << 10
	maxReadBytes = 64 << 10
)

// markReads is how a reply begins that is preceded by keys; no other does.
const markReads = 0

// Read says that a command with these arguments is going to be run by this one.
func (c *Ctx) Read(spec *Spec, args [][]byte) {
	if c.eval.Reads == nil || spec.Flags&ReadOnly == 0 {
		return
	}
	for _, i := range spec.AppendKeys(nil, args) {
		c.eval.Reads(args[i])
	}
}

// readKeys collects keys.
type readKeys struct {
	have  map[string]bool
	bytes int
	many  bool // too many
}

func (r *readKeys) add(key []byte) {
	if r.many || r.have[string(key)] {
		return
	}
	if r.bytes += len(key); len(r.have) == maxReadKeys || r.bytes > maxReadBytes {
		r.many = true
		return
	}
	if r.have == nil {
		r.have = map[string]bool{}
	}
	r.have[string(key)] = true
}

// precede puts the keys before the reply that begins at start.
func (r *readKeys) precede(reply []byte, start int) []byte {
	if r.many || string(reply[start:]) == DivertReply {
		return reply
	}
	head := binary.AppendUvarint([]byte{markReads}, uint64(len(r.have)))
	for key := range r.have {
		head = append(binary.AppendUvarint(head, uint64(len(key))), key...)
	}
	return slices.Insert(reply, start, head...)
}

// SplitReads takes a reply apart to a call with [TellReads]. known is false if it
// does not say what was read: it may be anything.
func SplitReads(b []byte) (read [][]byte, reply []byte, known bool) {
	if len(b) == 0 || b[0] != markReads {
		return nil, b, false
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 {
		return nil, nil, false
	}
	for b = b[1+size:]; n > 0; n-- {
		k, size := binary.Uvarint(b)
		if size <= 0 || k > uint64(len(b)-size) {
			return nil, nil, false
		}
		b = b[size:]
		read, b = append(read, b[:k:k]), b[k:]
	}
	return read, b, true
}
