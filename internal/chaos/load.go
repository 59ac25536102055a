package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/workload"
)

// Settings of the clients.
const (
	clientsPerNode = 4
	pipelineMost   = 4
	keysPerChapter = 5
	// chapterLength is how long a set of keys is in use. The checker's work
	// grows with the number of lost writes that a key has seen.
	chapterLength = 8 * time.Second
	// lagMost is how many chapters later, at most, one is read a last time.
	lagMost = 4
	// clockSlack is how far clocks may be apart: all nodes are on one machine.
	clockSlack = 100 * time.Millisecond
	finalRetry = 50 * time.Millisecond // between two attempts at a Final read
)

// chapter is one workload at work for a while.
type chapter struct {
	kind   workload.Kind
	number int
	due    int // the number of the chapter at whose beginning this one is read
	mu     sync.Mutex
	work   workload.Workload
	ops    []*workload.Op
	open   sync.WaitGroup // ops under way

	followed []*conn // of subscriptions
	over     bool    // nothing is entered any more
}

// load is the clients and what they saw.
type load struct {
	c       *cluster
	kinds   []workload.Kind
	seed    uint64
	pace    time.Duration
	start   time.Time
	gaps    *gaps
	archive *archive

	done, unknown, refused atomic.Int64
	checked, inconclusive  atomic.Int64

	mu struct {
		sync.Mutex
		number     int
		current    []*chapter
		waiting    []*chapter // over, not read a last time
		rand       *rand.Rand
		violations []Violation
	}
	clients  sync.WaitGroup
	checks   sync.WaitGroup
	checking chan struct{} // bounds the checks at once
}

func newLoad(c *cluster, kinds []workload.Kind, seed uint64, pace time.Duration, a *archive) *load {
	l := &load{c: c, kinds: kinds, seed: seed, pace: pace, start: time.Now(), gaps: &gaps{}, archive: a, checking: make(chan struct{}, 1)}
	l.mu.rand = rand.New(rand.NewPCG(seed, 0xc4a9))
	l.mu.current = l.open(0)
	return l
}

// now is the time of histories, µs.
func (l *load) now() int64 { return time.Since(l.start).Microseconds() + 1 }

// open begins a chapter of every kind.
func (l *load) open(number int) (all []*chapter) {
	for _, k := range l.kinds {
		r := rand.New(rand.NewPCG(l.seed, uint64(number)<<16|uint64(len(all))))
		all = append(all, &chapter{
			kind: k, number: number, due: number + 1 + l.mu.rand.IntN(lagMost),
			work: k.New(workload.Config{Prefix: fmt.Sprintf("%s:%d", k.Name, number), Keys: keysPerChapter, Rand: r, Spread: number%3 > 0, Cuts: true, Fronts: true}),
		})
	}
	return all
}

// run lets clients work until ctx is done, and turns the chapters.
func (l *load) run(ctx context.Context) {
	for i := range clientsPerNode * len(l.c.nodes) {
		r := rand.New(rand.NewPCG(l.seed, uint64(i)+1000))
		l.clients.Go(func() { (&client{l: l, id: i, rand: r}).run(ctx) })
	}
	turn := time.NewTicker(chapterLength)
	defer turn.Stop()
	for {
		select {
		case <-ctx.Done():
			l.clients.Wait()
			return
		case <-turn.C:
			l.turn()
		}
	}
}

// turn begins the next chapter, and sends those that are due to their last
// reading.
func (l *load) turn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.number++
	l.mu.waiting = append(l.mu.waiting, l.mu.current...)
	l.mu.current = l.open(l.mu.number)
	var later []*chapter
	for _, ch := range l.mu.waiting {
		if ch.due > l.mu.number {
			later = append(later, ch)
			continue
		}
		l.checks.Go(func() { l.finish(context.Background(), ch, false) })
	}
	l.mu.waiting = later
}

// finishAll reads and judges what is left, when all faults are over and the
// clients have stopped.
func (l *load) finishAll(ctx context.Context) {
	l.checks.Wait()
	l.mu.Lock()
	left := append(l.mu.waiting, l.mu.current...)
	l.mu.waiting, l.mu.current = nil, nil
	l.mu.Unlock()
	for _, ch := range left {
		l.finish(ctx, ch, true)
	}
}

// next draws a client's next commands, all of one chapter, and enters them
// into its history.
func (l *load) next(r *rand.Rand, pick int, who workload.Client) (*chapter, []*workload.Op) {
	l.mu.Lock()
	ch := l.mu.current[pick]
	ch.open.Add(1)
	l.mu.Unlock()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var ops []*workload.Op
	for range 1 + r.IntN(pipelineMost) {
		cmd := ch.work.Next(who)
		if len(cmd) == 0 {
			break
		}
		o := &workload.Op{Client: who, Command: cmd, Call: l.now()}
		ops = append(ops, o)
		ch.ops = append(ch.ops, o)
	}
	return ch, ops
}

// returned enters what became of commands.
func (l *load) returned(ch *chapter, ops []*workload.Op, replies [][]byte) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	now := l.now()
	for i, o := range ops {
		o.Return = now
		if i < len(replies) {
			o.Reply, o.Outcome = replies[i], workload.Judge(replies[i])
		}
		switch o.Outcome {
		case workload.Done:
			l.done.Add(1)
			if !o.Command.Reads() {
				for _, k := range o.Command.Keys() {
					l.gaps.acknowledged(k, now)
				}
			}
		case workload.Refused:
			l.refused.Add(1)
		case workload.Unknown:
			l.unknown.Add(1)
		}
		ch.work.Returned(o)
	}
	ch.open.Done()
}

// client is one client: small pipelines, one after another, each to one
// database on one node.
type client struct {
	l     *load
	id    int
	conns int // so far
	rand  *rand.Rand
	open  map[int]*open // by database
}

// open is a client's connection.
type open struct {
	*conn
	number int
}

func (c *client) run(ctx context.Context) {
	c.open = map[int]*open{}
	defer func() {
		for _, x := range c.open {
			_ = x.Close()
		}
	}()
	for ctx.Err() == nil {
		c.burst()
		time.Sleep(time.Duration(c.rand.Int64N(int64(2*c.l.pace) + 1)))
	}
}

// burst sends a few commands and takes their answers.
func (c *client) burst() {
	pick := c.rand.IntN(len(c.l.kinds))
	db := c.l.kinds[pick].DB
	x := c.open[db]
	if x == nil {
		n := c.l.c.nodes[c.rand.IntN(len(c.l.c.nodes))]
		opened, err := dial(n.Redis, db)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			return
		}
		c.conns++
		x = &open{conn: opened, number: c.conns}
		c.open[db] = x
	}
	ch, ops := c.l.next(c.rand, pick, workload.Client{ID: c.id, Conn: x.number})
	ops = slices.DeleteFunc(ops, func(o *workload.Op) bool {
		if o.Command.Subscribes() {
			ch.open.Add(1)
			go c.l.subscribe(ch, o, c.l.c.nodes[c.rand.IntN(len(c.l.c.nodes))].Redis)
			return true
		}
		return false
	})
	cmds := make([]workload.Command, len(ops))
	for i, o := range ops {
		cmds[i] = o.Command
	}
	replies, err := x.do(cmds)
	c.l.returned(ch, ops, replies)
	if err != nil {
		_ = x.Close()
		delete(c.open, db)
	}
}

// finish reads a chapter a last time, judges it and lets it go.
func (l *load) finish(ctx context.Context, ch *chapter, quiet bool) {
	ch.open.Wait()
	follows := quiet && ch.follows()
	if follows {
		time.Sleep(connectPatience)
	}
	err := l.lastReads(ctx, ch)
	if follows {
		time.Sleep(deliveryPatience)
	}
	ch.hangUp()
	l.checking <- struct{}{}
	defer func() { <-l.checking }()
	h := &workload.History{Ops: ch.ops, Slack: clockSlack.Microseconds(), Quiet: quiet && err == nil}
	r := ch.kind.Judge(h)
	l.checked.Add(int64(r.Checked))
	l.inconclusive.Add(int64(r.Inconclusive))
	path, aerr := l.archive.keep(ch, h, len(r.Violations) > 0)
	for _, v := range r.Violations {
		l.violate(Violation{Workload: ch.kind.Name, Chapter: ch.number, What: v.What, History: path, Operations: lines(v.Ops)})
	}
	if err != nil {
		l.violate(Violation{Workload: ch.kind.Name, Chapter: ch.number, What: "a last read was not answered: " + err.Error()})
	}
	if aerr != nil {
		l.violate(Violation{Workload: ch.kind.Name, Chapter: ch.number, What: "the history could not be kept: " + aerr.Error()})
	}
	l.tidy(ch)
}

// tidy removes a chapter's keys, as far as that works at once: nobody looks at
// them any more, and others should not have to walk over them.
func (l *load) tidy(ch *chapter) {
	seen := map[string]bool{}
	var cmds []workload.Command
	for _, o := range ch.ops {
		for _, k := range o.Command.Keys() {
			if !seen[k] {
				seen[k] = true
				cmds = append(cmds, workload.Command{"DEL", k})
			}
		}
	}
	x, err := dial(l.c.nodes[ch.number%len(l.c.nodes)].Redis, ch.kind.DB)
	if err != nil {
		return
	}
	defer x.Close()
	const batch = 64
	for ; len(cmds) > 0 && err == nil; cmds = cmds[min(batch, len(cmds)):] {
		_, err = x.do(cmds[:min(batch, len(cmds))])
	}
}

func lines(ops []*workload.Op) (all []string) {
	const most = 80
	for _, o := range ops[max(0, len(ops)-most):] {
		all = append(all, o.String())
	}
	return all
}

// maxViolations bounds a report.
const maxViolations = 50

func (l *load) violate(v Violation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.violations) < maxViolations {
		l.mu.violations = append(l.mu.violations, v)
	}
}

// lastReads does what a workload wants to read at last, through random nodes,
// as often as it takes.
func (l *load) lastReads(ctx context.Context, ch *chapter) error {
	who := workload.Client{ID: clientsPerNode*len(l.c.nodes) + 1}
	r := rand.New(rand.NewPCG(l.seed, uint64(ch.number)|1<<40))
	limit := time.Now().Add(finalPatience)
	var x *conn
	defer func() {
		if x != nil {
			_ = x.Close()
		}
	}()
	for cmds := ch.last(); len(cmds) > 0; cmds = ch.last() {
		for _, cmd := range cmds {
			for answered := false; !answered; {
				if ctx.Err() != nil || time.Now().After(limit) {
					return fmt.Errorf("%s, within %v", cmd, finalPatience)
				}
				if x == nil {
					who.Conn++
					var err error
					if x, err = dial(l.c.nodes[r.IntN(len(l.c.nodes))].Redis, ch.kind.DB); err != nil {
						x = nil
						time.Sleep(finalRetry)
						continue
					}
				}
				o := &workload.Op{Client: who, Command: cmd, Call: l.now(), Final: true}
				replies, err := x.do([]workload.Command{cmd})
				o.Return = l.now()
				if err != nil {
					_ = x.Close()
					x = nil
				} else {
					o.Reply, o.Outcome = replies[0], workload.Judge(replies[0])
				}
				ch.mu.Lock()
				ch.ops = append(ch.ops, o)
				ch.work.Returned(o)
				ch.mu.Unlock()
				if answered = o.Outcome == workload.Done; !answered {
					time.Sleep(finalRetry)
				}
			}
		}
	}
	return nil
}

// last are the next of the last reads.
func (ch *chapter) last() []workload.Command {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.work.Final()
}

// finalPatience bounds the last reading of a chapter, which may go through
// many faults.
const finalPatience = 3 * time.Minute
