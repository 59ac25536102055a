package redisfront

import (
	"cmp"
	"slices"
	"time"
)

const (
	// shedEvery is how often the front looks at who holds its memory, while it
	// is used up.
	shedEvery = 100 * time.Millisecond
	// stalledAfter is how long a client may read nothing while the memory is
	// used up.
	stalledAfter = 500 * time.Millisecond
)

// wantShed makes sure that somebody looks after the memory, which is used up;
// at once if it is used up twice over.
func (f *Front) wantShed(used int64) {
	if f.shedding.CompareAndSwap(false, true) {
		go f.shedLoop()
	}
	if used > 2*f.budget.limit {
		select {
		case f.shedNow <- struct{}{}:
		default:
		}
	}
}

// shedLoop looks after the memory until there is enough of it again.
func (f *Front) shedLoop() {
	tick := time.NewTicker(shedEvery)
	defer tick.Stop()
	for f.budget.inUse() > f.budget.limit {
		f.shed(time.Now())
		select {
		case <-f.shedNow:
		case <-tick.C:
		}
		f.mu.Lock()
		closed := f.mu.closed
		f.mu.Unlock()
		if closed {
			break
		}
	}
	f.shedding.Store(false)
}

// debtor is a session with unsent replies.
type debtor struct {
	s       *session
	owed    int64
	stalled bool
}

// shed closes connections whose clients do not read, those that hold most
// first, until the memory for requests is enough again. Clients that do read
// go only when it is used up twice over.
func (f *Front) shed(now time.Time) {
	var list []debtor
	for _, s := range f.sessions() {
		s.mu.Lock()
		m := &s.mu
		if m.owed > 0 && !m.dead {
			if m.shedProgress != m.progress {
				m.shedProgress, m.shedSince = m.progress, now
			}
			list = append(list, debtor{s, m.owed, now.Sub(m.shedSince) >= stalledAfter})
		}
		s.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b debtor) int {
		switch {
		case a.stalled == b.stalled:
			return cmp.Compare(b.owed, a.owed)
		case a.stalled:
			return -1
		}
		return 1
	})
	for _, d := range list {
		used := f.budget.inUse()
		if used <= f.budget.limit || !d.stalled && used <= 2*f.budget.limit {
			return
		}
		d.s.mu.Lock()
		if !d.s.mu.dead {
			f.log.Warn("client closed: the memory for requests is used up, and it holds much of it with replies that it does not read",
				"client", d.s.remote, "id", d.s.id, "unsent_bytes", d.s.mu.owed, "limit_bytes", f.budget.limit)
			d.s.abort()
		}
		d.s.mu.Unlock()
	}
}
