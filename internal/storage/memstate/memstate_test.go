package memstate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"coterie/internal/storage/state"
	"coterie/internal/storage/state/statetest"
)

func TestContract(t *testing.T) {
	statetest.Run(t, statetest.Subject{
		Open: func() (state.Store, error) { return New(), nil },
		Crash: func(s state.Store, r *rand.Rand) (state.Store, error) {
			s.(*Store).Crash(r)
			return s, nil
		},
	})
}

// TestHistoryIsBounded: what is never flushed becomes durable in the end.
func TestHistoryIsBounded(t *testing.T) {
	s := New()
	for i := range 3 * maxHistory {
		statetest.Commit(t, s, "n", fmt.Sprint(i))
		if n := len(s.mu.history); n > maxHistory {
			t.Fatalf("%d versions are kept", n)
		}
	}
	if _, ok, _ := s.GetDurable([]byte("n")); !ok {
		t.Error("nothing became durable")
	}
}
