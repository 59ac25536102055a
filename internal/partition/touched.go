package partition

import (
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/kv"
)

// Touched is what one leadership has written lately, by keys, for gateways whose
// clients cache what they have read. A gateway asks with a request that has the
// flag Track: it waits until something was written behind the place that the
// gateway names, and answers with that, once it is committed. Who names a place
// of another leadership, or one that is forgotten, is told so and has to take
// everything for written. It is kept only while somebody asks.
type Touched struct {
	kept    bool
	used    uint64 // tick at which it was last asked for
	first   uint64 // number of entries[0]
	entries []touch
	bytes   int
	told    uint64 // number up to which somebody knows
	writer  writer // of what is being evaluated
}

// Bounds of what is remembered.
const (
	maxTouches    = 1 << 16
	maxTouchBytes = 1 << 20
	touchOverhead = 48
	// touchedTicks is for how long after the last question it is kept.
	touchedTicks = 1200
)

// writer is the connection that wrote; of what no connection did, it is zero.
type writer struct {
	gateway base.NodeID
	session uint64
}

// touch is one entry: a key, all keys of a slot, or all keys.
type touch struct {
	kind byte
	slot base.Slot
	key  string
	writer
}

// What an entry speaks of.
const (
	TouchedKey  byte = 'k'
	TouchedSlot byte = 's'
	TouchedAll  byte = 'a'
)

// How an answer begins.
const (
	TrackNews byte = 'N' // what was written since
	TrackLost byte = 'L' // nobody knows
)

// trackKey is what requests with the flag Track wait for; no database has it.
var trackKey = []byte{0xff}

func (t *Touched) next() uint64 { return t.first + uint64(len(t.entries)) }

func (t *Touched) add(x touch) {
	if !t.kept {
		return
	}
	if n := len(t.entries); n > 0 && t.entries[n-1] == x && t.next() > t.told {
		return // nobody has been told of the entry before
	}
	t.entries = append(t.entries, x)
	t.bytes += len(x.key) + touchOverhead
	for drop := 0; ; drop++ {
		if rest := len(t.entries) - drop; rest <= maxTouches && t.bytes <= maxTouchBytes {
			t.forget(drop)
			return
		}
		t.bytes -= len(t.entries[drop].key) + touchOverhead
	}
}

// forget drops the oldest entries, whose bytes are counted no more.
func (t *Touched) forget(n int) {
	if n == 0 {
		return
	}
	t.first += uint64(n)
	if t.entries = t.entries[n:]; len(t.entries)*2 < cap(t.entries) {
		t.entries = append([]touch(nil), t.entries...)
	}
}

// rest ends the keeping when nobody asks any more.
func (t *Touched) rest(tick uint64, asking bool) {
	if t.kept && !asking && tick-t.used > touchedTicks {
		// The gap says that something is missing.
		*t = Touched{first: t.next() + 1}
	}
}

// TrackArgs makes the arguments of a request with the flag Track: the place
// behind which writes are news. The zero place means none.
func TrackArgs(term, place uint64) [][]byte {
	return [][]byte{binary.AppendUvarint(binary.AppendUvarint(nil, term), place)}
}

// track answers such a request, or has it wait.
func (r *Replica) track(req *Request, reply []byte) []byte {
	t := &r.waiters.touched
	if !t.kept {
		t.kept, t.first = true, t.next()+1
	}
	t.used, t.told = r.ticks, t.next()
	var term, place uint64
	if len(req.Args) == 1 {
		var n int
		if term, n = binary.Uvarint(req.Args[0]); n > 0 {
			place, _ = binary.Uvarint(req.Args[0][n:])
		}
	}
	known := term == r.term && place >= t.first && place <= t.next()
	if known && place == t.next() {
		r.waiters.Wait([][]byte{trackKey}, nil, "track", true)
		return reply
	}
	status := TrackLost
	if known {
		status = TrackNews
	}
	reply = append(reply, status)
	reply = binary.AppendUvarint(reply, r.term)
	reply = binary.AppendUvarint(reply, t.next())
	if !known {
		return reply
	}
	for _, x := range t.entries[place-t.first:] {
		reply = append(reply, x.kind)
		reply = binary.AppendUvarint(reply, uint64(x.gateway))
		reply = binary.AppendUvarint(reply, x.session)
		reply = binary.AppendUvarint(reply, uint64(x.slot))
		reply = binary.AppendUvarint(reply, uint64(len(x.key)))
		reply = append(reply, x.key...)
	}
	return reply
}

// News is an answer to a request with the flag Track.
type News struct {
	Lost        bool // anything may have been written
	Term, Place uint64
	entries     []byte
}

// DecodeNews takes an answer apart. It is false for what is none, such as an
// error.
func DecodeNews(b []byte) (t News, ok bool) {
	if len(b) == 0 || b[0] != TrackNews && b[0] != TrackLost {
		return t, false
	}
	t.Lost = b[0] == TrackLost
	b = b[1:]
	for _, to := range []*uint64{&t.Term, &t.Place} {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return t, false
		}
		*to, b = v, b[n:]
	}
	t.entries = b
	return t, true
}

// Touch is one entry of an answer.
type Touch struct {
	Kind    byte
	Gateway base.NodeID // of the connection that wrote; 0: none did
	Session uint64
	Slot    base.Slot
	Key     []byte
}

// Each visits the entries, in the order of their commitment. It is false if
// they are malformed.
func (t *News) Each(visit func(Touch)) bool {
	for b := t.entries; len(b) > 0; {
		x := Touch{Kind: b[0]}
		b = b[1:]
		var v [4]uint64
		for i := range v {
			n := 0
			if v[i], n = binary.Uvarint(b); n <= 0 {
				return false
			}
			b = b[n:]
		}
		if v[3] > uint64(len(b)) {
			return false
		}
		x.Gateway, x.Session, x.Slot = base.NodeID(v[0]), v[1], base.Slot(v[2])
		x.Key, b = b[:v[3]:v[3]], b[v[3]:]
		visit(x)
	}
	return true
}

// noteKey says that a key was written.
func (w *Waiters) noteKey(key []byte, by writer) {
	if w.touched.kept && !w.quiet {
		w.touched.add(touch{kind: TouchedKey, key: string(key), writer: by})
		w.wakeTrackers()
	}
}

// noteSlot says that some key of a slot was written, noteAll that any was.
func (w *Waiters) noteSlot(s base.Slot) { w.note(touch{kind: TouchedSlot, slot: s}) }
func (w *Waiters) noteAll()             { w.note(touch{kind: TouchedAll}) }

func (w *Waiters) note(x touch) {
	if w.touched.kept && !w.quiet {
		w.touched.add(x)
		w.wakeTrackers()
	}
}

func (w *Waiters) wakeTrackers() {
	if k := w.keys[string(trackKey)]; k != nil {
		w.wake(k)
	}
}

var _ kv.Toucher = (*Txn)(nil)

// Touched implements kv.Toucher.
func (t *Txn) Touched(key []byte) { t.r.waiters.noteKey(key, writer{}) }
