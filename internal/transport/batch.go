package transport

import (
	"crypto/tls"
	"net"
	"slices"
)

// copyBelow is the payload below which a frame is copied next to its header,
// so that many small frames are one piece of memory and one plain write.
const copyBelow = 16 << 10

// batch is the frames of one write: encoded once, written in one or more goes.
// Only the goroutine that holds the connection's write side touches it.
type batch struct {
	frames []frame
	buf    []byte      // headers and small payloads
	vecs   net.Buffers // the bytes to write, in order
	left   net.Buffers // what of vecs is not yet written
	size   int         // bytes of all frames
	sent   int         // bytes handed to the kernel
}

func (b *batch) pending() bool { return b.sent < b.size }

// encode lays out b.frames; flat asks for one piece of memory in any case.
func (b *batch) encode(flat bool) {
	need := 0
	for i := range b.frames {
		f := &b.frames[i]
		need += frameHeader
		if n := f.hi - f.lo; flat || n < copyBelow {
			need += n
		}
	}
	// Room for all of it at once: vecs points into buf, which must not move.
	b.buf = slices.Grow(b.buf[:0], need)
	b.vecs = b.vecs[:0]
	b.size, b.sent = 0, 0
	from := 0
	for i := range b.frames {
		f := &b.frames[i]
		f.at = b.size
		payload := f.msg[f.lo:f.hi]
		flags := uint8(0)
		if f.hi < len(f.msg) {
			flags = flagMore
		}
		at := len(b.buf)
		b.buf = b.buf[:at+frameHeader]
		putHeader(b.buf[at:], f.class, flags, payload)
		b.size += frameHeader + len(payload)
		if flat || len(payload) < copyBelow {
			b.buf = append(b.buf, payload...)
			continue
		}
		b.vecs = append(b.vecs, b.buf[from:len(b.buf):len(b.buf)], payload)
		from = len(b.buf)
	}
	if from < len(b.buf) {
		b.vecs = append(b.vecs, b.buf[from:])
	}
	b.left = b.vecs
}

// wrote moves on by n bytes of a write to a single piece.
func (b *batch) wrote(n int) {
	b.sent += n
	b.left[0] = b.left[0][n:]
}

// write writes what is left, and waits as long as that takes.
func (b *batch) write(conn net.Conn) error {
	if len(b.left) == 1 {
		n, err := conn.Write(b.left[0])
		b.wrote(n)
		if _, ok := conn.(*tls.Conn); ok && err != nil {
			b.sent = b.size // what TLS has passed on is not known
		}
		return err
	}
	n, err := b.left.WriteTo(conn)
	b.sent += int(n)
	return err
}

// messages is the number of messages that end in the batch.
func (b *batch) messages() (n uint64) {
	for i := range b.frames {
		if f := &b.frames[i]; f.hi == len(f.msg) {
			n++
		}
	}
	return n
}

// unsent is the messages of the Request class whose first byte was not handed
// to the kernel.
func (b *batch) unsent() (msgs [][]byte) {
	for i := range b.frames {
		if f := &b.frames[i]; f.class == Request && f.lo == 0 && f.at >= b.sent {
			msgs = append(msgs, f.msg)
		}
	}
	return msgs
}

// done lets go of the messages of a batch that is written.
func (b *batch) done() {
	clear(b.frames)
	clear(b.vecs)
	b.frames, b.vecs, b.left = b.frames[:0], b.vecs[:0], nil
	b.size, b.sent = 0, 0
}
