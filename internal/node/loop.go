package node

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/routing"
	"coterie/internal/transport"
	"coterie/internal/txn"
	"coterie/internal/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

// largeAppend is the size from which a Raft message travels in the lower
// lane, so that votes and heartbeats do not wait behind it. Bytes.
const largeAppend = 32 << 10

// peerOut gathers what one turn has for one peer: one message per lane.
type peerOut struct {
	control, appends, requests, replies []byte
	// unsent is at least how many bytes of replies are queued for the peer, or
	// less than its queue may hold.
	unsent int
}

// remoteSink marks requests that another gateway sent; the loop answers them
// by message.
type remoteSink struct {
	node  base.NodeID
	fence routing.Fence
}

// Complete is never called: the loop recognizes the type.
func (*remoteSink) Complete(*partition.Request) {
	panic("node: remote requests are answered by the loop")
}

// run is the loop: the only goroutine that touches shard, router and peers.
func (n *Node) run() {
	defer close(n.loopDone)
	defer n.inbox.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var b batch
	var wakeAt base.Stamp
	for !n.stopping {
		if !n.inbox.take(&b) {
			if !n.sleep(timer, wakeAt) {
				return
			}
			// Let everybody else who just woke up put in what they have: one
			// turn for all is much cheaper than a turn each.
			runtime.Gosched()
			n.inbox.take(&b)
			n.inbox.awake()
		}
		n.heartbeat.Store(time.Now().UnixNano())
		for i := range b.messages {
			n.receive(&b.messages[i])
		}
		for _, f := range b.events {
			f()
		}
		switch {
		case len(b.requests) == 0:
		case n.failed != nil: // at once: waiting for other nodes would be in vain
			for _, req := range b.requests {
				req.Status, req.Reply = partition.Done, n.failedReply
				req.Sink.Complete(req)
			}
			n.completed = true
		default:
			n.router.Submit(b.requests)
		}
		for _, t := range b.txns {
			n.begin(t)
		}
		wakeAt = n.turn()
	}
}

// sleep waits for the inbox, or until wakeAt if it is set.
func (n *Node) sleep(timer *time.Timer, wakeAt base.Stamp) bool {
	if wakeAt == 0 {
		select {
		case <-n.inbox.wake:
			return true
		case <-n.quit:
			return false
		}
	}
	timer.Reset(time.Duration(int64(wakeAt)-int64(n.now())) * time.Microsecond)
	select {
	case <-n.inbox.wake:
		timer.Stop()
	case <-timer.C:
		n.inbox.awake()
	case <-n.quit:
		return false
	}
	return true
}

// turn lets shard and router do what has come up, and carries it out. It
// repeats while finished requests lead to new local ones.
func (n *Node) turn() (wakeAt base.Stamp) {
	for range 4 {
		n.carryRouted()
		if n.crowded {
			n.holdBack()
		}
		out, wake := n.shard.Turn(n.now())
		wakeAt = wake
		if out.Fatal != nil {
			n.fail(out.Fatal)
		}
		n.carryOut(out)
		n.shard.Done()
		n.carryRouted()
		n.coordinate()
		if len(n.routed.Local) == 0 {
			n.carryRouted() // what the transactions send to others
			break
		}
	}
	n.afterTurn()
	n.flushPeers()
	if n.completed {
		n.completed = false
		n.front.Flush()
	}
	if look := n.now() + holdMicros; n.crowded && (wakeAt == 0 || wakeAt > look) {
		return look
	}
	return wakeAt
}

// carryOut does what the shard wants done.
func (n *Node) carryOut(out *partition.Output) {
	if len(out.Appends) > 0 && n.failed == nil {
		n.writeLog(out.Appends)
	}
	mute := n.failed != nil || n.shard.HungDisk()
	for i := range out.Messages {
		if m := &out.Messages[i]; !mute {
			n.sendRaft(m)
		}
	}
	for i := range out.Pins { // before anything else goes down, as for snapshots
		n.pin(&out.Pins[i])
	}
	for i := range out.Snapshots {
		n.sendSnapshot(&out.Snapshots[i])
	}
	for i := range out.MoveDowns {
		n.moveDown(&out.MoveDowns[i])
	}
	if n.afterMoves {
		n.afterMoves = false
		n.moves <- moveJob{flush: true}
	}
	for _, token := range out.Discarded {
		n.discardImport(token)
	}
	for _, r := range out.Changed {
		n.replicaChanged(r)
	}
	for _, w := range out.Waiting {
		if s, ok := w.Request.Sink.(*remoteSink); ok {
			n.tellRemote(s.node, w)
		} else {
			n.router.Waits(w.Request, w.Args)
		}
	}
	for _, m := range out.Mail { // before the replies: who gets one may rely on it
		n.broker.Publish(m.Sharded, m.Channel, m.Payload, false)
	}
	for _, req := range out.Finished {
		if s, ok := req.Sink.(*remoteSink); ok {
			n.answerRemote(s.node, req)
		} else {
			n.router.Returned(req)
		}
	}
	for _, r := range out.Recovers {
		n.coordinator.Recover(r)
	}
	for _, s := range out.Settles {
		n.coordinator.Settle(s)
	}
}

// begin takes a session's transaction over partitions.
func (n *Node) begin(t *txn.Transaction) {
	if n.failed != nil {
		t.Status, t.Reply = partition.Done, n.failedReply
		t.Sink.CompleteTxn(t)
		n.completed = true
		return
	}
	n.coordinator.Begin(t)
}

// coordinate lets transactions over partitions, and cuts, go on.
func (n *Node) coordinate() {
	for _, t := range n.coordinator.Turn() {
		n.completed = true
		t.Sink.CompleteTxn(t)
	}
	for _, c := range n.cuts.Turn() {
		n.completed = true
		c.Sink.CompleteCut(c)
	}
}

// carryRouted does what the router wants done.
func (n *Node) carryRouted() {
	r := &n.routed
	for _, req := range r.Abandoned {
		n.shard.Abandon(req)
	}
	local := n.localBuf[:0]
	local = append(local, r.Local...)
	for i := range r.Forwards {
		n.forward(&r.Forwards[i])
	}
	for _, req := range r.Waiting {
		if s, ok := req.Sink.(partition.WaitSink); ok {
			n.completed = true
			s.Waits(req)
		}
	}
	for _, req := range r.Complete {
		n.completed = true
		req.Sink.Complete(req)
	}
	r.Reset()
	for _, req := range local {
		if n.failed != nil {
			req.Status, req.Reply = partition.Done, n.failedReply
			n.router.Returned(req)
			continue
		}
		n.shard.Submit(req)
	}
	clear(local)
	n.localBuf = local
}

// peer returns what gathers for a node.
func (n *Node) peer(id base.NodeID) *peerOut {
	p := n.peers[id]
	if p == nil {
		p = &peerOut{}
		n.peers[id] = p
	}
	return p
}

func (n *Node) sendRaft(m *partition.Message) {
	p := n.peer(m.Node)
	size := 0
	for _, e := range m.Raft.GetEntries() {
		size += len(e.GetData())
	}
	if size > largeAppend {
		p.appends = wire.AppendRaft(p.appends, m.Partition, m.From, m.To, m.Raft)
	} else {
		p.control = wire.AppendRaft(p.control, m.Partition, m.From, m.To, m.Raft)
	}
	if size > maxCoalesced {
		n.send(m.Node, transport.Append, &p.appends)
	}
}

// maxCoalesced bounds the bytes that gather in one message before it is sent
// in the middle of a turn.
const maxCoalesced = 1 << 20

func (n *Node) send(to base.NodeID, class transport.Class, buf *[]byte) bool {
	if len(*buf) == 0 {
		return true
	}
	ok := n.transport.Post(to, class, *buf)
	*buf = nil
	return ok
}

func (n *Node) forward(f *routing.Forward) {
	req := f.Request
	p := n.peer(f.Node)
	p.requests = wire.AppendRequest(p.requests, &wire.RequestItem{
		Sequence: req.Origin.Sequence, LowWater: req.LowWater, Incarnation: req.Origin.Incarnation,
		Attempt: req.Route.Attempt, Session: req.Session, Term: req.Term,
		Partition: req.Partition, Slot: req.Slot, DB: req.DB, Proto: req.Proto, Flags: uint8(req.Flags), Args: req.Args,
	})
	if len(p.requests) > maxCoalesced {
		n.sendRequests(f.Node, p)
	}
}

func (n *Node) sendRequests(to base.NodeID, p *peerOut) {
	msg := p.requests
	if !n.send(to, transport.Request, &p.requests) {
		n.undelivered(to, msg)
	}
}

// undelivered gives requests back to the router that were never sent.
func (n *Node) undelivered(to base.NodeID, msg []byte) {
	if k, err := wire.KindOf(msg); err != nil || k != wire.KindRequest {
		return // replies to a node that is gone
	}
	rd, err := wire.ReadRequests(msg)
	if err != nil {
		return
	}
	var it wire.RequestItem
	for ok, err := rd.Next(&it); ok && err == nil; ok, err = rd.Next(&it) {
		n.router.Undelivered(to, it.Sequence, it.Attempt)
	}
}

func (n *Node) answerRemote(to base.NodeID, req *partition.Request) {
	p := n.peer(to)
	p.replies = wire.AppendReply(p.replies, &wire.ReplyItem{
		Sequence: req.Origin.Sequence, Attempt: req.Route.Attempt,
		Status: uint8(req.Status), Leader: req.Leader, Term: req.Term, Reply: req.Reply,
	})
	if len(p.replies) > maxCoalesced {
		n.sendReplies(to, p)
	}
	n.recycle(req)
}

// tellRemote tells another gateway that its request waits here.
func (n *Node) tellRemote(to base.NodeID, w partition.Notice) {
	p := n.peer(to)
	p.replies = wire.AppendReply(p.replies, &wire.ReplyItem{
		Sequence: w.Request.Origin.Sequence, Attempt: w.Request.Route.Attempt, Status: uint8(partition.Waits), Reply: w.Args,
	})
}

func (n *Node) sendReplies(to base.NodeID, p *peerOut) {
	p.unsent += len(p.replies)
	if p.unsent > int(n.cfg.MaxReplyQueue) {
		n.crowded = true
	}
	n.send(to, transport.Request, &p.replies)
}

// holdMicros is how soon the loop looks again whether a gateway that is held
// back has taken its replies.
const holdMicros = 1000

// holdBack lets the requests of gateways wait that have not taken the replies
// to the ones before: what they ask for next would only wait in memory.
func (n *Node) holdBack() {
	n.crowded = false
	limit := int(n.cfg.MaxReplyQueue)
	for id, p := range n.peers {
		if p.unsent > limit {
			p.unsent = n.transport.Queued(id, transport.Request)
			n.shard.Hold(id, p.unsent > limit)
			n.crowded = n.crowded || p.unsent > limit
		}
	}
}

// recycle keeps a remote request's memory for the next one. Only the loop
// makes and answers them.
func (n *Node) recycle(req *partition.Request) {
	args := req.Args
	clear(args)
	*req = partition.Request{Args: args[:0]}
	if len(n.spare) < 4096 {
		n.spare = append(n.spare, req)
	}
}

// flushPeers sends what the turn gathered.
func (n *Node) flushPeers() {
	for id, p := range n.peers {
		n.send(id, transport.Control, &p.control)
		n.send(id, transport.Append, &p.appends)
		n.sendRequests(id, p)
		n.sendReplies(id, p)
	}
	n.transport.Flush()
	if len(n.routed.Local)+len(n.routed.Complete)+len(n.routed.Forwards) > 0 {
		n.inbox.putEvent(func() {}) // requests came back meanwhile: another turn
	}
}

// receive takes a message from another node apart.
func (n *Node) receive(m *received) {
	kind, err := wire.KindOf(m.msg)
	if err == nil {
		switch kind {
		case wire.KindRaft:
			err = n.receiveRaft(m)
		case wire.KindRequest:
			err = n.receiveRequests(m)
		case wire.KindReply:
			err = n.receiveReplies(m)
		case wire.KindReport:
			err = n.receiveReport(m)
		case wire.KindSnapshotChunk:
			err = n.receiveChunk(m)
		case wire.KindSnapshotAck:
			err = n.receiveAck(m)
		}
	}
	if err != nil {
		n.log.Warn("dropped a message", "from", m.from, "err", err)
	}
}

func (n *Node) receiveRaft(m *received) error {
	rd, err := wire.ReadRaft(m.msg)
	if err != nil {
		return err
	}
	for {
		var it wire.RaftItem
		ok, err := rd.Next(&it)
		if err != nil || !ok {
			return err
		}
		if it.Msg.GetType() == pb.MsgSnap {
			return fmt.Errorf("a snapshot outside a stream")
		}
		for _, e := range it.Msg.GetEntries() {
			if len(e.Data) < largeAppend { // entries are kept: do not keep what they arrived with
				e.Data = bytes.Clone(e.Data)
			}
		}
		n.shard.Step(it.Partition, it.From, it.To, m.from, it.Msg)
	}
}

func (n *Node) receiveRequests(m *received) error {
	rd, err := wire.ReadRequests(m.msg)
	if err != nil {
		return err
	}
	sink := n.sinks[m.from]
	if sink == nil {
		sink = &remoteSink{node: m.from}
		n.sinks[m.from] = sink
	}
	for {
		req := &partition.Request{}
		if k := len(n.spare); k > 0 {
			req, n.spare = n.spare[k-1], n.spare[:k-1]
		}
		it := wire.RequestItem{Args: req.Args}
		ok, err := rd.Next(&it)
		if err != nil || !ok {
			return err
		}
		if !sink.fence.Admit(it.Incarnation, it.Attempt) {
			continue
		}
		*req = partition.Request{
			Partition: it.Partition, Slot: it.Slot, DB: it.DB, Proto: it.Proto, Flags: partition.RequestFlags(it.Flags),
			Args: it.Args, Term: it.Term, Sink: sink,
			Origin:  base.Origin{Gateway: m.from, Incarnation: it.Incarnation, Sequence: it.Sequence},
			Session: it.Session, LowWater: it.LowWater, Route: partition.Route{Attempt: it.Attempt},
		}
		if n.failed != nil {
			req.Status, req.Leader, req.Term = partition.NotRun, 0, it.Term
			n.answerRemote(m.from, req)
			continue
		}
		n.shard.Submit(req)
	}
}

func (n *Node) receiveReplies(m *received) error {
	rd, err := wire.ReadReplies(m.msg)
	if err != nil {
		return err
	}
	var it wire.ReplyItem
	for {
		ok, err := rd.Next(&it)
		if err != nil || !ok {
			return err
		}
		n.router.Reply(m.from, &routing.Answer{
			Sequence: it.Sequence, Attempt: it.Attempt, Status: partition.Status(it.Status),
			Leader: it.Leader, Term: it.Term, Reply: it.Reply,
		})
	}
}

// tick is the pace of everything that time drives.
func (n *Node) tick() {
	n.ticks++
	if n.failed != nil { // what waits gets its answer; Raft would read a log that may be broken
		if !n.gaveUp {
			n.gaveUp = true
			n.shard.GiveUp()
		}
		n.router.Tick()
		n.cuts.Tick()
		return
	}
	n.shard.Tick()
	n.router.Tick()
	n.coordinator.Tick()
	n.cuts.Tick()
	n.reconcile()
	if n.ticks%reportTicks == 0 {
		n.report()
	}
	if n.ticks%placementTicks == 0 {
		n.place()
	}
	if n.ticks%housekeepingTicks == 0 {
		n.housekeep()
	}
}

// fail stops the node's part in the cluster for good: something is broken
// that going on could make worse. Clients are told, and peers see it as gone.
func (n *Node) fail(err error) {
	if n.failed != nil {
		return
	}
	n.failed = err
	n.problem.Store(&problem{text: err.Error(), fatal: true})
	w := resp.Writer{Proto: 2}
	w.Error("MISCONF this node has stopped: " + oneLine(err))
	n.failedReply = w.Buf
	n.log.Error("stopped: this node takes no part in the cluster until it is restarted", "cause", err)
	go n.transport.Close()
}
