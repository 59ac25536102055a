package transport

import (
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setUnackedTimeout makes the kernel give a connection up whose sent bytes, or
// whose probes of a closed window, get no progress for that long.
func setUnackedTimeout(conn *net.TCPConn, d time.Duration) {
	withSocket(conn, func(fd int) {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

// roundTrip is the kernel's smoothed estimate of the connection's round trip.
func roundTrip(conn *net.TCPConn) (rtt time.Duration) {
	withSocket(conn, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}

func withSocket(conn *net.TCPConn, f func(fd int)) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { f(int(fd)) })
}

// prompt writes to a socket without waiting, and without telling the
// scheduler about it (see env.Conn). Its state is kept between writes so that
// a write allocates nothing.
type prompt struct {
	raw  syscall.RawConn
	data []byte
	n    int
	err  error
	try  func(fd uintptr) bool
}

// newPrompt is nil where writing without waiting is not possible.
func newPrompt(conn *net.TCPConn) *prompt {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	p := &prompt{raw: raw}
	p.try = func(fd uintptr) bool {
		for {
			n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p.data))), uintptr(len(p.data)))
			if errno == syscall.EINTR {
				continue
			}
			p.n, p.err = int(n), nil
			if errno != 0 {
				p.n, p.err = 0, errno
			}
			return true
		}
	}
	return p
}

// write writes as much of b as the socket takes now.
func (p *prompt) write(b []byte) (int, error) {
	p.data, p.n, p.err = b, 0, nil
	err := p.raw.Write(p.try)
	p.data = nil
	if err == nil {
		err = p.err
	}
	if err == syscall.EAGAIN {
		err = nil
	}
	return max(p.n, 0), err
}
