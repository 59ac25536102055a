package redisfront

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/broker"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/cut"
	"coterie/internal/datatype"
	"coterie/internal/effects"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/overlay"
	"coterie/internal/partition"
	"coterie/internal/txn"
)

// fakeMode says when a fakeRouter completes requests.
type fakeMode int

const (
	fakeLoop   fakeMode = iota // soon, on one loop goroutine
	fakeSync                   // before Submit returns
	fakeDelays                 // each partition on its own, after random waits
)

// fakeRouter is a cluster in memory: the real commands over a map for each
// partition.
type fakeRouter struct {
	front     *Front
	mode      fakeMode
	dir       atomic.Pointer[Directory]
	parts     map[base.PartitionID]*fakePartition
	gen       atomic.Uint32
	delivered atomic.Uint64
	underWay  atomic.Int64
	stall     chan struct{} // if set, the loop waits for it
	crossSlot bool          // the front's option

	catalog *keyspacetest.Txn

	mu    sync.Mutex
	inbox []*partition.Request
	wake  chan struct{}
	stop  chan struct{}
	done  sync.WaitGroup
}

type fakePartition struct {
	id      base.PartitionID
	span    base.Span
	mu      sync.Mutex
	txn     *keyspacetest.Txn
	eval    *command.Evaluator
	watches command.Watches
	waits   []*fakeWait
	asked   *fakeWait
	full    bool // nobody may wait any more
	queue   chan *partition.Request
}

func fakeName(id base.NodeID) string {
	s := "00000000000000000000000000000000000000" + strconv.Itoa(int(id)+10)
	return s[len(s)-40:]
}

// newFake makes a router of n partitions, all led by node 1 of nodes.
func newFake(t testing.TB, mode fakeMode, n int, nodes ...Node) *fakeRouter {
	if len(nodes) == 0 {
		nodes = []Node{{ID: 1, Name: fakeName(1), Alive: true}}
	}
	r := &fakeRouter{mode: mode, parts: make(map[base.PartitionID]*fakePartition), wake: make(chan struct{}, 1), stop: make(chan struct{})}
	var list []Partition
	for i := range n {
		span := base.Span{Lo: uint16(i * base.NumSlots / n), Hi: uint16((i + 1) * base.NumSlots / n)}
		p := &fakePartition{id: base.PartitionID(i + 1), span: span, queue: make(chan *partition.Request, 1<<16)}
		p.txn, p.eval = keyspacetest.New(uint64(i)), command.NewEvaluator(fakeTable(), keyspace.Limits{})
		r.parts[p.id] = p
		list = append(list, Partition{ID: p.id, Span: span, Leader: nodes[i%len(nodes)].ID})
	}
	r.dir.Store(NewDirectory(7, 1, list, nodes))
	switch mode {
	case fakeLoop:
		r.done.Add(1)
		go r.loop()
	case fakeDelays:
		for _, p := range r.parts {
			r.done.Add(1)
			go r.slow(p)
		}
	}
	t.Cleanup(func() {
		if r.front != nil {
			r.front.Close()
		}
		close(r.stop)
		r.done.Wait()
	})
	return r
}

func (r *fakeRouter) Directory() *Directory { return r.dir.Load() }
func (r *fakeRouter) Stats() Stats          { return Stats{Replicas: 2, Applied: 42} }

func (r *fakeRouter) NextGeneration(context.Context) (uint32, error) {
	return 100 + r.gen.Add(1), nil
}

func (r *fakeRouter) Set(_ context.Context, name, value string) error {
	if name != settingEvents {
		return nil
	}
	events, _ := keyspace.ParseClasses(value)
	for _, p := range r.parts {
		p.mu.Lock()
		p.eval.Events, p.eval.Receivers = events, r.front.broker.Receivers
		p.mu.Unlock()
	}
	return nil
}

func (r *fakeRouter) Submit(reqs []*partition.Request) {
	r.underWay.Add(int64(len(reqs)))
	switch r.mode {
	case fakeSync:
		for _, q := range reqs {
			r.run(q)
		}
		r.front.Flush()
	case fakeDelays:
		for _, q := range reqs {
			r.parts[q.Partition].queue <- q
		}
	default:
		r.mu.Lock()
		r.inbox = append(r.inbox, reqs...)
		r.mu.Unlock()
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

func (r *fakeRouter) loop() {
	defer r.done.Done()
	var spare []*partition.Request
	for {
		select {
		case <-r.wake:
		case <-r.stop:
			return
		}
		if r.stall != nil {
			select {
			case <-r.stall:
			case <-r.stop:
				return
			}
		}
		runtime.Gosched()
		r.mu.Lock()
		work := r.inbox
		r.inbox = spare[:0]
		r.mu.Unlock()
		for _, q := range work {
			r.run(q)
		}
		r.front.Flush()
		clear(work)
		spare = work
	}
}

func (r *fakeRouter) slow(p *fakePartition) {
	defer r.done.Done()
	for {
		select {
		case q := <-p.queue:
			if rand.IntN(4) == 0 {
				time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			}
			r.run(q)
			if rand.IntN(3) == 0 || len(p.queue) == 0 {
				r.front.Flush()
			}
		case <-r.stop:
			return
		}
	}
}

// Transact runs all parts of a transaction at one instant.
func (r *fakeRouter) Transact(t *txn.Transaction) {
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		for r.underWay.Load() > 0 { // what was submitted before comes before
			select {
			case <-r.stop:
				return
			case <-time.After(10 * time.Microsecond):
			}
		}
		served := r.transact(t)
		t.Sink.CompleteTxn(t)
		for _, q := range served {
			r.underWay.Add(1)
			r.complete(q)
		}
		r.front.Flush()
	}()
}

// Release implements Router: nothing is ever locked here.
func (r *fakeRouter) Release(*txn.Transaction) {}

// Cut implements Router: there are none.
func (r *fakeRouter) Cut(x *cut.Cut) {
	x.Reply = []byte("-TRYAGAIN no cuts here\r\n")
	x.Sink.CompleteCut(x)
}

// EndCut implements Router.
func (r *fakeRouter) EndCut(*cut.Cut) {}

// transact returns who waited for what it wrote.
func (r *fakeRouter) transact(t *txn.Transaction) (served []*partition.Request) {
	if t.Hold {
		return nil
	}
	for _, part := range t.Parts { // rising: nobody waits in a circle
		p := r.parts[part.Partition]
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	run := func(i int, args [][]byte) []byte {
		p := r.parts[t.Parts[i].Partition]
		reply, _ := p.eval.Evaluate(command.Call{
			Txn: p.txn, Partition: p.id, Span: p.span, DB: t.DB, Proto: t.Proto, Args: args, Group: true, Watches: &p.watches, Waiters: p,
		}, nil)
		return bytes.Clone(reply)
	}
	watched := make([]int, len(t.Parts))
	for i, part := range t.Parts { // first the watched keys, then the commands
		if len(part.Args) == 0 {
			continue
		}
		n, _ := binary.Uvarint(part.Args[2])
		watched[i] = 3 + int(n)
		if reply := run(i, part.Args[:watched[i]]); !bytes.HasPrefix(reply, []byte("*0")) {
			t.Reply = reply
			return nil
		}
	}
	for i, part := range t.Parts {
		if part.Work != nil {
			for d := effects.Body(part.Work.Body); ; {
				op, ok := d.Next()
				if !ok {
					break
				}
				overlay.Write(r.parts[part.Partition].txn, op)
				r.parts[part.Partition].TouchAll()
			}
			continue
		}
		t.Parts[i].Reply = run(i, append([][]byte{part.Args[0], part.Args[1], {0}}, part.Args[watched[i]:]...))
	}
	for _, part := range t.Parts {
		served = append(served, r.parts[part.Partition].serve()...)
	}
	return served
}

func (r *fakeRouter) run(q *partition.Request) {
	p := r.parts[q.Partition]
	p.mu.Lock()
	_, queries, fetch := partition.DecodeFetch(q.Args)
	var done []*partition.Request
	var waits *partition.Request
	switch {
	case q.Flags&partition.Transaction != 0 && fetch:
		f := partition.Fetched{Term: 1, Round: 1, Stamp: p.txn.Now(), NextID: p.txn.NewObjectID(0)}
		f.Generations, _ = p.txn.Get(keys.GenerationsKey(p.id))
		q.Reply, done = partition.AppendFetched(nil, &f, p.txn, queries), []*partition.Request{q}
	case q.Flags&partition.Transaction != 0: // nothing changes meanwhile
		q.Reply, done = []byte{partition.TxnValid}, []*partition.Request{q}
	default:
		done, waits = p.evaluate(q)
	}
	r.send(p)
	p.mu.Unlock()
	if waits != nil {
		r.underWay.Add(-1)
		if s, ok := waits.Sink.(partition.WaitSink); ok {
			s.Waits(waits)
		}
	}
	for _, x := range done {
		if x != q {
			r.underWay.Add(1)
		}
		r.complete(x)
	}
}

func (r *fakeRouter) complete(q *partition.Request) {
	q.Status = partition.Done
	r.delivered.Add(1)
	r.underWay.Add(-1)
	q.Sink.Complete(q)
}

// fakeWait is a request that waits, and what for.
type fakeWait struct {
	q    *partition.Request
	keys []string
	args [][]byte
	due  bool
}

// The partition is the waiters of its keys.
var _ command.Waiters = (*fakePartition)(nil)

func (p *fakePartition) Any() bool { return len(p.waits) > 0 }

func (p *fakePartition) Touch(key []byte) {
	for _, w := range p.waits {
		w.due = w.due || slices.Contains(w.keys, string(key))
	}
}

func (p *fakePartition) TouchAll() {
	for _, w := range p.waits {
		w.due = true
	}
}

func (p *fakePartition) Wait(keys, args [][]byte, _ string, _ bool) {
	p.asked = &fakeWait{args: args}
	for _, k := range keys {
		p.asked.keys = append(p.asked.keys, string(k))
	}
}

// evaluate runs a request, and who waited for what it wrote, in order.
func (p *fakePartition) evaluate(q *partition.Request) (done []*partition.Request, waits *partition.Request) {
	if q.Flags&partition.Cancel != 0 {
		for i, w := range p.waits {
			if w.q == q.Cancels {
				p.waits = slices.Delete(p.waits, i, i+1)
				w.q.Reply = q.Args[1]
				return []*partition.Request{w.q, q}, nil
			}
		}
		return []*partition.Request{q}, nil
	}
	if q.Flags&partition.Track != 0 { // nobody writes here behind a client's back
		p.waits = append(p.waits, &fakeWait{q: q})
		return nil, q
	}
	if !p.try(q) {
		if p.full {
			q.Reply = []byte("-ERR too many wait\r\n")
			return []*partition.Request{q}, nil
		}
		if p.asked.q = q; p.asked.args != nil {
			q.Args = p.asked.args
		}
		p.waits = append(p.waits, p.asked)
		return nil, q
	}
	return append([]*partition.Request{q}, p.serve()...), nil
}

// try runs a request; false: it has to wait.
func (p *fakePartition) try(q *partition.Request) bool {
	p.asked = nil
	q.Reply, _ = p.eval.Evaluate(command.Call{
		Txn: p.txn, Partition: p.id, Span: p.span, DB: q.DB, Proto: q.Proto, Args: q.Args,
		Group: q.Flags&partition.Group != 0, Watches: &p.watches, Waiters: p, Blocking: q.Flags&partition.Blocking != 0,
	}, nil)
	return p.asked == nil
}

// serve runs those whose keys were written.
func (p *fakePartition) serve() (done []*partition.Request) {
	for {
		i := slices.IndexFunc(p.waits, func(w *fakeWait) bool { return w.due })
		if i < 0 {
			return done
		}
		w := p.waits[i]
		if w.due = false; p.try(w.q) {
			p.waits = slices.DeleteFunc(p.waits, func(x *fakeWait) bool { return x == w })
			done = append(done, w.q)
		}
	}
}

// send publishes what a partition's commands have to say.
func (r *fakeRouter) send(p *fakePartition) {
	for _, m := range p.txn.Mailed {
		r.front.broker.Publish(m.Sharded, m.Channel, m.Payload, false)
	}
	p.txn.Mailed = nil
}

// big answers as many bytes as its second argument says.
func big(c *command.Ctx) {
	n, _ := strconv.Atoi(string(c.Args[2]))
	c.Out.Bulk(make([]byte, n))
}

// take takes away the first of some strings that is there, or waits.
func take(c *command.Ctx) {
	if _, ok := c.Timeout(len(c.Args) - 1); !ok {
		return
	}
	for _, key := range c.Args[1 : len(c.Args)-1] {
		if r := c.Lookup(key); r.Exists() {
			c.Out.Array(2)
			c.Out.Bulk(key)
			c.Out.Bulk(r.Body)
			c.Remove(key, r)
			return
		}
	}
	c.Block()
}

// fakeTable is the real table, and a command with replies of any size.
func fakeTable() *command.Table {
	t, err := command.NewTable(Specs(), datatype.All(), []command.Spec{
		{Name: "big", Arity: 3, Flags: command.ReadOnly, Keys: command.One, Run: big},
		{Name: "take", Arity: -3, Flags: command.Write | command.Blocking, Keys: command.KeyRange{First: 1, Last: -2, Step: 1},
			Timeout: command.TimeoutLast, Group: "string", Run: take},
	})
	if err != nil {
		panic(err)
	}
	return t
}

// Catalog runs a command of a catalog in memory.
func (r *fakeRouter) Catalog(_ context.Context, cmd string, arg []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.catalog == nil {
		r.catalog = keyspacetest.New(1)
		catalog.Found(r.catalog, [16]byte{1}, catalog.Node{Token: "t"}, 1, 1)
	}
	reply, err := catalog.Run(r.catalog, [][]byte{[]byte(cmd), arg})
	if err != nil {
		return nil, err
	}
	v, err := catalog.Load(r.catalog)
	if err != nil {
		return nil, err
	}
	s, err := catalog.LoadScripts(r.catalog)
	if err != nil {
		return nil, err
	}
	var codes []string
	for _, l := range s.Libraries {
		codes = append(codes, string(l.Code))
	}
	r.front.scripts.store.Update(v.Meta.ScriptsVersion, v.Meta.ScriptsFlushed, s.Bodies, codes)
	return reply, nil
}

// serveFake starts a front over a fake router and returns the addresses of its
// standalone and its cluster listener.
func serveFake(t testing.TB, r *fakeRouter, limits Limits) (standalone, cluster string) {
	t.Helper()
	r.front = New(Options{Router: r, Broker: newBroker(t), Table: fakeTable(), Limits: limits, CrossSlot: r.crossSlot, Version: "test"})
	var addrs [2]string
	for _, p := range []Personality{Standalone, Cluster} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[p] = l.Addr().String()
		go func() { _ = r.front.Serve(l, p) }()
	}
	return addrs[0], addrs[1]
}

// newBroker is one for a front alone.
func newBroker(t testing.TB) *broker.Broker {
	b := broker.New(broker.Config{})
	t.Cleanup(b.Close)
	return b
}
