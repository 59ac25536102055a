//go:build unix && !linux

package bench

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for sockets with poll(2), for systems without epoll.
type poller struct {
	fds []unix.PollFd
}

// ready is a socket that can be read, or written when that was asked for.
type ready struct {
	fd              int
	readable, write bool
}

func newPoller(int) (*poller, error) { return &poller{}, nil }

func (p *poller) close() {}

func (p *poller) add(fd int) error {
	p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return nil
}

// wantWrite also waits until fd can be written, or no longer.
func (p *poller) wantWrite(fd int, on bool) error {
	for i := range p.fds {
		if p.fds[i].Fd == int32(fd) {
			p.fds[i].Events = unix.POLLIN
			if on {
				p.fds[i].Events |= unix.POLLOUT
			}
		}
	}
	return nil
}

func (p *poller) remove(fd int) {
	for i := range p.fds {
		if p.fds[i].Fd == int32(fd) {
			p.fds = append(p.fds[:i], p.fds[i+1:]...)
			return
		}
	}
}

// wait appends to dst what is ready, after at most timeout.
func (p *poller) wait(dst []ready, timeout time.Duration) ([]ready, error) {
	ms := int((timeout + time.Millisecond - 1) / time.Millisecond)
	if _, err := unix.Poll(p.fds, ms); err != nil && !errors.Is(err, unix.EINTR) {
		return dst, err
	}
	for _, f := range p.fds {
		if f.Revents != 0 {
			dst = append(dst, ready{int(f.Fd), f.Revents&^unix.POLLOUT != 0, f.Revents&unix.POLLOUT != 0})
		}
	}
	return dst, nil
}

func readSocket(fd int, p []byte) (int, error)  { return again(unix.Read(fd, p)) }
func writeSocket(fd int, p []byte) (int, error) { return again(unix.Write(fd, p)) }

func again(n int, err error) (int, error) {
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, errAgain
	}
	return n, err
}
