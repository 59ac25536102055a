package sorting

import (
	"bytes"
	"slices"

	cmd "coterie/internal/command"
	"coterie/internal/datatype/hash"
	"coterie/internal/keyspace"
)

// pattern names a key, or a field of a hash, for each member.
type pattern struct {
	self          bool // "#": the member itself
	keyed         bool // it has a place for the member
	before, after []byte
	field         []byte // of the hash under the key; nil: the key holds a string
}

func patternOf(p []byte) (x pattern) {
	if string(p) == "#" {
		return pattern{self: true}
	}
	before, rest, found := bytes.Cut(p, []byte{'*'})
	if !found {
		return x
	}
	x = pattern{keyed: true, before: before, after: rest}
	if after, field, found := bytes.Cut(rest, []byte("->")); found && len(field) > 0 {
		x.after, x.field = after, field
	}
	return x
}

func (p pattern) key(member []byte) []byte { return slices.Concat(p.before, member, p.after) }

// lookup finds what the pattern names for each member; nil: nothing. ok is false
// when a key is not here.
func (p pattern) lookup(c *cmd.Ctx, items []item) (found [][]byte, ok bool) {
	found = make([][]byte, len(items))
	if !p.keyed {
		for i := range items {
			if p.self {
				found[i] = items[i].member
			}
		}
		return found, true
	}
	keys := make([][]byte, len(items))
	for i := range items {
		keys[i] = p.key(items[i].member)
	}
	if !c.Spans() && slices.ContainsFunc(keys, func(key []byte) bool { return !c.ReachableKey(key) }) {
		return nil, false
	}
	c.Prefetch(keys)
	for i, key := range keys {
		found[i] = p.value(c, key)
	}
	return found, true
}

func (p pattern) value(c *cmd.Ctx, key []byte) []byte {
	r := c.Lookup(key)
	switch {
	case p.field == nil && r.Type == keyspace.String:
		return present(r.Body)
	case p.field != nil && r.Type == keyspace.Hash:
		if v, ok := hash.Field(c, key, p.field); ok {
			return present(v)
		}
	}
	return nil
}

// present is a value that is there, even if it is empty.
func present(v []byte) []byte {
	if v == nil {
		return []byte{}
	}
	return v
}
