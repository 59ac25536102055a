package redisfront

import (
	"coterie/internal/datatype/redistest"
	"slices"
	"strings"
	"testing"
)

// eventLines are commands with events. A line that begins with "-" only
// prepares: its events are not compared.
var eventLines = strings.Split(strings.TrimSpace(`
SET s 1
SET s 2
SET s 3 EX 100
SET s 4 NX
SET s 5 XX KEEPTTL
SET s 5 GET
GET s
GET nosuch
EXISTS nosuch s
TTL nosuch
TYPE nosuch
SETNX s 1
SETNX s2 1
GETSET s 2
SETEX s 100 3
PSETEX s 100000 3
SETRANGE s 5 x
SETRANGE s 5 ""
SETRANGE nosuch 0 ""
APPEND s x
APPEND s ""
APPEND new x
MSET a 1 b 2
MSETNX a 1 c 2
MSETNX d 1 e 2
GETDEL a
GETDEL nosuch
GETEX b
GETEX b EX 100
GETEX b PERSIST
GETEX b PERSIST
GETEX b PXAT 1
INCR n
INCRBY n 5
DECR n
DECRBY n 2
INCRBYFLOAT n 1.5
INCR s
SUBSTR s 0 1
SETBIT bit 5 1
SETBIT bit 5 1
BITFIELD bit SET u8 0 5 INCRBY u8 8 1
BITFIELD bit GET u8 0
BITFIELD bit INCRBY u8 0 255 OVERFLOW FAIL INCRBY u8 0 255
BITOP AND {s}x {s}a {s}b
SET {s}a abc
BITOP OR {s}x {s}a {s}b
BITOP AND {s}x {s}nosuch {s}other
HSET h a 1 b 2
HSET h a 1
HMSET h a 1 c 3
HSETNX h a 1
HSETNX h d 1
HINCRBY h a 1
HINCRBYFLOAT h a 1.5
HDEL h nosuch
HDEL h a b
HDEL h c d
HDEL h a
HGET h a
DEL nosuch
DEL s bit
UNLINK n s2
SET s 1
EXPIRE s 100
EXPIRE nosuch 100
EXPIRE s 50 GT
PEXPIRE s 100000
EXPIREAT s 9999999999
PEXPIREAT s 9999999999000
PERSIST s
PERSIST s
EXPIRE s -1
SET s 1
PEXPIREAT s 1
SET {t}a 1
RENAME {t}a {t}b
RENAMENX {t}b {t}c
SET {t}d 1
RENAMENX {t}c {t}d
RENAME {t}c {t}d
COPY {t}d {t}e
COPY {t}d {t}e
COPY {t}d {t}e REPLACE
TOUCH {t}d
FLUSHALL
RPUSH l a b c
LPUSH l x
LPUSHX nosuch x
RPUSHX l y
LINSERT l BEFORE a z
LINSERT l BEFORE nosuch z
LSET l 0 q
LREM l 0 nosuch
LREM l 0 q
LTRIM l 0 2
LPOP l
RPOP l 1
LPOP nosuch
RPOP l 10
RPUSH {l}a 1 2 3
LMOVE {l}a {l}b LEFT RIGHT
RPOPLPUSH {l}a {l}b
LMOVE {l}b {l}b LEFT RIGHT
LMPOP 1 {l}a LEFT COUNT 10
LTRIM {l}b 5 6
RPUSH {l}a 1
BLPOP {l}a 1
RPUSH {l}a 1 2
BRPOP {l}a 1
BLMOVE {l}a {l}b LEFT LEFT 1
SADD x a b c
SADD x a
SREM x nosuch
SREM x a
SPOP x
SPOP x 5
SADD {x}a 1 2 3
SADD {x}b 2 3 4
SMOVE {x}a {x}b 1
SMOVE {x}a {x}b nosuch
SINTERSTORE {x}c {x}a {x}b
SUNIONSTORE {x}c {x}a {x}b
SDIFFSTORE {x}c {x}a {x}b
SDIFFSTORE {x}nosuch {x}a {x}b
SREM {x}a 2 3
ZADD z 1 a 2 b 3 c
ZADD z 1 a
ZADD z 5 a
ZADD z INCR 1 a
ZINCRBY z 1 a
ZREM z nosuch
ZREM z a
ZADD z 1 a 2 b 3 c 4 d 5 e
ZREMRANGEBYSCORE z 5 5
ZREMRANGEBYSCORE z 50 60
ZREMRANGEBYRANK z 0 0
ZADD z 2 b
ZPOPMIN z
ZPOPMAX z
ZPOPMIN nosuch
ZADD {z}a 1 a 1 b 1 c
ZREMRANGEBYLEX {z}a [a [a
ZADD {z}b 1 b
ZUNIONSTORE {z}c 2 {z}a {z}b
ZINTERSTORE {z}c 2 {z}a {z}b
ZDIFFSTORE {z}c 2 {z}a {z}b
ZDIFFSTORE {z}c 2 {z}b {z}a
ZRANGESTORE {z}d {z}a 0 -1
ZRANGESTORE {z}d {z}nosuch 0 -1
ZMPOP 1 {z}a MIN
BZPOPMIN {z}a 1
BZPOPMAX {z}b 1
GEOADD {g}g 13 38 a 15 37 b
GEOADD {g}g 13 38 a
GEOSEARCHSTORE {g}s {g}g FROMLONLAT 14 37 BYRADIUS 300 km
GEOSEARCHSTORE {g}s {g}g FROMLONLAT 0 0 BYRADIUS 1 km
GEORADIUS {g}g 14 37 300 km STORE {g}r
PFADD {p}a 1 2 3
PFADD {p}a 1
PFADD {p}b 4
PFMERGE {p}c {p}a {p}b
PFCOUNT {p}a
XADD st 1-1 a 1
XADD st 2-1 a 1
XADD st NOMKSTREAM 3-1 a 1
XADD nosuch NOMKSTREAM 3-1 a 1
XADD st MAXLEN 2 4-1 a 1
XTRIM st MAXLEN 1
XTRIM st MAXLEN 1
XGROUP CREATE st g 0
XGROUP CREATECONSUMER st g c
XGROUP CREATECONSUMER st g c
XREADGROUP GROUP g d COUNT 1 STREAMS st >
XGROUP SETID st g 0
XCLAIM st g e 0 4-1
XAUTOCLAIM st g f 0 0
XGROUP DELCONSUMER st g nosuch
XGROUP DELCONSUMER st g c
XGROUP DESTROY st g
XGROUP DESTROY st g
XGROUP CREATE st2 g $ MKSTREAM
XDEL st 99-9
XDEL st 4-1
XSETID st 50-1
SORT {l}b STORE {l}s
SORT {l}nosuch STORE {l}s
SET e 1 PX 1
GET e
HSET h a 1
SET m 1
MOVE m 4
MOVE m 4
COPY h h DB 5
SWAPDB 4 5
HPEXPIRE h 100000 FIELDS 1 a
`), "\n")

// TestEventsLikeRedis compares the events of commands with those of
// redis-server, one by one.
func TestEventsLikeRedis(t *testing.T) {
	theirs := redistest.Start(t)
	ours, _ := serveFake(t, newFake(t, fakeLoop, 1), Limits{})
	type side struct{ cmd, sub *rawClient }
	var sides [2]side
	for i, addr := range []string{ours, theirs} {
		sides[i] = side{dial(t, addr), dial(t, addr)}
		if got := sides[i].cmd.do("CONFIG", "SET", "notify-keyspace-events", "KEAnm"); got != "+OK\r\n" {
			t.Fatal(got)
		}
		sides[i].cmd.do("SELECT", "3")
		sides[i].sub.do("PSUBSCRIBE", "*")
	}
	reads := map[string]bool{"GET": true, "EXISTS": true, "TTL": true, "TYPE": true, "HGET": true, "PFCOUNT": true}
	for _, line := range eventLines {
		var replies [2]string
		var events [2][]string
		for i, s := range sides {
			s.cmd.send(line + "\r\n")
			replies[i] = s.cmd.reply()
			s.cmd.do("PUBLISH", "end", "")
			for {
				msg := s.sub.reply()
				if strings.Contains(msg, "\r\nend\r\n") {
					break
				}
				events[i] = append(events[i], strings.ReplaceAll(strings.TrimPrefix(msg, "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n"), "\r\n", " "))
			}
		}
		if strings.HasPrefix(replies[0], "-ERR unknown") || strings.HasPrefix(replies[1], "-ERR unknown") {
			continue
		}
		if replies[0] != replies[1] && !strings.HasPrefix(line, "SPOP") {
			t.Errorf("%s: %q, of redis-server %q", line, replies[0], replies[1])
		}
		if !reads[strings.Fields(line)[0]] { // Redis looks some keys up as if it only read them
			for i := range events {
				events[i] = slices.DeleteFunc(events[i], func(e string) bool { return strings.Contains(e, "keymiss") })
			}
		}
		if got, want := strings.Join(events[0], "\n"), strings.Join(events[1], "\n"); got != want {
			t.Errorf("%s\nhas the events\n%s\nof redis-server\n%s", line, got, want)
		}
	}
}

// TestEventsSetting: what CONFIG GET shows, and what CONFIG SET refuses.
func TestEventsSetting(t *testing.T) {
	theirs := redistest.Start(t)
	ours, _ := serveFake(t, newFake(t, fakeLoop, 1), Limits{})
	a, b := dial(t, ours), dial(t, theirs)
	for _, value := range []string{"", "gKE", "$lshzxeKE", "KA", "EA", "KEAnm", "tdKEm", "n", "q", "KEQ", "Ex", "ng", ""} {
		if got, want := a.do("CONFIG", "SET", "notify-keyspace-events", value), b.do("CONFIG", "SET", "notify-keyspace-events", value); got != want {
			t.Errorf("set %q: %q, of redis-server %q", value, got, want)
		}
		if got, want := a.do("CONFIG", "GET", "notify-keyspace-events"), b.do("CONFIG", "GET", "notify-keyspace-events"); got != want {
			t.Errorf("get %q: %q, of redis-server %q", value, got, want)
		}
	}
}
