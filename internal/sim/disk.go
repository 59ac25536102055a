package sim

import (
	"fmt"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// nodeLog is a machine's log store, as the driver of a node uses it.
type nodeLog interface {
	// begin takes a batch. If durable is true the driver has to call finish
	// when the write is done; else there is nothing to wait for.
	begin(updates []logstore.Update) (durable bool, err error)
	// finish makes the batch under way durable and visible.
	finish() error
	// write makes a batch durable at once.
	write(updates []logstore.Update) error
	// crash forgets what is not on the disk. torn says that a write was cut off.
	crash(d dice) (torn bool, err error)
	// open begins a new life. It fails if the log is damaged.
	open() error
	// damage changes something that is on the disk, but for the last write, for
	// a damaged last write looks like one that a crash cut off.
	damage(d dice) bool
	replicas() []logstore.State
	state(p base.PartitionID) (logstore.State, bool)
	reader(p base.PartitionID) partition.LogReader
	// synced is the term of what the disk holds at an index; 0 if it cannot tell,
	// for the log was cut behind it, or at all.
	synced(p base.PartitionID, index uint64) (term uint64, ok bool)
}

// logDisk is a model of package logstore: updates apply in order, a batch that
// must be durable is one write, and commit indexes and truncations that came
// alone wait in memory for the next one. A crash forgets those, and the batch
// under way may have got there or not.
type logDisk struct {
	disk, mem map[base.PartitionID]*replicaLog
	held      []logstore.Update // in mem, not on disk
	writing   []logstore.Update // on their way to the disk
	forgetful bool              // planted: a crash loses term and vote
	bad       map[position]bool // damaged entries
}

var _ nodeLog = (*logDisk)(nil)

func newLogDisk() *logDisk {
	return &logDisk{disk: map[base.PartitionID]*replicaLog{}, mem: map[base.PartitionID]*replicaLog{}}
}

// replicaLog is one replica's log.
type replicaLog struct {
	replica base.ReplicaID
	mark    logstore.Mark
	entries []*pb.Entry // after mark
	hard    logstore.HardState
}

func (l *replicaLog) last() uint64 { return l.mark.Index + uint64(len(l.entries)) }

func (l *replicaLog) term(i uint64) (uint64, error) {
	switch {
	case i < l.mark.Index:
		return 0, raft.ErrCompacted
	case i > l.last():
		return 0, raft.ErrUnavailable
	case i == l.mark.Index:
		return l.mark.Term, nil
	}
	return l.entries[i-l.mark.Index-1].GetTerm(), nil
}

func (d *logDisk) begin(updates []logstore.Update) (durable bool, err error) {
	for i := range updates {
		durable = durable || d.mustSync(&updates[i])
	}
	if durable {
		d.writing = updates
		return true, nil
	}
	d.held = append(d.held, updates...)
	return false, applyAll(d.mem, updates)
}

func (d *logDisk) write(updates []logstore.Update) error {
	if durable, err := d.begin(updates); err != nil || !durable {
		return err
	}
	return d.finish()
}

// mustSync says whether an update must be durable before it is reported.
func (d *logDisk) mustSync(u *logstore.Update) bool {
	l := d.mem[u.Partition]
	if l == nil {
		return true
	}
	return mustSync(u, l.hard)
}

func (d *logDisk) finish() error {
	w := d.writing
	d.writing = nil
	if err := applyAll(d.disk, append(d.held, w...)); err != nil {
		return err
	}
	d.held = nil
	return applyAll(d.mem, w)
}

// crash: the batch under way got there or not.
func (d *logDisk) crash(dice dice) (torn bool, err error) {
	if d.writing != nil {
		if torn = dice.rand.IntN(2) != 0; !torn {
			if err := applyAll(d.disk, append(d.held, d.writing...)); err != nil {
				return false, err
			}
		}
	}
	d.held, d.writing, d.mem = nil, nil, nil
	return torn, nil
}

func (d *logDisk) open() error {
	d.mem = map[base.PartitionID]*replicaLog{}
	for p, l := range d.disk {
		c := *l
		c.entries = slices.Clone(l.entries)
		if d.forgetful && c.hard.Vote != tombstoneVote {
			c.hard.Vote = 0
			c.hard.Term, _ = c.term(c.last())
		}
		d.mem[p] = &c
	}
	for at := range d.bad {
		if l := d.disk[at.partition]; l != nil && at.index > l.mark.Index {
			return fmt.Errorf("%w: partition %d, entry %d", state.ErrCorrupt, at.partition, at.index)
		}
	}
	return nil
}

func (d *logDisk) damage(dice dice) bool {
	var at []position
	for _, p := range slices.Sorted(maps.Keys(d.disk)) {
		l := d.disk[p]
		for i := range max(len(l.entries), 3) - 3 { // not the last ones
			at = append(at, position{p, l.mark.Index + 1 + uint64(i)})
		}
	}
	if len(at) == 0 {
		return false
	}
	if d.bad == nil {
		d.bad = map[position]bool{}
	}
	d.bad[at[dice.rand.IntN(len(at))]] = true
	return true
}

func (d *logDisk) reader(p base.PartitionID) partition.LogReader { return logReader{d, p} }

func (d *logDisk) synced(p base.PartitionID, index uint64) (term uint64, ok bool) {
	l := d.disk[p]
	if l == nil || index > l.last() {
		return 0, false
	}
	if index < l.mark.Index {
		return 0, true
	}
	term, err := l.term(index)
	return term, err == nil
}

func applyAll(logs map[base.PartitionID]*replicaLog, updates []logstore.Update) error {
	for i := range updates {
		if err := applyUpdate(logs, &updates[i]); err != nil {
			return fmt.Errorf("log of partition %d, replica %d: %w", updates[i].Partition, updates[i].Replica, err)
		}
	}
	return nil
}

func applyUpdate(logs map[base.PartitionID]*replicaLog, u *logstore.Update) error {
	l := logs[u.Partition]
	if l != nil && l.replica != u.Replica {
		return fmt.Errorf("the partition's replica is %d", l.replica)
	}
	if u.Remove {
		delete(logs, u.Partition)
		l = nil
	}
	if u.Reset == nil && len(u.Entries) == 0 && u.HardState == nil && u.Truncate == nil {
		return nil
	}
	if l == nil {
		l = &replicaLog{replica: u.Replica}
		logs[u.Partition] = l
	}
	if u.Reset != nil {
		l.mark, l.entries = *u.Reset, nil
	}
	for _, e := range u.Entries {
		i := e.GetIndex()
		if i <= l.mark.Index || i > l.last()+1 {
			return fmt.Errorf("entry %d does not fit into %d..%d", i, l.mark.Index+1, l.last())
		}
		at := i - l.mark.Index - 1
		if before, _ := l.term(i - 1); e.GetTerm() < before {
			return fmt.Errorf("entry %d has term %d behind term %d", i, e.GetTerm(), before)
		}
		if at < uint64(len(l.entries)) {
			l.entries = slices.Clip(l.entries[:at])
		}
		l.entries = append(l.entries, e)
	}
	if u.HardState != nil {
		l.hard = *u.HardState
	}
	if m := u.Truncate; m != nil && m.Index >= l.mark.Index {
		if t, err := l.term(m.Index); err != nil || t != m.Term {
			return fmt.Errorf("truncation at %d, term %d: the log is %d..%d", m.Index, m.Term, l.mark.Index+1, l.last())
		}
		l.entries = slices.Clone(l.entries[m.Index-l.mark.Index:])
		l.mark = *m
	}
	return nil
}

// replicas lists what is known, by partition.
func (d *logDisk) replicas() []logstore.State {
	var all []logstore.State
	for _, p := range slices.Sorted(maps.Keys(d.mem)) {
		s, _ := d.state(p)
		all = append(all, s)
	}
	return all
}

func (d *logDisk) state(p base.PartitionID) (logstore.State, bool) {
	l := d.mem[p]
	if l == nil {
		return logstore.State{}, false
	}
	return logstore.State{
		Partition: p, Replica: l.replica, First: l.mark.Index + 1, Last: l.last(), Mark: l.mark, HardState: l.hard,
	}, true
}

// copyUpdate makes an update independent of the slices that raft goes on to
// use. Entries themselves never change.
func copyUpdate(u logstore.Update) logstore.Update {
	u.Entries = slices.Clone(u.Entries)
	return u
}

// logReader is one partition's part of the log.
type logReader struct {
	d *logDisk
	p base.PartitionID
}

func (r logReader) Term(i uint64) (uint64, error) {
	l := r.d.mem[r.p]
	if l == nil {
		return 0, raft.ErrUnavailable
	}
	return l.term(i)
}

func (r logReader) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	l := r.d.mem[r.p]
	switch {
	case l == nil || hi > l.last()+1:
		return nil, raft.ErrUnavailable
	case lo <= l.mark.Index:
		return nil, raft.ErrCompacted
	}
	var size uint64
	ents := l.entries[lo-l.mark.Index-1 : hi-l.mark.Index-1]
	for i, e := range ents {
		if len(r.d.bad) > 0 && r.d.bad[position{r.p, e.GetIndex()}] {
			return nil, fmt.Errorf("%w: partition %d, entry %d", state.ErrCorrupt, r.p, e.GetIndex())
		}
		if size += uint64(len(e.GetData())) + 16; size > maxBytes && i > 0 {
			ents = ents[:i]
			break
		}
	}
	return slices.Clone(ents), nil
}
