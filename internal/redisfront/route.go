package redisfront

import (
	"fmt"
	"strconv"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/spanning"
)

const (
	errCrossSlot = "CROSSSLOT Keys in request don't hash to the same slot"
	// errCrossPartition says that a command cannot be divided over the partitions
	// of its keys: it is not for clients, but for those who then evaluate it here.
	errCrossPartition = "in several partitions"
	errNoOwner        = "CLUSTERDOWN Hash slot not served"
)

// directory is the directory as of this read.
func (s *session) directory() *Directory {
	if s.dir == nil {
		s.dir = s.f.router.Directory()
	}
	return s.dir
}

// route brings a command to the partitions of its keys.
func (s *session) route(o *op) {
	spec := o.cmd.spec
	if spec.Runs(o.args) {
		s.routeScript(o)
		return
	}
	if spec.Fan >= command.FanAllSum {
		s.routeWhole(o)
		return
	}
	slot, apart, why := s.keysAt(o, false)
	if len(s.keyAt) == 0 {
		s.anywhere(o)
		return
	}
	if why == "" && apart {
		if timeout, ok := spec.Blocks(o.args); ok {
			s.blockAcross(o, timeout)
		} else {
			s.divide(o)
		}
		return
	}
	var p *Partition
	if why == "" {
		p, why = s.owner(slot, false)
	}
	if why != "" {
		s.refuse(o.cmd, why)
		return
	}
	if spec.Strays(o.args) {
		s.tryThere(o, p.ID, slot)
		return
	}
	s.request(o, p.ID, slot)
}

// place finds the slot of a command's first key, and whether the others are in
// other partitions, which spans allows even where all must be in one slot. Its
// keys are at s.keyAt then.
func (s *session) keysAt(o *op, spans bool) (slot base.Slot, apart bool, why string) {
	s.keyAt = o.cmd.spec.AppendKeys(s.keyAt[:0], o.args)
	limit := s.f.opts.Limits.KeyBytes
	var p *Partition
	for n, at := range s.keyAt {
		key := o.args[at]
		if len(key) > limit {
			return slot, apart, s.keyTooLong()
		}
		other := base.KeySlot(key)
		switch {
		case n == 0:
			slot, p = other, s.directory().BySlot(other)
		case other == slot:
		case s.oneSlot() && !spans:
			return slot, apart, errCrossSlot
		case s.dir.BySlot(other) != p:
			apart = true
		}
	}
	return slot, apart, ""
}

// tryThere has a partition run a command that may need others' keys. If it does,
// it is evaluated here. Nothing behind it may overtake it.
func (s *session) tryThere(o *op, p base.PartitionID, slot base.Slot) {
	first := &partition.Request{}
	s.fill(first, nil, o.cmd)
	first.Partition, first.Slot, first.Args = p, slot, o.args
	s.span(&spanned{o: o, job: spanning.Job{Args: o.args, Keys: s.watchedKeys(nil, o.cmd, o.args)}, first: first})
}

func (s *session) keyTooLong() string {
	return fmt.Sprintf("ERR key is longer than the limit of %d bytes", s.f.opts.Limits.KeyBytes)
}

// redirection sends a client of the cluster listener to a slot's leader. It
// is empty when the leader is not known, or is nowhere a client of a cluster
// listener could go: the node then does the work itself.
func (s *session) redirection(slot base.Slot, p *Partition) string {
	leader := s.dir.Node(p.Leader)
	if leader == nil || leader.Cluster == "" {
		return ""
	}
	return "MOVED " + strconv.Itoa(int(slot)) + " " + leader.Cluster
}

// request puts an op into the batch, with its one request.
func (s *session) request(o *op, p base.PartitionID, slot base.Slot) {
	if o.cmd.spec.Flags&command.Blocking != 0 {
		if timeout, ok := o.cmd.spec.Blocks(o.args); ok {
			s.block(o, p, slot, timeout)
			return
		}
	}
	s.sendOne(o, p, slot)
}

// sendOne is request for what does not wait.
func (s *session) sendOne(o *op, p base.PartitionID, slot base.Slot) {
	s.fill(&o.req, o, o.cmd)
	o.req.Partition, o.req.Slot = p, slot
	o.req.Args = o.args
	s.reqs = append(s.reqs, &o.req)
	s.enqueue(o)
}

// fill sets what is the same for all requests of a command.
func (s *session) fill(r *partition.Request, sink partition.Sink, e *entry) {
	*r = partition.Request{Session: s.id, DB: uint8(s.db.Load()), Proto: uint8(s.proto.Load()), Sink: sink}
	if e.spec.Flags&(command.Write|command.MayReplicate) != 0 {
		r.Flags = partition.Write
	}
}

// anywhere sends a command without keys to some partition. There is nothing that
// it could wait for.
func (s *session) anywhere(o *op) {
	p := s.directory().some()
	if p == nil {
		s.refuse(o.cmd, errNoOwner)
		return
	}
	s.sendOne(o, p.ID, 0)
	o.req.Flags |= partition.Whole
}
