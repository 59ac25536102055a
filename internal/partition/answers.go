package partition

import (
	"bytes"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
)

// maxKeptReply bounds a reply that is kept for the case that its first copy is
// lost. Bytes. What is longer is replaced by replyTooLong.
const maxKeptReply = 256 << 10

// replyTooLong stands for a reply that could not be kept.
const replyTooLong = "-UNKNOWNOUTCOME The write took effect, but its reply was lost with the node that ran it, and was too long to be kept\r\n"

// Answers is what a partition remembers of the requests it ran, by gateway: it
// is replicated state, the same on all replicas at the same index, and makes
// that a request which is sent again has its effects once.
//
// Of each gateway it knows the low-water: requests below it are over for the
// gateway, and must never be run again; and the replies of those above it
// that were run in rounds with effects.
type Answers map[base.NodeID]*gatewayAnswers

type gatewayAnswers struct {
	lowWater uint64
	lists    []effects.Answers // as they came in entries, oldest first
}

// note takes in what an entry says of a gateway's requests. The list is kept.
func (m Answers) note(a effects.Answers) {
	g := m[a.Gateway]
	if g == nil {
		g = &gatewayAnswers{}
		m[a.Gateway] = g
	}
	g.lowWater = max(g.lowWater, a.LowWater)
	// All of them, not only the first: what waited for a lock comes in a later
	// round than its successors, and what is kept must not depend on history.
	g.lists = slices.DeleteFunc(g.lists, func(x effects.Answers) bool { return x.Last < g.lowWater })
	if len(a.List) > 0 && a.Last >= g.lowWater {
		g.lists = append(g.lists, a)
	}
}

// find returns the reply to a request that was run. over says that the
// gateway has done with it.
func (m Answers) find(o base.Origin) (reply []byte, known, over bool) {
	g := m[o.Gateway]
	if g == nil {
		return nil, false, false
	}
	if o.Sequence < g.lowWater {
		return nil, false, true
	}
	for i := range g.lists {
		if g.lists[i].Last >= o.Sequence {
			if reply, known = g.lists[i].Find(o.Sequence); known {
				return reply, true, false
			}
		}
	}
	return nil, false, false
}

// confirms says whether a low-water makes something superfluous.
func (m Answers) confirms(id base.NodeID, lowWater uint64) bool {
	g := m[id]
	return g != nil && slices.ContainsFunc(g.lists, func(x effects.Answers) bool { return x.Last < lowWater })
}

// Kept is the number of lists of replies that are kept.
func (m Answers) Kept() int {
	n := 0
	for _, g := range m {
		n += len(g.lists)
	}
	return n
}

// encoded lists what AppendState writes: each list with its gateway's
// low-water, which alone remains of a gateway without replies.
func (m Answers) encoded() []effects.Answers {
	var all []effects.Answers
	for _, id := range slices.Sorted(maps.Keys(m)) {
		g := m[id]
		for _, a := range g.lists {
			a.LowWater = g.lowWater
			all = append(all, a)
		}
		if len(g.lists) == 0 {
			all = append(all, effects.Answers{Gateway: id, LowWater: g.lowWater})
		}
	}
	return all
}

// gatherAnswers makes an entry's answers from the requests that were run for
// the first time, and from what all say about low-waters.
func gatherAnswers(dst []effects.Answers, ran []*Request) []effects.Answers {
	for i := range dst {
		dst[i].List = dst[i].List[:0]
	}
	dst = dst[:0]
	of := func(id base.NodeID) *effects.Answers {
		for i := range dst {
			if dst[i].Gateway == id {
				return &dst[i]
			}
		}
		if len(dst) < cap(dst) { // with the memory of an earlier list
			dst = dst[:len(dst)+1]
			dst[len(dst)-1] = effects.Answers{Gateway: id, List: dst[len(dst)-1].List}
		} else {
			dst = append(dst, effects.Answers{Gateway: id})
		}
		return &dst[len(dst)-1]
	}
	for _, req := range ran {
		if req.Flags&Write == 0 || req.Origin.Gateway == 0 {
			continue
		}
		a := of(req.Origin.Gateway)
		a.LowWater = max(a.LowWater, req.LowWater)
		if !req.Route.First {
			continue
		}
		reply := req.Reply
		if len(reply) > maxKeptReply {
			reply = []byte(replyTooLong)
		}
		a.Add(req.Origin.Sequence, reply, a.Last)
	}
	return dst
}

// keep makes the list independent of the bytes it was decoded from.
func keep(a effects.Answers) effects.Answers {
	a.List = bytes.Clone(a.List)
	return a
}
