package stream

// replyInfo replies with XINFO STREAM's short form.
func (s *value) replyInfo() {
	c, start := s.c, len(s.c.Out.Buf)
	c.Out.Map(10)
	s.replyHead()
	c.Out.BulkString("groups")
	c.Out.Int(int64(s.groups.Len()))
	for _, end := range []struct {
		name string
		back bool
	}{{"first-entry", false}, {"last-entry", true}} {
		c.Out.BulkString(end.name)
		if s.len() == 0 {
			c.Out.Null()
			continue
		}
		show := func(at id, entry []byte) bool {
			replyEntry(c, at, entry)
			return false
		}
		if end.back {
			s.scanBack(s.len(), 1, show)
		} else {
			s.scan(0, 1, show)
		}
	}
	c.Fits(start)
}

// replyHead replies with what is known about the stream itself: seven pairs of
// a map. The two about Redis's own storage count batches, roughly.
func (s *value) replyHead() {
	c := s.c
	nodes := int64((s.len() + batch - 1) / batch)
	c.Out.BulkString("length")
	c.Out.Int(int64(s.len()))
	c.Out.BulkString("radix-tree-keys")
	c.Out.Int(nodes)
	c.Out.BulkString("radix-tree-nodes")
	c.Out.Int(nodes + 1)
	c.Out.BulkString("last-generated-id")
	replyID(c, s.last)
	c.Out.BulkString("max-deleted-entry-id")
	replyID(c, s.maxDeleted)
	c.Out.BulkString("entries-added")
	c.Out.Int(int64(s.added))
	c.Out.BulkString("recorded-first-entry-id")
	replyID(c, s.first())
}

// replyFull replies with XINFO STREAM FULL: all there is, but no more than
// count of what there may be many of.
func (s *value) replyFull(count uint64) {
	c, start := s.c, len(s.c.Out.Buf)
	c.Out.Map(9)
	s.replyHead()
	c.Out.BulkString("entries")
	if s.replyRange(id{}, maxID, count, false, start); !c.Fits(start) {
		return
	}
	c.Out.BulkString("groups")
	c.Out.Array(int(s.groups.Len()))
	s.eachGroup(func(g *group) bool {
		g.replyFull(count, start)
		return c.Fits(start)
	})
}

func (g *group) replyFull(count uint64, start int) {
	c, names := g.s.c, g.names()
	c.Out.Map(7)
	c.Out.BulkString("name")
	c.Out.Bulk(g.name)
	g.replyPosition()
	c.Out.BulkString("pel-count")
	c.Out.Int(int64(g.pending.Len()))
	c.Out.BulkString("pending")
	n := min(g.pending.Len(), count)
	c.Out.Array(int(n))
	if n > 0 {
		g.eachPending(id{}, maxID, func(at id, p pending) bool {
			c.Out.Array(4)
			replyID(c, at)
			c.Out.Bulk(names(p.owner))
			c.Out.Int(p.at)
			c.Out.Int(int64(p.deliveries))
			n--
			return n > 0 && room(c, start)
		})
	}
	c.Out.BulkString("consumers")
	c.Out.Array(int(g.consumers.Len()))
	g.eachConsumer(func(who *consumer) bool {
		g.replyConsumer(who, count, start)
		return room(c, start)
	})
}

func (g *group) replyConsumer(who *consumer, count uint64, start int) {
	c, load := g.s.c, g.load(who)
	c.Out.Map(5)
	c.Out.BulkString("name")
	c.Out.Bulk(who.name)
	c.Out.BulkString("seen-time")
	c.Out.Int(who.seen)
	c.Out.BulkString("active-time")
	c.Out.Int(who.active)
	c.Out.BulkString("pel-count")
	c.Out.Int(int64(load))
	c.Out.BulkString("pending")
	n := min(load, count)
	c.Out.Array(int(n))
	if n == 0 {
		return
	}
	g.eachOwned(who, id{}, maxID, func(at id, p pending) bool {
		c.Out.Array(3)
		replyID(c, at)
		c.Out.Int(p.at)
		c.Out.Int(int64(p.deliveries))
		n--
		return n > 0 && room(c, start)
	})
}
