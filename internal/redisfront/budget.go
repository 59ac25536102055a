package redisfront

import (
	"sync"
	"time"
)

// budget bounds the memory that clients make a node hold. Buffers are
// allocated rarely, so a mutex is cheap enough.
type budget struct {
	limit int64
	mu    struct {
		sync.Mutex
		used int64
		// freed is closed, and replaced, when memory comes back and somebody waits.
		freed   chan struct{}
		waiters int
	}
}

func newBudget(limit int64) *budget {
	b := &budget{limit: limit}
	b.mu.freed = make(chan struct{})
	return b
}

// acquire takes n bytes, waiting for others to give some back, at most for
// the given time. What is alone always fits, whatever its size.
func (b *budget) acquire(n int64, wait time.Duration) bool {
	var timer *time.Timer
	for {
		b.mu.Lock()
		if b.mu.used+n <= b.limit || b.mu.used == 0 {
			b.mu.used += n
			b.mu.Unlock()
			return true
		}
		b.mu.waiters++
		freed := b.mu.freed
		b.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		}
		timeout := false
		select {
		case <-freed:
		case <-timer.C:
			timeout = true
		}
		b.mu.Lock()
		b.mu.waiters--
		b.mu.Unlock()
		if timeout {
			return false
		}
	}
}

// force takes n bytes that exist already, also above the limit, and returns
// what is in use.
func (b *budget) force(n int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.used += n
	return b.mu.used
}

func (b *budget) release(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.mu.used -= n
	if b.mu.waiters > 0 {
		close(b.mu.freed)
		b.mu.freed = make(chan struct{})
	}
	b.mu.Unlock()
}

func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.used
}
