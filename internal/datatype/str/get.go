package str

import (
	"coterie/internal/command"
	"coterie/internal/keyspace"
)

// value looks a string up. ok is false when it replied with an error.
func value(c *command.Ctx, key []byte) (keyspace.Record, bool) {
	return c.Typed(key, keyspace.String)
}

// reply replies with a string record, or null when it is absent.
func reply(c *command.Ctx, r keyspace.Record) {
	if !r.Exists() {
		c.Out.Null()
		return
	}
	c.Out.Bulk(r.Body)
}

// put stores a string in the place of old, with its deadline or without, and
// tells of the event.
func put(c *command.Ctx, event string, key []byte, old keyspace.Record, body []byte, expireAt int64) {
	r := keyspace.Record{Type: keyspace.String, ExpireAt: expireAt, Body: body}
	if old.Token != 0 && string(old.Body) == string(body) { // its holder prolongs a lock
		r.Token = old.Token
	}
	c.Put(key, old, r)
	c.Notify(keyspace.StringEvent, event, key)
}

// take is put for a key that there is not: it may be a lock, and gets a token
// that is higher than that of any lock before.
func take(c *command.Ctx, key []byte, body []byte, expireAt int64) {
	token := c.Txn.NewObjectID(c.Slot(key)) + 1
	c.Put(key, keyspace.Record{}, keyspace.Record{Type: keyspace.String, ExpireAt: expireAt, Token: token, Body: body})
	c.Notify(keyspace.StringEvent, "set", key)
}

func get(c *command.Ctx) {
	if r, ok := value(c, c.Args[1]); ok {
		reply(c, r)
	}
}

func getDel(c *command.Ctx) {
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	reply(c, r)
	if r.Exists() {
		c.Remove(c.Args[1], r)
		c.Notify(keyspace.GenericEvent, "del", c.Args[1])
	}
}

func getEx(c *command.Ctx) {
	o, ok := parseOptions(c, 2, forGetEx)
	if !ok {
		return
	}
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	if !r.Exists() {
		c.Out.Null()
		return
	}
	at, ok := o.deadline(c)
	if !ok {
		return
	}
	c.Out.Bulk(r.Body)
	if o.persist || o.expire {
		c.SetExpiry(c.Args[1], r, at)
		switch {
		case o.expire && at <= c.Now():
			c.Notify(keyspace.GenericEvent, "del", c.Args[1])
		case o.expire:
			c.Notify(keyspace.GenericEvent, "expire", c.Args[1])
		case r.ExpireAt != 0:
			c.Notify(keyspace.GenericEvent, "persist", c.Args[1])
		}
	}
}

func getSet(c *command.Ctx) {
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	reply(c, r)
	put(c, "set", c.Args[1], r, c.Args[2], 0)
}

func strLen(c *command.Ctx) {
	if r, ok := value(c, c.Args[1]); ok {
		c.Out.Int(int64(len(r.Body)))
	}
}

func getRange(c *command.Ctx) {
	start, ok := c.Int(2)
	if !ok {
		return
	}
	end, ok := c.Int(3)
	if !ok {
		return
	}
	r, ok := value(c, c.Args[1])
	if !ok {
		return
	}
	n := int64(len(r.Body))
	if start < 0 && end < 0 && start > end {
		c.Out.BulkString("")
		return
	}
	start, end = fromEnd(start, n), min(fromEnd(end, n), n-1)
	if start > end || n == 0 {
		c.Out.BulkString("")
		return
	}
	c.Out.Bulk(r.Body[start : end+1])
}

// fromEnd turns a position that counts from the end, when negative, into one
// from the start.
func fromEnd(at, n int64) int64 {
	if at >= 0 {
		return at
	}
	return max(at+n, 0)
}

func mGet(c *command.Ctx) {
	start := len(c.Out.Buf)
	c.Out.Array(len(c.Args) - 1)
	for _, key := range c.Args[1:] {
		r := c.Lookup(key)
		if r.Type != keyspace.String {
			c.Out.Null()
			continue
		}
		if c.Out.Bulk(r.Body); !c.Fits(start) {
			return
		}
	}
}
