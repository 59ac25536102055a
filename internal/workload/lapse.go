package workload

import (
	"fmt"
	"strconv"
	"strings"
)

// lapse is lists that expire, and workers who wait for their elements. Each list is
// made once, with all its elements and its time to live in one transaction.
type lapse struct {
	noSetup
	noReturned
	cfg  Config
	made int
	done bool
}

func newLapse(cfg Config) Workload { return &lapse{cfg: cfg} }

const (
	lapseElements = 3
	// lapseAhead is how many lists are waited for before they are made, and
	// lapseBehind how many of the last ones are looked at, for each of Config.Keys.
	lapseAhead  = 2
	lapseBehind = 6
)

func (w *lapse) key(n int) string { return fmt.Sprintf("{%s}:t%d", w.cfg.Prefix, n) }

// some is a list of late, or one to come.
func (w *lapse) some() string {
	return w.key(max(1, w.made+lapseAhead-w.cfg.Rand.IntN(lapseAhead+lapseBehind*w.cfg.Keys)))
}

// Next implements Workload.
func (w *lapse) Next(c Client) Command {
	r := w.cfg.Rand
	k := w.some()
	n := r.IntN(100)
	if c.reads() {
		n = 90
	}
	switch {
	case n < 30:
		w.made++
		k = w.key(w.made)
		push := Command{"RPUSH", k}
		for i := range lapseElements {
			push = append(push, fmt.Sprintf("%d.%d", w.made, i))
		}
		return Multi(nil, push, Command{"PEXPIRE", k, strconv.Itoa(20 + r.IntN(20)*r.IntN(20))})
	case n < 60:
		return Command{"BLPOP", k, w.some(), strconv.FormatFloat(0.01+0.01*float64(r.IntN(40)), 'f', 2, 64)}
	case n < 75:
		return Command{"LPOP", k}
	}
	return Command{"LLEN", k}
}

// Final implements Workload.
func (w *lapse) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for n := range w.made + lapseAhead {
		all = append(all, Command{"LLEN", w.key(n + 1)})
	}
	return all
}

// lapsing is what is known of one list.
type lapsing struct {
	name  string
	push  *Op
	ttl   int64          // µs
	taken map[string]*Op // by element
	takes []*Op          // that took an element, or may have
	gone  *Op            // found nothing when it had been made for certain, and returned first
}

// checkLapse: an element is taken once, and not when its list has expired; a list
// that has expired or was emptied is gone; none is lost before its time.
func checkLapse(h *History, r *Report) {
	lists := map[string]*lapsing{}
	at := func(name string) *lapsing {
		if lists[name] == nil {
			lists[name] = &lapsing{name: name, taken: map[string]*Op{}}
		}
		return lists[name]
	}
	for _, o := range h.Ops {
		if _, cmds, multi := o.Command.Txn(); multi {
			l := at(cmds[0][1])
			ms, _ := strconv.ParseInt(cmds[1][2], 10, 64)
			l.push, l.ttl = o, ms*1000
			if v := o.value(); o.answered() && (len(v.Elems) != 2 || v.Elems[0].Int != lapseElements || v.Elems[1].Int != 1) {
				r.Violate([]*Op{o}, "list %s: an unexpected answer", l.name)
			}
		}
	}
	for _, o := range h.Ops {
		if key, element := tookElement(o); element != "" {
			at(key).take(o, element, r)
		}
		for _, k := range lapseKeys(o.Command) {
			if l := at(k); !o.answered() && !o.refused() && !o.Command.Reads() {
				l.takes = append(l.takes, o)
			}
		}
	}
	for _, o := range h.Ops {
		if k := foundNothing(o); k != "" {
			at(k).nothing(o, h.Slack+deadlineStep, r)
		}
	}
	for _, o := range h.Ops {
		key, found := foundSome(o)
		if found {
			at(key).some(o, h.Slack+deadlineStep, r)
		}
	}
}

// lapseKeys are the lists that a command may take from, or looks at.
func lapseKeys(c Command) []string {
	switch c[0] {
	case "BLPOP":
		return c[1 : len(c)-1]
	case "LPOP", "LLEN":
		return c[1:2]
	}
	return nil
}

// tookElement is the list and the element that a command took.
func tookElement(o *Op) (key, element string) {
	v := o.value()
	switch {
	case !o.answered():
	case o.Command[0] == "BLPOP" && len(v.Elems) == 2:
		return v.Elems[0].Text(), v.Elems[1].Text()
	case o.Command[0] == "LPOP" && v.Kind == '$' && !v.Null:
		return o.Command[1], v.Text()
	}
	return "", ""
}

// foundNothing is the list that a command found empty.
func foundNothing(o *Op) (key string) {
	v := o.value()
	if o.answered() && (o.Command[0] == "LPOP" && v.Null || o.Command[0] == "LLEN" && v.Int == 0) {
		return o.Command[1]
	}
	return ""
}

// foundSome is the list in which a command found something.
func foundSome(o *Op) (key string, ok bool) {
	if key, element := tookElement(o); element != "" {
		return key, true
	}
	v := o.value()
	return o.Command.Key(), o.answered() && o.Command[0] == "LLEN" && v.Int > 0
}

func (l *lapsing) take(o *Op, element string, r *Report) {
	before := l.taken[element]
	switch n, _, _ := strings.Cut(element, "."); {
	case l.push == nil || !strings.HasSuffix(l.name, ":t"+n):
		r.Violate([]*Op{o}, "list %s: %q was never there", l.name, element)
	case l.push.void():
		r.Violate([]*Op{l.push, o}, "list %s: %q is there although it was refused as not run", l.name, element)
	case before != nil:
		r.Violate([]*Op{l.push, before, o}, "list %s: %q was taken twice", l.name, element)
	}
	l.taken[element] = o
	l.takes = append(l.takes, o)
}

// nothing judges a command that found nothing in the list.
func (l *lapsing) nothing(o *Op, slack int64, r *Report) {
	if l.push == nil || !l.push.answered() || l.push.Return >= o.Call {
		return
	}
	if l.gone == nil || o.Return < l.gone.Return {
		l.gone = o
	}
	if o.Return > l.push.Call+l.ttl-slack {
		return // its time may be up
	}
	taken := 0
	for _, x := range l.takes {
		if x.Call <= o.Return {
			taken++
		}
	}
	if taken < lapseElements {
		r.Violate([]*Op{l.push, o}, "list %s: it is gone before its time, and only %d of its elements can have been taken", l.name, taken)
	}
}

// some judges a command that found something.
func (l *lapsing) some(o *Op, slack int64, r *Report) {
	switch {
	case l.push == nil:
		r.Violate([]*Op{o}, "list %s: it was never made", l.name)
	case o.Return < l.push.Call:
		r.Violate([]*Op{l.push, o}, "list %s: it was there before it was made", l.name)
	case l.gone != nil && l.gone.Return < o.Call:
		r.Violate([]*Op{l.push, l.gone, o}, "list %s: it came back", l.name)
	case l.push.answered() && o.Call > l.push.Return+l.ttl+slack:
		r.Violate([]*Op{l.push, o}, "list %s: it should have expired", l.name)
	}
}
