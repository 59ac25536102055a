package stream

import (
	"strings"
	"testing"

	"coterie/internal/keyspace"
)

// TestApproximateTrim: what ~ removes is whole hundreds, counted from the first
// entry there ever was, or everything.
func TestApproximateTrim(t *testing.T) {
	r := newRunner(t)
	for range 1000 {
		r.run("XADD s MAXLEN ~ 555 * f v")
	}
	r.want(":600\r\n", "XLEN s")
	r.want(":45\r\n", "XTRIM s MAXLEN 555")
	r.want(":55\r\n", "XTRIM s MAXLEN ~ 444")
	r.want(":100\r\n", "XTRIM s MAXLEN ~ 400")
	r.want(":0\r\n", "XTRIM s MAXLEN ~ 301")
	r.want(":0\r\n", "XTRIM s MAXLEN ~ 0 LIMIT 99")
	r.want(":200\r\n", "XTRIM s MAXLEN ~ 0 LIMIT 250")
	r.want(":200\r\n", "XTRIM s MINID ~ 99999999999999")
	for i := range 12_345 {
		if r.run("XADD s * f v"); i == 5_000 {
			r.run("XDEL s 0-1")
		}
	}
	r.want(":10000\r\n", "XTRIM s MAXLEN ~ 1")
	r.want(":2300\r\n", "XTRIM s MAXLEN ~ 1 LIMIT 0")
}

// TestGeneratedIDs: they rise, whatever the clock does.
func TestGeneratedIDs(t *testing.T) {
	r := newRunner(t)
	r.want("$15\r\n1700000000000-0\r\n", "XADD s * f v")
	r.want("$15\r\n1700000000000-1\r\n", "XADD s * f v")
	r.txn.Stamp -= 5_000_000
	r.want("$15\r\n1700000000000-2\r\n", "XADD s * f v")
	r.want("$15\r\n1700000000000-3\r\n", "XADD s 1700000000000-* f v")
	r.want("-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n", "XADD s 1699999999999-* f v")
	r.want("$34\r\n1700000000000-18446744073709551615\r\n", "XADD s 1700000000000-18446744073709551615 f v")
	r.want("-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n", "XADD s 1700000000000-* f v")
	r.want("$15\r\n1700000000001-0\r\n", "XADD s * f v")
	r.want("$41\r\n18446744073709551615-18446744073709551615\r\n", "XADD s 18446744073709551615-18446744073709551615 f v")
	r.want("-ERR The stream has exhausted the last possible ID, unable to add more items\r\n", "XADD s * f v")
	r.want("$3\r\n0-1\r\n", "XADD new 0-* f v")
}

// TestLimitedReplies: what does not fit is refused where nothing is written,
// and comes another time where something is.
func TestLimitedReplies(t *testing.T) {
	r := newRunner(t)
	r.limit(2000)
	value := strings.Repeat("x", 400)
	for range 10 {
		r.run("XADD s * f " + value)
	}
	for _, line := range []string{"XRANGE s - +", "XREAD STREAMS s 0", "XINFO STREAM s FULL"} {
		r.want("-ERR reply would exceed the maximum reply size\r\n", line)
	}
	r.run("XGROUP CREATE s g 0")
	for _, line := range []string{"XREADGROUP GROUP g c STREAMS s >", "XREADGROUP GROUP g c STREAMS s >"} {
		if out := r.run(line); out[0] != '*' || strings.Count(out, value) != 5 {
			t.Errorf("%s: %q", line, out)
		}
	}
	for _, tc := range []struct {
		line    string
		entries int
	}{{"XREADGROUP GROUP g c STREAMS s 0", 5}, {"XAUTOCLAIM s g d 0 0", 5}, {"XAUTOCLAIM s g d 0 0 JUSTID", 0}} {
		if out := r.run(tc.line); out[0] != '*' || strings.Count(out, value) != tc.entries {
			t.Errorf("%s: %q", tc.line, out)
		}
	}
	if err := keyspace.Check(r.txn, r.call().Span); err != nil {
		t.Error(err)
	}
}

// TestNothingChanges: what finds nothing to do leaves no effect.
func TestNothingChanges(t *testing.T) {
	r := newRunner(t)
	for _, line := range []string{"XADD s 1-1 f v", "XADD s 1-2 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 1 STREAMS s >"} {
		r.run(line)
	}
	before := r.txn.Writes
	for _, line := range []string{
		"XADD none NOMKSTREAM * f v", "XADD s 1-2 f v", "XTRIM s MAXLEN 5", "XTRIM s MAXLEN ~ 1", "XDEL s 5", "XLEN s", "XRANGE s - +",
		"XREAD STREAMS s 0", "XACK s g 7", "XACK s nosuch 1-1", "XPENDING s g", "XPENDING s g - + 10", "XINFO STREAM s FULL", "XINFO GROUPS s",
		"XINFO CONSUMERS s g", "XGROUP CREATE s g 0", "XGROUP CREATECONSUMER s g c", "XGROUP DELCONSUMER s g nosuch", "XGROUP DESTROY s nosuch",
		"XGROUP SETID s g 1-1 ENTRIESREAD 1", "XSETID s 1-2", "XREADGROUP GROUP g c STREAMS s 5", "XCLAIM s g c 0 7",
	} {
		if r.run(line); r.txn.Writes != before {
			t.Errorf("%s writes", line)
			before = r.txn.Writes
		}
	}
}
