package zset

import (
	"coterie/internal/command"
)

// query is what ZRANGE and its like ask for.
type query struct {
	kind       kind
	reverse    bool
	withScores bool
	offset     int64
	limit      int64 // -1: none
	bounds     bounds
}

// fixed says what of a query the command's name has decided.
type fixed struct {
	kind, direction, store bool
}

// parse reads a query: the range at argument i, then options. ok is false when
// it replied with an error.
func (q *query) parse(c *command.Ctx, i int, f fixed) (ok bool) {
	q.limit = -1
	for j := i + 2; j < len(c.Args); j++ {
		switch arg := c.Args[j]; {
		case !f.store && command.Is(arg, "WITHSCORES"):
			q.withScores = true
		case command.Is(arg, "LIMIT") && j+2 < len(c.Args):
			if q.offset, ok = c.Int(j + 1); !ok {
				return false
			}
			if q.limit, ok = c.Int(j + 2); !ok {
				return false
			}
			j += 2
		case !f.direction && command.Is(arg, "REV"):
			q.reverse, f.direction = true, true
		case !f.kind && command.Is(arg, "BYLEX"):
			q.kind, f.kind = members, true
		case !f.kind && command.Is(arg, "BYSCORE"):
			q.kind, f.kind = scores, true
		default:
			c.Fail(command.ErrSyntax)
			return false
		}
	}
	if q.limit != -1 && q.kind == ranks {
		c.Fail("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
		return false
	}
	if q.withScores && q.kind == members {
		c.Fail("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
		return false
	}
	least, most := i, i+1
	if q.reverse && q.kind != ranks { // given as max, min
		least, most = most, least
	}
	q.bounds, ok = parseBounds(c, q.kind, least, most)
	return ok
}

// find is the ranks of the answer.
func (q *query) find(z *Value) span {
	n := z.Len()
	if n == 0 {
		return span{}
	}
	s := q.bounds.of(z)
	if q.kind == ranks {
		if q.reverse {
			s = s.backward(n)
		}
		return s
	}
	if q.offset < 0 || uint64(q.offset) >= s.len() {
		return span{}
	}
	count := s.len() - uint64(q.offset)
	if q.limit >= 0 {
		count = min(count, uint64(q.limit))
	}
	if q.reverse {
		end := s.end - uint64(q.offset)
		return span{end - count, end}
	}
	first := s.first + uint64(q.offset)
	return span{first, first + count}
}

func zRange(c *command.Ctx) { rangeReply(c, query{}, fixed{}) }
func zRevRange(c *command.Ctx) {
	rangeReply(c, query{reverse: true}, fixed{kind: true, direction: true})
}
func zRangeByScore(c *command.Ctx) {
	rangeReply(c, query{kind: scores}, fixed{kind: true, direction: true})
}
func zRangeByLex(c *command.Ctx) {
	rangeReply(c, query{kind: members}, fixed{kind: true, direction: true})
}
func zRevRangeByLex(c *command.Ctx) {
	rangeReply(c, query{kind: members, reverse: true}, fixed{kind: true, direction: true})
}
func zRevRangeByScore(c *command.Ctx) {
	rangeReply(c, query{kind: scores, reverse: true}, fixed{kind: true, direction: true})
}

func rangeReply(c *command.Ctx, q query, f fixed) {
	if !q.parse(c, 2, f) {
		return
	}
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	s := q.find(&z)
	r := beginList(c, s.len(), q.withScores)
	z.walk(s, q.reverse, r.add)
}

// list is a reply of members, with or without scores.
type list struct {
	c          *command.Ctx
	start      int
	withScores bool
	nested     bool // each member and its score are an array
}

// beginList begins a reply of n members. Scores stand beside them in RESP2,
// and in an array with each in RESP3.
func beginList(c *command.Ctx, n uint64, withScores bool) list {
	l := list{c: c, start: len(c.Out.Buf), withScores: withScores, nested: withScores && c.Out.Proto == 3}
	if withScores && !l.nested {
		n *= 2
	}
	c.Out.Array(int(n))
	return l
}

// add adds a member; false says that the reply became too large, and an error.
func (l *list) add(member []byte, o uint64) bool {
	if l.nested {
		l.c.Out.Array(2)
	}
	l.c.Out.Bulk(member)
	if l.withScores {
		l.c.Out.Double(unorder(o))
	}
	return l.c.Fits(l.start)
}

func zRangeStore(c *command.Ctx) {
	q := query{}
	if !q.parse(c, 3, fixed{store: true}) {
		return
	}
	z, ok := Open(c, c.Args[2])
	if !ok {
		return
	}
	var found []Scored
	z.walk(q.find(&z), false, func(member []byte, o uint64) bool {
		found = append(found, Scored{member, unorder(o)})
		return true
	})
	Replace(c, "zrangestore", c.Args[1], found)
	c.Out.Int(int64(len(found)))
}

func zCount(c *command.Ctx)    { countIn(c, scores) }
func zLexCount(c *command.Ctx) { countIn(c, members) }

func countIn(c *command.Ctx, k kind) {
	b, ok := parseBounds(c, k, 2, 3)
	if !ok {
		return
	}
	if z, ok := Open(c, c.Args[1]); ok {
		c.Out.Int(int64(b.of(&z).len()))
	}
}

func zRemRangeByRank(c *command.Ctx)  { removeIn(c, ranks) }
func zRemRangeByScore(c *command.Ctx) { removeIn(c, scores) }
func zRemRangeByLex(c *command.Ctx)   { removeIn(c, members) }

func removeIn(c *command.Ctx, k kind) {
	b, ok := parseBounds(c, k, 2, 3)
	if !ok {
		return
	}
	z, ok := Open(c, c.Args[1])
	if !ok {
		return
	}
	s := b.of(&z)
	z.cut(s)
	z.Store(c.Spec.Name)
	c.Out.Int(int64(s.len()))
}
