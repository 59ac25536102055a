package sim

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/cut"
	"coterie/internal/partition"
	"coterie/internal/routing"
	"coterie/internal/shard"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"
	"coterie/internal/txn"
	"coterie/internal/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	tick         = 50 * milli
	requestTicks = 100
	epoch        = 1_700_000_000 * second // the wall clock when a run begins
)

// proc is one life of a node's process: the loop of package node with its
// goroutines turned into events.
type proc struct {
	c           *cluster
	m           *machine
	incarnation uint64
	dead        bool
	startedAt   int64
	wallAt      base.Stamp

	shard     *shard.Shard
	evaluator evaluator
	router    *routing.Router
	messages  *messenger
	routed    routing.Output
	txns      *txn.Coordinator
	cuts      *cut.Coordinator
	gateways  []*gateway           // evaluations under way
	free      []*command.Evaluator // for more of them
	fences    map[base.NodeID]*routing.Fence
	planned   bool   // a turn is
	due       func() // turnDue, bound once
	ticks     uint64

	logQueue   []logWrite
	logBusy    bool
	appending  bool // the write to the log under way holds appends
	hungTicks  int  // that it has taken so far
	moveQueue  []moveJob
	moveBusy   bool
	flushing   bool
	imports    map[uint64]*pendingImport
	outStreams map[uint64]*outStream
	inStreams  map[uint64]*inStream
	tokens     uint64
	installing map[base.PartitionID]bool

	// What follows the catalog, see member.go.
	view         *catalog.View
	heard        map[base.NodeID]*heard
	settled      map[base.PartitionID]bool
	creating     map[base.PartitionID]base.ReplicaID
	catalogDirty bool
	catalogRound [2]uint64
	// scriptsVersion is that of the scripts that were read.
	scriptsVersion uint64
	reportSoon     bool
	placing        int

	sentTo map[base.ReplicaID]int // snapshots
	confs  map[base.PartitionID]partition.Conf

	confirmed map[base.PartitionID]int64  // when leadership was, for BugReusedConfirmation
	digested  map[base.PartitionID]uint64 // applied index of the last digest

	validates map[*[]byte]bool                        // first arguments of groups, for BugReleasedLocks
	locked    map[base.PartitionID]map[base.Slot]bool // before the turn, likewise

	arrived map[*partition.Request]int64 // when reads did, µs
}

// logWrite is a turn's appends on their way to the log.
type logWrite struct {
	appends []partition.Append
	updates []logstore.Update
	done    func()
}

// moveJob is work for the mover: a move down, or a flush.
type moveJob struct {
	move  *partition.MoveDown
	flush bool
}

// do runs f on the process's loop; a paused process gets to it later.
func (p *proc) do(f func()) {
	switch {
	case p.dead:
	case p.m.paused:
		p.m.inbox = append(p.m.inbox, f)
	default:
		p.guard(f)
		p.wake()
	}
}

func (p *proc) after(delay int64, f func()) { p.c.after(delay, func() { p.do(f) }) }

// now is the process's clock: wall time at its start, advanced by a monotonic
// clock that drifts.
func (p *proc) now() base.Stamp {
	run := float64(p.c.now-p.startedAt) * (1 + p.m.drift)
	return p.wallAt + base.Stamp(run)
}

// wake plans a turn, a moment later: what comes meanwhile shares it.
func (p *proc) wake() {
	if !p.planned && !p.dead {
		p.planned = true
		p.c.after(p.c.between(5*micro, 60*micro), p.due)
	}
}

func (p *proc) turnDue() {
	if p.dead {
		return
	}
	if p.m.paused {
		p.m.inbox = append(p.m.inbox, p.turnDue)
		return
	}
	p.planned = false
	p.guard(p.turn)
}

// turn is the node's: shard and router do what has come up, and it is carried
// out.
func (p *proc) turn() {
	for range 4 {
		if p.carryRouted(); p.dead || p.point(pointApplyBefore) {
			return
		}
		p.lockedPlanted()
		out, wake := p.shard.Turn(p.now())
		if out.Fatal != nil {
			if planned(out.Fatal) {
				p.fail(out.Fatal)
			} else {
				p.c.violate("n%d: %v", p.m.id, out.Fatal)
			}
			return
		}
		if p.point(pointApplyAfter) {
			return
		}
		if p.carryOut(out); p.dead {
			return
		}
		p.shard.Done()
		if wake != 0 {
			p.after(max(int64(wake)-int64(p.now()), 1), func() {})
		}
		if p.carryRouted(); p.dead {
			return
		}
		if p.coordinate(); len(p.routed.Local) == 0 {
			if p.carryRouted(); p.dead {
				return
			}
			break
		}
	}
	p.afterTurn()
	if !p.dead && p.m.readFault() == nil {
		p.c.digest(p)
	}
}

func (p *proc) carryOut(out *partition.Output) {
	if len(out.Appends) > 0 {
		if p.writeLog(out.Appends); p.point(pointAppendQueued) {
			return
		}
	}
	if len(out.Messages) > 0 && (!p.shard.HungDisk() || p.c.opts.Bug == BugHungLeader) && p.sendAll(out.Messages) {
		return
	}
	for i := range out.Pins {
		p.pin(&out.Pins[i])
	}
	for i := range out.Snapshots {
		if p.dead {
			return
		}
		p.sendSnapshot(&out.Snapshots[i])
	}
	for i := range out.MoveDowns {
		m := out.MoveDowns[i]
		p.enqueueMove(moveJob{move: &m})
	}
	for _, token := range out.Discarded {
		p.discardImport(token)
	}
	for _, r := range out.Changed {
		if p.replicaChanged(r); p.dead {
			return
		}
	}
	p.messages.mail(out.Mail) // before the replies: who gets one may rely on it
	p.tell(out.Waiting)
	p.finish(out.Finished)
	if p.c.opts.Bug == BugNoRecovery {
		return
	}
	for _, r := range out.Recovers {
		if !p.recoversPlanted(r) {
			p.txns.Recover(r)
		}
	}
	for _, s := range out.Settles {
		p.txns.Settle(s)
	}
}

// coordinate lets transactions over partitions, and cuts, go on. New ones begin
// with txns.Begin and cuts.Begin.
func (p *proc) coordinate() {
	for _, t := range p.txns.Turn() {
		if t.Status == partition.Unknown {
			p.c.met(eventUnknown)
		}
		t.Sink.CompleteTxn(t)
	}
	for _, x := range p.cuts.Turn() {
		x.Sink.CompleteCut(x)
	}
}

// pin pins the state store for a view of a cut.
func (p *proc) pin(x *partition.Pin) {
	var view state.View
	if p.m.readFault() == nil {
		var err error
		if view, err = p.m.states.Pin(); err != nil {
			p.c.violate("n%d: %v", p.m.id, err)
		}
	}
	p.shard.Pinned(x, view)
	p.after(1, func() {})
}

// sendAll sends a turn's messages of Raft, unless the process dies over it.
func (p *proc) sendAll(ms []partition.Message) (died bool) {
	if p.point(pointSendBefore) {
		return true
	}
	for i := range ms {
		if i > 0 && p.point(pointSendBetween) {
			return true
		}
		p.sendRaft(&ms[i])
	}
	return p.point(pointSendAfter)
}

// tell says which requests wait.
func (p *proc) tell(notices []partition.Notice) {
	for _, w := range notices {
		p.waitsPlanted(w.Request)
		s, remote := w.Request.Sink.(*remoteSink)
		if !remote {
			p.router.Waits(w.Request, w.Args)
			continue
		}
		msg := wire.AppendReply(nil, &wire.ReplyItem{
			Sequence: w.Request.Origin.Sequence, Attempt: w.Request.Route.Attempt, Status: uint8(partition.Waits), Reply: w.Args,
		})
		from := p.m.id
		p.c.post(p, s.node, laneRequest, nil, func(q *proc) { q.receiveReplies(from, msg) })
	}
}

// finish answers what the shard has finished.
func (p *proc) finish(reqs []*partition.Request) {
	if len(reqs) == 0 {
		return
	}
	var replies outbox
	for _, req := range reqs {
		p.c.noteCut(req)
		p.checkRead(req)
		s, remote := req.Sink.(*remoteSink)
		if !remote {
			p.noteRefusal(req)
			p.router.Returned(req)
			continue
		}
		if s.node == 0 {
			p.c.violate("n%d ends a request of another gateway twice: %q", p.m.id, req.Args)
			continue
		}
		req.Sink = &remoteSink{}
		x := replies.to(s.node)
		x.msg = wire.AppendReply(x.msg, &wire.ReplyItem{
			Sequence: req.Origin.Sequence, Attempt: req.Route.Attempt,
			Status: uint8(req.Status), Leader: req.Leader, Term: req.Term, Reply: req.Reply,
		})
	}
	for _, x := range replies {
		from, msg := p.m.id, x.msg
		p.c.post(p, x.node, laneRequest, nil, func(q *proc) { q.receiveReplies(from, msg) })
	}
	if len(replies) > 0 {
		p.point(pointRepliesSent)
	}
}

func (p *proc) carryRouted() {
	r := &p.routed
	for _, req := range r.Abandoned {
		p.shard.Abandon(req)
	}
	for _, req := range r.Waiting {
		if s, ok := req.Sink.(partition.WaitSink); ok {
			s.Waits(req)
		}
	}
	if len(r.Local)+len(r.Forwards)+len(r.Complete) == 0 {
		r.Reset()
		return
	}
	local := slices.Clone(r.Local)
	var requests outbox
	for _, f := range r.Forwards {
		req := f.Request
		x := requests.to(f.Node)
		x.msg = wire.AppendRequest(x.msg, &wire.RequestItem{
			Sequence: req.Origin.Sequence, LowWater: req.LowWater, Incarnation: req.Origin.Incarnation,
			Attempt: req.Route.Attempt, Session: req.Session, Term: req.Term, Partition: req.Partition,
			Slot: req.Slot, DB: req.DB, Proto: req.Proto, Flags: uint8(req.Flags), Args: req.Args,
		})
	}
	for _, req := range r.Complete {
		p.complete(req)
	}
	r.Reset()
	for _, req := range local {
		p.resolvedPlanted(req)
		p.arrives(req)
		p.shard.Submit(req)
	}
	for _, x := range requests {
		from, to, msg := p.m.id, x.node, x.msg
		p.c.endLine(appendSent(p.c.beginLine(), from, to, len(msg)))
		if !p.c.post(p, to, laneRequest, msg, func(q *proc) { q.receiveRequests(from, msg) }) {
			p.do(func() { p.undelivered(to, msg) })
		}
	}
	if len(requests) > 0 {
		p.point(pointRequestsSent)
	}
}

// outbox is one message to each of several nodes, rising by their ids.
type outbox []letter

type letter struct {
	node base.NodeID
	msg  []byte
}

// to finds the message to a node, or begins one.
func (o *outbox) to(node base.NodeID) *letter {
	i, ok := slices.BinarySearchFunc(*o, node, func(x letter, n base.NodeID) int { return cmp.Compare(x.node, n) })
	if !ok {
		*o = slices.Insert(*o, i, letter{node: node})
	}
	return &(*o)[i]
}

// appendSent writes forwarded requests as a line of the trace.
func appendSent(b []byte, from, to base.NodeID, size int) []byte {
	b = strconv.AppendUint(append(b, 'n'), uint64(from), 10)
	b = strconv.AppendUint(append(b, " -> n"...), uint64(to), 10)
	b = strconv.AppendInt(append(b, " requests, "...), int64(size), 10)
	return append(b, " bytes"...)
}

// complete answers a client. What a full disk or a long queue refused was
// certainly not run, and the client can tell by the answer.
func (p *proc) complete(req *partition.Request) {
	if req.Status == partition.Done && (bytes.HasPrefix(req.Reply, misconf) || bytes.HasPrefix(req.Reply, tryAgain)) {
		p.c.met(eventReadOnly)
		req.Status = partition.NotRun
	}
	if req.Status == partition.Unknown {
		p.c.met(eventUnknown)
	}
	req.Sink.Complete(req)
}

var misconf, tryAgain = []byte("-MISCONF "), []byte("-TRYAGAIN ")

// remoteSink marks requests of another gateway; without a node, those that have
// ended. Their memory is another request's by then, in production.
type remoteSink struct{ node base.NodeID }

// Complete is never called: carryOut answers these by message.
func (*remoteSink) Complete(*partition.Request) {
	panic("sim: remote requests are answered by message")
}

func (p *proc) receiveRequests(from base.NodeID, msg []byte) {
	rd, err := wire.ReadRequests(msg)
	for err == nil {
		var it wire.RequestItem
		var ok bool
		if ok, err = rd.Next(&it); !ok {
			break
		}
		fence := p.fences[from]
		if fence == nil {
			fence = &routing.Fence{}
			p.fences[from] = fence
		}
		if !fence.Admit(it.Incarnation, it.Attempt) {
			continue
		}
		gateway := from
		served := p.c.opts.Bug == BugServedTwice && partition.RequestFlags(it.Flags)&partition.Blocking != 0
		if p.c.opts.Bug == BugRetriedWrites || served { // under an origin that nobody knows
			gateway += base.NodeID(1000 * it.Attempt)
		}
		req := &partition.Request{
			Partition: it.Partition, Slot: it.Slot, DB: it.DB, Proto: it.Proto, Flags: partition.RequestFlags(it.Flags),
			Args: it.Args, Term: it.Term, Sink: &remoteSink{node: from},
			Origin:  base.Origin{Gateway: gateway, Incarnation: it.Incarnation, Sequence: it.Sequence},
			Session: it.Session, LowWater: it.LowWater, Route: partition.Route{Attempt: it.Attempt},
		}
		p.resolvedPlanted(req)
		p.cutPlanted(req)
		p.arrives(req)
		p.shard.Submit(req)
	}
	if err != nil {
		p.c.violate("n%d: requests: %v", p.m.id, err)
	}
}

func (p *proc) receiveReplies(from base.NodeID, msg []byte) {
	rd, err := wire.ReadReplies(msg)
	for err == nil {
		var it wire.ReplyItem
		var ok bool
		if ok, err = rd.Next(&it); !ok {
			break
		}
		if partition.Status(it.Status) == partition.NotRun {
			p.c.met(eventResent)
		}
		p.router.Reply(from, &routing.Answer{
			Sequence: it.Sequence, Attempt: it.Attempt, Status: partition.Status(it.Status),
			Leader: it.Leader, Term: it.Term, Reply: bytes.Clone(it.Reply),
		})
	}
	if err != nil {
		p.c.violate("n%d: replies: %v", p.m.id, err)
	}
}

// undelivered gives requests back to the router that were never sent.
func (p *proc) undelivered(to base.NodeID, msg []byte) {
	rd, err := wire.ReadRequests(msg)
	for err == nil {
		var it wire.RequestItem
		var ok bool
		if ok, err = rd.Next(&it); !ok {
			break
		}
		p.router.Undelivered(to, it.Sequence, it.Attempt)
	}
}

func (p *proc) sendRaft(m *partition.Message) {
	p.sendsPlanted(m)
	p.c.checkAcknowledged(p, m)
	msg := wire.AppendRaft(nil, m.Partition, m.From, m.To, m.Raft)
	from, in := p.m.id, laneControl
	if len(msg) > largeAppend {
		in = laneAppend
	}
	p.c.endLine(appendMessage(p.c.beginLine(), from, m))
	p.c.scatter(p, m.Node, in, func(q *proc) { q.receiveRaft(from, msg) })
}

// appendMessage writes a message of Raft as a line of the trace.
func appendMessage(b []byte, from base.NodeID, m *partition.Message) []byte {
	r := m.Raft
	num := func(before string, n uint64) { b = strconv.AppendUint(append(b, before...), n, 10) }
	num("n", uint64(from))
	num(" -> n", uint64(m.Node))
	num(" p", uint64(m.Partition))
	b = append(append(b, ' '), r.GetType().String()...)
	num(" t", r.GetTerm())
	num(" ", r.GetLogTerm())
	num("/", r.GetIndex())
	num(" c", r.GetCommit())
	num(" e", uint64(len(r.GetEntries())))
	if r.GetReject() {
		b = append(b, " rejected"...)
	}
	return b
}

// largeAppend is the size from which a Raft message travels in the lower
// lane. Smaller than in production, since everything is. Bytes.
const largeAppend = 1 << 10

func (p *proc) receiveRaft(from base.NodeID, msg []byte) {
	rd, err := wire.ReadRaft(msg)
	for err == nil {
		var it wire.RaftItem
		var ok bool
		if ok, err = rd.Next(&it); !ok {
			break
		}
		if r := p.shard.Replica(it.Partition); r == nil || r.ID() != it.To {
			p.c.met(eventRemovedAnswers)
		}
		p.receivesPlanted(&it)
		p.shard.Step(it.Partition, it.From, it.To, from, it.Msg)
	}
	if err != nil {
		p.c.violate("n%d: raft message: %v", p.m.id, err)
	}
}

func (p *proc) peerUp(id base.NodeID) {
	p.messages.PeerUp(id)
	p.messages.wake()
	p.hear(id).up = true
	p.router.PeerUp(id)
	p.reportSoon = true
}

func (p *proc) peerDown(id base.NodeID) {
	p.messages.PeerDown(id)
	p.hear(id).up = false
	p.shard.PeerDown(id)
	p.router.PeerDown(id)
	p.loseStreams(id)
	for _, in := range sortedKeys(p.inStreams) {
		if x := p.inStreams[in]; x.from == id {
			p.endIn(x)
		}
	}
}

// tick is the pace of everything that time drives. A process that was paused
// gets one for many.
func (p *proc) tick() {
	p.ticks++
	p.checkHung()
	p.stepAside()
	p.shard.Tick()
	p.router.Tick()
	p.txns.Tick()
	p.cuts.Tick()
	p.reconcile()
	if p.ticks%reportTicks == 0 {
		p.report()
	}
	if p.ticks%placementTicks == 0 {
		p.place()
	}
	if p.ticks%p.c.opts.HousekeepTicks == 0 {
		p.housekeep()
	}
	p.after(int64(float64(tick)/(1+p.m.drift)), p.tick)
}

// stepAside hands over what is led here while the disk is full, as
// watchSelf of package node.
func (p *proc) stepAside() {
	if p.m.disk.full == "" || p.ticks%reportTicks != 0 {
		return
	}
	for _, r := range p.shard.Replicas() {
		for _, h := range sortedKeys(p.heard) {
			if r.Leads() && p.alive(h) && r.Transfer(h) {
				p.shard.Touch(r)
				break
			}
		}
	}
}

// raftHead decodes the message that announces a snapshot.
func raftHead(meta []byte) (it wire.RaftItem, ok bool) {
	rd, err := wire.ReadRaft(bytes.Clone(meta))
	if err != nil {
		return it, false
	}
	ok, err = rd.Next(&it)
	return it, ok && err == nil && it.Msg.GetType() == pb.MsgSnap
}
