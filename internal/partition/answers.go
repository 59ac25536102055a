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
	singly   map[uint64][]byte // of blocking requests: they are confirmed one by one, see waitSpace
}

// note takes in what an entry says of a gateway's requests. The list is copied:
// it may alias the entry.
func (m Answers) note(a effects.Answers) {
	g := m[a.Gateway]
	if g == nil {
		g = &gatewayAnswers{}
		m[a.Gateway] = g
	}
	if a.Gateway&waitSpace != 0 {
		g.noteSingly(a)
		return
	}
	g.lowWater = max(g.lowWater, a.LowWater)
	if singly := m[a.Gateway|waitSpace]; singly != nil {
		singly.forgetLives(g.lowWater)
	}
	// All of them, not only the first: what waited for a lock comes in a later
	// round than its successors, and what is kept must not depend on history.
	g.lists = slices.DeleteFunc(g.lists, func(x effects.Answers) bool { return x.Last < g.lowWater })
	if len(a.List) > 0 && a.Last >= g.lowWater {
		a.List = bytes.Clone(a.List)
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
	if reply, known = g.singly[o.Sequence]; known {
		return reply, true, false
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

// confirms says whether a Confirm brings news: a low-water, though no replies
// may be kept, for what is known of transactions whose PREPARE never came goes
// by it, too; or the arrival of blocking requests' answers.
func (m Answers) confirms(req *Request) bool {
	if req.LowWater > m.lowWater(req.Origin.Gateway) {
		return true
	}
	g := m[req.Origin.Gateway|waitSpace]
	return g != nil && slices.ContainsFunc(confirmedBy(req), func(s uint64) bool { return g.singly[s] != nil })
}

// lowWater is a gateway's, as far as it is known.
func (m Answers) lowWater(id base.NodeID) uint64 {
	if g := m[id]; g != nil {
		return g.lowWater
	}
	return 0
}

// Kept is the number of lists of replies that are kept.
func (m Answers) Kept() int {
	n := 0
	for _, g := range m {
		n += len(g.lists) + len(g.singly)
	}
	return n
}

// encoded lists what AppendState writes: each list with its gateway's
// low-water, which alone remains of a gateway without replies.
func (m Answers) encoded() []effects.Answers {
	var all []effects.Answers
	for _, id := range slices.Sorted(maps.Keys(m)) {
		g := m[id]
		if id&waitSpace != 0 {
			all = append(all, g.encodeSingly(id))
			continue
		}
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

// answer is one request's, on its way into an entry.
type answer struct {
	origin   base.Origin
	lowWater uint64
	reply    []byte
	recorded bool // only its low-water is news
}

// answersOf lists what an entry has to say about the requests of a round. What
// a command left unchanged counts as well: were it run again behind a later
// request that left something, their order would be another one.
func answersOf(dst []answer, ran []*Request) []answer {
	for _, req := range ran {
		if req.Flags&Write == 0 || req.Origin.Gateway == 0 || req.Status == Waits {
			continue
		}
		for _, s := range confirmedBy(req) { // they have arrived
			o := base.Origin{Gateway: req.Origin.Gateway | waitSpace, Sequence: s}
			dst = append(dst, answer{origin: o})
		}
		dst = append(dst, answer{
			origin: req.recordedAs(), lowWater: req.LowWater, reply: keptReply(req.Reply), recorded: req.Route.Known || req.Flags&Confirm != 0,
		})
	}
	return dst
}

// keptReply is what is kept of a reply.
func keptReply(reply []byte) []byte {
	if len(reply) > maxKeptReply {
		return []byte(replyTooLong)
	}
	return reply
}

// highWater is the highest sequence of each gateway in a set of requests.
type highWater []base.Origin

// covers says whether a request of the same gateway with this or a higher
// sequence is in the set.
func (h highWater) covers(o base.Origin) bool {
	for _, x := range h {
		if x.Gateway == o.Gateway {
			return o.Sequence <= x.Sequence
		}
	}
	return false
}

// raise puts a request into the set.
func (h *highWater) raise(o base.Origin) {
	for i := range *h {
		if x := &(*h)[i]; x.Gateway == o.Gateway {
			x.Sequence = max(x.Sequence, o.Sequence)
			return
		}
	}
	*h = append(*h, o)
}

// gatherAnswers groups answers by gateway. It reuses dst's memory.
func gatherAnswers(dst []effects.Answers, all []answer) []effects.Answers {
	dst = dst[:0]
	var before []uint64 // sequence last added, by index in dst
	for _, x := range all {
		i := slices.IndexFunc(dst, func(a effects.Answers) bool { return a.Gateway == x.origin.Gateway })
		if i < 0 {
			i = len(dst)
			if i < cap(dst) { // with the memory of an earlier list
				dst = dst[:i+1]
				dst[i] = effects.Answers{List: dst[i].List[:0]}
			} else {
				dst = append(dst, effects.Answers{})
			}
			dst[i].Gateway = x.origin.Gateway
			before = append(before, 0)
		}
		dst[i].LowWater = max(dst[i].LowWater, x.lowWater)
		if x.recorded {
			continue
		}
		dst[i].Add(x.origin.Sequence, x.reply, before[i])
		before[i] = x.origin.Sequence
	}
	return dst
}

// unconfirmed drops those answers that their gateways have, by what the
// requests of a round say.
func unconfirmed(all []answer, ran []*Request) []answer {
	lows := map[base.NodeID]uint64{}
	arrived := map[TxnID]bool{}
	for _, req := range ran {
		o := req.recordedAs()
		lows[o.Gateway] = max(lows[o.Gateway], req.LowWater)
		for _, s := range confirmedBy(req) {
			arrived[TxnID{o.Gateway | waitSpace, s}] = true
		}
	}
	return slices.DeleteFunc(all, func(x answer) bool {
		return x.origin.Sequence < lows[x.origin.Gateway] || arrived[TxnID{x.origin.Gateway, x.origin.Sequence}]
	})
}
