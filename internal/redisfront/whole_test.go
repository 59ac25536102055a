package redisfront

import (
	"strings"
	"testing"
)

// TestNoCatalogYet: a node that does not know the partitions yet does not take
// the database for empty.
func TestNoCatalogYet(t *testing.T) {
	r := newFake(t, fakeLoop, 0)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	for _, in := range []string{"SCAN 0", "DBSIZE", "KEYS *", "FLUSHALL"} {
		if got := c.do(strings.Fields(in)...); !strings.HasPrefix(got, "-CLUSTERDOWN ") {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// TestGoneDuringScan: a client that goes away while a command over partitions
// is under way takes nobody along.
func TestGoneDuringScan(t *testing.T) {
	r := newFake(t, fakeDelays, 3)
	addr, _ := serveFake(t, r, Limits{})
	other := dial(t, addr)
	for range 50 {
		c := dial(t, addr)
		c.send("SCAN 0\r\nSCAN 0\r\nDBSIZE\r\nSCAN 0\r\n")
		_ = c.Close()
	}
	waitFor(t, "the sessions end", func() bool { return r.front.Connections() == 1 })
	if got := other.do("PING"); got != "+PONG\r\n" {
		t.Errorf("another client: %q", got)
	}
}
