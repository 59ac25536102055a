package partition

import (
	"fmt"
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
