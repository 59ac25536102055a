package chaos

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"coterie/internal/base"
	"coterie/internal/status"
)

// gapWindow is how long after a leader's death its partitions are watched, at
// least.
const gapWindow = 2 * time.Second

// gaps measures how long writes stand still when a leader is killed: the
// longest time between two acknowledgements of a partition, of writes of all
// clients, around the kill.
type gaps struct {
	mu      sync.Mutex
	last    [base.NumSlots]int64 // last acknowledged write by slot, µs
	watched []*watch
	found   []time.Duration
}

// watch is one partition that lost its leader.
type watch struct {
	lo, hi  int // slots
	killed  int64
	last    int64
	longest int64
	void    bool // another fault came meanwhile
}

// acknowledged takes a write's acknowledgement.
func (g *gaps) acknowledged(key string, now int64) {
	if key == "" {
		return
	}
	slot := int(base.KeySlot([]byte(key)))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last[slot] = now
	g.watched = slices.DeleteFunc(g.watched, func(w *watch) bool {
		if slot < w.lo || slot > w.hi {
			return false
		}
		w.longest = max(w.longest, now-w.last)
		w.last = now
		if now-w.killed < gapWindow.Microseconds() {
			return false
		}
		if !w.void {
			g.found = append(g.found, time.Duration(w.longest)*time.Microsecond)
		}
		return true
	})
}

// killed begins to watch the partitions that a node led.
func (g *gaps) killed(parts []status.Partition, leader uint64, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range parts {
		var lo, hi int
		if _, err := fmt.Sscanf(p.Slots, "%d-%d", &lo, &hi); err != nil || p.Leader != leader {
			continue // the catalog, or led by another
		}
		w := &watch{lo: lo, hi: hi, killed: now}
		for slot := lo; slot <= hi; slot++ {
			w.last = max(w.last, g.last[slot])
		}
		if w.last != 0 && now-w.last < gapWindow.Microseconds() {
			g.watched = append(g.watched, w)
		}
	}
}

// disturbed says that another fault begins: what is watched now tells nothing
// about a leader's death alone.
func (g *gaps) disturbed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.watched {
		w.void = true
	}
}

// Gaps is the distribution, in milliseconds.
type Gaps struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

func (g *gaps) summary() Gaps {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.Sort(g.found)
	n := len(g.found)
	if n == 0 {
		return Gaps{}
	}
	at := func(q float64) float64 { return float64(g.found[int(q*float64(n-1))].Microseconds()) / 1000 }
	return Gaps{Count: n, P50: at(.5), P99: at(.99), Max: at(1)}
}
