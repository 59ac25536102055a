package redisfront

import (
	"fmt"
	"strings"
	"testing"
)

// TestTransactionsLikeRedis compares two connections' transactions in one
// partition with redis-server's, reply by reply.
func TestTransactionsLikeRedis(t *testing.T) {
	theirs := startRedis(t)
	for _, script := range []string{
		"a MULTI;a SET {k}1 x;a INCR {k}n;a GET {k}1;a EXEC;a GET {k}n",
		"a EXEC;a DISCARD;a MULTI;a MULTI;a WATCH {k};a EXEC",
		"a MULTI;a SET {k}1 y;a DISCARD;a GET {k}1",
		"a MULTI;a FOO;a SET {k}1 y;a EXEC;a GET {k}1;a PING",
		"a MULTI;a GET;a EXEC;a MULTI;a EXEC",
		"a SET {k}s text;a MULTI;a INCR {k}s;a HSET {k}s f v;a SET {k}t 1;a EXEC;a GET {k}t",
		"a MULTI;a PING;a ECHO hello;a SELECT 3;a SET {k}d 3;a GET {k}d;a UNWATCH;a EXEC;a GET {k}d;a SELECT 0;a GET {k}d",
		"a SET {k}w 1;a WATCH {k}w;a MULTI;a INCR {k}w;a EXEC;a GET {k}w",
		"a SET {k}w 1;a WATCH {k}w;b SET {k}w 5;a MULTI;a INCR {k}w;a EXEC;a GET {k}w;a MULTI;a INCR {k}w;a EXEC",
		"a SET {k}w 1;a WATCH {k}w;b SET {k}w 5;b SET {k}w 1;a MULTI;a EXEC",
		"a SET {k}w 1;a WATCH {k}w;b GET {k}w;b SET {k}other 1;b SETNX {k}w 2;b DEL {k}none;a MULTI;a INCR {k}w;a EXEC",
		"a WATCH {k}none;b SET {k}none 1;a MULTI;a EXEC;b DEL {k}none",
		"a SET {k}w 1;a WATCH {k}w;a SET {k}w 2;a MULTI;a GET {k}w;a EXEC",
		"a SET {k}w 1;a WATCH {k}w;b DEL {k}w;a UNWATCH;a MULTI;a SET {k}w 3;a EXEC",
		"a SET {k}w 1;a WATCH {k}w;b SET {k}w 2;a MULTI;a DISCARD;a MULTI;a GET {k}w;a EXEC",
		"a SET {k}w 1;a WATCH {k}w {k}v;b SELECT 1;b SET {k}w 2;a MULTI;a GET {k}w;a EXEC;b SELECT 0;b DEL {k}w",
		"a HSET {k}h f 1;a WATCH {k}h;b HSET {k}h f 2;a MULTI;a HGETALL {k}h;a EXEC",
		"a SET {k}w 1;a WATCH {k}w;b FLUSHALL;a MULTI;a GET {k}w;a EXEC",
		"a SET {k}w 1;a WATCH {k}w;b RENAME {k}w {k}v;a MULTI;a EXEC",
		"a SET {k}w 1 PX 1;a PTTL {k}none;a MULTI;a SET {k}x 1;a EXPIRE {k}x 100;a PERSIST {k}x;a EXEC",
		"a MULTI;a SET {k}1 1;a RESET;a EXEC",
	} {
		t.Run(script, func(t *testing.T) {
			ours, _ := serveFake(t, newFake(t, fakeLoop, 5), Limits{})
			for _, proto := range []string{"2", "3"} {
				flush := dial(t, theirs)
				flush.do("FLUSHALL")
				conns := map[string][2]*rawClient{}
				for _, line := range strings.Split(script, ";") {
					name, cmd, _ := strings.Cut(line, " ")
					c, ok := conns[name]
					if !ok {
						c = [2]*rawClient{dial(t, ours), dial(t, theirs)}
						conns[name] = c
						for _, x := range c {
							x.do("HELLO", proto)
						}
					}
					var replies [2]string
					for i, x := range c {
						x.send(cmd + "\r\n")
						replies[i] = x.reply()
					}
					if replies[0] != replies[1] {
						t.Errorf("RESP%s %s:\n got %q\nwant %q", proto, line, replies[0], replies[1])
					}
				}
				clean := dial(t, ours)
				clean.do("FLUSHALL")
			}
		})
	}
}

// TestTransactionOverPartitions: it is refused as a whole, and changes nothing.
func TestTransactionOverPartitions(t *testing.T) {
	ours, _ := serveFake(t, newFake(t, fakeLoop, 5), Limits{})
	c := dial(t, ours)
	var keys []string // in different partitions
	for i := range 2 {
		keys = append(keys, fmt.Sprintf("key:%d", i*7))
	}
	c.do("MULTI")
	for _, k := range keys {
		if got := c.do("SET", k, "1"); got != "+QUEUED\r\n" {
			t.Fatal(got)
		}
	}
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-CROSSSLOT") {
		t.Errorf("EXEC: %q", got)
	}
	for _, k := range keys {
		if got := c.do("GET", k); got != "$-1\r\n" {
			t.Errorf("GET %s: %q", k, got)
		}
	}
	c.do("MULTI")
	if got := c.do("DBSIZE"); !strings.HasPrefix(got, "-ERR") {
		t.Errorf("DBSIZE: %q", got)
	}
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT") {
		t.Errorf("EXEC: %q", got)
	}
}
