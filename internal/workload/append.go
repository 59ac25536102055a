package workload

import (
	"cmp"
	"fmt"
	"slices"

	"coterie/internal/resp"
)

// appends is transactions that append words, each once, to several lists, and
// read several. A list is a string of words of the same size. What stands
// where in a list tells the order of all that wrote it, and what was read tells
// when: see checkAppends.
type appends struct {
	noSetup
	noReturned
	cfg    Config
	word   int
	lists  int   // made so far
	active []int // numbers of those in use
	grown  []int // words that went to each of them
	done   bool
}

// listWords is how many words a list gets before another takes its place.
const listWords = 40

func newAppends(cfg Config) Workload {
	w := &appends{cfg: cfg}
	for range cfg.Keys + 2 {
		w.active, w.grown = append(w.active, w.lists), append(w.grown, 0)
		w.lists++
	}
	return w
}

func (w *appends) list(number int) string { return fmt.Sprintf("%s:l%d", w.cfg.tagged(""), number) }

func (w *appends) one(c Client) Command {
	i := w.cfg.Rand.IntN(len(w.active))
	list := w.list(w.active[i])
	if c.reads() || w.cfg.Rand.IntN(2) == 0 {
		return Command{"GET", list}
	}
	w.word++
	if w.grown[i]++; w.grown[i] >= listWords {
		w.active[i], w.grown[i] = w.lists, 0
		w.lists++
	}
	return Command{"APPEND", list, fmt.Sprintf("%0*d,", wordSize-1, w.word)}
}

// Next implements Workload.
func (w *appends) Next(c Client) Command {
	if w.cfg.Rand.IntN(100) < 15 {
		return w.one(c)
	}
	var cmds []Command
	for range 1 + w.cfg.Rand.IntN(4) {
		cmds = append(cmds, w.one(c))
	}
	return Multi(nil, cmds...)
}

// finalLists is how many lists one of the last transactions reads.
const finalLists = 16

// Final implements Workload.
func (w *appends) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for i := 0; i < w.lists; i += finalLists {
		var cmds []Command
		for n := i; n < min(i+finalLists, w.lists); n++ {
			cmds = append(cmds, Command{"GET", w.list(n)})
		}
		all = append(all, Multi(nil, cmds...))
	}
	return all
}

// written is one word of one transaction.
type written struct {
	by    *txn
	node  int
	list  string
	word  string
	last  bool // of this transaction's to this list
	place int  // in the list; -1: not known
}

// glance is what a transaction found of a list before it wrote to it: its length in
// words, and for a read its words.
type glance struct {
	by    *txn
	node  int
	words []string
	size  int
	read  bool
}

// grownList is what is known of a list.
type grownList struct {
	name    string
	longest []string
	by      *txn
	placed  map[int]*written
	glances []*glance
	writes  []*written
}

// appendCheck is one history under judgement.
type appendCheck struct {
	r       *Report
	txns    []*txn
	ran     []bool // certainly, by transaction: answered, or seen
	lists   map[string]*grownList
	names   []string
	written map[string]*written // by word
}

// checkAppends: what transactions appended and read is what it would be if
// they had run one after another, in an order that agrees with real time. Any
// two that touched one list have an order: the earlier word before the later
// one, a word before who read it, who did not find a word before who wrote
// it. A circle in these and in real time is what cannot be; it is told by the
// usual names: G0, dirty writes; G1, dirty reads (a: of what was not run, b: of
// what was not finished, c: in a circle); G-single, read skew; G2, write skew.
func checkAppends(h *History, r *Report) {
	c := &appendCheck{r: r, txns: transactions(h, r), lists: map[string]*grownList{}, written: map[string]*written{}}
	c.ran = make([]bool, len(c.txns))
	for i := range c.txns {
		c.noteWrites(i)
	}
	for i, t := range c.txns {
		if t.replies != nil {
			c.ran[i] = true
			c.noteReplies(i)
		}
		c.ran[i] = c.ran[i] || t.failed
	}
	sound := true
	for _, name := range c.names {
		sound = c.place(c.lists[name]) && sound
	}
	if sound && len(r.Violations) == 0 {
		c.circle()
	}
}

func (c *appendCheck) list(name string) *grownList {
	l := c.lists[name]
	if l == nil {
		l = &grownList{name: name, placed: map[int]*written{}}
		c.lists[name] = l
		c.names = append(c.names, name)
	}
	return l
}

// noteWrites enters what a transaction would append.
func (c *appendCheck) noteWrites(node int) {
	t := c.txns[node]
	latest := map[string]*written{}
	for _, cmd := range t.cmds {
		if cmd[0] != "APPEND" {
			continue
		}
		w := &written{by: t, node: node, list: cmd[1], word: cmd[2], last: true, place: -1}
		if before := latest[w.list]; before != nil {
			before.last = false
		}
		latest[w.list], c.written[w.word] = w, w
		l := c.list(w.list)
		l.writes = append(l.writes, w)
	}
}

// noteReplies enters what a transaction found, and checks that it finds its
// own words.
func (c *appendCheck) noteReplies(node int) {
	t := c.txns[node]
	size := map[string]int{} // of lists that it touched, after that
	for i, cmd := range t.cmds {
		l, v := c.list(cmd[1]), t.replies[i]
		now, words := 0, []string(nil)
		switch {
		case cmd[0] == "APPEND" && v.Kind == ':' && v.Int%wordSize == 0 && v.Int > 0:
			now = int(v.Int) / wordSize
		case cmd[0] == "GET" && (v.Kind == '$' || v.Null) && len(v.Str)%wordSize == 0:
			words = split(resp.Value{Kind: '$', Str: v.Str})
			now = len(words)
		default:
			c.r.Violate([]*Op{t.op}, "list %s: an unexpected answer to %s", l.name, cmd)
			return
		}
		found := now
		if cmd[0] == "APPEND" {
			found--
			c.written[cmd[2]].place = found
		}
		if before, touched := size[l.name]; touched && before != found {
			c.r.Violate([]*Op{t.op}, "list %s: changed by others in the middle of a transaction, or its own words are missing", l.name)
		} else if !touched {
			l.glances = append(l.glances, &glance{by: t, node: node, words: words, size: found, read: cmd[0] == "GET"})
		}
		size[l.name] = now
		if len(words) > len(l.longest) {
			l.longest, l.by = words, t
		}
		if cmd[0] == "GET" {
			c.noteWords(l, t, words)
		}
	}
}

// noteWords looks at the words that a read shows.
func (c *appendCheck) noteWords(l *grownList, t *txn, words []string) {
	seen := map[string]bool{}
	for i, word := range words {
		w := c.written[word]
		switch {
		case w == nil || w.list != l.name:
			c.r.Violate([]*Op{t.op}, "list %s: %q was never appended", l.name, word)
		case seen[word]:
			c.r.Violate([]*Op{w.by.op, t.op}, "list %s: %q is there twice", l.name, word)
		case w.by.void:
			c.r.Violate([]*Op{w.by.op, t.op}, "G1a, an aborted read: list %s shows %q of a transaction that was not run", l.name, word)
		case i == len(words)-1 && !w.last && w.by != t:
			c.r.Violate([]*Op{w.by.op, t.op}, "G1b, an intermediate read: list %s ends with %q, in the middle of a transaction", l.name, word)
		default:
			c.ran[w.node] = true
		}
		seen[word] = true
	}
}

// place finds where each word stands.
func (c *appendCheck) place(l *grownList) bool {
	ok := true
	wrong := func(ops []*Op, format string, args ...any) {
		ok = false
		c.r.Violate(ops, format, args...)
	}
	for _, g := range l.glances {
		if g.read && !slices.Equal(g.words, l.longest[:len(g.words)]) {
			wrong([]*Op{g.by.op, l.by.op}, "list %s: two reads of which neither continues the other", l.name)
		}
	}
	for i, word := range l.longest {
		if w := c.written[word]; w != nil {
			l.placed[i] = w
		}
	}
	for _, w := range l.writes {
		if w.place < 0 {
			continue
		}
		if other := l.placed[w.place]; other != nil && other != w {
			wrong([]*Op{other.by.op, w.by.op}, "list %s: %q was appended at place %d, where %q is", l.name, w.word, w.place, other.word)
		}
		l.placed[w.place] = w
	}
	for i, w := range l.placed {
		if w.place >= 0 && w.place != i {
			wrong([]*Op{w.by.op}, "list %s: %q was appended at place %d, and is at %d", l.name, w.word, w.place, i)
		}
		w.place = i
	}
	return ok
}

// circle looks for one in the order of transactions.
func (c *appendCheck) circle() {
	g := newOrders(len(c.txns))
	for _, name := range c.names {
		c.orders(c.lists[name], g)
	}
	c.realTime(g)
	found := g.shortest()
	if found == nil {
		return
	}
	var ops []*Op
	for _, e := range found {
		ops = append(ops, c.txns[e.from].op)
	}
	slices.SortStableFunc(ops, func(a, b *Op) int { return cmp.Compare(a.Call, b.Call) })
	c.r.Violate(ops, "%s", g.tell(found, func(node int) string {
		return fmt.Sprintf("T%d", slices.Index(ops, c.txns[node].op)+1)
	}))
}

// orders enters what a list tells.
func (c *appendCheck) orders(l *grownList, g *orders) {
	var placed []*written
	for _, w := range l.placed {
		placed = append(placed, w)
	}
	slices.SortFunc(placed, func(a, b *written) int { return cmp.Compare(a.place, b.place) })
	for i := 1; i < len(placed); i++ {
		a, b := placed[i-1], placed[i]
		g.add(a.node, b.node, orderWW, fmt.Sprintf("in %s %q stands before %q", l.name, a.word, b.word))
	}
	// Words of transactions that ran, but that nobody saw: behind all that were seen.
	var late []*written
	for _, w := range l.writes {
		if w.place < 0 && c.ran[w.node] {
			late = append(late, w)
			if n := len(l.longest); n > 0 {
				g.add(l.placed[n-1].node, w.node, orderWW, fmt.Sprintf("in %s %q was there, and %q not yet", l.name, l.longest[n-1], w.word))
			}
		}
	}
	for _, x := range l.glances {
		if !x.read {
			continue
		}
		at, _ := slices.BinarySearchFunc(placed, x.size, func(w *written, size int) int { return cmp.Compare(w.place, size) })
		if at > 0 {
			g.add(placed[at-1].node, x.node, orderWR, fmt.Sprintf("in %s %q was read", l.name, placed[at-1].word))
		}
		if at < len(placed) {
			g.add(x.node, placed[at].node, orderRW, fmt.Sprintf("in %s %q was not there yet", l.name, placed[at].word))
		}
		if x.size == len(l.longest) {
			for _, w := range late {
				g.add(x.node, w.node, orderRW, fmt.Sprintf("in %s %q was not there yet", l.name, w.word))
			}
		}
	}
}

// realTime enters what returned before what was called: through a node for each
// return, so that orders are few.
func (c *appendCheck) realTime(g *orders) {
	var over []int
	for i, t := range c.txns {
		if t.replies != nil || t.failed {
			over = append(over, i)
		}
	}
	slices.SortStableFunc(over, func(a, b int) int { return cmp.Compare(c.txns[a].op.Return, c.txns[b].op.Return) })
	for i, node := range over {
		g.add(node, len(c.txns)+i, orderTime, "")
		if i > 0 {
			g.add(len(c.txns)+i-1, len(c.txns)+i, orderTime, "")
		}
	}
	for i, t := range c.txns {
		if !c.ran[i] {
			continue
		}
		n, _ := slices.BinarySearchFunc(over, t.op.Call, func(node int, call int64) int { return cmp.Compare(c.txns[node].op.Return, call) })
		if n > 0 {
			g.add(len(c.txns)+n-1, i, orderTime, "")
		}
	}
}
