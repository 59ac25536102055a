package partition

import (
	"bytes"
	"reflect"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
)

// TestFetchMessages: what is encoded is what is decoded.
func TestFetchMessages(t *testing.T) {
	work := &Work{
		Term: 7, Reads: []SlotRound{{Slot: 3, Round: 900}, {Slot: 16383, Round: 1}}, Locks: []base.Slot{5}, Held: true, NextID: 88, Body: []byte("body"),
	}
	got, err := decodeWork(work.encode())
	if err != nil || !reflect.DeepEqual(got, work) {
		t.Errorf("work: %+v, %v", got, err)
	}
	id := TxnID{Gateway: 4, Sequence: 1 << 50}
	lower, upper := keys.ElementBounds(9, 77)
	queries := []Query{{Key: keys.RecordKey(nil, 9, 0, []byte("key"))}, {Key: lower, Upper: upper}}
	gotID, gotQueries, ok := DecodeFetch(FetchArgs(id, false, work, queries...))
	if !ok || gotID != id || !reflect.DeepEqual(gotQueries, queries) {
		t.Errorf("queries: %v %v %v", gotID, gotQueries, ok)
	}
	for _, bad := range []Query{
		{Key: keys.GenerationsKey(1)}, {Key: []byte{1}}, {Key: lower, Upper: keys.RecordKey(nil, 10, 0, nil)}, // no slot's, and of two slots
	} {
		if _, _, ok := DecodeFetch(FetchArgs(id, false, nil, bad)); ok {
			t.Errorf("%v was taken", bad)
		}
	}
}

// FuzzFetchMessages: no bytes make the decoders panic, or take what they did
// not bring.
func FuzzFetchMessages(f *testing.F) {
	f.Add((&Work{Term: 1, Reads: []SlotRound{{1, 2}}, Locks: []base.Slot{1}, Body: []byte("x")}).encode())
	lower, upper := keys.ElementBounds(9, 77)
	f.Add((&Query{Key: lower, Upper: upper}).encode())
	reply := appendItem([]byte{1, 2, 3, 4, 0}, Item{Key: []byte("k"), Value: []byte("v"), Exists: true})
	f.Add(appendItem(reply, Item{Key: []byte("k"), More: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := decodeWork(b); err == nil && (len(w.Reads)+len(w.Locks) > len(b) || len(w.Body) > len(b)) {
			t.Errorf("work of %d bytes: %+v", len(b), w)
		}
		if q, err := decodeQuery(b); err == nil && !bytes.HasSuffix(b, append(bytes.Clone(q.Key), q.Upper...)) {
			t.Errorf("query %x of %x", q, b)
		}
		if fetched, err := DecodeFetched(b); err == nil && len(fetched.Items) > len(b) {
			t.Errorf("%d items of %d bytes", len(fetched.Items), len(b))
		}
	})
}
