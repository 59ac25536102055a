package generic

import (
	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/set"
	"coterie/internal/keyspace"
)

func del(c *command.Ctx) {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if r := c.Lookup(key); r.Exists() {
			c.Remove(key, r)
			c.Notify(keyspace.GenericEvent, "del", key)
			n++
		}
	}
	c.Out.Int(n)
}

// exists is EXISTS and TOUCH, which alone is a use of the key.
func exists(c *command.Ctx) {
	c.Quiet = c.Spec.Name == "exists"
	n := int64(0)
	for _, key := range c.Args[1:] {
		if c.Lookup(key).Exists() {
			n++
		}
	}
	c.Out.Int(n)
}

func typeOf(c *command.Ctx) {
	c.Quiet = true
	c.Out.Simple(c.Lookup(c.Args[1]).Type.String())
}

func rename(c *command.Ctx) {
	r := c.Lookup(c.Args[1])
	if !r.Exists() {
		c.Fail(command.ErrNoSuchKey)
		return
	}
	if string(c.Args[1]) != string(c.Args[2]) {
		old := c.Lookup(c.Args[2])
		c.Move(c.Args[1], r, c.Args[2], old)
		replaced(c, old)
		renamed(c)
	}
	c.Out.Simple("OK")
}

func renameNX(c *command.Ctx) {
	r := c.Lookup(c.Args[1])
	if !r.Exists() {
		c.Fail(command.ErrNoSuchKey)
		return
	}
	if c.Lookup(c.Args[2]).Exists() { // also when both are the same key
		c.Out.Int(0)
		return
	}
	c.Move(c.Args[1], r, c.Args[2], keyspace.Record{})
	renamed(c)
	c.Out.Int(1)
}

// replaced tells of a new key that took the place of an old one: for Put it is
// none.
func replaced(c *command.Ctx, old keyspace.Record) {
	if old.Exists() {
		c.Notify(keyspace.NewEvent, "new", c.Args[2])
	}
}

func renamed(c *command.Ctx) {
	c.Notify(keyspace.GenericEvent, "rename_from", c.Args[1])
	c.Notify(keyspace.GenericEvent, "rename_to", c.Args[2])
}

const errSame = "ERR source and destination objects are the same"

func move(c *command.Ctx) {
	key, from := c.Args[1], c.DB
	db, ok := c.DBIndex(2, "")
	if !ok {
		return
	}
	if db == from {
		c.Fail(errSame)
		return
	}
	r := c.Lookup(key)
	if !r.Exists() {
		c.Out.Int(0)
		return
	}
	c.Select(db)
	taken := c.Lookup(key).Exists()
	c.Select(from)
	if taken {
		c.Out.Int(0)
		return
	}
	c.MoveTo(db, key, r)
	c.Touched(db, key)
	c.Notify(keyspace.GenericEvent, "move_from", key)
	c.Select(db)
	c.Notify(keyspace.GenericEvent, "move_to", key)
	c.Select(from)
	c.Out.Int(1)
}

func copyKey(c *command.Ctx) {
	db, from, replace := c.DB, c.DB, false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case command.Is(c.Args[i], "REPLACE"):
			replace = true
		case command.Is(c.Args[i], "DB") && i+1 < len(c.Args):
			to, ok := c.DBIndex(i+1, "")
			if !ok {
				return
			}
			db = to
			i++
		default:
			c.Fail(command.ErrSyntax)
			return
		}
	}
	if db == from && string(c.Args[1]) == string(c.Args[2]) {
		c.Fail(errSame)
		return
	}
	r, slot := c.Lookup(c.Args[1]), c.Slot(c.Args[1])
	if !r.Exists() {
		c.Out.Int(0)
		return
	}
	c.Select(db)
	defer c.Select(from)
	old := c.Lookup(c.Args[2])
	if old.Exists() && !replace {
		c.Out.Int(0)
		return
	}
	c.Copy(slot, r, c.Args[2], old)
	c.Touched(db, c.Args[2])
	replaced(c, old)
	c.Notify(keyspace.GenericEvent, "copy_to", c.Args[2])
	c.Out.Int(1)
}

// The sizes in bytes up to which Redis keeps a string in the two compact ways
// that OBJECT ENCODING tells apart.
const (
	maxIntString = 20
	maxEmbedded  = 44
)

// aside looks up the key that OBJECT is about: that is no use of it, and neither hit nor
// miss.
func aside(c *command.Ctx) keyspace.Record {
	c.Quiet, c.Reading = true, false
	return c.Lookup(c.Args[2])
}

func objectEncoding(c *command.Ctx) {
	r := aside(c)
	_, elements := r.Object()
	name := "raw"
	switch {
	case !r.Exists():
		c.Out.Null()
		return
	case r.Type == keyspace.Hash && elements:
		name = "hashtable"
	case r.Type == keyspace.ZSet && elements:
		name = "skiplist"
	case r.Type == keyspace.Hash, r.Type == keyspace.ZSet:
		name = "listpack"
	case r.Type == keyspace.List && elements:
		name = "quicklist"
	case r.Type == keyspace.List:
		name = "listpack"
	case r.Type == keyspace.Set:
		name = set.FormOf(r).String()
	case r.Type == keyspace.Stream:
		name = "stream"
	case len(r.Body) <= maxIntString && isInt(r.Body):
		name = "int"
	case len(r.Body) <= maxEmbedded:
		name = "embstr"
	}
	c.Out.BulkString(name)
}

func isInt(p []byte) bool {
	_, ok := number.ParseInt(p)
	return ok
}

// objectConstant answers for what is the same for all keys that exist.
func objectConstant(n int64) func(*command.Ctx) {
	return func(c *command.Ctx) {
		if !aside(c).Exists() {
			c.Out.Null()
			return
		}
		c.Out.Int(n)
	}
}

// Refusals of what is not tracked, word for word as Redis gives them.
const (
	errNotLFU = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	errLFU    = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)

// objectFreq is about keys of a namespace whose limit goes by it.
func objectFreq(c *command.Ctx) {
	if !aside(c).Exists() {
		c.Out.Null()
		return
	}
	_, count, policy, ok := c.Usage(c.Args[2])
	if !ok || !policy.LFU() {
		c.Fail(errNotLFU)
		return
	}
	c.Out.Int(int64(count))
}

// objectIdle answers for how long the leader knows that a key was not used.
func objectIdle(c *command.Ctx) {
	if !aside(c).Exists() {
		c.Out.Null()
		return
	}
	idle, _, policy, _ := c.Usage(c.Args[2])
	if policy.LFU() {
		c.Fail(errLFU)
		return
	}
	c.Out.Int(idle / 1000)
}
