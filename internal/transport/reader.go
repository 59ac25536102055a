package transport

import (
	"errors"
	"fmt"
	"io"
)

const (
	// readBuffer is how much is asked of the kernel at once. Small messages are
	// slices of such a buffer, which is never written again where it was handed
	// out: one allocation serves many messages.
	readBuffer = 32 << 10
	// minRead is the least room worth a read.
	minRead = 4 << 10
	// bigFrame is the payload from which on a frame that is not wholly there yet
	// is read into memory of its own.
	bigFrame = 16 << 10
)

// parts is a message of which not all frames are there yet.
type parts struct {
	list [][]byte
	size int
}

// reader takes messages out of a connection. Its caller owns them.
type reader struct {
	src    io.Reader
	only   func(Class) bool // which classes may come
	max    int              // bytes of a message
	buf    []byte
	lo, hi int // buf[lo:hi] is received and not yet handed out
	parts  [call + 1]parts

	reads, frames, messages, bytes uint64
}

func newReader(src io.Reader, limit int, only func(Class) bool) *reader {
	return &reader{src: src, max: limit, only: only}
}

// next is the next whole message. io.EOF: the connection ended between frames.
func (r *reader) next() (Class, []byte, error) {
	for {
		h, payload, err := r.frame()
		if err != nil {
			return 0, nil, err
		}
		r.frames++
		p := &r.parts[h.class]
		if p.size+h.length > r.max {
			return 0, nil, fmt.Errorf("%w of %d bytes, class %s", errTooLarge, r.max, h.class)
		}
		more := h.flags&flagMore != 0
		if !more && p.size == 0 {
			r.messages++
			return h.class, payload, nil
		}
		p.list = append(p.list, payload)
		p.size += h.length
		if more {
			continue
		}
		msg := make([]byte, 0, p.size)
		for _, b := range p.list {
			msg = append(msg, b...)
		}
		*p = parts{}
		r.messages++
		return h.class, msg, nil
	}
}

// drained says whether the next message may have to be waited for.
func (r *reader) drained() bool { return r.hi-r.lo < frameHeader }

func (r *reader) frame() (header, []byte, error) {
	for r.hi-r.lo < frameHeader {
		if err := r.fill(frameHeader); err != nil {
			if errors.Is(err, io.EOF) && r.hi > r.lo {
				err = io.ErrUnexpectedEOF
			}
			return header{}, nil, err
		}
	}
	head := r.buf[r.lo : r.lo+frameHeader] // stays readable when buf is replaced
	h, err := parseHeader(head)
	if err != nil {
		return h, nil, err
	}
	if !r.only(h.class) {
		return h, nil, fmt.Errorf("%w: class %s on this connection", errFrame, h.class)
	}
	payload, err := r.payload(h.length)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return h, nil, err
	}
	if checksum(head, payload) != h.checksum {
		return h, nil, errChecksum
	}
	return h, payload, nil
}

// payload reads the n bytes behind the header at lo.
func (r *reader) payload(n int) ([]byte, error) {
	total := frameHeader + n
	if n < bigFrame {
		for r.hi-r.lo < total {
			if err := r.fill(total); err != nil {
				return nil, err
			}
		}
	}
	if r.hi-r.lo >= total {
		end := r.lo + total
		p := r.buf[r.lo+frameHeader : end : end]
		r.lo = end
		return p, nil
	}
	p := make([]byte, n)
	have := copy(p, r.buf[r.lo+frameHeader:r.hi])
	r.lo = r.hi
	for have < n {
		got, err := r.read(p[have:])
		if have += got; err != nil && have < n {
			return nil, err
		}
	}
	return p, nil
}

// fill reads once, making sure before that total bytes from lo on have room.
func (r *reader) fill(total int) error {
	if r.lo+total > len(r.buf) || len(r.buf)-r.hi < minRead {
		fresh := make([]byte, readBuffer)
		r.hi = copy(fresh, r.buf[r.lo:r.hi])
		r.buf, r.lo = fresh, 0
	}
	n, err := r.read(r.buf[r.hi:])
	r.hi += n
	if n > 0 {
		return nil // an error comes again with the next read
	}
	return err
}

func (r *reader) read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	r.reads++
	r.bytes += uint64(n)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}
