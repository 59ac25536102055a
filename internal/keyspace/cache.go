package keyspace

import (
	"cmp"
	"math"
	"slices"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/keyspace/tree"
	"coterie/internal/kv"
)

// Cache is what the leader of a partition remembers of a limited namespace:
// what it holds, and when its keys were used. It is only the leader's: another
// one begins with nothing, adds up the counters, and takes all keys for unused
// since then.
type Cache struct {
	limit Limit
	share int64 // bytes that the partition may hold
	began int64 // milliseconds since the Unix epoch

	// used is the sum of the counters as of the last pass over them, and what has
	// been written since. at is how far the pass under way has come, with sum.
	used, sum int64
	keys      uint64 // likewise, as of the last pass
	sumKeys   uint64
	at        uint16
	known     bool // there was a pass
	dirty     bool // something changed since the last one began

	clocks  clocks
	pool    []candidate
	evicted uint64
}

// candidate is a key that may be evicted; the higher the score, the sooner.
type candidate struct {
	key   []byte
	score int64
}

const (
	// poolSize is how many candidates are remembered from one eviction to the
	// next, sampleSize how many more are looked at for each.
	poolSize   = 16
	sampleSize = 10
	// evictPerWrite bounds how many keys a command evicts before it writes.
	evictPerWrite = 16
	// maxOver is the part of a share, as 1 to this, by which it may be exceeded
	// while eviction does not keep up.
	maxOver = 8
	// countRecords is how many records of a slot are counted one by one.
	countRecords = 4096
)

// NewCache is for a leadership that begins, or a limit that is new.
func NewCache(limit Limit, span base.Span, now int64) *Cache {
	c := &Cache{began: now, dirty: true}
	c.Follow(limit, span)
	return c
}

// Follow takes another limit for the same namespace.
func (c *Cache) Follow(limit Limit, span base.Span) {
	if limit.Epoch != c.limit.Epoch {
		c.known, c.at, c.sum, c.used, c.dirty = false, 0, 0, 0, true
	}
	if limit.Policy != c.limit.Policy {
		c.pool = nil
		if limit.Policy.LFU() != c.limit.Policy.LFU() {
			c.clocks = clocks{lfu: limit.Policy.LFU()}
		}
	}
	c.limit, c.share = limit, limit.share(span)
}

// TakeEvicted is how many keys were evicted since it was asked last.
func (c *Cache) TakeEvicted() (n uint64) {
	n, c.evicted = c.evicted, 0
	return n
}

// Used is about how many bytes the partition holds of the namespace.
func (c *Cache) Used() int64 { return c.used }

// Known says whether all counters were added up since the leadership began, or the
// limit was set: until then nothing is evicted, and nothing refused.
func (c *Cache) Known() bool { return c.known }

// Dirty says that counters were changed by others than a Space.
func (c *Cache) Dirty() { c.dirty = true }

// Forget has all counters added up anew: the namespace has another generation.
// Until then nothing is evicted.
func (c *Cache) Forget() { c.known, c.at, c.dirty, c.pool = false, 0, true, nil }

// changed follows a counter of the namespace.
func (c *Cache) changed(slot base.Slot, bytes int64) {
	c.used += bytes
	if uint16(slot) < c.at {
		c.sum += bytes
	}
	c.dirty = true
}

// over is by how many bytes the share is exceeded; nothing while it is not known.
func (c *Cache) over() int64 {
	if !c.known {
		return 0
	}
	return c.used - c.share
}

// Measure goes on with the pass over the namespace's counters, over so many
// slots, and counts the bytes of those that were not counted yet. wrote says
// that it did. The space is the namespace's.
func (s *Space) Measure(c *Cache, slots int) (wrote bool) {
	if !c.dirty && c.at == 0 {
		return false
	}
	if c.at == 0 {
		c.dirty, c.sum, c.sumKeys = false, 0, 0
	}
	var missing []base.Slot
	next := s.Span.Hi
	eachCount(s.Txn, s.Span, c.at, s.gen(), func(slot base.Slot, n Count) bool {
		switch {
		case slots <= 0 || len(missing) > 64:
			next = uint16(slot)
			return false
		case n.Epoch == c.limit.Epoch:
			c.sum += int64(n.Bytes)
		case locked(s.Txn, slot): // what holds it may write the counter
			c.dirty = true
		default:
			missing = append(missing, slot)
		}
		slots--
		c.sumKeys += n.Keys
		return true
	})
	for _, slot := range missing {
		key := keys.CounterKey(nil, slot, s.gen())
		n := loadCount(s.Txn, key)
		n.Epoch, n.Bytes = c.limit.Epoch, s.countSlot(slot, n.Keys)
		storeCount(s.Txn, key, n)
		c.sum += int64(n.Bytes)
	}
	if c.at = next; next >= s.Span.Hi {
		c.used, c.keys, c.known, c.at = c.sum, c.sumKeys, true, 0
	}
	return len(missing) > 0
}

// countSlot adds up what the namespace's keys of a slot take. Where there are
// very many, and of large collections, it is an estimate.
func (s *Space) countSlot(slot base.Slot, keysThere uint64) uint64 {
	lower, upper := keys.RecordBounds(slot, s.gen())
	it := s.Txn.Iter(lower, upper)
	defer it.Close()
	sum, n := int64(0), uint64(0)
	for n < countRecords && it.Next() {
		rec, ok := keys.ParseRecordKey(it.Key())
		if !ok {
			break
		}
		n++
		sum += recordSize(it.Key(), it.Value(), rec)
		r := mustRecord(it.Value())
		if obj, ok := r.Object(); ok {
			sum += estimate(s.Txn, slot, r.Type, obj)
		}
	}
	if n == countRecords && keysThere > n {
		sum = int64(float64(sum) / float64(n) * float64(keysThere))
	}
	return uint64(max(sum, 0))
}

// recordSize is what a record takes with its entries in the expiry index.
func recordSize(key, value []byte, rec keys.Record) int64 {
	n := int64(len(key) + len(value))
	for _, at := range mustRecord(value).moments() {
		if at != 0 {
			n += int64(len(keys.ExpiryKey(nil, rec.Slot, at, rec.Gen, rec.Key)))
		}
	}
	return n
}

// estimate is what an object takes, by its first elements and nodes.
func estimate(r kv.Reader, slot base.Slot, t Type, obj Object) (bytes int64) {
	if !obj.OnlyTrees {
		lower, upper := keys.ElementBounds(slot, obj.ID)
		n, all := rangeSize(r, lower, upper, maxRangeCount)
		if !all {
			each := float64(n) / maxRangeCount
			if t == Set { // two entries for each member
				each *= 2
			}
			n = int64(each * float64(obj.Count))
		}
		bytes += n
	}
	if obj.NextNode == 0 {
		return bytes
	}
	lower, upper := keys.NodeBounds(slot, obj.ID)
	it := r.Iter(lower, upper)
	defer it.Close()
	sum, entries := int64(0), 0
	for range maxRangeCount {
		if !it.Next() {
			return bytes + sum
		}
		sum += int64(len(it.Key()) + len(it.Value()))
		entries += tree.LeafEntries(it.Value())
	}
	return bytes + int64(float64(sum)/float64(max(entries, 1))*float64(obj.Count))
}

// used notes that a key, whose record is located, was used.
func (s *Space) used() {
	if s.Quiet {
		return
	}
	if s.Uses != nil {
		s.Uses.touch(s.gen(), s.rkey, s.now)
	}
	if s.caches == nil {
		return
	}
	if c := s.caches[s.DB]; c != nil && (c.limit.Policy.lru() || c.limit.Policy.LFU()) {
		c.clocks.touch(recordHash(s.rkey), s.now-c.began, c.keys, s.Txn.Rand)
	}
}

// Usage is for how many milliseconds a key was idle, and how often it is used
// in Redis's measure; ok is false where the namespace's policy does not go by it.
func (s *Space) Usage(key []byte) (idle int64, count uint64, policy Policy, ok bool) {
	s.locate(key)
	if s.caches == nil || s.caches[s.DB] == nil {
		if s.Uses != nil {
			idle = s.Uses.idle(s.gen(), s.rkey, s.now)
		}
		return idle, 0, NoEviction, false
	}
	c := s.caches[s.DB]
	idle, count = c.clocks.of(recordHash(s.rkey), s.now-c.began)
	return idle, count, c.limit.Policy, true
}

// MakeRoom is for a command that is going to write: it evicts keys while the
// selected namespace's share is used up, if it may, and tells of each. It is
// false when there is no room.
func (s *Space) MakeRoom(may bool, evicted func(key []byte)) bool {
	if s.caches == nil || s.caches[s.DB] == nil {
		return true
	}
	c := s.caches[s.DB]
	if c.over() <= 0 {
		return true
	}
	n := 0
	if may {
		n = s.Evict(evictPerWrite, evicted)
	}
	switch over := c.over(); {
	case over <= 0:
		return true
	case c.limit.Policy == NoEviction || may && n == 0:
		return false
	default:
		return over <= c.share/maxOver
	}
}

// Evict removes up to n keys while the selected namespace's share is exceeded,
// and tells of each.
func (s *Space) Evict(n int, evicted func(key []byte)) (done int) {
	c := s.caches[s.DB]
	for done < n && c.limit.Policy != NoEviction && c.over() > 0 {
		key := s.victim(c)
		if key == nil {
			return done
		}
		r, _ := s.stored(key)
		s.Remove(key, r)
		s.Settle()
		c.clocks.forget(recordHash(s.rkey))
		s.Notify(EvictedEvent, "evicted", key)
		evicted(key)
		c.evicted++
		done++
	}
	return done
}

// stored is a key's record, whether or not it has expired.
func (s *Space) stored(key []byte) (r Record, ok bool) {
	s.locate(key)
	v, ok := s.Txn.Get(s.rkey)
	if !ok {
		return Record{}, false
	}
	return mustRecord(v), true
}

// victim picks the key to be evicted next, nil if there is none.
func (s *Space) victim(c *Cache) []byte {
	for range 4 {
		found := s.sample(c.limit.Policy, func(key []byte, r Record) {
			if !slices.ContainsFunc(c.pool, func(x candidate) bool { return string(x.key) == string(key) }) {
				c.pool = append(c.pool, candidate{slices.Clone(key), s.score(c, key, r)})
			}
		})
		slices.SortFunc(c.pool, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
		c.pool = c.pool[:min(len(c.pool), poolSize)]
		for len(c.pool) > 0 {
			x := c.pool[0]
			c.pool = c.pool[1:]
			r, ok := s.stored(x.key)
			switch {
			case !ok, c.limit.Policy.volatile() && r.ExpireAt == 0, locked(s.Txn, s.slot):
			case c.limit.Policy != AllKeysRandom && c.limit.Policy != VolatileRandom && s.score(c, x.key, r) < x.score:
				// it was used since
			default:
				return x.key
			}
		}
		if !found {
			return nil
		}
	}
	return nil
}

func (s *Space) score(c *Cache, key []byte, r Record) int64 {
	s.locate(key)
	idle, count := c.clocks.of(recordHash(s.rkey), s.now-c.began)
	switch p := c.limit.Policy; {
	case p.lru():
		return idle
	case p.LFU():
		return -int64(count)
	case p == VolatileTTL:
		return -r.ExpireAt
	}
	return int64(s.Txn.Rand() >> 1)
}

// sample visits some keys that a policy may evict. It is false when there are
// none.
func (s *Space) sample(p Policy, visit func([]byte, Record)) (found bool) {
	if s.Span.Empty() {
		return false
	}
	for range 2 {
		at := s.Span.Lo + uint16(s.Txn.Rand()%uint64(s.Span.Len()))
		left := sampleSize / 2
		for _, span := range []base.Span{{Lo: at, Hi: s.Span.Hi}, {Lo: s.Span.Lo, Hi: at}} {
			eachCount(s.Txn, span, 0, s.gen(), func(slot base.Slot, n Count) bool {
				if p.volatile() && n.Expires == 0 || locked(s.Txn, slot) {
					return true
				}
				if p == VolatileTTL || p.volatile() && n.Expires < n.Keys/4 {
					left -= s.sampleIndex(slot, left, visit)
				} else {
					left -= s.sampleRecords(slot, p.volatile(), left, visit)
				}
				return left > 0
			})
			if left <= 0 {
				break
			}
		}
		found = found || left < sampleSize/2
	}
	return found
}

// sampleRecords visits up to n of a slot's records.
func (s *Space) sampleRecords(slot base.Slot, volatile bool, n int, visit func([]byte, Record)) (seen int) {
	lower, upper := keys.RecordBounds(slot, s.gen())
	from, ok := keys.ScanKey(nil, keys.CursorAtSlot(slot)+keys.Cursor(s.Txn.Rand()>>16), s.gen())
	if !ok {
		return 0
	}
	for _, bounds := range [2][2][]byte{{from, upper}, {lower, from}} {
		it := s.Txn.Iter(bounds[0], bounds[1])
		for looked := 0; looked < 8*sampleSize && seen < n && it.Next(); looked++ {
			rec, ok := keys.ParseRecordKey(it.Key())
			if r := mustRecord(it.Value()); ok && (!volatile || r.ExpireAt != 0) {
				visit(rec.Key, r)
				seen++
			}
		}
		it.Close()
	}
	return seen
}

// sampleIndex visits up to n of a slot's keys with the earliest deadlines.
func (s *Space) sampleIndex(slot base.Slot, n int, visit func([]byte, Record)) (seen int) {
	lower, upper := keys.ExpiryBounds(slot, math.MaxInt64)
	it := s.Txn.Iter(lower, upper)
	defer it.Close()
	for looked := 0; looked < 8*sampleSize && seen < n && it.Next(); looked++ {
		e, ok := keys.ParseExpiryKey(it.Key())
		if !ok || e.Gen != s.gen() {
			continue
		}
		if r, ok := s.stored(e.Key); ok && r.ExpireAt == e.DeadlineMs {
			visit(e.Key, r)
			seen++
		}
	}
	return seen
}

// Budgets of one piece of housekeeping of limited namespaces.
const (
	measureSlots = 2048
	evictBudget  = 64 // keys
)

// Maintain is the leader's housekeeping of limited namespaces: it adds up their
// counters, and evicts what exceeds their shares. It tells of each key, and says
// whether there is more to do soon.
func Maintain(txn kv.Txn, pid base.PartitionID, span base.Span, limits *NamespaceLimits, caches *Caches, events Classes, evicted func(db int, key []byte)) (more bool) {
	var s Space
	s.Limit(limits, caches)
	for db, c := range caches {
		if c == nil {
			continue
		}
		s.Bind(txn, pid, span, db, nil)
		s.Events = events
		counted := s.Measure(c, measureSlots)
		n := s.Evict(evictBudget, func(key []byte) { evicted(db, key) })
		more = more || counted || !c.known || n > 0 && c.over() > 0
	}
	return more
}
