package partition

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/sim/script"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/memstate"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// TestScripts runs the golden scripts: replicas of partition 1 whose inputs
// come one by one. Replica N lives on node N. Commands:
//
//	group voters=N,… [learners=N,…] [election=TICKS] [queue=TICKS]  replicas from a founded state
//	new N                               a replica without any state
//	campaign N · tick N [TICKS] · down N node=N
//	submit N NAME:COMMAND… [term=N] [gateway=N]
//	                                    requests: NAME:set/V (writes key k),
//	                                    NAME:get (reads it), NAME:far (a slot
//	                                    of another partition), NAME:pop (takes
//	                                    it away, or waits), NAME:peek (reads it,
//	                                    or waits), NAME:move (from k to k of slot
//	                                    50, or waits), NAME:popother (from there)
//	                                    a value hear-… is said to subscribers
//	cancel N TARGET [reply=TEXT]        ends the waiting of a request
//	confirm N TARGET…                   their answers have arrived
//	waiters N…
//	round N [held=N,…]                  Evaluate and HandleReady
//	live N                              whom the leader takes for live
//	run [N…] [hold=N,…]                 carry out everything that these (all)
//	                                    do and say to each other; who is held
//	                                    does not get its appends done; stop=N,…
//	                                    holds those with a snapshot only
//	lose [to=N]                         messages under way are gone
//	unheard                             the next snapshot arrives, and its
//	                                    sender takes it for lost
//	transfer N to=N · conf N [learner=N] [voter=N] [remove=N] [joint]
//	deliver N                           it gets what is under way to it
//	depose N by=N                       another one is elected meanwhile
//	rawtransfer N to=N                  raft's own, without the replica's knowledge
//	propose N                           stuff the log: an empty proposal
//	die N                               with its state replaced by a snapshot,
//	                                    and its log not reset yet
//	txn N NAME OP [home|away] [SLOT/VALUE…|null] id=N  a transaction's message: prepare (away:
//	                                    home is another partition), prepare-wait, commit, finish, abort, recover, forget
//	cut N NAME OP [WORD…] id=N          a message of a cut: arm, pin, release, decide (with
//	                                    ids of transactions), read (a word of submit), end
//	move-later N                        its next moves down do not end; moved N: they do
//	serve N                             ServeCuts
//	views N…
//	locks N… · background N
//	abandon N NAME · close N · restart N · move N · truncate N [keep=N] · show N…
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T) func(*script.Command) string {
		g := &group{t: t, members: map[uint64]*member{}, reqs: map[string]*Request{}}
		return g.do
	})
}

// testLog is a replica's log in memory; what is appended is durable.
type testLog struct {
	state   logstore.State
	entries []*pb.Entry
}

func (l *testLog) Term(i uint64) (uint64, error) {
	switch {
	case i < l.state.Mark.Index:
		return 0, raft.ErrCompacted
	case i > l.state.Last:
		return 0, raft.ErrUnavailable
	case i == l.state.Mark.Index:
		return l.state.Mark.Term, nil
	}
	return l.entries[i-l.state.Mark.Index-1].GetTerm(), nil
}

func (l *testLog) Entries(lo, hi, _ uint64) ([]*pb.Entry, error) {
	if lo <= l.state.Mark.Index {
		return nil, raft.ErrCompacted
	}
	first := l.state.Mark.Index + 1
	return l.entries[lo-first : hi-first], nil
}

func (l *testLog) apply(u *logstore.Update) {
	s := &l.state
	if u.Reset != nil {
		s.Mark, s.Last, l.entries = *u.Reset, u.Reset.Index, nil
	}
	for _, e := range u.Entries {
		l.entries = append(slices.Clip(l.entries[:e.GetIndex()-s.Mark.Index-1]), e)
		s.Last = e.GetIndex()
	}
	if u.HardState != nil {
		s.HardState = *u.HardState
	}
	if u.Truncate != nil {
		l.entries = l.entries[u.Truncate.Index-s.Mark.Index:]
		s.Mark = *u.Truncate
	}
}

// member is one replica and its disks.
type member struct {
	id      uint64
	r       *Replica
	log     *testLog
	store   *memstate.Store
	out     Output
	appends []Append // not durable yet
	late    bool     // moves down do not end
	downs   []MoveDown
}

// group is replicas and what is under way between them.
type group struct {
	t        *testing.T
	members  map[uint64]*member
	sequence uint64 // of requests
	token    []byte // of the last READ
	fetched  *Work  // what the last FETCH read
	mail     []Message
	reqs     map[string]*Request
	text     strings.Builder
	imports  []importing
	election int
	queue    uint64
	unheard  bool
}

// importing is a streamed snapshot: all keys of the sender.
type importing struct {
	keys map[string][]byte
}

func (g *group) open(m *member) {
	var s State
	if b, ok, _ := m.store.Get(keys.StateKey(1), nil); ok {
		var err error
		if s, err = DecodeState(b); err != nil {
			g.t.Fatal(err)
		}
	}
	rec := Recovered{State: s, Log: m.log.state}
	if up := Reconcile(&rec.State, &rec.Log, m.log.Term); up != nil {
		fmt.Fprintf(&g.text, "%d: the log starts anew at %d\n", m.id, up.Reset.Index)
		m.log.apply(up)
	}
	r, err := New(Config{
		Partition: 1, Replica: base.ReplicaID(m.id), Node: base.NodeID(m.id), Log: m.log, Base: m.store, Evaluator: words{},
		Logger: slog.New(slog.DiscardHandler), Rand: func() uint64 { return 4 }, ReadOnly: func() string { return "" }, ElectionTicks: g.election, QueueTicks: g.queue,
	}, rec)
	if err != nil {
		g.t.Fatal(err)
	}
	m.r, m.appends = r, nil
}

func (g *group) add(id uint64) *member {
	m := &member{
		id: id, store: memstate.New(),
		log: &testLog{state: logstore.State{Partition: 1, Replica: base.ReplicaID(id), First: 1}},
	}
	g.members[id] = m
	return m
}

func (g *group) found(c *script.Command) {
	g.mail, g.members = nil, map[uint64]*member{}
	g.election, g.queue = int(c.Num("election", 0)), c.Num("queue", 0)
	s := State{
		Index: 1, Term: 1, NextObjectID: 1, Span: base.Span{Lo: 0, Hi: 100}, Epoch: 1,
		Conf: Conf{Voters: c.Nums("voters"), Learners: c.Nums("learners")}, Members: map[base.ReplicaID]base.NodeID{},
	}
	ids := append(c.Nums("voters"), c.Nums("learners")...)
	for _, id := range ids {
		s.Members[base.ReplicaID(id)] = base.NodeID(id)
	}
	for _, id := range ids {
		m := g.add(id)
		b := m.store.NewBatch()
		b.Set(keys.StateKey(1), AppendState(nil, &s))
		if err := m.store.Commit(b); err != nil {
			g.t.Fatal(err)
		}
		m.log.apply(&logstore.Update{Reset: &logstore.Mark{Index: 1, Term: 1}, HardState: &logstore.HardState{Term: 1, Commit: 1}})
		g.open(m)
	}
}

func (g *group) member(c *script.Command, id uint64) *member {
	m := g.members[id]
	if m == nil || m.r == nil {
		c.Fatal("no replica %d", id)
	}
	return m
}

func (g *group) do(c *script.Command) string {
	g.text.Reset()
	var m *member
	if !slices.Contains([]string{"group", "new", "run", "lose", "unheard", "show", "restart"}, c.Name) {
		m = g.member(c, c.Arg(0))
	}
	switch c.Name {
	case "group":
		g.found(c)
	case "new":
		g.open(g.add(c.Arg(0)))
	case "campaign":
		_ = m.r.rn.Campaign()
	case "tick":
		n := uint64(1)
		if len(c.Args) > 1 {
			n = c.Arg(1)
		}
		for range n {
			m.r.Tick()
		}
	case "down":
		m.r.NodeDown(base.NodeID(c.Num("node", 0)))
	case "submit":
		g.submit(c, m)
	case "live":
		m.r.Progress(func(id base.ReplicaID, _ base.NodeID, _ bool, _ uint64, live bool) {
			fmt.Fprintf(&g.text, "%d: %v\n", id, live)
		})
	case "round":
		held := Held{}
		for _, id := range c.Nums("held") {
			held[base.NodeID(id)] = true
		}
		m.r.Evaluate(1000, held, &m.out)
		m.r.HandleReady(&m.out)
	case "run":
		g.run(c)
	case "deliver":
		g.mail = slices.DeleteFunc(g.mail, func(x Message) bool {
			if uint64(x.Node) == m.id {
				m.r.LearnSender(x.From, base.NodeID(x.From))
				m.r.Step(x.Raft)
			}
			return uint64(x.Node) == m.id
		})
	case "depose": // another replica is elected, without this one
		g.depose(c, m)
	case "unheard":
		g.unheard = true
		return g.text.String()
	case "lose":
		g.mail = slices.DeleteFunc(g.mail, func(x Message) bool {
			return !c.Has("to") || uint64(x.Node) == c.Num("to", 0)
		})
	case "transfer":
		fmt.Fprintf(&g.text, "%v\n", m.r.Transfer(base.NodeID(c.Num("to", 0))))
	case "rawtransfer":
		m.r.rn.TransferLeader(c.Num("to", 0))
	case "conf":
		g.conf(c, m)
	case "propose":
		if err := m.r.rn.Propose(nil); err != nil {
			fmt.Fprintln(&g.text, err)
		}
	case "abandon":
		m.r.Abandon(g.reqs[c.Args[1]])
	case "close":
		m.r.Close(&m.out)
	case "die": // its snapshots have become the state, its log has nothing of it
		g.ingest(m)
		m.r, m.appends = nil, nil
		return g.text.String()
	case "restart":
		g.open(g.members[c.Arg(0)])
	case "move":
		m.r.Move(&m.out)
	case "truncate":
		if up := m.r.TruncateTo(m.r.moved.Index, c.Num("keep", 0)); up != nil {
			m.log.apply(up)
			fmt.Fprintf(&g.text, "the log begins after %d\n", up.Truncate.Index)
		}
	case "background":
		m.r.WantBackground()
	case "txn":
		g.transaction(c, m)
	case "cut":
		g.cut(c, m)
	case "serve":
		if m.r.ServeCuts(2000, &m.out) {
			g.text.WriteString("more\n")
		}
	case "move-later":
		m.late = true
	case "moved":
		m.late = false
		g.moveDown(m, m.downs)
		m.downs = nil
	case "views":
		for i := range c.Args {
			m := g.member(c, c.Arg(i))
			fmt.Fprintf(&g.text, "%d: %d views, %d open in the store, a barrier: %v, a round wanted: %v\n", m.id,
				m.r.Views(), m.store.Metrics().OpenViews, m.r.cuts.barrier != nil, m.r.WantsRound())
		}
	case "locks":
		for i := range c.Args {
			m := g.member(c, c.Arg(i))
			fmt.Fprintf(&g.text, "%d: %d intents, %d verdicts, %d slots held, %d parked\n", m.id,
				len(m.r.txns.intents), len(m.r.txns.verdicts), len(m.r.txns.held), len(m.r.txns.parked))
		}
	case "cancel":
		g.sequence++
		_, term := m.r.Leader()
		target := g.reqs[c.Args[1]]
		g.reqs["cancel"] = &Request{
			Partition: 1, Term: term, Flags: Whole | Cancel, LowWater: 1,
			Args:   [][]byte{binary.AppendUvarint(nil, target.Origin.Sequence), []byte("nothing")},
			Origin: base.Origin{Gateway: target.Origin.Gateway, Incarnation: 1, Sequence: g.sequence},
		}
		m.r.Submit(g.reqs["cancel"], &m.out)
	case "confirm":
		g.sequence++
		_, term := m.r.Leader()
		var arrived []uint64
		for _, name := range c.Args[1:] {
			arrived = append(arrived, g.reqs[name].Origin.Sequence)
		}
		g.reqs["confirm"] = &Request{
			Partition: 1, Term: term, Flags: Write | Whole | Confirm, LowWater: g.sequence, Args: ConfirmArgs(arrived),
			Origin: base.Origin{Gateway: 9, Incarnation: 1, Sequence: g.sequence},
		}
		m.r.Submit(g.reqs["confirm"], &m.out)
	case "gateway-down":
		m.r.GatewayDown(base.NodeID(c.Arg(1)), &m.out)
	case "waiters":
		for i := range c.Args {
			m := g.member(c, c.Arg(i))
			fmt.Fprintf(&g.text, "%d: %d wait, for %d keys; %d parked; %d bytes\n", m.id,
				len(m.r.waiters.of), len(m.r.waiters.keys), len(m.r.txns.parked), m.r.waiters.limit.bytes)
		}
	case "kept":
		for i := range c.Args {
			m := g.member(c, c.Arg(i))
			fmt.Fprintf(&g.text, "%d: %d\n", m.id, m.r.State().Answers.Kept())
		}
	case "show":
		for i := range c.Args {
			g.show(g.member(c, c.Arg(i)))
		}
	default:
		c.Fatal("unknown command")
	}
	if m != nil {
		g.note(m)
	}
	return g.text.String()
}

func (g *group) submit(c *script.Command, m *member) {
	_, term := m.r.Leader()
	for _, w := range c.Args[1:] {
		name, cmd, _ := strings.Cut(w, ":")
		cmd, value, write := strings.Cut(cmd, "/")
		g.sequence++
		req := &Request{
			Partition: 1, Term: c.Num("term", term), Args: [][]byte{[]byte(cmd)}, LowWater: c.Num("low", 1),
			Origin:  base.Origin{Gateway: base.NodeID(c.Num("gateway", 9)), Incarnation: 1, Sequence: c.Num("seq", g.sequence)},
			Session: c.Num("session", 0),
		}
		if write {
			req.Flags, req.Args = Write, append(req.Args, []byte(value))
		}
		switch {
		case cmd == "peek":
			req.Flags = Blocking
		case cmd == "pop", cmd == "move":
			req.Flags = Write | Blocking
		case cmd == "popother":
			req.Flags, req.Slot, req.Args = Write|Blocking, 50, [][]byte{[]byte("pop")}
		case cmd == "confirm":
			req.Flags = Write | Confirm | Whole
		case cmd == "far":
			req.Slot = 200
		case cmd == "other":
			req.Slot = 50
		case cmd == "all":
			req.Flags |= Whole
		}
		if old := g.reqs[name]; old != nil && c.Has("again") {
			req.Origin = old.Origin
		}
		g.reqs[name] = req
		m.r.Submit(req, &m.out)
	}
}

// transaction submits one message of a transaction: its name is the id's
// sequence, at gateway 7.
func (g *group) transaction(c *script.Command, m *member) {
	_, term := m.r.Leader()
	id := TxnID{Gateway: 7, Sequence: c.Num("id", 0)}
	g.sequence++
	req := &Request{
		Partition: 1, Term: term, Flags: Write | Whole | Transaction, LowWater: c.Num("low", 1), Session: c.Num("session", 0),
		Origin: base.Origin{Gateway: base.NodeID(c.Num("gateway", 7)), Incarnation: 1, Sequence: 1000 + g.sequence},
	}
	var words [][]byte
	for _, w := range c.Args[3:] {
		words = append(words, []byte(w))
	}
	switch op := c.Args[2]; op {
	case "prepare", "prepare-wait":
		named := id
		if c.Has("home") {
			named, req.Origin.Sequence = TxnID{}, id.Sequence
			words = words[1:]
		}
		parts := []base.PartitionID{1, 2}
		if c.Has("away") {
			parts, words = []base.PartitionID{0, 1}, words[1:]
		}
		req.Args = PrepareArgs(named, parts, op == "prepare-wait", words)
	case "commit":
		req.Args = CommitArgs(id)
	case "abort", "finish":
		req.Args = ResolveArgs(id, op == "finish")
	case "read", "validate":
		req.Flags &^= Write
		if req.Args = ReadArgs(words); op == "validate" {
			req.Args = ValidateArgs(g.token, words)
		}
	case "fetch": // under=, or without locks: wait, again
		req.Flags &^= Write
		var before *Work
		if c.Has("again") {
			before = g.fetched
		}
		var queries []Query
		for _, w := range words {
			if n, err := strconv.Atoi(string(w)); err == nil {
				queries = append(queries, Query{Key: keys.RecordKey(nil, base.Slot(n), 0, []byte("k"))})
			}
		}
		req.Args = FetchArgs(TxnID{}, c.Has("wait"), before, queries...)
		if c.Has("under") {
			req.Args = FetchArgs(TxnID{Gateway: 7, Sequence: c.Num("under", 0)}, false, nil, queries...)
		}
	case "recover":
		req.Args = RecoverArgs(id)
	case "forget":
		req.Args = ForgetArgs(id)
	default:
		c.Fatal("unknown message")
	}
	g.reqs[c.Args[1]] = req
	m.r.Submit(req, &m.out)
}

// cut submits one message of a cut: its name is the id's sequence, at gateway 8.
func (g *group) cut(c *script.Command, m *member) {
	_, term := m.r.Leader()
	id := TxnID{Gateway: 8, Sequence: c.Num("id", 0)}
	g.sequence++
	req := &Request{
		Partition: 1, Term: term, Flags: Whole | Transaction, LowWater: 1,
		Origin: base.Origin{Gateway: 8, Incarnation: 1, Sequence: 1000 + g.sequence},
	}
	switch op := c.Args[2]; op {
	case "arm":
		req.Args = ArmArgs(id)
	case "arm-first":
		req.Args, req.Origin.Sequence = ArmArgs(TxnID{}), id.Sequence
	case "pin":
		req.Args = PinArgs(id)
	case "release":
		req.Args = ReleaseArgs(id)
	case "decide":
		var committed []TxnID
		for i := range c.Args[3:] {
			committed = append(committed, TxnID{Gateway: 7, Sequence: c.Arg(3 + i)})
		}
		req.Args = DecideArgs(id, committed)
	case "read":
		word, value, write := strings.Cut(c.Args[3], "/")
		words := [][]byte{[]byte(word)}
		if write {
			words = append(words, []byte(value))
		}
		req.Args, req.Slot = CutReadArgs(id, words...), base.Slot(c.Num("slot", 0))
	case "end":
		req.Args = CutEndArgs(id)
	default:
		c.Fatal("unknown message")
	}
	g.reqs[c.Args[1]] = req
	m.r.Submit(req, &m.out)
}

// pinned is an answer to PIN, in words.
func pinned(reply []byte) string {
	p, err := DecodePinned(reply[1:])
	text := fmt.Sprintf("P open %v committed %v", p.Open, p.Committed)
	if err != nil {
		text += " " + err.Error()
	}
	return text
}

// took shows what a FETCH found, and remembers as of when.
func (g *group) took(reply []byte) []byte {
	f, err := DecodeFetched(reply[1:])
	if err != nil {
		return []byte(err.Error())
	}
	text := []byte{TxnFetched}
	g.fetched = &Work{Term: f.Term}
	for _, item := range f.Items {
		slot, _ := keys.SlotOf(item.Key)
		g.fetched.Reads = append(g.fetched.Reads, SlotRound{Slot: slot, Round: f.Round})
		text = fmt.Appendf(text, " %s", item.Value)
	}
	return text
}

func (g *group) conf(c *script.Command, m *member) {
	var changes []*pb.ConfChangeSingle
	joined := map[base.ReplicaID]base.NodeID{}
	for _, x := range []struct {
		key string
		typ pb.ConfChangeType
	}{
		{"learner", pb.ConfChangeType_ConfChangeAddLearnerNode},
		{"voter", pb.ConfChangeType_ConfChangeAddNode},
		{"remove", pb.ConfChangeType_ConfChangeRemoveNode},
	} {
		for _, id := range c.Nums(x.key) {
			changes = append(changes, &pb.ConfChangeSingle{Type: x.typ.Enum(), NodeId: new(id)})
			joined[base.ReplicaID(id)] = base.NodeID(id)
		}
	}
	fmt.Fprintf(&g.text, "%v\n", m.r.ProposeConf(changes, c.Has("joint"), joined))
}

// depose has another replica elected by the others, while the given one hears
// nothing.
func (g *group) depose(c *script.Command, m *member) {
	var others []uint64
	for id, x := range g.members {
		if id != m.id {
			others = append(others, id)
			x.r.NodeDown(base.NodeID(m.id))
		}
	}
	slices.Sort(others)
	g.mail = nil
	_ = g.members[c.Num("by", 0)].r.rn.Campaign()
	g.settle(c, others, nil)
	g.mail = nil
	g.text.Reset()
	g.show(g.members[c.Num("by", 0)])
}

func (g *group) show(m *member) {
	r := m.r
	leader, term := r.Leader()
	fmt.Fprintf(&g.text, "%d: term %d, leader %d", m.id, term, leader)
	if r.Ready() {
		g.text.WriteString(", ready")
	}
	if r.Busy() {
		g.text.WriteString(", busy")
	}
	if r.Removed() {
		g.text.WriteString(", removed")
	}
	v := r.state.Conf
	fmt.Fprintf(&g.text, ", applied %d, voters %v", r.state.Index, v.Voters)
	if v.Joint() {
		fmt.Fprintf(&g.text, " & %v", v.VotersOutgoing)
	}
	if len(v.Learners)+len(v.LearnersNext) > 0 {
		fmt.Fprintf(&g.text, ", learners %v", append(slices.Clone(v.Learners), v.LearnersNext...))
	}
	key := keys.RecordKey(nil, 0, 0, []byte("k"))
	if b, ok := r.ov.Get(key); ok {
		fmt.Fprintf(&g.text, ", k is %s", b)
	}
	g.text.WriteString("\n")
}
