package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"coterie/internal/base"

	"golang.org/x/sys/unix"
)

// Times of a worker's loop.
const (
	idleWait      = 50 * time.Millisecond // longest wait; bounds how late a stop is seen
	dialWait      = 2 * time.Millisecond  // longest wait while a connection is being made
	shortestWait  = 20 * time.Microsecond // of an open loop: requests due closer go out together
	tidyEvery     = int64(20 * time.Millisecond)
	redialPause   = 100 * time.Millisecond
	drainAtCancel = 200 * time.Millisecond
)

// phase is one stretch of load: the prefill, or the run with its warm-up.
type phase struct {
	Config
	workload
	epoch time.Time // all times below are nanoseconds since it

	begin   int64   // the open loop's first request is due
	measure int64   // what is sent from here on counts
	end     int64   // nothing is sent from here on
	budget  int64   // requests of all workers; negative: no bound
	period  float64 // nanoseconds between requests of the open loop; 0: closed loop

	stop atomic.Bool // ends early
}

func (p *phase) now() int64 { return int64(time.Since(p.epoch)) }

// entry is a request in flight.
type entry struct {
	intended int64 // when it was, or should have been, sent
	key      uint64
	frame    uint8
	hops     uint8 // redirections so far
}

// asking marks the entry of the ASKING that goes before a redirected request.
const asking = 0xff

// maxHops is how often one request follows a redirection.
const maxHops = 16

// client waits for answers: it has at most Pipeline requests in flight.
type client struct {
	conns    []*conn // by node; one only when this is no cluster. Nil until needed.
	inflight int
	index    int64 // among the worker's clients
	arrived  int64 // open loop: requests due so far
	sent     int64 // open loop: of these, sent
}

// worker drives clients from one goroutine, which owns all of it but the
// recorder and the mailbox.
type worker struct {
	*phase
	index   int
	poll    *poller
	clients []*client
	byFD    []*conn
	source  source
	frames  []frame // own copies, for their scratch

	nodes []string // addresses
	slots []uint16 // slot to node; nil when this is no cluster
	spin  int      // node for the next request without a key

	left      int64 // budget
	inflight  int   // of all clients
	arrivals  int64 // open loop: requests due so far
	asking    bool  // one of the dials may ask for the slots
	dialing   int
	tidied    int64
	measuring bool // the warm-up is over

	recorder *recorder
	mail     mailbox
	tally    tally
}

// tally counts what needs no live view.
type tally struct {
	sent, received     int64 // bytes
	missing, redirects int64
	reconnects, unsent int64
	finished           int64 // time of the last answer
	fatal              error
}

// run sends and receives until the phase ends and all answers are in.
func (w *worker) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer w.close()
	defer cancel()
	w.measuring = w.begin >= w.measure
	for _, c := range w.clients {
		w.pump(c, w.now())
	}
	events := make([]ready, 0, 256)
	for {
		now := w.now()
		if w.over(now) {
			return
		}
		var err error
		if events, err = w.poll.wait(events[:0], w.timeout(now)); err != nil {
			w.tally.fatal = fmt.Errorf("wait for sockets: %w", err)
			return
		}
		for _, ev := range events {
			c := w.byFD[ev.fd]
			if c == nil {
				continue // closed by an event before this one
			}
			if ev.write {
				w.flush(c)
			}
			if ev.readable && c.fd >= 0 {
				w.readable(c)
			}
			w.pump(c.client, w.now())
		}
		now = w.now()
		if w.period > 0 {
			w.release(now)
		}
		w.collect(ctx)
		if now-w.tidied > tidyEvery {
			w.tidy(ctx, now)
		}
	}
}

// stopped says whether no more requests are sent.
func (w *worker) stopped(now int64) bool {
	return now >= w.end || w.left == 0 || w.stop.Load()
}

// over says whether the loop is done; it gives up on what is unanswered for
// too long.
func (w *worker) over(now int64) bool {
	if !w.stopped(now) {
		return false
	}
	if w.period > 0 && w.left != 0 && w.tally.unsent == 0 {
		w.release(min(now, w.end-1)) // what became due since the last look
		w.countUnsent(min(now, w.end))
	}
	// While some are in flight, their timeout ends the wait.
	return w.inflight == 0 || w.stop.Load() && now-w.tidied > int64(drainAtCancel)
}

// timeout is how long the loop may sleep.
func (w *worker) timeout(now int64) time.Duration {
	wait := idleWait
	if w.dialing > 0 {
		wait = dialWait
	}
	if w.period > 0 && !w.stopped(now) {
		due := time.Duration(w.due(w.arrivals) - now)
		wait = min(wait, max(due, shortestWait))
	}
	return wait
}

// due is when the worker's n-th request of the open loop is due. The workers'
// requests interleave.
func (w *worker) due(n int64) int64 {
	return w.begin + int64(float64(n*int64(w.Workers)+int64(w.index))*w.period)
}

// release hands requests that have become due to the clients, in turn.
func (w *worker) release(now int64) {
	if w.stopped(now) {
		return
	}
	for w.due(w.arrivals) <= now {
		c := w.clients[w.arrivals%int64(len(w.clients))]
		w.arrivals++
		c.arrived++
		w.pump(c, now)
	}
}

// countUnsent counts the measured requests that were due and never sent.
func (w *worker) countUnsent(now int64) {
	for w.due(w.arrivals) < now {
		w.clients[w.arrivals%int64(len(w.clients))].arrived++
		w.arrivals++
	}
	for _, c := range w.clients {
		for n := c.sent; n < c.arrived; n++ {
			if w.due(n*int64(len(w.clients))+c.index) >= w.measure {
				w.tally.unsent += c.arrived - n
				break
			}
		}
	}
}

// pump sends what a client may send now.
func (w *worker) pump(c *client, now int64) {
	switch {
	case w.period == 0 && c.inflight > 0, w.stopped(now):
		return
	case w.period == 0:
		for c.inflight < w.Pipeline && w.left != 0 {
			w.start(c, now, now)
		}
	default:
		for c.inflight < w.Pipeline && c.sent < c.arrived && w.left != 0 {
			due := w.due(c.sent*int64(len(w.clients)) + c.index)
			c.sent++
			w.start(c, due, now)
		}
	}
	for _, conn := range c.conns {
		if conn != nil && len(conn.out) > conn.written {
			w.flush(conn)
		}
	}
}

// start begins one request.
func (w *worker) start(c *client, intended, now int64) {
	e := entry{intended: intended, key: w.source.key()}
	if len(w.frames) > 1 && w.source.float() >= w.reads {
		e.frame = 1
	}
	if intended >= w.measure && w.left > 0 {
		w.left--
	}
	c.inflight++
	w.inflight++
	w.dispatch(c, e, now)
}

// dispatch puts a request on the connection that its key belongs to.
func (w *worker) dispatch(c *client, e entry, now int64) {
	conn := w.route(c, &w.frames[e.frame], e.key)
	if conn.fd < 0 {
		conn.waiting = append(conn.waiting, e)
		return
	}
	w.put(conn, e, now)
}

func (w *worker) put(c *conn, e entry, now int64) {
	if c.inflight.len() == 0 {
		c.heard = now
	}
	c.out = w.frames[e.frame].appendTo(c.out, e.key, &w.source)
	c.inflight.push(e)
}

func (w *worker) route(c *client, f *frame, key uint64) *conn {
	if w.slots == nil {
		return c.conns[0]
	}
	var node int
	if slot, ok := f.slot(key); ok {
		node = int(w.slots[slot])
	} else {
		w.spin = (w.spin + 1) % base.NumSlots
		node = int(w.slots[w.spin])
	}
	return w.connTo(c, node)
}

// connTo is the client's connection to a node; it is made when it is new.
func (w *worker) connTo(c *client, node int) *conn {
	for len(c.conns) <= node {
		c.conns = append(c.conns, nil)
	}
	if c.conns[node] == nil {
		c.conns[node] = &conn{client: c, fd: -1, addr: w.nodes[node]}
	}
	return c.conns[node]
}

// settle ends n requests of a client.
func (w *worker) settle(c *client, n int) {
	c.inflight -= n
	w.inflight -= n
}

// lose ends a request without an answer, or with an error for one.
func (w *worker) lose(c *client, e entry, kind, text string) {
	if e.frame == asking {
		return
	}
	w.settle(c, 1)
	if e.intended >= w.measure {
		w.recorder.fail(kind, text, 1)
	}
}

// tidy makes connections that are wanted, and gives up on silent ones.
func (w *worker) tidy(ctx context.Context, now int64) {
	stopped := w.stop.Load()
	if !stopped {
		w.tidied = now
	}
	for _, cl := range w.clients {
		for _, c := range cl.conns {
			if c == nil {
				continue
			}
			switch {
			case c.fd >= 0 && c.inflight.len() > 0 && now-c.heard > int64(w.Timeout):
				w.drop(c, "TIMEOUT", fmt.Sprintf("%s: no answer within %v", c.addr, w.Timeout))
			case c.fd < 0 && len(c.waiting) > 0:
				w.expire(c, now)
				if !c.dialing && now >= c.redial && !stopped {
					w.dial(ctx, c)
				}
			}
		}
		w.pump(cl, now)
	}
}

// expire gives up on requests that wait for a connection for too long.
func (w *worker) expire(c *conn, now int64) {
	kept := c.waiting[:0]
	for _, e := range c.waiting {
		if now-max(e.intended, c.lost) > int64(w.Timeout) {
			w.lose(c.client, e, "UNREACHABLE", fmt.Sprintf("%s: no connection within %v", c.addr, w.Timeout))
			continue
		}
		kept = append(kept, e)
	}
	c.waiting = kept
}

// close gives back every socket, also those that were just being made.
func (w *worker) close() {
	w.mail.wait.Wait()
	for _, d := range w.mail.take() {
		if d.err == nil {
			_ = unix.Close(d.fd)
		}
	}
	for _, cl := range w.clients {
		for _, c := range cl.conns {
			if c != nil && c.fd >= 0 {
				w.shut(c)
			}
		}
	}
	w.poll.close()
}
