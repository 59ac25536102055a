package e2e

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// A node runs with the limits of the floods, but for the cache: a member that is
// new is looked for first, and the filters that say that it is not there want to
// be in memory. largeBound is what it may then hold, whatever it stores.
var largeFlags = append(slices.Clone(floodFlags), "--cache-size", "128MiB")

const largeBound = floodBound + 112<<20

// TestLargeSortedSet: a sorted set may be much larger than the node's memory
// for it, its commands cost the same at any size, and its deletion stalls
// nobody. -e2e.members says how large it is.
func TestLargeSortedSet(t *testing.T) {
	if testing.Short() || !osMeasures() || *flagRace {
		t.Skip("takes some seconds, Linux and a build without the race detector")
	}
	c := newCluster(t, 1, largeFlags...)
	n := c.nodes[0]
	cl := &client{addr: n.redis, wait: time.Minute}
	defer cl.close()
	do := func(want string, args ...string) {
		t.Helper()
		start := time.Now()
		v, err := cl.do(args...)
		took := time.Since(start)
		got := v.Text()
		if v.Kind == ':' {
			got = strconv.FormatInt(v.Int, 10)
		}
		if err != nil || v.Err() != nil || want != "" && got != want {
			t.Fatalf("%q: %s %v, want %s", args, got, err, want)
		}
		if t.Logf("%q took %v", args, took.Round(10*time.Microsecond)); took > 2*time.Second {
			t.Errorf("%q took %v", args, took)
		}
	}
	members := *flagMembers
	if members%stride == 0 {
		members++ // else some number would come twice
	}
	start := time.Now()
	fillSortedSet(t, cl, members)
	now, peak := memory(t, n.running().cmd.Process.Pid)
	t.Logf("%d members in %v; the node holds %d MiB, at most %d MiB so far", members, time.Since(start).Round(time.Second), now>>20, peak>>20)

	last := strconv.Itoa(members - 1)
	do(last, "ZRANK", "large", "member:"+last)
	do(strconv.Itoa(members/2), "ZSCORE", "large", "member:"+strconv.Itoa(members/2))
	do(strconv.Itoa(members), "ZCOUNT", "large", "-inf", "+inf")
	do("", "ZRANGE", "large", strconv.Itoa(members/2), strconv.Itoa(members/2+9))
	do("", "ZRANDMEMBER", "large", "10")
	do("", "ZPOPMIN", "large", "10")
	do("1000", "ZREMRANGEBYRANK", "large", "-1000", "-1")
	by := watch(t, n, true)
	do("1", "DEL", "large")
	time.Sleep(500 * time.Millisecond)
	t.Logf("a bystander of the deletion on %s", by.end())
	if by.slowest > time.Second {
		t.Errorf("a bystander waited %v", by.slowest)
	}
	if _, peak := memory(t, n.running().cmd.Process.Pid); peak > largeBound {
		t.Errorf("the node held %d MiB; the bound is %d MiB", peak>>20, largeBound>>20)
	}
}

// stride is how far apart the numbers are that come one after the other: so
// most members go between others that are there.
const stride = 7

// fillSortedSet gives a set members whose scores are their numbers.
func fillSortedSet(t *testing.T, cl *client, members int) {
	t.Helper()
	const each, pipelined = 50, 20
	var cmds [][]string
	args := []string{"ZADD", "large"}
	for i := range members {
		k := strconv.Itoa(i * stride % members)
		args = append(args, k, "member:"+k)
		if len(args) >= 2*each || i == members-1 {
			cmds = append(cmds, args)
			args = []string{"ZADD", "large"}
		}
		if len(cmds) < pipelined && i < members-1 {
			continue
		}
		vs, err := cl.pipeline(cmds)
		if err != nil {
			t.Fatalf("after %d members: %v", i, err)
		}
		for _, v := range vs {
			if v.Err() != nil {
				t.Fatalf("after %d members: %v", i, v.Err())
			}
		}
		cmds = cmds[:0]
	}
}
