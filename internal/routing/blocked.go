package routing

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"coterie/internal/base"
	"coterie/internal/partition"
)

// This file holds what is different for blocking requests: they may be open for
// as long as their clients like. So they are outside of the window and of the
// low-water; their answers are confirmed one by one; no time of the router's
// ends them, but for that of a CANCEL. One that its leader keeps waiting does
// not count as under way either: the route must be able to go on.

// confirmBatch is how many answers of blocking requests are confirmed at once,
// without waiting for a tick.
const confirmBatch = 256

// submitBlocking takes a new blocking request.
func (r *Router) submitBlocking(req *partition.Request) {
	r.pass()
	r.blocked = append(r.blocked, req) // rising by sequence
	rt := r.route(req.Partition)
	r.forward(rt, req)
	if len(rt.arrived) >= confirmBatch && rt.leader != 0 {
		r.acknowledge(req.Partition, rt)
	}
}

// findBlocked finds a blocking request by its sequence.
func (r *Router) findBlocked(sequence uint64) (i int, found bool) {
	return slices.BinarySearchFunc(r.blocked, sequence, func(x *partition.Request, s uint64) int {
		return cmp.Compare(x.Origin.Sequence, s)
	})
}

// Blocked is the number of blocking requests not completed yet.
func (r *Router) Blocked() int { return len(r.blocked) }

// Waits says that a request here waits at its leader, with other arguments if
// args is not empty.
func (r *Router) Waits(req *partition.Request, args []byte) {
	if r.pending(req.Origin.Sequence) == req && req.Route.Node != 0 {
		r.waits(req, args)
	}
}

func (r *Router) waits(req *partition.Request, args []byte) {
	if own := partition.DecodeArgs(bytes.Clone(args)); own != nil {
		req.Args = own
	}
	if !req.Route.Waiting {
		rt := r.route(req.Partition)
		req.Route.Waiting = true
		rt.sent--
		rt.waiting++
		if rt.recalled == rt.term && r.outlived(rt, req) { // the word came late
			r.attempt++
			r.takeBack(rt, req)
		}
		if rt.sent == 0 {
			defer r.dispatch(req.Partition, rt)
		}
	}
	r.out.Waiting = append(r.out.Waiting, req)
}

// leave takes a request out of the account of what is under way.
func (rt *route) leave(req *partition.Request) {
	if req.Route.Waiting {
		req.Route.Waiting = false
		rt.waiting--
	} else {
		rt.sent--
	}
}

// recall takes back, by itself, what waits at other nodes under an earlier
// leadership than the one that is known now: they may be slow to refuse it. What
// waits here comes back for certain.
func (r *Router) recall(p base.PartitionID, rt *route) {
	if rt.recalled == rt.term {
		return
	}
	rt.recalled = rt.term
	if rt.waiting == 0 {
		return
	}
	r.attempt++ // what they still say counts no more
	for _, req := range r.blocked {
		if req.Partition == p && req.Route.Waiting && r.outlived(rt, req) {
			r.takeBack(rt, req)
		}
	}
}

// outlived says whether what a request waits for at another node is no more than
// that node's refusal.
func (r *Router) outlived(rt *route, req *partition.Request) bool {
	return req.Route.Node != r.self && req.Route.Term < rt.term
}

// takeBack parks a waiting request, to be sent to the next leader. What the last one
// still says of it is not to count: the caller sees to that.
func (r *Router) takeBack(rt *route, req *partition.Request) {
	rt.leave(req)
	req.Route.Node, req.Route.MayRun = 0, true
	r.park(rt, req)
}

// recalled says whether a CANCEL's target is on its way to another leader: the
// answer that the CANCEL brought about there has been dropped.
func (r *Router) recalled(target *partition.Request) bool {
	return target != nil && r.pending(target.Origin.Sequence) == target && target.Route.Node == 0
}

// submitCancel ends a blocking request with the reply in the second argument. Its
// leader decides, though it may have to be found first: what the request asks for
// may be there.
func (r *Router) submitCancel(req *partition.Request) {
	target := req.Cancels
	if r.pending(target.Origin.Sequence) != target {
		r.pass()
		req.Status = partition.Done
		r.out.Complete = append(r.out.Complete, req)
		return
	}
	req.Args[0] = binary.AppendUvarint(nil, target.Origin.Sequence)
	target.Route.Ending = req.Args[1]
	r.enter(req)
}

// cancelled follows the end of a CANCEL. The request that it was for has been
// answered by now, if it was not in vain.
func (r *Router) cancelled(req *partition.Request) {
	if target := req.Cancels; r.pending(target.Origin.Sequence) == target {
		r.expire(target)
		r.complete(target)
	}
}

// unblock takes a completed blocking request off the list.
func (r *Router) unblock(req *partition.Request) {
	if i, found := r.findBlocked(req.Origin.Sequence); found {
		r.blocked = slices.Delete(r.blocked, i, i+1)
	}
	// What a CANCEL brought is kept nowhere.
	if req.Flags&partition.Write != 0 && req.Status == partition.Done && (req.Route.Ending == nil || !bytes.Equal(req.Reply, req.Route.Ending)) {
		rt := r.route(req.Partition)
		rt.arrived = append(rt.arrived, req.Origin.Sequence)
	}
}

// acknowledge tells a partition which blocking requests' answers have arrived.
func (r *Router) acknowledge(p base.PartitionID, rt *route) {
	batch := rt.arrived[:min(len(rt.arrived), 4*confirmBatch)]
	req := &partition.Request{
		Partition: p, Flags: partition.Write | partition.Confirm | partition.Whole, Proto: 2,
		Args: partition.ConfirmArgs(batch), Sink: confirming(slices.Clone(batch)),
	}
	rt.arrived = slices.Delete(rt.arrived, 0, len(batch))
	r.Submit([]*partition.Request{req})
}

// confirming is the answers that a Confirm is about. It is not called back.
type confirming []uint64

// Complete implements partition.Sink.
func (confirming) Complete(*partition.Request) {}
