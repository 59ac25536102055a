package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBlockedClients: clients of a node that lives are blocked while the leaders
// of their keys are killed. They see nothing of it, and each element that comes
// then is taken once.
func TestBlockedClients(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	const workers, rounds = 3, 5 // of each key
	c := newCluster(t, 3)
	c.awaitHealthy(3)
	gateway := c.nodes[2]
	keys := onePerPartition(t, gateway)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		taken = map[string]int{}
	)
	for i := range workers * len(keys) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			cl := &client{addr: gateway.redis, wait: 2 * time.Minute}
			defer cl.close()
			for range rounds {
				v, err := cl.do("BLPOP", "{"+keys[i/workers]+"}q", "0")
				if err != nil || v.Kind != '*' || len(v.Elems) != 2 {
					t.Errorf("worker %d: %v %c %s", i, err, v.Kind, v.Str)
					return
				}
				mu.Lock()
				taken[v.Elems[1].Text()]++
				mu.Unlock()
			}
		}()
	}
	pusher := &client{addr: gateway.redis}
	defer pusher.close()
	pushed := 0
	push := func() { // one element for each worker
		for i := range workers * len(keys) {
			v, err := pusher.do("RPUSH", "{"+keys[i%len(keys)]+"}q", fmt.Sprint("e", pushed))
			if err != nil || v.Kind != ':' {
				t.Fatal(err, string(v.Str))
			}
			pushed++
		}
	}
	blocked := func() {
		t.Helper()
		await(t, 20*time.Second*slow(), func() string {
			v, err := pusher.do("INFO", "clients")
			if want := fmt.Sprintf("blocked_clients:%d\r\n", workers*len(keys)); err != nil || !strings.Contains(v.Text(), want) {
				return fmt.Sprintf("not all clients are blocked: %v %s", err, v.Text())
			}
			return ""
		})
	}
	for round := range rounds {
		blocked()
		if victim := c.nodes[round%2]; round < 4 {
			victim.kill()
			time.Sleep(300 * time.Millisecond)
			push() // while others are elected, or just after
			victim.start()
			c.awaitHealthy(3)
			continue
		}
		push()
	}
	wg.Wait()
	for e, n := range taken {
		if n != 1 {
			t.Errorf("%s was taken %d times", e, n)
		}
	}
	if len(taken) != pushed {
		t.Errorf("%d elements were pushed, %d taken", pushed, len(taken))
	}
	// Keys of all partitions at once.
	all := []string{"BLPOP"}
	for _, k := range keys {
		all = append(all, "{"+k+"}q")
	}
	last := all[len(all)-1]
	done := make(chan string)
	go func() {
		cl := &client{addr: gateway.redis}
		defer cl.close()
		v, err := cl.do(append(all, "0")...)
		if err != nil || len(v.Elems) != 2 {
			done <- fmt.Sprint(err, string(v.Str))
			return
		}
		done <- v.Elems[0].Text()
	}()
	time.Sleep(200 * time.Millisecond)
	if _, err := pusher.do("RPUSH", last, "x"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != last {
		t.Errorf("taken from %q, not %q", got, last)
	}
}
