package keyspace_test

import (
	"encoding/hex"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
)

// TestCountFormat pins how counters are stored, and that those of the version
// before are read.
func TestCountFormat(t *testing.T) {
	for _, tc := range []struct {
		hex string
		c   keyspace.Count
	}{
		{"010100", keyspace.Count{Keys: 1}},
		{"01ac0203", keyspace.Count{Keys: 300, Expires: 3}},
		{"01050200000007e807", keyspace.Count{Keys: 5, Expires: 2, Epoch: 7, Bytes: 1000}},
		{"010500ffffffff00", keyspace.Count{Keys: 5, Epoch: 1<<32 - 1}},
	} {
		if got := hex.EncodeToString(keyspace.AppendCount(nil, tc.c)); got != tc.hex {
			t.Errorf("%+v is stored as %s, want %s", tc.c, got, tc.hex)
		}
		b, _ := hex.DecodeString(tc.hex)
		if c, ok := keyspace.ParseCount(b); !ok || c != tc.c {
			t.Errorf("%s is read as %+v", tc.hex, c)
		}
	}
	if c, ok := keyspace.ParseCount([]byte{0, 0, 0, 0, 0, 0, 1, 2}); !ok || c != (keyspace.Count{Keys: 258}) {
		t.Errorf("a counter of the version before is read as %+v", c)
	}
	for _, bad := range []string{"", "01", "0101", "010102", "01010000", "010100000000000a", "0101000000000780", "010100000000070000", "0201"} {
		b, _ := hex.DecodeString(bad)
		if c, ok := keyspace.ParseCount(b); ok {
			t.Errorf("%s is read as %+v", bad, c)
		}
	}
}

// TestCountOfTheVersionBefore: it goes on as one of this version.
func TestCountOfTheVersionBefore(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 0)
	put(s, "{k}1", "v", 0)
	put(s, "{k}2", "v", s.Now()+1000)
	key := keys.CounterKey(nil, base.KeySlot([]byte("k")), 0)
	txn.Set(key, []byte{0, 0, 0, 0, 0, 0, 0, 2})
	r := s.Lookup([]byte("{k}2"))
	s.Remove([]byte("{k}2"), r) // whose deadline was not counted
	put(s, "{k}3", "v", s.Now()+1000)
	if got := s.Count(); got != (keyspace.Count{Keys: 2, Expires: 1}) {
		t.Errorf("counted %+v", got)
	}
	check(t, txn)
}

func TestAverageTTL(t *testing.T) {
	txn := keyspacetest.New(1)
	s := bind(txn, whole, 0)
	if got := s.AverageTTL(); got != 0 {
		t.Errorf("of no keys: %d", got)
	}
	for i := range 200 {
		put(s, string(rune('a'+i%26))+string(rune('a'+i/26)), "v", s.Now()+[]int64{1000, 3000}[i%2])
	}
	put(s, "for ever", "v", 0)
	if got := s.AverageTTL(); got < 1500 || got > 2500 {
		t.Errorf("%d ms, want about 2000", got)
	}
	if got := s.Count(); got.Keys != 201 || got.Expires != 200 {
		t.Errorf("counted %+v", got)
	}
}
