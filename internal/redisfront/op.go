package redisfront

import (
	"coterie/internal/partition"
)

// op is one command in flight: a link in its session's chain of replies to
// come. Local replies that come behind it hang on it as bytes.
type op struct {
	req   partition.Request // unless fan is set
	args  [][]byte          // room for the arguments' headers, kept with the op
	s     *session
	next  *op
	cmd   *entry
	buf   *readBuf // what args alias
	fan   *fan     // the command was divided
	start int64    // when it was read; nanoseconds of the front's clock

	// Guarded by s.mu once the op is in the chain.
	done   bool
	reply  []byte
	after  []byte // replies of local commands behind this one
	owed   int64  // bytes of a large reply that waits for those before it
	silent bool   // CLIENT REPLY OFF or SKIP
}

var _ partition.Sink = (*op)(nil)

// argsKept is the largest room for argument headers that an op keeps.
const argsKept = 32

// Complete is called by the router when the request has ended.
func (o *op) Complete(r *partition.Request) {
	o.s.finish(o, answer(o.s, r))
}

// answer is a request's reply, never empty.
func answer(s *session, r *partition.Request) []byte {
	if len(r.Reply) > 0 {
		return r.Reply
	}
	switch r.Status {
	case partition.NotRun:
		return []byte("-CLUSTERDOWN The partition has no leader; the command was not run\r\n")
	case partition.Unknown:
		return []byte("-UNKNOWNOUTCOME The command may or may not have taken effect\r\n")
	default:
		return []byte("-ERR internal: a command left no reply\r\n")
	}
}

// owedMin is the length in bytes from which a reply is accounted for while it
// waits for its turn.
const owedMin = 4 << 10

// finish marks an op as done and moves what is next in order to the output.
func (s *session) finish(o *op, reply []byte) {
	s.f.account(o, reply)
	s.mu.Lock()
	s.expect(len(reply))
	if s.mu.dead {
		reply, o.req.Reply = nil, nil // nobody will read it: it must not wait for those before it
	}
	o.reply, o.done = reply, true
	mark := false
	if s.mu.head == o {
		s.drain()
		if !s.mu.dirty && (len(s.mu.out) > 0 || s.mu.closeAfter) {
			s.mu.dirty, mark = true, true
		}
	} else if len(reply) >= owedMin && !s.mu.dead {
		o.owed = int64(len(reply))
		s.owe(o.owed)
	}
	s.mu.Unlock()
	if mark {
		s.f.markDirty(s)
	}
}

// drain moves the finished head of the chain to the output. The caller holds
// s.mu.
func (s *session) drain() {
	wake := false
	for o := s.mu.head; o != nil && o.done; o = s.mu.head {
		s.mu.head = o.next
		if o.next == nil {
			s.mu.tail = nil
		}
		s.mu.pending--
		if o.owed > 0 && !s.mu.dead {
			s.paid(o.owed)
			wake = true
		}
		if !o.silent {
			s.emit(o.reply)
		}
		if len(o.after) > 0 {
			s.emit(o.after)
		}
		s.unref(o.buf)
		s.recycle(o)
	}
	if s.mu.waiting && (wake || s.mu.pending <= s.mu.wakeAt || s.mu.dead) {
		s.cond.Signal()
	}
}

// opsKept bounds the free ops that a session keeps.
const opsKept = 256

// recycle keeps an op for later commands. The caller holds s.mu.
func (s *session) recycle(o *op) {
	o.req.Args, o.req.Reply, o.buf, o.fan, o.next, o.cmd, o.reply = nil, nil, nil, nil, nil, nil, nil
	o.done, o.silent, o.owed = false, false, 0
	if cap(o.after) > 1<<10 {
		o.after = nil
	}
	o.after = o.after[:0]
	if cap(o.args) > argsKept {
		o.args = nil
	}
	clear(o.args[:cap(o.args)])
	if s.mu.freeCount >= opsKept || s.mu.dead {
		return
	}
	o.next = s.mu.free
	s.mu.free = o
	s.mu.freeCount++
}

// newOp returns an op for the next command. Only the reader calls it.
func (s *session) newOp() *op {
	if s.free == nil {
		s.mu.Lock()
		s.free, s.mu.free, s.mu.freeCount = s.mu.free, nil, 0
		s.mu.Unlock()
	}
	if o := s.free; o != nil {
		s.free, o.next = o.next, nil
		return o
	}
	return &op{s: s, args: make([][]byte, 0, 4)}
}
