package spanning

import (
	"bytes"
	"errors"
	"slices"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
	"coterie/internal/overlay"
	"coterie/internal/partition"
	"coterie/internal/storage/state"
)

// errWhole is for what a command must not do over several partitions.
var errWhole = errors.New("a command about a whole database cannot be run together with keys of several partitions")

// fetch asks the owners of queries, and keeps what they say. items are those of
// the queries in their order.
func (e *Evaluation) fetch(queries ...partition.Query) (items []partition.Item) {
	type share struct {
		id   base.PartitionID
		held bool
	}
	var order []share
	shares := map[share][]partition.Query{}
	for _, q := range queries {
		slot, ofSlot := keys.SlotOf(q.Key)
		if !ofSlot {
			e.fail(errWhole)
		}
		id, ok := e.owner(slot)
		if !ok || e.err != nil {
			return nil
		}
		s := share{id, e.locks[slot]}
		if shares[s] == nil {
			order = append(order, s)
		}
		shares[s] = append(shares[s], q)
	}
	reqs := make([]*partition.Request, len(order))
	for i, s := range order {
		id := partition.TxnID{}
		if s.held {
			id = e.held.ID
		}
		// Who holds locks must not wait for those of others, who may wait for these.
		reqs[i] = e.request(s.id, partition.FetchArgs(id, e.held == nil, e.before(s.id, s.held, shares[s]), shares[s]...))
	}
	e.asked += len(reqs)
	if e.submit(reqs); e.err != nil {
		return nil
	}
	for i, s := range order {
		items = append(items, e.note(s.id, s.held, shares[s], reqs[i])...)
	}
	if e.fetched > e.job.MaxBytes {
		e.fail(tooLarge("reads", e.job.MaxBytes))
	}
	return items
}

// before is what was read already, without locks, of the slots of queries. What is
// fetched must be of the same state: a slot's records belong together, and commands
// trust them.
func (e *Evaluation) before(id base.PartitionID, held bool, queries []partition.Query) *partition.Work {
	p := e.parts[id]
	if held || p == nil {
		return nil
	}
	w := &partition.Work{Term: p.term}
	for _, q := range queries {
		slot, _ := keys.SlotOf(q.Key)
		round, known := p.reads[slot]
		if at := (partition.SlotRound{Slot: slot, Round: round}); known && !slices.Contains(w.Reads, at) {
			w.Reads = append(w.Reads, at)
		}
	}
	return w
}

// note takes in one answer.
func (e *Evaluation) note(id base.PartitionID, held bool, queries []partition.Query, req *partition.Request) []partition.Item {
	reply := req.Reply
	switch {
	case len(reply) == 0 || req.Status != partition.Done || reply[0] == '-':
		e.fail(refusal(reply))
		return nil
	case reply[0] != partition.TxnFetched: // its locks are gone, there are others', or what was read before has changed
		e.fail(errConflict)
		return nil
	}
	f, err := partition.DecodeFetched(reply[1:])
	if err != nil {
		e.fail(err)
		return nil
	}
	p := e.part(id)
	if !held && len(queries) > 0 {
		if p.term != 0 && p.term != f.Term {
			e.fail(errConflict)
			return nil
		}
		p.term = f.Term
		for _, q := range queries {
			slot, _ := keys.SlotOf(q.Key)
			if _, known := p.reads[slot]; !known {
				p.reads[slot] = f.Round
			}
		}
	}
	e.fetched += len(reply)
	e.stamp = max(e.stamp, f.Stamp)
	p.nextID = max(p.nextID, f.NextID)
	e.gens[id] = keyspace.ParseGenerations(f.Generations)
	for _, item := range f.Items {
		if !item.More {
			e.found[string(item.Key)] = item
		}
	}
	return f.Items
}

// recordQueries are for a user's key: its record, and its slot's counter.
func recordQueries(slot base.Slot, gen uint32, key []byte) []partition.Query {
	return []partition.Query{{Key: keys.RecordKey(nil, slot, gen, key)}, {Key: keys.CounterKey(nil, slot, gen)}}
}

// generations are what is known of a partition's, or those of one that was
// never flushed: whoever goes by them finds out with the answer.
func (e *Evaluation) generations(id base.PartitionID) keyspace.Generations {
	if g, known := e.gens[id]; known {
		return g
	}
	return keyspace.ParseGenerations(nil)
}

// prefetch fetches the records of the keys that the job names, all at once.
func (e *Evaluation) prefetch() {
	if len(e.job.Keys) == 0 { // for its time
		if id, ok := e.cluster.Owner(0); ok {
			req := e.request(id, partition.FetchArgs(partition.TxnID{}, e.held == nil, nil))
			if e.submit([]*partition.Request{req}); e.err == nil {
				e.note(id, false, nil, req)
			}
		}
		return
	}
	places := make([]place, len(e.job.Keys))
	for i, key := range e.job.Keys {
		places[i] = place{int(key[0]), base.KeySlot(key[1:]), key[1:]}
	}
	e.complete(places...)
}

// place is where a user's key is.
type place struct {
	db   int
	slot base.Slot
	key  []byte
}

// complete fetches what is missing of keys.
func (e *Evaluation) complete(places ...place) {
	for range 2 { // again if the generations turned out to be others
		var missing []partition.Query
		for _, p := range places {
			missing = append(missing, e.missing(p)...)
		}
		if len(missing) == 0 || e.err != nil {
			return
		}
		e.fetch(missing...)
	}
}

// prefetched is how many keys are asked for at once.
const prefetched = 1024

// Prefetch implements keyspace.Places.
func (e *Evaluation) Prefetch(db int, keys [][]byte) {
	for chunk := range slices.Chunk(keys, prefetched) {
		places := make([]place, len(chunk))
		for i, key := range chunk {
			places[i] = place{db, base.KeySlot(key), key}
		}
		e.complete(places...)
	}
}

// missing are the queries for a key that were not answered yet.
func (e *Evaluation) missing(at place) (missing []partition.Query) {
	id, ok := e.owner(at.slot)
	if !ok {
		return nil
	}
	for _, q := range recordQueries(at.slot, e.generations(id)[at.db], at.key) {
		if _, known := e.found[string(q.Key)]; !known {
			missing = append(missing, q)
		}
	}
	return missing
}

// Locate implements keyspace.Places.
func (e *Evaluation) Locate(db int, slot base.Slot, key []byte) keyspace.Generations {
	e.complete(place{db, slot, key})
	id, _ := e.owner(slot)
	return e.generations(id)
}

// remote is the state of all partitions, as an overlay's base.
type remote struct{ e *Evaluation }

var _ overlay.Base = remote{}

// mine says whether a key is a part of a collection that this attempt has made: then
// no partition has it.
func (e *Evaluation) mine(key []byte) bool {
	if len(e.made) == 0 {
		return false
	}
	c, ok := keys.CollectionOf(key)
	return ok && e.made[c]
}

// Get implements state.Reader.
func (r remote) Get(key, dst []byte) ([]byte, bool, error) {
	item, known := r.e.found[string(key)]
	switch {
	case known:
	case r.e.mine(key):
		return dst, false, r.e.err
	default:
		items := r.e.fetch(partition.Query{Key: bytes.Clone(key)})
		if r.e.err != nil || len(items) != 1 {
			return nil, false, r.e.err
		}
		item = items[0]
	}
	return append(dst, item.Value...), item.Exists, r.e.err
}

// Iter implements state.Reader.
func (r remote) Iter(lower, upper []byte) (state.Iterator, error) {
	first, ok := keys.SlotOf(lower)
	last, ok2 := keys.SlotOf(upper)
	if !ok || !ok2 || first != last {
		r.e.fail(errWhole)
		return nil, r.e.err
	}
	if c, ok := keys.CollectionOf(lower); ok && r.e.made[c] {
		if last, ok := keys.CollectionOf(upper); ok && last == c || bytes.Equal(upper, c.End(lower)) {
			return &iterator{e: r.e}, r.e.err
		}
	}
	return &iterator{e: r.e, next: bytes.Clone(lower), upper: bytes.Clone(upper)}, r.e.err
}

// iterator walks a range of one slot, page by page.
type iterator struct {
	e           *Evaluation
	next, upper []byte // what is not fetched yet; nil: nothing
	page        []partition.Item
	at          int // of the current one, plus one
}

// Next implements kv.Iterator.
func (it *iterator) Next() bool {
	for it.at >= len(it.page) {
		if it.next == nil || it.e.err != nil {
			return false
		}
		it.page, it.at = it.e.fetch(partition.Query{Key: it.next, Upper: it.upper}), 0
		it.next = nil
		if n := len(it.page); n > 0 && it.page[n-1].More {
			it.next, it.page = bytes.Clone(it.page[n-1].Key), it.page[:n-1]
		}
	}
	it.at++
	return true
}

// SeekGE implements kv.Iterator.
func (it *iterator) SeekGE(key []byte) bool {
	for it.at < len(it.page) && bytes.Compare(it.page[it.at].Key, key) < 0 {
		it.at++
	}
	if it.at >= len(it.page) && it.next != nil && bytes.Compare(it.next, key) < 0 {
		it.next = bytes.Clone(key)
	}
	return it.Next()
}

// Key implements kv.Iterator.
func (it *iterator) Key() []byte { return it.page[it.at-1].Key }

// Value implements kv.Iterator.
func (it *iterator) Value() []byte { return it.page[it.at-1].Value }

// Close implements kv.Iterator.
func (it *iterator) Close() {}

// Err implements state.Iterator.
func (it *iterator) Err() error { return it.e.err }

// view is what the commands see and write.
type view struct {
	*overlay.Overlay
	e   *Evaluation
	now base.Stamp

	mailed int // bytes
}

var (
	_ kv.Txn    = (*view)(nil)
	_ kv.Mailer = (*view)(nil)

	_ kv.Savepoints = (*view)(nil)
)

// Err implements kv.Txn. Once it is set nothing that is read is true, and what is
// written goes nowhere.
func (v *view) Err() error {
	if v.e.err != nil {
		return v.e.err
	}
	return v.Overlay.Err()
}

// Set implements kv.Txn.
func (v *view) Set(key, value []byte) {
	if v.mayWrite(len(key) + len(value)) {
		v.Overlay.Set(key, value)
	}
}

// Delete implements kv.Txn.
func (v *view) Delete(key []byte) {
	if v.mayWrite(len(key)) {
		v.Overlay.Delete(key)
	}
}

// DeleteRange implements kv.Txn.
func (v *view) DeleteRange(lower, upper []byte) {
	if v.mayWrite(len(lower) + len(upper)) {
		v.Overlay.DeleteRange(lower, upper)
	}
}

// Mail implements kv.Mailer: the message leaves when the job is done.
func (v *view) Mail(m kv.Mail) {
	n := len(m.Channel) + len(m.Payload)
	if v.mayWrite(n) {
		v.mailed += n
		v.e.job.Mail = append(v.e.job.Mail, m)
	}
}

// mayWrite says whether there is room for another n bytes; if not, the attempt fails.
func (v *view) mayWrite(n int) bool {
	if limit := v.e.job.MaxBytes; v.e.err == nil && v.BodyLen()+v.mailed+n > limit {
		v.e.fail(tooLarge("changes", limit))
	}
	return v.e.err == nil
}

// Now implements kv.Txn: the latest of the partitions' times.
func (v *view) Now() base.Stamp { return v.now }

// NewObjectID implements kv.Txn. Of a slot that was read and has not changed
// since, no collection has an id as high as the partition's next one was then.
func (v *view) NewObjectID(slot base.Slot) uint64 {
	p := v.e.part(v.e.met[slot])
	p.nextID++
	v.e.made[keys.Collection{Slot: slot, Object: p.nextID - 1}] = true
	return p.nextID - 1
}

// Rand implements kv.Txn.
func (v *view) Rand() uint64 { return v.e.cluster.Rand() }

// Savepoint implements kv.Savepoints.
func (v *view) Savepoint() kv.Savepoint {
	m := v.Mark()
	return kv.Savepoint{Body: m.Body, Undo: m.Undo, Mails: len(v.e.job.Mail), MailBytes: v.mailed}
}

// Revert implements kv.Savepoints.
func (v *view) Revert(s kv.Savepoint) {
	v.CloseIters()
	v.Cut(overlay.Mark{Body: s.Body, Undo: s.Undo})
	v.e.job.Mail, v.mailed = v.e.job.Mail[:s.Mails], s.MailBytes
}

// Effects is the size of what was written so far.
func (v *view) Effects() int { return v.BodyLen() }
