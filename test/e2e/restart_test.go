package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRestartedNodeKnowsItsSlots: clients that are there before a node is back
// wait for it to know its catalog, and are not told that slots have no owner.
func TestRestartedNodeKnowsItsSlots(t *testing.T) {
	c := newCluster(t, 1)
	n := c.nodes[0]
	cl := &client{addr: n.redis}
	big := strings.Repeat("x", 256<<10)
	for i := range 160 { // so that there is a log to replay
		if v, err := cl.do("SET", fmt.Sprint("big", i), big); err != nil || v.Err() != nil {
			t.Fatal(v.Text(), err)
		}
	}
	if v, err := cl.do("SET", "k", "v"); err != nil || v.Err() != nil {
		t.Fatal(v.Text(), err)
	}
	cl.close()
	for range 3 {
		n.kill()
		answers := make(chan string)
		go func() { answers <- firstAnswer(n.redis) }()
		n.start()
		if got := <-answers; got != "v" {
			t.Errorf("the first answer is %q", got)
		}
	}
}

// firstAnswer is what the first request is told that reaches a node.
func firstAnswer(addr string) string {
	until := time.Now().Add(patience * slow())
	for time.Now().Before(until) {
		cl := &client{addr: addr}
		v, err := cl.do("GET", "k")
		cl.close()
		if err == nil {
			return strings.TrimSpace(v.Text())
		}
		time.Sleep(time.Millisecond)
	}
	return "nothing"
}
