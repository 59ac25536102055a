package set

import (
	"bytes"
	"math"
	"slices"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/resp"
)

// combine visits the members of a result that is made of several sets, each
// once, until visit returns false. visit must not write; a member is valid
// until it returns.
type combine func(sets []*Set, visit func(member []byte) bool)

// openAll opens sets; an absent one is empty. ok is false when it replied with
// an error.
func openAll(c *command.Ctx, keys [][]byte) (sets []*Set, ok bool) {
	for _, key := range keys {
		s, ok := Open(c, key)
		if !ok {
			return nil, false
		}
		sets = append(sets, s)
	}
	return sets, true
}

// intersection visits what is in all sets.
func intersection(sets []*Set, visit func(member []byte) bool) {
	sets = slices.Clone(sets)
	slices.SortStableFunc(sets, func(a, b *Set) int { return a.Len() - b.Len() })
	sets[0].Each(func(member []byte) bool {
		for _, s := range sets[1:] {
			if !s.Has(member) {
				return true
			}
		}
		return visit(member)
	})
}

// difference visits what is in the first set and in no other.
func difference(sets []*Set, visit func(member []byte) bool) {
	sets[0].Each(func(member []byte) bool {
		for _, s := range sets[1:] {
			if s.Has(member) {
				return true
			}
		}
		return visit(member)
	})
}

// union visits what is in any set.
func union(sets []*Set, visit func(member []byte) bool) {
	seen := map[string]bool{}
	for i, s := range sets {
		more := true
		s.Each(func(member []byte) bool {
			if seen[string(member)] {
				return true
			}
			if i+1 < len(sets) {
				seen[string(member)] = true
			}
			more = visit(member)
			return more
		})
		if !more {
			return
		}
	}
}

// replyCombined is SINTER, SUNION and SDIFF.
func replyCombined(f combine) func(*command.Ctx) {
	return func(c *command.Ctx) {
		sets, ok := openAll(c, c.Args[1:])
		if !ok {
			return
		}
		n := 0
		w := resp.Writer{Buf: c.Buf[:0], Proto: c.Out.Proto}
		f(sets, func(member []byte) bool {
			w.Bulk(member)
			n++
			return len(w.Buf) <= c.Limits.MaxReply
		})
		c.Buf = w.Buf
		if len(w.Buf) > c.Limits.MaxReply {
			c.Fail(command.ErrReplyTooLarge)
			return
		}
		c.Out.Set(n)
		c.Out.Raw(w.Buf)
	}
}

// storeCombined is SINTERSTORE, SUNIONSTORE and SDIFFSTORE.
func storeCombined(f combine) func(*command.Ctx) {
	return func(c *command.Ctx) {
		sets, ok := openAll(c, c.Args[2:])
		if !ok {
			return
		}
		var members [][]byte
		f(sets, func(member []byte) bool {
			members = append(members, bytes.Clone(member))
			return true
		})
		out := &Set{c: c, key: c.Args[1], old: c.Lookup(c.Args[1]), changed: true, replaces: true}
		for _, member := range members {
			out.Add(member)
		}
		n := out.Len()
		out.Store(c.Spec.Name)
		c.Out.Int(int64(n))
	}
}

func sInterCard(c *command.Ctx) {
	n, ok := number.ParseInt(c.Args[1])
	switch {
	case !ok || n < 1:
		c.Fail("ERR numkeys should be greater than 0")
		return
	case n > int64(len(c.Args)-2):
		c.Fail("ERR Number of keys can't be greater than number of args")
		return
	}
	limit := int64(math.MaxInt64)
	for i := 2 + int(n); i < len(c.Args); i += 2 {
		if i+1 == len(c.Args) || !command.Is(c.Args[i], "LIMIT") {
			c.Fail(command.ErrSyntax)
			return
		}
		switch limit, ok = number.ParseInt(c.Args[i+1]); {
		case !ok || limit < 0:
			c.Fail("ERR LIMIT can't be negative")
			return
		case limit == 0:
			limit = math.MaxInt64
		}
	}
	sets, ok := openAll(c, c.Args[2:2+n])
	if !ok {
		return
	}
	found := int64(0)
	intersection(sets, func([]byte) bool {
		found++
		return found < limit
	})
	c.Out.Int(found)
}
