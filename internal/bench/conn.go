package bench

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"coterie/internal/resp"

	"golang.org/x/sys/unix"
)

// errAgain says that a socket has nothing to read, or no room to write.
var errAgain = errors.New("try again")

// conn is one of a client's connections. fd is -1 while there is none.
type conn struct {
	client  *client
	addr    string
	fd      int
	dialing bool
	redial  int64 // not before
	lost    int64 // when the connection was lost

	inflight queue   // sent, in order
	waiting  []entry // to be sent when there is a connection
	heard    int64   // when the last bytes came, or the first request went out

	out     []byte // out[written:] is still to be written
	written int
	blocked bool // the poller waits until the socket takes more

	in         []byte // in[start:end] is received and not yet consumed
	start, end int
}

// Sizes of a connection's receive buffer, bytes.
const (
	firstBuffer = 4 << 10
	maxBuffer   = 1 << 30
)

// queue is a first-in first-out of entries, without an allocation once it has
// room.
type queue struct {
	list []entry
	head int
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push(e entry) {
	if q.head > 0 && len(q.list) == cap(q.list) && q.head >= len(q.list)/2 {
		q.list = q.list[:copy(q.list, q.list[q.head:])]
		q.head = 0
	}
	q.list = append(q.list, e)
}

func (q *queue) pop() entry {
	e := q.list[q.head]
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return e
}

// flush writes what the socket takes.
func (w *worker) flush(c *conn) {
	if c.fd < 0 {
		return
	}
	for c.written < len(c.out) {
		n, err := writeSocket(c.fd, c.out[c.written:])
		if errors.Is(err, errAgain) {
			break
		}
		if err != nil {
			w.drop(c, "CONNECTION", fmt.Sprintf("write to %s: %v", c.addr, err))
			return
		}
		c.written += n
		if w.measuring {
			w.tally.sent += int64(n)
		}
	}
	if c.written == len(c.out) {
		c.out, c.written = c.out[:0], 0
	}
	if full := len(c.out) > 0; full != c.blocked {
		c.blocked = full
		if err := w.poll.wantWrite(c.fd, full); err != nil {
			w.drop(c, "CONNECTION", fmt.Sprintf("wait for %s: %v", c.addr, err))
		}
	}
}

// readable reads once; what is left makes the poller report the socket again.
func (w *worker) readable(c *conn) {
	w.makeRoom(c)
	n, err := readSocket(c.fd, c.in[c.end:])
	if errors.Is(err, errAgain) {
		return
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		w.drop(c, "CONNECTION", fmt.Sprintf("read from %s: %v", c.addr, err))
		return
	}
	c.end += n
	now := w.now()
	if w.measuring = now >= w.measure; w.measuring {
		w.tally.received += int64(n)
	}
	c.heard = now
	if err := w.replies(c, now); err != nil {
		w.drop(c, "PROTOCOL", fmt.Sprintf("%s: %v", c.addr, err))
	}
}

// makeRoom leaves free space in the receive buffer.
func (w *worker) makeRoom(c *conn) {
	switch {
	case c.in == nil:
		c.in = make([]byte, firstBuffer)
	case c.start == c.end:
		c.start, c.end = 0, 0
	case c.end < len(c.in):
	case c.start >= len(c.in)/2:
		c.end = copy(c.in, c.in[c.start:c.end])
		c.start = 0
	default:
		grown := make([]byte, 2*len(c.in))
		c.end = copy(grown, c.in[c.start:c.end])
		c.in, c.start = grown, 0
	}
}

// replies consumes the complete replies that were received. Neighbours with
// the same time of sending are recorded as one.
func (w *worker) replies(c *conn, now int64) error {
	var sent, run int64
	answered := 0
	for c.start < c.end {
		n, err := resp.SkipReply(c.in[c.start:c.end])
		if err != nil {
			return err
		}
		if n == 0 {
			if c.end-c.start >= maxBuffer {
				return errors.New("a reply larger than 1 GiB")
			}
			break
		}
		reply := c.in[c.start : c.start+n]
		c.start += n
		if reply[0] == '>' {
			continue // out of band, answers nothing
		}
		if c.inflight.len() == 0 {
			return fmt.Errorf("a reply without a request: %.40q", reply)
		}
		e := c.inflight.pop()
		switch {
		case e.frame == asking:
			continue
		case reply[0] == '-' || reply[0] == '!':
			w.errorReply(c, e, reply, now)
			continue
		}
		answered++
		if e.intended < w.measure {
			continue
		}
		if reply[0] == '_' || reply[0] == '$' && reply[1] == '-' {
			w.tally.missing++
		}
		if e.intended != sent && run > 0 {
			w.recorder.done(now-sent, run)
			run = 0
		}
		sent = e.intended
		run++
	}
	if run > 0 {
		w.recorder.done(now-sent, run)
		w.tally.finished = now
	}
	w.settle(c.client, answered)
	return nil
}

// errorReply follows a redirection, and records any other error.
func (w *worker) errorReply(c *conn, e entry, reply []byte, now int64) {
	v, _, err := resp.ParseReply(reply)
	text := string(v.Str)
	if err != nil {
		text = err.Error()
	}
	words := strings.Fields(text)
	if w.slots == nil || len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" || e.hops >= maxHops {
		w.lose(c.client, e, errorKind(text), text)
		return
	}
	slot, err := strconv.Atoi(words[1])
	if err != nil || slot < 0 || slot >= len(w.slots) {
		w.lose(c.client, e, words[0], text)
		return
	}
	w.tally.redirects++
	e.hops++
	node := w.node(redirectAddr(words[2], c.addr))
	target := w.connTo(c.client, node)
	if words[0] == "MOVED" {
		w.slots[slot] = uint16(node)
	}
	if target.fd < 0 {
		target.waiting = append(target.waiting, e)
		return
	}
	if words[0] == "ASK" {
		if target.inflight.len() == 0 {
			target.heard = now
		}
		target.out = append(target.out, "*1\r\n$6\r\nASKING\r\n"...)
		target.inflight.push(entry{frame: asking})
	}
	w.put(target, e, now)
	w.flush(target)
}

// redirectAddr completes a redirection without a host: it means the host that
// sent it.
func redirectAddr(addr, from string) string {
	if strings.HasPrefix(addr, ":") {
		return from[:strings.LastIndexByte(from, ':')] + addr
	}
	return addr
}

// node is the number of an address.
func (w *worker) node(addr string) int {
	for i, a := range w.nodes {
		if a == addr {
			return i
		}
	}
	w.nodes = append(w.nodes, addr)
	return len(w.nodes) - 1
}

// drop closes a connection; its requests end in an error. A new one is made
// when a request needs it.
func (w *worker) drop(c *conn, kind, text string) {
	w.shut(c)
	for c.inflight.len() > 0 {
		w.lose(c.client, c.inflight.pop(), kind, text)
	}
	c.lost = w.now()
	c.out, c.written, c.blocked = c.out[:0], 0, false
	c.start, c.end = 0, 0
}

func (w *worker) shut(c *conn) {
	w.poll.remove(c.fd)
	w.byFD[c.fd] = nil
	_ = unix.Close(c.fd)
	c.fd = -1
}
