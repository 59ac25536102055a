package redisfront

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"coterie/internal/base"
	"coterie/internal/broker"
	"coterie/internal/command"
	"coterie/internal/pubsub"
	"coterie/internal/resp"
)

// This file makes sessions subscribers, and answers the commands about
// channels. A message reaches a session's output from the broker's goroutine,
// between two replies. Only while the session runs a command whose reply has
// to come first, messages are held: see hold and release.

// subscriptions are a session's topics by kind. Its reader changes them, under
// the session's mu; so the reader may read them without.
type subscriptions [pubsub.NumKinds]map[string]struct{}

func (x *subscriptions) has(k pubsub.Kind, name string) bool {
	_, ok := x[k][name]
	return ok
}

func (x *subscriptions) any() bool {
	return len(x[pubsub.Channel])+len(x[pubsub.Pattern])+len(x[pubsub.Shard]) > 0
}

// shown is the count that replies about a kind show.
func (x *subscriptions) shown(k pubsub.Kind) int64 {
	if k == pubsub.Shard {
		return int64(len(x[pubsub.Shard]))
	}
	return int64(len(x[pubsub.Channel]) + len(x[pubsub.Pattern]))
}

// pushLimits are how much may wait for a subscriber that does not read, before
// its connection is closed: CONFIG's client-output-buffer-limit, class pubsub.
type pushLimits struct {
	hard, soft atomic.Int64 // bytes; 0: none
	wait       atomic.Int64 // how long it may be more than soft; nanoseconds
}

const (
	pushHard = 32 << 20
	pushSoft = 8 << 20
	pushWait = 60 * time.Second
)

func (l *pushLimits) init() {
	l.hard.Store(pushHard)
	l.soft.Store(pushSoft)
	l.wait.Store(int64(pushWait))
}

// kindWords are what replies and messages of a kind say.
var kindWords = [pubsub.NumKinds]struct{ subscribe, unsubscribe, message string }{
	pubsub.Channel: {"subscribe", "unsubscribe", "message"},
	pubsub.Pattern: {"psubscribe", "punsubscribe", "pmessage"},
	pubsub.Shard:   {"ssubscribe", "sunsubscribe", "smessage"},
}

// form is a message as a client of a protocol version gets it.
func form(msg *broker.Message, proto int) []byte {
	f := &msg.Forms[0]
	if proto == 3 {
		f = &msg.Forms[1]
	}
	if *f != nil {
		return *f
	}
	w := resp.Writer{Proto: proto, Buf: make([]byte, 0, 64+len(msg.Topic)+len(msg.Channel)+len(msg.Payload))}
	parts := 3
	if msg.Kind == pubsub.Pattern {
		parts = 4
	}
	w.Push(parts)
	w.BulkString(kindWords[msg.Kind].message)
	if msg.Kind == pubsub.Pattern {
		w.BulkString(msg.Topic)
	}
	w.Bulk(msg.Channel)
	w.Bulk(msg.Payload)
	*f = w.Buf
	return *f
}

var _ broker.Subscriber = (*session)(nil)

// Deliver implements broker.Subscriber.
func (s *session) Deliver(msg *broker.Message) (flush bool) {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	if m.dead || !s.subs.has(msg.Kind, msg.Topic) { // it has left meanwhile
		return false
	}
	p := form(msg, int(s.proto.Load()))
	if m.holding {
		m.held = append(m.held, p)
		m.heldBytes += int64(len(p))
		s.owe(int64(len(p)))
		return false
	}
	s.emit(p)
	if m.pushed {
		return false
	}
	m.pushed = true
	return true
}

// Flush implements broker.Subscriber.
func (s *session) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.pushed = false
	if !s.mu.dirty {
		s.send()
	}
}

// hold keeps messages back until the command that runs has its reply out:
// process calls release.
func (s *session) hold() {
	if s.holds {
		return
	}
	s.holds = true
	s.mu.Lock()
	s.mu.holding = true
	s.mu.Unlock()
}

// release sends what was held, behind all replies. It returns false when the
// session is over.
func (s *session) release() bool {
	s.holds = false
	s.submit()
	ok := s.drained()
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	m.holding = false
	held := m.held
	m.held = nil
	if m.heldBytes > 0 && !m.dead {
		s.paid(m.heldBytes)
	}
	m.heldBytes = 0
	for _, p := range held {
		s.emit(p)
	}
	if !m.dirty {
		s.send()
	}
	return ok
}

// drained waits until everything that was submitted is answered. It returns
// false when the session is over.
func (s *session) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaitAll()
	return !s.mu.dead
}

// inOrder waits until the commands before this one have had their effects, so
// that nobody hears of them before they can be seen.
func (s *session) inOrder() {
	if s.batchHead == nil {
		s.mu.Lock()
		idle := s.mu.pending == 0
		s.mu.Unlock()
		if idle {
			return
		}
	}
	s.submit()
	s.drained()
}

// restricted says that the connection takes only commands about its
// subscriptions.
func (s *session) restricted() bool { return s.proto.Load() != 3 && s.subs.any() }

func (s *session) restriction(e *entry) string {
	return "ERR Can't execute '" + e.full + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
}

// subscribed is one line of a reply: to, or from, what, and how many there are
// then. A nil name stands for nothing.
func (s *session) subscribed(word string, name []byte, k pubsub.Kind) {
	s.rw.Push(3)
	s.rw.BulkString(word)
	if name == nil {
		s.rw.Null()
	} else {
		s.rw.Bulk(name)
	}
	s.rw.Int(s.subs.shown(k))
}

// subscribe is SUBSCRIBE, PSUBSCRIBE and SSUBSCRIBE. It answers when the other
// nodes know.
func subscribe(k pubsub.Kind) localFunc {
	return func(s *session, args [][]byte) {
		if k == pubsub.Shard && s.cluster {
			if why := s.shardOwner(args[1:]); why != "" {
				s.rw.Error(why)
				return
			}
		}
		s.hold()
		for _, name := range args[1:] {
			if !s.subs.has(k, string(name)) && !s.enter(k, name) {
				s.rw.Error("ERR the node's memory for subscriptions is used up")
				break
			}
			s.subscribed(kindWords[k].subscribe, name, k)
		}
		s.f.broker.Settle()
	}
}

// enter makes the session a subscriber. It is false when there is no room.
func (s *session) enter(k pubsub.Kind, name []byte) bool {
	if len(name) > s.f.opts.Limits.KeyBytes {
		return false
	}
	s.mu.Lock()
	if s.subs[k] == nil {
		s.subs[k] = map[string]struct{}{}
	}
	s.subs[k][string(name)] = struct{}{}
	s.mu.subscriber = true
	s.mu.Unlock()
	if s.f.broker.Subscribe(k, name, s) == nil {
		return true
	}
	s.leave(k, name)
	return false
}

func (s *session) leave(k pubsub.Kind, name []byte) {
	s.f.broker.Unsubscribe(k, name, s)
	s.mu.Lock()
	delete(s.subs[k], string(name))
	s.mu.subscriber = s.subs.any()
	s.mu.Unlock()
}

// unsubscribe is UNSUBSCRIBE, PUNSUBSCRIBE and SUNSUBSCRIBE.
func unsubscribe(k pubsub.Kind) localFunc {
	return func(s *session, args [][]byte) {
		word := kindWords[k].unsubscribe
		names := args[1:]
		if len(names) == 0 {
			names = s.names(k)
		}
		if len(names) == 0 {
			s.subscribed(word, nil, k)
		}
		for _, name := range names {
			if s.subs.has(k, string(name)) {
				s.leave(k, name)
			}
			s.subscribed(word, name, k)
		}
	}
}

// names are the session's topics of a kind, in order.
func (s *session) names(k pubsub.Kind) [][]byte {
	list := make([][]byte, 0, len(s.subs[k]))
	for name := range s.subs[k] {
		list = append(list, []byte(name))
	}
	slices.SortFunc(list, slices.Compare)
	return list
}

// leaveAll ends all of the session's subscriptions.
func (s *session) leaveAll() {
	for k := range pubsub.Kind(pubsub.NumKinds) {
		for _, name := range s.names(k) {
			s.leave(k, name)
		}
	}
}

// shardOwner says why a cluster connection may not use sharded channels here,
// or "".
func (s *session) shardOwner(names [][]byte) string {
	slot := base.KeySlot(names[0])
	for _, name := range names[1:] {
		if base.KeySlot(name) != slot {
			return errCrossSlot
		}
	}
	_, why := s.owner(slot, false)
	return why
}

// publish is PUBLISH and SPUBLISH outside of transactions.
func publish(sharded bool) localFunc {
	return func(s *session, args [][]byte) {
		if sharded && s.cluster {
			if why := s.shardOwner(args[1:2]); why != "" {
				s.rw.Error(why)
				return
			}
		}
		if s.subs.any() {
			s.hold()
		}
		s.rw.Int(s.f.broker.Publish(sharded, args[1], args[2], true))
	}
}

// publishes says whether an entry is PUBLISH or SPUBLISH: in a transaction it
// takes effect when the others are committed.
func (e *entry) publishes() bool { return e.full == "publish" || e.full == "spublish" }

// publishLater is such a command of a transaction: what it is called with when
// the transaction is committed, on the node's loop.
func (s *session) publishLater(q queuedCommand) func(*resp.Writer) {
	return func(w *resp.Writer) {
		w.Int(s.f.broker.Publish(q.e.full == "spublish", q.args[1], q.args[2], false))
	}
}

func pubsubChannels(k pubsub.Kind) localFunc {
	return func(s *session, args [][]byte) {
		var pattern []byte
		switch len(args) {
		case 2:
		case 3:
			pattern = args[2]
		default:
			s.rw.Error("ERR wrong number of arguments for 'pubsub|" + string(lower(nil, clip(args[1]))) + "' command")
			return
		}
		bulks(&s.rw, s.f.broker.Names(k, pattern))
	}
}

func pubsubNumsub(k pubsub.Kind) localFunc {
	return func(s *session, args [][]byte) {
		s.rw.Array(2 * len(args[2:]))
		for _, name := range args[2:] {
			s.rw.Bulk(name)
			s.rw.Int(s.f.broker.Count(k, name))
		}
	}
}

func pubsubNumpat(s *session, _ [][]byte) { s.rw.Int(int64(s.f.broker.Len(pubsub.Pattern))) }

func pubsubSpecs() []frontSpec {
	const g = "pubsub"
	const flags = command.PubSub | command.NoScript | always
	of := func(name string, arity int, since, complexity, summary string, local localFunc, args ...command.Arg) frontSpec {
		return row(name, arity, flags, g, since, complexity, summary, local, args...)
	}
	channels := command.Text("channel").Many()
	all := []frontSpec{
		of("subscribe", -2, "2.0.0", "O(N) over the channels", "Begins to get the messages of channels.", subscribe(pubsub.Channel), channels),
		of("unsubscribe", -1, "2.0.0", "O(N) over the channels", "Gets no more messages of channels, or of none at all.", unsubscribe(pubsub.Channel), channels.Opt()),
		of("psubscribe", -2, "2.0.0", "O(N) over the patterns", "Begins to get the messages of all channels that match patterns.", subscribe(pubsub.Pattern), command.Pattern("pattern").Many()),
		of("punsubscribe", -1, "2.0.0", "O(N) over the patterns", "Gets no more messages by patterns, or by none at all.", unsubscribe(pubsub.Pattern), command.Pattern("pattern").Many().Opt()),
		of("ssubscribe", -2, "7.0.0", "O(N) over the channels", "Begins to get the messages of sharded channels.", subscribe(pubsub.Shard), command.Text("shardchannel").Many()),
		of("sunsubscribe", -1, "7.0.0", "O(N) over the channels", "Gets no more messages of sharded channels, or of none at all.", unsubscribe(pubsub.Shard), command.Text("shardchannel").Many().Opt()),
		row("publish", 3, command.PubSub|command.MayReplicate|quick, g, "2.0.0", "O(N+M) over the subscribers of the channel and the patterns there are", "Sends a message to a channel's subscribers on all nodes.",
			publish(false), command.Text("channel"), command.Text("message")),
		row("spublish", 3, command.PubSub|command.MayReplicate|quick, g, "7.0.0", "O(N) over the channel's subscribers", "Sends a message to a sharded channel's subscribers on all nodes.",
			publish(true), command.Text("shardchannel"), command.Text("message")),
	}
	for i := range all[6:8] { // in scripts
		sharded := i == 1
		all[6+i].Run = func(c *command.Ctx) { c.Out.Int(c.Publish(sharded, c.Args[1], c.Args[2])) }
	}
	const about = command.PubSub | always
	return append(all, container("pubsub", g, "2.8.0", "Commands about channels and their subscribers, on all nodes.",
		sub("channels", -2, about, "2.8.0", "Answers the channels that have subscribers.", pubsubChannels(pubsub.Channel), command.Pattern("pattern").Opt()),
		sub("numpat", 2, about, "2.8.0", "Answers how many patterns have subscribers.", pubsubNumpat),
		sub("numsub", -2, about, "2.8.0", "Answers how many subscribers channels have, those by patterns apart.", pubsubNumsub(pubsub.Channel), channels.Opt()),
		sub("shardchannels", -2, about, "7.0.0", "Answers the sharded channels that have subscribers.", pubsubChannels(pubsub.Shard), command.Pattern("pattern").Opt()),
		sub("shardnumsub", -2, about, "7.0.0", "Answers how many subscribers sharded channels have.", pubsubNumsub(pubsub.Shard), command.Text("shardchannel").Many().Opt()),
	))
}

// bufferLimits is the parameter client-output-buffer-limit. The class pubsub
// can be set on each node; the others are the node's own.
func (f *Front) bufferLimits() *setting {
	show := func() string {
		return fmt.Sprintf("normal %d 0 0 slave 0 0 0 pubsub %d %d %d", f.opts.Limits.OutputBuffer,
			f.push.hard.Load(), f.push.soft.Load(), f.push.wait.Load()/int64(time.Second))
	}
	return &setting{
		value: show(),
		check: func(value string) (string, string) {
			_, _, why := readBufferLimits(value)
			return value, why
		},
		apply: func(value string) string {
			if n, given, _ := readBufferLimits(value); given {
				f.push.hard.Store(n[0])
				f.push.soft.Store(n[1])
				f.push.wait.Store(n[2] * int64(time.Second))
			}
			return show()
		},
	}
}

// readBufferLimits reads limits of classes: hard, soft, seconds. It returns
// those of the class pubsub, if they are given.
func readBufferLimits(value string) (pubsub [3]int64, given bool, why string) {
	words := strings.Fields(value)
	if len(words) == 0 || len(words)%4 != 0 {
		return pubsub, false, "Wrong number of arguments in buffer limit configuration."
	}
	for ; len(words) > 0; words = words[4:] {
		var n [3]int64
		for i, w := range words[1:4] {
			v, ok := memorySize(w)
			if !ok || i == 2 && v > int64(24*time.Hour/time.Second) {
				return pubsub, false, "Error in hard, soft or soft_seconds setting in buffer limit configuration."
			}
			n[i] = v
		}
		switch strings.ToLower(words[0]) {
		case "pubsub":
			pubsub, given = n, true
		case "normal", "slave", "replica":
		default:
			return pubsub, false, "Invalid client class specified in buffer limit configuration."
		}
	}
	return pubsub, given, ""
}

// memorySize reads a number of bytes with Redis's units.
func memorySize(s string) (int64, bool) {
	s = strings.ToLower(s)
	unit := int64(1)
	for _, u := range []struct {
		name string
		size int64
	}{{"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}, {"g", 1e9}, {"m", 1e6}, {"k", 1e3}, {"b", 1}} {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}
