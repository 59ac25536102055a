package command

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

func TestExecGroup(t *testing.T) {
	watched := [][]byte{WatchedKey(3, []byte("k")), WatchedKey(0, nil)}
	commands := []Grouped{{DB: 1, Args: [][]byte{[]byte("SET"), []byte("k"), {}}}, {DB: 15, Proto: 3, Args: [][]byte{[]byte("PING")}}}
	op, session, rest, ok := splitGroup(ExecGroup(1<<40, watched, commands))
	if !ok || op != groupExec || session != 1<<40 {
		t.Fatal(op, session, ok)
	}
	gotWatched, got, ok := splitExec(rest)
	if !ok || len(gotWatched) != 2 || len(got) != 2 {
		t.Fatal(gotWatched, got, ok)
	}
	for i, c := range commands {
		if got[i].DB != c.DB || got[i].Proto != c.Proto || !bytes.Equal(bytes.Join(got[i].Args, []byte("|")), bytes.Join(c.Args, []byte("|"))) {
			t.Errorf("command %d: %v", i, got[i])
		}
	}
}

// FuzzSplitExec: arguments may come from another version of a node.
func FuzzSplitExec(f *testing.F) {
	seed := ExecGroup(7, [][]byte{WatchedKey(0, []byte("w"))}, []Grouped{{Args: [][]byte{[]byte("GET"), []byte("k")}}})
	f.Add(bytes.Join(seed, []byte{0}))
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _, rest, ok := splitGroup(bytes.Split(in, []byte{0}))
		if !ok {
			return
		}
		_, commands, _ := splitExec(rest)
		for _, c := range commands {
			if len(c.Args) == 0 {
				t.Error("an empty command")
			}
		}
	})
}

// TestWatchesAreBounded: the one that watches longest is the first to go.
func TestWatchesAreBounded(t *testing.T) {
	var w Watches
	key := func(i int) []byte { return []byte{0, byte(i), byte(i >> 8), byte(i >> 16)} }
	for i := range maxWatched + 10 {
		w.add(Watcher{Gateway: 1, Session: uint64(i)}, key(i))
	}
	if w.number > maxWatched || len(w.of) > maxWatched || w.order.Len() > maxWatched {
		t.Error(w.number, len(w.of), w.order.Len())
	}
	if w.unchanged(Watcher{Gateway: 1, Session: 3}, [][]byte{key(3)}) || !w.unchanged(Watcher{Gateway: 1, Session: 50}, [][]byte{key(50)}) {
		t.Error("the wrong ones are gone")
	}
	for i := range maxWatched + 10 {
		w.forget(Watcher{Gateway: 1, Session: uint64(i)})
	}
	if w.Any() || len(w.of)+w.order.Len()+len(w.by) > 0 {
		t.Error("something is left")
	}
}

// TestManyWatched: what a connection watches costs as much as it is, and the rest
// of the partition does not wait for it.
func TestManyWatched(t *testing.T) {
	least := func(n int) time.Duration {
		took := watchMany(t, n)
		for range 4 {
			took = min(took, watchMany(t, n))
		}
		return took
	}
	const more = 16
	if few, many := least(maxWatched/more), least(maxWatched); many > 10*more*few {
		t.Errorf("%d times the keys took %v instead of %v", more, many, few)
	}
}

// watchMany has n keys watched by one and one key by n, and touches them.
func watchMany(t *testing.T, n int) time.Duration {
	var w Watches
	who, start := Watcher{Gateway: 1, Session: 1}, time.Now()
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "%ckey:%d", 0, i)
		w.add(who, keys[i])
	}
	if !w.unchanged(who, keys) {
		t.Error("they have changed")
	}
	if w.Touch(keys[5]); w.unchanged(who, keys) || w.Any() {
		t.Error("they have not changed")
	}
	for i := range n { // of one key, that is
		w.add(Watcher{Gateway: 1, Session: uint64(i)}, keys[0])
	}
	if w.Touch(keys[0]); w.Any() {
		t.Error("something is left")
	}
	return time.Since(start)
}
