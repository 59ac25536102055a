package workload

import (
	"fmt"
)

// scan is keys that come and go while others walk over all of them.
type scan struct {
	noSetup
	cfg     Config
	cursors map[int]*walk // by client
	final   walk
	stage   int // of Final
}

// walk is a client on its way through the keys.
type walk struct {
	cursor string
	busy   bool // a page is under way
}

func newScan(cfg Config) Workload {
	return &scan{cfg: cfg, cursors: map[int]*walk{}, final: walk{cursor: "0"}}
}

// scanKeys is how many keys there are for each of Config.Keys: enough for
// several pages.
const scanKeys = 12

// Next implements Workload.
func (w *scan) Next(c Client) Command {
	k := fmt.Sprintf("%s:%d", w.cfg.Prefix, w.cfg.Rand.IntN(scanKeys*w.cfg.Keys))
	at := w.cursors[c.ID]
	if at == nil {
		at = &walk{cursor: "0"}
		w.cursors[c.ID] = at
	}
	switch n := w.cfg.Rand.IntN(100); {
	case c.reads() && at.busy:
		return nil
	case (n < 40 || c.reads()) && !at.busy:
		at.busy = true
		return w.page(at)
	case n < 75:
		return Command{"SET", k, "1"}
	}
	return Command{"DEL", k}
}

// page asks for the next page. All keys of the database are walked over,
// those of other chapters too; only the own ones are shown.
func (w *scan) page(at *walk) Command {
	return Command{"SCAN", at.cursor, "MATCH", w.cfg.Prefix + ":*", "COUNT", "7"}
}

// Returned implements Workload.
func (w *scan) Returned(o *Op) {
	at := w.cursors[o.ID]
	if o.Final {
		at = &w.final
	}
	if o.Command[0] != "SCAN" || at == nil {
		return
	}
	at.busy = false
	if next, _, ok := scanned(o); ok {
		at.cursor = next
	}
}

// Final implements Workload: a walk over everything between two looks at the
// number of keys.
func (w *scan) Final() []Command {
	switch {
	case w.stage == 0:
		w.stage = 1
		return []Command{{"DBSIZE"}}
	case w.stage == 1, w.stage == 2 && w.final.cursor != "0":
		w.stage = 2
		return []Command{{"SCAN", w.final.cursor, "COUNT", "50"}}
	case w.stage == 2:
		w.stage = 3
		return []Command{{"DBSIZE"}}
	}
	return nil
}

// scanned takes the answer to SCAN apart.
func scanned(o *Op) (next string, keys []string, ok bool) {
	if !o.answered() {
		return "", nil, false
	}
	v := o.value()
	if v.Kind != '*' || len(v.Elems) != 2 {
		return "", nil, false
	}
	for _, e := range v.Elems[1].Elems {
		keys = append(keys, e.Text())
	}
	return v.Elems[0].Text(), keys, true
}

// passed is one complete walk.
type passed struct {
	pages []*Op
	keys  map[string]bool
}

func (p *passed) begin() int64 { return p.pages[0].Call }
func (p *passed) end() int64   { return p.pages[len(p.pages)-1].Return }

func checkScan(h *History, r *Report) {
	names, groups := h.byKey()
	open := map[int]*passed{}
	var sizes []*Op
	for _, o := range h.Ops {
		switch o.Command[0] {
		case "DBSIZE":
			if o.Final && o.answered() {
				sizes = append(sizes, o)
			}
			continue
		case "SCAN":
		default:
			continue
		}
		next, keys, ok := scanned(o)
		if !ok {
			if o.answered() {
				r.Violate([]*Op{o}, "SCAN: an unexpected answer")
			}
			continue
		}
		p := open[o.ID]
		if o.Command[1] == "0" {
			p = &passed{keys: map[string]bool{}}
			open[o.ID] = p
		}
		if p == nil {
			continue
		}
		p.pages = append(p.pages, o)
		for _, k := range keys {
			p.keys[k] = true
			checkShown(groups[k], k, o, r)
		}
		if next == "0" {
			delete(open, o.ID)
			checkWalk(p, names, groups, r)
			if o.Final && h.Quiet {
				checkSizes(p, sizes, h, r)
			}
		}
	}
}

// checkShown: a key that is shown can be there.
func checkShown(ops []*Op, key string, page *Op, r *Report) {
	if ops == nil { // of another chapter
		return
	}
	var deleted *Op // the last one that was certainly over
	for _, o := range ops {
		if o.Command[0] == "DEL" && o.answered() && o.Return < page.Call && (deleted == nil || o.Call > deleted.Call) {
			deleted = o
		}
	}
	for _, o := range ops {
		if o.Command[0] == "SET" && !o.refused() && o.Call <= page.Return && (deleted == nil || o.end() >= deleted.Call) {
			return
		}
	}
	show := []*Op{page}
	if deleted != nil {
		show = []*Op{deleted, page}
	}
	r.Violate(show, "SCAN returned %s, which cannot be there", key)
}

// checkWalk: a key that was there all the while is shown.
func checkWalk(p *passed, names []string, groups map[string][]*Op, r *Report) {
	for _, key := range names {
		ops := groups[key]
		var set *Op // the last one that was certainly over
		for _, o := range ops {
			if o.Command[0] == "SET" && o.answered() && o.Return < p.begin() && (set == nil || o.Call > set.Call) {
				set = o
			}
		}
		if set == nil || p.keys[key] {
			continue
		}
		gone := false
		for _, o := range ops {
			gone = gone || o.Command[0] == "DEL" && !o.refused() && o.Call <= p.end() && o.end() >= set.Call
		}
		if !gone {
			r.Violate(append([]*Op{set}, p.pages...), "SCAN passed over %s, which was there all the while", key)
			return
		}
	}
}

// checkSizes: when nothing is written, DBSIZE before and after is how many
// keys a walk shows.
func checkSizes(p *passed, sizes []*Op, h *History, r *Report) {
	for _, o := range h.Ops {
		if o.Command[0] == "DBSIZE" && o.Final && o.Call >= p.end() && o.answered() {
			sizes = append(sizes, o)
		}
	}
	if len(sizes) != 2 {
		return
	}
	before, okBefore := sizes[0].number()
	after, okAfter := sizes[1].number()
	if !okBefore || !okAfter {
		r.Violate(sizes, "DBSIZE: an unexpected answer")
	} else if before == after && before != int64(len(p.keys)) {
		r.Violate(append(sizes, p.pages...), "DBSIZE is %d, but SCAN shows %d keys", before, len(p.keys))
	}
}
