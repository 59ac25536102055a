package redisfront

import (
	"sync/atomic"
	"time"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/resp"
)

// Bounds of what blocks.
const (
	// maxBlockedBytes bounds the arguments of all blocked commands of a node.
	maxBlockedBytes = 64 << 20
	// blockedAhead is how many bytes a blocked connection may send ahead. What
	// is more it keeps, and until it is unblocked its end is not noticed.
	blockedAhead = 64 << 10
)

const errTooManyBlocked = "ERR too many blocked clients"

// replyUnblocked is what CLIENT UNBLOCK … ERROR says to who was blocked.
const replyUnblocked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"

// blocked is a command that waits, or may. Its connection takes no further
// ones until it is answered, but goes on reading.
type blocked struct {
	o     *op
	s     *session
	req   partition.Request
	size  int64
	null  []byte // the reply when its time is up
	timer *time.Timer

	across *across // its keys lie in several partitions: req is not used

	// Guarded by s.mu.
	waiting bool // a leader said so
	ending  bool // a CANCEL is under way
	done    bool
}

var _ partition.WaitSink = (*blocked)(nil)

// blockedCount is what of a front's blocks.
type blockedCount struct {
	clients atomic.Int64 // that wait
	bytes   atomic.Int64 // of all blocked commands' arguments
}

// block sends a command that may wait; timeout is in milliseconds, 0 for ever.
func (s *session) block(o *op, p base.PartitionID, slot base.Slot, timeout int64) {
	b := s.newBlocked(o)
	if b == nil {
		return
	}
	s.fill(&b.req, b, o.cmd)
	b.req.Flags |= partition.Blocking
	b.req.Partition, b.req.Slot, b.req.Args = p, slot, o.args
	s.reqs = append(s.reqs, &b.req)
	s.holdFor(b, timeout)
}

// newBlocked makes a command one that blocks; it is nil if there are too many,
// and the command is refused.
func (s *session) newBlocked(o *op) *blocked {
	b := &blocked{o: o, s: s, null: o.cmd.timeUp(int(s.proto.Load()))}
	size := 0
	for _, a := range o.args {
		size += len(a)
	}
	b.size = int64(size + 24*len(o.args))
	if s.f.blocked.bytes.Add(b.size) > maxBlockedBytes {
		s.f.blocked.bytes.Add(-b.size)
		s.refuse(o.cmd, errTooManyBlocked)
		return nil
	}
	// It may stay for hours: the buffer must not wait for it.
	mem, own := make([]byte, 0, size), make([][]byte, len(o.args))
	for i, a := range o.args {
		mem = append(mem, a...)
		own[i] = mem[len(mem)-len(a) : len(mem) : len(mem)]
	}
	o.args = own
	return b
}

// holdFor puts a blocked command into the batch, as its last.
func (s *session) holdFor(b *blocked, timeout int64) {
	o := b.o
	s.enqueue(o)
	o.buf = nil
	s.unpinned++
	s.blocked = b
	s.mu.Lock()
	s.mu.blocked = b
	if timeout > 0 {
		b.timer = time.AfterFunc(time.Duration(min(timeout, int64(time.Duration(1<<63-1)/time.Millisecond)))*time.Millisecond, func() { b.end(b.null) })
	}
	s.mu.Unlock()
}

// timeUp is the command's reply when its time is up.
func (e *entry) timeUp(proto int) []byte {
	w := &resp.Writer{Proto: proto}
	e.spec.TimeUp(w)
	return w.Buf
}

// end has the command answered with the given reply, unless it has been, and
// says whether that is under way now for the first time.
func (b *blocked) end(reply []byte) bool {
	b.s.mu.Lock()
	first := !b.ending && !b.done
	b.ending = true
	b.s.mu.Unlock()
	switch {
	case first && b.across != nil:
		b.across.ended <- reply
	case first:
		b.s.f.router.Submit([]*partition.Request{cancelOf(&b.req, reply)})
	}
	return first
}

// cancelOf is a request that ends another one's waiting.
func cancelOf(target *partition.Request, reply []byte) *partition.Request {
	return &partition.Request{
		Partition: target.Partition, Flags: partition.Whole | partition.Cancel, Proto: 2,
		Args: [][]byte{nil, reply}, Cancels: target, Sink: nobody{},
	}
}

// Waits implements partition.WaitSink.
func (b *blocked) Waits(*partition.Request) {
	b.s.mu.Lock()
	if !b.waiting && !b.done {
		b.waiting = true
		b.s.f.blocked.clients.Add(1)
	}
	b.s.mu.Unlock()
}

// Complete implements partition.Sink.
func (b *blocked) Complete(r *partition.Request) {
	s, o := b.s, b.o
	s.f.blocked.bytes.Add(-b.size)
	s.mu.Lock()
	b.done = true
	s.mu.blocked = nil
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.waiting {
		o.start = s.f.turnNanos() // to wait is not to be slow
		s.f.blocked.clients.Add(-1)
	}
	s.mu.Unlock()
	s.finish(o, answer(s, r))
	s.mu.Lock()
	if !s.mu.closed { // the reader has commands to go on with, perhaps
		_ = s.conn.SetReadDeadline(longAgo)
	}
	s.cond.Broadcast()
	s.mu.Unlock()
}

// resume goes on with what was sent behind a blocked command, if that one is
// answered. It returns false when the session ends.
func (s *session) resume() bool {
	b := s.blocked
	if b == nil {
		return true
	}
	s.mu.Lock()
	s.mu.waiting = true
	for !b.done && !s.mu.dead && s.w-s.r >= blockedAhead {
		s.cond.Wait()
	}
	s.mu.waiting = false
	done, ok := b.done, !s.mu.dead
	if done && ok {
		ok = s.pace()
	}
	s.mu.Unlock()
	if done {
		s.blocked = nil
	}
	return ok && (!done || s.process())
}

// unblock ends a blocked command whose connection is over.
func (s *session) unblock() {
	if s.blocked != nil {
		s.blocked.end([]byte(replyUnblocked))
		s.blocked = nil
	}
}

// clientUnblock is CLIENT UNBLOCK.
func clientUnblock(s *session, args [][]byte) {
	id, ok := parseInt(args[2])
	withError := len(args) > 3 && is(args[3], "error")
	switch {
	case len(args) > 4:
		s.rw.Error("ERR wrong number of arguments for 'client|unblock' command")
		return
	case len(args) == 4 && !withError && !is(args[3], "timeout"):
		s.rw.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	case !ok:
		s.rw.Error(errNotInteger)
		return
	}
	if s.f.unblock(uint64(id), withError) {
		s.rw.Int(1)
		return
	}
	s.rw.Int(0)
}

// unblock ends the waiting of a connection's command.
func (f *Front) unblock(id uint64, withError bool) bool {
	f.mu.Lock()
	c := f.mu.sessions[id]
	f.mu.Unlock()
	if c == nil {
		return false
	}
	c.mu.Lock()
	b := c.mu.blocked
	c.mu.Unlock()
	if b == nil {
		return false
	}
	if withError {
		return b.end([]byte(replyUnblocked))
	}
	return b.end(b.null)
}

// blockingKeys is the number of keys that clients of this node wait for, and
// of those whose end they would be told of too.
func (f *Front) blockingKeys() (keys, gone int) {
	all, some := map[string]bool{}, map[string]bool{}
	for _, s := range f.sessions() {
		s.mu.Lock()
		if b := s.mu.blocked; b != nil && b.waiting {
			for _, i := range b.o.cmd.spec.AppendKeys(nil, b.o.args) {
				key := string(command.WatchedKey(uint8(s.db.Load()), b.o.args[i]))
				if all[key] = true; b.o.cmd.full == "xreadgroup" {
					some[key] = true
				}
			}
		}
		s.mu.Unlock()
	}
	return len(all), len(some)
}
