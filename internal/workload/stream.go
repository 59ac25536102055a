package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// stream is streams that consumers of one group share: each entry is added
// once, delivered to somebody, and acknowledged.
type stream struct {
	noSetup
	cfg     Config
	next    int
	created []bool             // the group of each stream
	unacked map[Client][]entry // what clients have been given
	final   int                // round of the last reads
}

// entry is one of a stream: the value is what was added once.
type entry struct {
	key, id, value string
}

func newStream(cfg Config) Workload {
	return &stream{cfg: cfg, created: make([]bool, cfg.Keys), unacked: map[Client][]entry{}}
}

// maxFinal is how many entries the last reads ask for: more than there are.
const maxFinal = "1000000"

func (w *stream) key(i int) string { return fmt.Sprintf("%s:x%d", w.cfg.Prefix, i) }

// Next implements Workload.
func (w *stream) Next(c Client) Command {
	r := w.cfg.Rand
	i := r.IntN(w.cfg.Keys)
	k, consumer := w.key(i), "c"+strconv.Itoa(c.ID)
	if !w.created[i] {
		return Command{"XGROUP", "CREATE", k, "g", "0", "MKSTREAM"}
	}
	n := r.IntN(100)
	switch given := w.unacked[c]; {
	case c.reads() && n < 50, n < 4:
		return Command{"XRANGE", k, "-", "+"}
	case c.reads(), n < 8:
		return Command{"XPENDING", k, "g", "-", "+", maxFinal}
	case n < 45:
		w.next++
		return Command{"XADD", k, "*", "v", strconv.Itoa(w.next)}
	case n < 65 && len(given) > 0:
		w.unacked[c] = given[1:]
		return Command{"XACK", given[0].key, "g", given[0].id}
	case n < 70:
		return Command{"XREADGROUP", "GROUP", "g", consumer, "STREAMS", k, "0"}
	case n < 75:
		return Command{"XAUTOCLAIM", k, "g", consumer, "0", "0", "COUNT", "3"}
	case n < 85:
		return Command{"XREADGROUP", "GROUP", "g", consumer, "COUNT", "2", "BLOCK", strconv.Itoa(1 + r.IntN(200)), "STREAMS", k, ">"}
	}
	return Command{"XREADGROUP", "GROUP", "g", consumer, "COUNT", strconv.Itoa(1 + r.IntN(4)), "STREAMS", k, ">"}
}

// Returned implements Workload.
func (w *stream) Returned(o *Op) {
	switch {
	case !o.answered() || o.Final:
	case o.Command[0] == "XGROUP":
		for i := range w.created {
			w.created[i] = w.created[i] || w.key(i) == o.Command.Key()
		}
	case delivers(o):
		w.unacked[o.Client] = append(w.unacked[o.Client], entries(o)...)
	}
}

// Final implements Workload. Those of the first round take what nobody got.
func (w *stream) Final() (all []Command) {
	w.final++
	for i := range w.cfg.Keys {
		switch k := w.key(i); {
		case w.final == 1:
			all = append(all, Command{"XREADGROUP", "GROUP", "g", "last", "COUNT", maxFinal, "STREAMS", k, ">"})
		case w.final == 2:
			all = append(all, Command{"XRANGE", k, "-", "+"}, Command{"XPENDING", k, "g", "-", "+", maxFinal})
		}
	}
	return all
}

// delivers says whether a command gives entries that nobody was given before.
func delivers(o *Op) bool {
	return o.Command[0] == "XREADGROUP" && o.Command[len(o.Command)-1] == ">"
}

// entries are those in an answer.
func entries(o *Op) (all []entry) {
	list, key := o.value(), o.Command.Key()
	switch {
	case o.Command[0] == "XREADGROUP" && len(list.Elems) == 1 && len(list.Elems[0].Elems) == 2:
		list = list.Elems[0].Elems[1]
	case o.Command[0] == "XAUTOCLAIM" && len(list.Elems) > 1:
		list = list.Elems[1]
	case o.Command[0] != "XRANGE" && o.Command[0] != "XPENDING":
		return nil
	}
	for _, e := range list.Elems {
		x := entry{key: key}
		if len(e.Elems) > 1 {
			x.id = e.Elems[0].Text()
			if fields := e.Elems[1].Elems; len(fields) == 2 {
				x.value = fields[1].Text()
			}
		}
		all = append(all, x)
	}
	return all
}

// compareIDs orders ids of entries.
func compareIDs(a, b string) int {
	am, as, _ := strings.Cut(a, "-")
	bm, bs, _ := strings.Cut(b, "-")
	return cmp.Or(cmp.Compare(len(am), len(bm)), cmp.Compare(am, bm), cmp.Compare(len(as), len(bs)), cmp.Compare(as, bs))
}

// streamHistory is one stream's.
type streamHistory struct {
	name      string
	adds      map[string]*Op // by value
	order     []*Op          // the same, as they were called
	values    map[string]string
	delivered map[string]*Op   // by id, by whom it was given to first
	tried     map[string][]*Op // XACKs that may have run, by id
	acked     map[string]*Op   // by id: those that did
	last      *Op              // took what nobody had got
}

func checkStream(h *History, r *Report) {
	names, groups := h.byKey()
	for _, name := range names {
		s := &streamHistory{name: name, adds: map[string]*Op{}, values: map[string]string{}, delivered: map[string]*Op{}, tried: map[string][]*Op{}, acked: map[string]*Op{}}
		for _, o := range groups[name] {
			s.note(o, r)
		}
		s.checkIDs(r)
		for _, o := range groups[name] {
			if o.answered() {
				s.check(o, r)
			}
		}
	}
}

// note takes in what was added and acknowledged.
func (s *streamHistory) note(o *Op, r *Report) {
	v := o.value()
	switch c := o.Command; c[0] {
	case "XADD":
		s.adds[c[4]], s.order = o, append(s.order, o)
		if o.answered() {
			s.values[v.Text()] = c[4]
			if v.Kind != '$' || v.Null {
				r.Violate([]*Op{o}, "stream %s: an entry was not added", s.name)
			}
		}
	case "XACK":
		if !o.refused() {
			s.tried[c[3]] = append(s.tried[c[3]], o)
		}
		if n, _ := o.number(); o.answered() && n == 1 {
			if before := s.acked[c[3]]; before != nil {
				r.Violate([]*Op{before, o}, "stream %s: entry %s was acknowledged twice", s.name, c[3])
			}
			s.acked[c[3]] = o
		}
	case "XREADGROUP":
		if o.Final && o.answered() && v.Kind == '*' {
			s.last = o
		}
	}
}

// checkIDs: an entry that was added later has a higher id.
func (s *streamHistory) checkIDs(r *Report) {
	var known []*Op
	for _, o := range s.order {
		if o.answered() {
			known = append(known, o)
		}
	}
	id := func(o *Op) string { v := o.value(); return v.Text() }
	slices.SortStableFunc(known, func(a, b *Op) int { return compareIDs(id(a), id(b)) })
	for i := 1; i < len(known); i++ {
		switch a, b := known[i-1], known[i]; {
		case id(a) == id(b):
			r.Violate([]*Op{a, b}, "stream %s: two entries with the id %s", s.name, id(a))
		case b.Return < a.Call:
			r.Violate([]*Op{a, b}, "stream %s: entry %s was added later than %s", s.name, id(a), id(b))
		}
	}
}

// check judges one answer.
func (s *streamHistory) check(o *Op, r *Report) {
	if o.Command[0] == "XACK" {
		id := o.Command[3]
		if n, ok := o.number(); !ok || n == 0 && len(s.tried[id]) == 1 {
			r.Violate([]*Op{o}, "stream %s: entry %s waited for an acknowledgement, and it is not taken", s.name, id)
		}
		return
	}
	if v := o.value(); v.Kind == '-' && o.Command[0] != "XGROUP" && !o.Final && !strings.HasPrefix(v.Text(), "UNBLOCKED") {
		r.Violate([]*Op{o}, "stream %s: an unexpected answer", s.name)
		return
	}
	seen, before := map[string]bool{}, ""
	all := entries(o)
	for _, e := range all {
		if seen[e.id] = true; before != "" && compareIDs(before, e.id) >= 0 {
			r.Violate([]*Op{o}, "stream %s: entry %s comes behind %s", s.name, e.id, before)
		}
		if before = e.id; o.Command[0] != "XPENDING" {
			s.checkEntry(e, o, r)
		}
		if a := s.acked[e.id]; a != nil && o.Command[0] != "XRANGE" && a.Return < o.Call {
			r.Violate([]*Op{a, o}, "stream %s: entry %s is given out, or waits, after it was acknowledged", s.name, e.id)
		}
		if first := s.delivered[e.id]; delivers(o) && first != nil {
			r.Violate([]*Op{first, o}, "stream %s: entry %s is new for the second time", s.name, e.id)
		} else if delivers(o) {
			s.delivered[e.id] = o
		}
	}
	switch {
	case o.Command[0] == "XRANGE":
		s.checkAll(seen, o, r)
	case o.Command[0] == "XPENDING" && o.Final:
		s.checkWaiting(seen, o, r)
	}
}

// checkEntry: an entry is what was added under its id.
func (s *streamHistory) checkEntry(e entry, o *Op, r *Report) {
	switch add := s.adds[e.value]; {
	case add == nil:
		r.Violate([]*Op{o}, "stream %s: entry %s with %q was never added", s.name, e.id, e.value)
	case add.refused():
		r.Violate([]*Op{add, o}, "stream %s: entry %s is there although it was refused as not run", s.name, e.id)
	case add.Call > o.Return:
		r.Violate([]*Op{add, o}, "stream %s: entry %s was there before it was added", s.name, e.id)
	case s.values[e.id] != "" && s.values[e.id] != e.value, add.answered() && s.values[e.id] == "":
		r.Violate([]*Op{add, o}, "stream %s: %q is there with another id, or twice", s.name, e.value)
	}
}

// checkAll: nothing that was added is missing.
func (s *streamHistory) checkAll(seen map[string]bool, o *Op, r *Report) {
	for _, add := range s.order {
		if v := add.value(); add.answered() && add.Return < o.Call && !seen[v.Text()] {
			r.Violate([]*Op{add, o}, "stream %s: entry %s is lost", s.name, v.Text())
			return
		}
	}
}

// checkWaiting: at the end everything was given to somebody, and waits unless it
// was acknowledged, or may have been.
func (s *streamHistory) checkWaiting(seen map[string]bool, o *Op, r *Report) {
	for _, add := range s.order {
		v := add.value()
		if id := v.Text(); add.answered() && s.last != nil && add.Return < s.last.Call && !seen[id] && len(s.tried[id]) == 0 {
			r.Violate([]*Op{add, s.last, o}, "stream %s: entry %s was never given to anybody, or is forgotten", s.name, id)
			return
		}
	}
	if s.last == nil && len(s.adds) > 0 {
		r.Violate([]*Op{o}, "stream %s: its group is gone", s.name)
	}
}
