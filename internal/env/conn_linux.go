package env

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Conn returns a TCP connection whose Read and Write do not tell the
// scheduler about their system calls: on a socket that does not block these
// take a few microseconds, and waiting is still the runtime poller's. Any
// other connection is returned as it is. One goroutine may read and one may
// write at a time.
func Conn(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	d := &directConn{Conn: c, raw: raw}
	d.r.call = func(fd uintptr) bool { return d.r.do(syscall.SYS_READ, fd) }
	d.w.call = func(fd uintptr) bool { return d.w.do(syscall.SYS_WRITE, fd) }
	return d
}

type directConn struct {
	net.Conn
	raw  syscall.RawConn
	r, w direction
}

// direction is one system call and its result, kept so that nothing is
// allocated per call.
type direction struct {
	buf   []byte
	n     int
	errno syscall.Errno
	call  func(fd uintptr) bool
}

// do makes the call; it is false when the socket would block.
func (d *direction) do(trap, fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(d.buf))), uintptr(len(d.buf)))
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		d.n, d.errno = int(n), errno
		return true
	}
}

// Read implements net.Conn.
func (c *directConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.r.buf = p
	err := c.raw.Read(c.r.call)
	c.r.buf = nil
	switch {
	case err != nil:
		return 0, err
	case c.r.errno != 0:
		return 0, os.NewSyscallError("read", c.r.errno)
	case c.r.n == 0:
		return 0, io.EOF
	}
	return c.r.n, nil
}

// Write implements net.Conn.
func (c *directConn) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		c.w.buf = p[sent:]
		err := c.raw.Write(c.w.call)
		c.w.buf = nil
		switch {
		case err != nil:
			return sent, err
		case c.w.errno != 0:
			return sent, os.NewSyscallError("write", c.w.errno)
		}
		sent += c.w.n
	}
	return sent, nil
}
