package keyspace

import (
	"bytes"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Limits bound what one command may build. A zero field stands for its default.
type Limits struct {
	MaxString int // bytes of a string value; default 512 MiB (Redis's proto-max-bulk-len)
	MaxReply  int // bytes of a reply that grows with the data, such as that of KEYS; default 256 MiB
}

const (
	defaultMaxString = 512 << 20
	defaultMaxReply  = 256 << 20
	// maxScratch is how many bytes of scratch memory a Space keeps from one command to the next.
	maxScratch = 64 << 10
)

// Space is one namespace of one partition as one command sees it. Bind makes
// it ready; its scratch memory is kept from one command to the next, so one
// Space serves a whole loop. It is not for concurrent use.
type Space struct {
	Txn       kv.Txn
	Partition base.PartitionID
	Span      base.Span
	DB        int // namespace, 0 … Namespaces-1
	Limits    Limits

	// Buf is scratch for a command that builds a value: use it from Buf[:0] and
	// put the result back, so that its memory is used again.
	Buf []byte

	gens Generations
	// Events are the events that subscribers want to be told of; see Notify.
	// Reading says that the command writes nothing: keys it misses are events.
	Events  Classes
	Reading bool

	// Quiet says that the command leaves no traces of use on keys.
	Quiet bool
	// limits are nil if no namespace has one, caches where this is no leader; see
	// Limit.
	limits *NamespaceLimits
	caches *Caches
	meter  *meter

	// Uses remembers when keys were used, Tally counts; both may be nil.
	Uses  *Uses
	Tally *Tally

	places  Places // nil: all of one partition
	flushed bool
	now     int64

	slot    base.Slot // of the key that rkey names
	located bool
	rkey    []byte // record key, scratch
	xkey    []byte // counter, element or expiry key, scratch
	enc     []byte // record, scratch
}

// Bind makes s the view of a namespace through txn. gens may be nil: then the
// map of generations is read through txn. A caller that keeps it instead must
// load it anew when Flushed says so, and whenever effects were thrown away.
func (s *Space) Bind(txn kv.Txn, pid base.PartitionID, span base.Span, db int, gens *Generations) {
	s.Txn, s.Partition, s.Span, s.DB = txn, pid, span, db
	s.Quiet = false
	if s.limits != nil {
		if s.meter == nil {
			s.meter = &meter{space: s}
		}
		s.meter.Txn, s.meter.db, s.meter.changes = txn, db, s.meter.changes[:0]
		s.Txn = s.meter
	}
	if gens != nil {
		s.gens = *gens
	} else {
		s.gens = LoadGenerations(txn, pid)
	}
	s.places = nil
	s.now = txn.Now().Millis()
	s.located, s.flushed = false, false
	if s.Limits.MaxString == 0 {
		s.Limits.MaxString = defaultMaxString
	}
	if s.Limits.MaxReply == 0 {
		s.Limits.MaxReply = defaultMaxReply
	}
	for _, b := range []*[]byte{&s.Buf, &s.rkey, &s.xkey, &s.enc} {
		if cap(*b) > maxScratch {
			*b = nil
		}
	}
}

// Limit says what the namespaces are limited to, from the next Bind on, and what
// the leader remembers of them: nil where none have limits, and at who leads
// nothing.
func (s *Space) Limit(limits *NamespaceLimits, caches *Caches) {
	if s.limits, s.caches = limits, caches; limits == nil {
		s.meter, s.caches = nil, nil
	}
}

// Places knows the generations of a view that spans several partitions.
type Places interface {
	// Locate is the map of the partition that owns a slot, whose key is going to
	// be looked up in a namespace.
	Locate(db int, slot base.Slot, key []byte) Generations
	// Prefetch says which keys are going to be looked up next.
	Prefetch(db int, keys [][]byte)
}

// Spread makes s, which was just bound, the view of a namespace in all
// partitions, unless p is nil. It has keys only: it cannot be walked or flushed.
func (s *Space) Spread(p Places) { s.places = p }

// Prefetch says that the records of these keys are going to be looked up. A view
// of all partitions then asks for all of them at once.
func (s *Space) Prefetch(keys [][]byte) {
	if s.places != nil && len(keys) > 0 {
		s.places.Prefetch(s.DB, keys)
	}
}

// Has says whether there is a record of a key, its deadline past or not.
func (s *Space) Has(key []byte) bool {
	s.locate(key)
	_, ok := s.Txn.Get(s.rkey)
	return ok
}

// Select turns s to another namespace of the same partition.
func (s *Space) Select(db int) { s.DB, s.located = db, false }

// Now is the transaction's time in milliseconds since the Unix epoch.
func (s *Space) Now() int64 { return s.now }

// Slot is the slot of a key.
func (s *Space) Slot(key []byte) base.Slot {
	s.locate(key)
	return s.slot
}

// Owns says whether a key's slot is one of this partition's.
func (s *Space) Owns(key []byte) bool { return s.Span.Contains(s.Slot(key)) }

func (s *Space) gen() uint32 { return s.gens[s.DB] }

// locate makes rkey the record key of key. A command asks for the same key
// several times in a row; slot and hash are computed once.
func (s *Space) locate(key []byte) {
	if s.located && bytes.Equal(s.rkey[keys.RecordOverhead:], key) {
		return
	}
	s.slot = base.KeySlot(key)
	if s.places != nil {
		s.gens = s.places.Locate(s.DB, s.slot, key)
	}
	s.rkey = keys.RecordKey(s.rkey[:0], s.slot, s.gen(), key)
	s.located = true
}

// Lookup returns the record of a key, or the zero Record. A key whose
// deadline has passed is removed.
func (s *Space) Lookup(key []byte) Record {
	s.locate(key)
	v, ok := s.Txn.Get(s.rkey)
	if !ok {
		s.missed(key)
		return Record{}
	}
	r := mustRecord(v)
	if s.expired(r) {
		s.Remove(key, r)
		touched(s.Txn, key)
		s.Notify(ExpiredEvent, "expired", key)
		if s.Tally != nil {
			s.Tally.Expired.Add(1)
		}
		s.missed(key)
		return Record{}
	}
	if s.Reading && s.Tally != nil {
		s.Tally.Hits.Add(1)
	}
	s.used()
	return r
}

// touched says that a key was written that no command names.
func touched(txn kv.Txn, key []byte) {
	if t, ok := txn.(kv.Toucher); ok {
		t.Touched(key)
	}
}

func (s *Space) missed(key []byte) {
	if s.Reading {
		if s.Tally != nil {
			s.Tally.Misses.Add(1)
		}
		s.Notify(MissEvent, "keymiss", key)
	}
}

func (s *Space) expired(r Record) bool { return r.ExpireAt != 0 && r.ExpireAt <= s.now }

// Put stores r in the place of old, which must be what Lookup returned for
// this key. The elements of old go unless r names the same object. If r's
// deadline has passed, the key is removed instead.
func (s *Space) Put(key []byte, old, r Record) {
	if s.expired(r) {
		if old.Exists() {
			s.Remove(key, old)
		}
		if obj, ok := r.Object(); ok && !names(old, obj) {
			s.dropElements(s.Slot(key), obj)
		}
		return
	}
	s.locate(key)
	s.used()
	s.enc = AppendRecord(s.enc[:0], r)
	s.Txn.Set(s.rkey, s.enc)
	d := delta{expires: deadlines(r) - deadlines(old)}
	if !old.Exists() {
		d.keys = 1
	}
	s.addCount(s.slot, s.gen(), d)
	if !old.Exists() {
		s.Notify(NewEvent, "new", key)
	} else if obj, ok := old.Object(); ok && !names(r, obj) {
		s.dropElements(s.slot, obj)
	}
	for _, at := range old.moments() {
		if at != 0 && at != r.ExpireAt && at != r.DueAt {
			s.unindex(s.slot, s.gen(), at, key)
		}
	}
	for _, at := range r.moments() {
		if at != 0 && at != old.ExpireAt && at != old.DueAt {
			s.xkey = keys.ExpiryKey(s.xkey[:0], s.slot, at, s.gen(), key)
			s.Txn.Set(s.xkey, nil)
		}
	}
}

// moments are the times at which the expiry index names a record's key.
func (r Record) moments() [2]int64 { return [2]int64{r.ExpireAt, r.DueAt} }

// names says whether r is the record of obj.
func names(r Record, obj Object) bool {
	o, ok := r.Object()
	return ok && o.ID == obj.ID
}

// SetExpiry gives a record another deadline, in milliseconds since the Unix
// epoch; 0 takes it away. One that has passed removes the key.
func (s *Space) SetExpiry(key []byte, old Record, at int64) {
	if old.ExpireAt == at {
		return
	}
	r := old
	r.ExpireAt = at
	s.Put(key, old, r)
}

// Remove removes a key: its record, which must be what Lookup returned, its
// elements, its entry in the expiry index, and one from the counter.
func (s *Space) Remove(key []byte, old Record) {
	s.Detach(key, old)
	if obj, ok := old.Object(); ok {
		s.dropElements(s.slot, obj)
	}
}

// Detach removes a key but leaves its elements: for a record that moves, and
// for a collection whose elements were deleted one by one, whose range holds
// nothing but tombstones to walk over.
func (s *Space) Detach(key []byte, old Record) {
	s.locate(key)
	s.Txn.Delete(s.rkey)
	s.addCount(s.slot, s.gen(), delta{keys: -1, expires: -deadlines(old)})
	for _, at := range old.moments() {
		if at != 0 {
			s.unindex(s.slot, s.gen(), at, key)
		}
	}
}

// Move stores src's record under dst, in the place of dst's old record, with
// its deadline. Within a slot that costs the same whatever the record's size;
// to another slot the elements are copied.
func (s *Space) Move(src []byte, r Record, dst []byte, old Record) {
	from, to := s.Slot(src), s.Slot(dst)
	if obj, ok := r.Object(); ok && from != to {
		s.Put(dst, old, s.copied(r, obj, from, to))
		s.Remove(src, r)
		return
	}
	s.Detach(src, r)
	s.Put(dst, old, r)
}

// MoveTo takes key, whose record is r, to another namespace, where there must
// be none. That costs the same whatever the record's size.
func (s *Space) MoveTo(db int, key []byte, r Record) {
	from := s.DB
	s.Detach(key, r)
	s.Select(db)
	s.Put(key, Record{}, r)
	s.Select(from)
	if obj, ok := r.Object(); ok && s.meter != nil {
		s.meter.moved(s.Slot(key), obj, db)
	}
}

// Copy stores a copy of r, the record of a key in slot from, under dst of
// the selected namespace, in the place of dst's old record.
func (s *Space) Copy(from base.Slot, r Record, dst []byte, old Record) {
	if obj, ok := r.Object(); ok {
		r = s.copied(r, obj, from, s.Slot(dst))
	}
	s.Put(dst, old, r)
}

// copied copies an object's elements and nodes, and returns a record that names
// the copy.
func (s *Space) copied(r Record, obj Object, from, to base.Slot) Record {
	fresh := obj
	fresh.ID = s.Txn.NewObjectID(to)
	if !obj.OnlyTrees {
		source, upper := keys.ElementBounds(from, obj.ID)
		s.copyRange(source, upper, keys.ElementPrefix(nil, to, fresh.ID))
	}
	if obj.NextNode > 0 {
		source, upper := keys.NodeBounds(from, obj.ID)
		target, _ := keys.NodeBounds(to, fresh.ID)
		s.copyRange(source, upper, target)
	}
	r.Body = append(AppendObject(nil, fresh), r.Rest()...)
	return r
}

// copyRange copies all keys below upper that begin with source; target takes
// the place of that.
func (s *Space) copyRange(source, upper, target []byte) {
	it := s.Txn.Iter(source, upper)
	defer it.Close()
	for it.Next() {
		s.xkey = append(append(s.xkey[:0], target...), it.Key()[len(source):]...)
		s.Txn.Set(s.xkey, it.Value())
	}
}

func (s *Space) unindex(slot base.Slot, gen uint32, at int64, key []byte) {
	s.xkey = keys.ExpiryKey(s.xkey[:0], slot, at, gen, key)
	s.Txn.Delete(s.xkey)
}

func (s *Space) addCount(slot base.Slot, gen uint32, d delta) {
	if d == (delta{}) {
		return
	}
	if s.meter == nil {
		s.xkey = keys.CounterKey(s.xkey[:0], slot, gen)
		addCount(s.Txn, s.xkey, d)
		return
	}
	key := keys.CounterKey(nil, slot, gen)
	before := loadCount(s.Txn, key)
	after := before
	if s.Txn.Err() == nil {
		after.add(d)
	}
	s.meter.counted(slot, &before, &after)
	storeCount(s.Txn, key, after)
}
