package bench

import (
	"errors"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits for sockets, level-triggered. It belongs to one worker.
type poller struct {
	fd     int
	events [256]unix.EpollEvent
	keeps  bool // a short wait may keep its processor: there are others
	coarse bool // the kernel has no epoll_pwait2, waits are in milliseconds
}

// ready is a socket that can be read, or written when that was asked for.
type ready struct {
	fd              int
	readable, write bool
}

// newPoller returns one of workers pollers.
func newPoller(workers int) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &poller{fd: fd, keeps: workers < runtime.GOMAXPROCS(0)}, nil
}

func (p *poller) close() { _ = unix.Close(p.fd) }

func (p *poller) add(fd int) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// wantWrite also waits until fd can be written, or no longer.
func (p *poller) wantWrite(fd int, on bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if on {
		ev.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &ev)
}

func (p *poller) remove(fd int) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// wait appends to dst what is ready, after at most timeout.
func (p *poller) wait(dst []ready, timeout time.Duration) ([]ready, error) {
	n, err := p.rawWait(timeout)
	if err != nil {
		if errors.Is(err, unix.EINTR) {
			return dst, nil
		}
		return dst, err
	}
	for _, ev := range p.events[:n] {
		// An error or a hangup shows itself when the socket is read.
		dst = append(dst, ready{
			fd:       int(ev.Fd),
			readable: ev.Events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0,
			write:    ev.Events&unix.EPOLLOUT != 0,
		})
	}
	return dst, nil
}

// briefWait is how long a wait may keep the goroutine's processor to itself.
// Giving it back and getting another one costs more than a request when the
// next answer or due time is near; keeping it longer would hold up a garbage
// collection.
const briefWait = time.Millisecond

func (p *poller) rawWait(timeout time.Duration) (int, error) {
	if p.keeps && !p.coarse {
		brief := min(timeout, briefWait)
		ts := unix.NsecToTimespec(int64(brief))
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
			uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno == unix.ENOSYS || errno == unix.EPERM {
			p.coarse = true
		} else if timeout -= brief; errno != 0 || n > 0 || timeout == 0 {
			return int(n), asError(errno)
		}
	}
	if !p.coarse {
		ts := unix.NsecToTimespec(int64(timeout))
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
			uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return int(n), asError(errno)
		}
		p.coarse = true
	}
	ms := int((timeout + time.Millisecond - 1) / time.Millisecond)
	return unix.EpollWait(p.fd, p.events[:], ms)
}

// asError keeps no error from becoming an error of value 0.
func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// readSocket and writeSocket never block, as the sockets do not; so the
// scheduler need not be told about the system call, which would cost more
// than the rest of a request.
func readSocket(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return result(n, errno)
}

func writeSocket(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, errAgain
	}
	return 0, errno
}
