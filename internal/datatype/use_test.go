package datatype_test

import (
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
)

// user is a server that remembers when keys are used, and counts.
type user struct {
	*server
	uses  *keyspace.Uses
	tally keyspace.Tally
}

func newUser(t *testing.T) *user {
	u := &user{server: newServer(t, 1)}
	u.eval.Tally, u.uses = &u.tally, keyspace.NewUses(u.txn.Now().Millis())
	return u
}

func (u *user) run(line string) string {
	var args [][]byte
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	out, _ := u.eval.Evaluate(command.Call{Txn: u.txn, Partition: 1, Span: u.span, DB: u.db, Proto: 2, Args: args, Uses: u.uses}, nil)
	return string(out)
}

func (u *user) pass(seconds int64) {
	u.txn.Stamp = base.StampFromMillis(u.txn.Stamp.Millis() + seconds*1000)
}

func TestIdleTime(t *testing.T) {
	u := newUser(t)
	idle := func(key string, want int) {
		t.Helper()
		if got := u.run("object idletime " + key); got != fmt.Sprintf(":%d\r\n", want) {
			t.Errorf("%s: %q, want %d", key, got, want)
		}
	}
	u.run("set a 1")
	u.run("hset h f 1")
	u.pass(10)
	idle("a", 10)
	for _, looks := range []string{"ttl a", "type a", "exists a", "object encoding a", "object refcount a", "pexpiretime a"} {
		u.run(looks)
		idle("a", 10)
	}
	for _, uses := range []string{"get a", "touch a", "append a x", "set a 2"} {
		u.run(uses)
		idle("a", 0)
		u.pass(3)
		idle("a", 3)
	}
	idle("h", 22)
	if u.db = 1; u.run("set a 1") != "+OK\r\n" {
		t.Fatal("set")
	}
	idle("a", 0)
	u.db = 0
	idle("a", 3)
	u.uses = keyspace.NewUses(u.txn.Now().Millis()) // another leader
	u.pass(7)
	idle("a", 7)
}

// TestIdleTimeOfMany: the table forgets, and then says less than the truth, never more.
func TestIdleTimeOfMany(t *testing.T) {
	u := newUser(t)
	const n = 60_000
	for i := range n {
		u.run(fmt.Sprintf("set key:%d 1", i))
		if i%1000 == 999 {
			u.pass(1)
		}
	}
	for i := 0; i < n; i += 97 {
		var idle int
		if _, err := fmt.Sscanf(u.run(fmt.Sprintf("object idletime key:%d", i)), ":%d\r\n", &idle); err != nil {
			t.Fatal(err)
		}
		if truth := (n - i/1000*1000) / 1000; idle > truth || i > n-5000 && idle < truth {
			t.Errorf("key:%d: %d seconds, in truth %d", i, idle, truth)
		}
	}
}

func TestTally(t *testing.T) {
	u := newUser(t)
	want := func(hits, misses, expired uint64) {
		t.Helper()
		if h, m, e := u.tally.Hits.Load(), u.tally.Misses.Load(), u.tally.Expired.Load(); h != hits || m != misses || e != expired {
			t.Errorf("%d hits, %d misses, %d expired; want %d, %d, %d", h, m, e, hits, misses, expired)
		}
	}
	for _, line := range []string{"set a 1", "set a 2 keepttl", "incr a", "del none", "hset h f v", "expire a 5", "object encoding a", "object idletime none"} {
		u.run(line)
	}
	want(0, 0, 0) // what writes counts neither
	for _, line := range []string{"get a", "hget h f", "mget a none h", "exists a none", "ttl a", "get none"} {
		u.run(line)
	}
	want(6, 3, 0)
	u.pass(6)
	u.run("get a")
	want(6, 4, 1)
	u.run("psetex b 1 v")
	u.pass(1)
	if p := keyspace.SweepExpired(u.txn, 1, wholeSpan, 0, 100, nil, 0); p.Expired != 1 {
		t.Errorf("the sweep says %d", p.Expired)
	}
}
