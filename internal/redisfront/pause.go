package redisfront

import (
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/command"
	"coterie/internal/script"
)

// pause is what CLIENT PAUSE has asked for: the node's own connections wait
// before they go on with their next command, or their next write. Other
// nodes' connections do not.
type pause struct {
	until atomic.Int64 // the front's clock, nanoseconds; 0: none
	all   atomic.Bool  // else only what writes
	mu    struct {
		sync.Mutex
		timer *time.Timer
	}
}

func clientPause(s *session, args [][]byte) {
	all := len(args) == 3 || is(args[3], "all")
	switch {
	case len(args) > 4:
		s.rw.Error("ERR wrong number of arguments for 'client|pause' command")
		return
	case !all && !is(args[3], "write"):
		s.rw.Error("ERR CLIENT PAUSE mode must be WRITE or ALL")
		return
	}
	ms, ok := parseInt(args[2])
	switch {
	case !ok:
		s.rw.Error("ERR timeout is not an integer or out of range")
	case ms < 0:
		s.rw.Error("ERR timeout is negative")
	case ms > int64(10*365*24*time.Hour/time.Millisecond):
		s.rw.Error("ERR timeout is out of range")
	default:
		s.f.pauseFor(time.Duration(ms)*time.Millisecond, all)
		s.rw.Simple("OK")
	}
}

func clientUnpause(s *session, _ [][]byte) {
	s.f.unpause()
	s.rw.Simple("OK")
}

// pauseFor begins a pause, or prolongs it: the later end counts, and what
// concerns more.
func (f *Front) pauseFor(d time.Duration, all bool) {
	p := &f.pause
	p.mu.Lock()
	defer p.mu.Unlock()
	now := f.nanos()
	old := p.until.Load()
	if old <= now {
		old = 0
		p.all.Store(false)
	}
	if all {
		p.all.Store(true)
	}
	until := max(old, now+int64(d), 1)
	p.until.Store(until)
	if p.mu.timer != nil {
		p.mu.timer.Stop()
	}
	p.mu.timer = time.AfterFunc(time.Duration(until-now), f.wakePaused)
}

func (f *Front) unpause() {
	p := &f.pause
	p.mu.Lock()
	p.until.Store(0)
	p.all.Store(false)
	if p.mu.timer != nil {
		p.mu.timer.Stop()
	}
	p.mu.Unlock()
	f.wakePaused()
}

func (f *Front) wakePaused() {
	for _, s := range f.sessions() {
		s.mu.Lock()
		s.cond.Broadcast()
		s.mu.Unlock()
	}
}

// concerns says whether a command has to wait now.
func (p *pause) concerns(s *session, e *entry, args [][]byte) bool {
	until := p.until.Load()
	return until != 0 && s.f.nanos() < until && e.full != "client|unpause" && (p.all.Load() || s.mayWrite(e, args))
}

// mayWrite says whether a command may change anything that others see.
func (s *session) mayWrite(e *entry, args [][]byte) bool {
	switch e.full {
	case "exec":
		if s.multi == nil {
			return false
		}
		for _, q := range s.multi.queued {
			if s.mayWrite(q.e, q.args) {
				return true
			}
		}
		return false
	case "publish", "spublish", "pfcount":
		return true
	case "eval", "evalsha", "fcall":
		return s.f.scripts.mayWrite(e.full, string(args[1]))
	}
	return e.spec.Flags&(command.Write|command.MayReplicate) != 0
}

// waitForPause waits until a command may run. What was sent before it runs
// meanwhile. It is false when the session is over.
func (s *session) waitForPause(e *entry, args [][]byte) bool {
	s.submit()
	s.f.blocked.clients.Add(1)
	defer s.f.blocked.clients.Add(-1)
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	for !m.dead && s.f.pause.concerns(s, e, args) {
		s.cond.Wait()
	}
	return !m.dead
}

// mayWrite says whether a script, or a function, may write: it has not declared
// that it does not.
func (x *scripts) mayWrite(command, what string) bool {
	switch command {
	case "eval":
		sc, _ := x.compile(what)
		return sc != nil && sc.Flags&script.NoWrites == 0 // one that is none is answered with why
	case "evalsha":
		sc := x.store.Script(what)
		return sc != nil && sc.Flags&script.NoWrites == 0
	default:
		_, f := x.store.Function(what)
		return f != nil && f.Flags&script.NoWrites == 0
	}
}
