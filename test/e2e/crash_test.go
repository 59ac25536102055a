package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/status"
)

func slotOf(key []byte) int { return int(base.KeySlot(key)) }

// killRounds is how often TestAllKilledAtOnce kills everybody.
const killRounds = 3

// TestAllKilledAtOnce: what was acknowledged before kill -9 of every node is
// there after their restart.
func TestAllKilledAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	c := newCluster(t, 3)
	acked := map[string]string{}
	for round := range killRounds {
		fresh := writeUntil(t, c, fmt.Sprintf("r%d", round), 1200*time.Millisecond, c.killAll)
		for k, v := range fresh {
			acked[k] = v
		}
		if err := c.launchAll(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		checkAll(t, c.nodes[round%len(c.nodes)], acked)
		t.Logf("round %d: %d writes acknowledged, all there (%d in all; read within %v of the restart)",
			round, len(fresh), len(acked), time.Since(start).Round(time.Millisecond))
	}
}

// writeUntil lets many clients of all nodes write pipelines of fresh keys,
// calls end after d while they write, and returns what was acknowledged.
func writeUntil(t *testing.T, c *cluster, prefix string, d time.Duration, end func()) map[string]string {
	t.Helper()
	const writers, depth = 12, 16
	acks := make([]map[string]string, writers)
	var wg sync.WaitGroup
	for w := range writers {
		acks[w] = map[string]string{}
		cl := &client{addr: c.nodes[w%len(c.nodes)].redis}
		wg.Go(func() {
			defer cl.close()
			for i := 0; ; i += depth {
				var cmds [][]string
				for j := range depth {
					cmds = append(cmds, []string{"SET", fmt.Sprintf("%s:%d:%d", prefix, w, i+j), fmt.Sprintf("%d-%d", w, i+j)})
				}
				vs, err := cl.pipeline(cmds)
				for j, v := range vs {
					switch {
					case v.Err() == nil:
						acks[w][cmds[j][1]] = cmds[j][2]
					case !unknownOutcome(v) && !notRun(v):
						t.Errorf("%v: %v", cmds[j], v.Err())
					}
				}
				if err != nil {
					return // the node is gone
				}
			}
		})
	}
	time.Sleep(d)
	end()
	wg.Wait()
	all := map[string]string{}
	for _, m := range acks {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// checkAll reads every key through one node.
func checkAll(t *testing.T, n *node, want map[string]string) {
	t.Helper()
	cl := &client{addr: n.redis}
	defer cl.close()
	names := make([]string, 0, len(want))
	for k := range want {
		names = append(names, k)
	}
	slices.Sort(names)
	missing := 0
	for batch := range slices.Chunk(names, 500) {
		v, err := cl.do(append([]string{"MGET"}, batch...)...)
		if err == nil {
			err = v.Err()
		}
		if err != nil {
			t.Fatalf("read back through node %d: %v", n.number, err)
		}
		for i, e := range v.Elems {
			if got := string(e.Str); e.Null || got != want[batch[i]] {
				if missing++; missing <= 5 {
					t.Errorf("%s: %q (null %v), want %q", batch[i], got, e.Null, want[batch[i]])
				}
			}
		}
	}
	if missing > 0 {
		t.Fatalf("%d of %d acknowledged writes are lost", missing, len(want))
	}
}

// gapWriter writes one key through one node, one command after the other, and
// keeps the times of the answers.
type gapWriter struct {
	node      *node
	partition uint32
	key       string
	acks      []time.Time
	unknown   int
}

func (w *gapWriter) run(t *testing.T, stop <-chan struct{}) {
	cl := &client{addr: w.node.redis}
	defer cl.close()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		v, err := cl.do("SET", w.key, fmt.Sprint(i))
		switch {
		case err != nil:
			t.Errorf("client of living node %d: %v", w.node.number, err)
			return
		case unknownOutcome(v):
			w.unknown++
		case v.Err() != nil:
			t.Errorf("client of living node %d: %v", w.node.number, v.Err())
		default:
			w.acks = append(w.acks, time.Now())
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// gap is the longest time without an acknowledged write.
func gap(acks []time.Time) (longest time.Duration) {
	for i := 1; i < len(acks); i++ {
		longest = max(longest, acks[i].Sub(acks[i-1]))
	}
	return longest
}

// maxGap is what a client may wait after a leader's death, and generousGap
// what the default run forgives: the machine that runs all tests at once may
// stop everybody for a while.
const (
	maxGap      = 1500 * time.Millisecond
	generousGap = 4 * time.Second
)

// TestLeaderKillGap: clients of the other nodes go on within 1.5 s of a kill
// of their partition's leader, and see no error but of writes under way.
func TestLeaderKillGap(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds per kill")
	}
	c := newCluster(t, 3)
	var perClient, perPartition []time.Duration
	unknown := 0
	for k := range *flagKills {
		c.awaitHealthy(3)
		victim := c.nodes[k%3]
		clients, parts, u := killLeader(t, c, victim)
		perClient, perPartition, unknown = append(perClient, clients...), append(perPartition, parts...), unknown+u
		t.Logf("kill %d, node %d leading %d partitions: write gap per partition %v; longest of one client %v; %d unknown outcomes",
			k+1, victim.number, len(parts), rounded(parts), slices.Max(clients).Round(time.Millisecond), u)
		victim.start()
	}
	slices.Sort(perClient)
	slices.Sort(perPartition)
	at := func(d []time.Duration, q float64) time.Duration {
		return d[int(q*float64(len(d)-1))].Round(time.Millisecond)
	}
	t.Logf("%d kills, write gap of a partition: p50 %v, p90 %v, max %v (%d samples); of a client: p50 %v, p90 %v, max %v (%d samples); %d unknown outcomes",
		*flagKills, at(perPartition, .5), at(perPartition, .9), at(perPartition, 1), len(perPartition),
		at(perClient, .5), at(perClient, .9), at(perClient, 1), len(perClient), unknown)
	limit := generousGap * slow()
	if *flagKills >= 20 && !*flagRace {
		limit = maxGap
	}
	if worst := at(perClient, 1); worst > limit {
		t.Errorf("a client waited %v for a write after a leader's death; at most %v", worst, limit)
	}
}

func rounded(ds []time.Duration) (out []time.Duration) {
	for _, d := range ds {
		out = append(out, d.Round(time.Millisecond))
	}
	return out
}

// killLeader kills a node while clients of the others write to each partition
// that it leads.
func killLeader(t *testing.T, c *cluster, victim *node) (perClient, perPartition []time.Duration, unknown int) {
	t.Helper()
	s, err := victim.status()
	if err != nil {
		t.Fatal(err)
	}
	var writers []*gapWriter
	for _, p := range s.Partitions {
		if p.Slots == "" || p.Leader != s.AnsweredBy {
			continue
		}
		for _, n := range c.nodes {
			if n != victim {
				key := keyIn(p.Slots, fmt.Sprintf("gap%d", n.number), slotOf)
				writers = append(writers, &gapWriter{node: n, partition: p.ID, key: key})
			}
		}
	}
	if len(writers) == 0 {
		t.Fatalf("node %d leads nothing", victim.number)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() { w.run(t, stop) })
	}
	time.Sleep(500 * time.Millisecond)
	victim.kill()
	time.Sleep(2500 * time.Millisecond * slow())
	close(stop)
	wg.Wait()
	merged := map[uint32][]time.Time{}
	for _, w := range writers {
		w.acks = append(w.acks, time.Now()) // one that stopped for good shows
		perClient = append(perClient, gap(w.acks))
		merged[w.partition] = append(merged[w.partition], w.acks...)
		unknown += w.unknown
	}
	for _, acks := range merged {
		slices.SortFunc(acks, time.Time.Compare)
		perPartition = append(perPartition, gap(acks))
	}
	return perClient, perPartition, unknown
}

// TestNoMajority: a node that is alone answers no read and no write, says so
// in time, and knows what it does not know. When the others are back,
// everything goes on, and what it said was not run was not.
func TestNoMajority(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	const timeout = time.Second
	c := newCluster(t, 3, "--request-timeout", timeout.String())
	last := c.nodes[2]
	cl := &client{addr: last.redis}
	defer cl.close()
	keys := onePerPartition(t, last)
	for _, k := range keys {
		if v, err := cl.do("SET", k, "before"); err != nil || v.Err() != nil {
			t.Fatal(v.Text(), err)
		}
	}
	c.nodes[0].kill()
	c.nodes[1].kill()

	mayHave := make([][]string, len(keys))
	var wg sync.WaitGroup
	for i, k := range keys {
		wg.Go(func() { mayHave[i] = askAlone(t, last, k, timeout+3*time.Second*slow()) })
	}
	statusAlone(t, last)
	wg.Wait()

	c.nodes[0].start()
	for i, k := range keys {
		v, err := cl.do("GET", k)
		for tries := 0; err == nil && notRun(v) && tries < 10; tries++ {
			v, err = cl.do("GET", k)
		}
		if err != nil || !slices.Contains(mayHave[i], v.Text()) {
			t.Errorf("%s after the majority came back: %q (%v); it may be one of %q", k, v.Text(), err, mayHave[i])
		}
		if v, err = cl.do("SET", k, "after"); err != nil || v.Err() != nil {
			t.Errorf("SET %s after the majority came back: %q (%v)", k, v.Text(), err)
		}
	}
	c.nodes[1].start()
	c.awaitHealthy(3)
}

// askAlone reads and writes a key that holds "before" at a node without a
// majority, and returns what the key may hold afterwards.
func askAlone(t *testing.T, n *node, key string, bound time.Duration) (mayHave []string) {
	mayHave = []string{"before"}
	cl := &client{addr: n.redis}
	defer cl.close()
	for round := range 3 {
		start := time.Now()
		v, err := cl.do("GET", key)
		if err != nil || !notRun(v) {
			t.Errorf("GET %s without a majority answered %q (%v)", key, v.Text(), err)
		}
		read := time.Now()
		wrote := fmt.Sprintf("alone-%d", round)
		v, err = cl.do("SET", key, wrote)
		switch {
		case err == nil && notRun(v):
		case err == nil && unknownOutcome(v) && round == 0: // the leader had not noticed yet
			mayHave = append(mayHave, wrote)
		default:
			t.Errorf("SET %s without a majority, round %d, answered %q (%v)", key, round, v.Text(), err)
		}
		if r, w := read.Sub(start), time.Since(read); r > bound || w > bound {
			t.Errorf("without a majority a read took %v, a write %v; at most %v", r, w, bound)
		}
	}
	return mayHave
}

// onePerPartition makes a key for each partition.
func onePerPartition(t *testing.T, n *node) (keys []string) {
	t.Helper()
	s, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Partitions {
		if p.Slots != "" {
			keys = append(keys, keyIn(p.Slots, "k", slotOf))
		}
	}
	return keys
}

// statusAlone checks what a node without a majority tells of itself.
func statusAlone(t *testing.T, n *node) {
	t.Helper()
	await(t, patience, func() string {
		s, err := n.status()
		if err != nil {
			return err.Error()
		}
		if s.Totals.Unavailable != len(s.Partitions) || len(s.Unknown) == 0 {
			return fmt.Sprintf("%d of %d partitions unavailable, unknown: %q", s.Totals.Unavailable, len(s.Partitions), s.Unknown)
		}
		for _, x := range s.Nodes {
			if x.ID != s.AnsweredBy && x.State == status.NodeAlive {
				return fmt.Sprintf("node %d said to be alive", x.ID)
			}
		}
		return ""
	})
	stdout, stderr, code := runBinary(t, patience, "status", "--http", n.web)
	if code != 0 || !strings.Contains(stdout, "cannot know") {
		t.Errorf("status: exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, body, err := n.get("/livez"); code != 200 {
		t.Errorf("/livez: %d %q %v", code, body, err)
	}
	if code, body, err := n.get("/readyz"); code != 503 || !strings.Contains(body, "no leader") {
		t.Errorf("/readyz: %d %q %v", code, body, err)
	}
	if code, _, err := n.get("/metrics"); code != 200 {
		t.Errorf("/metrics: %d %v", code, err)
	}
}
