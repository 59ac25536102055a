package keyspace

import (
	"encoding/binary"
	"math"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
)

// Count is what is counted of one slot's records in one generation.
type Count struct {
	Keys    uint64
	Expires uint64 // of those, how many have a deadline
	// Bytes is what the keys take, elements and index entries included, if Epoch
	// is that of the namespace's limit; else they are not counted. See Limit.
	Epoch uint32
	Bytes uint64
}

// countVersion is the first byte of a stored Count. Of the version before,
// which had nothing but the keys, eight bytes, the first is 0.
const countVersion = 1

// AppendCount appends the stored form: the version, keys and expires as
// uvarints, and, if bytes are counted, their epoch in four bytes and they as a
// uvarint.
func AppendCount(dst []byte, c Count) []byte {
	dst = binary.AppendUvarint(append(dst, countVersion), c.Keys)
	dst = binary.AppendUvarint(dst, c.Expires)
	if c.Epoch == 0 {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, c.Epoch)
	return binary.AppendUvarint(dst, c.Bytes)
}

// ParseCount reads a stored Count.
func ParseCount(v []byte) (c Count, ok bool) {
	if len(v) == 8 && v[0] == 0 {
		return Count{Keys: binary.BigEndian.Uint64(v)}, true
	}
	if len(v) < 3 || v[0] != countVersion {
		return Count{}, false
	}
	keys, n := binary.Uvarint(v[1:])
	if n <= 0 {
		return Count{}, false
	}
	v = v[1+n:]
	expires, n := binary.Uvarint(v)
	if n <= 0 || expires > keys {
		return Count{}, false
	}
	c.Keys, c.Expires = keys, expires
	if v = v[n:]; len(v) == 0 {
		return c, true
	}
	if len(v) < 5 {
		return Count{}, false
	}
	c.Epoch = binary.BigEndian.Uint32(v)
	c.Bytes, n = binary.Uvarint(v[4:])
	return c, c.Epoch != 0 && n == len(v)-4
}

// loadCount reads a slot's counter.
func loadCount(r kv.Reader, key []byte) Count {
	v, ok := r.Get(key)
	if !ok {
		return Count{}
	}
	c, ok := ParseCount(v)
	if !ok {
		panic("keyspace: malformed counter: this is a bug")
	}
	return c
}

// storeCount stores a slot's counter. One of no keys is not stored, so an
// empty slot holds nothing.
func storeCount(w kv.Writer, key []byte, c Count) {
	if c.Keys == 0 {
		w.Delete(key)
		return
	}
	var room [24]byte
	w.Set(key, AppendCount(room[:0], c))
}

// delta is a change of a counter.
type delta struct{ keys, expires, bytes int64 }

// add changes a count. What a version before counted has no expires, and bytes
// may have been estimated: those do not fall below zero.
func (c *Count) add(d delta) {
	if d.keys < 0 && uint64(-d.keys) > c.Keys {
		panic("keyspace: a slot's counter would fall below zero")
	}
	c.Keys += uint64(d.keys)
	c.Expires = min(floored(c.Expires, d.expires), c.Keys)
	c.Bytes = floored(c.Bytes, d.bytes)
}

func floored(n uint64, d int64) uint64 {
	if d < 0 && uint64(-d) > n {
		return 0
	}
	return n + uint64(d)
}

// addCount changes a slot's counter, unless reading failed: what was read then
// means nothing.
func addCount(txn kv.Txn, key []byte, d delta) {
	if d == (delta{}) {
		return
	}
	c := loadCount(txn, key)
	if txn.Err() == nil {
		c.add(d)
	}
	storeCount(txn, key, c)
}

func deadlines(r Record) int64 {
	if r.ExpireAt != 0 {
		return 1
	}
	return 0
}

// eachCount visits the counters of a generation's slots in a span, from slot
// `from` on, until visit returns false.
func eachCount(r kv.Reader, span base.Span, from uint16, gen uint32, visit func(slot base.Slot, c Count) bool) {
	from = max(from, span.Lo)
	if from >= span.Hi {
		return
	}
	_, upper := keys.SpanBounds(span)
	seek := keys.CounterKey(nil, base.Slot(from), gen)
	it := r.Iter(seek, upper)
	defer it.Close()
	for ok := it.Next(); ok; {
		slot, _ := keys.SlotOf(it.Key())
		_, g, isCounter := keys.ParseCounterKey(it.Key())
		if isCounter && g == gen {
			c, _ := ParseCount(it.Value())
			if !visit(slot, c) {
				return
			}
		}
		if !isCounter || g >= gen {
			slot++
		}
		seek = keys.CounterKey(seek[:0], slot, gen)
		ok = it.SeekGE(seek)
	}
}

// Size is the number of keys in the namespace, expired ones that nobody has
// met yet included.
func (s *Space) Size() int64 { return int64(s.Count().Keys) }

// Count adds up the namespace's counters.
func (s *Space) Count() (sum Count) {
	eachCount(s.Txn, s.Span, 0, s.gen(), func(_ base.Slot, c Count) bool {
		sum.Keys += c.Keys
		sum.Expires += c.Expires
		sum.Bytes += c.Bytes
		return true
	})
	return sum
}

// ttlSamples is how many keys AverageTTL looks at.
const ttlSamples = 64

// AverageTTL estimates how many milliseconds the namespace's keys with a
// deadline have left, from some of them.
func (s *Space) AverageTTL() int64 {
	if s.Span.Empty() {
		return 0
	}
	first := base.Slot(s.Span.Lo) + base.Slot(s.Txn.Rand()%uint64(s.Span.Len()))
	sum, n := float64(0), 0
	for _, span := range []base.Span{{Lo: uint16(first), Hi: s.Span.Hi}, {Lo: s.Span.Lo, Hi: uint16(first)}} {
		eachCount(s.Txn, span, 0, s.gen(), func(slot base.Slot, c Count) bool {
			if c.Expires > 0 {
				left, found := s.ttls(slot, ttlSamples-n)
				sum, n = sum+left, n+found
			}
			return n < ttlSamples
		})
	}
	return int64(sum / float64(max(n, 1)))
}

// ttls adds up what is left to up to limit keys of a slot.
func (s *Space) ttls(slot base.Slot, limit int) (sum float64, n int) {
	lower, upper := keys.ExpiryBounds(slot, math.MaxInt64)
	it := s.Txn.Iter(lower, upper)
	defer it.Close()
	var scratch []byte
	for looked := 0; looked < 2*ttlSamples && n < limit && it.Next(); looked++ {
		e, ok := keys.ParseExpiryKey(it.Key())
		if !ok || e.Gen != s.gen() || e.DeadlineMs <= s.now {
			continue
		}
		scratch = keys.RecordKey(scratch[:0], slot, e.Gen, e.Key)
		if v, ok := s.Txn.Get(scratch); ok && mustRecord(v).ExpireAt == e.DeadlineMs {
			sum += float64(e.DeadlineMs - s.now)
			n++
		}
	}
	return sum, n
}
