package redisfront

import (
	"strings"
	"testing"
	"time"
)

// checker compares replies, "*" in what is wanted standing for anything.
func checker(t *testing.T, c *rawClient) func(want string, args ...string) {
	return func(want string, args ...string) {
		t.Helper()
		got := c.do(args...)
		if head, tail, any := strings.Cut(want, "*…"); any && strings.HasPrefix(got, head) && strings.HasSuffix(got, tail) {
			return
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}

func TestConfigSet(t *testing.T) {
	addr, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	check := checker(t, dial(t, addr))
	const failed = "-ERR CONFIG SET failed (possibly related to argument '"
	check("+OK\r\n", "config", "set", "hash-max-listpack-entries", "7", "Save", "900  1", "repl-backlog-size", "1mb")
	check("*2\r\n$4\r\nsave\r\n$5\r\n900 1\r\n", "config", "get", "SAVE")
	check("*2\r\n$17\r\nrepl-backlog-size\r\n$7\r\n1048576\r\n", "config", "get", "repl-backlog-size")
	check("*4\r\n$25\r\nhash-max-listpack-entries\r\n$1\r\n7\r\n$24\r\nhash-max-ziplist-entries\r\n$1\r\n7\r\n", "config", "get", "hash-max-*entries") // the older name too
	// All or nothing.
	check(failed+"maxmemory-clients') - percentage argument must be less or equal to 100\r\n", "config", "set", "hz", "50", "maxmemory-clients", "200%")
	check("*2\r\n$2\r\nhz\r\n$2\r\n10\r\n", "config", "get", "hz")
	check(failed+"hz') - duplicate parameter\r\n", "config", "set", "hz", "20", "hz", "30")
	check(failed+"hz') - argument must be between 1 and 500 inclusive\r\n", "config", "set", "hz", "0")
	check(failed+"hz') - argument couldn't be parsed into an integer\r\n", "config", "set", "hz", "x")
	check(failed+"activerehashing') - argument must be 'yes' or 'no'\r\n", "config", "set", "activerehashing", "1")
	check(failed+"daemonize') - can't set immutable config\r\n", "config", "set", "daemonize", "yes")
	check("+OK\r\n", "config", "set", "maxmemory", "100mb", "maxmemory-policy.3", "Allkeys-LRU")
	check("*4\r\n$9\r\nmaxmemory\r\n$9\r\n104857600\r\n$18\r\nmaxmemory-policy.3\r\n$11\r\nallkeys-lru\r\n", "config", "get", "maxmemory", "maxmemory-policy.3")
	check(failed+"maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction\r\n",
		"config", "set", "maxmemory-policy", "nosuch")
	check("+OK\r\n", "config", "set", "maxmemory", "0")
	check("*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n", "config", "get", "maxmemory")
	check(failed+"latency-tracking-info-percentiles') - latency-tracking-info-percentiles parameters should sit between [0.0,100.0]\r\n", "config", "set", "latency-tracking-info-percentiles", "10 101")
	check("-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n", "config", "set", "hz", "20", "nosuch", "1")
	check("-ERR syntax error\r\n", "config", "set", "hz", "1", "x")
	check("+OK\r\n", "config", "set", "client-output-buffer-limit", "normal 0 0 0 pubsub 1mb 2k 5")
	check("*…pubsub 1048576 2000 5\r\n", "config", "get", "client-output-buffer-limit")
	check("*0\r\n", "config", "get", "key-load-dela?") // hidden
	check("*2\r\n$14\r\nkey-load-delay\r\n$1\r\n0\r\n", "config", "get", "key-load-delay")
}

// Every parameter can be set to what it is.
func TestConfigSanity(t *testing.T) {
	addr, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	c := dial(t, addr)
	for _, k := range knobs {
		for _, name := range strings.Fields(k.names) {
			before := c.do("config", "get", name)
			value := bulkOf(before)
			if got := c.do("config", "set", name, value); got != "+OK\r\n" {
				t.Errorf("%s to %q: %q", name, value, got)
			}
			if after := c.do("config", "get", name); after != before {
				t.Errorf("%s: %q became %q", name, before, after)
			}
		}
	}
}

// bulkOf is the last bulk string of a reply.
func bulkOf(reply string) string {
	lines := strings.Split(reply, "\r\n")
	return lines[len(lines)-2]
}

func TestLatencyTracking(t *testing.T) {
	addr, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	c := dial(t, addr)
	check := checker(t, c)
	stats := func() string { return c.do("info", "latencystats") }
	check("+OK\r\n", "config", "set", "latency-tracking", "no")
	check("+OK\r\n", "set", "a", "b")
	if got := stats(); strings.Contains(got, "usec_set") {
		t.Errorf("tracked though it is off: %q", got)
	}
	check("+OK\r\n", "config", "set", "latency-tracking", "yes", "latency-tracking-info-percentiles", "0.0 50.0 100")
	check("+OK\r\n", "set", "a", "b")
	if got := stats(); !strings.Contains(got, "usec_set:p0=") || !strings.Contains(got, ",p50=") || !strings.Contains(got, ",p100=") {
		t.Errorf("%q", got)
	}
}

func TestLatencyMonitor(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	front := r.front
	c := dial(t, addr)
	check := checker(t, c)
	check("*0\r\n", "latency", "latest")
	check("-ERR No samples available for event 'command'\r\n", "latency", "graph", "command")
	check("+OK\r\n", "config", "set", "latency-monitor-threshold", "20")
	e := front.table.lookup([]byte("keys"))
	for _, ms := range []int64{19, 30, 50} {
		front.measure(front.sessions()[0], e, [][]byte{[]byte("keys")}, ms*int64(time.Millisecond), false)
	}
	front.latency.mu.Lock()
	spikes := front.latency.mu.events[eventCommand].spikes
	spikes[len(spikes)-1].at -= 70 // the next one is in another second
	front.latency.mu.Unlock()
	front.measure(front.sessions()[0], e, [][]byte{[]byte("keys")}, 25*int64(time.Millisecond), false)
	check("*1\r\n*4\r\n$7\r\ncommand\r\n:*…\r\n:25\r\n:50\r\n", "latency", "latest")
	check("*2\r\n*2\r\n:*…\r\n:25\r\n", "latency", "history", "command")
	if got := c.do("latency", "graph", "command"); !strings.Contains(got, "command - high 50 ms, low 25 ms (all time high 50 ms)") || !strings.Contains(got, "1") {
		t.Errorf("%q", got)
	}
	if got := c.do("latency", "doctor"); !strings.Contains(got, "command: 2 spikes, 37 ms on average, the worst 50 ms.") {
		t.Errorf("%q", got)
	}
	check(":0\r\n", "latency", "reset", "nosuch")
	check(":1\r\n", "latency", "reset")
	check("*0\r\n", "latency", "history", "command")
}

func TestClientPause(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	front := r.front
	c, other := dial(t, addr), dial(t, addr)
	check := checker(t, c)
	check("-ERR timeout is negative\r\n", "client", "pause", "-1")
	check("-ERR timeout is not an integer or out of range\r\n", "client", "pause", "x")
	check("-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n", "client", "pause", "1", "some")
	check("+OK\r\n", "client", "pause", "60000", "write")
	check("+OK\r\n", "client", "pause", "1", "write") // the longer one stays
	check("$-1\r\n", "get", "a")
	check("-ERR wrong number of arguments for 'set' command\r\n", "set", "a")
	other.send("GET a\r\nSET a 1\r\nGET a\r\n")
	if got := other.reply(); got != "$-1\r\n" { // what was sent before the write is answered
		t.Fatalf("%q", got)
	}
	waitFor(t, "the count of who is paused", func() bool { return front.blocked.clients.Load() == 1 })
	check("$-1\r\n", "get", "a")
	check("+OK\r\n", "multi")
	check("+QUEUED\r\n", "get", "a")
	check("*1\r\n$-1\r\n", "exec")                                  // it reads only
	check(":1\r\n", "eval", "#!lua flags=no-writes\nreturn 1", "0") // neither does this
	check("+OK\r\n", "client", "unpause")
	if got := other.reply() + other.reply(); got != "+OK\r\n$1\r\n1\r\n" {
		t.Errorf("%q", got)
	}
	waitFor(t, "the count of who is paused", func() bool { return front.blocked.clients.Load() == 0 })
	// All commands, and the end of time. A pause begins behind its transaction.
	began := time.Now()
	check("+OK\r\n", "multi")
	check("+QUEUED\r\n", "client", "pause", "100")
	check("+QUEUED\r\n", "set", "a", "2")
	check("*2\r\n+OK\r\n+OK\r\n", "exec")
	check("+PONG\r\n", "ping")
	if d := time.Since(began); d < 100*time.Millisecond {
		t.Errorf("answered after %v", d)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	addr, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	c, m := dial(t, addr), dial(t, addr)
	if got := m.do("monitor"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	c.do("config", "set", "slowlog-log-slower-than", "0")
	m.reply()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"auth", "word"}, `"auth" "(redacted)"`},
		{[]string{"auth", "me", "word"}, `"auth" "(redacted)" "(redacted)"`},
		{[]string{"hello", "2", "AUTH", "me", "word", "SETNAME", "x"}, `"hello" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "x"`},
		{[]string{"config", "set", "hz", "10", "requirepass", "word"}, `"config" "set" "hz" "10" "requirepass" "(redacted)"`},
	} {
		c.do(tc.args...)
		if got := m.reply(); !strings.Contains(got, tc.want) || strings.Contains(got, "word") {
			t.Errorf("%q is shown as %q", tc.args, got)
		}
	}
	if got := c.do("slowlog", "get", "-1"); strings.Contains(got, "word") || !strings.Contains(got, "(redacted)") {
		t.Errorf("%q", got)
	}
}

func TestMonitorShowsScripts(t *testing.T) {
	addr, _ := serveFake(t, newFake(t, fakeLoop, 3), Limits{})
	c, m := dial(t, addr), dial(t, addr)
	m.do("monitor")
	check := checker(t, c)
	check("$1\r\n2\r\n", "eval", "redis.call('set', KEYS[1], 1) redis.call('set', KEYS[2], 2) return redis.call('get', KEYS[2])", "2", "a", "b") // over two partitions
	if got := m.reply(); !strings.Contains(got, `"eval"`) {
		t.Errorf("%q", got)
	}
	if got := m.reply(); !strings.Contains(got, `[0 lua] "set" "a" "1"`) {
		t.Errorf("%q", got)
	}
}
