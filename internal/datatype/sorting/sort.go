package sorting

import (
	"bytes"
	"cmp"
	"slices"

	cmd "coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/list"
	"coterie/internal/datatype/set"
	"coterie/internal/datatype/zset"
	"coterie/internal/keyspace"
)

const errNotNumbers = "ERR One or more scores can't be converted into double"

// order is what SORT asks for.
type order struct {
	by            pattern
	sorted        bool // and not in the order that the value has
	alpha, desc   bool
	offset, count int64
	get           []pattern
	into          []byte // nil: answer
}

func parse(c *cmd.Ctx, stores bool) (o order, ok bool) {
	o = order{sorted: true, by: pattern{self: true}, count: -1}
	for i := 2; i < len(c.Args); i++ {
		left := len(c.Args) - i - 1
		switch arg := c.Args[i]; {
		case cmd.Is(arg, "ASC"):
			o.desc = false
		case cmd.Is(arg, "DESC"):
			o.desc = true
		case cmd.Is(arg, "ALPHA"):
			o.alpha = true
		case cmd.Is(arg, "LIMIT") && left >= 2:
			if o.offset, ok = c.Int(i + 1); ok {
				o.count, ok = c.Int(i + 2)
			}
			if !ok {
				return o, false
			}
			i += 2
		case cmd.Is(arg, "STORE") && left >= 1 && stores:
			i++
			o.into = c.Args[i]
		case cmd.Is(arg, "BY") && left >= 1:
			i++
			o.by = patternOf(c.Args[i])
			// One pattern without a place for the member is enough not to sort.
			o.sorted = o.sorted && o.by.keyed
		case cmd.Is(arg, "GET") && left >= 1:
			i++
			o.get = append(o.get, patternOf(c.Args[i]))
		default:
			c.Fail(cmd.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// item is a member, and what it is sorted by.
type item struct {
	member []byte
	text   []byte // nil: there is none
	score  float64
}

func sort(c *cmd.Ctx, stores bool) {
	o, ok := parse(c, stores)
	if !ok {
		return
	}
	r := c.Lookup(c.Args[1])
	switch r.Type {
	case keyspace.None, keyspace.List, keyspace.ZSet:
	case keyspace.Set:
		// A list has an order, for which there must be a reason; a script's are to be
		// the same each time.
		if !o.sorted && (o.into != nil || c.Nested()) {
			o.sorted, o.alpha, o.by = true, true, pattern{self: true}
		}
	default:
		c.Fail(cmd.ErrWrongType)
		return
	}
	items := o.members(c, r)
	if o.sorted {
		why, ok := o.weigh(c, items)
		if !ok {
			c.Divert()
			return
		}
		if why != "" {
			c.Fail(why)
			return
		}
		slices.SortStableFunc(items, o.compare)
		from, to := o.limits(len(items))
		items = items[from:to]
	}
	out, ok := o.results(c, items)
	switch {
	case !ok:
		c.Divert()
	case o.into != nil:
		o.store(c, out)
	default:
		o.reply(c, out)
	}
}

// limits are the places that LIMIT asks for, of n.
func (o *order) limits(n int) (from, to int) {
	from = int(min(max(o.offset, 0), int64(n)))
	if to = n; o.count >= 0 {
		to = from + int(min(o.count, int64(n-from)))
	}
	return from, to
}

// members are the value's, in its own order: all of them, or what LIMIT asks for
// if they are not to be sorted.
func (o *order) members(c *cmd.Ctx, r keyspace.Record) (items []item) {
	key := c.Args[1]
	back := o.desc && !o.sorted
	from, to := 0, 0
	span := func(n int) (some bool) {
		if to = n; !o.sorted {
			from, to = o.limits(n)
		}
		return from < to
	}
	add := func(m []byte) bool {
		items = append(items, item{member: m})
		return len(items) < to-from
	}
	switch r.Type {
	case keyspace.List:
		n := int(list.Len(c, key))
		if !span(n) {
			break
		}
		at := from
		if back {
			at = n - 1 - from
		}
		list.Each(c, key, uint64(at), back, add)
	case keyspace.ZSet:
		z, _ := zset.Open(c, key)
		n := int(z.Len())
		if span(n) && back {
			from, to = n-to, n-from
		}
		z.Span(uint64(from), uint64(to), back, func(m []byte, _ float64) bool { return add(m) })
	case keyspace.Set:
		s, _ := set.Open(c, key)
		if !span(s.Len()) {
			break
		}
		skip := from
		s.Each(func(m []byte) bool {
			skip--
			return skip >= 0 || add(bytes.Clone(m))
		})
	}
	return items
}

// weigh finds what the members are sorted by; why is an error of the command's.
// ok is false when a key is not here.
func (o *order) weigh(c *cmd.Ctx, items []item) (why string, ok bool) {
	texts, ok := o.by.lookup(c, items)
	if !ok {
		return "", false
	}
	for i := range items {
		it := &items[i]
		if it.text = texts[i]; o.alpha || len(it.text) == 0 {
			continue
		}
		var isNumber bool
		if it.score, isNumber = number.ParseDouble(bytes.TrimLeft(it.text, " \t\n\v\f\r")); !isNumber {
			why = errNotNumbers
		}
	}
	return why, true
}

func (o *order) compare(a, b item) (n int) {
	switch {
	case !o.alpha:
		if n = cmp.Compare(a.score, b.score); n == 0 {
			n = bytes.Compare(a.member, b.member)
		}
	case a.text == nil || b.text == nil:
		if a.text != nil {
			n = 1
		} else if b.text != nil {
			n = -1
		}
	default:
		n = bytes.Compare(a.text, b.text)
	}
	if o.desc {
		return -n
	}
	return n
}

// results are what is answered for the members. ok is false when a key is not
// here.
func (o *order) results(c *cmd.Ctx, items []item) (out [][]byte, ok bool) {
	if len(o.get) == 0 {
		for _, it := range items {
			out = append(out, it.member)
		}
		return out, true
	}
	n := len(o.get)
	out = make([][]byte, n*len(items))
	for g, p := range o.get {
		found, ok := p.lookup(c, items)
		if !ok {
			return nil, false
		}
		for i, v := range found {
			out[i*n+g] = v
		}
	}
	return out, true
}

func (o *order) reply(c *cmd.Ctx, out [][]byte) {
	size := 0
	for _, v := range out {
		size += len(v)
	}
	if size > c.Limits.MaxReply {
		c.Fail(cmd.ErrReplyTooLarge)
		return
	}
	c.Out.Array(len(out))
	for i, v := range out {
		if v == nil && len(o.get) > 0 && !o.get[i%len(o.get)].self {
			c.Out.Null()
		} else {
			c.Out.Bulk(v)
		}
	}
}

func (o *order) store(c *cmd.Ctx, out [][]byte) {
	old := c.Lookup(o.into)
	list.Replace(c, o.into, old, out)
	switch {
	case len(out) > 0:
		c.Notify(keyspace.ListEvent, "sortstore", o.into)
	case old.Exists():
		c.Notify(keyspace.GenericEvent, "del", o.into)
	}
	c.Out.Int(int64(len(out)))
}
