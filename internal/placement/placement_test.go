package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/catalog"

	pb "go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"
)

// picture makes a picture of nodes like "1", "2:a" (zone a), "3?" (suspect)
// and "4!" (dead), and of partitions like "1*,2,3-" (preferred leader 1,
// learner 3), the first of them the catalog.
func picture(t interface{ Fatal(...any) }, nodes, partitions string, settled bool) *Picture {
	pic := &Picture{Replication: 3, Settled: map[base.PartitionID]bool{}}
	for _, f := range strings.Fields(nodes) {
		var n Node
		f, n.Zone, _ = strings.Cut(f, ":")
		if f, n.Health = strings.TrimSuffix(f, "?"), Alive; strings.HasSuffix(f, "!") {
			n.Health = Dead
		}
		n.ID = base.NodeID(number(t, f))
		if strings.Contains(nodes, f+"?") {
			n.Health = Suspect
		}
		pic.Nodes = append(pic.Nodes, n)
	}
	next := base.ReplicaID(1)
	for i, f := range strings.Fields(partitions) {
		p := catalog.Partition{ID: base.PartitionID(i), Version: 1}
		for _, r := range strings.Split(f, ",") {
			n := base.NodeID(number(t, r))
			p.Replicas = append(p.Replicas, catalog.Replica{Node: n, Replica: next, Learner: strings.HasSuffix(r, "-")})
			if strings.HasSuffix(r, "*") {
				p.Preferred = n
			}
			next++
		}
		pic.Settled[p.ID] = settled
		pic.Partitions = append(pic.Partitions, p)
	}
	return pic
}

func number(t interface{ Fatal(...any) }, s string) (n uint64) {
	if _, err := fmt.Sscanf(strings.TrimRight(s, "*-!?"), "%d", &n); err != nil {
		t.Fatal(s, err)
	}
	return n
}

// text is a partition as picture takes it.
func text(p *catalog.Partition) string {
	var rs []string
	for _, r := range p.Replicas {
		s := fmt.Sprint(r.Node)
		if r.Node == p.Preferred {
			s += "*"
		}
		if r.Learner {
			s += "-"
		}
		rs = append(rs, s)
	}
	return strings.Join(rs, ",")
}

// adopt makes changes the new wishes, as the catalog does.
func adopt(pic *Picture, changes []catalog.Partition) {
	for _, c := range changes {
		for i := range pic.Partitions {
			if pic.Partitions[i].ID == c.ID {
				for j := range c.Replicas {
					if c.Replicas[j].Replica == 0 {
						c.Replicas[j].Replica = 1000 + base.ReplicaID(j)
					}
				}
				pic.Partitions[i] = c
			}
		}
	}
}

// TestPlan: what Plan makes of a picture, in as many turns as it takes.
func TestPlan(t *testing.T) {
	for _, x := range []struct {
		name         string
		nodes, parts string
		unsettled    bool
		want         string // the partitions in the end
		turns        int    // at most
	}{
		{name: "one node", nodes: "1", parts: "1* 1* 1*", want: "1* 1* 1*"},
		{name: "two nodes: a learner beside the voter", nodes: "1 2", parts: "1* 1* 1*", want: "1*,2- 1*,2- 1*,2-"},
		{name: "three nodes: three voters, leaders spread", nodes: "1 2 3", parts: "1*,2-,3- 1*,2- 1*,2-", want: "1*,2,3 1,2*,3 1,2,3*"},
		{name: "three nodes, six partitions", nodes: "1 2 3", parts: "1*,2-,3- 1* 1* 1* 1* 1* 1*",
			want: "1*,2,3 1,2*,3 1,2,3* 1*,2,3 1,2*,3 1,2,3* 1*,2,3"},
		{name: "a fourth node takes its share", nodes: "1 2 3 4", parts: "1*,2,3 1*,2,3 1,2*,3 1,2,3* 1*,2,3",
			want: "1*,2,3,4- 4,2*,3 1,4,3* 1,2,4* 1*,2,3", turns: 8},
		{name: "a suspect node changes nothing", nodes: "1 2 3? 4", parts: "1*,2,3,4- 1,2*,3 1,2,3* 1*,2,3", want: "1*,2,3,4- 1,2*,3 1,2,3* 1*,2,3"},
		{name: "a dead node is replaced", nodes: "1 2 3! 4", parts: "1*,2,3,4- 1,2*,3 1,2,3*", want: "1*,2,4 1,2*,4 1,2,4*", turns: 3},
		{name: "a dead node and no spare", nodes: "1 2 3!", parts: "1*,2,3 1,2*,3 1*,2,3", want: "1*,2,3 1,2*,3 1*,2,3"},
		{name: "its leaderships go elsewhere all the same", nodes: "1 2 3!", parts: "1*,2,3 1,2*,3 1,2,3*", want: "1*,2,3 1,2*,3 1*,2,3"},
		{name: "zones first", nodes: "1:a 2:a 3:b 4:c", parts: "1* 1*", want: "1*,3,4,2- 1,3*,4", turns: 3},
		{name: "not while it is unsettled", nodes: "1 2 3 4", parts: "1*,2,3,4- 1,2*,3 1,2,3* 1*,2,3", unsettled: true,
			want: "1*,2,3,4- 1,2*,3 1,2,3* 1*,2,3"},
		{name: "two of three: not an even number", nodes: "1 2 3?", parts: "1* 1*", want: "1*,2- 1*,2-"},
	} {
		t.Run(x.name, func(t *testing.T) {
			pic := picture(t, x.nodes, x.parts, !x.unsettled)
			before := fmt.Sprint(pic.Partitions)
			first := Plan(pic)
			if after := fmt.Sprint(pic.Partitions); after != before {
				t.Errorf("the picture changed: %s, then %s", before, after)
			}
			adopt(pic, first)
			for turn := 1; turn < max(x.turns, 1); turn++ {
				adopt(pic, Plan(pic))
			}
			var got []string
			for i := range pic.Partitions {
				got = append(got, text(&pic.Partitions[i]))
			}
			if s := strings.Join(got, " "); s != x.want {
				t.Errorf("%s\nwant %s", s, x.want)
			}
			if rest := Plan(pic); len(rest) > 0 {
				t.Errorf("not at rest: %+v", rest)
			}
		})
	}
}

// TestPlanAlwaysRests: whatever the picture, Plan comes to rest, has an odd
// number of voters, one replica a node, and no new one on a node that is not
// alive.
func TestPlanAlwaysRests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "nodes")
		var nodes []string
		for i := range n {
			nodes = append(nodes, fmt.Sprintf("%d%s:%s", i+1,
				rapid.SampledFrom([]string{"", "", "", "?", "!"}).Draw(t, "health"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone")))
		}
		nodes[0] = "1"
		parts := make([]string, rapid.IntRange(1, 7).Draw(t, "partitions"))
		for i := range parts {
			parts[i] = "1*"
		}
		pic := &Picture{Replication: 3, Settled: map[base.PartitionID]bool{}}
		for i, s := range nodes {
			f, zone, _ := strings.Cut(s, ":")
			h := Alive
			if strings.HasSuffix(f, "?") {
				h = Suspect
			} else if strings.HasSuffix(f, "!") {
				h = Dead
			}
			pic.Nodes = append(pic.Nodes, Node{ID: base.NodeID(i + 1), Zone: zone, Health: h})
		}
		pic.Partitions = picture(t, "1", strings.Join(parts, " "), true).Partitions
		for _, p := range pic.Partitions {
			pic.Settled[p.ID] = true
		}
		for turn := 0; ; turn++ {
			changes := Plan(pic)
			if len(changes) == 0 {
				break
			}
			if turn > 60 {
				t.Fatalf("does not come to rest: %v in %+v", changes, pic)
			}
			for _, c := range changes {
				checkChange(t, pic, &c)
			}
			adopt(pic, changes)
			i := rapid.IntRange(0, n-1).Draw(t, "changes health")
			if i > 0 && turn < 20 {
				pic.Nodes[i].Health = rapid.SampledFrom([]Health{Alive, Alive, Suspect, Dead}).Draw(t, "to")
			}
		}
		leads := map[base.NodeID]int{}
		for _, p := range pic.Partitions {
			leads[p.Preferred]++
		}
		if all := slices.Collect(maps.Values(leads)); allVotersEverywhere(pic) && slices.Max(all)-slices.Min(all) > 1 {
			t.Fatalf("leaders %v in %+v", leads, pic)
		}
	})
}

func checkChange(t *rapid.T, pic *Picture, c *catalog.Partition) {
	var old *catalog.Partition
	for i := range pic.Partitions {
		if pic.Partitions[i].ID == c.ID {
			old = &pic.Partitions[i]
		}
	}
	voters, seen := 0, map[base.NodeID]bool{}
	for _, r := range c.Replicas {
		if seen[r.Node] {
			t.Fatalf("two replicas on node %d: %+v", r.Node, c)
		}
		seen[r.Node] = true
		if !r.Learner {
			voters++
		}
		if old.On(r.Node) == nil && pic.health(r.Node) != Alive {
			t.Fatalf("a new replica on node %d: %+v", r.Node, c)
		}
	}
	if voters%2 == 0 {
		t.Fatalf("%d voters: %+v, was %+v, nodes %+v", voters, c, old, pic.Nodes)
	}
	if on := c.On(c.Preferred); on == nil || on.Learner {
		t.Fatalf("the preferred leader %d is no voter: %+v", c.Preferred, c)
	}
	if c.Reason == "" {
		t.Fatalf("no reason: %+v", c)
	}
}

func allVotersEverywhere(pic *Picture) bool {
	for _, p := range pic.Partitions {
		for _, n := range pic.Nodes {
			if on := p.On(n.ID); n.Health != Alive || on == nil || on.Learner {
				return false
			}
		}
	}
	return true
}

// TestNext: one step at a time from what a partition is to what it should be.
func TestNext(t *testing.T) {
	m := func(id, node, match uint64, flags string) Member {
		return Member{
			Replica: base.ReplicaID(id), Node: base.NodeID(node), Match: match,
			Learner: strings.Contains(flags, "l"), Live: !strings.Contains(flags, "x"),
		}
	}
	want := func(preferred uint64, rs ...catalog.Replica) *catalog.Partition {
		return &catalog.Partition{ID: 1, Preferred: base.NodeID(preferred), Replicas: rs}
	}
	r := func(id, node uint64, learner bool) catalog.Replica {
		return catalog.Replica{Replica: base.ReplicaID(id), Node: base.NodeID(node), Learner: learner}
	}
	const commit = 1000
	three := []catalog.Replica{r(1, 1, false), r(2, 2, false), r(3, 3, false)}
	for _, x := range []struct {
		name    string
		want    *catalog.Partition
		members []Member
		joint   bool
		self    base.ReplicaID
		dead    base.NodeID
		step    string
		settled bool
	}{
		{name: "as wished", want: want(1, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, ""), m(3, 3, 0, "x")}, settled: true},
		{name: "in a joint configuration: wait", want: want(1, three...), members: []Member{m(1, 1, 1000, "")}, joint: true},
		{name: "first a learner", want: want(1, three...), members: []Member{m(1, 1, 1000, "")}, step: "learner 2 on 2"},
		{name: "one after the other", want: want(1, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 0, "lx")}, step: "learner 3 on 3"},
		{name: "not caught up", want: want(1, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 799, "l"), m(3, 3, 1000, "l")}},
		{name: "not live", want: want(1, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, "lx"), m(3, 3, 1000, "l")}},
		{name: "one joint step", want: want(1, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 800, "l"), m(3, 3, 1000, "l")},
			step: "voter 2, voter 3 joint"},
		{name: "a learner stays one", want: want(1, r(1, 1, false), r(2, 2, true)), members: []Member{m(1, 1, 1000, ""), m(2, 2, 0, "l")}, settled: true},
		{name: "a voter is replaced", want: want(1, r(1, 1, false), r(2, 2, false), r(4, 4, false)),
			members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, ""), m(3, 3, 10, "x"), m(4, 4, 1000, "l")}, step: "voter 4, remove 3 joint"},
		{name: "a learner goes", want: want(1, three...),
			members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, ""), m(3, 3, 1000, ""), m(4, 4, 1000, "l")}, step: "remove 4"},
		{name: "the leader itself is replaced", want: want(4, r(2, 2, false), r(3, 3, false), r(4, 4, false)),
			members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, ""), m(3, 3, 1000, ""), m(4, 4, 1000, "l")}, step: "voter 4, remove 1 joint"},
		{name: "the leader hands over before it goes alone", want: want(2, r(2, 2, false), r(3, 3, false)),
			members: []Member{m(1, 1, 1000, ""), m(2, 2, 0, "x"), m(3, 3, 1000, "")}, step: "to 3"},
		{name: "what earlier wishes left behind goes, also from the leader's node", want: want(1, three...),
			members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, ""), m(3, 3, 1000, ""), m(4, 4, 0, "lx"), m(5, 1, 0, "lx")},
			step:    "remove 4, remove 5 joint"},
		{name: "preferred elsewhere", want: want(2, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 900, ""), m(3, 3, 1000, "")},
			step: "to 2", settled: true},
		{name: "preferred, but behind", want: want(2, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 700, ""), m(3, 3, 1000, "")}, settled: true},
		{name: "preferred, but not there", want: want(2, three...), members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, ""), m(3, 3, 1000, "")},
			dead: 2, settled: true},
		{name: "preferred, but a learner", want: want(2, r(1, 1, false), r(2, 2, true)), members: []Member{m(1, 1, 1000, ""), m(2, 2, 1000, "l")}, settled: true},
	} {
		t.Run(x.name, func(t *testing.T) {
			self := max(x.self, 1)
			s, settled := Next(x.want, x.members, x.joint, commit, self, func(n base.NodeID) bool { return n != x.dead })
			if got := stepText(&s); got != x.step || settled != x.settled {
				t.Errorf("%q, settled %v; want %q, %v", got, settled, x.step, x.settled)
			}
		})
	}
}

func stepText(s *Step) string {
	var parts []string
	for _, c := range s.Changes {
		id := base.ReplicaID(c.GetNodeId())
		switch c.GetType() {
		case pb.ConfChangeType_ConfChangeAddLearnerNode:
			parts = append(parts, fmt.Sprintf("learner %d on %d", id, s.Joined[id]))
		case pb.ConfChangeType_ConfChangeAddNode:
			parts = append(parts, fmt.Sprintf("voter %d", id))
		case pb.ConfChangeType_ConfChangeRemoveNode:
			parts = append(parts, fmt.Sprintf("remove %d", id))
		}
	}
	text := strings.Join(parts, ", ")
	if s.Joint {
		text += " joint"
	}
	if s.Transfer != 0 {
		text += fmt.Sprintf("to %d", s.Transfer)
	}
	return text
}
