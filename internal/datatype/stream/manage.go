package stream

import (
	"math"

	"coterie/internal/command"
	"coterie/internal/keyspace"
)

const errNoStream = "ERR The XGROUP subcommand requires the key to exist. " +
	"Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."

// groupOptions reads the options of XGROUP CREATE and SETID. ok is false when
// it replied with an error.
func groupOptions(c *command.Ctx, create bool) (read int64, makeStream, ok bool) {
	read = unknown
	for i := 5; i < len(c.Args); i++ {
		switch {
		case create && command.Is(c.Args[i], "MKSTREAM"):
			makeStream = true
		case command.Is(c.Args[i], "ENTRIESREAD") && i+1 < len(c.Args):
			i++
			if read, ok = c.Int(i); !ok {
				return 0, false, false
			}
			if read < 0 && read != unknown {
				c.Fail("ERR value for ENTRIESREAD must be positive or -1")
				return 0, false, false
			}
		default:
			syntaxError(c, "XGROUP")
			return 0, false, false
		}
	}
	return read, makeStream, true
}

// syntaxError is what a container says of arguments that it cannot make out.
func syntaxError(c *command.Ctx, container string) {
	sub := c.Args[1]
	c.Fail("ERR unknown subcommand or wrong number of arguments for '" + text(sub[:min(len(sub), 128)]) + "'. Try " + container + " HELP.")
}

// openGroup looks up the group that a subcommand is about. ok is false when
// it replied with an error: there is no such stream, or, if must says that
// there must be one, no such group.
func openGroup(c *command.Ctx, must bool) (s *value, g *group, ok bool) {
	s, ok = open(c, c.Args[2])
	if !ok {
		return nil, nil, false
	}
	if !s.exists() {
		c.Fail(errNoStream)
		return nil, nil, false
	}
	if g = s.group(c.Args[3]); g == nil && must {
		noGroup(c, noConsumerGroup, c.Args[2], c.Args[3])
		return nil, nil, false
	}
	return s, g, true
}

func xGroupCreate(c *command.Ctx) {
	read, makeStream, ok := groupOptions(c, true)
	if !ok {
		return
	}
	s, ok := open(c, c.Args[2])
	if !ok {
		return
	}
	if !s.exists() && !makeStream {
		c.Fail(errNoStream)
		return
	}
	if len(c.Args) > 8 {
		syntaxError(c, "XGROUP")
		return
	}
	last := s.last
	if !isWord(c.Args[4], "$") {
		if last, ok = parseID(c.Args[4], 0); !ok {
			c.Fail(errID)
			return
		}
	}
	if s.group(c.Args[3]) != nil {
		c.Fail("BUSYGROUP Consumer Group name already exists")
		return
	}
	s.make()
	s.addGroup(c.Args[3], last, read)
	s.store()
	c.Notify(keyspace.StreamEvent, "xgroup-create", c.Args[2])
	c.Out.Simple("OK")
}

func xGroupSetID(c *command.Ctx) {
	read, _, ok := groupOptions(c, false)
	if !ok {
		return
	}
	s, g, ok := openGroup(c, true)
	if !ok {
		return
	}
	if len(c.Args) != 5 && len(c.Args) != 7 {
		syntaxError(c, "XGROUP")
		return
	}
	last := s.last
	if !isWord(c.Args[4], "$") {
		if last, _, ok = parseBound(c.Args[4], 0); !ok || c.Args[4][0] == '(' {
			c.Fail(errID)
			return
		}
	}
	g.last, g.read = last, read
	g.save()
	s.store()
	c.Notify(keyspace.StreamEvent, "xgroup-setid", c.Args[2])
	c.Out.Simple("OK")
}

func xGroupDestroy(c *command.Ctx) {
	s, g, ok := openGroup(c, false)
	if !ok {
		return
	}
	if g == nil {
		c.Out.Int(0)
		return
	}
	g.drop()
	s.store()
	c.Notify(keyspace.StreamEvent, "xgroup-destroy", c.Args[2])
	c.Out.Int(1)
}

func xGroupCreateConsumer(c *command.Ctx) {
	s, g, ok := openGroup(c, true)
	if !ok {
		return
	}
	if g.consumer(c.Args[4]) != nil {
		c.Out.Int(0)
		return
	}
	g.addConsumer(c.Args[4])
	g.save()
	s.store()
	c.Out.Int(1)
}

func xGroupDelConsumer(c *command.Ctx) {
	s, g, ok := openGroup(c, true)
	if !ok {
		return
	}
	who := g.consumer(c.Args[4])
	if who == nil {
		c.Out.Int(0)
		return
	}
	pending := g.dropConsumer(who)
	g.save()
	s.store()
	c.Notify(keyspace.StreamEvent, "xgroup-delconsumer", c.Args[2])
	c.Out.Int(int64(pending))
}

func xSetID(c *command.Ctx) {
	last, ok := parseID(c.Args[2], 0)
	if !ok {
		c.Fail(errID)
		return
	}
	added, maxDeleted := int64(unknown), id{}
	for i := 3; i < len(c.Args); i += 2 {
		more := i+1 < len(c.Args)
		switch {
		case command.Is(c.Args[i], "ENTRIESADDED") && more:
			if added, ok = c.Int(i + 1); !ok {
				return
			}
			if added < 0 {
				c.Fail("ERR entries_added must be positive")
				return
			}
		case command.Is(c.Args[i], "MAXDELETEDID") && more:
			if maxDeleted, ok = parseID(c.Args[i+1], 0); !ok {
				c.Fail(errID)
				return
			}
			if last.less(maxDeleted) {
				c.Fail("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
				return
			}
		default:
			c.Fail(command.ErrSyntax)
			return
		}
	}
	s, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	switch {
	case !s.exists():
		c.Fail(command.ErrNoSuchKey)
		return
	case last.less(s.maxDeleted):
		c.Fail("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
		return
	case last.less(s.top()):
		c.Fail("ERR The ID specified in XSETID is smaller than the target stream top item")
		return
	case added != unknown && s.len() > uint64(added):
		c.Fail("ERR The entries_added specified in XSETID is smaller than the target stream length")
		return
	}
	s.last = last
	if added != unknown {
		s.added = uint64(added)
	}
	if !maxDeleted.zero() {
		s.maxDeleted = maxDeleted
	}
	s.store()
	c.Notify(keyspace.StreamEvent, "xsetid", c.Args[1])
	c.Out.Simple("OK")
}

func xInfoStream(c *command.Ctx) {
	s, ok := openInfo(c)
	if !ok {
		return
	}
	if len(c.Args) == 3 {
		s.replyInfo()
		return
	}
	count := int64(10)
	if len(c.Args) != 4 && len(c.Args) != 6 || !command.Is(c.Args[3], "FULL") ||
		len(c.Args) == 6 && !command.Is(c.Args[4], "COUNT") {
		syntaxError(c, "XINFO")
		return
	}
	if len(c.Args) == 6 {
		if count, ok = c.Int(5); !ok {
			return
		}
	}
	switch {
	case count < 0:
		count = 10
	case count == 0:
		count = math.MaxInt64
	}
	s.replyFull(uint64(count))
}

// openInfo looks up the stream that XINFO is about. ok is false when it
// replied with an error.
func openInfo(c *command.Ctx) (s *value, ok bool) {
	s, ok = open(c, c.Args[2])
	if ok && !s.exists() {
		c.Fail(command.ErrNoSuchKey)
		return nil, false
	}
	return s, ok
}

func xInfoGroups(c *command.Ctx) {
	s, ok := openInfo(c)
	if !ok {
		return
	}
	start := len(c.Out.Buf)
	c.Out.Array(int(s.groups.Len()))
	s.eachGroup(func(g *group) bool {
		c.Out.Map(6)
		c.Out.BulkString("name")
		c.Out.Bulk(g.name)
		c.Out.BulkString("consumers")
		c.Out.Int(int64(g.consumers.Len()))
		c.Out.BulkString("pending")
		c.Out.Int(int64(g.pending.Len()))
		g.replyPosition()
		return c.Fits(start)
	})
}

// replyPosition replies with how far the group came: three pairs of a map.
func (g *group) replyPosition() {
	c := g.s.c
	c.Out.BulkString("last-delivered-id")
	replyID(c, g.last)
	c.Out.BulkString("entries-read")
	replyKnown(c, g.read, g.read != unknown)
	c.Out.BulkString("lag")
	n, known := g.lag()
	replyKnown(c, n, known)
}

func replyKnown(c *command.Ctx, n int64, known bool) {
	if known {
		c.Out.Int(n)
	} else {
		c.Out.Null()
	}
}

func xInfoConsumers(c *command.Ctx) {
	s, ok := openInfo(c)
	if !ok {
		return
	}
	g := s.group(c.Args[3])
	if g == nil {
		noGroup(c, noConsumerGroup, c.Args[2], c.Args[3])
		return
	}
	start := len(c.Out.Buf)
	c.Out.Array(int(g.consumers.Len()))
	g.eachConsumer(func(who *consumer) bool {
		inactive := who.active
		if inactive != never {
			inactive = c.Now() - inactive
		}
		c.Out.Map(4)
		c.Out.BulkString("name")
		c.Out.Bulk(who.name)
		c.Out.BulkString("pending")
		c.Out.Int(int64(g.load(who)))
		c.Out.BulkString("idle")
		c.Out.Int(max(c.Now()-who.seen, 0))
		c.Out.BulkString("inactive")
		c.Out.Int(inactive)
		return c.Fits(start)
	})
}
