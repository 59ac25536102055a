package zset

import "coterie/internal/command"

// zRandMember picks members by rank, all equally likely.
func zRandMember(c *command.Ctx) {
	if len(c.Args) == 2 {
		z, ok := Open(c, c.Args[1])
		switch {
		case !ok:
		case z.Len() == 0:
			c.Out.Null()
		default:
			member, _ := z.at(c.Txn.Rand() % z.Len())
			c.Out.Bulk(member)
		}
		return
	}
	count, withScores, ok := c.SampleSize("WITHSCORES")
	if !ok {
		return
	}
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	switch n := int64(z.Len()); {
	case n == 0 || count == 0:
		c.Out.Array(0)
	case count < 0:
		z.pickWithRepeats(uint64(-count), withScores)
	default:
		z.pickDistinct(uint64(min(count, n)), withScores)
	}
}

func (z *Value) pickWithRepeats(n uint64, withScores bool) {
	r := beginList(z.c, n, withScores)
	for range n {
		if !r.add(z.at(z.c.Txn.Rand() % z.Len())) {
			return
		}
	}
}

// pickDistinct picks n different members: by walking through all when that is
// not much more than n, else by drawing until there are enough.
func (z *Value) pickDistinct(n uint64, withScores bool) {
	all := z.Len()
	r := beginList(z.c, n, withScores)
	if n*3 >= all || all <= maxInlineMembers {
		z.walk(span{0, all}, false, func(member []byte, o uint64) bool {
			if z.c.Txn.Rand()%all < n {
				n--
				if !r.add(member, o) {
					return false
				}
			}
			all--
			return n > 0
		})
		return
	}
	seen := make(map[uint64]bool, n)
	for uint64(len(seen)) < n {
		rank := z.c.Txn.Rand() % all
		if seen[rank] {
			continue
		}
		seen[rank] = true
		if !r.add(z.at(rank)) {
			return
		}
	}
}
