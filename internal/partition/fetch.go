package partition

import (
	"encoding/binary"
	"fmt"
	"slices"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// What follows is how a gateway evaluates commands whose keys lie in several
// partitions: it fetches what they read (FETCH), and has the participants
// prepare what they wrote (PREPARE with a Work). See
// docs/internals/transactions.md.

// Work is a participant's share of what a gateway evaluated, or is going to.
type Work struct {
	// Reads are the slots that were read without a lock, and the round as of
	// which they were: the work is only good if they have not changed since.
	// Term is the leadership's that counts these rounds.
	Term  uint64
	Reads []SlotRound
	// Locks are slots to be locked as they are.
	Locks []base.Slot
	// Held says that the transaction has an intent here already, whose locks
	// the work relies on.
	Held bool
	// NextID is above all object ids in the body.
	NextID uint64
	// Body is what to write: operations as in package effects.
	Body []byte
}

// SlotRound is a slot as of a round of its partition's leadership.
type SlotRound struct {
	Slot  base.Slot
	Round uint64
}

// PrepareWorkArgs makes the arguments of a PREPARE that brings work. group may
// look at watched keys; it may be empty.
func PrepareWorkArgs(id TxnID, participants []base.PartitionID, wait bool, w *Work, group [][]byte) [][]byte {
	args := PrepareArgs(id, participants, wait, nil)
	args[0] = append(args[0], 1)
	return append(append(args, w.encode()), group...)
}

// ValidateWorkArgs makes the arguments of a VALIDATE: do the reads still hold?
func ValidateWorkArgs(w *Work) [][]byte {
	return [][]byte{{txnValidate, 0, 1}, nil, nil, w.encode()}
}

func (w *Work) encode() []byte {
	b := []byte{0}
	if w.Held {
		b[0] = 1
	}
	b = binary.AppendUvarint(b, w.Term)
	b = binary.AppendUvarint(b, uint64(len(w.Reads)))
	for _, x := range w.Reads {
		b = binary.AppendUvarint(b, uint64(x.Slot))
		b = binary.AppendUvarint(b, x.Round)
	}
	b = appendCounted(b, w.Locks)
	b = binary.AppendUvarint(b, w.NextID)
	return append(b, w.Body...)
}

func decodeWork(b []byte) (*Work, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("work of no bytes")
	}
	r := stateReader{b: b[1:]}
	w := &Work{Held: b[0] == 1, Term: r.uvarint()}
	for range r.count() {
		w.Reads = append(w.Reads, SlotRound{Slot: base.Slot(r.uvarint()), Round: r.uvarint()})
	}
	w.Locks, w.NextID, w.Body = counted[base.Slot](&r), r.uvarint(), r.b
	if r.bad {
		return nil, fmt.Errorf("work of %d bytes", len(b))
	}
	return w, nil
}

// workOf is the work that a message brings, nil if it brings a group alone.
func workOf(args [][]byte) (*Work, error) {
	if len(args[0]) < 3 || args[0][2] == 0 {
		return nil, nil
	}
	if len(args) < 4 {
		return nil, fmt.Errorf("no work")
	}
	return decodeWork(args[3])
}

// groupOf are the arguments of a message's group.
func groupOf(args [][]byte) [][]byte {
	if len(args[0]) >= 3 && args[0][2] == 1 {
		return args[min(4, len(args)):]
	}
	return args[min(3, len(args)):]
}

// named lists the slots that a transaction's message names itself, and its
// group, which names others.
func named(args [][]byte) (slots []base.Slot, group [][]byte, err error) {
	if len(args) < 3 || len(args[0]) == 0 {
		return nil, nil, fmt.Errorf("message of %d arguments", len(args))
	}
	if args[0][0] == txnFetch {
		for _, b := range args[3:] {
			q, err := decodeQuery(b)
			if err != nil {
				return nil, nil, err
			}
			slots = append(slots, q.slot())
		}
		return slots, nil, nil
	}
	w, err := workOf(args)
	if err != nil {
		return nil, nil, err
	}
	if w != nil {
		for _, x := range w.Reads {
			slots = append(slots, x.Slot)
		}
		slots = append(slots, w.Locks...)
	}
	return slots, groupOf(args), nil
}

// changed says whether what was read without a lock may be different by now:
// written since, or locked by others. own is the transaction's intent here.
func (r *Replica) changed(w *Work, own *intent) bool {
	for _, x := range w.Reads {
		switch {
		case own != nil && slices.Contains(own.slots, x.Slot):
		case r.txns.locked(x.Slot), w.Term != r.term, r.versions.last == nil, r.versions.all > x.Round, r.versions.last[x.Slot] > x.Round:
			return true
		}
	}
	return false
}

// changedByNow is changed, where what comes before in this round counts, too.
func (r *Replica) changedByNow(w *Work, own *intent) bool {
	r.versions.noteWrites(r.ov.Body(), r.ticks)
	return r.changed(w, own)
}

func union(a, b []base.Slot) []base.Slot {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Query is something of the state that a FETCH reads: a key, or, if Upper is
// set, those from Key on and below Upper, all of one slot.
type Query struct{ Key, Upper []byte }

func (q *Query) encode() []byte {
	return append(appendString(nil, q.Key), q.Upper...)
}

func decodeQuery(b []byte) (q Query, err error) {
	r := stateReader{b: b}
	q.Key = r.string()
	slot, ok := keys.SlotOf(q.Key)
	if ok = ok && !r.bad; ok && len(r.b) > 0 {
		q.Upper = r.b
		var last base.Slot
		last, ok = keys.SlotOf(q.Upper)
		ok = ok && last == slot
	}
	if !ok {
		return q, fmt.Errorf("query of %d bytes", len(b))
	}
	return q, nil
}

func (q *Query) slot() base.Slot {
	slot, _ := keys.SlotOf(q.Key)
	return slot
}

// FetchArgs makes the arguments of FETCH. With an id, the slots must be locked
// by that transaction; without, they must not be locked: the request waits
// behind locks, or nothing is fetched. before are earlier reads of the same
// slots: nothing is fetched if these have changed since.
func FetchArgs(id TxnID, wait bool, before *Work, queries ...Query) [][]byte {
	args := [][]byte{{txnFetch, 0}, nil, nil}
	switch {
	case id != (TxnID{}):
		args[1] = appendTxnID(nil, id)
	case wait:
		args[0][1] = 1
	}
	if before != nil && len(before.Reads) > 0 {
		args[2] = before.encode()
	}
	for i := range queries {
		args = append(args, queries[i].encode())
	}
	return args
}

// Fetched is the answer to a FETCH: Items are what was found, in the order of
// the queries, and of the keys within a range.
type Fetched struct {
	Term, Round uint64
	Stamp       base.Stamp
	NextID      uint64
	// Generations is what is stored of them: see keyspace.ParseGenerations.
	Generations []byte
	Items       []Item
}

// Item is a key of the state with its value. More says that there is no room for
// it or, of a range, for anything from Key on: it must be asked for again.
type Item struct {
	Key, Value []byte
	Exists     bool
	More       bool
}

// maxFetched is how many bytes of items one FETCH answers: what comes behind is
// only named.
const maxFetched = 256 << 10

// The kinds of items.
const (
	itemAbsent = iota
	itemExists
	itemMore
)

func appendString(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendItem(b []byte, i Item) []byte {
	switch {
	case i.Exists:
		return appendString(appendString(append(b, itemExists), i.Key), i.Value)
	case i.More:
		return appendString(append(b, itemMore), i.Key)
	}
	return appendString(append(b, itemAbsent), i.Key)
}

// DecodeFetch takes a FETCH apart; ok is false if it is none.
func DecodeFetch(args [][]byte) (id TxnID, queries []Query, ok bool) {
	if len(args) < 3 || len(args[0]) == 0 || args[0][0] != txnFetch {
		return id, nil, false
	}
	var err error
	if len(args[1]) > 0 {
		if id, err = decodeTxnID(args[1]); err != nil {
			return id, nil, false
		}
	}
	queries = make([]Query, len(args)-3)
	for i := range queries {
		if queries[i], err = decodeQuery(args[3+i]); err != nil {
			return id, nil, false
		}
	}
	return id, queries, true
}

// fetch answers a FETCH.
func (r *Replica) fetch(req *Request, reply []byte) []byte {
	id, queries, ok := DecodeFetch(req.Args)
	if !ok {
		return append(reply, replyMalformed...)
	}
	for _, q := range queries {
		slot := q.slot()
		if !r.state.Span.Contains(slot) {
			return append(reply, replyMalformed...)
		}
		if id != (TxnID{}) && r.txns.held[slot] != id || id == (TxnID{}) && r.txns.locked(slot) {
			return append(reply, TxnAborted)
		}
	}
	if before := req.Args[2]; len(before) > 0 {
		w, err := decodeWork(before)
		if err != nil {
			return append(reply, replyMalformed...)
		}
		if r.changedByNow(w, nil) {
			return append(reply, TxnAborted)
		}
	}
	f := Fetched{Term: r.term, Round: r.versions.watch(r.ticks), Stamp: r.txn.now, NextID: r.txn.nextID}
	f.Generations, _ = r.ov.Get(keys.GenerationsKey(r.cfg.Partition))
	return AppendFetched(reply, &f, &r.txn, queries)
}

// AppendFetched appends the answer to a FETCH: what f says but for the items,
// and those that its queries find.
func AppendFetched(reply []byte, f *Fetched, from kv.Reader, queries []Query) []byte {
	reply = append(reply, TxnFetched)
	for _, x := range []uint64{f.Term, f.Round, uint64(f.Stamp), f.NextID} {
		reply = binary.AppendUvarint(reply, x)
	}
	reply = appendString(reply, f.Generations)
	start := len(reply)
	for _, q := range queries {
		if len(reply)-start > maxFetched {
			reply = appendItem(reply, Item{Key: q.Key, More: true})
			continue
		}
		if q.Upper == nil {
			v, ok := from.Get(q.Key)
			reply = appendItem(reply, Item{Key: q.Key, Value: v, Exists: ok})
			continue
		}
		it := from.Iter(q.Key, q.Upper)
		for it.Next() {
			if len(reply)-start > maxFetched {
				reply = appendItem(reply, Item{Key: it.Key(), More: true})
				break
			}
			reply = appendItem(reply, Item{Key: it.Key(), Value: it.Value(), Exists: true})
		}
		it.Close()
	}
	return reply
}

// DecodeFetched reads the answer to a FETCH, behind its first byte.
func DecodeFetched(b []byte) (f Fetched, err error) {
	r := stateReader{b: b}
	f.Term, f.Round, f.Stamp, f.NextID = r.uvarint(), r.uvarint(), base.Stamp(r.uvarint()), r.uvarint()
	f.Generations = r.string()
	for !r.bad && len(r.b) > 0 {
		kind := r.b[0]
		r.b = r.b[1:]
		i := Item{Key: r.string(), Exists: kind == itemExists, More: kind == itemMore}
		if i.Exists {
			i.Value = r.string()
		}
		r.bad = r.bad || kind > itemMore
		f.Items = append(f.Items, i)
	}
	if r.bad {
		return Fetched{}, fmt.Errorf("answer of %d bytes to a FETCH", len(b))
	}
	return f, nil
}
