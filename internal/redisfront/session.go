package redisfront

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/partition"
	"coterie/internal/resp"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// session is one client connection. Its goroutine, the reader, owns all
// fields that are neither constant, atomic, nor in mu.
type session struct {
	f       *Front
	id      uint64
	conn    net.Conn
	raw     *rawConn // nil when the connection is no TCP socket of this platform
	cluster bool     // accepted on the cluster listener
	remote  string
	local   string
	created time.Time

	// Reading.
	parser *resp.Parser
	buf    *readBuf
	spare  *readBuf
	r, w   int  // buf.data[r:w] was read and is not yet parsed
	filled bool // the last read filled all the room it had
	ending bool // no more commands are taken
	broken bool // the client's bytes are no protocol

	// The batch: commands of this read that are not yet submitted.
	op        *op // the next op, its args are where the parser puts arguments
	free      *op
	lead      []byte // local replies before the batch's first op
	batchHead *op
	batchTail *op
	batch     int
	window    int // commands to take before the next pace
	reqs      []*partition.Request
	dir       *Directory // as of this read; nil until needed
	now       int64      // when this read was done; nanoseconds of the front's clock
	rw        resp.Writer
	keyAt     []int  // scratch: where a command's keys are
	lastEntry *entry // the last command, since the next is often the same
	lastName  string
	silence   replyMode
	multi     *multi   // the open transaction
	watched   [][]byte // keys, as command.WatchedKey has them
	joint     *joint   // a transaction over partitions that ends the batch
	spanned   *spanned // a command to be evaluated here, likewise
	blocked   *blocked // a command that may wait: none is taken behind it
	unpinned  int      // ops of the batch that do not alias the buffer
	holds     bool     // messages are held until the command's reply is out
	subs      subscriptions
	toTrack   [][]byte // keys read by the batch, of a session that tracks
	mayRead   [][]byte // keys that the scripts of this command name
	// unsure are the keys in the table of which it is not yet known whether the
	// script that runs has read them, and whether they were written. Guarded by
	// the front's tracking.mu.
	unsure  map[string]bool
	caching cachingMode // what CLIENT CACHING said
	taken   int         // bytes of the command that runs

	// Set by the reader, seen by others.
	db       atomic.Uint32
	proto    atomic.Uint32
	lastCmd  atomic.Pointer[entry]
	lastSeen atomic.Int64  // nanoseconds of the front's clock
	reads    atomic.Uint64 // reads that brought bytes
	commands atomic.Uint64
	tracker  atomic.Pointer[tracker]
	queued   atomic.Int32  // commands in the open transaction and one; 0: there is none
	check    atomic.Uint32 // see sweep.go
	swept    atomic.Uint64 // the sweeper's: reads as it last saw them

	cond *sync.Cond // on mu: what the reader waits for may have come
	mu   struct {
		sync.Mutex
		head, tail *op // commands in flight, in order
		pending    int // their number
		free       *op
		freeCount  int
		returned   *readBuf // a buffer to use again

		out          []byte    // replies in order, not yet written
		adopted      bool      // out is a reply's own memory: not to be appended to
		rest         [][]byte  // what follows out; only where out is not empty
		writing      bool      // a writer goroutine is at work
		owed         int64     // bytes not yet written while it is, and of large replies not next in order
		progress     uint64    // how often some of them went away
		expect       int       // bytes that the next reply is expected to have
		shedProgress uint64    // progress as shed last saw it change,
		shedSince    time.Time // and when
		dirty        bool      // on the front's list for Flush
		waiting      bool      // the reader waits on cond
		wakeAt       int       // pending at which it goes on
		closeAfter   bool      // the connection ends once everything is written
		dead         bool      // the connection is over: nothing is written any more
		closed       bool      // the descriptor was given back
		blocked      *blocked  // the same as the reader's, until it is answered

		holding    bool     // messages go to held
		held       [][]byte // messages
		heldBytes  int64    // counted in owed
		pushed     bool     // messages are in the output, and the broker is going to flush it
		subscriber bool
		softSince  time.Time // since when owed is above the soft limit

		name, libName, libVer string
		noEvict, noTouch      bool
		monitor               bool
		redirectBroken        bool // the last message had nobody to go to
	}
}

// firstReads is how many reads of a connection always go on until the socket
// is empty. Short-lived connections, which send and hang up at once, are
// closed without delay thereby.
const firstReads = 8

// run serves the connection until its end.
func (s *session) run() {
	if s.f.budget.acquire(bufferMin, s.f.opts.Limits.MemoryWait) {
		s.buf = &readBuf{data: make([]byte, bufferMin)}
		if s.raw != nil {
			s.runRaw()
		} else {
			s.runConn()
		}
	}
	s.close()
}

// runRaw reads inside one call of the descriptor's Read for as long as it
// lasts. Between two of its callbacks no readiness is lost, so a read that
// did not fill its buffer need not be followed by one that finds the socket
// empty: one system call for a request instead of two. What that misses, an
// end of stream that came together with the last bytes, the sweep finds.
func (s *session) runRaw() {
	for {
		over := false
		err := s.raw.Read(func(uintptr) bool {
			over = !s.readable()
			return over
		})
		if over || !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		_ = s.conn.SetReadDeadline(time.Time{})
		s.check.Store(checkNone)
	}
}

// readable reads and runs what has come. It returns true when the socket is
// empty, false when the session ends.
func (s *session) readable() bool {
	for {
		if !s.resume() {
			return false
		}
		room := s.room()
		if room == nil {
			return false
		}
		n, res := s.raw.read(room)
		switch {
		case res == rawAgain:
			return true
		case res == rawFailed || n == 0:
			return false
		}
		if !s.took(n, len(room)) {
			return false
		}
		if n < len(room) && s.reads.Load() > firstReads {
			if s.check.Load() != checkWanted {
				s.check.Store(checkWanted)
				s.f.wantSweep()
			}
			return true
		}
	}
}

// runConn is runRaw for connections that are not a plain socket.
func (s *session) runConn() {
	for s.resume() {
		room := s.room()
		if room == nil {
			return
		}
		n, err := s.conn.Read(room)
		if n > 0 && !s.took(n, len(room)) || err != nil && !s.woken(err) {
			return
		}
	}
}

// woken says whether a read has ended because the session is to look up from
// it.
func (s *session) woken(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.mu.dead && errors.Is(err, os.ErrDeadlineExceeded) && s.conn.SetReadDeadline(time.Time{}) == nil
}

// room waits until the session may read, and returns where to; nil when it
// has to end.
func (s *session) room() []byte {
	s.mu.Lock()
	ok := s.blocked != nil && !s.mu.dead || s.pace() // who is blocked takes no commands
	idle := s.buf.refs == 0
	if s.spare == nil {
		s.spare, s.mu.returned = s.mu.returned, nil
	}
	s.mu.Unlock()
	if !ok {
		return nil
	}
	room := s.place(idle)
	if room == nil {
		s.f.log.Warn("client closed: the memory for requests is used up",
			"client", s.remote, "id", s.id, "limit_bytes", s.f.opts.Limits.RequestMemory)
		s.lead = append(s.lead, "-ERR the node's memory for requests is used up\r\n"...)
		s.broken = true
		s.submit()
	}
	return room
}

// took runs the commands that n more bytes completed.
func (s *session) took(n, room int) bool {
	s.w += n
	s.f.counters.bytesIn.Add(uint64(n))
	s.filled = n == room
	s.reads.Store(s.reads.Load() + 1)
	s.now = s.f.nanos()
	s.lastSeen.Store(s.now)
	return s.process()
}

// heldMax bounds, in bytes, the local replies gathered before they are
// handed on.
const heldMax = 64 << 10

// process runs every complete command in the buffer. It returns false when
// the session ends.
func (s *session) process() bool {
	s.dir = nil
	for s.r < s.w && !s.ending && s.blocked == nil {
		o := s.op
		if o == nil {
			o = s.newOp()
			s.op = o
		}
		args, n, err := s.parser.Next(s.buf.data[s.r:s.w], o.args)
		if err != nil {
			s.protocolError(err)
			break
		}
		if n == 0 {
			break
		}
		o.args = args
		s.r += n
		s.taken = n
		if len(args) > 0 {
			s.execute(o)
		}
		if s.joint != nil && !s.transact() || s.spanned != nil && !s.evaluate() || s.holds && !s.release() {
			return false
		}
		if s.batch >= s.window || len(s.lead) > heldMax ||
			s.batchTail != nil && len(s.batchTail.after) > heldMax {
			if !s.submitAndWait() {
				return false
			}
		}
	}
	s.submit()
	return !s.ending
}

func (s *session) protocolError(err error) {
	s.rw.Proto = int(s.proto.Load())
	s.reply(func(w *resp.Writer) { w.Error("ERR " + err.Error()) })
	s.ending, s.broken = true, true
	s.f.counters.protocolErrors.Add(1)
}

// reply appends a local reply behind everything that came before it.
func (s *session) reply(write func(*resp.Writer)) {
	w := s.beginReply()
	write(w)
	s.endReply()
}

// beginReply points the session's writer at the place of the next local reply.
func (s *session) beginReply() *resp.Writer {
	if s.batchTail != nil {
		s.rw.Buf = s.batchTail.after
	} else {
		s.rw.Buf = s.lead
	}
	return &s.rw
}

func (s *session) endReply() {
	if s.batchTail != nil {
		s.batchTail.after = s.rw.Buf
	} else {
		s.lead = s.rw.Buf
	}
	s.rw.Buf = nil
}

// enqueue puts an op into the batch.
func (s *session) enqueue(o *op) {
	o.buf, o.start = s.buf, s.now
	o.silent = s.silence != replyOn
	if s.batchTail == nil {
		s.batchHead = o
	} else {
		s.batchTail.next = o
	}
	s.batchTail = o
	s.batch++
	if o == s.op {
		s.op = nil
	}
}

// submit hands the batch over: its ops join the chain of replies to come, its
// requests go to the router, and local replies that wait for nothing are
// written.
func (s *session) submit() {
	if s.batchHead == nil && len(s.lead) == 0 {
		s.toTrack = s.toTrack[:0] // of what was refused in silence
		return
	}
	m := &s.mu
	m.Lock()
	if len(s.lead) > 0 {
		if m.tail != nil {
			m.tail.after = append(m.tail.after, s.lead...)
		} else {
			s.emit(s.lead)
		}
		if cap(s.lead) > heldMax {
			s.lead = nil
		}
		s.lead = s.lead[:0]
	}
	if s.batchHead != nil {
		if m.tail == nil {
			m.head = s.batchHead
		} else {
			m.tail.next = s.batchHead
		}
		m.tail = s.batchTail
		m.pending += s.batch
		s.buf.refs += s.batch - s.unpinned
		s.unpinned = 0
		s.batchHead, s.batchTail, s.batch = nil, nil, 0
	}
	// What came in one piece with its EXEC is answered with it.
	if len(m.out) > 0 && !m.dirty && !(m.head != nil && m.head.cmd.full == "exec" && len(m.out) <= heldMax) {
		s.send()
	}
	m.Unlock()
	if len(s.toTrack) > 0 {
		s.track()
	}
	if len(s.reqs) > 0 {
		s.f.router.Submit(s.reqs)
		clear(s.reqs)
		s.reqs = s.reqs[:0]
	}
}

func (s *session) submitAndWait() bool {
	s.submit()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pace()
}

// pace waits until the session may take more commands: not too many are in
// flight, and its client reads what it asked for. It returns false when the
// session is over. The caller holds s.mu.
func (s *session) pace() bool {
	m := &s.mu
	window := s.replyWindow()
	if m.pending < window && m.owed == 0 && (m.tail == nil || len(m.tail.after) <= heldMax) {
		s.window = window - m.pending
		return !m.dead
	}
	m.waiting = true
	defer func() { m.waiting = false }()
	for !m.dead && (m.pending >= window || m.tail != nil && len(m.tail.after) > heldMax) {
		m.wakeAt = window / 2
		s.cond.Wait()
		window = s.replyWindow()
	}
	var timer *time.Timer
	progress := m.progress
	for !m.dead && s.tooSlow() {
		if timer == nil || progress != m.progress {
			if timer != nil {
				timer.Stop()
			}
			progress = m.progress
			timer = time.AfterFunc(s.f.opts.Limits.MemoryWait, func() { s.giveUp(progress) })
		}
		s.cond.Wait()
	}
	if timer != nil {
		timer.Stop()
	}
	s.window = max(s.replyWindow()-m.pending, 1)
	return !m.dead
}

const (
	// windowBytes is how much a connection may ask for before it is there:
	// enough to keep its client busy, little enough to be asked for by many.
	windowBytes = 1 << 20
	// firstExpect is the size in bytes expected of a connection's first reply.
	firstExpect = 256 << 10
)

// replyWindow is how many commands may be in flight, by the size that their
// replies are expected to have. The caller holds s.mu.
func (s *session) replyWindow() int {
	return max(1, min(s.f.opts.Limits.Pending, windowBytes/max(s.mu.expect, 1)))
}

// expect learns from a reply's size. It believes in large ones sooner than in
// small ones. The caller holds s.mu.
func (s *session) expect(size int) {
	if e := s.mu.expect; size > e {
		s.mu.expect += (size - e) / 4
	} else {
		s.mu.expect -= (e - size) / 8
	}
}

// tooSlow says that the client has to read before more of its commands are
// taken. The caller holds s.mu.
func (s *session) tooSlow() bool {
	limits := &s.f.opts.Limits
	return s.mu.owed > limits.OutputBuffer/2 || s.mu.owed > 0 && s.f.budget.inUse() > limits.RequestMemory
}

// giveUp ends a session whose client has read nothing for too long while it
// was held back for that.
func (s *session) giveUp(progress uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.dead || s.mu.progress != progress || !s.tooSlow() {
		return
	}
	s.f.log.Warn("client closed: it sends and does not read its replies",
		"client", s.remote, "id", s.id, "unsent_bytes", s.mu.owed)
	s.abort()
}

// close waits until the replies that are still to come are written, and gives
// everything back.
func (s *session) close() {
	s.unblock()
	s.leaveAll()
	m := &s.mu
	m.Lock()
	m.closeAfter, m.waiting = true, true
	for !m.dead && (m.head != nil || m.writing || len(m.out) > 0) {
		if m.head == nil && len(m.out) > 0 && !m.writing && !m.dirty {
			s.send()
			continue
		}
		s.cond.Wait()
	}
	linger := s.broken && !m.dead
	m.Unlock()
	if len(s.watched) > 0 {
		s.dir = nil
		s.unwatchQuietly()
		s.f.router.Submit(s.reqs)
	}
	if linger {
		s.linger()
	}
	m.Lock()
	m.dead, m.closed = true, true
	m.free = nil
	if s.buf != nil {
		s.buf.left = true
		if s.buf.refs == 0 {
			s.retire(s.buf)
		}
	}
	for _, b := range []*readBuf{s.spare, m.returned} {
		if b != nil {
			s.f.budget.release(int64(len(b.data)))
		}
	}
	m.returned = nil
	m.Unlock()
	_ = s.conn.Close()
	s.f.forget(s)
}

// linger lets the client read the error that ends its connection: closing a
// socket that still has unread bytes would throw the error away.
func (s *session) linger() {
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = s.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = io.CopyN(io.Discard, s.conn, 1<<20)
	}
}
