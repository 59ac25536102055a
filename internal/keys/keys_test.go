package keys

import (
	"bytes"
	"encoding/hex"
	"math"
	"sort"
	"strings"
	"testing"

	"coterie/internal/base"

	"pgregory.net/rapid"
)

// TestGolden pins every byte of the layout. A change here is a change of the
// format on disk and on the wire: data that exists becomes unreadable.
func TestGolden(t *testing.T) {
	foo := []byte("foo")
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"counter", CounterKey(nil, 0x3fff, 7), "3fff 00 00000007"},
		{"record", RecordKey(nil, 12182, 0x01020304, foo), "2f96 01 01020304 33bf00a859c4 666f6f"},
		{"record of the empty key", RecordKey(nil, 0, 0, nil), "0000 01 00000000 ef46db3751d8"},
		{"element", ElementKey(nil, 5061, 0x1122334455667788, foo), "13c5 02 1122334455667788 33bf00a859c4 666f6f"},
		{"element prefix", ElementPrefix(nil, 5061, 1), "13c5 02 0000000000000001"},
		{"element scan", ElementScanKey(nil, 5061, 1, 0xabc), "13c5 02 0000000000000001 000000000abc"},
		{"member", MemberKey(nil, 5061, 1, foo), "13c5 02 0000000000000001 00 666f6f"},
		{"position", PositionKey(nil, 5061, 1, 258), "13c5 02 0000000000000001 01 0000000000000102"},
		{"expiry", ExpiryKey(nil, 1, 1700000000000, 9, foo), "0001 03 0000018bcfe56800 00000009 33bf00a859c4 666f6f"},
		{"node", NodeKey(nil, 5061, 0x1122334455667788, 0x99), "13c5 04 1122334455667788 0000000000000099"},
		{"state", StateKey(0x01020304), "80 01020304 00"},
		{"generations", GenerationsKey(1), "80 00000001 01"},
		{"intent", IntentKey(1, 2, 3), "80 00000001 02 0000000000000002 0000000000000003"},
		{"verdict", VerdictKey(1, 2, 3<<44), "80 00000001 03 0000000000000002 0000300000000000"},
		{"appends", CounterKey([]byte("x"), 1, 2), "78 0001 00 00000002"},
	} {
		if want := strings.ReplaceAll(tc.want, " ", ""); hex.EncodeToString(tc.got) != want {
			t.Errorf("%s = %x, want %s", tc.name, tc.got, want)
		}
	}
	if h := Hash48(foo); h != 0x33bf00a859c4 {
		t.Errorf("Hash48(foo) = %x", h)
	}
	if c := CursorAfter(12182, 0x33bf00a859c4); c != 0x2f9633bf00a859c5 {
		t.Errorf("CursorAfter = %x", uint64(c))
	}
	if k, ok := ScanKey(nil, 0x2f9633bf00a859c5, 3); !ok || hex.EncodeToString(k) != "2f96010000000333bf00a859c5" {
		t.Errorf("ScanKey = %x, %v", k, ok)
	}
}

func TestGoldenBounds(t *testing.T) {
	bounds := func(lower, upper []byte) string { return hex.EncodeToString(lower) + "-" + hex.EncodeToString(upper) }
	for _, tc := range []struct{ name, got, want string }{
		{"span", bounds(SpanBounds(base.Span{Lo: 1, Hi: 0x1000})), "0001-1000"},
		{"all slots", bounds(SpanBounds(base.Span{Lo: 0, Hi: base.NumSlots})), "0000-40"},
		{"no slots", bounds(SpanBounds(base.Span{Lo: 9, Hi: 3})), "0009-0009"},
		{"records", bounds(RecordBounds(2, 5)), "00020100000005-00020100000006"},
		{"records, last generation", bounds(RecordBounds(2, math.MaxUint32)), "000201ffffffff-000202"},
		{"elements", bounds(ElementBounds(2, 255)), "00020200000000000000ff-00020200000000000001"},
		{"expiry", bounds(ExpiryBounds(2, 255)), "000203-0002030000000000000100"},
		{"expiry, none", bounds(ExpiryBounds(2, -5)), "000203-0002030000000000000000"},
		{"expiry, all", bounds(ExpiryBounds(2, math.MaxInt64)), "000203-000204"},
		{"nodes", bounds(NodeBounds(2, 255)), "00020400000000000000ff-00020400000000000001"},
		{"catalog", bounds(CatalogBounds()), "40-41"},
		{"meta", bounds(MetaBounds(1)), "8000000001-8000000002"},
		{"last meta", bounds(MetaBounds(math.MaxUint32)), "80ffffffff-81"},
		{"all meta", bounds(AllMetaBounds()), "80-81"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %s, want %s", tc.name, tc.got, tc.want)
		}
	}
}

func TestParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slot := base.Slot(rapid.IntRange(0, base.NumSlots-1).Draw(t, "slot"))
		gen := rapid.Uint32().Draw(t, "gen")
		object := rapid.Uint64().Draw(t, "object")
		deadline := rapid.Int64Min(0).Draw(t, "deadline")
		key := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "key")

		c := CounterKey(nil, slot, gen)
		if s, g, ok := ParseCounterKey(c); !ok || s != slot || g != gen {
			t.Fatalf("counter: %v %v %v", s, g, ok)
		}
		rk := RecordKey(nil, slot, gen, key)
		if r, ok := ParseRecordKey(rk); !ok || r.Slot != slot || r.Gen != gen || r.Hash != Hash48(key) || !bytes.Equal(r.Key, key) {
			t.Fatalf("record: %+v %v", r, ok)
		}
		ek := ElementKey(nil, slot, object, key)
		if e, ok := ParseElementKey(ek); !ok || e.Slot != slot || e.Object != object || e.Hash != Hash48(key) || !bytes.Equal(e.Elem, key) {
			t.Fatalf("element: %+v %v", e, ok)
		}
		mk := MemberKey(nil, slot, object, key)
		if o, m, _, ok := ParseSetKey(mk); !ok || o != object || m == nil || !bytes.Equal(m, key) {
			t.Fatalf("member: %v %q %v", o, m, ok)
		}
		pk := PositionKey(nil, slot, object, uint64(deadline))
		if o, m, p, ok := ParseSetKey(pk); !ok || o != object || m != nil || p != uint64(deadline) {
			t.Fatalf("position: %v %q %v %v", o, m, p, ok)
		}
		if s, o, ok := ParseElementPrefix(pk); !ok || s != slot || o != object {
			t.Fatalf("element prefix: %v %v %v", s, o, ok)
		}
		xk := ExpiryKey(nil, slot, deadline, gen, key)
		if x, ok := ParseExpiryKey(xk); !ok || x.Slot != slot || x.DeadlineMs != deadline || x.Gen != gen || x.Hash != Hash48(key) || !bytes.Equal(x.Key, key) {
			t.Fatalf("expiry: %+v %v", x, ok)
		}
		node := rapid.Uint64().Draw(t, "node")
		nk := NodeKey(nil, slot, object, node)
		if n, ok := ParseNodeKey(nk); !ok || n != (Node{slot, object, node}) {
			t.Fatalf("node: %+v %v", n, ok)
		}
		lower, upper := ExpiryBounds(slot, deadline)
		if bytes.Compare(xk, lower) < 0 || bytes.Compare(xk, upper) >= 0 {
			t.Fatalf("an entry lies outside the bounds of its own deadline")
		}
		all := [][]byte{c, rk, ek, xk, nk}
		lower, upper = SpanBounds(base.Span{Lo: uint16(slot), Hi: uint16(slot) + 1})
		for i, k := range all {
			if bytes.Compare(k, lower) < 0 || bytes.Compare(k, upper) >= 0 {
				t.Fatalf("key %x lies outside its slot", k)
			}
			if s, ok := SlotOf(k); !ok || s != slot {
				t.Fatalf("SlotOf(%x) = %v, %v", k, s, ok)
			}
			_, _, isCounter := ParseCounterKey(k)
			_, isRecord := ParseRecordKey(k)
			_, isElement := ParseElementKey(k)
			_, isExpiry := ParseExpiryKey(k)
			_, isNode := ParseNodeKey(k)
			if isNode != (i == 4) || BehindExpiry(k) != (i == 4) || isCounter != (i == 0) || isRecord != (i == 1) || isElement != (i == 2) || isExpiry != (i == 3) {
				t.Fatalf("key %x parses as something else", k)
			}
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, k := range [][]byte{nil, {0}, {0, 1}, {0, 1, 1}, StateKey(1), {CatalogPrefix}, {CatalogPrefix, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if _, ok := ParseRecordKey(k); ok {
			t.Errorf("ParseRecordKey(%x) succeeded", k)
		}
		if _, ok := ParseExpiryKey(k); ok {
			t.Errorf("ParseExpiryKey(%x) succeeded", k)
		}
		if _, ok := ParseElementKey(k); ok {
			t.Errorf("ParseElementKey(%x) succeeded", k)
		}
		if _, _, ok := ParseCounterKey(k); ok {
			t.Errorf("ParseCounterKey(%x) succeeded", k)
		}
	}
	if pid, rest, ok := ParseMetaKey(GenerationsKey(77)); !ok || pid != 77 || !bytes.Equal(rest, []byte{1}) {
		t.Errorf("ParseMetaKey = %v %x %v", pid, rest, ok)
	}
	if _, _, ok := ParseMetaKey([]byte{MetaPrefix, 0, 0}); ok {
		t.Error("ParseMetaKey took a short key")
	}
}

func TestPrefixEnd(t *testing.T) {
	for _, tc := range []struct{ prefix, want string }{
		{"a", "b"}, {"a\xff", "b"}, {"a\xff\xffb", "a\xff\xffc"}, {"\xff\xff", ""}, {"", ""},
	} {
		if got := PrefixEnd([]byte(tc.prefix)); string(got) != tc.want || (got == nil) != (tc.want == "") {
			t.Errorf("PrefixEnd(%q) = %q, want %q", tc.prefix, got, tc.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "prefix")
		k := rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "key")
		end := PrefixEnd(p)
		in := bytes.Compare(k, p) >= 0 && (end == nil || bytes.Compare(k, end) < 0)
		if in != bytes.HasPrefix(k, p) {
			t.Fatalf("key %x is in [%x, %x): %v", k, p, end, in)
		}
	})
}

// TestScan walks a store by cursors, some records at a time, and sees every
// record of the generation exactly once.
func TestScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const gen = 4
		var store [][]byte
		want := map[string]bool{}
		// Few slots and few hashes, made by hand, so that hashes collide and
		// the extremes occur.
		hashes := []uint64{0, 1, 77, 1<<hashBits - 1}
		for _, slot := range []base.Slot{0, 1, 500, base.NumSlots - 1} {
			store = append(store, CounterKey(nil, slot, gen), RecordKey(nil, slot, gen-1, nil), RecordKey(nil, slot, gen+1, nil))
			for i := range rapid.IntRange(0, 6).Draw(t, "records") {
				hash := rapid.SampledFrom(hashes).Draw(t, "hash")
				k := append(appendRecordHead(nil, slot, gen, hash), byte('a'+i))
				store = append(store, k)
				want[string(k)] = true
			}
		}
		sort.Slice(store, func(i, j int) bool { return bytes.Compare(store[i], store[j]) < 0 })
		count := rapid.IntRange(1, 4).Draw(t, "count")

		var c Cursor
		for calls := 0; ; calls++ {
			if calls > 100 {
				t.Fatal("the walk does not end")
			}
			var got []Record
			c, got = scan(store, c, gen, count)
			for _, r := range got {
				k := string(append(appendRecordHead(nil, r.Slot, r.Gen, r.Hash), r.Key...))
				if !want[k] {
					t.Fatalf("%x seen twice, or not ours", k)
				}
				delete(want, k)
			}
			if c == 0 {
				break
			}
		}
		if len(want) > 0 {
			t.Fatalf("never seen: %v", want)
		}
	})
}

// scan is one SCAN over a sorted list of keys, as a partition would do it.
func scan(store [][]byte, c Cursor, gen uint32, count int) (Cursor, []Record) {
	var got []Record
	for {
		from, ok := ScanKey(nil, c, gen)
		if !ok {
			return 0, got
		}
		slot, _ := c.Slot()
		_, upper := RecordBounds(slot, gen)
		for i := sort.Search(len(store), func(i int) bool { return bytes.Compare(store[i], from) >= 0 }); i < len(store) && bytes.Compare(store[i], upper) < 0; i++ {
			r, _ := ParseRecordKey(store[i])
			if n := len(got); n >= count && (got[n-1].Slot != r.Slot || got[n-1].Hash != r.Hash) {
				return CursorAfter(got[n-1].Slot, got[n-1].Hash), got
			}
			got = append(got, r)
		}
		if slot++; slot >= base.NumSlots {
			return 0, got
		}
		c = CursorAtSlot(slot)
	}
}

func TestCursorEnds(t *testing.T) {
	last := CursorAfter(base.NumSlots-1, 1<<hashBits-1)
	if _, ok := last.Slot(); ok {
		t.Error("the last place has something after it")
	}
	if _, ok := ScanKey(nil, last, 1); ok {
		t.Error("a walk resumes behind the last slot")
	}
	if _, ok := Cursor(math.MaxUint64).Slot(); ok {
		t.Error("a made-up cursor names a slot")
	}
	if slot, ok := CursorAfter(3, 1<<hashBits-1).Slot(); !ok || slot != 4 {
		t.Errorf("after the last hash of slot 3 comes slot %d, %v", slot, ok)
	}
}
