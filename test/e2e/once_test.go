package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestExactlyOnce: clients of a node that lives see no error while the leaders
// of their keys are killed, and each of their increments counts once.
func TestExactlyOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	const kills = 2
	c := newCluster(t, 3)
	c.awaitHealthy(3)
	gateway := c.nodes[2]
	keys := onePerPartition(t, gateway)
	var (
		stop  atomic.Bool
		wg    sync.WaitGroup
		acked = make([]int64, 2*len(keys))
	)
	for i := range acked {
		wg.Add(1)
		go func() {
			defer wg.Done()
			cl := &client{addr: gateway.redis}
			defer cl.close()
			key := fmt.Sprintf("{%s}:%d", keys[i%len(keys)], i)
			cmds := [][]string{{"INCR", key}} // one half alone, the other in transactions
			if i >= len(keys) {
				cmds = [][]string{{"MULTI"}, {"INCR", key}, {"SET", key + ":last", "x"}, {"EXEC"}}
			}
			for !stop.Load() {
				replies, err := cl.pipeline(cmds)
				if err != nil {
					t.Errorf("%s: %v", key, err)
					return
				}
				got := replies[len(replies)-1]
				if got.Kind == '*' && len(got.Elems) == 2 {
					got = got.Elems[0]
				}
				acked[i]++
				if got.Kind != ':' || got.Int != acked[i] {
					t.Errorf("increment %d of %s: %c%d %s", acked[i], key, got.Kind, got.Int, got.Str)
					return
				}
			}
		}()
	}
	for k := range kills {
		victim := c.nodes[k%2]
		time.Sleep(time.Second)
		victim.kill()
		time.Sleep(2 * time.Second)
		victim.start()
		c.awaitHealthy(3)
	}
	stop.Store(true)
	wg.Wait()
	total := int64(0)
	for _, n := range acked {
		total += n
	}
	t.Logf("%d increments over %d kills", total, kills)
}
