package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// messages is publishers and subscribers. Each message is published once: by
// PUBLISH, or by a script or transaction that also writes a key of its own; and
// some keys are only written, which the server tells of.
//
// A subscription is an operation with a name for the subscription, SUBSCRIBE or
// PSUBSCRIBE NAME TOPIC, on a connection for itself. The driver adds operations to
// the history: MESSAGE NAME CHANNEL PAYLOAD for each message when it comes, and END
// NAME when the connection has ended, which it also tells to Returned.
type messages struct {
	noSetup
	cfg     Config
	value   int
	name    int
	open    map[string]bool // subscriptions
	told    bool            // the server was told to tell of writes
	unknown []string        // keys of commands with an unknown outcome
	final   int
}

// messagesDB is the database of the keys that are told of.
const messagesDB = 5

// publishBody writes a key, named or not, and publishes its value.
const publishBody = `redis.call('SET', KEYS[1] or ARGV[3], ARGV[2])
return redis.call('PUBLISH', ARGV[1], ARGV[2])`

func newMessages(cfg Config) Workload { return &messages{cfg: cfg, open: map[string]bool{}} }

const (
	// maxSubscriptions bounds those of a chapter at a time.
	maxSubscriptions = 5
	keyspacePrefix   = "__keyspace@5__:"
	secondKey        = "b" // behind the name of a transaction's first
)

func (w *messages) channel() string {
	return fmt.Sprintf("%s:ch%d", w.cfg.Prefix, w.cfg.Rand.IntN(w.cfg.Keys))
}

// Next implements Workload.
func (w *messages) Next(c Client) Command {
	r := w.cfg.Rand
	if len(w.open) < maxSubscriptions && r.IntN(4) == 0 {
		return w.subscribe()
	}
	if !w.told {
		return Command{"CONFIG", "SET", "notify-keyspace-events", "K$"}
	}
	w.value++
	v := strconv.Itoa(w.value)
	key, ch := w.cfg.Prefix+":k"+v, w.channel()
	switch n := r.IntN(100); {
	case n < 50:
		return Command{"PUBLISH", ch, v}
	case n < 65:
		return Command{"EVAL", publishBody, "1", key, ch, v}
	case n < 75:
		return Command{"EVAL", publishBody, "0", ch, v, key}
	case n < 85 && w.cfg.Fronts:
		return Multi(nil, Command{"SET", key, v}, Command{"PUBLISH", ch, v}, Command{"SET", key + secondKey, v})
	}
	return Command{"SET", key, v}
}

func (w *messages) subscribe() Command {
	w.name++
	name := fmt.Sprintf("s%d", w.name)
	w.open[name] = true
	switch w.cfg.Rand.IntN(4) {
	case 0:
		return Command{"PSUBSCRIBE", name, w.cfg.Prefix + ":ch*"}
	case 1:
		return Command{"PSUBSCRIBE", name, keyspacePrefix + w.cfg.Prefix + ":k*"}
	}
	return Command{"SUBSCRIBE", name, w.channel()}
}

// Returned implements Workload.
func (w *messages) Returned(o *Op) {
	switch c := o.Command; {
	case c[0] == "END" || c.Subscribes() && !o.answered():
		delete(w.open, c[1])
	case c[0] == "CONFIG":
		w.told = w.told || o.answered()
	case !o.answered() && !o.refused() && publishedKey(c) != "":
		w.unknown = append(w.unknown, publishedKey(c))
	}
}

// Subscribes says whether a command is a subscription.
func (c Command) Subscribes() bool { return c[0] == "SUBSCRIBE" || c[0] == "PSUBSCRIBE" }

// Final implements Workload. The first round says something in each channel.
func (w *messages) Final() (all []Command) {
	w.final++
	switch w.final {
	case 1:
		for i := range w.cfg.Keys {
			w.value++
			all = append(all, Command{"PUBLISH", fmt.Sprintf("%s:ch%d", w.cfg.Prefix, i), strconv.Itoa(w.value)})
		}
	case 2:
		for _, k := range w.unknown {
			all = append(all, Command{"GET", k})
		}
	}
	return all
}

// published is the channel and message of a command; ok is false if it has none.
func published(c Command) (channel, message string, ok bool) {
	if _, args, script := c.Script(); script {
		return args[0], args[1], true
	}
	if _, cmds, multi := c.Txn(); multi {
		return cmds[1][1], cmds[1][2], true
	}
	if c[0] == "PUBLISH" {
		return c[1], c[2], true
	}
	return "", "", false
}

// publishedKey is the key that a command writes, if there is one.
func publishedKey(c Command) string {
	if keys, args, script := c.Script(); script {
		if len(keys) > 0 {
			return keys[0]
		}
		return args[2]
	}
	if _, cmds, multi := c.Txn(); multi {
		return cmds[0][1]
	}
	if c[0] == "SET" {
		return c[1]
	}
	return ""
}

// subscription is what is known of one.
type subscription struct {
	name, topic string
	pattern     bool
	begun       *Op
	ended       *Op
	got         map[string]int // by channel and payload
	last        map[publisher]lastMessage
}

// publisher is a connection that publishes in a channel.
type publisher struct {
	Client
	channel string
}

// lastMessage is the last one that came: where in the history it was published.
type lastMessage struct {
	place int
	op    *Op
}

func (s *subscription) matches(channel string) bool {
	if s.pattern {
		return strings.HasPrefix(channel, strings.TrimSuffix(s.topic, "*"))
	}
	return channel == s.topic
}

// messagesCheck is one history under judgement.
type messagesCheck struct {
	r       *Report
	by      map[string][]int // places of the operations that published, by message
	keys    map[string][]int // that wrote, by key
	ops     []*Op
	subs    map[string]*subscription
	order   []*subscription
	missing map[string]*Op // reads at the end that did not find a key
}

// checkMessages: what a subscriber gets was published, by something that was
// committed, and comes once, in the order of its publisher; and when all is quiet,
// everybody gets everything.
func checkMessages(h *History, r *Report) {
	c := &messagesCheck{r: r, by: map[string][]int{}, keys: map[string][]int{}, ops: h.Ops, subs: map[string]*subscription{}, missing: map[string]*Op{}}
	for i, o := range h.Ops {
		c.note(i, o)
	}
	for _, o := range h.Ops {
		if o.Command[0] == "MESSAGE" {
			c.check(o)
		}
	}
	if !h.Quiet {
		return
	}
	for _, o := range h.Ops {
		if o.Final && o.Command[0] == "PUBLISH" && o.answered() {
			c.checkReaches(o)
		}
	}
}

func (c *messagesCheck) note(i int, o *Op) {
	cmd := o.Command
	if _, m, ok := published(cmd); ok {
		c.by[m] = append(c.by[m], i)
	}
	if k := publishedKey(cmd); k != "" {
		c.keys[k] = append(c.keys[k], i)
		c.keys[k+secondKey] = append(c.keys[k+secondKey], i) // of a transaction
	}
	switch {
	case cmd.Subscribes():
		s := &subscription{name: cmd[1], topic: cmd[2], pattern: cmd[0][0] == 'P', begun: o, got: map[string]int{}, last: map[publisher]lastMessage{}}
		c.subs[cmd[1]], c.order = s, append(c.order, s)
	case cmd[0] == "END" && c.subs[cmd[1]] != nil:
		c.subs[cmd[1]].ended = o
	case cmd[0] == "GET" && o.answered() && string(o.Reply) == nilReply:
		c.missing[cmd[1]] = o
	case cmd[0] == "PUBLISH" && o.answered():
		if _, ok := o.number(); !ok {
			c.r.Violate([]*Op{o}, "an unexpected answer")
		}
	}
}

// check judges one message.
func (c *messagesCheck) check(o *Op) {
	s, channel, text := c.subs[o.Command[1]], o.Command[2], o.Command[3]
	if s == nil || !s.matches(channel) || o.Call < s.begun.Call {
		c.r.Violate([]*Op{o}, "a message for which nobody had asked")
		return
	}
	places := c.by[text]
	key, told := strings.CutPrefix(channel, keyspacePrefix)
	if told {
		places = c.keys[key]
	}
	var from *Op
	possible, at := 0, 0
	for _, i := range places {
		p := c.ops[i]
		if ch, _, _ := published(p.Command); p.void() || !told && ch != channel {
			continue
		}
		if from, at = p, i; p.Call <= o.Call {
			possible++
		}
	}
	id := channel + " " + text
	s.got[id]++
	switch {
	case len(places) == 0:
		c.r.Violate([]*Op{s.begun, o}, "%s: a message that nobody published", s.name)
	case from == nil:
		c.r.Violate([]*Op{c.ops[places[0]], o}, "%s: a message of what was not run, or of another channel", s.name)
	case possible == 0:
		c.r.Violate([]*Op{from, o}, "%s: a message from before it was published", s.name)
	case s.got[id] > possible:
		c.r.Violate([]*Op{from, s.begun, o}, "%s: a message came %d times", s.name, s.got[id])
	default:
		// One whose outcome is unknown may still be run after the last reading.
		if key := publishedKey(from.Command); key != "" && !from.answered() && c.missing[key] != nil && c.missing[key].Call > o.Call {
			c.r.Violate([]*Op{from, o, c.missing[key]}, "%s: a message of what was not committed", s.name)
		}
		c.checkOrder(s, o, from, at, channel)
	}
}

// checkOrder: what one connection publishes in a channel comes in its order. What
// scripts say comes from the leader that ran them.
func (c *messagesCheck) checkOrder(s *subscription, o, from *Op, at int, channel string) {
	if from.Command[0] != "PUBLISH" && from.Command[0] != "MULTI" || strings.HasPrefix(channel, keyspacePrefix) {
		return
	}
	who := publisher{from.Client, channel}
	if before := s.last[who]; before.op != nil && before.place > at {
		c.r.Violate([]*Op{from, c.ops[before.place], before.op, o}, "%s: messages of one publisher changed places", s.name)
	}
	s.last[who] = lastMessage{at, o}
}

// checkReaches: a message of the end reaches all that are subscribed, and is
// answered with their number.
func (c *messagesCheck) checkReaches(o *Op) {
	least, most := 0, 0
	for _, s := range c.order {
		if !s.matches(o.Command[1]) {
			continue
		}
		if s.ended == nil || s.ended.Call >= o.Call {
			most++
		}
		if !s.begun.answered() {
			continue
		}
		if s.ended != nil || s.begun.Return > o.Call {
			continue
		}
		if least++; s.got[o.Command[1]+" "+o.Command[2]] == 0 {
			c.r.Violate([]*Op{s.begun, o}, "%s: a message has not come, though all is quiet", s.name)
			return
		}
	}
	if n, _ := o.number(); int(n) < least || int(n) > most {
		var begun []*Op
		for _, s := range c.order {
			begun = append(begun, s.begun)
		}
		c.r.Violate(append(slices.Clone(begun), o), "a message is said to have %d subscribers, and there are %d to %d", n, least, most)
	}
}
