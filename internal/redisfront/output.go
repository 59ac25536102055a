package redisfront

import (
	"bytes"
	"time"
)

// adoptSize is the length in bytes from which a reply is sent as it is,
// instead of being copied behind others.
const adoptSize = 32 << 10

// outKept is the largest output buffer in bytes that a session keeps.
const outKept = 64 << 10

// chunkSize is how many bytes the writer goroutine writes at a time.
const chunkSize = 1 << 20

// aliasMin is the length in bytes from which a reply that waits for a slow
// client may keep the memory that it came in: smaller ones would hold a
// message or a round full of other replies with them.
const aliasMin = 512 << 10

// emit puts bytes behind the output. The caller holds s.mu.
func (s *session) emit(p []byte) {
	m := &s.mu
	switch {
	case m.dead || len(p) == 0:
		return
	case len(m.out) == 0 && len(p) >= adoptSize && !m.writing:
		m.out, m.adopted = p[:len(p):len(p)], true
	case !m.adopted && len(m.rest) == 0 && len(p) < adoptSize && !m.writing:
		m.out = append(m.out, p...)
	default:
		s.emitBehind(p)
	}
	if m.writing {
		s.owe(int64(len(p)))
	}
}

// emitBehind puts bytes behind an output that they are not to be copied into:
// it is large, or on its way. The caller holds s.mu.
func (s *session) emitBehind(p []byte) {
	m := &s.mu
	last := len(m.rest) - 1
	switch {
	case len(p) >= aliasMin || len(p) >= adoptSize && !m.writing:
		m.rest = append(m.rest, p[:len(p):len(p)])
	case last >= 0 && len(m.rest[last])+len(p) <= cap(m.rest[last]):
		m.rest[last] = append(m.rest[last], p...)
	default:
		own := make([]byte, 0, max(len(p), adoptSize))
		m.rest = append(m.rest, append(own, p...))
	}
	if len(m.out) == 0 {
		s.turnOver()
	}
}

// turnOver goes on with the next piece when the output's first one is
// written. It is false when there is none. The caller holds s.mu.
func (s *session) turnOver() bool {
	m := &s.mu
	if len(m.rest) == 0 {
		return false
	}
	m.out, m.adopted = m.rest[0], true
	m.rest[0] = nil
	if m.rest = m.rest[1:]; len(m.rest) == 0 {
		m.rest = nil
	}
	return true
}

// owe counts bytes that a connection makes the node hold, because its client
// reads slowly or because replies wait for one before them, and ends the
// connection when they are too many. The caller holds s.mu.
func (s *session) owe(n int64) {
	m := &s.mu
	if m.owed == 0 {
		m.progress++ // what it owed before, it paid
	}
	m.owed += n
	used := s.f.budget.force(n)
	limits := &s.f.opts.Limits
	switch {
	case m.subscriber && s.tooFarBehind():
		s.f.log.Warn("client closed: its messages pile up", "client", s.remote, "id", s.id, "unsent_bytes", m.owed)
		s.abort()
	case m.owed > limits.OutputBuffer:
		s.f.log.Warn("client closed: its replies pile up",
			"client", s.remote, "id", s.id, "unsent_bytes", m.owed, "limit_bytes", limits.OutputBuffer)
		s.abort()
	case used > limits.RequestMemory:
		s.f.wantShed(used)
	}
}

// tooFarBehind says whether a subscriber owes more reads than it may, or has
// for too long. The caller holds s.mu.
func (s *session) tooFarBehind() bool {
	m, l := &s.mu, &s.f.push
	if hard := l.hard.Load(); hard > 0 && m.owed > hard {
		return true
	}
	soft, wait := l.soft.Load(), time.Duration(l.wait.Load())
	if soft == 0 || m.owed <= soft {
		m.softSince = time.Time{}
		return false
	}
	if m.softSince.IsZero() {
		since := time.Now()
		m.softSince = since
		time.AfterFunc(wait, func() { s.stillBehind(since) })
	}
	return time.Since(m.softSince) > wait
}

// stillBehind ends a subscriber's connection that has been above the soft limit
// since then.
func (s *session) stillBehind(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := &s.mu; !m.dead && m.subscriber && m.softSince.Equal(since) && m.owed > s.f.push.soft.Load() {
		s.f.log.Warn("client closed: its messages have been piling up", "client", s.remote, "id", s.id, "unsent_bytes", m.owed)
		s.abort()
	}
}

// paid takes back what owe counted. The caller holds s.mu.
func (s *session) paid(n int64) {
	s.mu.owed -= n
	if !s.mu.softSince.IsZero() && s.mu.owed <= s.f.push.soft.Load() {
		s.mu.softSince = time.Time{}
	}
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
	m.out, m.adopted, m.rest = nil, false, nil
	m.held, m.heldBytes = nil, 0
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
	if len(m.out) == 0 {
		if m.closeAfter && m.head == nil {
			s.cond.Broadcast()
		}
		return
	}
	for s.raw != nil {
		n, res := s.raw.write(m.out)
		if res == rawFailed {
			s.abort()
			return
		}
		s.f.counters.bytesOut.Add(uint64(n))
		if n < len(m.out) {
			m.out = m.out[n:]
			break
		}
		if !s.turnOver() {
			s.sent()
			return
		}
	}
	m.writing = true
	s.owe(s.keep())
	if !m.dead {
		go s.writeRest()
	}
}

// keep makes the output ready to stay for a while, and returns its size. The
// caller holds s.mu.
func (s *session) keep() (size int64) {
	m := &s.mu
	if m.adopted && len(m.out) < aliasMin {
		m.out = bytes.Clone(m.out)
	}
	size = int64(len(m.out))
	for i, p := range m.rest {
		if size += int64(len(p)); len(p) < aliasMin {
			m.rest[i] = bytes.Clone(p)
		}
	}
	return size
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
		if m.out = m.out[len(chunk):]; len(m.out) == 0 && !s.turnOver() {
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
