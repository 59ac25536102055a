package workload

import (
	"fmt"
	"math"
	"strconv"
)

// expiry is keys with a time to live. Each key belongs to one connection,
// which alone writes it; everybody reads it.
type expiry struct {
	noSetup
	noReturned
	cfg   Config
	value int
	keys  []string
	known map[string]bool
	done  bool
}

func newExpiry(cfg Config) Workload { return &expiry{cfg: cfg, known: map[string]bool{}} }

// Next implements Workload.
func (w *expiry) Next(c Client) Command {
	r := w.cfg.Rand
	k := fmt.Sprintf("%s:e%d.%d.%d", w.cfg.Prefix, c.ID, c.Conn, r.IntN(w.cfg.Keys))
	w.value++
	v := strconv.Itoa(w.value)
	ttl := strconv.Itoa(30 + r.IntN(40)*r.IntN(40)) // ms
	n := r.IntN(100)
	if c.reads() {
		if len(w.keys) == 0 {
			return nil
		}
		n = 22 + r.IntN(78)
	} else if !w.known[k] {
		w.known[k] = true
		w.keys = append(w.keys, k)
		n = 0
	}
	switch {
	case n < 14:
		return Command{"SET", k, v, "PX", ttl}
	case n < 16:
		return Command{"SET", k, v}
	case n < 20:
		return Command{"PEXPIRE", k, ttl}
	case n < 22:
		return Command{"PERSIST", k}
	}
	// Mostly keys of late.
	k = w.keys[max(0, len(w.keys)-1-r.IntN(recentKeys*w.cfg.Keys))]
	switch {
	case n < 70:
		return Command{"GET", k}
	case n < 85:
		return Command{"PEXPIRETIME", k}
	}
	return Command{"PTTL", k}
}

// recentKeys is how many of the newest keys are read, for each of Config.Keys.
const recentKeys = 12

// Final implements Workload.
func (w *expiry) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for _, k := range w.keys {
		all = append(all, Command{"GET", k})
	}
	return all
}

// deadlineStep is how coarse deadlines are, µs, twice.
const deadlineStep = 2000

func checkExpiry(h *History, r *Report) {
	names, groups := h.byKey()
	for _, name := range names {
		k := &expiryKey{name: name, slack: h.Slack + deadlineStep, r: r}
		k.read(groups[name])
		k.check()
	}
}

// expiryKey is the history of one key.
type expiryKey struct {
	name  string
	slack int64 // µs
	r     *Report

	sets   []*expirySet
	there  []*expirySeen // answers of commands that found the key
	absent []*expirySeen // answers of commands that did not
}

// expirySet is a SET with the changes of its time to live that may have come
// to it. Writes of a key take effect in their order.
type expirySet struct {
	op      *Op
	value   string
	ttl     int64 // µs; 0: none
	changes []*Op // PEXPIRE, PERSIST
	seen    int64 // the first return of a read that found it
}

// by is the latest time at which the set took effect, if it did.
func (s *expirySet) by() int64 { return min(s.op.end(), s.seen) }

// expirySeen is what one command found; upTo is how many sets had been sent
// before it on the key's own connection, if it is a write.
type expirySeen struct {
	op   *Op
	upTo int
}

func millis(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n * 1000
}

// read sorts the ops.
func (k *expiryKey) read(ops []*Op) {
	for _, o := range ops {
		if o.refused() {
			continue
		}
		switch o.Command[0] {
		case "SET":
			s := &expirySet{op: o, value: o.Command[2], seen: math.MaxInt64}
			if len(o.Command) > 3 {
				s.ttl = millis(o.Command[4])
			}
			k.sets = append(k.sets, s)
			continue
		case "PEXPIRE", "PERSIST":
			if len(k.sets) > 0 {
				last := k.sets[len(k.sets)-1]
				last.changes = append(last.changes, o)
			}
		}
		if !o.answered() {
			continue
		}
		seen := &expirySeen{op: o, upTo: len(k.sets)}
		switch v := o.value(); {
		case o.Command[0] == "PERSIST" && v.Int == 0: // gone, or without a time to live
		case v.Err() != nil:
			k.r.Violate([]*Op{o}, "key %s: an unexpected answer", k.name)
		case v.Null || v.Int == -2 || o.Command[0] == "PEXPIRE" && v.Int == 0:
			k.absent = append(k.absent, seen)
		default:
			k.there = append(k.there, seen)
		}
	}
	for _, x := range k.there {
		if x.op.Command[0] == "GET" {
			if s := k.set(x.op.value().Text()); s != nil {
				s.seen = min(s.seen, x.op.Return)
			}
		}
	}
}

func (k *expiryKey) set(value string) *expirySet {
	for _, s := range k.sets {
		if s.value == value {
			return s
		}
	}
	return nil
}

func (k *expiryKey) check() {
	for _, x := range k.there {
		k.checkReturn(x.op)
		if x.op.Command[0] == "GET" {
			k.checkValue(x.op)
		}
	}
	for _, x := range k.absent {
		k.checkAbsent(x.op)
	}
	k.checkStamps()
}

// checkReturn: a key that was seen to be gone comes back only by a SET.
func (k *expiryKey) checkReturn(o *Op) {
	var gone *Op // the last command before o that did not find the key
	for _, x := range k.absent {
		if x.op.Return < o.Call && (gone == nil || x.op.Call > gone.Call) {
			gone = x.op
		}
	}
	if gone == nil {
		return
	}
	for _, s := range k.sets {
		if s.op.Call <= o.Return && s.by() >= gone.Call {
			return
		}
	}
	k.r.Violate([]*Op{gone, o}, "key %s: it was gone, and came back without a SET", k.name)
}

// checkValue: a value that is read was set, was not written over, and was not
// due to expire long ago.
func (k *expiryKey) checkValue(o *Op) {
	s := k.set(o.value().Text())
	if s == nil || s.op.Call > o.Return {
		k.r.Violate([]*Op{o}, "key %s: a value that was not set, or refused as not run", k.name)
		return
	}
	later := false
	for _, x := range k.sets {
		if x == s {
			later = true
		} else if later && x.by() < o.Call {
			k.r.Violate([]*Op{s.op, x.op, o}, "key %s: a value that had been written over", k.name)
			return
		}
	}
	for _, x := range k.absent {
		if s.by() < x.op.Call && x.op.Return < o.Call {
			k.r.Violate([]*Op{s.op, x.op, o}, "key %s: a value that was gone came back", k.name)
			return
		}
	}
	if due, ok := s.latest(); ok && o.Call > due+k.slack {
		k.r.Violate([]*Op{s.op, o}, "key %s: a value that should have expired %d ms ago", k.name, (o.Call-due)/1000)
	}
}

// latest is the latest time at which the value can expire; ok is false if
// there is no saying.
func (s *expirySet) latest() (due int64, ok bool) {
	if s.ttl == 0 || !s.op.answered() {
		return 0, false
	}
	due = s.op.Return + s.ttl
	for _, c := range s.changes {
		if c.Command[0] == "PERSIST" || !c.answered() {
			return 0, false
		}
		due = max(due, c.Return+millis(c.Command[2]))
	}
	return due, true
}

// earliest is the earliest time at which the value can expire.
func (s *expirySet) earliest() int64 {
	due := int64(math.MaxInt64)
	if s.ttl != 0 {
		due = s.op.Call + s.ttl
	}
	for _, c := range s.changes {
		if c.Command[0] == "PEXPIRE" {
			due = min(due, c.Call+millis(c.Command[2]))
		}
	}
	return due
}

// checkAbsent: a key that is gone was not set yet, or its time had come.
func (k *expiryKey) checkAbsent(o *Op) {
	last := -1 // the last set that had certainly taken effect
	for i, s := range k.sets {
		if s.by() < o.Call {
			last = i
		}
	}
	if last < 0 {
		return
	}
	var why []*Op
	for _, s := range k.sets[last:] { // what the key can have held
		if s.op.Call > o.Return {
			break
		}
		if s.earliest() <= o.Return+k.slack {
			return
		}
		why = append(why, s.op)
	}
	k.r.Violate(append(why, o), "key %s: it was gone before its time, or lost", k.name)
}

// checkStamps: the time of the cluster, as the deadlines tell it, does not go
// backwards from one SET to a later one.
func (k *expiryKey) checkStamps() {
	var lastOp *Op
	lastSet, lastStamp := 0, int64(0)
	for _, x := range k.there {
		o := x.op
		if o.Command[0] != "PEXPIRETIME" || o.value().Int < 0 {
			continue
		}
		i, ok := k.only(o)
		if !ok || len(k.sets[i].changes) > 0 || k.sets[i].ttl == 0 {
			continue
		}
		stamp := o.value().Int*1000 - k.sets[i].ttl
		switch {
		case lastOp != nil && i == lastSet && stamp != lastStamp:
			k.r.Violate([]*Op{k.sets[i].op, lastOp, o}, "key %s: the deadline of a value changed", k.name)
		case lastOp != nil && i > lastSet && stamp < lastStamp:
			k.r.Violate([]*Op{k.sets[lastSet].op, lastOp, k.sets[i].op, o},
				"key %s: the time of a later SET lies %d ms before that of an earlier one", k.name, (lastStamp-stamp)/1000)
		}
		if lastOp == nil || i >= lastSet {
			lastOp, lastSet, lastStamp = o, i, stamp
		}
	}
}

// only is the one set whose value o can have seen.
func (k *expiryKey) only(o *Op) (i int, ok bool) {
	i = -1
	for n, s := range k.sets {
		switch {
		case s.op.Call > o.Return:
			return i, i >= 0
		case s.by() < o.Call:
			i = n
		default: // may or may not be there
			return 0, false
		}
	}
	return i, i >= 0
}
