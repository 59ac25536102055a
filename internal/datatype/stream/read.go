package stream

import (
	"math"
	"slices"

	"coterie/internal/command"
	"coterie/internal/keyspace"
)

func xLen(c *command.Ctx) {
	s, ok := open(c, c.Args[1])
	switch {
	case !ok:
	case !s.exists():
		c.Out.Int(0)
	default:
		c.Out.Int(int64(s.len()))
	}
}

func xDel(c *command.Ctx) {
	s, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if !s.exists() {
		c.Out.Int(0)
		return
	}
	ids, ok := argIDs(c, c.Args[2:])
	if !ok {
		return
	}
	deleted := int64(0)
	for _, at := range ids {
		if s.del(at) {
			deleted++
		}
	}
	s.store()
	if deleted > 0 {
		c.Notify(keyspace.StreamEvent, "xdel", c.Args[1])
	}
	c.Out.Int(deleted)
}

func xRange(c *command.Ctx) { ranged(c, c.Args[2], c.Args[3], false) }

func xRevRange(c *command.Ctx) { ranged(c, c.Args[3], c.Args[2], true) }

func ranged(c *command.Ctx, start, end []byte, back bool) {
	from, to, ok := interval(c, start, end)
	if !ok {
		return
	}
	count := uint64(math.MaxUint64)
	for i := 4; i < len(c.Args); i += 2 {
		if !command.Is(c.Args[i], "COUNT") || i+1 == len(c.Args) {
			c.Fail(command.ErrSyntax)
			return
		}
		n, ok := c.Int(i + 1)
		if !ok {
			return
		}
		count = uint64(max(n, 0))
	}
	s, ok := open(c, c.Args[1])
	switch {
	case !ok:
	case !s.exists():
		c.Out.Array(0)
	case count == 0:
		c.Out.NullArray()
	default:
		start := len(c.Out.Buf)
		s.replyRange(from, to, count, back, start)
		c.Fits(start)
	}
}

// replyRange replies with up to count entries from one id through another. It
// ends early when the reply that began at start does not fit.
func (s *value) replyRange(from, to id, count uint64, back bool, start int) {
	c := s.c
	lo, hi := span(s.entries, from, to)
	n := min(hi-lo, count)
	c.Out.Array(int(n))
	visit := func(at id, entry []byte) bool {
		replyEntry(c, at, entry)
		return room(c, start)
	}
	if back {
		s.scanBack(hi, n, visit)
	} else {
		s.scan(lo, n, visit)
	}
}

// reading is what XREAD or XREADGROUP ask for.
type reading struct {
	grouped         bool // XREADGROUP
	group, consumer []byte
	noAck           bool
	count           uint64 // entries of each stream at most
	blocks          bool
	keys, ids       [][]byte
	from            []id   // for each key: only entries above it
	fresh           []bool // for each key: entries that the group was not given yet
	served          bool   // a consumer gets an answer
	only            *value // the stream, if there is one key
	onlyGroup       *group
}

// parseRead reads the options. ok is false when it replied with an error.
func parseRead(c *command.Ctx, grouped bool) (r reading, ok bool) {
	r.grouped, r.count = grouped, math.MaxUint64
	named := false
	for i := 1; i < len(c.Args); i++ {
		arg, more := c.Args[i], len(c.Args)-1-i
		switch {
		case command.Is(arg, "BLOCK") && more > 0:
			i++
			if _, r.blocks = c.TimeoutMillis(i); !r.blocks {
				return r, false
			}
		case command.Is(arg, "COUNT") && more > 0:
			i++
			n, ok := c.Int(i)
			if !ok {
				return r, false
			}
			if r.count = math.MaxUint64; n > 0 {
				r.count = uint64(n)
			}
		case command.Is(arg, "STREAMS") && more > 0:
			if more%2 != 0 {
				symbol := "$"
				if grouped {
					symbol = ">"
				}
				c.Fail("ERR Unbalanced '" + c.Spec.Full + "' list of streams: for each stream key an ID or '" + symbol + "' must be specified.")
				return r, false
			}
			r.keys, r.ids = c.Args[i+1:i+1+more/2], c.Args[i+1+more/2:]
			if grouped && !named {
				c.Fail("ERR Missing GROUP option for XREADGROUP")
				return r, false
			}
			return r, true
		case command.Is(arg, "GROUP") && more > 1:
			if !grouped {
				c.Fail("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
				return r, false
			}
			r.group, r.consumer, named = c.Args[i+1], c.Args[i+2], true
			i += 2
		case command.Is(arg, "NOACK"):
			if !grouped {
				c.Fail("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
				return r, false
			}
			r.noAck = true
		default:
			c.Fail(command.ErrSyntax)
			return r, false
		}
	}
	c.Fail(command.ErrSyntax)
	return r, false
}

// findKeys is the positions of the keys of XREAD and XREADGROUP.
func findKeys(dst []int, args [][]byte) []int {
	for i := 1; i < len(args); i++ {
		switch more := len(args) - 1 - i; {
		case (command.Is(args[i], "BLOCK") || command.Is(args[i], "COUNT")) && more > 0:
			i++
		case command.Is(args[i], "GROUP") && more > 1:
			i += 2
		case command.Is(args[i], "NOACK"):
		case command.Is(args[i], "STREAMS") && more > 0 && more%2 == 0:
			for k := i + 1; k <= i+more/2; k++ {
				dst = append(dst, k)
			}
			return dst
		default:
			return dst
		}
	}
	return dst
}

func xRead(c *command.Ctx) {
	r, ok := parseRead(c, false)
	if !ok || !r.locate(c) {
		return
	}
	start, streams := len(c.Out.Buf), 0
	for i, key := range r.keys {
		s := r.stream(c, key)
		if !s.exists() || !s.above(r.from[i]) {
			continue
		}
		streams++
		nameStream(c, key)
		from, _ := r.from[i].next()
		if s.replyRange(from, maxID, r.count, false, start); !c.Fits(start) {
			return
		}
	}
	if streams == 0 && r.blocks {
		c.BlockAs(r.resolved(c))
		return
	}
	finish(c, start, streams)
}

// resolved is the command's arguments without any $: what has come since it
// was given is what it waits for.
func (r *reading) resolved(c *command.Ctx) (args [][]byte) {
	for i, arg := range r.ids {
		if !isWord(arg, "$") {
			continue
		}
		if args == nil {
			args = slices.Clone(c.Args)
		}
		args[len(args)-len(r.ids)+i] = r.from[i].text(nil)
	}
	return args
}

// locate finds out what each stream is to be read from. ok is false when it
// replied with an error.
func (r *reading) locate(c *command.Ctx) bool {
	r.from, r.fresh = make([]id, len(r.keys)), make([]bool, len(r.keys))
	for i, key := range r.keys {
		s, ok := r.open(c, key)
		if !ok {
			return false
		}
		var g *group
		if r.grouped {
			if g = s.group(r.group); g == nil {
				noGroup(c, noReadGroup, key, r.group)
				return false
			}
		}
		if !r.locateOne(c, i, s) {
			return false
		}
		r.only, r.onlyGroup = s, g
		r.served = r.served || g != nil && (!r.fresh[i] || s.above(g.last))
	}
	return true
}

func (r *reading) locateOne(c *command.Ctx, i int, s *value) (ok bool) {
	switch arg := r.ids[i]; {
	case isWord(arg, "$") && r.grouped:
		c.Fail("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, " +
			"or use the > ID to get new messages. The $ ID would just return an empty result set.")
		return false
	case isWord(arg, "$"):
		r.from[i] = s.last
	case isWord(arg, "+") && !r.grouped: // the last entry alone, as later versions have it
		r.from[i] = s.last
		if s.exists() && s.len() > 0 {
			r.from[i], _ = s.top().previous()
		}
	case isWord(arg, ">") && !r.grouped:
		c.Fail("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
		return false
	case isWord(arg, ">"):
		r.fresh[i] = true
	default:
		if r.from[i], ok = parseID(arg, 0); !ok {
			c.Fail(errID)
			return false
		}
		r.fresh[i] = r.grouped && r.from[i] == maxID // as in Redis
	}
	return true
}

// stream opens a stream to read from. One that was named twice may have
// changed since locate.
func (r *reading) stream(c *command.Ctx, key []byte) *value {
	if len(r.keys) == 1 {
		return r.only
	}
	s, _ := r.open(c, key)
	return s
}

// open is open, but that XREAD goes on waiting when there is something else
// than a stream now.
func (r *reading) open(c *command.Ctx, key []byte) (s *value, ok bool) {
	if c.Waited && !r.grouped {
		if old := c.Lookup(key); old.Exists() && old.Type != keyspace.Stream {
			return &value{c: c, key: key}, true
		}
	}
	return open(c, key)
}

// nameStream begins one stream's part of a reply.
func nameStream(c *command.Ctx, key []byte) {
	if c.Out.Proto != 3 {
		c.Out.Array(2)
	}
	c.Out.Bulk(key)
}

// finish ends a reply that began at start: it holds so many streams, or there
// is nothing to read.
func finish(c *command.Ctx, start, streams int) {
	switch {
	case streams == 0:
		c.Out.NullArray()
	case c.Out.Proto == 3:
		insert(c, start, func() { c.Out.Map(streams) })
	default:
		insert(c, start, func() { c.Out.Array(streams) })
	}
}

// insert puts what write appends to the reply at a place in it.
func insert(c *command.Ctx, at int, write func()) {
	end := len(c.Out.Buf)
	write()
	var space [128]byte
	head := append(space[:0], c.Out.Buf[end:]...)
	copy(c.Out.Buf[at+len(head):], c.Out.Buf[at:end])
	copy(c.Out.Buf[at:], head)
}

func xReadGroup(c *command.Ctx) {
	r, ok := parseRead(c, true)
	if !ok || !r.locate(c) {
		return
	}
	if !r.served && r.blocks && c.MayBlock {
		c.Block() // who waits leaves no trace; a consumer is made when it is served
		return
	}
	start, streams := len(c.Out.Buf), 0
	for i, key := range r.keys {
		s := r.stream(c, key)
		g := r.onlyGroup
		if s != r.only {
			g = s.group(r.group)
		}
		asks := g.asking(r.consumer)
		switch {
		case !r.fresh[i]:
			streams++
			nameStream(c, key)
			g.replyHistory(asks, r.from[i], r.count, start)
		case s.above(g.last):
			streams++
			nameStream(c, key)
			g.deliver(asks, r.count, r.noAck, start)
		}
		g.saveConsumer(asks)
		g.save()
		s.store()
	}
	finish(c, start, streams)
}

// room says whether a reply that began at start is within the limit of
// replies.
func room(c *command.Ctx, start int) bool { return len(c.Out.Buf)-start <= c.Limits.MaxReply }

// deliver replies with entries that the group was not given yet. They are then
// pending, unless nobody is going to acknowledge them. When the reply is
// full, the others come another time.
func (g *group) deliver(to *consumer, count uint64, noAck bool, start int) {
	s, c, at := g.s, g.s.c, len(g.s.c.Out.Buf)
	from, _ := g.last.next()
	lo, hi := span(s.entries, from, maxID)
	var given []id
	s.scan(lo, min(hi-lo, count), func(at id, entry []byte) bool {
		replyEntry(c, at, entry)
		given = append(given, at)
		return room(c, start)
	})
	insert(c, at, func() { c.Out.Array(len(given)) })
	for _, at := range given {
		g.advance(at)
		if noAck {
			continue
		}
		to.active = c.Now()
		had, _ := g.get(at)
		g.put(at, pending{owner: to.number, at: c.Now(), deliveries: 1}, had.owner)
	}
}

// replyHistory replies with what a consumer has pending above an id, whether
// it is still in the stream or not. What is counts as delivered once more.
func (g *group) replyHistory(to *consumer, above id, count uint64, start int) {
	s, c, at := g.s, g.s.c, len(g.s.c.Out.Buf)
	from, _ := above.next()
	var list []id
	if lo, hi := g.ownedSpan(to, from, maxID); lo < hi {
		left := min(hi-lo, count)
		g.owned.Scan(lo, func(key, _ []byte) bool {
			list = append(list, idOf(key[8:]))
			left--
			return left > 0
		})
	}
	n := 0
	for ; n < len(list) && room(c, start); n++ {
		entry, ok := s.get(list[n])
		if !ok {
			c.Out.Array(2)
			replyID(c, list[n])
			c.Out.NullArray()
			continue
		}
		replyEntry(c, list[n], entry)
		p, _ := g.get(list[n])
		p.at = c.Now()
		p.deliveries++
		g.put(list[n], p, p.owner)
	}
	insert(c, at, func() { c.Out.Array(n) })
}
