package workload

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// queue is lists as queues: each element is pushed once, and workers wait for
// some to take. A queue is two lists, and some workers move elements from the
// first to the second.
type queue struct {
	noSetup
	noReturned
	cfg  Config
	next int
	done bool
}

func newQueue(cfg Config) Workload { return &queue{cfg: cfg} }

func (w *queue) key(i int, list string) string {
	return fmt.Sprintf("%s:{%s%d}:%s", w.cfg.Prefix, w.cfg.Prefix, i, list)
}

// Next implements Workload.
func (w *queue) Next(c Client) Command {
	i := w.cfg.Rand.IntN(w.cfg.Keys)
	first, second := w.key(i, "a"), w.key(i, "b")
	if c.reads() {
		return Command{"LLEN", first}
	}
	timeout := strconv.FormatFloat(0.01+0.01*float64(w.cfg.Rand.IntN(1+w.cfg.Rand.IntN(100))), 'f', 2, 64)
	switch n := w.cfg.Rand.IntN(100); {
	case n < 45:
		w.next++
		return Command{"RPUSH", first, strconv.Itoa(w.next)}
	case n < 70:
		return Command{"BLPOP", first, second, timeout}
	case n < 80:
		return Command{"BLPOP", second, timeout}
	case n < 95:
		return Command{"BLMOVE", first, second, "LEFT", "RIGHT", timeout}
	}
	return Command{"LLEN", second}
}

// Final implements Workload.
func (w *queue) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for i := range w.cfg.Keys {
		all = append(all, Command{"LRANGE", w.key(i, "a"), "0", "-1"}, Command{"LRANGE", w.key(i, "b"), "0", "-1"})
	}
	return all
}

// element is what is known of one.
type element struct {
	value string
	push  *Op
	moved *Op    // from the first list to the second
	taken *Op    // from either
	from  string // the list that it was taken from
	rests string // the list that it is in at the end
	read  *Op    // that showed it there
}

// queueHistory is one queue's.
type queueHistory struct {
	name     string
	elements map[string]*element
	order    []*element // as they were pushed
	ops      []*Op
	finals   int
	vague    int // commands that may have taken an element nobody saw
}

func checkQueue(h *History, r *Report) {
	queues := map[string]*queueHistory{}
	var order []*queueHistory
	for _, o := range h.Ops {
		name, _ := queueOf(o.Command.Key())
		q := queues[name]
		if q == nil {
			q = &queueHistory{name: name, elements: map[string]*element{}}
			queues[name], order = q, append(order, q)
		}
		q.ops = append(q.ops, o)
		if o.Command[0] == "RPUSH" {
			e := &element{value: o.Command[2], push: o}
			q.elements[e.value], q.order = e, append(q.order, e)
		}
	}
	for _, q := range order {
		for _, o := range q.ops {
			q.note(o, r)
		}
		q.checkLost(r)
		q.checkOrder(r)
		q.checkStuck(r)
	}
}

// queueOf splits a key.
func queueOf(key string) (name, list string) {
	i := strings.LastIndexByte(key, ':')
	return key[:max(i, 0)], key[i+1:]
}

// find is an element that a command answered with.
func (q *queueHistory) find(value string, o *Op, r *Report) *element {
	e := q.elements[value]
	switch {
	case e == nil:
		r.Violate([]*Op{o}, "queue %s: %q was never pushed", q.name, value)
	case e.push.refused():
		r.Violate([]*Op{e.push, o}, "queue %s: %q is there although its push was refused as not run", q.name, value)
	case e.push.Call > o.Return:
		r.Violate([]*Op{e.push, o}, "queue %s: %q was there before it was pushed", q.name, value)
	}
	return e
}

// note takes in what a command says of elements.
func (q *queueHistory) note(o *Op, r *Report) {
	name := o.Command[0]
	if !o.answered() {
		if name == "BLPOP" && !o.refused() {
			q.vague++
		}
		return
	}
	v := o.value()
	switch {
	case name == "LRANGE" && o.Final:
		q.finals++
		_, list := queueOf(o.Command[1])
		for _, x := range v.Elems {
			switch e := q.find(x.Text(), o, r); {
			case e == nil:
			case e.rests != "":
				r.Violate([]*Op{e.push, e.read, o}, "queue %s: %q is there twice", q.name, e.value)
			case e.taken != nil:
				r.Violate([]*Op{e.push, e.taken, o}, "queue %s: %q was taken, and is there", q.name, e.value)
			default:
				e.rests, e.read = list, o
			}
		}
	case name == "BLPOP" && v.Kind == '*' && len(v.Elems) == 2:
		switch e := q.find(v.Elems[1].Text(), o, r); {
		case e == nil:
		case e.taken != nil:
			r.Violate([]*Op{e.push, e.taken, o}, "queue %s: %q was taken twice", q.name, e.value)
		default:
			e.taken = o
			_, e.from = queueOf(v.Elems[0].Text())
		}
	case name == "BLMOVE" && v.Kind == '$' && v.Str != nil:
		switch e := q.find(v.Text(), o, r); {
		case e == nil:
		case e.moved != nil:
			r.Violate([]*Op{e.push, e.moved, o}, "queue %s: %q was moved twice", q.name, e.value)
		default:
			e.moved = o
		}
	}
}

// checkLost: what was pushed was taken, or is there, or somebody took it who
// never got the answer.
func (q *queueHistory) checkLost(r *Report) {
	if q.finals < 2 {
		return
	}
	var lost []*Op
	for _, e := range q.order {
		if e.push.answered() && e.taken == nil && e.rests == "" {
			lost = append(lost, e.push)
		}
		if e.moved != nil && (e.from == "a" || e.rests == "a") {
			r.Violate([]*Op{e.push, e.moved}, "queue %s: %q was moved, and was found where it had been", q.name, e.value)
		}
	}
	if len(lost) > q.vague {
		r.Violate(lost, "queue %s: %d elements are lost, and only %d may have been taken unseen", q.name, len(lost), q.vague)
	}
}

// left is the span of time in which an element left the first list; ok is false
// if that is not known.
func (e *element) left() (call, ret int64, by *Op, ok bool) {
	switch {
	case e.moved != nil:
		return e.moved.Call, e.moved.Return, e.moved, true
	case e.from == "a":
		return e.taken.Call, e.taken.Return, e.taken, true
	case e.rests == "a":
		return math.MaxInt64, math.MaxInt64, e.read, true
	}
	return 0, 0, nil, false
}

// checkOrder: an element that was there before another one was pushed does not
// leave after it.
func (q *queueHistory) checkOrder(r *Report) {
	var known []*element
	for _, e := range q.order {
		if _, _, _, ok := e.left(); ok && e.push.answered() {
			known = append(known, e)
		}
	}
	early, late := slices.Clone(known), known
	slices.SortStableFunc(early, func(a, b *element) int { return cmp.Compare(a.push.Return, b.push.Return) })
	slices.SortStableFunc(late, func(a, b *element) int { return cmp.Compare(a.push.Call, b.push.Call) })
	var last *element // of the early ones the one that left last
	latest := int64(math.MinInt64)
	for _, e := range late {
		for len(early) > 0 && early[0].push.Return < e.push.Call {
			if call, _, _, _ := early[0].left(); call > latest {
				last, latest = early[0], call
			}
			early = early[1:]
		}
		if _, ret, by, _ := e.left(); last != nil && ret < latest {
			_, _, other, _ := last.left()
			r.Violate([]*Op{last.push, e.push, by, other}, "queue %s: %q was pushed later than %q and left earlier", q.name, e.value, last.value)
			return
		}
	}
}

// stay is when an element was in a list for certain.
type stay struct {
	from, to int64
	e        *element
}

// stays are an element's.
func (e *element) stays(list string) (s stay, ok bool) {
	s = stay{e: e, to: math.MaxInt64}
	switch {
	case !e.push.answered():
		return s, false
	case list == "a":
		s.from = e.push.Return
		s.to, _, _, ok = e.left()
		return s, ok
	case e.moved == nil:
		return s, false
	case e.from == "b":
		s.to = e.taken.Call
	case e.rests != "b":
		return s, false
	}
	s.from = e.moved.Return
	return s, true
}

// timeoutMargin is how much earlier than it should a wait may end, µs: clients'
// clocks are not the nodes'.
const timeoutMargin = 3000

// checkStuck: nobody waits in vain until his time is up for what is there.
func (q *queueHistory) checkStuck(r *Report) {
	longest := map[string][]stay{} // by beginning; each with the latest end of those until then
	for _, list := range []string{"a", "b"} {
		var all []stay
		for _, e := range q.order {
			if s, ok := e.stays(list); ok && s.from < s.to {
				all = append(all, s)
			}
		}
		slices.SortStableFunc(all, func(a, b stay) int { return cmp.Compare(a.from, b.from) })
		for i := 1; i < len(all); i++ {
			if all[i-1].to > all[i].to {
				all[i].to, all[i].e = all[i-1].to, all[i-1].e
			}
		}
		longest[list] = all
	}
	for _, o := range q.ops {
		until, ok := waitedUntil(o)
		if !ok {
			continue
		}
		for _, key := range o.Command[1:] {
			_, list := queueOf(key)
			all := longest[list]
			i, _ := slices.BinarySearchFunc(all, until, func(s stay, t int64) int { return cmp.Compare(s.from, t) })
			if i > 0 && all[i-1].to > o.Return {
				r.Violate([]*Op{all[i-1].e.push, o}, "queue %s: it waited in vain, though %q was there", q.name, all[i-1].e.value)
				return
			}
			if o.Command[0] == "BLMOVE" {
				break // the second key is where it goes
			}
		}
	}
}

// waitedUntil is the earliest moment at which a command can have been given up
// that answered with nothing after its whole time.
func waitedUntil(o *Op) (until int64, ok bool) {
	if o.Command[0] != "BLPOP" && o.Command[0] != "BLMOVE" || !o.answered() || string(o.Reply) != "*-1\r\n" {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(o.Command[len(o.Command)-1], 64)
	until = o.Call + int64(seconds*1e6) - timeoutMargin
	return until, err == nil && o.Return >= until+timeoutMargin
}
