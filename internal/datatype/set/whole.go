package set

import "coterie/internal/command"

// Make stores a set of members, no two the same, under a key that there is not.
// It tells nobody.
func Make(c *command.Ctx, key []byte, members [][]byte) {
	s := &Set{c: c, key: key, expect: len(members)}
	for _, m := range members {
		s.Add(m)
	}
	s.Store("")
}
