package set

import (
	"encoding/hex"
	"testing"

	"coterie/internal/keyspace"
)

// TestInlineFormat pins the stored bytes.
func TestInlineFormat(t *testing.T) {
	body := emptyInline(nil, Intset)
	add := func(member string, form Form) {
		t.Helper()
		var ok bool
		if body, ok = body.add([]byte(member), form); !ok {
			t.Fatalf("%q does not fit", member)
		}
	}
	want := func(want string) {
		t.Helper()
		if got := hex.EncodeToString(body); got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
	}
	add("5", Intset)
	add("-2", Intset)
	add("300", Intset)
	want("000203" + "7ffffffffffffffe" + "8000000000000005" + "800000000000012c")
	add("x", Listpack)
	want("000104" + "022d32" + "0135" + "03333030" + "0178")
	at, end, ok := body.find([]byte("5"))
	if !ok {
		t.Fatal("a member is not found")
	}
	body = body.cut(at, end)
	add("", Hashtable)
	want("000004" + "022d32" + "03333030" + "0178" + "00")
	if _, ok := body.add(make([]byte, maxInlineItem+1), Hashtable); ok {
		t.Error("too large a member fits")
	}
	large := append(keyspace.AppendObject(nil, keyspace.Object{ID: 7, Count: 1000}), byte(Intset))
	if f := FormOf(keyspace.Record{Type: keyspace.Set, Body: large}); f != Intset {
		t.Errorf("form %v", f)
	}
}
