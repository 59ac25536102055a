package redisfront

import "time"

// Values of session.check.
const (
	checkNone   = 0 // the last read found the socket empty
	checkWanted = 1 // the last read did not: it may have been followed by an end of stream
	checkAsked  = 2 // the sweep has woken the session to look
)

// sweepEvery is how long a connection may have been silent before the sweep
// has it look again.
const sweepEvery = 100 * time.Millisecond

// wantSweep makes sure that a sweep comes. It costs nothing while one is
// already due, and there is none when every connection is idle.
func (f *Front) wantSweep() {
	if f.sweepDue.CompareAndSwap(false, true) {
		time.AfterFunc(sweepEvery, f.sweep)
	}
}

// sweep wakes every session that has gone silent after a read that left open
// whether the stream has ended. The next one may begin before it is through.
func (f *Front) sweep() {
	f.sweepDue.Store(false)
	again := false
	for _, s := range f.sessions() {
		if s.check.Load() != checkWanted {
			continue
		}
		if n := s.reads.Load(); n != s.swept.Load() {
			s.swept.Store(n)
			again = true
			continue
		}
		if s.check.CompareAndSwap(checkWanted, checkAsked) {
			s.mu.Lock()
			if !s.mu.closed {
				_ = s.conn.SetReadDeadline(longAgo)
			}
			s.mu.Unlock()
		}
	}
	if again {
		f.wantSweep()
	}
}
