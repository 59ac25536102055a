package workload

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/anishathalye/porcupine"
)

// searchLimit bounds the search for one key's order, ns of real time. A search
// that needs longer is counted as inconclusive, not as right.
const searchLimit = 5_000_000_000

// keyModel is one key for porcupine. Inputs are commands, outputs are
// canonical replies; an unknown outcome fits any.
var keyModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		next, reply := apply(state.(string), input.(Command))
		want, known := output.(string)
		return !known || reply == want, next
	},
	Equal: func(a, b any) bool { return a.(string) == b.(string) },
}

// checkLinearizable: each key behaves as if every command took effect at one
// point between its call and its return. Refused commands are left out: they
// must not have had an effect. Unknown ones return at infinity.
func checkLinearizable(h *History, r *Report) {
	names, groups := h.byKey()
	for _, name := range names {
		switch search(keyModel, groups[name], forever) {
		case porcupine.Illegal:
			r.Violate(shortest(keyModel, groups[name]), "the history of key %s is not linearizable", name)
		case porcupine.Unknown:
			r.Inconclusive++
		}
	}
}

// forever is later than everything.
const forever = math.MaxInt64

// search looks for an order of what was known at a time: what had not
// returned then is unknown.
func search(m porcupine.Model, history []*Op, at int64) porcupine.CheckResult {
	ops := make([]porcupine.Operation, 0, len(history))
	for _, o := range history {
		if o.Call > at || o.refused() {
			continue
		}
		x := porcupine.Operation{ClientId: o.ID, Input: o.Command, Call: o.Call, Return: math.MaxInt64}
		if o.answered() && o.Return <= at {
			x.Output, x.Return = canonical(o), o.Return
		} else if o.Command.Reads() {
			continue
		}
		ops = append(ops, x)
	}
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return porcupine.CheckOperationsTimeout(m, ops, searchLimit)
}

// shortest is what had been called of a history when it first could not be
// put into an order any more. From then on it stays so.
func shortest(m porcupine.Model, history []*Op) []*Op {
	var times []int64
	for _, o := range history {
		if o.answered() {
			times = append(times, o.Return)
		}
	}
	slices.Sort(times)
	i := sort.Search(len(times), func(i int) bool { return search(m, history, times[i]) == porcupine.Illegal })
	if i == len(times) {
		return history
	}
	return slices.DeleteFunc(slices.Clone(history), func(o *Op) bool { return o.Call > times[i] })
}
