package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds of order between two transactions.
const (
	orderWW   = 1 << iota // one wrote before the other
	orderWR               // one wrote what the other read
	orderRW               // one did not read what the other wrote
	orderTime             // one was over before the other began
)

// precedes says that one transaction came before another.
type precedes struct {
	from, to int
	kind     int
	why      string
}

// orders is a graph of transactions; nodes behind the last of them are moments.
type orders struct {
	txns int
	from [][]precedes
}

func newOrders(txns int) *orders { return &orders{txns: txns} }

func (g *orders) add(from, to, kind int, why string) {
	for len(g.from) <= max(from, to) {
		g.from = append(g.from, nil)
	}
	if from != to {
		g.from[from] = append(g.from[from], precedes{from, to, kind, why})
	}
}

// shortest is a shortest circle of the worst sort that there is, as its orders
// between transactions.
func (g *orders) shortest() []precedes {
	for _, kinds := range []int{
		orderWW, orderWW | orderWR, orderWW | orderWR | orderRW,
		orderWW | orderTime, orderWW | orderWR | orderTime, orderWW | orderWR | orderRW | orderTime,
	} {
		if found := g.circle(kinds); found != nil {
			return g.joined(found)
		}
	}
	return nil
}

// circle is a shortest circle of orders of some kinds.
func (g *orders) circle(kinds int) (best []precedes) {
	in := g.knotted(kinds)
	came := make([]precedes, len(g.from))
	seen := make([]int, len(g.from))
	for start := range g.txns {
		if start >= len(in) || !in[start] {
			continue
		}
		queue := []int{start}
		found := false
		for len(queue) > 0 && !found {
			at := queue[0]
			queue = queue[1:]
			for _, e := range g.from[at] {
				if e.kind&kinds == 0 || !in[e.to] || seen[e.to] == start+1 {
					continue
				}
				seen[e.to], came[e.to] = start+1, e
				if found = e.to == start; found {
					break
				}
				queue = append(queue, e.to)
			}
		}
		if !found {
			continue
		}
		var path []precedes
		for e := came[start]; ; e = came[e.from] {
			path = append(path, e)
			if e.from == start {
				break
			}
		}
		if slices.Reverse(path); best == nil || len(path) < len(best) {
			best = path
		}
		if len(best) == 2 {
			break
		}
	}
	return best
}

// knotted leaves out, again and again, what nothing comes before.
func (g *orders) knotted(kinds int) (in []bool) {
	before := make([]int, len(g.from))
	for _, es := range g.from {
		for _, e := range es {
			if e.kind&kinds != 0 {
				before[e.to]++
			}
		}
	}
	in = make([]bool, len(g.from))
	var free []int
	for i, n := range before {
		if in[i] = true; n == 0 {
			free = append(free, i)
		}
	}
	for len(free) > 0 {
		i := free[len(free)-1]
		free = free[:len(free)-1]
		in[i] = false
		for _, e := range g.from[i] {
			if e.kind&kinds == 0 {
				continue
			}
			if before[e.to]--; before[e.to] == 0 {
				free = append(free, e.to)
			}
		}
	}
	return in
}

// joined makes one order of those that go through moments.
func (g *orders) joined(path []precedes) (short []precedes) {
	for _, e := range path {
		if n := len(short); n > 0 && e.from >= g.txns {
			short[n-1].to = e.to
			continue
		}
		short = append(short, e)
	}
	return short
}

// tell is a circle in words: what it is called, and each of its orders.
func (g *orders) tell(circle []precedes, name func(node int) string) string {
	count := map[int]int{}
	for _, e := range circle {
		count[e.kind]++
	}
	what := "G2, write skew"
	switch {
	case count[orderRW] == 1:
		what = "G-single, read skew"
	case count[orderRW] == 0 && count[orderWR] > 0:
		what = "G1c, a circle of reads"
	case count[orderRW] == 0:
		what = "G0, a circle of writes"
	}
	if count[orderTime] > 0 {
		what += ", against real time"
	}
	var b strings.Builder
	b.WriteString(what)
	sep := ": "
	for _, e := range circle {
		why := e.why
		if e.kind == orderTime {
			why = "it was over when the other was called"
		}
		fmt.Fprintf(&b, "%s%s before %s (%s)", sep, name(e.from), name(e.to), why)
		sep = ", "
	}
	return b.String()
}
