package workload

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"coterie/internal/resp"
)

// adds is sets and lists as far as hashes and strings can play them: each
// member is added once, each word appended once.
type adds struct {
	noSetup
	noReturned
	cfg  Config
	next int
	done bool
}

func newAdds(cfg Config) Workload { return &adds{cfg: cfg} }

// wordSize is the length of an appended word: digits and a comma.
const wordSize = 8

func (w *adds) set(i int) string  { return fmt.Sprintf("%s:s%d", w.cfg.Prefix, i) }
func (w *adds) list(i int) string { return fmt.Sprintf("%s:l%d", w.cfg.Prefix, i) }

// Next implements Workload.
func (w *adds) Next(c Client) Command {
	i := w.cfg.Rand.IntN(w.cfg.Keys)
	if c.reads() {
		if w.cfg.Rand.IntN(2) == 0 {
			return Command{"HLEN", w.set(i)}
		}
		return Command{"STRLEN", w.list(i)}
	}
	w.next++
	word := fmt.Sprintf("%0*d,", wordSize-1, w.next)
	switch n := w.cfg.Rand.IntN(100); {
	case n < 35:
		return Command{"HSETNX", w.set(i), word, "1"}
	case n < 42:
		return Command{"HKEYS", w.set(i)}
	case n < 50:
		return Command{"HLEN", w.set(i)}
	case n < 85:
		return Command{"APPEND", w.list(i), word}
	case n < 93:
		return Command{"GET", w.list(i)}
	}
	return Command{"STRLEN", w.list(i)}
}

// Final implements Workload.
func (w *adds) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for i := range w.cfg.Keys {
		all = append(all, Command{"HKEYS", w.set(i)}, Command{"GET", w.list(i)})
	}
	return all
}

func checkAdds(h *History, r *Report) {
	names, groups := h.byKey()
	for _, name := range names {
		added := map[string]*Op{}
		for _, o := range groups[name] {
			if word, ok := addedWord(o); ok {
				added[word] = o
			}
		}
		for _, o := range groups[name] {
			if o.answered() {
				checkAdd(name, groups[name], added, o, r)
			}
		}
		checkPlaces(name, groups[name], added, r)
	}
}

// addedWord is what a command adds.
func addedWord(o *Op) (word string, ok bool) {
	switch o.Command[0] {
	case "HSETNX", "APPEND":
		return o.Command[2], true
	}
	return "", false
}

// checkAdd judges one answer.
func checkAdd(name string, all []*Op, added map[string]*Op, o *Op, r *Report) {
	var words []string
	switch v := o.value(); o.Command[0] {
	case "HSETNX":
		if v.Kind != ':' || v.Int != 1 {
			r.Violate([]*Op{o}, "set %s: a member that was added once was there already", name)
		}
		return
	case "APPEND", "STRLEN":
		if v.Kind != ':' || v.Int%wordSize != 0 {
			r.Violate([]*Op{o}, "list %s: a length that no number of words has", name)
		}
		fallthrough
	case "HLEN":
		n := int(v.Int)
		if o.Command[0] != "HLEN" {
			n /= wordSize
		}
		if least, most := sizes(all, o); v.Kind != ':' || n < least || n > most {
			r.Violate([]*Op{o}, "%s: of size %d, but at least %d and at most %d additions had taken effect", name, n, least, most)
		}
		return
	case "HKEYS":
		for _, e := range v.Elems {
			words = append(words, e.Text())
		}
		if v.Kind != '*' {
			r.Violate([]*Op{o}, "set %s: an unexpected answer", name)
		}
	case "GET":
		words = split(v)
		if v.Kind != '$' {
			r.Violate([]*Op{o}, "list %s: an unexpected answer", name)
		}
	}
	seen := map[string]bool{}
	for _, word := range words {
		switch a := added[word]; {
		case seen[word]:
			r.Violate([]*Op{a, o}, "%s: %q is there twice", name, word)
		case a == nil:
			r.Violate([]*Op{o}, "%s: %q was never added", name, word)
		case a.refused():
			r.Violate([]*Op{a, o}, "%s: %q is there although it was refused as not run", name, word)
		case a.Call > o.Return:
			r.Violate([]*Op{a, o}, "%s: %q was there before it was added", name, word)
		}
		seen[word] = true
	}
	for _, x := range all {
		if word, ok := addedWord(x); ok && x.answered() && x.Return < o.Call && !seen[word] {
			r.Violate([]*Op{x, o}, "%s: %q was acknowledged, and is lost", name, word)
		}
	}
}

// sizes is how many additions had at least and at most taken effect when o did.
func sizes(all []*Op, o *Op) (least, most int) {
	for _, x := range all {
		if _, ok := addedWord(x); !ok {
			continue
		}
		if x == o || x.answered() && x.Return < o.Call {
			least++
		}
		if !x.refused() && x.Call <= o.Return {
			most++
		}
	}
	return least, most
}

func split(v resp.Value) (words []string) {
	s := v.Text()
	for ; len(s) >= wordSize; s = s[wordSize:] {
		words = append(words, s[:wordSize])
	}
	if s != "" {
		words = append(words, s)
	}
	return words
}

// checkPlaces: a list grows at its end only. Every read is the beginning of
// the longest; an acknowledged word is where its answer says; and words are in
// an order that their calls and returns allow.
func checkPlaces(name string, all []*Op, added map[string]*Op, r *Report) {
	longest, by := "", (*Op)(nil)
	for _, o := range all {
		if o.Command[0] == "GET" && o.answered() {
			if v := o.value(); len(v.Str) > len(longest) {
				longest, by = v.Text(), o
			}
		}
	}
	for _, o := range all {
		if !o.answered() {
			continue
		}
		switch o.Command[0] {
		case "GET":
			if s := o.value().Text(); by != nil && s != longest[:len(s)] {
				r.Violate([]*Op{o, by}, "list %s: two reads of which neither continues the other", name)
			}
		case "APPEND":
			n, _ := o.number()
			at := int(n) - wordSize
			if by != nil && at >= 0 && int(n) <= len(longest) && longest[at:n] != o.Command[2] {
				r.Violate([]*Op{o, by}, "list %s: word %d is not what was appended there", name, at/wordSize)
			}
		}
	}
	checkGrowth(name, all, r)
	if by == nil {
		return
	}
	words := split(resp.Value{Kind: '$', Str: []byte(longest)})
	soonest, of := int64(math.MaxInt64), (*Op)(nil) // the earliest end of a later word
	for _, word := range slices.Backward(words) {
		o := added[word]
		if o == nil {
			continue
		}
		if of != nil && soonest < o.Call {
			r.Violate([]*Op{of, o, by}, "list %s: %q was appended when %q was there already, but stands before it", name, word, of.Command[2])
			return
		}
		if end := o.end(); end < soonest {
			soonest, of = end, o
		}
	}
}

// checkGrowth: two appends never answer the same length, and what returned
// before another was called is the shorter one.
func checkGrowth(name string, all []*Op, r *Report) {
	var grown []*Op
	for _, o := range all {
		if o.Command[0] == "APPEND" && o.answered() {
			grown = append(grown, o)
		}
	}
	length := func(o *Op) int64 { n, _ := o.number(); return n }
	slices.SortStableFunc(grown, func(a, b *Op) int { return cmp.Compare(length(a), length(b)) })
	for i := 1; i < len(grown); i++ {
		a, b := grown[i-1], grown[i]
		if length(a) == length(b) {
			r.Violate([]*Op{a, b}, "list %s: two words at place %s", name, strconv.FormatInt(length(a)/wordSize-1, 10))
		} else if b.Return < a.Call {
			r.Violate([]*Op{a, b}, "list %s: a later append made it shorter", name)
		}
	}
}
