package hash

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/tree"
)

// object is the object of the hash under a key, and its record's rest.
func (s *server) object(key string) (keyspace.Object, []byte) {
	s.t.Helper()
	var space keyspace.Space
	space.Bind(s.txn, 1, wholeSpan, 0, nil)
	r := space.Lookup([]byte(key))
	obj, ok := r.Object()
	if !ok {
		s.t.Fatal("the hash is not large")
	}
	return obj, r.Rest()
}

// elements counts what is under an object's keys.
func (s *server) elements(slot base.Slot, object uint64) (n int) {
	lower, upper := keys.ElementBounds(slot, object)
	it := s.txn.Iter(lower, upper)
	defer it.Close()
	for it.Next() {
		n++
	}
	return n
}

// TestDrained: a hash that was emptied down to a few fields is another object, whose
// walks meet nothing of the old one; and removals cost about the same all the time.
func TestDrained(t *testing.T) {
	s := newServer(t, 1)
	const n, timed = 6000, 10
	for i := range n {
		s.run("hset", "h", fmt.Sprint("f", i), fmt.Sprint("v", i))
	}
	for i := range timed {
		s.run("hpexpire", "h", fmt.Sprint(100_000+i), "fields", "1", fmt.Sprint("f", n-1-i))
	}
	first, _ := s.object("h")
	slot := base.KeySlot([]byte("h"))
	before, renewed, worst := s.txn.Writes, 0, 0
	object := first.ID
	for i := range n - 20 {
		was := s.txn.Writes
		s.want(":1\r\n", "hdel", "h", fmt.Sprint("f", i))
		worst = max(worst, s.txn.Writes-was)
		if obj, rest := s.object("h"); obj.ID != object {
			renewed++
			if got := s.elements(slot, object); got != 0 {
				t.Fatalf("%d elements are left of the old object", got)
			}
			object = obj.ID
		} else if len(rest) == 0 {
			t.Fatal("nobody knows how many fields were removed")
		}
	}
	if renewed == 0 || renewed > 10 {
		t.Errorf("renewed %d times", renewed)
	}
	if each := float64(s.txn.Writes-before) / (n - 20); each > 2.6 || worst > 2*maxRenewed {
		t.Errorf("%.1f writes for each removal, at worst %d", each, worst)
	}
	// What is left is what was there, with its deadlines.
	s.want(":20\r\n", "hlen", "h")
	for i := n - 20; i < n; i++ {
		s.want(fmt.Sprintf("$5\r\nv%d\r\n", i), "hget", "h", fmt.Sprint("f", i))
		want := "*1\r\n:-1\r\n"
		if i >= n-timed {
			want = fmt.Sprintf("*1\r\n:%d\r\n", s.txn.Now().Millis()+100_000+int64(n-1-i))
		}
		s.want(want, "hpexpiretime", "h", "fields", "1", fmt.Sprint("f", i))
	}
	if got := s.run("hgetall", "h"); !strings.HasPrefix(got, "*40\r\n") {
		t.Error(got)
	}
	s.txn.Stamp = base.StampFromMillis(s.txn.Now().Millis() + 200_000)
	s.sweep(1000)
	s.want(":10\r\n", "hlen", "h")
	s.check()
}

// TestRemovedFormat pins where a record says how many fields were removed.
func TestRemovedFormat(t *testing.T) {
	s := newServer(t, 1)
	for i := range 600 {
		s.run("hset", "h", fmt.Sprint(i), "v")
	}
	if _, rest := s.object("h"); len(rest) != 0 {
		t.Errorf("%x, but nothing was removed", rest)
	}
	for i := range 300 {
		s.run("hdel", "h", fmt.Sprint(i))
	}
	if _, rest := s.object("h"); !bytes.Equal(rest, []byte{0xac, 0x02}) {
		t.Errorf("%x behind 300 removals", rest)
	}
	s.run("hpexpire", "h", "100000", "fields", "1", "500")
	if _, rest := s.object("h"); len(rest) != tree.RootLen+2 || !bytes.Equal(rest[tree.RootLen:], []byte{0xac, 0x02}) {
		t.Errorf("%x behind 300 removals, with a tree", rest)
	}
}

// TestChurned: one that keeps its size, while fields come and go, is renewed now and then.
func TestChurned(t *testing.T) {
	s := newServer(t, 1)
	const size = 400
	for i := range size {
		s.run("hset", "h", fmt.Sprint(i), "v")
	}
	first, _ := s.object("h")
	before := s.txn.Writes
	const rounds = 5000
	for i := range rounds {
		s.run("hset", "h", fmt.Sprint(size+i), "v")
		s.run("hdel", "h", fmt.Sprint(i))
	}
	last, _ := s.object("h")
	if last.ID == first.ID {
		t.Error("never renewed")
	}
	if each := float64(s.txn.Writes-before) / rounds; each > 6 {
		t.Errorf("%.1f writes for each pair", each)
	}
	s.want(fmt.Sprintf(":%d\r\n", size), "hlen", "h")
	s.check()
}
