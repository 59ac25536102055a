package node

import (
	"context"
	"fmt"
	"time"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/overlay"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"

	pb "go.etcd.io/raft/v3/raftpb"
)

// logWrite is one turn's appends on their way to the log writer, or updates
// that something waits for.
type logWrite struct {
	appends []partition.Append
	updates []logstore.Update
	done    func() // on the loop, when durable; may be nil
}

// logQueue bounds the turns whose appends wait for the log writer.
// Raft's own flow control keeps far below it.
const logQueue = 16384

// writeLog hands a turn's appends to the log writer. Those that install a
// snapshot go their own way first: see install.
func (n *Node) writeLog(appends []partition.Append) {
	w := logWrite{appends: make([]partition.Append, 0, len(appends))}
	for _, a := range appends {
		if a.Snapshot != nil {
			n.install(a)
			continue
		}
		w.appends = append(w.appends, a)
	}
	if len(w.appends) > 0 {
		n.logWrites <- w
	}
}

// logWriter is the group commit: everything that waits becomes one write and
// one fsync; what comes meanwhile waits for the next.
func (n *Node) logWriter() {
	defer close(n.logDone)
	var updates []logstore.Update
	for w := range n.logWrites {
		batch := []logWrite{w}
	gather:
		for {
			select {
			case more, ok := <-n.logWrites:
				if !ok {
					break gather
				}
				batch = append(batch, more)
			default:
				break gather
			}
		}
		updates = updates[:0]
		for _, w := range batch {
			for i := range w.appends {
				updates = append(updates, w.appends[i].Update)
			}
			updates = append(updates, w.updates...)
		}
		start := time.Now()
		if err := n.logs.Append(updates); err != nil {
			n.inbox.putEvent(func() { n.fail(fmt.Errorf("write the log: %w", err)) })
			return // nothing that follows may be acknowledged
		}
		n.metrics.logAppend.observe(time.Since(start))
		n.inbox.putEvent(func() {
			for _, w := range batch {
				n.shard.Appended(w.appends)
				if w.done != nil {
					w.done()
				}
			}
		})
	}
}

// moveQueue bounds the moves down that wait. There is at most one per
// partition.
const moveQueue = 4096

// moveJob is work for the mover, in order: a move down, or a flush of the
// state store, or a pin.
type moveJob struct {
	move  *partition.MoveDown
	flush bool
}

func (n *Node) moveDown(m *partition.MoveDown) {
	c := *m
	n.moves <- moveJob{move: &c}
}

// pin pins the state store as it is now, for a view of a cut.
func (n *Node) pin(p *partition.Pin) {
	view, err := n.states.Pin()
	if err != nil {
		n.log.Warn("no view of the state store for a cut", "partition", p.Replica.Partition(), "err", err)
	}
	n.shard.Pinned(p, view)
	n.inbox.putEvent(func() {}) // somebody may wait for it: another turn
}

// mover writes frozen state into the state store, one batch per partition
// with the state record in it.
func (n *Node) mover() {
	defer close(n.moverDone)
	for job := range n.moves {
		if job.flush {
			n.flushState()
			continue
		}
		m := job.move
		err := n.commitMove(m)
		n.inbox.putEvent(func() {
			if err != nil {
				n.fail(fmt.Errorf("write the state store: %w", err))
				return
			}
			n.shard.Moved(m.Replica, &m.State)
		})
	}
}

func (n *Node) commitMove(m *partition.MoveDown) error {
	b := n.states.NewBatch()
	for _, op := range m.Frozen.Ops() {
		overlay.Write(b, op)
	}
	b.Set(keys.StateKey(m.Replica.Partition()), m.Record)
	return n.states.Commit(b)
}

// flushState makes the state store durable, so that the log can be cut.
func (n *Node) flushState() {
	start := time.Now()
	err := n.states.Flush(context.Background())
	durable := map[base.PartitionID]uint64{}
	if err == nil {
		durable, err = n.durableIndexes()
	}
	n.metrics.stateFlush.observe(time.Since(start))
	n.inbox.putEvent(func() {
		n.flushing = false
		if err != nil {
			n.fail(fmt.Errorf("flush the state store: %w", err))
			return
		}
		ups := n.shard.Truncate(func(p base.PartitionID) uint64 { return durable[p] }, keepEntries)
		if len(ups) > 0 {
			n.logWrites <- logWrite{updates: ups}
		}
	})
}

// durableIndexes reads how far each partition's state is durable.
func (n *Node) durableIndexes() (map[base.PartitionID]uint64, error) {
	durable := map[base.PartitionID]uint64{}
	it, err := n.states.Iter(keys.AllMetaBounds())
	if err != nil {
		return nil, err
	}
	defer func() { it.Close() }()
	var pids []base.PartitionID
	for it.Next() {
		if pid, _, ok := keys.ParseMetaKey(it.Key()); ok && string(it.Key()) == string(keys.StateKey(pid)) {
			pids = append(pids, pid)
		}
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	for _, pid := range pids {
		b, ok, err := n.states.GetDurable(keys.StateKey(pid))
		if err != nil || !ok {
			if err != nil {
				return nil, err
			}
			continue
		}
		s, err := partition.DecodeState(b)
		if err != nil {
			return nil, err
		}
		durable[pid] = s.Index
	}
	return durable, nil
}

// Housekeeping: how often the node looks, how much log makes it act, and how
// many entries stay for followers a little behind.
const (
	housekeepingTicks = 20
	truncateLogBytes  = 128 << 20
	truncateTicks     = 1200
	keepEntries       = 2000
)

// housekeep starts, from time to time, the way from applied to durable to a
// shorter log; and watches the disk.
func (n *Node) housekeep() {
	n.watchSelf()
	if n.flushing || n.failed != nil {
		return
	}
	size, _ := n.logs.Size()
	grown := size-n.truncatedAt > truncateLogBytes
	due := n.ticks-n.truncatedTick > truncateTicks && n.anyDirty()
	if !grown && !due {
		return
	}
	n.truncatedTick, n.truncatedAt, n.flushing = n.ticks, size, true
	n.shard.MoveAll()
	n.afterMoves = true
}

func (n *Node) anyDirty() bool {
	for _, r := range n.shard.Replicas() {
		if r.Dirty() {
			return true
		}
	}
	return false
}

// startReplica opens a replica from what the stores hold. missing says that
// there is no state yet: a new member waits for its first snapshot.
func (n *Node) openReplica(ls logstore.State) (*partition.Replica, error) {
	b, ok, err := n.states.Get(keys.StateKey(ls.Partition), nil)
	if err != nil {
		return nil, err
	}
	rec := partition.Recovered{Log: ls}
	if ok {
		if rec.State, err = partition.DecodeState(b); err != nil {
			return nil, fmt.Errorf("partition %d: %w", ls.Partition, err)
		}
	}
	if rec.State.Index < ls.Mark.Index {
		return nil, fmt.Errorf("partition %d: the state store stands at index %d, but the log only begins after %d: what lies between is gone",
			ls.Partition, rec.State.Index, ls.Mark.Index)
	}
	if up := partition.Reconcile(&rec.State, &rec.Log, func(i uint64) (uint64, error) {
		return n.logs.Term(ls.Partition, i)
	}); up != nil {
		n.log.Info("the log starts anew at the installed snapshot", "partition", ls.Partition, "index", rec.State.Index)
		if err := n.logs.Append([]logstore.Update{*up}); err != nil {
			return nil, err
		}
	}
	return n.newReplica(rec)
}

func (n *Node) newReplica(rec partition.Recovered) (*partition.Replica, error) {
	return partition.New(partition.Config{
		WaitLimit: n.waits,
		Partition: rec.Log.Partition, Replica: rec.Log.Replica, Node: n.id.Node,
		Log: logReader{n.logs, rec.Log.Partition}, Base: n.states, Evaluator: n.evaluator,
		Logger: n.log.With("partition", rec.Log.Partition), Rand: n.rand, ReadOnly: n.readOnly,
		ElectionTicks: int(n.cfg.ElectionTimeout / n.tickEvery()), QueueTicks: uint64(n.cfg.RequestTimeout / n.tickEvery()),
	}, rec)
}

// logReader is one partition's part of the log store.
type logReader struct {
	s *logstore.Store
	p base.PartitionID
}

func (l logReader) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	return l.s.Entries(l.p, lo, hi, maxBytes)
}

func (l logReader) Term(i uint64) (uint64, error) { return l.s.Term(l.p, i) }
