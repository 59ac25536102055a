package txn

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/sim/script"
)

// gateway is a coordinator under a script, and the router that it submits to.
type gateway struct {
	c        *Coordinator
	sequence uint64
	open     []*partition.Request // in the order of submission
	text     strings.Builder
	done     map[string]int
	begun    map[string]*Transaction
}

// Submit implements Router.
func (g *gateway) Submit(reqs []*partition.Request) {
	for _, req := range reqs {
		g.sequence++
		req.Origin = base.Origin{Gateway: 1, Incarnation: 1, Sequence: g.sequence}
		g.open = append(g.open, req)
		fmt.Fprintf(&g.text, "%d -> p%d %s\n", g.sequence, req.Partition, describe(req))
		want := partition.Write | partition.Whole | partition.Transaction
		if op := req.Args[0][0]; op == 'G' || op == 'W' {
			want &^= partition.Write
		}
		if req.Flags != want {
			fmt.Fprintf(&g.text, "FLAGS %b\n", req.Flags)
		}
	}
}

func describe(req *partition.Request) string {
	ids := ""
	for _, b := range req.Args[1:] {
		if len(b) == 16 {
			ids += fmt.Sprintf(" %d.%d", binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]))
		}
	}
	flag := len(req.Args[0]) > 1 && req.Args[0][1] == 1
	switch req.Args[0][0] {
	case 'P':
		s := "PREPARE" + ids
		if len(req.Args[1]) == 0 {
			s += " home"
		}
		if flag {
			s += " wait"
		}
		for b := req.Args[2]; len(b) > 0; b = b[4:] {
			s += fmt.Sprintf(" p%d", binary.BigEndian.Uint32(b))
		}
		if len(req.Args[0]) > 2 {
			return fmt.Sprintf("%s work %x", s, req.Args[3])
		}
		return fmt.Sprintf("%s %q session=%d slot=%d db=%d", s, req.Args[3:], req.Session, req.Slot, req.DB)
	case 'G':
		return fmt.Sprintf("READ %q session=%d", req.Args[3:], req.Session)
	case 'W':
		return fmt.Sprintf("VALIDATE %q %q", req.Args[1], req.Args[3:])
	case 'C':
		return "COMMIT" + ids
	case 'R':
		if flag {
			return "RESOLVE" + ids + " commit"
		}
		return "RESOLVE" + ids + " abort"
	case 'F':
		return "FORGET" + ids
	case 'V':
		return "RECOVER" + ids
	}
	return "?"
}

// named is a transaction's sink.
type named struct {
	g    *gateway
	name string
}

func (n *named) CompleteTxn(t *Transaction) {
	fmt.Fprintf(&n.g.text, "%s is %s", n.name, [...]string{"done", "not run", "unknown"}[t.Status])
	if n.g.done[n.name]++; n.g.done[n.name] > 1 {
		n.g.text.WriteString(" AGAIN")
	}
	switch {
	case t.Hold && t.Status == partition.Done:
		fmt.Fprintf(&n.g.text, ", held as %d.%d", t.ID.Gateway, t.ID.Sequence)
	case t.Conflict:
		n.g.text.WriteString(", others were in the way")
	case t.Committed():
		for _, p := range t.Parts {
			fmt.Fprintf(&n.g.text, " p%d=%s", p.Partition, p.Reply)
		}
	case len(t.Reply) > 0 && t.Reply[0] == '-':
		fmt.Fprintf(&n.g.text, ", %s", strings.Fields(string(t.Reply))[0])
	default:
		fmt.Fprintf(&n.g.text, ", %q", t.Reply)
	}
	n.g.text.WriteString("\n")
}

// TestScripts runs the golden scripts. Every command is followed by a turn.
// Commands:
//
//	begin NAME parts=P,P… [once] [reads] [work] [hold] [under=NAME]
//	release NAME
//	answer p=N WORD                the oldest request at a partition: P C A R … is
//	                               a vote; not-run, unknown and error are that
//	recover p=N home=N seq=N · settle parts=P,P… seq=N
//	tick · waiting
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(*testing.T) func(*script.Command) string {
		g := &gateway{done: map[string]int{}, begun: map[string]*Transaction{}}
		g.c = New(g)
		return g.do
	})
}

func (g *gateway) do(c *script.Command) string {
	g.text.Reset()
	id := partition.TxnID{Gateway: base.NodeID(c.Num("gateway", 9)), Sequence: c.Num("seq", 0)}
	switch c.Name {
	case "begin":
		t := &Transaction{Session: 7, Proto: 3, DB: 2, Sink: &named{g: g, name: c.Args[0]}, Once: c.Has("once"), ReadOnly: c.Has("reads"), Hold: c.Has("hold")}
		for _, p := range c.Nums("parts") {
			t.Parts = append(t.Parts, Part{
				Partition: base.PartitionID(p), Slot: base.Slot(10 * p), Args: [][]byte{[]byte(fmt.Sprintf("group%d", p))},
			})
			if c.Has("work") || t.Hold {
				part := &t.Parts[len(t.Parts)-1]
				part.Args, part.Work = nil, &partition.Work{Locks: []base.Slot{part.Slot}}
			}
		}
		if from := c.Text("under", ""); from != "" {
			t.ID = g.begun[from].ID
		}
		g.begun[c.Args[0]] = t
		g.c.Begin(t)
	case "release":
		g.c.Release(g.begun[c.Args[0]])
	case "answer":
		g.answer(c)
	case "recover":
		g.c.Recover(partition.Recover{Partition: base.PartitionID(c.Num("p", 0)), Home: base.PartitionID(c.Num("home", 0)), ID: id})
	case "settle":
		s := partition.Settle{ID: id}
		for _, p := range c.Nums("parts") {
			s.Participants = append(s.Participants, base.PartitionID(p))
		}
		g.c.Settle(s)
	case "tick":
		g.c.Tick()
	case "waiting":
		fmt.Fprintf(&g.text, "%d\n", g.c.Waiting())
	default:
		c.Fatal("unknown command")
	}
	before := g.text.Len()
	for _, t := range g.c.Turn() {
		t.Sink.CompleteTxn(t)
	}
	if g.c.Turn() != nil || g.text.Len() > before && c.Name == "waiting" {
		g.text.WriteString("NOT ALL IN ONE TURN\n")
	}
	return g.text.String()
}

func (g *gateway) answer(c *script.Command) {
	p := base.PartitionID(c.Num("p", 0))
	for i, req := range g.open {
		if req.Partition != p {
			continue
		}
		g.open = append(g.open[:i], g.open[i+1:]...)
		switch word := c.Args[0]; word {
		case "not-run":
			req.Status, req.Reply = partition.NotRun, []byte("-CLUSTERDOWN no leader\r\n")
		case "unknown":
			req.Status, req.Reply = partition.Unknown, []byte("-UNKNOWNOUTCOME who knows\r\n")
		case "error":
			req.Status, req.Reply = partition.Done, []byte("-MISCONF full\r\n")
		default:
			req.Status, req.Reply = partition.Done, []byte(word)
		}
		before := g.text.Len()
		req.Sink.Complete(req)
		if g.text.Len() != before {
			g.text.WriteString("SUBMITTED AT ONCE\n")
		}
		return
	}
	c.Fatal("nothing is under way there")
}

// TestCrowded: at its bound the coordinator refuses.
func TestCrowded(t *testing.T) {
	g := &gateway{done: map[string]int{}, begun: map[string]*Transaction{}}
	g.c = New(g)
	for range maxTransactions {
		g.c.Begin(&Transaction{Parts: []Part{{Partition: 1}, {Partition: 2}}})
	}
	if over := g.c.Turn(); len(over) != 0 {
		t.Fatalf("%d over", len(over))
	}
	g.c.MaxParts = 3
	for _, parts := range []int{2, g.c.MaxParts + 1} {
		g.c.Begin(&Transaction{Parts: make([]Part, parts)})
		over := g.c.Turn()
		if len(over) != 1 || over[0].Status != partition.NotRun || len(over[0].Reply) == 0 || over[0].Committed() {
			t.Errorf("%d parts: %+v", parts, over)
		}
	}
	if len(g.c.owned) != maxTransactions {
		t.Errorf("%d under way", len(g.c.owned))
	}
}
