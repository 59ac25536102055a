package workload

import (
	"fmt"
	"slices"
	"strconv"

	"coterie/internal/resp"
)

// tokens is pots of tokens: sets, lists and sorted sets. Each token is put into
// some pot once; then clients move tokens from pot to pot, one by one or a pot
// at a time, by commands that name two of them, which may lie in different
// partitions. Whoever looks into all pots at one moment sees each token once.
type tokens struct {
	noSetup
	noReturned
	cfg  Config
	next int
	done bool
}

func newTokens(cfg Config) Workload { return &tokens{cfg: cfg} }

const (
	// morePots is how many pots of each type there are beside Config.Keys.
	morePots = 1
	// maxTokens bounds the tokens of a chapter: all of them are looked at again
	// and again.
	maxTokens = 60
	potTypes  = "slz" // set, list, sorted set
)

func (w *tokens) pot(kind byte, i int) string {
	return fmt.Sprintf("%s:%c%d", w.cfg.tagged(""), kind, i)
}

// audit looks into all pots, and counts what is in them.
func (w *tokens) audit() Command {
	var cmds []Command
	for i := range w.cfg.Keys + morePots {
		s, l, z := w.pot('s', i), w.pot('l', i), w.pot('z', i)
		cmds = append(cmds, Command{"SCARD", s}, Command{"SMEMBERS", s}, Command{"LLEN", l}, Command{"LRANGE", l, "0", "-1"},
			Command{"ZCARD", z}, Command{"ZRANGE", z, "0", "-1", "WITHSCORES"})
	}
	return Multi(nil, cmds...)
}

// Next implements Workload.
func (w *tokens) Next(c Client) Command {
	r := w.cfg.Rand
	n := r.IntN(100)
	if c.reads() || n < 25 {
		return w.audit()
	}
	kind, count := potTypes[r.IntN(len(potTypes))], w.cfg.Keys+morePots
	i := r.IntN(count)
	from, to := w.pot(kind, i), w.pot(kind, (i+1+r.IntN(count-1))%count)
	switch {
	case n < 45 && w.next < maxTokens || w.next == 0:
		w.next++
		switch token := strconv.Itoa(w.next); kind {
		case 's':
			return Command{"SADD", to, token}
		case 'l':
			return Command{"RPUSH", to, token}
		default:
			return Command{"ZADD", to, token, token}
		}
	case n < 58:
		return Command{"RENAMENX", from, to}
	case kind == 's' && n < 85:
		return Command{"SMOVE", from, to, strconv.Itoa(1 + r.IntN(w.next))}
	case kind == 's':
		return Multi(nil, Command{"SUNIONSTORE", to, from, to}, Command{"DEL", from})
	case kind == 'z':
		return Multi(nil, Command{"ZUNIONSTORE", to, "2", from, to, "AGGREGATE", "MIN"}, Command{"DEL", from})
	case n < 90:
		return Command{"LMOVE", from, to, "LEFT", "RIGHT"}
	}
	return Multi(nil, Command{"LMOVE", from, to, "RIGHT", "LEFT"}, Command{"RPOPLPUSH", from, to})
}

// Final implements Workload.
func (w *tokens) Final() []Command {
	if w.done {
		return nil
	}
	w.done = true
	return []Command{w.audit()}
}

// checkTokens: in each look at all pots every token is there once that was
// put somewhere before, and none that was not; pots are as large as they say;
// the scores are those given.
func checkTokens(h *History, r *Report) {
	puts := map[string]*Op{}
	var order []string
	for _, o := range h.Ops {
		token := ""
		switch o.Command[0] {
		case "SADD", "RPUSH":
			token = o.Command[2]
		case "ZADD":
			token = o.Command[3]
		default:
			continue
		}
		puts[token] = o
		order = append(order, token)
		if n, ok := o.number(); o.answered() && (!ok || n < 1 || n != 1 && o.Command[0] != "RPUSH") {
			r.Violate([]*Op{o}, "token %s: it was put somewhere once, and was there already", token)
		}
	}
	for _, t := range transactions(h, r) {
		if t.replies == nil || t.cmds[0][0] != "SCARD" {
			continue
		}
		where := map[string]string{}
		for i := 0; i+1 < len(t.cmds); i += 2 {
			pot := t.cmds[i][1]
			for _, token := range inPot(t, i, r) {
				p := puts[token]
				switch before, twice := where[token]; {
				case twice:
					r.Violate([]*Op{p, t.op}, "token %s: it is in %s and in %s", token, before, pot)
				case p == nil:
					r.Violate([]*Op{t.op}, "token %s: it is in %s, and was never put anywhere", token, pot)
				case p.refused():
					r.Violate([]*Op{p, t.op}, "token %s: it is there although it was refused as not run", token)
				case p.Call > t.op.Return:
					r.Violate([]*Op{p, t.op}, "token %s: it was there before it was put anywhere", token)
				}
				where[token] = pot
			}
		}
		for _, token := range order {
			if p := puts[token]; where[token] == "" && p.answered() && p.Return < t.op.Call {
				r.Violate([]*Op{p, t.op}, "token %s: it is in no pot any more", token)
				break
			}
		}
	}
}

// inPot are the tokens in the pot of the commands i and i+1 of an audit.
func inPot(t *txn, i int, r *Report) (in []string) {
	pot, v := t.cmds[i][1], t.replies[i+1]
	if v.Kind != '*' || t.replies[i].Kind != ':' {
		r.Violate([]*Op{t.op}, "pot %s: an unexpected answer", pot)
		return nil
	}
	for _, e := range v.Elems {
		in = append(in, e.Text())
	}
	if t.cmds[i][0] == "ZCARD" {
		in = unscored(t, pot, v.Elems, r)
	}
	if n := t.replies[i].Int; int(n) != len(in) {
		r.Violate([]*Op{t.op}, "pot %s: it is said to hold %d tokens, and holds %d", pot, n, len(in))
	}
	return in
}

// unscored are a sorted set's members. Each has itself for a score.
func unscored(t *txn, pot string, elems []resp.Value, r *Report) (in []string) {
	var scores []int
	for i := 0; i+1 < len(elems); i += 2 {
		token, score := elems[i].Text(), elems[i+1].Text()
		n, err := strconv.Atoi(score)
		if in, scores = append(in, token), append(scores, n); token != score || err != nil {
			r.Violate([]*Op{t.op}, "pot %s: token %s has the score %s", pot, token, score)
		}
	}
	if !slices.IsSorted(scores) {
		r.Violate([]*Op{t.op}, "pot %s: not in the order of its scores", pot)
	}
	return in
}
