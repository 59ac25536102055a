package zset

import (
	"bytes"
	"math"
	"slices"
	"sort"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/set"
	"coterie/internal/keyspace"
)

// operation is how sets become one.
type operation uint8

const (
	union operation = iota
	inter
	diff
)

func zUnion(c *command.Ctx)      { combineReply(c, union) }
func zInter(c *command.Ctx)      { combineReply(c, inter) }
func zDiff(c *command.Ctx)       { combineReply(c, diff) }
func zUnionStore(c *command.Ctx) { combineStore(c, union) }
func zInterStore(c *command.Ctx) { combineStore(c, inter) }
func zDiffStore(c *command.Ctx)  { combineStore(c, diff) }

func combineReply(c *command.Ctx, op operation) {
	m := combination{op: op, mayReply: true}
	if !m.parse(c, 1) {
		return
	}
	found := m.result()
	r := beginList(c, uint64(len(found)), m.withScores)
	for _, e := range found {
		if !r.add(e.Member, order(e.Score)) {
			return
		}
	}
}

func combineStore(c *command.Ctx, op operation) {
	m := combination{op: op}
	if !m.parse(c, 2) {
		return
	}
	found := m.result()
	Replace(c, c.Spec.Name, c.Args[1], found)
	c.Out.Int(int64(len(found)))
}

func zInterCard(c *command.Ctx) {
	m := combination{op: inter, count: true, limit: math.MaxInt64}
	if !m.parse(c, 1) {
		return
	}
	n := int64(0)
	m.intersect(func([]byte, float64) bool {
		n++
		return n < m.limit
	})
	c.Out.Int(n)
}

// input is one of the sets that are combined.
type input struct {
	set    source
	weight float64
}

// source is a set as a combination reads it.
type source interface {
	Len() uint64
	// Score is a member's score.
	Score(member []byte) (float64, bool)
	// Each visits all members until visit returns false; they stay valid.
	Each(visit func(member []byte, score float64) bool)
}

// openSource opens a sorted set or a set. ok is false when it replied with an
// error.
func openSource(c *command.Ctx, key []byte) (s source, ok bool) {
	if c.Lookup(key).Type == keyspace.Set {
		members, ok := set.Open(c, key)
		return plain{members}, ok
	}
	z, ok := Open(c, key)
	return &z, ok
}

// plain is a set as a sorted set in which every score is 1.
type plain struct{ *set.Set }

func (p plain) Len() uint64 { return uint64(p.Set.Len()) }

func (p plain) Score(member []byte) (float64, bool) { return 1, p.Has(member) }

func (p plain) Each(visit func(member []byte, score float64) bool) {
	p.Set.Each(func(member []byte) bool { return visit(bytes.Clone(member), 1) })
}

// combination is what ZUNION and its like ask for.
type combination struct {
	op         operation
	mayReply   bool // the result is replied with, so WITHSCORES makes sense
	count      bool // only the number is asked for
	inputs     []input
	aggregate  func(a, b float64) float64
	withScores bool
	limit      int64
}

// parse reads the number of keys at argument i and what follows. ok is false
// when it replied with an error.
func (m *combination) parse(c *command.Ctx, i int) (ok bool) {
	n, ok := c.Int(i)
	if !ok {
		return false
	}
	if n < 1 {
		c.Fail("ERR at least 1 input key is needed for '" + c.Spec.Full + "' command")
		return false
	}
	rest := c.Args[i+1:]
	if n > int64(len(rest)) {
		c.Fail(command.ErrSyntax)
		return false
	}
	for _, key := range rest[:n] {
		s, ok := openSource(c, key)
		if !ok {
			return false
		}
		m.inputs = append(m.inputs, input{s, 1})
	}
	m.aggregate = sum
	for rest = rest[n:]; len(rest) > 0; {
		taken := m.option(c, rest)
		if taken == 0 {
			return false
		}
		rest = rest[taken:]
	}
	if m.op != diff { // small ones first: an order that sums depend on, too
		sort.SliceStable(m.inputs, func(i, j int) bool { return m.inputs[i].set.Len() < m.inputs[j].set.Len() })
	}
	return true
}

// option reads one option and returns of how many arguments it is, or 0 when
// it replied with an error.
func (m *combination) option(c *command.Ctx, rest [][]byte) (taken int) {
	weighs := m.op != diff && !m.count
	switch {
	case weighs && len(rest) > len(m.inputs) && command.Is(rest[0], "WEIGHTS"):
		for i := range m.inputs {
			w, ok := number.ParseDouble(rest[1+i])
			if !ok {
				c.Fail("ERR weight value is not a float")
				return 0
			}
			m.inputs[i].weight = w
		}
		return 1 + len(m.inputs)
	case weighs && len(rest) >= 2 && command.Is(rest[0], "AGGREGATE"):
		switch {
		case command.Is(rest[1], "SUM"):
			m.aggregate = sum
		case command.Is(rest[1], "MIN"):
			m.aggregate = lesser
		case command.Is(rest[1], "MAX"):
			m.aggregate = greater
		default:
			c.Fail(command.ErrSyntax)
			return 0
		}
		return 2
	case m.mayReply && command.Is(rest[0], "WITHSCORES"):
		m.withScores = true
		return 1
	case m.count && len(rest) >= 2 && command.Is(rest[0], "LIMIT"):
		n, ok := number.ParseInt(rest[1])
		if !ok || n < 0 {
			c.Fail("ERR LIMIT can't be negative")
			return 0
		}
		if m.limit = n; n == 0 {
			m.limit = math.MaxInt64
		}
		return 2
	}
	c.Fail(command.ErrSyntax)
	return 0
}

// sum takes the sum of both infinities for 0.
func sum(a, b float64) float64 { return numeric(a + b) }

func lesser(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func greater(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// numeric is 0 for what is not a number.
func numeric(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// result is the combination's members in order.
func (m *combination) result() (found []Scored) {
	take := func(member []byte, score float64) bool {
		found = append(found, Scored{member, score})
		return true
	}
	switch m.op {
	case inter:
		m.intersect(take)
	case diff:
		m.subtract(take)
	default:
		at := map[string]int{}
		for _, in := range m.inputs {
			in.set.Each(func(member []byte, score float64) bool {
				score = numeric(score * in.weight)
				if i, had := at[string(member)]; had {
					found[i].Score = m.aggregate(found[i].Score, score)
				} else {
					at[string(member)] = len(found)
					take(member, score)
				}
				return true
			})
		}
	}
	slices.SortFunc(found, func(a, b Scored) int {
		switch {
		case a.Score < b.Score:
			return -1
		case a.Score > b.Score:
			return 1
		}
		return bytes.Compare(a.Member, b.Member)
	})
	return found
}

// intersect visits the members that all inputs have, until visit returns false.
func (m *combination) intersect(visit func(member []byte, score float64) bool) {
	first := m.inputs[0]
	first.set.Each(func(member []byte, score float64) bool {
		total := numeric(score * first.weight)
		for _, in := range m.inputs[1:] {
			s, had := in.set.Score(member)
			if !had {
				return true
			}
			total = m.aggregate(total, s*in.weight)
		}
		return visit(member, total)
	})
}

// subtract visits the first input's members that no other has.
func (m *combination) subtract(visit func(member []byte, score float64) bool) {
	m.inputs[0].set.Each(func(member []byte, score float64) bool {
		for _, in := range m.inputs[1:] {
			if _, had := in.set.Score(member); had {
				return true
			}
		}
		return visit(member, score)
	})
}
