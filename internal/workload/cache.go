package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"coterie/internal/resp"

	"github.com/anishathalye/porcupine"
)

// cache is keys of a namespace that has a limit, and a policy which changes among
// several: keys go when it is full. With keep only those go that have a deadline,
// which is days away, and writes are refused when there are none.
type cache struct {
	noSetup
	cfg      Config
	keep     bool
	db       string
	policies []string
	value    int
	limited  bool
	policy   bool
	done     bool
}

// Databases of the two kinds.
const (
	cacheDB = 3
	keptDB  = 4
)

func newCache(cfg Config) Workload {
	return &cache{cfg: cfg, db: strconv.Itoa(cacheDB), policies: []string{"allkeys-lru", "allkeys-lfu", "allkeys-random"}}
}

func newKept(cfg Config) Workload {
	return &cache{cfg: cfg, keep: true, db: strconv.Itoa(keptDB),
		policies: []string{"noeviction", "volatile-ttl", "volatile-lru", "volatile-random", "volatile-lfu"}}
}

const (
	// cacheKeys is how many keys there are for each of Config.Keys.
	cacheKeys = 12
	// longDeadline is more than a clock ever jumps, ms.
	longDeadline = "900000000"
	// leastLimit is the smallest limit, bytes; each of limitSteps more doubles it.
	leastLimit = 1 << 10
	limitSteps = 6

	flushCommand = "FLUSHDB"
)

func (w *cache) key() string {
	return fmt.Sprintf("%s:k%d", w.cfg.Prefix, w.cfg.Rand.IntN(cacheKeys*w.cfg.Keys))
}

// Next implements Workload.
func (w *cache) Next(c Client) Command {
	r := w.cfg.Rand
	switch {
	case c.reads():
		return Command{"GET", w.key()}
	case !w.limited:
		return Command{"CONFIG", "SET", "maxmemory." + w.db, strconv.Itoa(leastLimit << r.IntN(limitSteps))}
	case !w.policy, r.IntN(200) == 0:
		return Command{"CONFIG", "SET", "maxmemory-policy." + w.db, w.policies[r.IntN(len(w.policies))]}
	case !w.keep && r.IntN(100) == 0:
		return Command{flushCommand}
	}
	k := w.key()
	switch n := r.IntN(100); {
	case n < 40:
		return Command{"GET", k}
	case n < 75:
		return w.set(k)
	case n < 80:
		if other := w.key(); other != k {
			return Multi(nil, w.set(k), w.set(other))
		}
		return w.set(k)
	case n < 85:
		return Command{"PERSIST", k}
	case n < 88:
		return Command{"EXISTS", k}
	}
	return Command{"DEL", k}
}

// set writes a value that is told from all others.
func (w *cache) set(k string) Command {
	w.value++
	c := Command{"SET", k, strconv.Itoa(w.value) + strings.Repeat(".", w.cfg.Rand.IntN(300))}
	if w.cfg.Rand.IntN(2) == 0 {
		c = append(c, "PX", longDeadline)
	}
	return c
}

// Returned implements Workload.
func (w *cache) Returned(o *Op) {
	if o.Command[0] == "CONFIG" && o.answered() {
		w.limited = w.limited || strings.HasPrefix(o.Command[2], "maxmemory.")
		w.policy = w.policy || strings.HasPrefix(o.Command[2], "maxmemory-policy.")
	}
}

// Final implements Workload.
func (w *cache) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for i := range cacheKeys * w.cfg.Keys {
		all = append(all, Command{"GET", fmt.Sprintf("%s:k%d", w.cfg.Prefix, i)})
	}
	return all
}

// cacheModel is one key that may be evicted: always, or only while it has a
// deadline. The state is empty when there is none, else 't' or 'n', for one with a
// deadline or without, and the value. Whether it has been evicted shows when it is
// looked for.
func cacheModel(keep bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			reply, known := output.(string)
			next, ok := applyCache(state.(string), input.(Command), reply, known, keep)
			return ok, next
		},
		Equal: func(a, b any) bool { return a.(string) == b.(string) },
	}
}

// applyCache is the state of a key after a command that got a reply; ok is false if
// it cannot have.
func applyCache(state string, c Command, reply string, known, keep bool) (next string, ok bool) {
	there := state != ""
	gone := !there || !keep || state[0] == 't' // it can be
	if strings.HasPrefix(reply, "-OOM ") {
		return state, c[0] == "SET" // nothing was done
	}
	switch c[0] {
	case "SET":
		kind := "n"
		if len(c) > 3 {
			kind = "t"
		}
		return kind + c[2], !known || reply == okReply
	case flushCommand:
		return "", true
	case "DEL":
		return "", !known || reply == ":1\r\n" && there || reply == ":0\r\n" && gone
	case "PERSIST":
		switch {
		case !known && there, reply == ":1\r\n":
			return "n" + state[min(1, len(state)):], there && (!known || state[0] == 't')
		case reply == ":0\r\n" && there && state[0] == 'n':
			return state, true // or it is gone, which will show
		}
		return "", !known || reply == ":0\r\n" && gone
	case "EXISTS":
		if reply == ":1\r\n" {
			return state, there
		}
		return "", reply == ":0\r\n" && gone
	}
	if reply == nilReply {
		return "", gone
	}
	return state, there && reply == bulkReply(state[1:])
}

func checkCache(h *History, r *Report) { checkEvicted(h, r, false) }
func checkKept(h *History, r *Report)  { checkEvicted(h, r, true) }

// checkEvicted: each key is linearizable, but that it may be gone at any time if it
// may be evicted; then it is gone until it is written again.
func checkEvicted(h *History, r *Report, keep bool) {
	var names []string
	groups := map[string][]*Op{}
	var flushes []*Op
	for _, o := range h.Ops {
		if o.Command[0] == flushCommand {
			flushes = append(flushes, o.perhaps())
			continue
		}
		for _, x := range o.pieces(r) {
			if k := x.Command.Key(); k != "" {
				if groups[k] == nil {
					names = append(names, k)
				}
				groups[k] = append(groups[k], x)
			}
		}
	}
	model := cacheModel(keep)
	for _, name := range names {
		ops := slices.Concat(groups[name], flushes)
		switch search(model, ops, forever) {
		case porcupine.Illegal:
			r.Violate(shortest(model, ops), "key %s is lost, or came back, or has an older value", name)
		case porcupine.Unknown:
			r.Inconclusive++
		}
	}
}

// perhaps is a command about all keys: refused, it may have been done to some.
func (o *Op) perhaps() *Op {
	x := *o
	if x.refused() {
		x.Outcome = Unknown
	}
	return &x
}

// pieces are a transaction's commands as if each had been sent by itself.
func (o *Op) pieces(r *Report) (all []*Op) {
	_, cmds, multi := o.Command.Txn()
	if !multi {
		return []*Op{o}
	}
	b := o.Reply
	if o.answered() {
		v := o.value()
		if v.Kind != '*' || len(v.Elems) != len(cmds) {
			r.Violate([]*Op{o}, "a transaction of %d commands has an unexpected answer", len(cmds))
			return nil
		}
		b = b[strings.IndexByte(string(b), '\n')+1:]
	}
	for _, c := range cmds {
		x := *o
		x.Command = c
		if o.answered() {
			n, _ := resp.SkipReply(b)
			x.Reply, b = b[:n], b[n:]
		}
		all = append(all, &x)
	}
	return all
}
