package redisfront

// adoptSize is the length in bytes from which a reply is sent as it is,
// instead of being copied behind others.
const adoptSize = 32 << 10

// outKept is the largest output buffer in bytes that a session keeps.
const outKept = 64 << 10

// chunkSize is how many bytes the writer goroutine writes at a time.
const chunkSize = 1 << 20

// emit puts bytes behind the output. The caller holds s.mu.
func (s *session) emit(p []byte) {
	m := &s.mu
	switch {
	case m.dead || len(p) == 0:
		return
	case len(m.out) == 0 && len(p) >= adoptSize:
		m.out, m.adopted = p[:len(p):len(p)], true
	case m.adopted:
		// The buffer is somebody else's: what follows needs one of our own.
		m.out, m.adopted = append(m.out, p...), false
	default:
		m.out = append(m.out, p...)
	}
	if m.writing {
		s.owe(int64(len(p)))
	}
}

// owe counts bytes that a connection makes the node hold, because its client
// reads slowly or because replies wait for one before them, and ends the
// connection when they are too many. The caller holds s.mu.
func (s *session) owe(n int64) {
	m := &s.mu
	m.owed += n
	s.f.budget.force(n)
	limits := &s.f.opts.Limits
	tooMuch := m.owed > limits.OutputBuffer
	// The node's memory is used up twice over: those who hold a good part of
	// it without reading have to go.
	if !tooMuch && m.owed > 1<<20 && m.owed > limits.RequestMemory/64 {
		tooMuch = s.f.budget.inUse() > 2*limits.RequestMemory
	}
	if tooMuch {
		s.f.log.Warn("client closed: its replies pile up",
			"client", s.remote, "id", s.id, "unsent_bytes", m.owed, "limit_bytes", limits.OutputBuffer)
		s.abort()
	}
}

// paid takes back what owe counted. The caller holds s.mu.
func (s *session) paid(n int64) {
	s.mu.owed -= n
	s.mu.progress++
	s.f.budget.release(n)
}

// abort ends the connection without waiting for anything. The session's
// goroutine notices, and cleans up. The caller holds s.mu.
func (s *session) abort() {
	m := &s.mu
	if m.dead {
		return
	}
	m.dead = true
	m.out, m.adopted = nil, false
	for o := m.head; o != nil; o = o.next {
		if o.after = nil; o.done {
			o.reply, o.req.Reply = nil, nil
		}
	}
	s.f.budget.release(m.owed)
	m.owed = 0
	if !m.closed {
		if s.raw != nil {
			s.raw.shutdown()
		} else {
			_ = s.conn.SetDeadline(longAgo)
		}
	}
	s.cond.Broadcast()
}

// send writes the output, as much as the socket takes without waiting, and
// leaves the rest to a writer goroutine. The caller holds s.mu.
func (s *session) send() {
	m := &s.mu
	if m.dead || m.writing {
		return
	}
	if len(m.out) > 0 {
		if s.raw != nil {
			n, res := s.raw.write(m.out)
			if res == rawFailed {
				s.abort()
				return
			}
			s.f.counters.bytesOut.Add(uint64(n))
			if n == len(m.out) {
				s.sent()
				return
			}
			m.out = m.out[n:]
		}
		m.writing = true
		s.owe(int64(len(m.out)))
		if !m.dead {
			go s.writeRest()
		}
		return
	}
	if m.closeAfter && m.head == nil {
		s.cond.Broadcast()
	}
}

// sent resets the output after all of it was written. The caller holds s.mu.
func (s *session) sent() {
	m := &s.mu
	if m.adopted || cap(m.out) > outKept {
		m.out, m.adopted = nil, false
	} else {
		m.out = m.out[:0]
	}
	if m.closeAfter && m.head == nil {
		s.cond.Broadcast()
	}
}

// writeRest is the writer goroutine: it writes, waiting for the socket, until
// nothing is left.
func (s *session) writeRest() {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	for len(m.out) > 0 && !m.dead {
		chunk := m.out[:min(len(m.out), chunkSize)]
		if m.out = m.out[len(chunk):]; len(m.out) == 0 {
			m.out, m.adopted = nil, false
		}
		m.Unlock()
		n, err := s.conn.Write(chunk)
		s.f.counters.bytesOut.Add(uint64(n))
		m.Lock()
		if m.dead {
			break
		}
		s.paid(int64(len(chunk)))
		if err != nil {
			s.abort()
		} else if m.waiting {
			s.cond.Broadcast()
		}
	}
	m.writing = false
	s.cond.Broadcast()
}
