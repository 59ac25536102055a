package zset

import (
	"encoding/hex"
	"math"
	"sort"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
)

// TestScores pins how scores are stored, and that they sort.
func TestScores(t *testing.T) {
	rising := []struct {
		score  float64
		stored string
	}{
		{math.Inf(-1), "000fffffffffffff"}, {-math.MaxFloat64, "0010000000000000"}, {-1, "400fffffffffffff"}, {-5e-324, "7ffffffffffffffe"},
		{0, "8000000000000000"}, {5e-324, "8000000000000001"}, {1, "bff0000000000000"}, {1.5, "bff8000000000000"}, {math.MaxFloat64, "ffefffffffffffff"}, {math.Inf(1), "fff0000000000000"},
	}
	for i, r := range rising {
		o := order(r.score)
		if got := hex.EncodeToString(appendPlace(nil, o, nil)); got != r.stored {
			t.Errorf("%v is stored as %s, want %s", r.score, got, r.stored)
		}
		if unorder(o) != r.score {
			t.Errorf("%v comes back as %v", r.score, unorder(o))
		}
		if i > 0 && o <= order(rising[i-1].score) {
			t.Errorf("%v does not sort behind %v", r.score, rising[i-1].score)
		}
	}
	if order(math.Copysign(0, -1)) != order(0) {
		t.Error("-0 is not 0")
	}
}

// TestInlineFormat pins the stored bytes of a small set.
func TestInlineFormat(t *testing.T) {
	body := emptyInline(nil)
	for _, m := range []struct {
		score  float64
		member string
	}{{2, "b"}, {-1, ""}, {2, "a"}, {1, "long"}} {
		if !fitsInline(body, []byte(m.member)) {
			t.Fatalf("%q does not fit", m.member)
		}
		body = insertInline(body, order(m.score), []byte(m.member))
	}
	want := "0004" + "400fffffffffffff00" + "bff0000000000000046c6f6e67" + "c0000000000000000161" + "c0000000000000000162"
	if got := hex.EncodeToString(body); got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	e, rank, _ := findInline(body, []byte("a"))
	if body = deleteInline(body, e.at, e.end, 1); rank != 2 || hex.EncodeToString(body) != "0003"+"400fffffffffffff00"+"bff0000000000000046c6f6e67"+"c0000000000000000162" {
		t.Errorf("without the member of rank %d: %x", rank, body)
	}
	if fitsInline(body, make([]byte, maxInlineMember+1)) {
		t.Error("too long a member fits")
	}
}

// TestLargeFormat pins all keys and values of a large set.
func TestLargeFormat(t *testing.T) {
	table, err := command.NewTable(Rows())
	if err != nil {
		t.Fatal(err)
	}
	txn := keyspacetest.New(1)
	eval := command.NewEvaluator(table, keyspace.Limits{})
	run := func(args ...string) {
		var list [][]byte
		for _, a := range args {
			list = append(list, []byte(a))
		}
		eval.Evaluate(command.Call{Txn: txn, Partition: 1, Span: base.Span{Lo: 0, Hi: base.NumSlots}, Args: list}, nil)
	}
	run("zadd", "k", "2", "b", "-1", "a")
	run("zadd", "k", "0.5", strings.Repeat("x", maxInlineMember+1))
	run("zadd", "k", "7", "b")
	it := txn.Iter(nil, []byte{0xff})
	defer it.Close()
	var got []string
	for it.Next() {
		got = append(got, hex.EncodeToString(it.Key())+" "+hex.EncodeToString(it.Value()))
	}
	sort.Strings(got)
	x := strings.Repeat("78", maxInlineMember+1)
	for i, want := range []string{
		// the counter, in its second form: a key, none with a deadline
		"1dcd0000000000 " + "010100",
		// the record: type, kind, object, members, next node, and the root's node, height and count
		"1dcd0100000000c3d31922c50b6b " + "05" + "03" + "0000000000000001" + "0000000000000003" + "0000000000000002" + "0000000000000001" + "00" + "0000000000000003",
		// the elements: a score each
		"1dcd0200000000000000014e510f5868b3" + x + " bfe0000000000000",
		"1dcd02000000000000000178452aa11af362 c01c000000000000",
		"1dcd020000000000000001d24ec4f1a98c61 400fffffffffffff",
		// the tree's one leaf: scores and members in order
		"1dcd0400000000000000010000000000000001 " + "00" + "09400fffffffffffff6100" + "49bfe0000000000000" + x + "00" + "09c01c0000000000006200",
	} {
		if i >= len(got) || got[i] != want {
			t.Errorf("entry %d of %d is not\n%s:\n%s", i, len(got), want, strings.Join(got, "\n"))
		}
	}
}
