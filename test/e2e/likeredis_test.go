package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"coterie/internal/datatype/redistest"
	"coterie/internal/resp"
)

// TestLikeRedisThroughFailovers sends the same random commands about every type
// to a redis-server and to a node of a cluster whose other nodes are killed and
// come back meanwhile, and which is restarted as a whole at last: no reply differs,
// and nothing that is stored.
func TestLikeRedisThroughFailovers(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	theirs := redistest.Start(t, "--proto-max-bulk-len", "1048576")
	c := newCluster(t, 3, "--max-value-size", "1MiB")
	gateway := c.nodes[2]
	s := seed(t)
	for _, n := range c.nodes { // with no keys, whoever leads
		sameReplies(t, redistest.Dial(t, n.redis), redistest.Dial(t, theirs), redistest.NewGenerator(s, 0), [][]string{
			{"blmpop", "1", "5", "a", "left"}, {"bzmpop", "1", "x", "a", "min"}, {"lmpop", "5", "a", "left"},
		})
	}
	var (
		stop = make(chan struct{})
		wg   sync.WaitGroup
		sent int
	)
	wg.Add(1)
	kills := 0
	go func() {
		defer wg.Done()
		r := rand.New(rand.NewPCG(s, 0))
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second + time.Duration(r.IntN(1000))*time.Millisecond):
			}
			victim := c.nodes[r.IntN(2)]
			victim.kill()
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
			if err := victim.launch(); err != nil {
				t.Error(err)
				return
			}
			kills++
			if m := settled(c, stop); m != "" {
				t.Errorf("after a kill: %s", m)
				return
			}
		}
	}()
	for begin, round := time.Now(), uint64(0); time.Since(begin) < *flagLike && !t.Failed(); round++ {
		proto := 2 + round%2
		here, there := redistest.Dial(t, gateway.redis), redistest.Dial(t, theirs)
		g := redistest.NewGenerator(s+round, proto)
		for _, conn := range []*redistest.Conn{here, there} {
			conn.Run(t, redistest.List("hello", fmt.Sprint(proto)), redistest.List("flushall"))
		}
		var commands [][]string
		for range 300 {
			commands = append(commands, g.Command())
		}
		commands = append(commands, redistest.Everything()...)
		commands = append(commands, redistest.List("flushall"))
		commands = append(commands, g.StreamCommands(200)...)
		sent += len(commands)
		if !sameReplies(t, here, there, g, commands) {
			t.Errorf("round %d of -e2e.seed %d, RESP%d", round, s, proto)
		}
		here.Close()
		there.Close()
	}
	close(stop)
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, n := range c.nodes {
		n.kill()
	}
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitHealthy(3)
	here, there := redistest.Dial(t, gateway.redis), redistest.Dial(t, theirs)
	sameReplies(t, here, there, redistest.NewGenerator(s, 1), redistest.Everything())
	t.Logf("%d commands over %d kills", sent, kills)
	if kills == 0 {
		t.Error("nothing was killed")
	}
}

// sameReplies runs commands at both in pipelines of random lengths, so that they
// meet them at about the same time, and says whether they mean the same.
func sameReplies(t *testing.T, here, there *redistest.Conn, g redistest.Generator, commands [][]string) bool {
	t.Helper()
	for done := 0; done < len(commands); {
		batch := commands[done:min(len(commands), done+1+g.IntN(20))]
		for _, args := range batch {
			if strings.EqualFold(args[0], "pexpire") && len(args) > 2 && args[2] == "1000" {
				args[2] = "1000000" // it would end in between
			}
		}
		got := here.Run(t, batch...)
		want := there.Run(t, batch...)
		for i, args := range batch {
			if !redistest.Alike(args, want[i], got[i]) && !bothLater(args, want[i], got[i]) {
				for _, before := range commands[max(0, done+i-20) : done+i] {
					t.Logf("%.200q", before)
				}
				t.Errorf("command %d %q:\n  here  %.500q\n  redis %.500q", done+i, args, got[i], want[i])
				return false
			}
		}
		done += len(batch)
	}
	return true
}

// bothLater says whether both replies are deadlines that differ by no more than
// the time for which one of the servers can have waited.
func bothLater(args []string, want, got []byte) bool {
	limit := int64(20_000)
	switch strings.ToLower(args[0]) {
	case "ttl", "expiretime":
		limit /= 1000
	case "pttl", "pexpiretime":
	default:
		return false
	}
	a, _, errA := resp.ParseReply(want)
	b, _, errB := resp.ParseReply(got)
	return errA == nil && errB == nil && a.Int > 0 && b.Int > 0 && max(a.Int-b.Int, b.Int-a.Int) < limit
}

// settled waits until all nodes are in order again, or stop is closed.
func settled(c *cluster, stop <-chan struct{}) (missing string) {
	for deadline := time.Now().Add(patience * slow()); time.Now().Before(deadline); {
		if missing = c.unhealthy(len(c.nodes)); missing == "" {
			return ""
		}
		select {
		case <-stop:
			return ""
		case <-time.After(25 * time.Millisecond):
		}
	}
	return missing
}
