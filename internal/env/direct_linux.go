package env

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// An fsync on a good disk takes 50 to 100 µs. Go's runtime takes the
// processor away from a goroutine that is in a system call for more than
// 20 µs: another thread is woken, and its monitor thread wakes up fifty
// thousand times a second to look for more. On a small machine that costs
// more than the fsync. Direct files write without telling the scheduler, and
// sync through io_uring, where the kernel has it. Where it has not, they sync
// without telling the scheduler too: one processor of GOMAXPROCS then waits
// with the disk, so a disk that turns out slow is treated the ordinary way.
const (
	slowSync   = 2 * time.Millisecond
	slowPeriod = 256 // syncs the ordinary way after a slow one
)

// Direct returns fs with files whose WriteAt and SyncData are direct where
// that is possible. SyncData is for one goroutine at a time.
func Direct(fs vfs.FS) vfs.FS { return directFS{fs} }

type directFS struct{ vfs.FS }

// Create implements vfs.FS.
func (d directFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return wrap(d.FS.Create(name, c))
}

// OpenReadWrite implements vfs.FS.
func (d directFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return wrap(d.FS.OpenReadWrite(name, c, opts...))
}

// Unwrap implements vfs.FS.
func (d directFS) Unwrap() vfs.FS { return d.FS }

func wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil || f.Fd() == vfs.InvalidFd {
		return f, err
	}
	d := &directFile{File: f, fd: f.Fd()}
	if r, err := newSyncRing(); err == nil { // some containers forbid it
		d.ring = r
	}
	return d, nil
}

type directFile struct {
	vfs.File
	fd       uintptr
	ordinary int       // syncs left to do the ordinary way
	ring     *syncRing // nil: not available
}

// WriteAt implements vfs.File.
func (f *directFile) WriteAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, _, errno := syscall.RawSyscall6(syscall.SYS_PWRITE64, f.fd,
			uintptr(unsafe.Pointer(&p[n])), uintptr(len(p)-n), uintptr(off)+uintptr(n), 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0:
			return n, os.NewSyscallError("pwrite", errno)
		default:
			n += int(m)
		}
	}
	return n, nil
}

// SyncData implements vfs.File.
func (f *directFile) SyncData() error {
	if f.ring != nil {
		return f.ring.datasync(f.fd)
	}
	if f.ordinary > 0 {
		f.ordinary--
		return f.File.SyncData()
	}
	start := time.Now()
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_FDATASYNC, f.fd, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if time.Since(start) > slowSync {
			f.ordinary = slowPeriod
		}
		if errno != 0 {
			return os.NewSyscallError("fdatasync", errno)
		}
		return nil
	}
}

// Close implements vfs.File.
func (f *directFile) Close() error {
	if f.ring != nil {
		f.ring.close()
		f.ring = nil
	}
	return f.File.Close()
}
