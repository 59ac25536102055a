package partition

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"coterie/internal/base"
)

// TestManyWaited: to wait for many keys costs as much as they are, and the rest
// of the partition does not wait for it.
func TestManyWaited(t *testing.T) {
	w := Waiters{limit: NewWaitLimit()}
	keys := make([][]byte, 200_000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "%ckey:%d", 0, i/2) // each twice
	}
	req, start := &Request{Origin: base.Origin{Gateway: 1, Sequence: 1}}, time.Now()
	if !w.add(req, &asked{keys: keys, class: "list"}) {
		t.Fatal("refused")
	}
	if len(req.wait.places) != len(keys)/2 || len(w.keys) != len(keys)/2 {
		t.Error(len(req.wait.places), len(w.keys))
	}
	if w.remove(req.wait); len(w.keys)+len(w.of) > 0 || w.limit.requests+w.limit.bytes != 0 {
		t.Error("something is left")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestMemoryOfWaiters: what they are taken for is about what they cost, and little.
func TestMemoryOfWaiters(t *testing.T) {
	const waiters, most = 20_000, 1 << 10 // bytes each
	w := Waiters{limit: NewWaitLimit()}
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	for i := range waiters {
		args := [][]byte{[]byte("blpop"), fmt.Appendf(nil, "key:%d", i), []byte("0")}
		req := &Request{Origin: base.Origin{Gateway: 1, Sequence: uint64(i)}, Args: args}
		if !w.add(req, &asked{keys: [][]byte{append([]byte{0}, args[1]...)}, class: "list"}) {
			t.Fatal("refused")
		}
	}
	each, taken := int(inUse()-before)/waiters, w.limit.bytes/waiters
	t.Logf("%d bytes each, taken for %d", each, taken)
	if each > most || each > 2*taken {
		t.Errorf("%d bytes each, taken for %d; at most %d", each, taken, most)
	}
	runtime.KeepAlive(&w)
}
