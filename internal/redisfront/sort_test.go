package redisfront

import "testing"

// TestSort sorts by keys of three partitions, which the command does not name.
func TestSort(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dialFake(t, addr)
	for _, step := range []struct{ line, want string }{
		{"RPUSH list a b c", ":3\r\n"},
		{"MSET w_a 3 w_b 1 w_c 2 lock x", "+OK\r\n"},
		{"HSET h_b f hash", ":1\r\n"},
		{"SORT list BY w_*", "*3\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\na\r\n"},
		{"SORT_RO list BY w_* LIMIT 0 2 GET # GET h_*->f", "*4\r\n$1\r\nb\r\n$4\r\nhash\r\n$1\r\nc\r\n$-1\r\n"},
		{"SORT list BY w_* GET w_* STORE elsewhere", ":3\r\n"},
		{"SORT list ALPHA DESC STORE somewhere", ":3\r\n"},
		{"LRANGE elsewhere 0 -1", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n"},
		{"LRANGE somewhere 0 -1", "*3\r\n$1\r\nc\r\n$1\r\nb\r\n$1\r\na\r\n"},
		{"SORT lock BY w_*", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
		{"SORT list BY h_*->f GET x", "-ERR One or more scores can't be converted into double\r\n"},
		{"MULTI", "+OK\r\n"},
		{"SET w_a 0", "+QUEUED\r\n"},
		{"SORT list BY w_*", "+QUEUED\r\n"},
		{"EXEC", "*2\r\n+OK\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
		{"EVAL \"return redis.call('sort',KEYS[1],'BY','w_*','DESC')\" 1 list", "*3\r\n$1\r\nc\r\n$1\r\nb\r\n$1\r\na\r\n"},
		{"SADD set c a b 1", ":4\r\n"},
		{"SADD set bbb bb aa", ":3\r\n"},
		{"EVAL \"return redis.call('sort',KEYS[1],'BY','_')\" 1 set", "*7\r\n$1\r\n1\r\n$1\r\na\r\n$2\r\naa\r\n$1\r\nb\r\n$2\r\nbb\r\n$3\r\nbbb\r\n$1\r\nc\r\n"},
		{"DEL lock", ":1\r\n"},
		{"SET lock mine NX", "+OK\r\n"},
		{"FENCE lock 999999 SORT list BY w_*", "-FENCED"},
	} {
		if got := c.ask(t, step.line); got != step.want && (step.want != "-FENCED" || got[:len(step.want)] != step.want) {
			t.Errorf("%s\n got %q\nwant %q", step.line, got, step.want)
		}
	}
	token := c.ask(t, "FENCETOKEN lock")
	token = token[1 : len(token)-2]
	if got := c.ask(t, "FENCE lock "+token+" SORT list BY w_*"); got != "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n" {
		t.Errorf("behind a lock: %q", got)
	}
	if got := c.ask(t, "FENCE lock "+token+" EVAL \"return redis.call('mget','w_a','w_b','list2')\" 0"); got != "*3\r\n$1\r\n0\r\n$1\r\n1\r\n$-1\r\n" {
		t.Errorf("a script behind a lock: %q", got)
	}
}
