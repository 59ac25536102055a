package list

import (
	"encoding/hex"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/resp"
)

// TestRecordFormat pins the stored bytes.
func TestRecordFormat(t *testing.T) {
	txn := keyspacetest.New(1)
	s := &keyspace.Space{}
	s.Bind(txn, 1, base.Span{Lo: 0, Hi: base.NumSlots}, 0, nil)
	key := []byte("k")
	push := func(v string) {
		l, ok := open(&command.Ctx{Space: s, Out: &resp.Writer{}}, key)
		if !ok {
			t.Fatal("not a list")
		}
		l.push([]byte(v), false)
		l.store("")
	}
	want := func(name string, got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("%s is stored as %x, want %s", name, got, want)
		}
	}
	push("one")
	push("")
	push(strings.Repeat("x", 200))
	long := "c801" + strings.Repeat("78", 200)
	want("a small list", s.Lookup(key).Body, "00"+"0003"+"01"+"036f6e65"+"00"+long)
	for range 5 {
		push(strings.Repeat("x", 200))
	}
	want("a large list", s.Lookup(key).Body, "02"+"0000000000000001"+"0000000000000008"+"0000000000000004"+"0000000000000003"+"01")
	node := func(id uint64) []byte {
		v, _ := txn.Get(keys.NodeKey(nil, s.Slot(key), 1, id))
		return v
	}
	want("a leaf", node(1), "01"+"036f6e65"+"00"+strings.Repeat(long, 5))
	want("a leaf", node(2), "01"+long)
	want("a branch", node(3), "03"+"01"+"07"+"02")
}

func TestMalformedRecordsAreRefused(t *testing.T) {
	for _, body := range []string{"", "00", "000001", "0100"} {
		b, _ := hex.DecodeString(body)
		if _, _, ok := parseInline(b); ok {
			t.Errorf("%s is taken for a small list", body)
		}
	}
	if _, ok := parseRoot(make([]byte, rootLen-1), 5); ok {
		t.Error("a root that is cut off is taken")
	}
}
