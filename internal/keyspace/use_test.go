package keyspace

import "testing"

// TestUsesBounded: what is remembered of when keys were used takes no more cells than
// it says, however many keys there are; and the last ones are in them.
func TestUsesBounded(t *testing.T) {
	u := NewUses(0)
	const keys = 4 * maxUses
	rkey := make([]byte, 16)
	of := func(i int) []byte {
		for b := range 8 {
			rkey[7+b] = byte(uint64(i) * 0x9e3779b97f4a7c15 >> (8 * b))
		}
		return rkey
	}
	for i := range keys {
		u.touch(1, of(i), int64(i))
	}
	if len(u.clocks.cells) != maxUses {
		t.Errorf("%d cells, not %d", len(u.clocks.cells), maxUses)
	}
	known := 0
	for i := keys - maxUses/2; i < keys; i++ {
		if idle := u.idle(1, of(i), keys); idle <= int64(keys-i)+clockUnit {
			known++
		}
	}
	if known < maxUses/2*9/10 {
		t.Errorf("of the last %d keys, %d are known", maxUses/2, known)
	}
}
