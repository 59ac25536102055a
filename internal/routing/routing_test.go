package routing

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/sim/script"
)

// gateway is a router under a script. Requests have names.
type gateway struct {
	r    *Router
	out  Output
	reqs map[string]*partition.Request
	text strings.Builder
}

type named struct {
	g    *gateway
	name string
	done int
}

// Complete implements partition.Sink.
func (n *named) Complete(req *partition.Request) {
	n.done++
	fmt.Fprintf(&n.g.text, "%s is %s", n.name, [...]string{"done", "not run", "unknown"}[req.Status])
	switch {
	case n.done > 1:
		n.g.text.WriteString(" AGAIN")
	case len(req.Reply) > 0 && req.Reply[0] == '-':
		fmt.Fprintf(&n.g.text, ", %s", strings.Fields(string(req.Reply))[0])
	case len(req.Reply) > 0:
		fmt.Fprintf(&n.g.text, ", %q", req.Reply)
	}
	n.g.text.WriteString("\n")
}

// TestScripts runs the golden scripts. Commands:
//
//	router self=N [timeout=TICKS] [incarnation=N]
//	submit NAME… p=N [read]       new requests, writes if not said otherwise
//	                              block: blocking ones
//	waits NAME… [from=N] [as=WORD] their leader says that they wait
//	cancel NAME TARGET            ends the waiting of a request
//	leader p=N node=N term=N
//	refuse NAME… [hint=N] [term=N] they come back as not run; from the local
//	                              shard or, with from=N, by message
//	done NAME… [from=N] · lost NAME… [from=N]  likewise
//	                              attempt=N: to an earlier sending of it
//	undelivered NAME… to=N · lost-node N · down N · up N · tick [N] · waiting
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(*testing.T) func(*script.Command) string {
		g := &gateway{reqs: map[string]*partition.Request{}}
		return g.do
	})
}

func (g *gateway) do(c *script.Command) string {
	g.text.Reset()
	switch c.Name {
	case "router":
		g.r = New(base.NodeID(c.Num("self", 1)), c.Num("incarnation", 1), c.Num("timeout", 10), &g.out)
	case "submit":
		g.submit(c)
	case "leader":
		g.r.SetLeader(base.PartitionID(c.Num("p", 1)), base.NodeID(c.Num("node", 0)), c.Num("term", 0))
	case "refuse":
		g.answer(c, partition.NotRun)
	case "done":
		g.answer(c, partition.Done)
	case "lost":
		g.answer(c, partition.Unknown)
	case "waits":
		g.waits(c)
	case "cancel":
		target := g.req(c, c.Args[1])
		g.reqs[c.Args[0]] = &partition.Request{
			Partition: target.Partition, Flags: partition.Whole | partition.Cancel, Cancels: target,
			Args: [][]byte{nil, []byte("nothing")}, Sink: &named{g: g, name: c.Args[0]},
		}
		g.r.Submit([]*partition.Request{g.reqs[c.Args[0]]})
	case "undelivered":
		for _, name := range c.Args {
			g.r.Undelivered(base.NodeID(c.Num("to", 0)), g.req(c, name).Origin.Sequence, g.req(c, name).Route.Attempt)
		}
	case "lost-node":
		g.r.Lost(base.NodeID(c.Arg(0)))
	case "down":
		g.r.PeerDown(base.NodeID(c.Arg(0)))
	case "up":
		g.r.PeerUp(base.NodeID(c.Arg(0)))
	case "tick":
		n := uint64(1)
		if len(c.Args) > 0 {
			n = c.Arg(0)
		}
		for range n {
			g.r.Tick()
			g.carryOut()
		}
	case "waiting":
		fmt.Fprintf(&g.text, "%d\n", g.r.Waiting())
	default:
		c.Fatal("unknown command")
	}
	g.carryOut()
	return g.text.String()
}

func (g *gateway) req(c *script.Command, name string) *partition.Request {
	req := g.reqs[name]
	if req == nil {
		c.Fatal("no request %s", name)
	}
	return req
}

func (g *gateway) submit(c *script.Command) {
	var reqs []*partition.Request
	for _, name := range c.Args {
		if name == "read" || name == "block" {
			continue
		}
		req := &partition.Request{Partition: base.PartitionID(c.Num("p", 1)), Sink: &named{g: g, name: name}}
		if !c.Has("read") {
			req.Flags = partition.Write
		}
		if c.Has("block") {
			req.Flags |= partition.Blocking
		}
		g.reqs[name] = req
		reqs = append(reqs, req)
	}
	g.r.Submit(reqs)
}

func (g *gateway) waits(c *script.Command) {
	for _, name := range c.Args {
		req := g.req(c, name)
		var args []byte
		if as := c.Text("as", ""); as != "" {
			args = partition.AppendArgs(nil, [][]byte{[]byte(as)})
		}
		if from := base.NodeID(c.Num("from", 0)); from != 0 {
			g.r.Reply(from, &Answer{
				Sequence: req.Origin.Sequence, Attempt: c.Num("attempt", req.Route.Attempt), Status: partition.Waits, Reply: args,
			})
		} else {
			g.r.Waits(req, args)
		}
	}
}

// answer brings requests back.
func (g *gateway) answer(c *script.Command, status partition.Status) {
	for _, name := range c.Args {
		req := g.req(c, name)
		hint, term := base.NodeID(c.Num("hint", 0)), c.Num("term", req.Term)
		if from := base.NodeID(c.Num("from", 0)); from != 0 {
			g.r.Reply(from, &Answer{
				Sequence: req.Origin.Sequence, Attempt: c.Num("attempt", req.Route.Attempt),
				Status: status, Leader: hint, Term: term, Reply: []byte("+OK"),
			})
			continue
		}
		req.Status, req.Leader, req.Term, req.Reply = status, hint, term, []byte("+OK")
		g.r.Returned(req)
	}
}

// name is a request's name; the router's own have none.
func name(req *partition.Request) string {
	if n, ok := req.Sink.(*named); ok {
		return n.name
	}
	if list, ok := req.Sink.(confirming); ok {
		return fmt.Sprintf("confirm of %d", len(list))
	}
	return "confirm"
}

// carryOut prints what the router wants done.
func (g *gateway) carryOut() {
	for _, req := range g.out.Abandoned {
		fmt.Fprintf(&g.text, "%s is given up\n", req.Sink.(*named).name)
	}
	for _, req := range g.out.Waiting {
		fmt.Fprintf(&g.text, "%s waits %s\n", name(req), bytes.Join(req.Args, []byte(" ")))
	}
	for _, req := range g.out.Complete {
		req.Sink.Complete(req)
	}
	for _, req := range g.out.Local {
		fmt.Fprintf(&g.text, "%s -> here, term %d\n", name(req), req.Term)
	}
	for _, f := range g.out.Forwards {
		fmt.Fprintf(&g.text, "%s -> n%d, term %d\n", name(f.Request), f.Node, f.Request.Term)
		if f.Request.Flags&partition.Blocking == 0 && f.Request.LowWater < g.r.sequence-100 {
			g.text.WriteString("  with an old low-water\n")
		}
	}
	g.out.Reset()
}

// TestAnswersOfAnotherLife: a node that is started again must not take an
// answer to a request of its former life for one of its own.
func TestAnswersOfAnotherLife(t *testing.T) {
	var before, after Output
	old, fresh := New(1, 1, 10, &before), New(1, 2, 10, &after)
	req := func(g *gateway) *partition.Request {
		return &partition.Request{Partition: 1, Flags: partition.Write, Sink: &named{g: g}}
	}
	a, b := req(&gateway{}), req(&gateway{})
	for i, r := range []*Router{old, fresh} {
		r.SetLeader(1, 2, 5)
		r.Submit([]*partition.Request{{Partition: 1}, []*partition.Request{a, b}[i]})
	}
	fresh.Reply(2, &Answer{Sequence: a.Origin.Sequence, Reply: []byte("+another's")})
	if len(after.Complete) != 0 {
		t.Errorf("the answer to %+v completed %+v", a.Origin, after.Complete[0].Origin)
	}
}
