package cut

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/sim/script"
)

// gateway is a coordinator under a script, and the router that it submits to.
type gateway struct {
	c        *Coordinator
	sequence uint64
	open     []*partition.Request
	cuts     map[string]*Cut
	text     strings.Builder
}

var names = map[byte]string{'a': "ARM", 'p': "PIN", 'r': "RELEASE", 'd': "DECIDE", 'q': "READ", 'e': "END"}

// Submit implements Router.
func (g *gateway) Submit(reqs []*partition.Request) {
	for _, req := range reqs {
		g.sequence++
		req.Origin = base.Origin{Gateway: 3, Incarnation: 1, Sequence: g.sequence}
		g.open = append(g.open, req)
		fmt.Fprintf(&g.text, "%d -> p%d %s", g.sequence, req.Partition, names[req.Args[0][0]])
		for _, b := range req.Args[1:] {
			if len(b) == 16 {
				fmt.Fprintf(&g.text, " %d.%d", binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]))
			}
		}
		if g.text.WriteByte('\n'); req.Flags != partition.Whole|partition.Transaction {
			fmt.Fprintf(&g.text, "FLAGS %b\n", req.Flags)
		}
	}
}

// CompleteCut implements Sink.
func (g *gateway) CompleteCut(x *Cut) {
	for name, c := range g.cuts {
		if c == x {
			fmt.Fprintf(&g.text, "%s: made %v, %d µs, %d tries, %q\n", name, x.Made, x.Stood, x.Tries, x.Reply)
		}
	}
}

// TestScripts runs the golden scripts. Every command is followed by a turn.
// Commands:
//
//	begin NAME parts=P,P… · end NAME
//	answer P… WORD      the oldest request at each of these: yes, busy, gone, not-run,
//	                    stood=µs (yes to RELEASE), pinned [open=SEQ@HOME,…] [committed=SEQ,…];
//	                    transactions are of gateway 7
//	tick [N] · waiting
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(*testing.T) func(*script.Command) string {
		g := &gateway{cuts: map[string]*Cut{}}
		g.c = New(g)
		return g.do
	})
}

func (g *gateway) do(c *script.Command) string {
	g.text.Reset()
	switch c.Name {
	case "begin":
		x := &Cut{Sink: g}
		for _, p := range c.Nums("parts") {
			x.Partitions = append(x.Partitions, base.PartitionID(p))
		}
		g.cuts[c.Args[0]] = x
		g.c.Begin(x)
	case "end":
		g.c.End(g.cuts[c.Args[0]])
	case "answer":
		g.answer(c)
	case "tick":
		n := uint64(1)
		if len(c.Args) > 0 {
			n = c.Arg(0)
		}
		for range n {
			g.c.Tick()
		}
	case "waiting":
		fmt.Fprintf(&g.text, "%d\n", g.c.Waiting())
	default:
		c.Fatal("unknown command")
	}
	for _, x := range g.c.Turn() {
		x.Sink.CompleteCut(x)
	}
	return g.text.String()
}

func (g *gateway) answer(c *script.Command) {
	word := c.Args[len(c.Args)-1]
	for i := range c.Args[:len(c.Args)-1] {
		p, found := base.PartitionID(c.Arg(i)), false
		for j, req := range g.open {
			if found = req.Partition == p; found {
				g.open = append(g.open[:j], g.open[j+1:]...)
				req.Status, req.Reply = partition.Done, g.reply(c, word)
				if word == "not-run" {
					req.Status, req.Reply = partition.NotRun, []byte("-CLUSTERDOWN no leader\r\n")
				}
				req.Sink.Complete(req)
				break
			}
		}
		if !found {
			c.Fatal("nothing is under way at %d", p)
		}
	}
}

func (g *gateway) reply(c *script.Command, word string) []byte {
	switch word {
	case "yes":
		return binary.AppendUvarint([]byte{partition.CutYes}, c.Num("stood", 0))
	case "busy":
		return []byte{partition.CutBusy}
	case "gone":
		return []byte{partition.CutGone}
	case "pinned":
		b := []byte{partition.CutPinned}
		open := c.Nums("open") // sequence, home, sequence, home …
		b = binary.AppendUvarint(b, uint64(len(open)/2))
		for i := 0; i < len(open); i += 2 {
			b = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(b, 7), open[i]), open[i+1])
		}
		committed := c.Nums("committed")
		b = binary.AppendUvarint(b, uint64(len(committed)))
		for _, seq := range committed {
			b = binary.AppendUvarint(binary.AppendUvarint(b, 7), seq)
		}
		return b
	}
	return []byte(word)
}

// TestCrowded: at its bound the coordinator refuses, and all others have their
// turn.
func TestCrowded(t *testing.T) {
	g := &gateway{cuts: map[string]*Cut{}}
	g.c = New(g)
	for range maxWaiting + 1 {
		g.c.Begin(&Cut{Partitions: []base.PartitionID{1}, Sink: g})
	}
	if over := g.c.Turn(); len(over) != 0 {
		t.Fatalf("%d over", len(over))
	}
	g.c.Begin(&Cut{Partitions: []base.PartitionID{1}, Sink: g})
	if over := g.c.Turn(); len(over) != 1 || over[0].Made || string(over[0].Reply) != ReplyCrowded {
		t.Fatalf("%+v", over)
	}
	made := 0
	for range 1000 {
		open := g.open
		g.open = nil
		for _, req := range open {
			req.Status, req.Reply = partition.Done, []byte{partition.CutYes, 0}
			if req.Args[0][0] == 'p' {
				req.Reply = []byte{partition.CutPinned, 0, 0}
			}
			req.Sink.Complete(req)
		}
		for _, x := range g.c.Turn() {
			made++
			g.c.End(x)
		}
	}
	if made != maxWaiting+1 || g.c.Waiting() != 0 {
		t.Errorf("%d made, %d left", made, g.c.Waiting())
	}
}

// cluster answers questions about a cut by a function.
type cluster struct {
	asked  [][]string // partition, command
	ended  int
	answer func(q []string) string
}

func (c *cluster) Cut(x *Cut) bool {
	x.Made, x.ID = true, partition.TxnID{Gateway: 1, Sequence: 9}
	return true
}

func (c *cluster) End(*Cut) { c.ended++ }

func (c *cluster) Submit(reqs []*partition.Request) bool {
	for _, req := range reqs {
		q := []string{fmt.Sprint(req.Partition)}
		for _, a := range req.Args[2:] {
			q = append(q, string(a))
		}
		c.asked = append(c.asked, q)
		req.Status, req.Reply = partition.Done, []byte("D"+c.answer(q))
	}
	return true
}

func bulks(list ...string) string {
	w := resp.Writer{Proto: 2}
	w.Array(len(list))
	for _, x := range list {
		if x == "" {
			w.Null()
		} else {
			w.BulkString(x)
		}
	}
	return string(w.Buf)
}

// TestSum goes through all pages of all partitions.
func TestSum(t *testing.T) {
	values := map[string]string{"a*1": "5", "a*2": "-7", "a*3": "word", "a*4": "100"}
	c := &cluster{answer: func(q []string) string {
		switch {
		case q[1] == "mget":
			var list []string
			for _, k := range q[2:] {
				list = append(list, values[k])
			}
			return bulks(list...)
		case q[4] != `a\*\?\[\\*`:
			t.Errorf("pattern %q", q[4])
			return "-ERR\r\n"
		case q[0] == "1" && q[2] == "0":
			return "*2\r\n$2\r\n17\r\n" + bulks("a*1", "a*2")
		case q[0] == "1":
			return "*2\r\n$1\r\n0\r\n" + bulks("a*3", "a*none")
		default:
			return "*2\r\n$1\r\n0\r\n" + bulks("a*4")
		}
	}}
	s, err := Take(c, []base.PartitionID{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if sum, n, err := s.Sum(0, `a*?[\`); sum != 98 || n != 5 || err != nil {
		t.Errorf("%d in %d, %v", sum, n, err)
	}
	s.Close()
	if len(c.asked) != 6 || c.ended != 1 {
		t.Errorf("asked %q, ended %d times", c.asked, c.ended)
	}
}

// TestValues brings the answers of several partitions into the order of the keys.
func TestValues(t *testing.T) {
	c := &cluster{answer: func(q []string) string {
		for i, k := range q[2:] {
			q[2+i] = strings.ToUpper(k)
		}
		return bulks(q[2:]...)
	}}
	owner := func(s base.Slot) (base.PartitionID, bool) { return base.PartitionID(1 + s/100%3), true }
	s, _ := Take(c, []base.PartitionID{1, 2, 3})
	keys, text := [][]byte{}, ""
	for k := range strings.FieldsSeq("a b c d e f g h i j") {
		keys = append(keys, []byte(k))
	}
	values, err := s.Values(4, keys, owner)
	for _, v := range values {
		text += v.Text()
	}
	if text != "ABCDEFGHIJ" || err != nil || len(c.asked) != 3 {
		t.Errorf("%q, %v, asked %q", text, err, c.asked)
	}
	c.answer = func([]string) string { return "" }
	if _, err := s.Values(4, keys, owner); err == nil {
		t.Error("no error for an empty answer")
	}
}
