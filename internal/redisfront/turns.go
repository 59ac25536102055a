package redisfront

import "sync"

// turns hands out a number of places, first come, first served, to those who may have
// to go away while they wait. The zero turns has none: see newTurns.
type turns struct {
	all int
	mu  struct {
		sync.Mutex
		free  int
		queue []*turn
	}
}

// turn is so many places, once come is closed.
type turn struct {
	places int
	come   chan struct{}
}

func newTurns(places int) *turns {
	t := &turns{all: places}
	t.mu.free = places
	return t
}

// ask gets in line for some places; who wants more than there are gets all. What was
// asked for must be given back, whether it has come or not.
func (t *turns) ask(places int) *turn {
	x := &turn{places: min(places, t.all), come: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.queue = append(t.mu.queue, x)
	t.serve()
	return x
}

// giveBack ends a turn.
func (t *turns) giveBack(x *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-x.come:
		t.mu.free += x.places
	default:
		for i, other := range t.mu.queue {
			if other == x {
				t.mu.queue = append(t.mu.queue[:i], t.mu.queue[i+1:]...)
				break
			}
		}
	}
	t.serve()
}

// serve lets in those who are first, as far as there is room. The caller holds t.mu.
func (t *turns) serve() {
	for len(t.mu.queue) > 0 && t.mu.queue[0].places <= t.mu.free {
		x := t.mu.queue[0]
		t.mu.queue[0] = nil
		t.mu.queue = t.mu.queue[1:]
		t.mu.free -= x.places
		close(x.come)
	}
}
