package chaos

import (
	"errors"
	"net"
	"strconv"
	"time"

	"coterie/internal/resp"
	"coterie/internal/workload"
)

// Times of a client. A reply may take as long as a request may wait inside the
// cluster; a node that is stopped gives none.
const (
	dialTimeout   = time.Second
	replyPatience = 8 * time.Second
)

// conn is one plain connection that never sends anything twice.
type conn struct {
	net.Conn
	buf []byte
}

// errNotSent marks commands that certainly did not reach the node.
var errNotSent = errors.New("not sent")

// dial opens a connection to a node and selects a database.
func dial(addr string, db int) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return nil, errors.Join(errNotSent, err)
	}
	x := &conn{Conn: c}
	if db != 0 {
		replies, err := x.do([]workload.Command{{"SELECT", strconv.Itoa(db)}})
		if err != nil || string(replies[0]) != "+OK\r\n" {
			_ = x.Close()
			return nil, errors.Join(errNotSent, err)
		}
	}
	return x, nil
}

// errNoMulti says that a transaction's commands ran as they were: MULTI was
// refused.
var errNoMulti = errors.New("MULTI was refused")

// do sends commands at once and reads their replies, as they are; that of a
// transaction is EXEC's. On an error it returns those that came before.
func (c *conn) do(cmds []workload.Command) (replies [][]byte, err error) {
	_ = c.SetDeadline(time.Now().Add(replyPatience))
	var out []byte
	for _, cmd := range cmds {
		_, inside, multi := cmd.Txn()
		if !multi {
			out = resp.AppendCommand(out, cmd...)
			continue
		}
		out = resp.AppendCommand(out, "MULTI")
		for _, x := range inside {
			out = resp.AppendCommand(out, x...)
		}
		out = resp.AppendCommand(out, "EXEC")
	}
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	for _, cmd := range cmds {
		reply, err := c.reply()
		if _, inside, multi := cmd.Txn(); multi && err == nil {
			if string(reply) != "+OK\r\n" {
				return replies, errNoMulti
			}
			for range len(inside) + 1 { // what is not queued makes EXEC refuse
				if reply, err = c.reply(); err != nil {
					break
				}
			}
		}
		if err != nil {
			return replies, err
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// reply reads one reply.
func (c *conn) reply() ([]byte, error) {
	for {
		n, err := resp.SkipReply(c.buf)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			reply := append([]byte(nil), c.buf[:n]...)
			c.buf = append(c.buf[:0], c.buf[n:]...)
			return reply, nil
		}
		if cap(c.buf)-len(c.buf) < 4096 {
			c.buf = append(make([]byte, 0, 2*cap(c.buf)+8192), c.buf...)
		}
		n, err = c.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+n]
		if err != nil {
			return nil, err
		}
	}
}
