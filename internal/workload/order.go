package workload

import (
	"fmt"
	"strconv"
)

// order is counting: each connection has a few keys of its own, and puts 1, 2,
// 3 … into each, looking at what it finds there.
type order struct {
	noSetup
	noReturned
	cfg  Config
	sent map[string]int
	keys []string
	done bool
}

func newOrder(cfg Config) Workload { return &order{cfg: cfg, sent: map[string]int{}} }

// Next implements Workload.
func (w *order) Next(c Client) Command {
	if c.reads() {
		return nil
	}
	k := fmt.Sprintf("%s:o%d.%d.%d", w.cfg.Prefix, c.ID, c.Conn, w.cfg.Rand.IntN(w.cfg.Keys))
	if w.sent[k] == 0 {
		w.keys = append(w.keys, k)
	}
	w.sent[k]++
	return Command{"SET", k, strconv.Itoa(w.sent[k]), "GET"}
}

// Final implements Workload.
func (w *order) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for _, k := range w.keys {
		all = append(all, Command{"GET", k})
	}
	return all
}

// checkOrder: a command finds a number that was sent before it, not refused,
// and none older than the last one acknowledged of those sent before it.
func checkOrder(h *History, r *Report) {
	names, groups := h.byKey()
	for _, name := range names {
		var acked *Op // the last one that was acknowledged
		ackedNumber, sent := 0, 0
		refused := map[int]*Op{}
		// Refusals are known only when all is over: those of later commands
		// matter to earlier ones as little as their numbers.
		for _, o := range groups[name] {
			if n, write := orderNumber(o); write && o.refused() {
				refused[n] = o
			}
		}
		for _, o := range groups[name] {
			n, write := orderNumber(o)
			if write {
				sent = n
			}
			if !o.answered() {
				continue
			}
			v := o.value()
			found, err := strconv.Atoi(v.Text())
			if v.Null {
				found, err = 0, nil
			}
			switch {
			case err != nil:
				r.Violate([]*Op{o}, "key %s: an answer that is no number", name)
			case write && found >= n || found > sent:
				r.Violate([]*Op{o}, "key %s: out of order or twice: number %d was found when it was not to be sent yet", name, found)
			case found < ackedNumber:
				r.Violate([]*Op{acked, o}, "key %s: lost or out of order: %d was acknowledged, then %d was found", name, ackedNumber, found)
			case refused[found] != nil:
				r.Violate([]*Op{refused[found], o}, "key %s: number %d was found although it was refused as not run", name, found)
			}
			if write {
				acked, ackedNumber = o, n
			}
		}
	}
}

// orderNumber is the number that a command puts into its key.
func orderNumber(o *Op) (n int, write bool) {
	if o.Command[0] != "SET" {
		return 0, false
	}
	n, _ = strconv.Atoi(o.Command[2])
	return n, true
}
