package redisfront

import (
	"net"
	"runtime"
	"testing"
	"time"

	"coterie/internal/resp"
)

// maxBlockedClient is how much memory a connection may take that waits for one key:
// bytes, with its goroutine's stack and its share of what this test needs beside.
const maxBlockedClient = 10 << 10

// TestMemoryOfBlocked: who waits costs next to nothing.
func TestMemoryOfBlocked(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const clients = 500
	for _, test := range []struct {
		name       string
		partitions int
		args       []string
		limit      int
	}{
		{"one key", 1, []string{"TAKE", "a-key", "0"}, maxBlockedClient},
		// Another goroutine waits, which has evaluated the command; both partitions know of it.
		{"two partitions", 2, []string{"TAKE", "a", "b", "0"}, maxBlockedClient + 14<<10},
	} {
		r := newFake(t, fakeLoop, test.partitions)
		addr, _ := serveFake(t, r, Limits{})
		before := memoryInUse()
		for range clients {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Write(resp.AppendCommand(nil, test.args...)); err != nil {
				t.Fatal(err)
			}
		}
		r.blocked(t, clients)
		waitFor(t, "all are in line", func() bool {
			n := 0
			for _, p := range r.parts {
				p.mu.Lock()
				n += len(p.waits)
				p.mu.Unlock()
			}
			return n == clients*test.partitions
		})
		each := int(memoryInUse()-before) / clients
		t.Logf("%s: %d bytes for each client", test.name, each)
		if each > test.limit {
			t.Errorf("%s: %d bytes for each client, more than %d", test.name, each, test.limit)
		}
	}
}

// memoryInUse is what heap and stacks hold once all garbage is gone.
func memoryInUse() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestNoRoomToWaitAcross: where a partition lets nobody wait any more, a command over
// several gets its error, instead of asking again and again.
func TestNoRoomToWaitAcross(t *testing.T) {
	r := newFake(t, fakeLoop, 7)
	addr, _ := serveFake(t, r, Limits{})
	for _, p := range r.parts {
		p.mu.Lock()
		p.full = true
		p.mu.Unlock()
	}
	a := dial(t, addr)
	if got := a.do("TAKE", "a", "b", "c", "d", "0"); got != "-ERR too many wait\r\n" {
		t.Errorf("%q", got)
	}
}

func TestTurns(t *testing.T) {
	turns := newTurns(10)
	has := func(x *turn) bool {
		select {
		case <-x.come:
			return true
		default:
			return false
		}
	}
	a, b, c, d := turns.ask(6), turns.ask(5), turns.ask(1), turns.ask(100)
	if !has(a) || has(b) || has(c) || has(d) {
		t.Fatal("6 of 10: then 5 have to wait, and what comes behind them")
	}
	if turns.giveBack(b); !has(c) || has(d) {
		t.Fatal("5 have gone away: 1 has its turn")
	}
	if turns.giveBack(a); has(d) {
		t.Fatal("1 is not back yet")
	}
	if turns.giveBack(c); !has(d) {
		t.Fatal("who wants more than there are gets all")
	}
	if turns.giveBack(d); turns.mu.free != 10 || len(turns.mu.queue) != 0 {
		t.Error(turns.mu.free, len(turns.mu.queue))
	}
}
