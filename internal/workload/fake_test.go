package workload

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"coterie/internal/resp"
)

// flaw is what the fake server does wrong, now and then.
type flaw int

const (
	sound flaw = iota
	loses
	doubles
	stale
	runsRefused
	overtakes
	revives
	hastens
	lingers
	timeBack
	skips
	invents
	miscounts
	tears      // a transaction runs in two pieces
	halves     // of a transaction only the first half takes effect
	blind      // WATCH is not looked at
	runsNull   // a transaction that answers null runs all the same
	disorders  // elements of a list change places
	staleReads // the reads of transactions are of an older state
	rollsBack  // a script that fails leaves nothing behind, or all
	evictsAny  // keys are evicted that are to be kept
	drawsAgain // what a script answers is of another run
)

// held is a key of the fake server.
type held struct {
	state    string
	deadline int64 // ms; 0: none
}

// server is a tiny Redis in virtual time, with a flaw.
type server struct {
	flaw    flaw
	rand    *rand.Rand
	now     int64 // µs
	back    int64
	keys    map[string]held
	old     map[string]held           // as it was a while ago
	ghost   map[string]held           // as it was before it expired
	watch   map[Client]map[string]int // what was watched, and how often it had changed then
	changes map[string]int            // of each key
	audience
	rest func() // the second half of a torn transaction
}

func (s *server) odd() bool { return s.rand.IntN(12) == 0 }

func (s *server) ms() int64 { return (s.now - s.back) / 1000 }

// sweep removes what has expired.
func (s *server) sweep() {
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		h := s.keys[k]
		due := h.deadline
		if due != 0 && s.flaw == hastens {
			due -= 40
		}
		if due != 0 && s.flaw == lingers {
			due += 300
		}
		if due != 0 && due <= s.ms() {
			s.ghost[k] = h
			delete(s.keys, k)
		}
	}
}

func (s *server) run(who Client, c Command) (reply string) {
	if s.rest != nil && s.rand.IntN(2) == 0 {
		s.rest()
		s.rest = nil
	}
	if s.odd() {
		s.old = maps.Clone(s.keys)
	}
	if strings.HasPrefix(c.fieldOf(), "fields:") {
		return s.field(c)
	}
	switch c[0] {
	case "WATCH":
		if s.watch[who] == nil {
			s.watch[who] = map[string]int{}
		}
		for _, k := range c[1:] {
			s.watch[who][k] = s.changes[k]
		}
		return okReply
	case "MULTI":
		return s.multi(who, c)
	}
	if _, _, ok := c.Script(); ok && c[1] != publishBody {
		return s.script(who, c)
	}
	return s.single(c)
}

// single runs a command that is no transaction.
func (s *server) single(c Command) (reply string) {
	if s.flaw == timeBack && s.odd() {
		s.back += 100_000
	}
	s.sweep()
	write := !c.Reads()
	if s.flaw == revives && s.odd() && !write {
		if h, ok := s.ghost[c.Key()]; ok && s.keys[c.Key()].state == "" && h.state != "" {
			h.deadline += 1000
			s.keys[c.Key()] = h
		}
	}
	before := maps.Clone(s.keys)
	switch {
	case s.flaw == loses && write && s.odd():
		reply = s.apply(c)
		s.keys = before
	case s.flaw == doubles && write && s.odd():
		s.apply(c)
		reply = s.apply(c)
	case s.flaw == stale && !write && s.odd():
		s.keys = s.old
		reply = s.apply(c)
		s.keys = before
	default:
		reply = s.apply(c)
	}
	return reply
}

// multi runs a transaction.
func (s *server) multi(who Client, c Command) string {
	watched, cmds, _ := c.Txn()
	same := true
	for _, k := range watched {
		changes, ok := s.watch[who][k]
		same = same && ok && changes == s.changes[k]
	}
	delete(s.watch, who)
	if !same && s.flaw == runsNull {
		s.all(cmds)
	}
	if !same && s.flaw != blind {
		return "*-1\r\n"
	}
	before, cut := maps.Clone(s.keys), 0
	if len(cmds) > 1 {
		cut = 1 + s.rand.IntN(len(cmds)-1)
	}
	switch {
	case s.flaw == tears && s.rest == nil && cut > 0:
		half := s.all(cmds[:cut])
		back := s.keys
		s.keys = maps.Clone(s.keys)
		rest := s.all(cmds[cut:]) // the answer comes before the effect
		s.keys = back
		s.rest = func() { s.all(cmds[cut:]) }
		return fmt.Sprintf("*%d\r\n%s%s", len(cmds), half, rest)
	case s.flaw == halves && s.odd() && cut > 0:
		half := s.all(cmds[:cut])
		back := maps.Clone(s.keys)
		rest := s.all(cmds[cut:])
		s.keys = back
		return fmt.Sprintf("*%d\r\n%s%s", len(cmds), half, rest)
	case s.flaw == loses && s.odd():
		reply := s.all(cmds)
		s.keys = before
		return fmt.Sprintf("*%d\r\n%s", len(cmds), reply)
	case s.flaw == doubles && s.odd():
		s.all(cmds)
	case s.flaw == staleReads && s.odd():
		reply := ""
		for _, c := range cmds {
			now := s.keys
			if c[0] == "GET" {
				s.keys = s.old
			}
			reply += s.apply(c)
			s.keys = now
		}
		return fmt.Sprintf("*%d\r\n%s", len(cmds), reply)
	}
	return fmt.Sprintf("*%d\r\n%s", len(cmds), s.all(cmds))
}

func (s *server) all(cmds []Command) (reply string) {
	for _, c := range cmds {
		reply += s.apply(c)
	}
	return reply
}

// evict has keys evicted, where they may be.
func (s *server) evict(k string) {
	h := s.keys[k]
	cached, kept := strings.HasPrefix(k, "cache:"), strings.HasPrefix(k, "kept:")
	if s.rand.IntN(20) == 0 && (cached || kept && (h.deadline != 0 || s.flaw == evictsAny)) {
		s.ghost[k] = h
		delete(s.keys, k)
	}
}

func (s *server) apply(c Command) string {
	k := c.Key()
	if reply, ok := s.message(c); ok {
		return reply
	}
	if c[0] == "SET" && strings.HasPrefix(k, "pubsub:") {
		s.publish(keyspacePrefix+k, "set")
	}
	if s.evict(k); c[0] == "SET" && s.rand.IntN(20) == 0 && strings.HasPrefix(k, "kept:") {
		return "-OOM no\r\n"
	}
	h := s.keys[k]
	switch c[0] {
	case "SCRIPT", "FUNCTION":
		return bulkReply("known")
	case "CONFIG":
		return okReply
	case flushCommand:
		for k := range s.keys {
			if strings.HasPrefix(k, "cache:") {
				delete(s.keys, k)
			}
		}
		return okReply
	case "EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO":
		return s.ticket(c)
	case "SCAN":
		return s.scan(c)
	case "DBSIZE":
		n := len(s.keys)
		if s.flaw == miscounts {
			n++
		}
		return intReply(n)
	case "PTTL", "PEXPIRETIME":
		switch {
		case h.state == "":
			return ":-2\r\n"
		case h.deadline == 0:
			return ":-1\r\n"
		case c[0] == "PTTL":
			return intReply(int(h.deadline - s.ms()))
		}
		return intReply(int(h.deadline))
	case "PEXPIRE":
		if h.state != "" {
			h.deadline = s.ms() + millis(c[2])/1000
			s.keys[k] = h
		}
		return boolReply(h.state != "")
	case "PERSIST":
		had := h.deadline != 0
		if had {
			h.deadline = 0
			s.keys[k] = h
		}
		return boolReply(had)
	case "RPUSH", "LLEN", "LRANGE", "LPOP", "BLPOP", "BLMOVE":
		return s.list(c)
	case "SADD", "ZADD", "SMEMBERS", "ZRANGE", "SCARD", "ZCARD", "SMOVE", "LMOVE", "RPOPLPUSH", "RENAMENX", "SUNIONSTORE", "ZUNIONSTORE":
		return s.pot(c)
	case "XGROUP", "XADD", "XACK", "XRANGE", "XPENDING", "XAUTOCLAIM", "XREADGROUP":
		return s.stream(c)
	case "HKEYS":
		var names []string
		for i, f := range fields(h.state) {
			if i%2 == 0 {
				names = append(names, f)
			}
		}
		return arrayReply(names)
	}
	next, reply := apply(h.state, c)
	if next != h.state {
		s.changes[k]++
	}
	if c[0] == "SET" {
		h.deadline = 0
		if len(c) > 4 && c[3] == "PX" {
			h.deadline = s.ms() + millis(c[4])/1000
		}
	}
	h.state = next
	s.keys[k] = h
	if next == "" {
		delete(s.keys, k)
	}
	return reply
}

// list runs a command on lists: words with blanks between. Who finds nothing
// is told so at once, as if somebody had unblocked him.
func (s *server) list(c Command) string {
	k, h := c.Key(), s.keys[c.Key()]
	words := strings.Fields(h.state)
	put := func(k string, words []string) {
		if s.keys[k] = (held{strings.Join(words, " "), s.keys[k].deadline}); len(words) == 0 {
			delete(s.keys, k)
		}
	}
	switch c[0] {
	case "RPUSH":
		words = append(words, c[2:]...)
		if s.flaw == disorders && len(words) > 1 && s.odd() {
			words[0], words[len(words)-1] = words[len(words)-1], words[0]
		}
		put(k, words)
		return intReply(len(words))
	case "LRANGE":
		return arrayReply(words)
	case "BLMOVE":
		if len(words) == 0 {
			return "*-1\r\n"
		}
		put(k, words[1:])
		put(c[2], append(strings.Fields(s.keys[c[2]].state), words[0]))
		return bulkReply(words[0])
	case "BLPOP":
		for _, k := range c[1 : len(c)-1] {
			if words := strings.Fields(s.keys[k].state); len(words) > 0 {
				put(k, words[1:])
				return arrayReply([]string{k, words[0]})
			}
		}
		return "*-1\r\n"
	case "LPOP":
		if len(words) == 0 {
			return nilReply
		}
		put(k, words[1:])
		return bulkReply(words[0])
	}
	return intReply(len(words))
}

func (s *server) scan(c Command) string {
	all := slices.Sorted(maps.Keys(s.keys))
	prefix, count := "", 50
	for i := 2; i+1 < len(c); i += 2 {
		switch c[i] {
		case "MATCH":
			prefix = strings.TrimSuffix(c[i+1], "*")
		case "COUNT":
			count, _ = strconv.Atoi(c[i+1])
		}
	}
	// The cursor is a number that stands for a key: its last digits.
	at, _ := strconv.Atoi(c[1])
	var shown []string
	next := 0
	for _, k := range all {
		n, _ := strconv.Atoi(k[strings.LastIndexByte(k, ':')+1:])
		n = n*16 + len(k)%16 + 1
		switch {
		case n <= at || !strings.HasPrefix(k, prefix):
		case s.flaw == skips && s.odd():
		default:
			shown = append(shown, fmt.Sprintf("%06d%s", n, k))
		}
	}
	slices.Sort(shown)
	if len(shown) > count {
		shown = shown[:count]
		next, _ = strconv.Atoi(shown[count-1][:6])
	}
	w := resp.Writer{Proto: 2}
	w.Array(2)
	w.BulkString(strconv.Itoa(next))
	extra := s.flaw == invents && s.odd()
	if extra {
		w.Array(len(shown) + 1)
		w.BulkString(prefix + "99")
		for k := range s.old {
			if _, ok := s.keys[k]; !ok {
				w.Buf = w.Buf[:len(w.Buf)-len(bulkReply(prefix+"99"))]
				w.BulkString(k)
				break
			}
		}
	} else {
		w.Array(len(shown))
	}
	for _, k := range shown {
		w.BulkString(k[6:])
	}
	return string(w.Buf)
}

// waiting is a command on its way.
type waiting struct {
	op      *Op
	at      int64 // when it runs
	ret     int64
	outcome Outcome
	ran     bool
}

// simulate lets clients with a workload meet the fake server: pipelines, lost
// replies, refusals, reconnections.
func simulate(k Kind, seed uint64, f flaw, ops int) *History {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &server{flaw: f, rand: r, now: 1_000_000, keys: map[string]held{}, old: map[string]held{}, ghost: map[string]held{},
		watch: map[Client]map[string]int{}, changes: map[string]int{}}
	w := k.New(Config{Prefix: k.Name, Keys: 2, Rand: r, Fronts: true})
	h := &History{Slack: 0, Quiet: true}
	s.say = func(m Command) {
		h.Ops = append(h.Ops, &Op{Command: m, Call: s.now, Return: s.now, Outcome: Done, Reply: []byte(okReply)})
	}
	const clients = 4
	conns := [clients]int{}
	last := [clients]int64{} // when a connection's last command runs
	var open []*waiting
	step := func() { // runs and returns what is due
		slices.SortStableFunc(open, func(a, b *waiting) int { return int(a.at - b.at) })
		for _, x := range open {
			if x.at <= s.now && !x.ran {
				x.ran = true
				if x.outcome != Refused || f == runsRefused {
					x.op.Reply = []byte(s.run(x.op.Client, x.op.Command))
				}
			}
		}
		open = slices.DeleteFunc(open, func(x *waiting) bool {
			if x.ret > s.now || !x.ran {
				return false
			}
			x.op.Return, x.op.Outcome = s.now, x.outcome
			if x.outcome != Done {
				x.op.Reply = []byte("-NOT DONE\r\n")
			}
			w.Returned(x.op)
			return true
		})
	}
	call := func(c Client, cmd Command, final bool) *waiting {
		o := &Op{Client: c, Command: cmd, Call: s.now, Final: final}
		h.Ops = append(h.Ops, o)
		x := &waiting{op: o, outcome: Done}
		if !final {
			x.at = max(s.now+int64(r.IntN(3000)), last[c.ID]+1)
			if f == overtakes {
				x.at = s.now + int64(r.IntN(3000))
			}
			last[c.ID] = x.at
			switch n := r.IntN(30); {
			case n == 0 && !cmd.Reads():
				x.outcome = Unknown
			case n == 1 && cmd.Subscribes():
			case n == 1:
				x.outcome = Refused
			}
		} else {
			x.at = s.now
		}
		x.ret = x.at + int64(r.IntN(1000))
		open = append(open, x)
		return x
	}
	for len(h.Ops) < ops {
		s.now += int64(r.IntN(1500))
		step()
		c := r.IntN(clients)
		if r.IntN(200) == 0 {
			conns[c]++
		}
		for range 1 + r.IntN(3) {
			cmd := w.Next(Client{c, conns[c]})
			if len(cmd) == 0 {
				break
			}
			call(Client{c, conns[c]}, cmd, false)
		}
	}
	for len(open) > 0 {
		s.now += 1000
		step()
	}
	for more := w.Final(); len(more) > 0; more = w.Final() {
		for _, cmd := range more {
			call(Client{clients, 0}, cmd, true)
			for len(open) > 0 {
				s.now += 1000
				step()
			}
		}
	}
	return h
}
