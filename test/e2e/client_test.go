package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"coterie/internal/resp"
)

// replyPatience is how long a client waits for a reply: longer than any
// request may wait inside the cluster.
const replyPatience = 12 * time.Second

// client is one plain connection that never retries.
type client struct {
	addr string
	conn net.Conn
	buf  []byte
	wait time.Duration // instead of replyPatience
}

// errNotSent marks a command that certainly did not reach the node.
var errNotSent = errors.New("not sent")

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn, c.buf = nil, nil
	}
}

func (c *client) dial() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.addr, 2*time.Second)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	c.conn, c.buf = conn, c.buf[:0]
	return nil
}

// do runs one command. An error reply comes back as a value, not as an
// error; after an error the connection is closed.
func (c *client) do(args ...string) (resp.Value, error) {
	vs, err := c.pipeline([][]string{args})
	if err != nil {
		return resp.Value{}, err
	}
	return vs[0], nil
}

// pipeline sends commands at once and reads their replies. On an error the
// replies that came before it are returned.
func (c *client) pipeline(cmds [][]string) ([]resp.Value, error) {
	if err := c.dial(); err != nil {
		return nil, err
	}
	wait := c.wait
	if wait == 0 {
		wait = replyPatience * slow()
	}
	_ = c.conn.SetDeadline(time.Now().Add(wait))
	var w resp.Writer
	for _, args := range cmds {
		appendCommand(&w, args)
	}
	if _, err := c.conn.Write(w.Buf); err != nil {
		c.close()
		return nil, err
	}
	var vs []resp.Value
	for len(vs) < len(cmds) {
		v, err := c.read()
		if err != nil {
			c.close()
			return vs, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}

func (c *client) read() (resp.Value, error) {
	for {
		if len(c.buf) > 0 {
			v, n, err := resp.ParseReply(c.buf)
			if err != nil {
				return v, err
			}
			if n > 0 {
				c.buf = append([]byte(nil), c.buf[n:]...) // v keeps the old memory
				return v, nil
			}
		}
		if cap(c.buf)-len(c.buf) < 4096 {
			c.buf = append(make([]byte, 0, 2*cap(c.buf)+4096), c.buf...)
		}
		n, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+n]
		if err != nil {
			return resp.Value{}, err
		}
	}
}

func appendCommand(w *resp.Writer, args []string) {
	w.Array(len(args))
	for _, a := range args {
		w.BulkString(a)
	}
}

// notRun says whether an error reply promises that the command did not run.
func notRun(v resp.Value) bool {
	e := v.Err()
	return e != nil && (strings.HasPrefix(e.Error(), "CLUSTERDOWN ") || strings.HasPrefix(e.Error(), "MISCONF ") || strings.HasPrefix(e.Error(), "TRYAGAIN "))
}

// unknownOutcome says whether an error reply says that nobody knows.
func unknownOutcome(v resp.Value) bool {
	e := v.Err()
	return e != nil && strings.HasPrefix(e.Error(), "UNKNOWNOUTCOME ")
}

// keyIn makes a key that starts with prefix and lies in slots lo to hi.
func keyIn(slots string, prefix string, slotOf func([]byte) int) string {
	var lo, hi int
	if _, err := fmt.Sscanf(slots, "%d-%d", &lo, &hi); err != nil {
		panic("slots " + slots)
	}
	for i := 0; ; i++ {
		key := fmt.Sprintf("%s{%d}", prefix, i)
		if s := slotOf([]byte(key)); s >= lo && s <= hi {
			return key
		}
	}
}

// scanLines calls f for each line of s.
func scanLines(s string, f func(string)) {
	sc := bufio.NewScanner(strings.NewReader(s))
	for sc.Scan() {
		f(sc.Text())
	}
}
