package stream

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
)

// runner evaluates commands over an in-memory transaction.
type runner struct {
	t     testing.TB
	txn   *keyspacetest.Txn
	table *command.Table
	eval  *command.Evaluator
	out   []byte
}

func newRunner(t testing.TB) *runner {
	table, err := command.NewTable(Rows())
	if err != nil {
		t.Fatal(err)
	}
	return &runner{t: t, txn: keyspacetest.New(1), table: table, eval: command.NewEvaluator(table, keyspace.Limits{})}
}

func (r *runner) call(args ...string) command.Call {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	return command.Call{Txn: r.txn, Partition: 1, Span: base.Span{Hi: base.NumSlots}, Args: list}
}

// limit makes a runner that refuses larger replies.
func (r *runner) limit(bytes int) {
	r.eval = command.NewEvaluator(r.table, keyspace.Limits{MaxReply: bytes})
}

// run runs a command, given as words, and returns its reply.
func (r *runner) run(line string) string {
	r.out, _ = r.eval.Evaluate(r.call(strings.Fields(line)...), r.out[:0])
	return string(r.out)
}

func (r *runner) want(reply, line string) {
	r.t.Helper()
	if got := r.run(line); got != reply {
		r.t.Errorf("%s: %q, want %q", line, got, reply)
	}
}

// TestFormat pins the stored bytes of a stream.
func TestFormat(t *testing.T) {
	r := newRunner(t)
	for _, line := range []string{
		"XADD s 5-1 f v g w", "XADD s 5-2 f x", "XADD s 258-3 k v", "XDEL s 5-2",
		"XGROUP CREATE s grp 0 ENTRIESREAD 0", "XGROUP CREATECONSUMER s grp bob", "XREADGROUP GROUP grp alice COUNT 1 STREAMS s >",
	} {
		if out := r.run(line); out[0] == '-' {
			t.Fatalf("%s: %s", line, out)
		}
	}
	slot := base.KeySlot([]byte("s"))
	record, _ := r.txn.Get(keys.RecordKey(nil, slot, 0, []byte("s")))
	hex16 := func(ms, seq int) string { return fmt.Sprintf("%016x%016x", ms, seq) }
	const now = "80a0abfef962" // varint of 2 × 1,700,000,000,000
	for _, tc := range []struct{ name, got, want string }{
		{"record", hex.EncodeToString(record), "06" + "02" + "0000000000000001" + "0000000000000003" + "0000000000000007" +
			"010002" + "020001" + hex16(0x102, 3) + hex16(5, 2) + "03"},
		{"entries", node(r, slot, 1), "00" +
			"10" + hex16(5, 1) + "09" + "02" + "0166" + "0176" + "0167" + "0177" +
			"10" + hex16(0x102, 3) + "05" + "01" + "016b" + "0176"},
		{"groups", node(r, slot, 2), "00" + "03" + "677270" + "1e" + hex16(5, 1) + "01" + "02" + "050001" + "060001" + "040002" + "030002"},
		{"consumers", node(r, slot, 4), "00" +
			"08" + "0000000000000001" + "0a" + now + "01" + "626f62" +
			"08" + "0000000000000002" + "11" + now + now + "616c696365"},
		{"numbers", node(r, slot, 3), "00" +
			"05" + "616c696365" + "08" + "0000000000000002" +
			"03" + "626f62" + "08" + "0000000000000001"},
		{"pending", node(r, slot, 5), "00" + "10" + hex16(5, 1) + "08" + "02" + now + "01"},
		{"owned", node(r, slot, 6), "00" + "18" + "0000000000000002" + hex16(5, 1) + "00"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s is stored as\n%s, want\n%s", tc.name, tc.got, tc.want)
		}
	}
}

func node(r *runner, slot base.Slot, id uint64) string {
	b, _ := r.txn.Get(keys.NodeKey(nil, slot, 1, id))
	return hex.EncodeToString(b)
}
