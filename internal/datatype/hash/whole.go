package hash

import (
	"coterie/internal/command"
	"coterie/internal/keyspace"
)

// What other packages need of hashes.

// Field is the value of a field of the hash under a key, which holds one or
// nothing.
func Field(c *command.Ctx, key, field []byte) (v []byte, ok bool) {
	h, ok := open(c, key)
	if !ok {
		return nil, false
	}
	return h.get(field)
}

// Len is the number of fields under a key, which holds a hash or nothing.
func Len(c *command.Ctx, key []byte) int {
	h, ok := open(c, key)
	if !ok {
		return 0
	}
	return h.len()
}

// Each calls f with the fields and values under a key, which holds a hash or
// nothing, until f returns false.
func Each(c *command.Ctx, key []byte, f func(field, v []byte) bool) {
	if h, ok := open(c, key); ok {
		h.each(f)
	}
}

// Make stores a hash of fields, each with its value behind it, under a key that
// there is not. It tells nobody.
func Make(c *command.Ctx, key []byte, items [][]byte) {
	h := load(c.Space, key, keyspace.Record{})
	for i := 0; i+1 < len(items); i += 2 {
		h.put(items[i], items[i+1], 0)
	}
	h.write()
}
