package stream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
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
	r.want(":0\r\n", "XTRIM s MAXLEN ~ 301 LIMIT 250")
	r.want(":0\r\n", "XTRIM s MAXLEN ~ 0 LIMIT 1")
	r.want(":60\r\n", "XTRIM s MAXLEN ~ 0 LIMIT 60")
	r.want(":36\r\n", "XTRIM s MAXLEN ~ 0 LIMIT 38") // twelve at a time
	r.want(":304\r\n", "XTRIM s MINID ~ 99999999999999")
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

// TestReadErrors: what XREAD and XREADGROUP say of arguments.
func TestReadErrors(t *testing.T) {
	r := newRunner(t)
	for _, line := range []string{"XADD s 1-1 f v", "XGROUP CREATE s g 0"} {
		r.run(line)
	}
	const syntax = "-ERR syntax error\r\n"
	for line, want := range map[string]string{
		"XREAD STREAMS s":                                     "-ERR wrong number of arguments for 'xread' command\r\n",
		"XREAD STREAMS s t 0":                                 "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.\r\n",
		"XREADGROUP GROUP g c STREAMS s t >":                  "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.\r\n",
		"XREAD COUNT 1 COUNT":                                 syntax,
		"XREAD COUNT 1 STREAMS":                               syntax,
		"XREAD COUNT x STREAMS s 0":                           "-ERR value is not an integer or out of range\r\n",
		"XREAD BLOCK x STREAMS s 0":                           "-ERR timeout is not an integer or out of range\r\n",
		"XREAD BLOCK -1 STREAMS s 0":                          "-ERR timeout is negative\r\n",
		"XREAD GROUP g c STREAMS s 0":                         "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.\r\n",
		"XREAD NOACK STREAMS s 0":                             "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.\r\n",
		"XREAD STREAMS s >":                                   "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.\r\n",
		"XREADGROUP GROUP g c STREAMS s +":                    "-ERR Invalid stream ID specified as stream command argument\r\n",
		"XREADGROUP COUNT 1 NOACK NOACK STREAMS s 0":          "-ERR Missing GROUP option for XREADGROUP\r\n",
		"XREADGROUP GROUP g c COUNT 1 FOO STREAMS s 0":        syntax,
		"XREADGROUP GROUP h c STREAMS s >":                    "-NOGROUP No such key 's' or consumer group 'h' in XREADGROUP with GROUP option\r\n",
		"XREADGROUP GROUP g c STREAMS s none > >":             "-NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option\r\n",
		"XREADGROUP GROUP g c STREAMS s 18446744073709551616": "-ERR Invalid stream ID specified as stream command argument\r\n",
		"XSETID s 0-5":                                        "-ERR The ID specified in XSETID is smaller than the target stream top item\r\n",
		"XSETID s 5-5 MAXDELETEDID 6-0":                       "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id\r\n",
		"XSETID s 5-5 ENTRIESADDED 0":                         "-ERR The entries_added specified in XSETID is smaller than the target stream length\r\n",
		"XSETID s 5-5 ENTRIESADDED -1":                        "-ERR entries_added must be positive\r\n",
		"XSETID none 5-5":                                     "-ERR no such key\r\n",
	} {
		r.want(want, line)
	}
	if out := r.run("XREADGROUP GROUP g c STREAMS s $"); !strings.HasPrefix(out, "-ERR The $ ID is meaningless in the context of XREADGROUP: ") {
		t.Error(out)
	}
}

// waiters is who waits, as the evaluator tells it.
type waiters struct {
	calls []string // arguments to be run again with
}

func (w *waiters) Any() bool    { return true }
func (w *waiters) Touch([]byte) {}
func (w *waiters) TouchAll()    {}
func (w *waiters) Wait(_, args [][]byte, _ string, broadcast bool) {
	w.calls = append(w.calls, fmt.Sprintf("%s %v", bytes.Join(args, []byte(" ")), broadcast))
}

// TestBlocking: who finds nothing waits without a trace, and with $ resolved.
func TestBlocking(t *testing.T) {
	r := newRunner(t)
	for _, line := range []string{"XADD s 1-1 f v", "XADD s 1-2 f v", "XDEL s 1-2", "XGROUP CREATE s g 1-1"} {
		r.run(line)
	}
	before := r.txn.Writes
	for _, tc := range []struct{ line, waits, reply string }{
		{"XREAD BLOCK 0 STREAMS s $", "XREAD BLOCK 0 STREAMS s 1-2 true", ""},
		{"XREAD BLOCK 0 STREAMS none s s $ 1-1 $", "XREAD BLOCK 0 STREAMS none s s 0-0 1-1 1-2 true", ""},
		{"XREAD BLOCK 0 STREAMS s 1-1", " true", ""},
		{"XREAD BLOCK 0 STREAMS s 1-0", "", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"},
		{"XREAD STREAMS s $", "", "*-1\r\n"},
		{"XREAD BLOCK 0 COUNT 5 STREAMS s +", "", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"},
		{"XREAD BLOCK 0 STREAMS none +", " true", ""},
		{"XREADGROUP GROUP g new BLOCK 0 STREAMS s >", " true", ""},
		{"XREADGROUP GROUP h new BLOCK 0 STREAMS s >", "", "-NOGROUP No such key 's' or consumer group 'h' in XREADGROUP with GROUP option\r\n"},
	} {
		w := &waiters{}
		call := r.call(strings.Fields(tc.line)...)
		call.Waiters, call.Blocking = w, true
		out, _ := r.eval.Evaluate(call, nil)
		if got := strings.Join(w.calls, ";"); got != tc.waits || string(out) != tc.reply || r.txn.Writes != before {
			t.Errorf("%s waits as %q and replies %q, want %q and %q", tc.line, got, out, tc.waits, tc.reply)
		}
	}
	// One that waits and meets another type: XREAD goes on, XREADGROUP says so.
	r.txn.Set(keys.RecordKey(nil, base.KeySlot([]byte("s")), 0, []byte("s")), []byte("\x01string"))
	for line, want := range map[string]string{
		"XREAD BLOCK 0 STREAMS none s 0 0":           "",
		"XREADGROUP GROUP g new BLOCK 0 STREAMS s >": "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
	} {
		call := r.call(strings.Fields(line)...)
		call.Waiters, call.Blocking, call.Waited = &waiters{}, true, true
		if out, _ := r.eval.Evaluate(call, nil); string(out) != want {
			t.Errorf("%s, again: %q, want %q", line, out, want)
		}
	}
}

// TestNotBlocking: what may not wait answers at once.
func TestNotBlocking(t *testing.T) {
	r := newRunner(t)
	r.run("XGROUP CREATE s g 0 MKSTREAM")
	r.want("*-1\r\n", "XREAD BLOCK 0 STREAMS s $")
	r.want("*-1\r\n", "XREADGROUP GROUP g new BLOCK 0 STREAMS s >")
	r.want("*-1\r\n", "XREAD BLOCK 0 STREAMS s 0")
	r.want(":0\r\n", "XGROUP CREATECONSUMER s g new")
}

// TestConsumersTimes: asking and getting something are told apart.
func TestConsumersTimes(t *testing.T) {
	r := newRunner(t)
	info := func(idle, inactive int) string {
		return fmt.Sprintf("*1\r\n*8\r\n$4\r\nname\r\n$1\r\nc\r\n$7\r\npending\r\n:1\r\n$4\r\nidle\r\n:%d\r\n$8\r\ninactive\r\n:%d\r\n", idle, inactive)
	}
	r.run("XGROUP CREATE s g 0 MKSTREAM")
	r.run("XREADGROUP GROUP g c STREAMS s >")
	r.txn.Stamp += 100_000
	r.want(strings.Replace(info(100, -1), ":1", ":0", 1), "XINFO CONSUMERS s g")
	r.run("XADD s 1-1 f v")
	r.run("XREADGROUP GROUP g c STREAMS s >")
	r.want(info(0, 0), "XINFO CONSUMERS s g")
	r.txn.Stamp += 100_000
	r.run("XREADGROUP GROUP g c STREAMS s >")
	r.want(info(0, 100), "XINFO CONSUMERS s g")
	r.want("*0\r\n", "XCLAIM s g d 1000 1-1")
	if out := r.run("XINFO CONSUMERS s g"); out[:4] != "*2\r\n" {
		t.Errorf("XCLAIM makes no consumer: %q", out)
	}
}
