package redisfront

// Sizes of read buffers, in bytes. A session starts with the smallest and
// doubles while its client fills them.
const (
	bufferMin = 2 << 10
	bufferMax = 64 << 10 // except for a command that is larger
	// readMin is the least room worth a read into a buffer's end.
	readMin = 512
)

// readBuf is memory that commands were read into. Requests in flight alias
// it; it is used again from its start only when refs is 0.
type readBuf struct {
	data []byte
	refs int  // ops that alias data; guarded by session.mu
	left bool // the session reads into another one now; guarded by session.mu
}

// place returns where to read into next: behind what is not yet parsed. It
// returns nil when there is no memory to be had. idle says that no request
// aliases the buffer.
func (s *session) place(idle bool) []byte {
	unparsed := s.w - s.r
	size := len(s.buf.data)
	shrink := false
	if idle && unparsed == 0 {
		shrink = size > bufferMax && s.w < size/4
		s.r, s.w = 0, 0
	}
	switch free := size - s.w; {
	case shrink: // a large command is over
	case s.filled && size < bufferMax: // grow: the client sends more than fits
	case free >= readMin && free >= unparsed/2:
		return s.buf.data[s.w:]
	case idle && s.r >= size/2 && size <= 2*bufferMax:
		copy(s.buf.data, s.buf.data[s.r:s.w])
		s.r, s.w = 0, unparsed
		return s.buf.data[s.w:]
	}
	want := min(size, bufferMax)
	if s.filled {
		want = min(2*size, bufferMax)
	}
	for want < 2*unparsed || want < unparsed+readMin {
		want *= 2
	}
	if !s.changeBuffer(want) {
		return nil
	}
	return s.buf.data[s.w:]
}

// changeBuffer continues in a new buffer, with what is not yet parsed.
func (s *session) changeBuffer(size int) bool {
	next := s.spare
	if next != nil && len(next.data) == size {
		s.spare = nil
	} else {
		// What this session waits for others may wait for too: it must not
		// hold back requests that were parsed already.
		if !s.f.budget.acquire(int64(size), s.f.opts.Limits.MemoryWait) {
			return false
		}
		next = &readBuf{data: make([]byte, size)}
	}
	s.w = copy(next.data, s.buf.data[s.r:s.w])
	s.r = 0
	old := s.buf
	s.buf, s.filled = next, false
	s.mu.Lock()
	old.left = true
	if old.refs == 0 {
		s.retire(old)
	}
	s.mu.Unlock()
	return true
}

// retire takes back a buffer that nothing aliases any more. One is kept for
// the next change. The caller holds s.mu.
func (s *session) retire(b *readBuf) {
	if len(b.data) <= bufferMax && s.mu.returned == nil && !s.mu.dead {
		b.left = false
		s.mu.returned = b
		return
	}
	s.f.budget.release(int64(len(b.data)))
}

// unref ends an op's use of its buffer. The caller holds s.mu.
func (s *session) unref(b *readBuf) {
	if b == nil {
		return
	}
	b.refs--
	if b.refs == 0 && b.left {
		s.retire(b)
	}
}
