package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// skew is pairs of keys of which at most one may be set. Nothing but what
// clients watch keeps it so: each looks at both, and sets one when neither is.
type skew struct {
	noSetup
	cfg      Config
	attempts map[Client]*attempt
	value    int
	done     bool
}

// attempt is a client on its way from WATCH to EXEC.
type attempt struct {
	keys   []string
	sent   int // WATCH, and the reads
	known  int // of them
	failed bool
	values [2]string
}

func newSkew(cfg Config) Workload { return &skew{cfg: cfg, attempts: map[Client]*attempt{}} }

func (w *skew) pair(i int) []string {
	p := w.cfg.tagged(":" + strconv.Itoa(i))
	return []string{p + ":a", p + ":b"}
}

func look(keys []string) Command {
	return Multi(nil, Command{"GET", keys[0]}, Command{"GET", keys[1]})
}

// Next implements Workload.
func (w *skew) Next(c Client) Command {
	t := w.attempts[c]
	if t == nil {
		keys := w.pair(w.cfg.Rand.IntN(w.cfg.Keys))
		if c.reads() || w.cfg.Rand.IntN(100) < 25 {
			return look(keys)
		}
		w.attempts[c] = &attempt{keys: keys, sent: 1}
		return append(Command{"WATCH"}, keys...)
	}
	if t.sent < 3 {
		t.sent++
		return Command{"GET", t.keys[t.sent-2]}
	}
	if t.known < 3 {
		return nil // what to do depends on what it reads
	}
	delete(w.attempts, c)
	if t.failed || t.values[0] != "" && t.values[1] != "" { // not read at one moment
		return look(t.keys)
	}
	cmds := []Command{{"GET", t.keys[0]}, {"GET", t.keys[1]}}
	if i := slices.IndexFunc(t.values[:], func(v string) bool { return v != "" }); i >= 0 {
		return Multi(t.keys, append(cmds, Command{"DEL", t.keys[i]})...)
	}
	w.value++
	return Multi(t.keys, append(cmds, Command{"SET", t.keys[w.cfg.Rand.IntN(2)], strconv.Itoa(w.value)})...)
}

// Returned implements Workload.
func (w *skew) Returned(o *Op) {
	t := w.attempts[o.Client]
	if t == nil || o.Final || o.Command[0] == "MULTI" {
		return
	}
	t.known++
	t.failed = t.failed || !o.answered()
	if i := slices.Index(t.keys, o.Command[1]); o.Command[0] == "GET" && i >= 0 && o.answered() {
		t.values[i] = o.value().Text()
	}
}

// Final implements Workload.
func (w *skew) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for i := range w.cfg.Keys {
		all = append(all, look(w.pair(i)))
	}
	return all
}

// changed lists what changed each key for certain, whatever its value was.
func changed(txns []*txn) map[string][]*Op {
	all := map[string][]*Op{}
	for _, t := range txns {
		for i := range t.replies {
			if x := t.cmds[i]; x[0] == "SET" || x[0] == "DEL" && t.replies[i].Int == 1 {
				all[x[1]] = append(all[x[1]], t.op)
			}
		}
	}
	return all
}

// checkWatched: no transaction ran although a key was changed after WATCH had
// been answered and before EXEC was sent, also if its value was the old one
// again.
func checkWatched(h *History, txns []*txn, r *Report) {
	all := changed(txns)
	ran := map[*Op]bool{}
	for _, t := range txns {
		ran[t.op] = t.replies != nil
	}
	watches := map[Client]*Op{}
	for _, o := range h.Ops {
		if o.Command[0] == "WATCH" {
			watches[o.Client] = o
			continue
		}
		watched, _, multi := o.Command.Txn()
		watch := watches[o.Client]
		if !multi || len(watched) == 0 || !ran[o] || watch == nil || !watch.answered() {
			continue
		}
		for _, key := range watched {
			for _, x := range all[key] {
				if x.Call > watch.Return && x.end() < o.Call {
					r.Violate([]*Op{watch, x, o}, "a transaction ran although a key had been changed that it watched")
					break
				}
			}
		}
	}
}

// checkSkew: never both of a pair are set, a transaction finds what its client
// decided by and runs only if nothing of it was changed since, and pairs are
// linearizable.
func checkSkew(h *History, r *Report) {
	txns := transactions(h, r)
	checkWatched(h, txns, r)
	for _, t := range txns {
		if len(t.replies) < 2 {
			continue
		}
		a, b := t.replies[0], t.replies[1]
		if !a.Null && !b.Null {
			r.Violate([]*Op{t.op}, "both of a pair are set: %s and %s", t.cmds[0][1], t.cmds[1][1])
		}
		if len(t.cmds) == 3 {
			x := t.cmds[2]
			if x[0] == "SET" && (!a.Null || !b.Null) || x[0] == "DEL" && (x[1] == t.cmds[0][1] && a.Null || x[1] == t.cmds[1][1] && b.Null) {
				r.Violate([]*Op{t.op}, "a transaction ran although a key had changed that it watched")
			}
		}
	}
	pairs := map[string][]*Op{}
	var names []string
	for _, o := range h.Ops {
		if o.Command[0] == "WATCH" || o.void() {
			continue
		}
		key := o.Command.Keys()[0]
		name := key[:strings.LastIndexByte(key, ':')]
		if pairs[name] == nil {
			names = append(names, name)
		}
		pairs[name] = append(pairs[name], o)
	}
	for _, name := range names {
		switch search(pairModel, pairs[name], forever) {
		case porcupine.Illegal:
			r.Violate(shortest(pairModel, pairs[name]), "the history of the pair %s is not linearizable", name)
		case porcupine.Unknown:
			r.Inconclusive++
		}
	}
}

// pairModel is two keys for porcupine: the state of that which ends in a, a
// byte 1, and the other's.
var pairModel = porcupine.Model{
	Init: func() any { return "\x01" },
	Step: func(state, input, output any) (bool, any) {
		var sides [2]string
		sides[0], sides[1], _ = strings.Cut(state.(string), "\x01")
		cmd := input.(Command)
		run := func(c Command) (reply string) {
			side := &sides[c[1][len(c[1])-1]-'a']
			*side, reply = apply(*side, c)
			return reply
		}
		reply := ""
		if _, cmds, multi := cmd.Txn(); multi {
			reply = fmt.Sprintf("*%d\r\n", len(cmds))
			for _, c := range cmds {
				reply += run(c)
			}
		} else {
			reply = run(cmd)
		}
		want, known := output.(string)
		return !known || reply == want, sides[0] + "\x01" + sides[1]
	},
	Equal: func(a, b any) bool { return a.(string) == b.(string) },
}
