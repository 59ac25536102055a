package sim

import (
	"math"
	"slices"
	"time"

	"coterie/internal/base"
	"coterie/internal/partition"

	"github.com/anishathalye/porcupine"
	"github.com/cespare/xxhash/v2"
)

// position is a place in a partition's history.
type position struct {
	partition base.PartitionID
	index     uint64
}

// digestEvery is at which applied indexes replicas are compared.
const digestEvery = 5

// digest compares what replicas hold at equal positions.
func (c *cluster) digest(p *proc) {
	for _, r := range p.shard.Replicas() {
		s := r.State()
		if s.Index == p.digested[r.Partition()] || s.Index%digestEvery != 0 && !c.answered() || r.Overlay().Layers() > 0 ||
			!r.Initialized() || p.installing[r.Partition()] {
			continue
		}
		p.digested[r.Partition()] = s.Index
		h := xxhash.New()
		h.Write(partition.AppendState(nil, s)) //nolint:errcheck // never fails
		bounds := partitionBounds(r.Partition(), s.Span)
		for _, b := range bounds[:len(bounds)-1] {
			it := r.Overlay().Iter(b.Lower, b.Upper)
			for it.Next() {
				h.Write(it.Key())   //nolint:errcheck // never fails
				h.Write(it.Value()) //nolint:errcheck // never fails
			}
			it.Close()
		}
		at, sum := position{r.Partition(), s.Index}, h.Sum64()
		if before, ok := c.digests[at]; !ok {
			c.digests[at] = sum
		} else if before != sum {
			c.violate("n%d p%d differs from another replica at index %d: %+v", p.m.id, at.partition, at.index, *s)
		}
		c.stats.Digests++
	}
}

// verify checks the history when everything is over.
func (c *cluster) verify() {
	if len(c.broken) > 0 {
		return // the first violation is the one to look at
	}
	for _, p := range c.machines {
		if p.proc != nil && p.proc.router.Waiting() > 0 {
			c.violate("n%d still has %d requests under way", p.id, p.proc.router.Waiting())
		}
	}
	keys, perKey := byKey(c.history)
	for _, k := range keys {
		switch linearizable(perKey[k], 5*time.Second) {
		case porcupine.Illegal:
			c.violate("the history of %s is not linearizable", k)
			for _, o := range perKey[k] {
				c.trace("history: %v: call %d ret %d status %d value %d", o, o.call, o.ret, o.status, o.value)
			}
		case porcupine.Unknown:
			c.stats.Inconclusive++
		}
	}
}

// byKey groups a history, in order.
func byKey(history []*op) (names []string, perKey map[string][]*op) {
	perKey = map[string][]*op{}
	for _, o := range history {
		if perKey[o.key] == nil {
			names = append(names, o.key)
		}
		perKey[o.key] = append(perKey[o.key], o)
	}
	return names, perKey
}

// register is the model of one key: a number.
var register = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		v, o := state.(int64), input.(*op)
		known := o.status == partition.Done
		switch o.cmd {
		case cmdGet, cmdFetch:
			return !known || o.value == v, v
		case cmdSet:
			return true, o.arg
		case cmdSwap:
			return !known || o.value == v, o.arg
		case cmdCAS:
			if v == o.arg {
				return !known || o.value == 1, o.new
			}
			return !known || o.value == 0, v
		case cmdIncr:
			return !known || o.value == v+1, v + 1
		case cmdDelete:
			return true, int64(0)
		}
		return false, v
	},
	Equal: func(a, b any) bool { return a.(int64) == b.(int64) },
}

// linearizable checks one key's history. What was not run is left out: it must
// not have had an effect. What is unknown may happen at any time after its
// call, or never.
func linearizable(history []*op, limit time.Duration) porcupine.CheckResult {
	var ops []porcupine.Operation
	for _, o := range history {
		unknown := o.ret == 0 || o.status == partition.Unknown
		if o.ret != 0 && o.status == partition.NotRun || unknown && (o.cmd == cmdGet || o.cmd == cmdFetch) {
			continue
		}
		ret := o.ret
		if unknown {
			ret = math.MaxInt64
		}
		ops = append(ops, porcupine.Operation{ClientId: o.s.id, Input: o, Call: o.call, Output: o, Return: ret})
	}
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	return porcupine.CheckOperationsTimeout(register, ops, limit)
}
