package stream

import (
	"encoding/binary"

	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// group is a consumer group while one command works on it. Changes become
// part of the stream with save.
type group struct {
	s      *value
	name   []byte
	stored []byte // what the stream's tree of groups holds

	last id
	// read is how many entries of the stream, counted from the first there ever
	// was, are at or before last; unknown when that cannot be told.
	read int64
	made uint64 // consumers that there ever were

	pending   *tree.Tree // by id
	owned     *tree.Tree // by consumer and id
	consumers *tree.Tree // by number
	numbers   *tree.Tree // by name
}

const unknown = -1

// group finds a group; nil: there is none.
func (s *value) group(name []byte) *group {
	if !s.exists() {
		return nil
	}
	stored, ok := s.groups.Get(name)
	if !ok {
		return nil
	}
	return s.openGroup(name, stored)
}

func (s *value) openGroup(name, stored []byte) *group {
	r := reader{stored}
	g := &group{s: s, name: name, stored: stored, last: r.id(), read: r.int(), made: r.uint()}
	for _, t := range []**tree.Tree{&g.pending, &g.owned, &g.consumers, &g.numbers} {
		*t = s.tree(r.root())
	}
	return g
}

// addGroup adds a group whose name no other has.
func (s *value) addGroup(name []byte, last id, read int64) {
	g := &group{s: s, name: name, last: last, read: read}
	for _, t := range []**tree.Tree{&g.pending, &g.owned, &g.consumers, &g.numbers} {
		*t = s.tree(tree.Root{})
	}
	g.save()
}

// save makes the changes part of the stream, which is then to be stored.
func (g *group) save() {
	buf := appendID(g.s.c.Buf[:0], g.last)
	buf = binary.AppendUvarint(binary.AppendVarint(buf, g.read), g.made)
	for _, t := range []*tree.Tree{g.pending, g.owned, g.consumers, g.numbers} {
		buf = appendRoot(buf, t.Root())
	}
	if string(buf) != string(g.stored) {
		g.s.groups.Put(g.name, buf)
	}
	g.s.c.Buf = buf
}

// drop removes a group with all that belongs to it.
func (g *group) drop() {
	for _, t := range []*tree.Tree{g.pending, g.owned, g.consumers, g.numbers} {
		t.DeleteRange(0, t.Len())
	}
	g.s.groups.Delete(g.name)
}

// eachGroup visits the groups in the order of their names, until visit returns
// false.
func (s *value) eachGroup(visit func(g *group) bool) {
	s.groups.Scan(0, func(key, stored []byte) bool {
		return visit(s.openGroup(key, stored))
	})
}

// consumer is a consumer of a group. Its number is how everything else speaks
// of it.
type consumer struct {
	number uint64
	name   []byte
	seen   int64 // when it last asked for something, in milliseconds
	active int64 // when it last got something, or never
	stored []byte
}

const never = -1

func numberKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// consumer finds a consumer by its name; nil: there is none.
func (g *group) consumer(name []byte) *consumer {
	key, ok := g.numbers.Get(name)
	if !ok {
		return nil
	}
	return g.numbered(binary.BigEndian.Uint64(key))
}

// numbered is the consumer of a number, which must exist.
func (g *group) numbered(number uint64) *consumer {
	stored, ok := g.consumers.Get(numberKey(number))
	if !ok {
		g.s.missing()
		return &consumer{number: number}
	}
	r := reader{stored}
	return &consumer{number: number, seen: r.int(), active: r.int(), name: r.rest, stored: stored}
}

// addConsumer adds a consumer whose name no other has.
func (g *group) addConsumer(name []byte) *consumer {
	g.made++
	c := &consumer{number: g.made, name: name, seen: g.s.c.Now(), active: never}
	g.numbers.Put(name, numberKey(c.number))
	g.s.c.Notify(keyspace.StreamEvent, "xgroup-createconsumer", g.s.key)
	g.saveConsumer(c)
	return c
}

// asking is the consumer that asks for something now; it is made if there is
// none.
func (g *group) asking(name []byte) *consumer {
	c := g.consumer(name)
	if c == nil {
		return g.addConsumer(name)
	}
	c.seen = g.s.c.Now()
	return c
}

func (g *group) saveConsumer(c *consumer) {
	buf := binary.AppendVarint(binary.AppendVarint(g.s.c.Buf[:0], c.seen), c.active)
	buf = append(buf, c.name...)
	if string(buf) != string(c.stored) {
		g.consumers.Put(numberKey(c.number), buf)
	}
	g.s.c.Buf = buf
}

// eachConsumer visits the consumers in the order of their names.
func (g *group) eachConsumer(visit func(c *consumer) bool) {
	g.numbers.Scan(0, func(_, number []byte) bool {
		return visit(g.numbered(binary.BigEndian.Uint64(number)))
	})
}

// ownedKey is a consumer's pending entry as a key of the tree of all that are
// owned.
func ownedKey(number uint64, at id) []byte { return appendID(numberKey(number), at) }

// ownedSpan is the places of what a consumer has pending from one id through
// another.
func (g *group) ownedSpan(c *consumer, from, to id) (lo, hi uint64) {
	if to.less(from) {
		return 0, 0
	}
	lo, _ = g.owned.Rank(ownedKey(c.number, from))
	hi, found := g.owned.Rank(ownedKey(c.number, to))
	if found {
		hi++
	}
	return lo, hi
}

// load is how many entries a consumer has pending.
func (g *group) load(c *consumer) uint64 {
	lo, hi := g.ownedSpan(c, id{}, maxID)
	return hi - lo
}

// pending is an entry that was delivered and not acknowledged.
type pending struct {
	owner      uint64 // number of the consumer
	at         int64  // when it was delivered last, in milliseconds
	deliveries uint64
}

func readPending(stored []byte) pending {
	r := reader{stored}
	return pending{owner: r.uint(), at: r.int(), deliveries: r.uint()}
}

func (g *group) get(at id) (p pending, ok bool) {
	key := idKey(at)
	stored, ok := g.pending.Get(key[:])
	if !ok {
		return pending{}, false
	}
	return readPending(stored), true
}

// put keeps an entry as pending. owner is who had it so far, or 0.
func (g *group) put(at id, p pending, owner uint64) {
	key := idKey(at)
	buf := binary.AppendVarint(binary.AppendUvarint(g.s.c.Buf[:0], p.owner), p.at)
	buf = binary.AppendUvarint(buf, p.deliveries)
	g.pending.Put(key[:], buf)
	g.s.c.Buf = buf
	if owner == p.owner {
		return
	}
	if owner != 0 {
		g.owned.Delete(ownedKey(owner, at))
	}
	g.owned.Put(ownedKey(p.owner, at), nil)
}

// forget makes an entry pending no more.
func (g *group) forget(at id, owner uint64) {
	key := idKey(at)
	g.pending.Delete(key[:])
	g.owned.Delete(ownedKey(owner, at))
}

// dropConsumer removes a consumer with what it has pending, and says how much
// that was.
func (g *group) dropConsumer(c *consumer) (pending uint64) {
	lo, hi := g.ownedSpan(c, id{}, maxID)
	if lo < hi {
		left := hi - lo
		list := make([]id, 0, min(left, 1<<16))
		g.owned.Scan(lo, func(key, _ []byte) bool {
			list = append(list, idOf(key[8:]))
			left--
			return left > 0
		})
		for _, at := range list {
			key := idKey(at)
			g.pending.Delete(key[:])
		}
		g.owned.DeleteRange(lo, hi)
	}
	g.consumers.Delete(numberKey(c.number))
	g.numbers.Delete(c.name)
	return hi - lo
}

// advance notes that an entry is delivered, if it is above all that were so far.
func (g *group) advance(at id) {
	if !g.last.less(at) {
		return
	}
	if g.read != unknown && !g.s.gaps(at) {
		g.read++
	} else if n, known := g.s.reach(at); known {
		g.read = n
	} else {
		g.read = unknown
	}
	g.last = at
}

// lag is how many entries of the stream the group was not given yet, if that
// can be told.
func (g *group) lag() (n int64, known bool) {
	s := g.s
	switch {
	case s.added == 0:
		return 0, true
	case g.read != unknown && !s.gaps(g.last):
		return int64(s.added) - g.read, true
	}
	n, known = s.reach(g.last)
	return int64(s.added) - n, known
}

// noGroup replies that there is no such key or group, in one of Redis's ways
// to say it.
func noGroup(c *command.Ctx, format func(key, group string) string, key, name []byte) {
	c.Fail(format(text(key), text(name)))
}

// text is a client's word as C would show it.
func text(p []byte) string {
	for i, b := range p {
		if b == 0 {
			return string(p[:i])
		}
	}
	return string(p)
}

func noKeyOrGroup(key, group string) string {
	return "NOGROUP No such key '" + key + "' or consumer group '" + group + "'"
}

func noReadGroup(key, group string) string {
	return noKeyOrGroup(key, group) + " in XREADGROUP with GROUP option"
}

func noConsumerGroup(key, group string) string {
	return "NOGROUP No such consumer group '" + group + "' for key name '" + key + "'"
}
