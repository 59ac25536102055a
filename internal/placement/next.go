package placement

import (
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/catalog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// CaughtUpEntries is how far behind the leader's commit a learner may be to
// be promoted.
const CaughtUpEntries = 200

// Member is what the leader knows of one member of its partition.
type Member struct {
	Replica base.ReplicaID
	Node    base.NodeID
	Learner bool
	Match   uint64
	Live    bool // receives entries in a steady stream
}

// Step is the next step towards the catalog's wish. At most one of its parts
// is set.
type Step struct {
	Changes  []*pb.ConfChangeSingle
	Joint    bool
	Joined   map[base.ReplicaID]base.NodeID
	Transfer base.NodeID
}

// Next compares a partition as it is with the catalog's wish. commit is the
// leader's commit index, self the leader; alive says which nodes may be handed
// leadership. joint says that a joint configuration is being left.
func Next(want *catalog.Partition, members []Member, joint bool, commit uint64, self base.ReplicaID, alive func(base.NodeID) bool) (s Step, settled bool) {
	if joint {
		return s, false
	}
	have := map[base.ReplicaID]Member{}
	for _, m := range members {
		have[m.Replica] = m
	}
	wanted := map[base.ReplicaID]catalog.Replica{}
	for _, r := range want.Replicas {
		wanted[r.Replica] = r
	}
	for _, r := range want.Replicas { // first: everybody as a learner
		if _, ok := have[r.Replica]; !ok {
			s.Changes = []*pb.ConfChangeSingle{change(pb.ConfChangeType_ConfChangeAddLearnerNode, r.Replica)}
			s.Joined = map[base.ReplicaID]base.NodeID{r.Replica: r.Node}
			return s, false
		}
	}
	var promote, remove []base.ReplicaID
	for _, r := range want.Replicas {
		m := have[r.Replica]
		if r.Learner || !m.Learner {
			continue
		}
		if !m.Live || m.Match+CaughtUpEntries < commit {
			return s, false // not caught up: wait
		}
		promote = append(promote, r.Replica)
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if w, ok := wanted[id]; !ok || w.Learner && !have[id].Learner {
			remove = append(remove, id)
		}
	}
	if len(promote) == 0 && len(remove) == 0 {
		if want.Preferred != have[self].Node && alive(want.Preferred) && caughtUp(want, members, commit) {
			s.Transfer = want.Preferred
		}
		return s, true
	}
	for _, id := range promote {
		s.Changes = append(s.Changes, change(pb.ConfChangeType_ConfChangeAddNode, id))
	}
	for _, id := range remove {
		// A leader hands over before it leaves. Its node may have a second member,
		// left behind by wishes that changed again.
		if id == self {
			if to := successor(want, have); to != 0 && len(promote) == 0 {
				s.Changes = nil
				s.Transfer = to
				return s, false
			}
			if len(promote) == 0 {
				continue
			}
		}
		s.Changes = append(s.Changes, change(pb.ConfChangeType_ConfChangeRemoveNode, id))
	}
	s.Joint = len(s.Changes) > 1
	return s, false
}

func change(t pb.ConfChangeType, id base.ReplicaID) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: t.Enum(), NodeId: new(uint64(id))}
}

// caughtUp says whether the preferred leader could take over at once.
func caughtUp(want *catalog.Partition, members []Member, commit uint64) bool {
	for _, m := range members {
		if m.Node == want.Preferred {
			return !m.Learner && m.Live && m.Match+CaughtUpEntries >= commit
		}
	}
	return false
}

// successor is a voter that stays, or 0.
func successor(want *catalog.Partition, have map[base.ReplicaID]Member) base.NodeID {
	for _, r := range want.Replicas {
		if m := have[r.Replica]; !r.Learner && !m.Learner && m.Live {
			return r.Node
		}
	}
	return 0
}
