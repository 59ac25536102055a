package sim

import (
	"errors"
	"fmt"
	"strings"

	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Faults of the disks. A node that meets one stops; what follows is what its
// operator does.

// errPlanned is what a failing disk says.
var errPlanned = errors.New("input/output error")

// diskState is what is wrong with a machine's disk at the moment.
type diskState struct {
	slow      int64  // added to each access, µs
	hungUntil int64  // no access ends before
	failSync  bool   // the next write to the log fails, or its fsync
	failReads bool   // reads of log and state fail
	full      string // why no writes are taken
	noSpace   bool   // writes fail, too
	damaged   bool   // what the state store holds is not what was written
}

// heal ends what is wrong for a time.
func (s *diskState) heal() { *s = diskState{} }

// access is how long an access takes that would take the given time, if the
// disk does not hang.
func (m *machine) access(usual int64) int64 { return usual + m.disk.slow }

// hangPoll is how often an access looks whether its disk still hangs.
const hangPoll = 50 * milli

// afterDisk runs f after an access to the disk.
func (p *proc) afterDisk(usual int64, f func()) {
	p.after(p.m.access(usual), func() {
		if left := p.m.disk.hungUntil - p.c.now; left > 0 {
			p.afterDisk(min(left, hangPoll), f)
			return
		}
		f()
	})
}

func (c *cluster) slowDisk(d dice, m *machine) bool {
	m.disk.slow = d.skewed(milli, 800*milli)
	c.trace("disk of n%d is slow: %v", m.id, micros(m.disk.slow))
	c.after(d.between(100*milli, 4*second), func() { m.disk.slow = 0 })
	return true
}

func (c *cluster) hungDisk(d dice, m *machine) bool {
	long := d.between(500*milli, 9*second)
	m.disk.hungUntil = c.now + long
	c.trace("disk of n%d hangs: %v", m.id, micros(long))
	if p := m.proc; p != nil && p.leadsAny() {
		c.met(eventHungLeader)
	}
	return true
}

func (c *cluster) failedSync(d dice, m *machine) bool {
	m.disk.failSync = true
	c.trace("disk of n%d: the next fsync fails", m.id)
	c.after(d.between(second, 4*second), func() { m.disk.failSync = false })
	return true
}

func (c *cluster) readError(d dice, m *machine) bool {
	m.disk.failReads = true
	c.trace("disk of n%d: reads fail", m.id)
	c.after(d.between(100*milli, 4*second), func() { m.disk.failReads = false })
	return true
}

// fullDisk leaves so little space that the node takes no more writes, or none
// at all.
func (c *cluster) fullDisk(d dice, m *machine) bool {
	m.disk.full, m.disk.noSpace = "the disk is full", d.chance(0.3)
	c.trace("disk of n%d is full, not even Raft can write: %v", m.id, m.disk.noSpace)
	c.after(d.between(200*milli, 5*second), func() { m.disk.full, m.disk.noSpace = "", false })
	return true
}

// logDamage flips bits in the log of a machine that the others can do
// without. It is found when the log is next read there, or opened.
func (c *cluster) logDamage(d dice, m *machine) bool {
	if !c.dispensable(m) || !m.logs.damage(d) {
		return false
	}
	c.lost = m
	c.trace("log of n%d is damaged", m.id)
	return true
}

// stateDamage does the same to the state store: it is found when it is read.
func (c *cluster) stateDamage(d dice, m *machine) bool {
	if !c.dispensable(m) {
		return false
	}
	c.lost = m
	m.disk.damaged = true
	c.trace("state of n%d is damaged", m.id)
	return true
}

// readFault is what a read of the machine's disk says now.
func (m *machine) readFault() error {
	switch {
	case m.disk.failReads:
		return errPlanned
	case m.disk.damaged:
		return fmt.Errorf("%w: a block's checksum is wrong", state.ErrCorrupt)
	}
	return nil
}

// fail stops a process that met a fault. Its operator starts it again, or
// gives it a new disk if what is on this one is damaged.
func (p *proc) fail(err error) {
	if p.dead {
		return
	}
	c, m := p.c, p.m
	c.met(eventDiskStopped)
	c.trace("n%d stops: %v", m.id, err)
	m.kill()
	if errors.Is(err, state.ErrCorrupt) || errors.Is(err, logstore.ErrCorrupt) {
		c.met(eventDamageFound)
		c.after(c.faultDice.between(100*milli, 3*second), func() { c.replaceDisk(m) })
		return
	}
	c.restart(m, c.faultDice.skewed(100*milli, 3*second))
}

// faultyReader is the state store as replicas read it.
type faultyReader struct {
	state.Reader
	p *proc
}

func (r faultyReader) Get(key, dst []byte) ([]byte, bool, error) {
	if err := r.p.m.readFault(); err != nil {
		return dst, false, err
	}
	return r.Reader.Get(key, dst)
}

func (r faultyReader) Iter(lower, upper []byte) (state.Iterator, error) {
	if err := r.p.m.readFault(); err != nil {
		return nil, err
	}
	return r.Reader.Iter(lower, upper)
}

// faultyLog is the log as replicas read it. Raft takes no errors from it but
// by a panic, which loop catches: see planned.
type faultyLog struct {
	partition.LogReader
	p *proc
}

func (l faultyLog) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	if l.p.m.disk.failReads {
		return nil, errPlanned
	}
	return l.LogReader.Entries(lo, hi, maxBytes)
}

func (l faultyLog) Term(i uint64) (uint64, error) {
	if l.p.m.disk.failReads {
		return 0, errPlanned
	}
	return l.LogReader.Term(i)
}

// planned says whether an error comes from a fault that was planned.
func planned(err error) bool {
	return errors.Is(err, errPlanned) || errors.Is(err, state.ErrCorrupt) || errors.Is(err, logstore.ErrCorrupt)
}

// guard runs a piece of a process. A panic over an error of the disk ends the
// process, as it would in production; any other is a violation.
func (p *proc) guard(f func()) {
	defer func() {
		x := recover()
		if x == nil {
			return
		}
		err, ok := x.(error)
		if text, is := x.(string); is && strings.Contains(text, errPlanned.Error()) { // Panicf of raft
			err, ok = fmt.Errorf("%s: %w", text, errPlanned), true
		}
		if !ok || !planned(err) {
			panic(x)
		}
		p.fail(err)
	}()
	f()
}
