package partition

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"coterie/internal/base"
	"coterie/internal/effects"
	"coterie/internal/keys"
)

// WaitLimit bounds the blocking requests that wait on one node; its replicas
// share it.
type WaitLimit struct {
	Requests int // number
	Bytes    int // of arguments and keys, and of what goes with them

	requests, bytes int
}

// Waiting is how many there are.
func (l *WaitLimit) Waiting() int { return l.requests }

// Default bounds.
const (
	defaultWaits     = 1 << 16
	defaultWaitBytes = 64 << 20
	// waitOverhead is about what a waiter costs beside its arguments and keys,
	// and placeOverhead what each key costs. Bytes.
	waitOverhead  = 400
	placeOverhead = 250
)

// NewWaitLimit returns the default bounds.
func NewWaitLimit() *WaitLimit { return &WaitLimit{Requests: defaultWaits, Bytes: defaultWaitBytes} }

const replyTooManyWait = "-ERR too many blocked clients on the node that leads this partition\r\n"

// Waiters are the blocking requests that found nothing, in the memory of one
// leadership; see docs/internals/blocking.md. Commands speak to them through
// Txn.Waiters.
type Waiters struct {
	limit *WaitLimit
	of    map[TxnID]*waiter // by origin
	keys  map[string]*waitedKey
	due   []*waitedKey // written since their waiters last ran, in order
	count uint64       // of arrivals
	wakes uint64       // of keys that were written
	quiet bool         // what is being evaluated cannot be seen yet
	asked *asked       // by the request being evaluated
	// touched is what was written, for those who cache it.
	touched Touched
}

// asked is what a request said that found nothing.
type asked struct {
	keys, args [][]byte
	class      string
	broadcast  bool
}

// waiter is one of them.
type waiter struct {
	req    *Request
	places []place
	bytes  int
	ran    uint64 // Waiters.wakes when it last found nothing
}

// Waited says that a blocking request waits under this leadership, and so is run
// again.
func (req *Request) Waited() bool { return req.wait != nil }

// place is a waiter's in one line.
type place struct {
	w          *waiter
	line       *line
	prev, next *place
}

// waitedKey is a key that somebody waits for.
type waitedKey struct {
	name  string // database and key
	lines []*line
	due   bool
}

// line is those who wait for one key with commands of one class, in order of
// arrival.
type line struct {
	key         *waitedKey
	class       string
	broadcast   bool
	first, last *place
}

// Any implements command.Waiters.
func (w *Waiters) Any() bool { return (len(w.of) > 0 || w.touched.kept) && !w.quiet }

// Touch implements command.Waiters.
func (w *Waiters) Touch(key []byte) {
	if w.quiet {
		return
	}
	if len(key) > 0 {
		w.noteKey(key[1:], w.touched.writer)
	}
	if k := w.keys[string(key)]; k != nil {
		w.wake(k)
	}
}

func (w *Waiters) wake(k *waitedKey) {
	w.wakes++
	if !k.due {
		k.due = true
		w.due = append(w.due, k)
	}
}

// TouchAll implements command.Waiters.
func (w *Waiters) TouchAll() {
	w.noteAll()
	w.touchIf(func(*line) bool { return true })
}

// Expired says that any key may have expired: those who wait for something to
// take need not know.
func (w *Waiters) Expired() { w.touchIf(func(l *line) bool { return l.broadcast }) }

func (w *Waiters) touchIf(concerned func(*line) bool) {
	if !w.Any() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.keys)) {
		if k := w.keys[name]; slices.ContainsFunc(k.lines, concerned) {
			w.wake(k)
		}
	}
}

// touchWritten tells of keys that were written without a command.
func (w *Waiters) touchWritten(op effects.Op) {
	if !w.Any() {
		return
	}
	if op.Kind == effects.DeleteRange || op.Key[0] == keys.MetaPrefix {
		w.touchIf(func(*line) bool { return true })
		if slot, ok := keys.SlotOf(op.Key); ok {
			if last, ok := keys.SlotOf(op.Value); ok && last == slot {
				w.noteSlot(slot)
				return
			}
		}
		w.noteAll()
		return
	}
	if rec, ok := keys.ParseRecordKey(op.Key); ok {
		w.noteKey(rec.Key, writer{})
		name := append([]byte{0}, rec.Key...)
		for db := range waitDatabases { // whose generation it is does not matter: to run once too often does no harm
			name[0] = byte(db)
			if k := w.keys[string(name)]; k != nil {
				w.wake(k)
			}
		}
	} else if _, _, counter := keys.ParseCounterKey(op.Key); !counter && !keys.IsExpiryKey(op.Key) {
		if slot, ok := keys.SlotOf(op.Key); ok { // an element: whose, it does not say
			w.noteSlot(slot)
		}
	}
}

// waitDatabases is the number of databases there are.
const waitDatabases = 16

// Wait implements command.Waiters.
func (w *Waiters) Wait(keys, args [][]byte, class string, broadcast bool) {
	w.asked = &asked{keys: keys, args: args, class: class, broadcast: broadcast}
}

// add puts a request in line. It is false when there are too many.
func (w *Waiters) add(req *Request, a *asked) bool {
	size := waitOverhead
	for _, arg := range req.Args {
		size += len(arg) + 24
	}
	for _, k := range a.keys {
		size += len(k) + placeOverhead
	}
	if w.limit.requests >= w.limit.Requests || w.limit.bytes+size > w.limit.Bytes {
		return false
	}
	w.limit.requests++
	w.limit.bytes += size
	if w.of == nil {
		w.of, w.keys = map[TxnID]*waiter{}, map[string]*waitedKey{}
	}
	if req.arrived == 0 {
		w.count++
		req.arrived = w.count
	}
	x := &waiter{req: req, bytes: size, places: make([]place, 0, len(a.keys)), ran: w.wakes}
	in := make(map[*line]bool, len(a.keys))
	for _, key := range a.keys {
		l := w.line(key, a)
		if in[l] {
			continue // the same key twice
		}
		in[l] = true
		x.places = append(x.places, place{w: x, line: l})
		l.insert(&x.places[len(x.places)-1])
	}
	w.of[originID(req)], req.wait = x, x
	return true
}

// line is the one for a key and a class.
func (w *Waiters) line(key []byte, a *asked) *line {
	k := w.keys[string(key)]
	if k == nil {
		k = &waitedKey{name: string(key)}
		w.keys[k.name] = k
	}
	for _, l := range k.lines {
		if l.class == a.class && l.broadcast == a.broadcast {
			return l
		}
	}
	l := &line{key: k, class: a.class, broadcast: a.broadcast}
	k.lines = append(k.lines, l)
	return l
}

// insert puts a place behind those who arrived before.
func (l *line) insert(p *place) {
	after := l.last
	for after != nil && after.w.req.arrived > p.w.req.arrived {
		after = after.prev
	}
	if p.prev = after; after != nil {
		p.next, after.next = after.next, p
	} else {
		p.next, l.first = l.first, p
	}
	if p.next != nil {
		p.next.prev = p
	} else {
		l.last = p
	}
}

func (l *line) remove(p *place) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		l.last = p.prev
	}
}

// remove takes a waiter out of all lines.
func (w *Waiters) remove(x *waiter) {
	for i := range x.places {
		l := x.places[i].line
		if l.remove(&x.places[i]); l.first != nil {
			continue
		}
		k := l.key
		k.lines = slices.DeleteFunc(k.lines, func(other *line) bool { return other == l })
		if len(k.lines) == 0 && w.keys[k.name] == k {
			delete(w.keys, k.name)
		}
	}
	delete(w.of, originID(x.req))
	x.req.wait = nil
	w.limit.requests--
	w.limit.bytes -= x.bytes
}

// take removes all waiters that a condition holds for, and returns their
// requests in order of arrival.
func (w *Waiters) take(which func(*Request) bool) []*Request {
	var reqs []*Request
	for _, x := range w.of {
		if which(x.req) {
			reqs = append(reqs, x.req)
		}
	}
	slices.SortFunc(reqs, func(a, b *Request) int { return cmp.Compare(a.arrived, b.arrived) })
	for _, req := range reqs {
		w.remove(req.wait)
	}
	return reqs
}

// originID names a request by where it came from.
func originID(req *Request) TxnID { return TxnID{req.Origin.Gateway, req.Origin.Sequence} }

// keepWaiting makes a request that found nothing a waiter.
func (r *Replica) keepWaiting(req *Request) bool {
	a := r.waiters.asked
	r.waiters.asked = nil
	if x := req.wait; x != nil {
		return true // it was run again, in its place
	}
	before := req.Args
	req.Args = cloneArgs(before) // they may alias a message
	if a.args != nil {
		req.Args, req.changed = cloneArgs(a.args), true
	}
	if !r.waiters.add(req, a) {
		req.Args, req.changed = before, false
		return false
	}
	return true
}

// cloneArgs copies arguments into one piece of memory.
func cloneArgs(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	mem, own := make([]byte, 0, size), make([][]byte, len(args))
	for i, a := range args {
		mem = append(mem, a...)
		own[i] = mem[len(mem)-len(a) : len(mem) : len(mem)]
	}
	return own
}

// AppendArgs encodes arguments, as what Output.Waiting carries to a gateway.
func AppendArgs(dst []byte, args [][]byte) []byte {
	for _, a := range args {
		dst = binary.AppendUvarint(dst, uint64(len(a)))
		dst = append(dst, a...)
	}
	return dst
}

// DecodeArgs decodes what AppendArgs wrote; the arguments alias b. It is nil if
// b is malformed, or empty.
func DecodeArgs(b []byte) (args [][]byte) {
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return nil
		}
		args, b = append(args, b[k:k+int(n):k+int(n)]), b[k+int(n):]
	}
	return args
}

// serve runs the waiters of keys that were written, first come, first served,
// as far as the round's limits allow.
func (r *Replica) serve(e *evaluation) {
	w := &r.waiters
	for len(w.due) > 0 && r.room(e) && r.cuts.barrier == nil {
		k := w.due[0]
		w.due, k.due = w.due[1:], false // written again, it has another turn
		for _, l := range slices.Clone(k.lines) {
			if !r.serveLine(l, e) {
				w.wake(k)
				return
			}
		}
	}
	if len(w.due) == 0 {
		w.due = nil
	}
}

// serveLine runs the waiters of one line. It is false when the round is full.
func (r *Replica) serveLine(l *line, e *evaluation) bool {
	for p := l.first; p != nil; {
		if !r.room(e) {
			return false
		}
		next := p.next
		if !r.serveOne(p.w, e) && !l.broadcast {
			break // there is nothing for those behind it either
		}
		p = next
	}
	return true
}

// serveOne runs a waiter again, and says whether it waits no more.
func (r *Replica) serveOne(x *waiter, e *evaluation) bool {
	req := x.req
	if req.Flags&Track == 0 && r.txns.contended() && r.conflicts(req) {
		r.waiters.remove(x) // it comes back with its place in the order
		r.txns.park(req)
		return true
	}
	start, wakes := len(e.reply), r.waiters.wakes
	if req.Flags&Track == 0 && x.ran == wakes {
		return false // it has seen all that was written, by another of its keys
	}
	e.reply = r.run(req, e.reply)
	if r.waiters.asked != nil {
		r.waiters.asked = nil
		x.ran = wakes
		e.reply = e.reply[:start]
		return false
	}
	r.waiters.remove(x)
	r.answerWaiter(req, start, e)
	return true
}

// answerWaiter ends a waiter's request with what was appended to the replies.
func (r *Replica) answerWaiter(req *Request, start int, e *evaluation) {
	req.Status, req.Reply = Done, e.reply[start:len(e.reply):len(e.reply)]
	e.add(req)
}

// runCancel takes a waiter out and gives it the reply that its gateway wants.
// One that does not wait here was answered.
func (r *Replica) runCancel(req *Request, e *evaluation) {
	x := r.waiters.of[cancelledBy(req)]
	if x == nil {
		return
	}
	blocked, start := x.req, len(e.reply)
	r.waiters.remove(x)
	e.reply = append(e.reply, req.Args[1]...)
	blocked.Route.Evaluated, blocked.Route.Known = true, true // nothing to be recorded
	r.answerWaiter(blocked, start, e)
}

// cancelledBy is the origin of the request that a CANCEL is for.
func cancelledBy(req *Request) TxnID {
	if len(req.Args) != 2 {
		return TxnID{}
	}
	sequence, _ := binary.Uvarint(req.Args[0])
	return TxnID{req.Origin.Gateway, sequence}
}

// comesTooEarly says whether a CANCEL is for a request that is parked: it has
// yet to see what there is for it.
func (r *Replica) comesTooEarly(req *Request) bool {
	id := cancelledBy(req)
	return slices.ContainsFunc(r.txns.parked, func(p *Request) bool { return p.Flags&Blocking != 0 && originID(p) == id })
}

// rejoin lets a second copy of a request take the first one's place in line.
func (r *Replica) rejoin(x *waiter, req *Request, out *Output) {
	old := x.req
	if old == req {
		return
	}
	req.Args, req.arrived, req.changed, req.wait = old.Args, old.arrived, old.changed, x
	x.req = req
	old.Args, old.wait = nil, nil
	r.refuse(old, out)
}

// GatewayDown drops what waits for a gateway whose connection has ended: it
// sends again what it still wants. Its cuts are over.
func (r *Replica) GatewayDown(node base.NodeID, out *Output) {
	r.endCuts(func(id TxnID) bool { return id.Gateway == node })
	r.cuts.queue = slices.DeleteFunc(r.cuts.queue, func(req *Request) bool {
		if req.Origin.Gateway == node {
			r.refuse(req, out)
		}
		return req.Origin.Gateway == node
	})
	if len(r.waiters.of) > 0 {
		gone := r.waiters.take(func(req *Request) bool { return req.Origin.Gateway == node })
		for _, req := range gone {
			r.leaveRound(req)
		}
		r.refuseAll(gone, out)
	}
}

// tell says that a round is confirmed: what it found nothing for waits.
func (r *Replica) tell(req *Request, out *Output) {
	n := Notice{Request: req}
	if req.changed {
		n.Args = AppendArgs(nil, req.Args)
	}
	out.Waiting = append(out.Waiting, n)
}

// waitSpace marks the gateways of blocking requests in Answers: their origins
// are a space of their own, see docs/internals/blocking.md.
const waitSpace base.NodeID = 1 << 63

// recordedAs is a request's origin in Answers.
func (req *Request) recordedAs() base.Origin {
	o := req.Origin
	if req.Flags&Blocking != 0 {
		o.Gateway |= waitSpace
	}
	return o
}

// ConfirmArgs makes the arguments of a Confirm that says which blocking
// requests' answers have arrived.
func ConfirmArgs(sequences []uint64) [][]byte {
	if len(sequences) == 0 {
		return nil
	}
	var b []byte
	for _, s := range sequences {
		b = binary.AppendUvarint(b, s)
	}
	return [][]byte{b}
}

// confirmedBy lists the sequences in a Confirm.
func confirmedBy(req *Request) (sequences []uint64) {
	if req.Flags&Confirm == 0 || len(req.Args) == 0 {
		return nil
	}
	for b := req.Args[0]; len(b) > 0; {
		s, n := binary.Uvarint(b)
		if n <= 0 {
			break
		}
		sequences, b = append(sequences, s), b[n:]
	}
	return sequences
}

// noteSingly takes in what an entry says of a gateway's blocking requests:
// replies by sequence; an empty one has arrived and is forgotten.
func (g *gatewayAnswers) noteSingly(a effects.Answers) {
	if g.singly == nil {
		g.singly = map[uint64][]byte{}
	}
	g.forgetLives(a.LowWater)
	for sequence, reply := range a.All() {
		if len(reply) == 0 {
			delete(g.singly, sequence)
		} else if sequence >= g.lowWater {
			g.singly[sequence] = bytes.Clone(reply)
		}
	}
}

// lifeOf is the first sequence of a gateway's process, by any of its sequences.
func lifeOf(sequence uint64) uint64 { return sequence &^ (1<<44 - 1) }

// forgetLives drops what a gateway's former processes left, by a low-water.
func (g *gatewayAnswers) forgetLives(lowWater uint64) {
	if life := lifeOf(lowWater); g.lowWater < life {
		g.lowWater = life
		maps.DeleteFunc(g.singly, func(sequence uint64, _ []byte) bool { return sequence < life })
	}
}

// encodeSingly is such a gateway's as AppendState writes it.
func (g *gatewayAnswers) encodeSingly(id base.NodeID) effects.Answers {
	a, before := effects.Answers{Gateway: id, LowWater: g.lowWater}, uint64(0)
	for _, s := range slices.Sorted(maps.Keys(g.singly)) {
		a.Add(s, g.singly[s], before)
		before = s
	}
	return a
}
