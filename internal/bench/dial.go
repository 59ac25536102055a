package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"

	"golang.org/x/sys/unix"
)

// mailbox brings new connections to a worker, from the goroutines that make
// them.
type mailbox struct {
	full atomic.Bool
	wait sync.WaitGroup
	mu   struct {
		sync.Mutex
		list []dialed
	}
}

// dialed is an attempt's outcome.
type dialed struct {
	conn  *conn
	fd    int
	addr  string // of fd
	asked bool   // may have asked for the slots
	slots *slotMap
	err   error
}

func (m *mailbox) put(d dialed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.list = append(m.mu.list, d)
	m.full.Store(true)
}

func (m *mailbox) take() []dialed {
	if !m.full.Load() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.mu.list
	m.mu.list = nil
	m.full.Store(false)
	return list
}

// dial makes a connection without holding up the worker. In a cluster whose
// node does not answer it asks for the slots again; elsewhere it tries the
// other addresses.
func (w *worker) dial(ctx context.Context, c *conn) {
	c.dialing = true
	w.dialing++
	addrs, cluster, timeout := []string{c.addr}, w.slots != nil, w.Timeout
	if !cluster {
		addrs = append(addrs, w.Addrs...)
	}
	// Of all who miss the same node, one asks.
	asks := cluster && !w.asking
	w.asking = w.asking || asks
	known := append(append([]string(nil), w.nodes...), w.Addrs...)
	w.mail.wait.Go(func() {
		d := dialed{conn: c, fd: -1, asked: asks}
		for _, addr := range addrs {
			if d.fd, d.err = dialFD(ctx, addr, timeout); d.err == nil {
				d.addr = addr
				break
			}
		}
		if d.err != nil && asks {
			d.slots, _ = askSlots(ctx, known, timeout)
		}
		w.mail.put(d)
	})
}

// collect takes in what the dialing goroutines have brought.
func (w *worker) collect(ctx context.Context) {
	for _, d := range w.mail.take() {
		c := d.conn
		c.dialing = false
		w.dialing--
		if d.asked {
			w.asking = false
		}
		c.redial = w.now() + int64(redialPause)
		if d.slots != nil {
			w.adopt(d.slots)
		}
		if d.err == nil {
			c.addr = d.addr
			w.tally.reconnects++
			d.err = w.attach(c, d.fd)
		}
		// Either way the requests go where they belong now, perhaps back here.
		waiting := c.waiting
		c.waiting = nil
		now := w.now()
		for _, e := range waiting {
			w.dispatch(c.client, e, now)
		}
		w.pump(c.client, now)
		for _, other := range c.client.conns {
			if other != nil {
				w.flush(other)
			}
		}
	}
}

// attach gives a connection its socket.
func (w *worker) attach(c *conn, fd int) error {
	if err := w.poll.add(fd); err != nil {
		_ = unix.Close(fd)
		return err
	}
	for len(w.byFD) <= fd {
		w.byFD = append(w.byFD, nil)
	}
	w.byFD[fd] = c
	c.fd = fd
	return nil
}

// adopt replaces the slot map. Nodes keep their numbers.
func (w *worker) adopt(m *slotMap) {
	for slot, addr := range m.addrs {
		if addr != "" {
			w.slots[slot] = uint16(w.node(addr))
		}
	}
}

// dialFD connects and returns the bare socket, which does not block.
func dialFD(ctx context.Context, addr string, timeout time.Duration) (int, error) {
	d := net.Dialer{Timeout: timeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return -1, err
	}
	defer func() { _ = nc.Close() }() // the copy lives on
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if ctlErr := raw.Control(func(orig uintptr) {
		fd, err = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 0)
	}); ctlErr != nil {
		return -1, ctlErr
	}
	return fd, err
}

// slotMap is a cluster's own word on who is the master of each slot.
type slotMap struct {
	addrs [base.NumSlots]string // "" when nobody is
}

// askSlots asks the addresses in turn.
func askSlots(ctx context.Context, addrs []string, timeout time.Duration) (*slotMap, error) {
	var errs []error
	for _, addr := range addrs {
		v, err := ask(ctx, addr, timeout, "CLUSTER", "SLOTS")
		if err == nil {
			var m *slotMap
			if m, err = readSlots(v, addr); err == nil {
				return m, nil
			}
		}
		errs = append(errs, fmt.Errorf("%s: CLUSTER SLOTS: %w", addr, err))
	}
	return nil, errors.Join(errs...)
}

func readSlots(v resp.Value, from string) (*slotMap, error) {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		return nil, err
	}
	m := &slotMap{}
	for _, r := range v.Elems {
		if len(r.Elems) < 3 || len(r.Elems[2].Elems) < 2 {
			return nil, errors.New("reply not understood")
		}
		first, last, master := r.Elems[0].Int, r.Elems[1].Int, r.Elems[2].Elems
		if first < 0 || last < first || last >= base.NumSlots {
			return nil, fmt.Errorf("slots %d-%d are none", first, last)
		}
		name := string(master[0].Str)
		if name == "" || name == "?" {
			name = host
		}
		addr := net.JoinHostPort(name, strconv.FormatInt(master[1].Int, 10))
		for s := first; s <= last; s++ {
			m.addrs[s] = addr
		}
	}
	if len(v.Elems) == 0 {
		return nil, errors.New("no slots are assigned")
	}
	return m, nil
}

// ask sends one command on a connection of its own.
func ask(ctx context.Context, addr string, timeout time.Duration, args ...string) (resp.Value, error) {
	d := net.Dialer{Timeout: timeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return resp.Value{}, err
	}
	defer func() { _ = nc.Close() }()
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	if err := nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return resp.Value{}, err
	}
	if _, err := nc.Write(resp.AppendCommand(nil, args...)); err != nil {
		return resp.Value{}, err
	}
	var buf []byte
	chunk := make([]byte, 16<<10)
	for len(buf) < maxAnswer {
		n, err := nc.Read(chunk)
		if err != nil {
			return resp.Value{}, err
		}
		buf = append(buf, chunk[:n]...)
		if v, n, err := resp.ParseReply(buf); n > 0 || err != nil {
			return v, errors.Join(err, v.Err())
		}
	}
	return resp.Value{}, errors.New("reply too large")
}

// maxAnswer bounds the reply to CLUSTER SLOTS, bytes.
const maxAnswer = 16 << 20
