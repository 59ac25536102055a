package redisfront

import (
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
	"coterie/internal/pubsub"
	"coterie/internal/resp"
)

// This file tells clients that cache what they read (CLIENT TRACKING) which of
// it was written since. The front remembers who has read which key, and asks the
// leader of each partition that was read what is written there (flag Track, see
// partition.Touched). docs/internals/tracking.md says why nothing is missed.
//
// The order of three things matters. A partition is asked before the first read
// goes there. A read is in its session's chain of replies before its keys are in
// the table. And a message goes behind everything that is in the chain: so it
// never comes before the reply that it is about.

// tracking is what the front knows of its clients' caches.
type tracking struct {
	clients atomic.Int32 // sessions that track
	maxKeys atomic.Int64
	start   sync.Once

	mu struct {
		sync.Mutex
		sessions map[uint64]*session
		slots    map[base.Slot]map[string]readers
		keys     int
		items    int
		polls    map[base.PartitionID]*poll
	}
	news struct {
		sync.Mutex
		list []*poll
	}
	wake chan struct{} // of one: there is news
}

// readers are the sessions that have read a key.
type readers map[uint64]struct{}

// tracker is how a session tracks. It is never changed once it is the session's.
type tracker struct {
	bcast, optin, optout, noloop bool
	redirect                     uint64   // 0: none
	prefixes                     []string // of bcast
}

// Bounds.
const (
	trackedKeys      = 1_000_000 // in the table, at the start
	trackedPrefixes  = 1 << 10   // of one session
	maxTrackBehind   = 1 << 20   // bytes of messages behind one reply to come
	pollRenew        = 5 * time.Second
	pollRetry        = 500 * time.Millisecond
	pollStill        = "+=\r\n" // nothing has happened
	invalidateTopic  = "__redis__:invalidate"
	noSession        = 0
	maxKeysInMessage = 1 << 12
)

// poll is what is asked of one partition's leader; one request at a time.
type poll struct {
	f           *Front
	id          base.PartitionID
	term, place uint64
	req         *partition.Request
	renew       *time.Timer
	began       time.Time
	gap         bool // before it was asked, something may have been missed
}

var _ partition.Sink = (*poll)(nil)

func (t *tracking) init() {
	t.wake = make(chan struct{}, 1)
	t.maxKeys.Store(trackedKeys)
	t.mu.sessions = map[uint64]*session{}
	t.mu.slots = map[base.Slot]map[string]readers{}
	t.mu.polls = map[base.PartitionID]*poll{}
}

// Complete implements partition.Sink.
func (p *poll) Complete(*partition.Request) {
	t := &p.f.tracking
	t.news.Lock()
	t.news.list = append(t.news.list, p)
	t.news.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// follow is the tracking's goroutine, from the first client that tracks on.
func (f *Front) follow() {
	t := &f.tracking
	for {
		select {
		case <-f.closing:
			return
		case <-t.wake:
		}
		t.news.Lock()
		list := t.news.list
		t.news.list = nil
		t.news.Unlock()
		for _, p := range list {
			f.take(p)
		}
	}
}

// ask makes sure that a partition is asked what is written. The caller holds
// t.mu, and sends its read afterwards.
func (f *Front) ask(id base.PartitionID) {
	t := &f.tracking
	if t.mu.polls[id] == nil {
		p := &poll{f: f, id: id}
		t.mu.polls[id] = p
		p.send()
	}
}

// send asks. The caller holds t.mu, or is the tracking's goroutine.
func (p *poll) send() {
	p.began = time.Now()
	p.req = &partition.Request{
		Partition: p.id, Flags: partition.Whole | partition.Blocking | partition.Track, Proto: 2,
		Args: partition.TrackArgs(p.term, p.place), Sink: p,
	}
	req := p.req
	p.renew = time.AfterFunc(pollRenew, func() { // a leader that is not there any more does not say so
		p.f.router.Submit([]*partition.Request{{
			Partition: p.id, Flags: partition.Whole | partition.Cancel, Proto: 2,
			Args: [][]byte{nil, []byte(pollStill)}, Cancels: req, Sink: nobody{},
		}})
	})
	p.f.router.Submit([]*partition.Request{req})
}

// take makes known what a partition has answered, and asks again.
func (f *Front) take(p *poll) {
	p.renew.Stop()
	t := &f.tracking
	news, ok := partition.DecodeNews(p.req.Reply)
	still := !ok && string(p.req.Reply) == pollStill
	switch first := p.term == 0; {
	case p.req.Status != partition.Done || !ok && !still:
		f.flushTracked(p.id)
		p.term, p.place, p.gap = 0, 0, true
	case still:
	case news.Lost:
		if !first || p.gap {
			f.flushTracked(p.id)
		}
		p.term, p.place, p.gap = news.Term, news.Place, false
	default:
		f.invalidate(p.id, &news)
		p.term, p.place = news.Term, news.Place
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.clients.Load() == 0:
		delete(t.mu.polls, p.id)
		if len(t.mu.polls) == 0 {
			t.mu.slots, t.mu.keys, t.mu.items = map[base.Slot]map[string]readers{}, 0, 0
		}
	case p.gap && time.Since(p.began) < pollRetry:
		// Nobody answers. What is read meanwhile is told of when somebody does.
		time.AfterFunc(pollRetry, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			p.send()
		})
	default:
		p.send()
	}
}

// flushTracked tells all sessions that have read in a partition that anything
// may have been written there. After a gap that holds for the keys read while
// it lasted too: they are in the table.
func (f *Front) flushTracked(id base.PartitionID) {
	t := &f.tracking
	d := f.router.Directory()
	concerned := map[uint64]*session{}
	t.mu.Lock()
	for slot, keys := range t.mu.slots {
		if p := d.BySlot(slot); p != nil && p.ID != id {
			continue
		}
		for key, by := range keys {
			for sid := range by {
				if s := t.mu.sessions[sid]; s != nil {
					concerned[sid] = s
				}
			}
			t.drop(slot, key)
		}
	}
	for sid, s := range t.mu.sessions {
		if x := s.tracker.Load(); x != nil && x.bcast {
			concerned[sid] = s
		}
	}
	t.mu.Unlock()
	for _, s := range concerned {
		s.tell(nil)
	}
}

// drop takes a key out of the table. The caller holds t.mu.
func (t *tracking) drop(slot base.Slot, key string) {
	t.mu.items -= len(t.mu.slots[slot][key])
	t.mu.keys--
	if delete(t.mu.slots[slot], key); len(t.mu.slots[slot]) == 0 {
		delete(t.mu.slots, slot)
	}
}

// message is what a session is told: keys that were written.
type message struct {
	s    *session
	keys [][]byte
}

// invalidate tells sessions of keys that were written.
func (f *Front) invalidate(id base.PartitionID, news *partition.News) {
	t := &f.tracking
	self := f.router.Directory().Self
	var all []message
	flush := false
	broadcasts := f.broadcasts()
	t.mu.Lock()
	ok := news.Each(func(x partition.Touch) {
		mine := func(s *session) bool {
			by := s.tracker.Load()
			return by != nil && by.noloop && x.Gateway == self && x.Session == s.id
		}
		switch x.Kind {
		case partition.TouchedKey:
			slot := base.KeySlot(x.Key)
			all = t.notify(all, slot, string(x.Key), mine)
			for _, b := range broadcasts {
				b.add(x.Key, mine)
			}
		case partition.TouchedSlot:
			for key := range t.mu.slots[x.Slot] {
				all = t.notify(all, x.Slot, key, mine)
			}
			for _, b := range broadcasts {
				b.all = true
			}
		default:
			flush = true
		}
	})
	t.mu.Unlock()
	if !ok || flush {
		f.flushTracked(id)
		return
	}
	deliver(all)
	for _, b := range broadcasts {
		b.tell()
	}
}

// notify takes a key out of the table, and adds messages to those who have read
// it. The caller holds t.mu.
func (t *tracking) notify(all []message, slot base.Slot, key string, mine func(*session) bool) []message {
	by, ok := t.mu.slots[slot][key]
	if !ok {
		return all
	}
	for sid := range by {
		s := t.mu.sessions[sid]
		if s != nil && mine(s) { // it knows, and wants to hear of the next one
			continue
		}
		if s != nil {
			if _, unsure := s.unsure[key]; unsure {
				s.unsure[key] = true
			} else if x := s.tracker.Load(); x != nil && !x.bcast { // who has switched to that is told by it
				all = append(all, message{s, [][]byte{[]byte(key)}})
			}
		}
		delete(by, sid)
		t.mu.items--
	}
	if len(by) == 0 {
		t.drop(slot, key)
	}
	return all
}

// broadcast is what a session with BCAST is told, for each of its prefixes.
type broadcast struct {
	s        *session
	all      bool
	prefixes []string
	keys     [][][]byte
	seen     map[string]bool
}

// broadcasts are the sessions with BCAST.
func (f *Front) broadcasts() (list []*broadcast) {
	t := &f.tracking
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.mu.sessions {
		if x := s.tracker.Load(); x != nil && x.bcast {
			list = append(list, &broadcast{s: s, prefixes: x.prefixes, keys: make([][][]byte, len(x.prefixes)), seen: map[string]bool{}})
		}
	}
	return list
}

func (b *broadcast) add(key []byte, mine func(*session) bool) {
	if mine(b.s) || b.seen[string(key)] {
		return
	}
	for i, p := range b.prefixes {
		if len(key) >= len(p) && string(key[:len(p)]) == p {
			b.seen[string(key)] = true
			b.keys[i] = append(b.keys[i], key)
		}
	}
}

func (b *broadcast) tell() {
	if b.all {
		b.s.tell(nil)
		return
	}
	for _, keys := range b.keys {
		for len(keys) > 0 {
			n := min(len(keys), maxKeysInMessage)
			b.s.tell(keys[:n])
			keys = keys[n:]
		}
	}
}

// tell sends a session, or whom it redirects to, the keys that were written; nil
// stands for all.
func (s *session) tell(keys [][]byte) {
	x := s.tracker.Load()
	if x == nil {
		return
	}
	to := s
	if x.redirect != noSession {
		s.f.mu.Lock()
		to = s.f.mu.sessions[x.redirect]
		s.f.mu.Unlock()
		if to == nil {
			s.redirectBroken(x)
			return
		}
	}
	w := resp.Writer{Proto: int(to.proto.Load())}
	switch {
	case w.Proto == 3:
		w.Push(2)
		w.BulkString("invalidate")
	case to != s && to.subscribed2():
		w.Push(3)
		w.BulkString("message")
		w.BulkString(invalidateTopic)
	default:
		return // nobody listens
	}
	if keys == nil {
		w.Null()
	} else {
		w.Array(len(keys))
		for _, k := range keys {
			w.Bulk(k)
		}
	}
	to.push(w.Buf)
}

// subscribed2 says whether the session hears of what is redirected to it in
// version 2 of the protocol.
func (s *session) subscribed2() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subs.has(pubsub.Channel, invalidateTopic)
}

// redirectBroken says that nobody is there to be told.
func (s *session) redirectBroken(x *tracker) {
	s.mu.Lock()
	s.mu.redirectBroken = true
	s.mu.Unlock()
	if s.proto.Load() == 3 {
		w := resp.Writer{Proto: 3}
		w.Push(2)
		w.BulkString("tracking-redir-broken")
		w.Int(int64(x.redirect))
		s.push(w.Buf)
	}
}

// push sends a message behind all replies that are to come: it may be about
// what they say. Only a reply that is waited for, a blocked command's, it does
// not wait for.
func (s *session) push(p []byte) {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	switch {
	case m.dead || m.closeAfter:
	case m.holding:
		m.held = append(m.held, p)
		m.heldBytes += int64(len(p))
		s.owe(int64(len(p)))
	case m.tail == nil || m.head == m.tail && m.blocked != nil && m.blocked.waiting:
		s.emit(p)
		if !m.dirty {
			s.send()
		}
	case len(m.tail.after)+len(p) > maxTrackBehind:
		s.f.log.Warn("client closed: what it is told of its cache piles up", "client", s.remote, "id", s.id)
		s.abort()
	default:
		m.tail.after = append(m.tail.after, p...)
	}
}

// caches says whether the client caches what the next command reads.
func (s *session) caches() bool {
	x := s.tracker.Load()
	return x != nil && !x.bcast && !(x.optin && s.caching != cachingYes) && !(x.optout && s.caching == cachingNo)
}

// noteReads notes the keys that a command reads, or a script may, for when it is
// submitted.
func (s *session) noteReads(e *entry, args [][]byte) {
	if !s.caches() {
		return
	}
	if e, args = s.script(e, args); e == nil {
		return
	}
	switch {
	case e.scripted:
		s.mayRead = s.appendKeys(s.mayRead, e, args)
	case e.spec.Flags&command.ReadOnly != 0:
		s.toTrack = s.appendKeys(s.toTrack, e, args)
	}
}

func (s *session) appendKeys(dst [][]byte, e *entry, args [][]byte) [][]byte {
	s.keyAt = e.spec.AppendKeys(s.keyAt[:0], args)
	for _, i := range s.keyAt {
		dst = append(dst, args[i])
	}
	return dst
}

// track puts the noted keys into the table. Their reads are in the chain, and
// not yet sent.
func (s *session) track() {
	t := &s.f.tracking
	d := s.f.router.Directory()
	t.mu.Lock()
	for _, key := range s.toTrack {
		s.trackKey(d, key)
	}
	evicted := t.trim()
	t.mu.Unlock()
	clear(s.toTrack)
	s.toTrack = s.toTrack[:0]
	deliver(evicted)
}

// trackKey puts one into the table. It is false if it was there. The caller holds
// t.mu.
func (s *session) trackKey(d *Directory, key []byte) bool {
	t := &s.f.tracking
	slot := base.KeySlot(key)
	p := d.BySlot(slot)
	if p == nil {
		return false
	}
	s.f.ask(p.ID)
	keys := t.mu.slots[slot]
	if keys == nil {
		keys = map[string]readers{}
		t.mu.slots[slot] = keys
	}
	by := keys[string(key)]
	if by == nil {
		by = readers{}
		keys[string(key)] = by
		t.mu.keys++
	}
	if _, ok := by[s.id]; ok {
		return false
	}
	by[s.id] = struct{}{}
	t.mu.items++
	return true
}

// trim makes the table small enough. The caller holds t.mu, and delivers the
// messages without it.
func (t *tracking) trim() (evicted []message) {
	for limit := t.maxKeys.Load(); limit > 0 && int64(t.mu.keys) > limit; {
		evicted = t.evict(evicted)
	}
	return evicted
}

func deliver(list []message) {
	for _, m := range list {
		m.s.tell(m.keys)
	}
}

// evict makes room: some key is said to have been written. The caller holds
// t.mu.
func (t *tracking) evict(all []message) []message {
	for slot, keys := range t.mu.slots {
		for key := range keys {
			return t.notify(all, slot, key, func(*session) bool { return false })
		}
	}
	return all
}

// setTracking changes how a session tracks; nil: not at all.
func (s *session) setTracking(x *tracker) {
	f, t := s.f, &s.f.tracking
	before := s.tracker.Swap(x)
	s.caching = cachingUnset
	s.mu.Lock()
	s.mu.redirectBroken = false
	s.mu.Unlock()
	if x == nil {
		if before != nil {
			t.mu.Lock()
			delete(t.mu.sessions, s.id)
			t.mu.Unlock()
			t.clients.Add(-1)
		}
		return
	}
	t.start.Do(func() { go f.follow() })
	if before == nil {
		t.clients.Add(1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.sessions[s.id] = s
	if x.bcast {
		for _, p := range f.router.Directory().Partitions() {
			f.ask(p.ID)
		}
	}
}

// size is how much is in the table, and how many prefixes there are.
func (t *tracking) size() (keys, items, prefixes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]bool{}
	for _, s := range t.mu.sessions {
		if x := s.tracker.Load(); x != nil {
			for _, p := range x.prefixes {
				all[p] = true
			}
		}
	}
	return t.mu.keys, t.mu.items, len(all)
}
