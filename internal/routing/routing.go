// Package routing brings a session's requests to the leaders of their
// partitions and the answers back: the gateway's half of a request. It is a
// state machine without I/O, called by the node's loop.
//
// Invariants:
//   - Requests of one gateway to one partition reach the leader in the order
//     in which they were submitted. A refusal, or the news of a later
//     leadership, holds back what follows until everything sent to the last
//     leadership has come back; then all go again in order. A leadership is a
//     term: a leader that refused one request of a term refuses all that
//     follow in that term.
//   - A request that was refused, or lost with the node that had it, is sent
//     again by itself under the same origin, until its time is up: leaders
//     know what they or others ran already (partition.Answers). Only one that
//     may have run when its time is up ends as Unknown.
//   - What was under way to a node when it was lost counts as never sent,
//     whatever still arrives of it: Attempt tells requests and replies of the
//     time before from those after.
//   - A request is completed once.
package routing

import (
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
)

// Replies for requests that did not get to run, or may have run.
const (
	ReplyNoLeader = "-CLUSTERDOWN No majority of this partition's replicas could be reached in time; the command was not run\r\n"
	ReplyUnknown  = "-UNKNOWNOUTCOME The write was sent to a leader that was lost, and nobody could be asked in time what came of it; it may or may not have taken effect. Read before you try again\r\n"
)

// Answer is a forwarded request's answer, as in wire.ReplyItem.
type Answer struct {
	Sequence, Attempt uint64
	Status            partition.Status
	Leader            base.NodeID
	Term              uint64
	Reply             []byte
}

// Fence is a leader's half: of one gateway's requests it lets those through
// that were not sent before the gateway lost sight of this node.
type Fence struct{ incarnation, attempt uint64 }

// Admit says whether a request may be run.
func (f *Fence) Admit(incarnation, attempt uint64) bool {
	if incarnation < f.incarnation || incarnation == f.incarnation && attempt < f.attempt {
		return false
	}
	f.incarnation, f.attempt = incarnation, attempt
	return true
}

// Forward is a request to send to another node.
type Forward struct {
	Node    base.NodeID
	Request *partition.Request
}

// Output is what the router wants done.
type Output struct {
	Local    []*partition.Request // for the shard here
	Forwards []Forward
	Waiting  []*partition.Request // told that they wait: WaitSink.Waits is due, if their sink is one
	Complete []*partition.Request // answered: Sink.Complete is due
	// Abandoned are requests among Complete that the shard here still holds
	// and must forget first.
	Abandoned []*partition.Request
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Local)
	clear(o.Forwards)
	clear(o.Complete)
	clear(o.Abandoned)
	clear(o.Waiting)
	o.Waiting = o.Waiting[:0]
	o.Local, o.Forwards, o.Complete = o.Local[:0], o.Forwards[:0], o.Complete[:0]
	o.Abandoned = o.Abandoned[:0]
}

// route is what is known of one partition's leadership, and what is under
// way to it.
type route struct {
	leader  base.NodeID
	term    uint64
	refused uint64 // term whose leader refused
	sent    int    // requests under way
	held    bool   // a refusal or a new leadership came: nothing is sent until all are back
	paused  bool   // nothing new was learnt from it: not before the next tick
	parked  []*partition.Request
	open    []uint64 // sequences of requests, rising; completed ones are taken off the front
	quietAt uint64   // tick of the last write that was completed
	kept    bool     // the partition may keep replies that nobody needs

	waiting  int      // blocking requests that wait at a leader; they are not in sent
	recalled uint64   // the last term for which recall has looked
	arrived  []uint64 // sequences of blocking requests whose answers are to be confirmed
}

// confirmTicks is how long a partition may keep replies that have arrived,
// after the last request.
const confirmTicks = 10

// Router is one node's gateway.
type Router struct {
	self        base.NodeID
	incarnation uint64
	timeout     uint64 // ticks
	sequence    uint64
	tick        uint64
	routes      map[base.PartitionID]*route
	down        map[base.NodeID]bool
	window      []*partition.Request // by sequence, from first; nil when completed
	first       uint64
	blocked     []*partition.Request // by sequence; see blocked.go
	life        uint64               // the first sequence of this incarnation
	attempt     uint64               // counts PeerDown and Lost
	out         *Output
}

// sequenceBits is how many bits of a sequence number count the requests of one
// incarnation. Above them is the incarnation: leaders answer by the number
// alone, and a request of the node's former life may still be with one.
const sequenceBits = 44

// New returns a router for a node; requests wait for timeout ticks at most.
func New(self base.NodeID, incarnation, timeout uint64, out *Output) *Router {
	sequence := incarnation << sequenceBits
	return &Router{
		self: self, incarnation: incarnation, timeout: timeout, out: out, sequence: sequence, first: sequence + 1, life: sequence + 1,
		routes: map[base.PartitionID]*route{}, down: map[base.NodeID]bool{},
	}
}

func (r *Router) route(p base.PartitionID) *route {
	rt := r.routes[p]
	if rt == nil {
		rt = &route{kept: true} // of this node's former life
		r.routes[p] = rt
	}
	return rt
}

// Leader is the leader that requests for a partition go to; 0 if unknown.
func (r *Router) Leader(p base.PartitionID) (base.NodeID, uint64) {
	if rt := r.routes[p]; rt != nil {
		return rt.leader, rt.term
	}
	return 0, 0
}

// SetLeader learns that node leads p in term; node 0: that nobody does. Old
// news are ignored, and so is a leadership that refused a request.
func (r *Router) SetLeader(p base.PartitionID, node base.NodeID, term uint64) {
	rt := r.route(p)
	if term < rt.term || term == rt.term && (rt.leader != 0 && node != 0 || rt.refused == term) {
		return
	}
	if term != rt.term && rt.sent > 0 {
		rt.held = true // the old leadership may refuse what it has: that goes first
	}
	rt.leader, rt.term = node, term
	r.recall(p, rt)
	r.dispatch(p, rt)
}

// Waiting is the number of requests not completed yet.
func (r *Router) Waiting() int {
	n := 0
	for _, req := range r.window {
		if req != nil {
			n++
		}
	}
	return n + len(r.blocked)
}

// Submit takes new requests from sessions.
func (r *Router) Submit(reqs []*partition.Request) {
	for _, req := range reqs {
		r.sequence++
		req.Origin = base.Origin{Gateway: r.self, Incarnation: r.incarnation, Sequence: r.sequence}
		req.Route = partition.Route{Since: r.tick}
		switch {
		case req.Flags&partition.Blocking != 0:
			r.submitBlocking(req)
		case req.Cancels != nil:
			r.submitCancel(req)
		default:
			r.enter(req)
		}
	}
}

// enter brings a new request on its way.
func (r *Router) enter(req *partition.Request) {
	rt := r.route(req.Partition)
	r.window = append(r.window, req)
	rt.open = append(rt.open, req.Origin.Sequence)
	r.forward(rt, req)
}

// pass leaves a sequence out of the window.
func (r *Router) pass() {
	r.window = append(r.window, nil)
	r.slide()
}

// forward sends a new request, or parks it behind those before it.
func (r *Router) forward(rt *route, req *partition.Request) {
	if rt.leader == 0 || rt.held || rt.paused || r.down[rt.leader] {
		rt.parked = append(rt.parked, req)
		return
	}
	r.send(rt, req)
}

func (r *Router) send(rt *route, req *partition.Request) {
	rt.sent++
	req.Term, req.Leader = rt.term, 0
	if req.LowWater = r.life; req.Flags&partition.Blocking == 0 {
		req.LowWater = r.lowWater(rt)
	}
	req.Route.Evaluated, req.Route.Known = false, false
	req.Route.Node, req.Route.Term, req.Route.Attempt = rt.leader, rt.term, r.attempt
	if rt.leader == r.self {
		r.out.Local = append(r.out.Local, req)
	} else {
		r.out.Forwards = append(r.out.Forwards, Forward{Node: rt.leader, Request: req})
	}
}

// lowWater is the lowest sequence of a partition's requests that are not
// completed; there is one.
func (r *Router) lowWater(rt *route) uint64 {
	n := 0
	for r.pending(rt.open[n]) == nil {
		n++
	}
	if rt.open = rt.open[n:]; n > 0 && len(rt.open)*4 < cap(rt.open) {
		rt.open = slices.Clone(rt.open) // let go of what lies before
	}
	return rt.open[0]
}

// dispatch sends what is parked, when it may go.
func (r *Router) dispatch(p base.PartitionID, rt *route) {
	if rt.sent == 0 {
		rt.held = false
	}
	if rt.leader == 0 || r.down[rt.leader] || rt.paused || rt.held {
		return
	}
	parked := rt.parked
	rt.parked = nil
	for _, req := range parked {
		r.send(rt, req)
	}
}

// Returned takes a request back from the shard here, or with a forwarded
// answer already filled in.
func (r *Router) Returned(req *partition.Request) {
	rt := r.route(req.Partition)
	rt.leave(req)
	from := req.Route.Node
	req.Route.Node = 0
	switch req.Status {
	case partition.NotRun:
		r.refusedBy(rt, from, req)
	case partition.Unknown:
		r.unknown(rt, req)
	default:
		if r.recalled(req.Cancels) {
			r.park(rt, req) // it ended nothing, and goes behind its target again
		} else {
			r.complete(req)
		}
	}
	if rt.sent == 0 {
		r.dispatch(req.Partition, rt)
	}
}

// refusedBy parks a refused request, and learns from the refusal.
func (r *Router) refusedBy(rt *route, from base.NodeID, req *partition.Request) {
	hint, term := req.Leader, req.Term
	rt.held = true
	r.park(rt, req)
	switch {
	case term > rt.term:
		rt.leader, rt.term = hint, term
		r.recall(req.Partition, rt)
	case term == rt.term && from == rt.leader && hint != from && req.Route.Term == term:
		// It led in this term, and does not any more. (What was sent in an earlier
		// term may have been refused while it still stood for this one.)
		rt.refused, rt.leader = rt.term, 0
	case from == rt.leader:
		rt.paused = true // nothing learnt: do not ask again at once
	}
}

// park keeps the order of submission.
func (r *Router) park(rt *route, req *partition.Request) {
	i, _ := slices.BinarySearchFunc(rt.parked, req.Origin.Sequence, func(x *partition.Request, seq uint64) int {
		return int(x.Origin.Sequence) - int(seq)
	})
	rt.parked = slices.Insert(rt.parked, i, req)
}

// unknown sends a request again of which nobody knows whether it ran.
func (r *Router) unknown(rt *route, req *partition.Request) {
	req.Route.MayRun = true
	rt.held, rt.paused = true, true
	r.park(rt, req)
}

func (r *Router) complete(req *partition.Request) {
	if req.Flags&partition.Blocking != 0 {
		r.unblock(req)
		r.out.Complete = append(r.out.Complete, req)
		return
	}
	r.window[req.Origin.Sequence-r.first] = nil
	switch rt := r.route(req.Partition); {
	case req.Flags&partition.Confirm != 0: // the router's own
		if req.Status == partition.Done {
			rt.kept = false
		} else if list, ok := req.Sink.(confirming); ok {
			rt.arrived = append(rt.arrived, list...)
		}
	default:
		if req.Flags&partition.Write != 0 {
			rt.kept, rt.quietAt = true, r.tick
		}
		r.out.Complete = append(r.out.Complete, req)
	}
	r.slide()
	if req.Cancels != nil {
		r.cancelled(req)
	}
}

// slide drops the completed front of the window.
func (r *Router) slide() {
	n := 0
	for n < len(r.window) && r.window[n] == nil {
		n++
	}
	if n == len(r.window) {
		r.window, r.first = r.window[:0], r.first+uint64(n)
	} else if n > 1024 && n > len(r.window)/2 {
		m := copy(r.window, r.window[n:])
		clear(r.window[m:])
		r.window, r.first = r.window[:m], r.first+uint64(n)
	}
}

// pending returns the request with a sequence number, or nil.
func (r *Router) pending(seq uint64) *partition.Request {
	if i, found := r.findBlocked(seq); found {
		return r.blocked[i]
	}
	if seq < r.first || seq-r.first >= uint64(len(r.window)) {
		return nil
	}
	return r.window[seq-r.first]
}

// Reply takes a forwarded request's answer from a node. Late ones are dropped.
func (r *Router) Reply(from base.NodeID, a *Answer) {
	req := r.pending(a.Sequence)
	if req == nil || req.Route.Node != from || req.Route.Attempt != a.Attempt {
		return
	}
	if a.Status == partition.Waits {
		r.waits(req, a.Reply)
		return
	}
	req.Status, req.Leader, req.Reply = a.Status, a.Leader, a.Reply
	if a.Status == partition.NotRun {
		req.Term = a.Term
	}
	r.Returned(req)
}

// Undelivered says that a forwarded request was certainly not sent.
func (r *Router) Undelivered(to base.NodeID, seq, attempt uint64) {
	if req := r.pending(seq); req != nil && req.Route.Node == to && req.Route.Attempt == attempt {
		req.Status, req.Leader = partition.NotRun, 0
		req.Term = 0
		r.Returned(req)
	}
}

// Lost says that what was under way to a node may never arrive there, or the
// answers here.
func (r *Router) Lost(node base.NodeID) {
	r.attempt++
	for _, req := range slices.Concat(r.blocked, r.window) {
		if req != nil && req.Route.Node == node {
			req.Status, req.Leader, req.Term = partition.Unknown, 0, 0
			r.Returned(req)
		}
	}
}

// PeerDown says that a node's process is gone, and with it what was under
// way there.
func (r *Router) PeerDown(node base.NodeID) {
	r.down[node] = true
	r.Lost(node)
}

// PeerUp says that a node is connected to this one, for the first time or
// again. What it answered before found no way here.
func (r *Router) PeerUp(node base.NodeID) {
	if !r.down[node] {
		r.Lost(node)
		return
	}
	delete(r.down, node)
	for p, rt := range r.inOrder() {
		if rt.leader == node {
			r.dispatch(p, rt)
		}
	}
}

// inOrder walks the routes by partition, so that equal inputs give equal
// outputs.
func (r *Router) inOrder() func(yield func(base.PartitionID, *route) bool) {
	ids := make([]base.PartitionID, 0, len(r.routes))
	for id := range r.routes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return func(yield func(base.PartitionID, *route) bool) {
		for _, id := range ids {
			if !yield(id, r.routes[id]) {
				return
			}
		}
	}
}

// Tick advances the router's clock, and ends what waited too long: a request
// that is parked was not run; one that is under way may have been. One that
// waits here to be evaluated keeps waiting: a leader without a majority steps
// down and refuses it.
func (r *Router) Tick() {
	r.tick++
	r.expireOld() // first: what is sent now is not over at once
	for p, rt := range r.inOrder() {
		rt.paused = false
		r.dispatch(p, rt)
		r.confirm(p, rt)
	}
}

// confirm tells a partition that its replies have arrived, when nothing else
// is about to.
func (r *Router) confirm(p base.PartitionID, rt *route) {
	if len(rt.arrived) > 0 && rt.leader != 0 {
		r.acknowledge(p, rt)
	}
	if rt.kept && rt.leader != 0 && rt.sent == 0 && len(rt.parked) == 0 && r.tick-rt.quietAt >= confirmTicks {
		rt.quietAt = r.tick // at that pace, if it fails
		r.Submit([]*partition.Request{{Partition: p, Flags: partition.Write | partition.Confirm | partition.Whole, Proto: 2}})
	}
}

func (r *Router) expireOld() {
	for i := 0; i < len(r.window); i++ {
		req := r.window[i]
		if req == nil {
			continue
		}
		if r.tick-req.Route.Since < r.timeout {
			return
		}
		if req.Route.Node == r.self && !req.Route.Evaluated {
			continue
		}
		r.expire(req)
		n, first := len(r.window), r.first
		r.complete(req)
		if r.first != first || len(r.window) != n {
			i = -1 // the window slid
		}
	}
}

// expire ends a request whose time is up.
func (r *Router) expire(req *partition.Request) {
	rt := r.route(req.Partition)
	where := req.Route.Node
	req.Route.Node = 0
	req.Status, req.Reply = partition.NotRun, []byte(ReplyNoLeader)
	if req.Route.MayRun && req.Flags&partition.Write != 0 {
		req.Status, req.Reply = partition.Unknown, []byte(ReplyUnknown)
	}
	if where == 0 {
		rt.parked = slices.DeleteFunc(rt.parked, func(x *partition.Request) bool { return x == req })
		return
	}
	rt.leave(req)
	if where == r.self {
		r.out.Abandoned = append(r.out.Abandoned, req)
	}
	if req.Flags&partition.Write != 0 {
		req.Status, req.Reply = partition.Unknown, []byte(ReplyUnknown)
	}
}
