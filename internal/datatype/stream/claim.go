package stream

import (
	"math"
	"strconv"

	"coterie/internal/command"
	"coterie/internal/command/number"
)

func xAck(c *command.Ctx) {
	s, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	g := s.group(c.Args[2])
	if g == nil {
		c.Out.Int(0)
		return
	}
	ids, ok := argIDs(c, c.Args[3:])
	if !ok {
		return
	}
	acknowledged := int64(0)
	for _, at := range ids {
		if p, ok := g.get(at); ok {
			g.forget(at, p.owner)
			acknowledged++
		}
	}
	if acknowledged > 0 {
		g.save()
		s.store()
	}
	c.Out.Int(acknowledged)
}

// claimed opens the stream and the group whose pending entries a command is
// about. ok is false when it replied with an error.
func claimed(c *command.Ctx) (s *value, g *group, ok bool) {
	if s, ok = open(c, c.Args[1]); !ok {
		return nil, nil, false
	}
	if g = s.group(c.Args[2]); g == nil {
		noGroup(c, noKeyOrGroup, c.Args[1], c.Args[2])
		return nil, nil, false
	}
	return s, g, true
}

// filter is which pending entries XPENDING is to show.
type filter struct {
	from, to id
	count    int64
	idle     int64
	consumer []byte // nil: of all
}

func xPending(c *command.Ctx) {
	var f filter
	ok := true
	if len(c.Args) != 3 {
		if f, ok = parsePending(c); !ok {
			return
		}
	}
	_, g, ok := claimed(c)
	switch {
	case !ok:
	case len(c.Args) == 3:
		g.replySummary()
	default:
		g.replyPending(f)
	}
}

func parsePending(c *command.Ctx) (f filter, ok bool) {
	if len(c.Args) < 6 || len(c.Args) > 9 {
		c.Fail(command.ErrSyntax)
		return f, false
	}
	i := 3
	if command.Is(c.Args[3], "IDLE") {
		if f.idle, ok = c.Int(4); !ok {
			return f, false
		}
		if len(c.Args) < 8 {
			c.Fail(command.ErrSyntax)
			return f, false
		}
		i += 2
	}
	if f.count, ok = c.Int(i + 2); !ok {
		return f, false
	}
	if f.from, f.to, ok = interval(c, c.Args[i], c.Args[i+1]); !ok {
		return f, false
	}
	if i+3 < len(c.Args) {
		f.consumer = c.Args[i+3]
	}
	return f, true
}

// replySummary replies with how much is pending, between which ids, and at
// whom.
func (g *group) replySummary() {
	c, n := g.s.c, g.pending.Len()
	c.Out.Array(4)
	c.Out.Int(int64(n))
	if n == 0 {
		c.Out.Null()
		c.Out.Null()
		c.Out.NullArray()
		return
	}
	for _, i := range []uint64{0, n - 1} {
		key, _, _ := g.pending.At(i)
		replyID(c, idOf(key))
	}
	at, consumers := len(c.Out.Buf), 0
	g.eachConsumer(func(who *consumer) bool {
		if load := g.load(who); load > 0 {
			consumers++
			c.Out.Array(2)
			c.Out.Bulk(who.name)
			c.Out.BulkString(strconv.FormatUint(load, 10))
		}
		return true
	})
	insert(c, at, func() { c.Out.Array(consumers) })
}

func (g *group) replyPending(f filter) {
	c, start, n := g.s.c, len(g.s.c.Out.Buf), 0
	names := g.names()
	show := func(at id, p pending) bool {
		if idle := c.Now() - p.at; f.idle == 0 || idle >= f.idle {
			n++
			c.Out.Array(4)
			replyID(c, at)
			c.Out.Bulk(names(p.owner))
			c.Out.Int(max(idle, 0))
			c.Out.Int(int64(p.deliveries))
		}
		return int64(n) < f.count && c.Fits(start)
	}
	if f.count <= 0 {
		c.Out.Array(0)
		return
	}
	if f.consumer == nil {
		g.eachPending(f.from, f.to, show)
	} else if who := g.consumer(f.consumer); who != nil {
		g.eachOwned(who, f.from, f.to, show)
	}
	if c.Fits(start) {
		insert(c, start, func() { c.Out.Array(n) })
	}
}

// eachPending visits what is pending from one id through another.
func (g *group) eachPending(from, to id, visit func(at id, p pending) bool) {
	lo, hi := span(g.pending, from, to)
	if lo == hi {
		return
	}
	g.pending.Scan(lo, func(key, stored []byte) bool {
		lo++
		return visit(idOf(key), readPending(stored)) && lo < hi
	})
}

// eachOwned visits what a consumer has pending.
func (g *group) eachOwned(who *consumer, from, to id, visit func(at id, p pending) bool) {
	lo, hi := g.ownedSpan(who, from, to)
	if lo == hi {
		return
	}
	g.owned.Scan(lo, func(key, _ []byte) bool {
		lo++
		at := idOf(key[8:])
		p, ok := g.get(at)
		if !ok {
			g.s.missing()
			return false
		}
		return visit(at, p) && lo < hi
	})
}

// names finds consumers' names by number.
func (g *group) names() func(number uint64) []byte {
	known := map[uint64][]byte{}
	return func(number uint64) []byte {
		name, ok := known[number]
		if !ok {
			name = g.numbered(number).name
			known[number] = name
		}
		return name
	}
}

// claim is what XCLAIM asks for.
type claim struct {
	ids           []id
	idle          int64 // only entries delivered so long ago
	at            int64 // when they count as delivered
	deliveries    int64 // how often they count as delivered; below 0: as they are
	force, justID bool
	last          id
}

func xClaim(c *command.Ctx) {
	s, g, ok := claimed(c)
	if !ok {
		return
	}
	m, ok := parseClaim(c)
	if !ok {
		return
	}
	if g.last.less(m.last) {
		g.last = m.last
	}
	start, n := len(c.Out.Buf), 0
	who := g.asking(c.Args[3])
	for _, at := range m.ids {
		if !room(c, start) {
			break
		}
		if g.claim(who, at, m) {
			n++
		}
	}
	g.saveConsumer(who)
	g.save()
	s.store()
	insert(c, start, func() { c.Out.Array(n) })
}

func parseClaim(c *command.Ctx) (m claim, ok bool) {
	if m.idle, ok = number.ParseInt(c.Args[4]); !ok {
		c.Fail("ERR Invalid min-idle-time argument for XCLAIM")
		return m, false
	}
	i := 5
	for ; i < len(c.Args); i++ {
		at, ok := parseID(c.Args[i], 0)
		if !ok {
			break
		}
		m.ids = append(m.ids, at)
	}
	now, at := c.Now(), int64(-1)
	m.deliveries = -1
	for ; i < len(c.Args); i++ {
		arg, more := c.Args[i], i+1 < len(c.Args)
		switch {
		case command.Is(arg, "FORCE"):
			m.force = true
		case command.Is(arg, "JUSTID"):
			m.justID = true
		case command.Is(arg, "IDLE") && more:
			i++
			idle, ok := claimInt(c, i, "IDLE")
			if !ok {
				return m, false
			}
			at = now - idle
		case command.Is(arg, "TIME") && more:
			i++
			if at, ok = claimInt(c, i, "TIME"); !ok {
				return m, false
			}
		case command.Is(arg, "RETRYCOUNT") && more:
			i++
			if m.deliveries, ok = claimInt(c, i, "RETRYCOUNT"); !ok {
				return m, false
			}
		case command.Is(arg, "LASTID") && more:
			i++
			if m.last, ok = parseID(c.Args[i], 0); !ok {
				c.Fail(errID)
				return m, false
			}
		default:
			c.Fail("ERR Unrecognized XCLAIM option '" + text(arg) + "'")
			return m, false
		}
	}
	if m.at = at; at < 0 || at > now {
		m.at = now
	}
	return m, true
}

func claimInt(c *command.Ctx, i int, option string) (n int64, ok bool) {
	if n, ok = number.ParseInt(c.Args[i]); !ok {
		c.Fail("ERR Invalid " + option + " option argument for XCLAIM")
	}
	return n, ok
}

// claim gives an entry to a consumer, if it may be, and replies with it. What
// is pending but not in the stream any more is forgotten.
func (g *group) claim(who *consumer, at id, m claim) bool {
	c := g.s.c
	p, had := g.get(at)
	entry, ok := g.s.get(at)
	if !ok {
		if had {
			g.forget(at, p.owner)
		}
		return false
	}
	if !had && !m.force || had && m.idle > 0 && c.Now()-p.at < m.idle {
		return false
	}
	if m.justID {
		replyID(c, at)
	} else {
		replyEntry(c, at, entry)
	}
	if !had {
		p.deliveries = 1
	}
	g.assign(who, at, p, m)
	return true
}

// assign makes an entry a consumer's, as m says.
func (g *group) assign(who *consumer, at id, p pending, m claim) {
	owner := p.owner
	p.owner, p.at = who.number, m.at
	if m.deliveries >= 0 {
		p.deliveries = uint64(m.deliveries)
	} else if !m.justID {
		p.deliveries++
	}
	g.put(at, p, owner)
	who.active = g.s.c.Now()
}

// maxAutoClaim is the greatest COUNT that XAUTOCLAIM takes, as in Redis.
const maxAutoClaim = math.MaxInt64 / 16

// autoClaimLooks is how many pending entries XAUTOCLAIM looks at for each that it
// is to claim.
const autoClaimLooks = 10

func xAutoClaim(c *command.Ctx) {
	m := claim{deliveries: -1, at: c.Now()}
	var ok bool
	if m.idle, ok = number.ParseInt(c.Args[4]); !ok {
		c.Fail("ERR Invalid min-idle-time argument for XAUTOCLAIM")
		return
	}
	from, ok := intervalStart(c, c.Args[5])
	if !ok {
		return
	}
	count := int64(100)
	for i := 6; i < len(c.Args); i++ {
		switch {
		case command.Is(c.Args[i], "COUNT") && i+1 < len(c.Args):
			i++
			if count, ok = number.ParseInt(c.Args[i]); !ok || count < 1 || count > maxAutoClaim {
				c.Fail("ERR COUNT must be > 0")
				return
			}
		case command.Is(c.Args[i], "JUSTID"):
			m.justID = true
		default:
			c.Fail(command.ErrSyntax)
			return
		}
	}
	s, g, ok := claimed(c)
	if !ok {
		return
	}
	who := g.asking(c.Args[3])
	g.autoClaim(who, from, count, m)
	g.saveConsumer(who)
	g.save()
	s.store()
}

// autoClaim gives up to count of the entries that are pending from an id on to
// a consumer. It replies with where to go on, with what it gave, and with what
// is not in the stream any more, which it forgets.
func (g *group) autoClaim(who *consumer, from id, count int64, m claim) {
	type taken struct {
		at id
		p  pending
	}
	c, start := g.s.c, len(g.s.c.Out.Buf)
	looks := count * autoClaimLooks
	var list, gone []taken
	var next id
	look := func(at id, p pending) bool {
		if looks == 0 || count == 0 || !room(c, start) {
			next = at
			return false
		}
		looks--
		entry, ok := g.s.get(at)
		switch {
		case !ok:
			gone = append(gone, taken{at, p})
		case m.idle > 0 && c.Now()-p.at < m.idle:
			return true
		case m.justID:
			replyID(c, at)
			list = append(list, taken{at, p})
		default:
			replyEntry(c, at, entry)
			list = append(list, taken{at, p})
		}
		count--
		return true
	}
	g.eachPending(from, maxID, look)
	for _, t := range list {
		g.assign(who, t.at, t.p, m)
	}
	insert(c, start, func() {
		c.Out.Array(3)
		replyID(c, next)
		c.Out.Array(len(list))
	})
	c.Out.Array(len(gone))
	for _, t := range gone {
		g.forget(t.at, t.p.owner)
		replyID(c, t.at)
	}
}
