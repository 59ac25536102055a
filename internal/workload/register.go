package workload

import (
	"fmt"
	"strconv"
)

// register is string keys: numbers, and texts that grow and are written over.
type register struct {
	noSetup
	noReturned
	cfg   Config
	value int
	done  bool // Final was asked
}

func newRegister(cfg Config) Workload { return &register{cfg: cfg} }

func (w *register) number(i int) string { return fmt.Sprintf("%s:n%d", w.cfg.Prefix, i) }
func (w *register) text(i int) string   { return fmt.Sprintf("%s:t%d", w.cfg.Prefix, i) }

// Next implements Workload.
func (w *register) Next(c Client) Command {
	if i := w.cfg.Rand.IntN(w.cfg.Keys); c.reads() {
		if w.cfg.Rand.IntN(3) == 0 {
			return Command{"GET", w.text(i)}
		}
		return Command{"GET", w.number(i)}
	}
	w.value++
	v, i := strconv.Itoa(w.value), w.cfg.Rand.IntN(w.cfg.Keys)
	if w.cfg.Rand.IntN(3) == 0 {
		return w.nextText(w.text(i), v)
	}
	k := w.number(i)
	switch n := w.cfg.Rand.IntN(100); {
	case n < 28:
		return Command{"GET", k}
	case n < 34: // leaves no effect, but goes the way of a write
		return Command{"GETEX", k}
	case n < 46:
		return Command{"SET", k, v}
	case n < 60:
		return Command{"SET", k, v, "GET"}
	case n < 64:
		return Command{"SET", k, v, "XX"}
	case n < 71:
		return Command{"SET", k, v, "NX", "GET"}
	case n < 76:
		return Command{"SETNX", k, v}
	case n < 88:
		return Command{"INCR", k}
	case n < 91:
		return Command{"INCRBY", k, "1000"}
	case n < 94:
		return Command{"GETSET", k, v}
	case n < 97:
		return Command{"GETDEL", k}
	}
	return Command{"DEL", k}
}

func (w *register) nextText(k, v string) Command {
	switch n := w.cfg.Rand.IntN(100); {
	case n < 30:
		return Command{"GET", k}
	case n < 55:
		return Command{"APPEND", k, v + ","}
	case n < 68:
		return Command{"SETRANGE", k, strconv.Itoa(w.cfg.Rand.IntN(24)), v}
	case n < 74:
		return Command{"SETBIT", k, strconv.Itoa(w.cfg.Rand.IntN(64)), strconv.Itoa(w.value % 2)}
	case n < 77:
		return Command{"BITCOUNT", k}
	case n < 80:
		return Command{"GETBIT", k, strconv.Itoa(w.cfg.Rand.IntN(64))}
	case n < 84:
		return Command{"STRLEN", k}
	case n < 87:
		return Command{"GETRANGE", k, "0", "7"}
	case n < 94:
		return Command{"SET", k, v}
	case n < 97:
		return Command{"GETDEL", k}
	}
	return Command{"EXISTS", k}
}

// Final implements Workload.
func (w *register) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for i := range w.cfg.Keys {
		all = append(all, Command{"GET", w.number(i)}, Command{"GET", w.text(i)})
	}
	return all
}
