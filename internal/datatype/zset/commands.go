package zset

import (
	"math"

	"coterie/internal/command"
	"coterie/internal/command/number"
)

func zAdd(c *command.Ctx) {
	if a, first, ok := parseAdd(c); ok {
		a.run(c, first)
	}
}

func zIncrBy(c *command.Ctx) { (&Adding{Incr: true}).run(c, 2) }

// Adding is the options of ZADD.
type Adding struct {
	NX, XX, GT, LT bool
	Changed        bool // the reply counts members whose score changed, too
	Incr           bool // the one score is added to what is there
}

// parseAdd reads ZADD's options; first is the first score. ok is false when it
// replied with an error.
func parseAdd(c *command.Ctx) (a Adding, first int, ok bool) {
	words := []struct {
		word string
		set  *bool
	}{{"NX", &a.NX}, {"XX", &a.XX}, {"CH", &a.Changed}, {"INCR", &a.Incr}, {"GT", &a.GT}, {"LT", &a.LT}}
	first = 2
options:
	for ; first < len(c.Args); first++ {
		for _, w := range words {
			if command.Is(c.Args[first], w.word) {
				*w.set = true
				continue options
			}
		}
		break
	}
	n := len(c.Args) - first
	switch {
	case n == 0 || n%2 == 1:
		c.Fail(command.ErrSyntax)
	case a.NX && a.XX:
		c.Fail("ERR XX and NX options at the same time are not compatible")
	case a.GT && a.NX || a.LT && a.NX || a.GT && a.LT:
		c.Fail("ERR GT, LT, and/or NX options at the same time are not compatible")
	case a.Incr && n > 2:
		c.Fail("ERR INCR option supports a single increment-element pair")
	default:
		return a, first, true
	}
	return a, first, false
}

// run adds the pairs of scores and members from argument i on.
func (a *Adding) run(c *command.Ctx, i int) {
	var room [4]Scored
	pairs := room[:0]
	for ; i < len(c.Args); i += 2 {
		score, ok := number.ParseDouble(c.Args[i])
		if !ok {
			c.Fail(command.ErrNotFloat)
			return
		}
		pairs = append(pairs, Scored{c.Args[i+1], score})
	}
	a.Run(c, pairs)
}

// Run adds members to the set under argument 1, and replies.
func (a *Adding) Run(c *command.Ctx, pairs []Scored) {
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	added, updated := int64(0), int64(0)
	result, done := 0.0, false
	for _, e := range pairs {
		old, had := z.order(e.Member)
		if had && a.NX || !had && a.XX {
			continue
		}
		if had && a.Incr {
			e.Score += unorder(old)
		}
		if math.IsNaN(e.Score) { // an increment is alone, so nothing was written
			c.Fail("ERR resulting score is not a number (NaN)")
			return
		}
		o := order(e.Score)
		if had && (a.LT && o >= old || a.GT && o <= old) {
			continue
		}
		result, done = unorder(o), true
		switch {
		case !had:
			added++
			z.put(e.Member, o)
		case o != old:
			updated++
			z.move(e.Member, old, o)
		}
	}
	event := "zadd"
	if a.Incr {
		event = "zincr"
	}
	z.Store(event)
	switch {
	case a.Incr && done:
		c.Out.Double(result)
	case a.Incr:
		c.Out.Null()
	case a.Changed:
		c.Out.Int(added + updated)
	default:
		c.Out.Int(added)
	}
}

func zRem(c *command.Ctx) {
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	n := int64(0)
	for _, member := range c.Args[2:] {
		if z.remove(member) {
			n++
		}
	}
	z.Store("zrem")
	c.Out.Int(n)
}

func zCard(c *command.Ctx) {
	if z, ok := Open(c, c.Args[1]); ok {
		c.Out.Int(int64(z.Len()))
	}
}

func zScore(c *command.Ctx) {
	if z, ok := Open(c, c.Args[1]); ok {
		replyScore(c, &z, c.Args[2])
	}
}

func replyScore(c *command.Ctx, z *Value, member []byte) {
	if score, ok := z.Score(member); ok {
		c.Out.Double(score)
	} else {
		c.Out.Null()
	}
}

func zmScore(c *command.Ctx) {
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		replyScore(c, &z, member)
	}
}

func zRank(c *command.Ctx)    { rankOf(c, false) }
func zRevRank(c *command.Ctx) { rankOf(c, true) }

func rankOf(c *command.Ctx, reverse bool) {
	withScore := len(c.Args) == 4
	switch {
	case len(c.Args) > 4:
		c.Fail(c.Spec.ArityError())
		return
	case withScore && !command.Is(c.Args[3], "WITHSCORE"):
		c.Fail(command.ErrSyntax)
		return
	}
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	rank, o, found := z.rank(c.Args[2])
	switch {
	case !found && withScore:
		c.Out.NullArray()
		return
	case !found:
		c.Out.Null()
		return
	case reverse:
		rank = z.Len() - 1 - rank
	}
	if withScore {
		c.Out.Array(2)
	}
	c.Out.Int(int64(rank))
	if withScore {
		c.Out.Double(unorder(o))
	}
}
