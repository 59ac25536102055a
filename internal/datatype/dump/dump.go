package dump

import (
	cmd "coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/hash"
	"coterie/internal/datatype/list"
	"coterie/internal/datatype/set"
	"coterie/internal/datatype/stream"
	"coterie/internal/datatype/zset"
	"coterie/internal/keyspace"
	"coterie/internal/rdb"
)

const (
	errPayload  = "ERR DUMP payload version or checksum are wrong"
	errFormat   = "ERR Bad data format"
	errBusy     = "BUSYKEY Target key name already exists."
	errTTL      = "ERR Invalid TTL value, must be >= 0"
	errIdleTime = "ERR Invalid IDLETIME value, must be >= 0"
	errFreq     = "ERR Invalid FREQ value, must be >= 0 and <= 255"
)

// maxValue bounds what a payload may come to, in bytes.
const maxValue = 512 << 20

// Rows is the rows of both commands.
func Rows() []cmd.Spec {
	key := cmd.Key("key")
	row := func(name string, arity int, flags cmd.Flags, run func(*cmd.Ctx), summary, complexity string, args ...cmd.Arg) cmd.Spec {
		return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: "2.6.0", Run: run, Summary: summary, Complexity: complexity,
			Args: args, Keys: cmd.One, Group: "generic", Categories: []string{"keyspace"}}
	}
	d := row("dump", 2, cmd.ReadOnly, dump, "Answers a value in Redis's own format, for RESTORE.", "O(N) with the size of the value", key)
	d.KeySpecs, d.Tips = []cmd.KeySpec{cmd.Use(cmd.One, "RO", "access")}, []string{"nondeterministic_output"}
	r := row("restore", -4, cmd.Write|cmd.DenyOOM, restore, "Stores a value that DUMP answered, here or in a Redis.", "O(N*log(N)) with the size of the value",
		key, cmd.Integer("ttl"), cmd.Text("serialized-value"), cmd.Token("replace", "REPLACE").Opt(), cmd.Token("absttl", "ABSTTL").Opt(),
		cmd.Integer("seconds").After("IDLETIME").Opt(), cmd.Integer("frequency").After("FREQ").Opt())
	r.KeySpecs, r.Categories = []cmd.KeySpec{cmd.Use(cmd.One, "OW", "update")}, []string{"keyspace", "dangerous"}
	return []cmd.Spec{d, r}
}

func dump(c *cmd.Ctx) {
	key := c.Args[1]
	r := c.Lookup(key)
	if !r.Exists() {
		c.Out.Null()
		return
	}
	payload, ok := encode(c, key, r)
	switch {
	case payload == nil && ok: // a hash whose fields had all expired
		c.Out.Null()
	case !ok || len(payload) > c.Limits.MaxReply:
		c.Fail(cmd.ErrReplyTooLarge)
	default:
		c.Out.Bulk(payload)
	}
}

// encode is the value of a record; ok is false if it is larger than a reply may
// be.
func encode(c *cmd.Ctx, key []byte, r keyspace.Record) (payload []byte, ok bool) {
	var e *rdb.Encoder
	item := func(v []byte) bool {
		e.Item(v)
		return len(e.Buf) <= c.Limits.MaxReply
	}
	switch r.Type {
	case keyspace.String:
		e = rdb.NewString()
		item(r.Body)
	case keyspace.List:
		e = rdb.NewList(list.Len(c, key))
		list.Each(c, key, 0, false, item)
	case keyspace.Set:
		s, _ := set.Open(c, key)
		e = rdb.NewSet(uint64(s.Len()))
		s.Each(item)
	case keyspace.Hash:
		n := hash.Len(c, key)
		if n == 0 {
			return nil, true
		}
		e = rdb.NewHash(uint64(n))
		hash.Each(c, key, func(field, v []byte) bool { return item(field) && item(v) })
	case keyspace.ZSet:
		z, _ := zset.Open(c, key)
		e = rdb.NewZSet(z.Len())
		z.Each(func(member []byte, score float64) bool {
			more := item(member)
			e.Score(score)
			return more
		})
	case keyspace.Stream:
		s, ok := stream.Export(c, key, c.Limits.MaxReply)
		if !ok {
			return nil, false
		}
		return rdb.EncodeStream(s), true
	default:
		panic("dump: a value of type " + r.Type.String())
	}
	return e.End(), len(e.Buf) <= c.Limits.MaxReply
}

// options are RESTORE's.
type options struct{ replace, absolute bool }

func parseOptions(c *cmd.Ctx) (o options, ok bool) {
	idle, freq := int64(-1), int64(-1)
	for i := 4; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		switch arg := c.Args[i]; {
		case cmd.Is(arg, "REPLACE"):
			o.replace = true
		case cmd.Is(arg, "ABSTTL"):
			o.absolute = true
		case cmd.Is(arg, "IDLETIME") && more && freq < 0:
			if idle, ok = c.Int(i + 1); !ok {
				return o, false
			}
			if idle < 0 {
				c.Fail(errIdleTime)
				return o, false
			}
			i++
		case cmd.Is(arg, "FREQ") && more && idle < 0:
			if freq, ok = c.Int(i + 1); !ok {
				return o, false
			}
			if freq < 0 || freq > 255 {
				c.Fail(errFreq)
				return o, false
			}
			i++
		default:
			c.Fail(cmd.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

func restore(c *cmd.Ctx) {
	o, ok := parseOptions(c)
	if !ok {
		return
	}
	key := c.Args[1]
	old := c.Lookup(key)
	if old.Exists() && !o.replace {
		c.Fail(errBusy)
		return
	}
	at, ok := c.Int(2)
	if !ok {
		return
	}
	if at < 0 {
		c.Fail(errTTL)
		return
	}
	if at > 0 && !o.absolute {
		if at, ok = number.Add(at, c.Now()); !ok {
			c.Fail(c.ErrExpire())
			return
		}
	}
	v, err := rdb.Decode(c.Args[3], maxValue)
	switch {
	case err == rdb.ErrFooter:
		c.Fail(errPayload)
		return
	case err != nil, v.Kind == rdb.String && len(v.Items[0]) > c.Limits.MaxString:
		c.Fail(errFormat)
		return
	}
	if old.Exists() {
		c.Remove(key, old)
	}
	if at > 0 && at <= c.Now() {
		if old.Exists() {
			c.Notify(keyspace.GenericEvent, "del", key)
		}
		c.Out.Simple("OK")
		return
	}
	store(c, key, v)
	if at > 0 {
		c.SetExpiry(key, c.Lookup(key), at)
	}
	c.Notify(keyspace.GenericEvent, "restore", key)
	c.Out.Simple("OK")
}

// store stores a value under a key that there is not.
func store(c *cmd.Ctx, key []byte, v rdb.Value) {
	switch v.Kind {
	case rdb.String:
		c.Put(key, keyspace.Record{}, keyspace.Record{Type: keyspace.String, Body: v.Items[0]})
	case rdb.List:
		list.Replace(c, key, keyspace.Record{}, v.Items)
	case rdb.Set:
		set.Make(c, key, v.Items)
	case rdb.Hash:
		hash.Make(c, key, v.Items)
	case rdb.ZSet:
		members := make([]zset.Scored, len(v.Items))
		for i, m := range v.Items {
			members[i] = zset.Scored{Member: m, Score: v.Scores[i]}
		}
		zset.Replace(c, "", key, members)
	case rdb.Stream:
		stream.Make(c, key, v.Stream)
	}
}
