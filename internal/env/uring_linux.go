package env

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syncRing syncs one file through io_uring: the kernel waits for the disk in
// a thread of its own, and the goroutine in the runtime's poller like one
// that reads a socket. No processor waits, and the scheduler has nothing to
// take away or to look after. One sync at a time.
type syncRing struct {
	fd    int
	event *os.File // becomes readable when a sync is complete
	raw   syscall.RawConn
	sq    []byte
	sqes  []byte

	sqTail, cqHead, cqTail *uint32
	sqMask, cqMask         uint32
	sqArray                []uint32
	cqes                   unsafe.Pointer

	buf   [8]byte
	drain func(fd uintptr) bool
}

// Offsets and numbers of the kernel's interface (linux/io_uring.h).
const (
	ringEntries       = 4
	ringOffSQ         = 0
	ringOffCQ         = 0x8000000
	ringOffSQEs       = 0x10000000
	sqeSize           = 64
	cqeSize           = 16
	opFsync           = 3
	fsyncDatasync     = 1
	registerEventFD   = 4
	featSingleMmap    = 1
	sizeofUringParams = 120
	paramsSQOff       = 40
	paramsCQOff       = 80
	sqOffTail         = 4
	sqOffMask         = 8
	sqOffArray        = 24
	cqOffHead         = 0
	cqOffTail         = 4
	cqOffMask         = 8
	cqOffCQEs         = 20
	paramsFeatures    = 20
)

var errRing = errors.New("io_uring is not available")

func newSyncRing() (r *syncRing, err error) {
	var params [sizeofUringParams]byte
	fd, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return nil, errno
	}
	r = &syncRing{fd: int(fd)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	u32 := func(off int) uint32 { return *(*uint32)(unsafe.Pointer(&params[off])) }
	if u32(paramsFeatures)&featSingleMmap == 0 {
		return nil, errRing
	}
	sqEntries, cqEntries := u32(0), u32(4)
	size := max(int(u32(paramsSQOff+sqOffArray)+4*sqEntries), int(u32(paramsCQOff+cqOffCQEs)+cqeSize*cqEntries))
	prot, flags := unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE
	if r.sq, err = unix.Mmap(r.fd, ringOffSQ, size, prot, flags); err != nil {
		return nil, err
	}
	if r.sqes, err = unix.Mmap(r.fd, ringOffSQEs, int(sqEntries)*sqeSize, prot, flags); err != nil {
		return nil, err
	}
	at := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.sq[off])) }
	r.sqTail, r.sqMask = at(u32(paramsSQOff+sqOffTail)), *at(u32(paramsSQOff + sqOffMask))
	r.cqHead, r.cqTail = at(u32(paramsCQOff+cqOffHead)), at(u32(paramsCQOff+cqOffTail))
	r.cqMask = *at(u32(paramsCQOff + cqOffMask))
	r.sqArray = unsafe.Slice(at(u32(paramsSQOff+sqOffArray)), sqEntries)
	r.cqes = unsafe.Pointer(at(u32(paramsCQOff + cqOffCQEs)))
	efd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r.event = os.NewFile(uintptr(efd), "io_uring completion")
	e32 := int32(efd)
	if _, _, errno := syscall.Syscall6(unix.SYS_IO_URING_REGISTER, fd, registerEventFD, uintptr(unsafe.Pointer(&e32)), 1, 0, 0); errno != 0 {
		return nil, errno
	}
	if r.raw, err = r.event.SyscallConn(); err != nil {
		return nil, err
	}
	r.drain = func(fd uintptr) bool {
		for {
			_, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&r.buf)), 8)
			if errno != syscall.EINTR {
				return errno != syscall.EAGAIN
			}
		}
	}
	return r, nil
}

// datasync is fdatasync.
func (r *syncRing) datasync(fd uintptr) error {
	tail := atomic.LoadUint32(r.sqTail)
	i := tail & r.sqMask
	e := r.sqes[i*sqeSize : (i+1)*sqeSize]
	clear(e)
	e[0] = opFsync
	*(*int32)(unsafe.Pointer(&e[4])) = int32(fd)
	*(*uint32)(unsafe.Pointer(&e[28])) = fsyncDatasync
	r.sqArray[i] = i
	atomic.StoreUint32(r.sqTail, tail+1)
	for {
		_, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 0, 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("io_uring_enter", errno)
		}
		break
	}
	for {
		head := atomic.LoadUint32(r.cqHead)
		if head != atomic.LoadUint32(r.cqTail) {
			res := *(*int32)(unsafe.Add(r.cqes, uintptr(head&r.cqMask)*cqeSize+8))
			atomic.StoreUint32(r.cqHead, head+1)
			if res < 0 {
				return os.NewSyscallError("fdatasync", syscall.Errno(-res))
			}
			return nil
		}
		if err := r.raw.Read(r.drain); err != nil {
			return err
		}
	}
}

func (r *syncRing) close() {
	if r.event != nil {
		_ = r.event.Close()
	}
	if r.sqes != nil {
		_ = unix.Munmap(r.sqes)
	}
	if r.sq != nil {
		_ = unix.Munmap(r.sq)
	}
	_ = unix.Close(r.fd)
}
