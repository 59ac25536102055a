package redisfront

import (
	"net"
	"syscall"
	"unsafe"
)

// rawConn is a TCP connection's descriptor, for system calls on it without
// the runtime's detour: a non-blocking read or write takes a few microseconds,
// so it need not tell the scheduler.
type rawConn struct {
	syscall.RawConn
	fd uintptr
}

// openRaw returns the descriptor of a TCP connection, nil of any other.
func openRaw(c net.Conn) *rawConn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawConn{RawConn: rc}
	if err := rc.Control(func(fd uintptr) { r.fd = fd }); err != nil {
		return nil
	}
	return r
}

type rawResult uint8

const (
	rawOK rawResult = iota
	rawAgain
	rawFailed
)

// read reads what is there. n == 0 with rawOK is the end of the stream.
func (r *rawConn) read(p []byte) (n int, res rawResult) {
	return r.call(syscall.SYS_READ, p)
}

// write writes what fits. The caller holds the lock that keeps the descriptor
// open.
func (r *rawConn) write(p []byte) (n int, res rawResult) {
	return r.call(syscall.SYS_WRITE, p)
}

func (r *rawConn) call(trap uintptr, p []byte) (int, rawResult) {
	for {
		n, _, errno := syscall.RawSyscall(trap, r.fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), rawOK
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, rawAgain
		default:
			return 0, rawFailed
		}
	}
}

// shutdown ends both directions, so that a parked reader wakes up.
func (r *rawConn) shutdown() { _ = syscall.Shutdown(int(r.fd), syscall.SHUT_RDWR) }
