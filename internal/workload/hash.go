package workload

import (
	"fmt"
	"strconv"
)

// hash is hashes with a few fields, written and read as a whole and one by one.
type hash struct {
	noSetup
	noReturned
	cfg   Config
	value int
	done  bool
}

func newHash(cfg Config) Workload { return &hash{cfg: cfg} }

// hashFields is how many fields a hash may have.
const hashFields = 5

func (w *hash) key(i int) string { return fmt.Sprintf("%s:h%d", w.cfg.Prefix, i) }

// Next implements Workload.
func (w *hash) Next(c Client) Command {
	if c.reads() {
		return Command{"HGETALL", w.key(w.cfg.Rand.IntN(w.cfg.Keys))}
	}
	w.value++
	k, v := w.key(w.cfg.Rand.IntN(w.cfg.Keys)), strconv.Itoa(w.value)
	field := func() string { return "f" + strconv.Itoa(w.cfg.Rand.IntN(hashFields)) }
	switch n := w.cfg.Rand.IntN(100); {
	case n < 25:
		return Command{"HGETALL", k}
	case n < 35:
		return Command{"HGET", k, field()}
	case n < 40:
		return Command{"HLEN", k}
	case n < 55:
		return Command{"HSET", k, field(), v}
	case n < 62:
		return Command{"HSET", k, "f0", v, "f1", v, "f2", v}
	case n < 70:
		return Command{"HSETNX", k, field(), v}
	case n < 82:
		return Command{"HINCRBY", k, field(), "1"}
	case n < 92:
		return Command{"HDEL", k, field()}
	case n < 96:
		return Command{"HDEL", k, "f0", "f1", "f2", "f3"}
	case n < 98:
		return Command{"HEXISTS", k, field()}
	}
	return Command{"DEL", k}
}

// Final implements Workload.
func (w *hash) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for i := range w.cfg.Keys {
		all = append(all, Command{"HGETALL", w.key(i)})
	}
	return all
}
