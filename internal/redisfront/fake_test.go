package redisfront

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/resp"
)

// fakeMode says when a fakeRouter completes requests.
type fakeMode int

const (
	fakeLoop   fakeMode = iota // soon, on one loop goroutine
	fakeSync                   // before Submit returns
	fakeDelays                 // each partition on its own, after random waits
)

// fakeRouter is a cluster in memory: string values only, a map for each
// partition.
type fakeRouter struct {
	front     *Front
	mode      fakeMode
	dir       atomic.Pointer[Directory]
	parts     map[base.PartitionID]*fakePartition
	gen       atomic.Uint32
	delivered atomic.Uint64
	stall     chan struct{} // if set, the loop waits for it

	mu    sync.Mutex
	inbox []*partition.Request
	wake  chan struct{}
	stop  chan struct{}
	done  sync.WaitGroup
}

type fakePartition struct {
	id    base.PartitionID
	span  base.Span
	mu    sync.Mutex
	data  [Databases]map[string]string
	queue chan *partition.Request
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
		for db := range p.data {
			p.data[db] = make(map[string]string)
		}
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

func (r *fakeRouter) Submit(reqs []*partition.Request) {
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

func (r *fakeRouter) run(q *partition.Request) {
	w := resp.Writer{Proto: int(q.Proto)}
	p := r.parts[q.Partition]
	p.mu.Lock()
	p.eval(&w, q)
	p.mu.Unlock()
	q.Reply, q.Status = w.Buf, partition.Done
	r.delivered.Add(1)
	q.Sink.Complete(q)
}

func (p *fakePartition) eval(w *resp.Writer, q *partition.Request) {
	a, data := q.Args, p.data[q.DB]
	var room [16]byte
	switch string(lower(room[:0], a[0])) {
	case "set":
		data[string(a[1])] = string(a[2])
		w.Simple("OK")
	case "get":
		if v, ok := data[string(a[1])]; ok {
			w.BulkString(v)
		} else {
			w.Null()
		}
	case "incr":
		n, err := strconv.Atoi("0" + data[string(a[1])])
		if err != nil {
			w.Error(errNotInteger)
			return
		}
		data[string(a[1])] = strconv.Itoa(n + 1)
		w.Int(int64(n + 1))
	case "big":
		n, _ := strconv.Atoi(string(a[2]))
		w.Bulk(make([]byte, n))
	case "del", "exists":
		n := 0
		for _, k := range a[1:] {
			if _, ok := data[string(k)]; ok {
				n++
			}
			if is(a[0], "del") {
				delete(data, string(k))
			}
		}
		w.Int(int64(n))
	case "mget":
		w.Array(len(a) - 1)
		for _, k := range a[1:] {
			if v, ok := data[string(k)]; ok {
				w.BulkString(v)
			} else {
				w.Null()
			}
		}
	case "mset":
		for i := 1; i < len(a); i += 2 {
			data[string(a[i])] = string(a[i+1])
		}
		w.Simple("OK")
	case "type":
		w.Simple("string")
	case "strlen":
		w.Int(int64(len(data[string(a[1])])))
	case "dbsize":
		w.Int(int64(len(data)))
	case "flushall", "flushdb":
		if n, err := strconv.Atoi(string(a[1])); err != nil || n < 100 {
			w.Error("ERR no generation")
			return
		}
		for db := range p.data {
			if uint8(db) == q.DB || is(a[0], "flushall") {
				p.data[db] = make(map[string]string)
			}
		}
		w.Simple("OK")
	case "randomkey":
		for k := range data {
			w.BulkString(k)
			return
		}
		w.Null()
	case "keys":
		all := p.sorted(q.DB)
		w.Array(len(all))
		for _, k := range all {
			w.BulkString(k)
		}
	case "scan":
		p.scan(w, q)
	case "info":
		w.Array(Databases)
		for db := range p.data {
			w.Int(int64(len(p.data[db])))
		}
	case "cluster":
		w.Int(3)
	default:
		w.Error("ERR fake: " + string(a[0]))
	}
}

func (p *fakePartition) sorted(db uint8) []string {
	var all []string
	for k := range p.data[db] {
		all = append(all, k)
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := base.KeySlot([]byte(all[i])), base.KeySlot([]byte(all[j]))
		return a < b || a == b && all[i] < all[j]
	})
	return all
}

// scan returns the keys of one slot at a time.
func (p *fakePartition) scan(w *resp.Writer, q *partition.Request) {
	at, _ := strconv.ParseUint(string(q.Args[1]), 10, 64)
	from, _ := keys.Cursor(at).Slot()
	var found []string
	next := uint64(0)
	slot := -1
	for _, k := range p.sorted(q.DB) {
		s := int(base.KeySlot([]byte(k)))
		if s < int(from) {
			continue
		}
		if slot >= 0 && s != slot {
			next = uint64(keys.CursorAtSlot(base.Slot(s)))
			break
		}
		slot = s
		found = append(found, k)
	}
	w.Array(2)
	w.BulkString(strconv.FormatUint(next, 10))
	w.Array(len(found))
	for _, k := range found {
		w.BulkString(k)
	}
}

func fakeSpecs() []command.Spec {
	one := command.KeyRange{First: 1, Last: 1, Step: 1}
	all := command.KeyRange{First: 1, Last: -1, Step: 1}
	row := func(name string, arity int, flags command.Flags, keys command.KeyRange, fan command.Fan) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: flags, Keys: keys, Fan: fan, Group: "string", Since: "1.0.0", Summary: "Test.", Complexity: "O(1)"}
	}
	var none command.KeyRange
	return []command.Spec{
		row("set", -3, command.Write, one, 0), row("get", 2, command.ReadOnly|command.Fast, one, 0),
		row("incr", 2, command.Write, one, 0), row("big", 3, command.ReadOnly, one, 0),
		row("type", 2, command.ReadOnly, one, 0), row("strlen", 2, command.ReadOnly, one, 0),
		row("del", -2, command.Write, all, command.FanSum), row("exists", -2, command.ReadOnly, all, command.FanSum),
		row("mget", -2, command.ReadOnly, all, command.FanGather),
		row("mset", -3, command.Write, command.KeyRange{First: 1, Last: -1, Step: 2}, command.FanOK),
		row("sinter", -2, command.ReadOnly, all, command.FanNone),
		row("dbsize", 1, command.ReadOnly|command.Fast, none, command.FanAllSum),
		row("flushall", -1, command.Write, none, command.FanAllOK), row("flushdb", -1, command.Write, none, command.FanAllOK),
		row("keys", 2, command.ReadOnly, none, command.FanAllConcat),
		row("scan", -2, command.ReadOnly, none, command.FanScan),
		row("randomkey", 1, command.ReadOnly, none, command.FanAny),
	}
}

func fakeTable() *command.Table {
	t, err := command.NewTable(fakeSpecs(), Specs())
	if err != nil {
		panic(err)
	}
	return t
}

// serveFake starts a front over a fake router and returns the addresses of its
// standalone and its cluster listener.
func serveFake(t testing.TB, r *fakeRouter, limits Limits) (standalone, cluster string) {
	t.Helper()
	r.front = New(Options{Router: r, Table: fakeTable(), Limits: limits, Version: "test"})
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
