package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/resp"
)

// bankAccounts are spread over all partitions.
const bankAccounts = 60

// transfers moves money between accounts until it is told to stop.
func transfers(t *testing.T, n *node, stop *atomic.Bool, done *atomic.Int64) {
	cl := &client{addr: n.redis}
	defer cl.close()
	for !stop.Load() {
		from, amount := rand.IntN(bankAccounts), strconv.Itoa(1+rand.IntN(100))
		to := (from + 1 + rand.IntN(bankAccounts-1)) % bankAccounts
		replies, err := cl.pipeline([][]string{
			{"MULTI"}, {"DECRBY", fmt.Sprint("bank:", from), amount}, {"INCRBY", fmt.Sprint("bank:", to), amount}, {"EXEC"},
		})
		if err != nil {
			t.Errorf("transfer: %v", err)
			return
		}
		if got := replies[3]; got.Kind == '*' && len(got.Elems) == 2 {
			done.Add(1)
		} else if !notRun(got) {
			t.Errorf("transfer: %c%s", got.Kind, got.Str)
			return
		}
	}
}

// cutsum asks for the sum under a prefix in a consistent cut, again if none
// could be made.
func cutsum(t *testing.T, cl *client, prefix string) (sum, keys, stood int64, again int) {
	t.Helper()
	for ; again < 20; again++ {
		v, err := cl.do("COTERIE", "CUTSUM", prefix)
		switch {
		case err != nil:
			t.Fatal(err)
		case v.Kind == '*' && len(v.Elems) == 3:
			return v.Elems[0].Int, v.Elems[1].Int, v.Elems[2].Int, again
		case v.Kind != '-' || !strings.HasPrefix(v.Text(), "TRYAGAIN"):
			t.Fatalf("CUTSUM: %c%s", v.Kind, v.Text())
		}
	}
	t.Fatalf("no cut in %d attempts", again)
	return 0, 0, 0, 0
}

// TestConsistentCut: while money moves between accounts in all partitions, the
// total of every cut is the same; also across a leader's death.
func TestConsistentCut(t *testing.T) {
	c := newCluster(t, 3)
	c.awaitHealthy(3)
	setup := &client{addr: c.nodes[0].redis}
	defer setup.close()
	for i := range bankAccounts {
		if v, err := setup.do("SET", fmt.Sprint("bank:", i), "1000"); err != nil || v.Text() != "OK" {
			t.Fatalf("%v %v", v, err)
		}
	}
	var (
		stop atomic.Bool
		done atomic.Int64
		wg   sync.WaitGroup
	)
	for i := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			transfers(t, c.nodes[i%2], &stop, &done) // the third node is killed
		}()
	}
	var stood []int64
	again := 0
	began := time.Now()
	for i := range 50 {
		cl := &client{addr: c.nodes[i%2].redis}
		sum, keys, µs, more := cutsum(t, cl, "bank:")
		cl.close()
		if sum != 1000*bankAccounts || keys != bankAccounts {
			t.Errorf("cut %d: %d in %d accounts, want %d in %d", i, sum, keys, 1000*bankAccounts, bankAccounts)
		}
		stood, again = append(stood, µs), again+more
		time.Sleep(20 * time.Millisecond)
		if i == 40 && !testing.Short() {
			c.nodes[2].kill()
		}
	}
	took := time.Since(began)
	stop.Store(true)
	wg.Wait()
	last := slices.Clone(stood)
	slices.Sort(stood)
	t.Logf("50 cuts in %v, %d asked for again, %d transfers meanwhile; writes stood still for %d µs in the median, %d at 90 %%, %d at most",
		took.Round(time.Millisecond), again, done.Load(), stood[25], stood[45], stood[49])
	t.Logf("in order: %v", last)
	get, err := setup.do("COTERIE", "CUTGET", "bank:0", "bank:none")
	if err != nil || get.Kind != '*' || len(get.Elems) != 2 || get.Elems[0].Null || !get.Elems[1].Null {
		t.Errorf("CUTGET: %v %v", get, err)
	}
	hiddenCommand(t, setup)
}

// hiddenCommand: no list of commands names COTERIE, and no transaction takes it.
func hiddenCommand(t *testing.T, cl *client) {
	t.Helper()
	list, err := cl.do("COMMAND", "LIST")
	if err != nil || slices.ContainsFunc(list.Elems, func(v resp.Value) bool { return strings.Contains(v.Text(), "coterie") }) {
		t.Errorf("COMMAND LIST: %v", err)
	}
	replies, err := cl.pipeline([][]string{{"MULTI"}, {"COTERIE", "CUTSUM", "bank:"}, {"EXEC"}})
	if err != nil || replies[1].Kind != '-' || !strings.HasPrefix(replies[2].Text(), "EXECABORT") {
		t.Errorf("in a transaction: %v %v", replies, err)
	}
}
