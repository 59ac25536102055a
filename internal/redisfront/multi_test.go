package redisfront

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/datatype/redistest"
	"coterie/internal/partition"
	"coterie/internal/txn"
)

// whoever is what replies to HELLO do not have in common.
var whoever = regexp.MustCompile(`(version\r\n)\$\d+\r\n[\d.]+|(id\r\n):\d+`)

// TestTransactionsLikeRedis compares two connections' transactions with
// redis-server's, reply by reply.
func TestTransactionsLikeRedis(t *testing.T) {
	theirs := redistest.Start(t)
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
		// What concerns the connection alone is done if the rest is.
		"a SET {k}w 1;a WATCH {k}w;b SET {k}w 2;a MULTI;a SELECT 3;a CLIENT SETNAME x;a GET {k}w;a SELECT 4;a EXEC;a GET {k}w;a CLIENT GETNAME;a SET {k}w 5;b GET {k}w",
		"a SET {k}w 1;a WATCH {k}w;a MULTI;a SELECT 3;a CLIENT SETNAME x;a SET {k}w 3;a SELECT 99;a GET {k}w;a SELECT 4;a GET {k}w;a PING;a EXEC;a SET {k}w 4;a CLIENT GETNAME;a SELECT 3;a GET {k}w;b GET {k}w",
		"a MSET a 1 b 2;a WATCH a b;b SET b 7;a MULTI;a SELECT 3;a CLIENT SETNAME x;a INCR a;a INCR b;a EXEC;a MGET a b;a CLIENT GETNAME;a MULTI;a INCR a;a INCR b;a EXEC",
		"a MSET a 1 b 2;a WATCH a b;a MULTI;a SELECT 3;a CLIENT SETNAME x;a INCR a;a SELECT 2;a INCR b;a EXEC;a GET b;a CLIENT GETNAME;a SELECT 3;a GET a;b MGET a b",
		"a WATCH a;b SET a 7;a MULTI;a SELECT 3;a PING;a EXEC;a GET a;a MULTI;a SELECT 3;a PING;a EXEC;a GET a",
		"a MULTI;a SELECT 3;a RENAME a b;a SET a 1;a RENAME a b;a EXEC;a GET b;a SELECT 0;a GET b",
		"a SET a 1;a WATCH a;b SET a 2;a MULTI;a SELECT 3;a RENAME a b;a EXEC;a GET a",
		"a MULTI;a CLIENT SETNAME y;a CLIENT GETNAME;a CONFIG SET maxmemory-samples 7;a CONFIG GET maxmemory-samples;a SELECT x;a EXEC;a CLIENT GETNAME",
		"a MULTI;a SCRIPT LOAD 'return 1';a EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0;a EXEC",
		// HELLO is for the replies behind it.
		"a MULTI;a HSET h f 1;a HGETALL h;a HELLO 3;a HGETALL h;a HELLO 4;a HGETALL h;a HELLO 2;a HGETALL h;a EXEC;a HGETALL h",
		"a MULTI;a HSET h f 1;a HSET g f 1;a HELLO 3;a HGETALL h;a HGETALL g;a MGET h none;a EXEC;a HGETALL h",
		"a MULTI;a HSET h f 1;a RENAME h g;a HELLO 3;a HGETALL g;a EVAL 'return redis.call(\"hgetall\", KEYS[1])' 1 g;a HELLO 2 SETNAME z;a HGETALL g;a CLIENT GETNAME;a EXEC",
		"a WATCH h;b HSET h f 1;a MULTI;a HELLO 2;a HGETALL h;a EXEC;a HGETALL h",
		"a WATCH h;b HSET h f 1;a MULTI;a HELLO 3;a HGETALL h;a EXEC;a HGETALL h",
		"a MULTI;a HELLO 3;a HELLO;a EXEC;a HGETALL h",
		"a SET {k}w 1 PX 1;a PTTL {k}none;a MULTI;a SET {k}x 1;a EXPIRE {k}x 100;a PERSIST {k}x;a EXEC",
		"a MULTI;a SET {k}1 1;a RESET;a EXEC",
		// Keys of several partitions.
		"a MULTI;a SET a 1;a SET b 2;a INCR c;a GET a;a PING;a GET b;a EXEC;a GET a;a GET b;a GET c",
		"a MSET a 1 b 2 c 3 d 4;a MULTI;a MGET d b none a;a DEL a b none;a EXISTS a b c d;a MSET e 5 f 6;a EXEC;a MGET a b c d e f",
		"a MSET a 1 b 2 c 3 a 4;a MGET a b c;a DEL a b x c;a UNLINK a b;a MSET a 1 b;a MSET a 1 b 2 c;a EXISTS a b c",
		"a SET a text;a MULTI;a INCR a;a INCR b;a HSET a f v;a HSET c f v;a EXEC;a GET b;a HGETALL c",
		"a MULTI;a MSET a 1 b;a SET c 1;a EXEC;a GET c",
		"a MULTI;a SET a 1;a SELECT 3;a SET b 3;a MSET c 1 d 2;a EXEC;a GET a;a GET b;a SELECT 0;a GET a;a MGET b c d",
		"a MSET a 1 b 2;a WATCH a b c;a MULTI;a INCR a;a INCR b;a EXEC;a MGET a b",
		"a MSET a 1 b 2;a WATCH a b;b SET b 7;a MULTI;a INCR a;a INCR b;a EXEC;a MGET a b;a MULTI;a INCR a;a INCR b;a EXEC",
		"a MSET a 1 b 2;a WATCH c;b SET c 7;a MULTI;a INCR a;a EXEC;a GET a",
		"a MSET a 1 b 2;a WATCH c;b SET d 7;a MULTI;a INCR a;a EXEC;a GET a",
		"a MSET a 1 b 2;a WATCH a b c d;b MSET x 1 d 2;a MULTI;a INCR a;a EXEC;a GET a;a WATCH a;b SET b 1;a MULTI;a INCR a;a EXEC",
		"a WATCH a b;a MSET a 1 b 2;a MULTI;a INCR a;a EXEC;a UNWATCH",
		"a WATCH a b;a MULTI;a DISCARD;b SET a 1;a MULTI;a SET c 1;a SET b 1;a EXEC",
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
						replies[i] = whoever.ReplaceAllString(x.reply(), "$1")
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

// TestWholeDatabaseInTransaction: commands about a whole database among others,
// and what cannot be divided.
func TestWholeDatabaseInTransaction(t *testing.T) {
	ours, _ := serveFake(t, newFake(t, fakeLoop, 5), Limits{})
	c := dial(t, ours)
	for _, tc := range []struct{ cmds, want string }{
		{"SET a 1;SET b 2;DBSIZE;FLUSHALL;DBSIZE;SET c 3;KEYS *", "*7 +OK +OK :2 +OK :0 +OK *1 $1 c"},
		{"RANDOMKEY;SCAN 0 COUNT 1000;FLUSHDB", "*3 $1 c *2 $9 SCANNED"},
		{"DBSIZE", "*1 :0"},
		{"MSETNX a 1 b 2;RENAME a b;GET b", "*3 :1 +OK $1 1"},
		{"MSETNX a 1 b 2;DBSIZE;RENAME x y", "-ERR a command about a whole database"},
		{"SET x 1;FLUSHALL now", "-EXECABORT"},
	} {
		c.do("MULTI")
		for _, cmd := range strings.Split(tc.cmds, ";") {
			c.do(strings.Fields(cmd)...)
		}
		got := strings.Join(strings.Fields(c.do("EXEC")), " ")
		if want, _, cursor := strings.Cut(tc.want, " $9"); !strings.HasPrefix(got, want) || !cursor && strings.HasPrefix(want, "*") && got != want {
			t.Errorf("%s: %s, want %s", tc.cmds, got, tc.want)
		}
	}
}

// TestTransactionsInPipelines: what comes behind a transaction over partitions
// waits for it, and replies keep their order.
func TestTransactionsInPipelines(t *testing.T) {
	for _, mode := range []fakeMode{fakeLoop, fakeSync, fakeDelays} {
		ours, _ := serveFake(t, newFake(t, mode, 5), Limits{Pending: 4})
		c := dial(t, ours)
		var send, want strings.Builder
		for i := range 200 {
			fmt.Fprintf(&send, "SET a %d\r\nMSET a %[1]d-a b %[1]d-b\r\nPING\r\nGET a\r\nMULTI\r\nMGET a b\r\nSET c %[1]d\r\nEXEC\r\nGET b\r\nGET c\r\nPING\r\n", i)
			a, b, n := fmt.Sprintf("%d-a", i), fmt.Sprintf("%d-b", i), fmt.Sprint(i)
			bulk := func(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
			want.WriteString("+OK\r\n+OK\r\n+PONG\r\n" + bulk(a) + "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*2\r\n" + bulk(a) + bulk(b) + "+OK\r\n" + bulk(b) + bulk(n) + "+PONG\r\n")
		}
		go c.send(send.String())
		var got strings.Builder
		for got.Len() < want.Len() {
			got.WriteString(c.reply())
		}
		if got.String() != want.String() {
			t.Errorf("mode %d: replies differ", mode)
		}
	}
}

// refusing is a router whose transactions come to nothing.
type refusing struct {
	*fakeRouter
	unwatched chan bool
}

func (r *refusing) Transact(t *txn.Transaction) {
	t.Status, t.Reply = partition.NotRun, []byte("-CLUSTERDOWN none\r\n")
	go func() {
		t.Sink.CompleteTxn(t)
		r.front.Flush()
	}()
}

func (r *refusing) Submit(reqs []*partition.Request) {
	for _, q := range reqs {
		if q.Flags&(partition.Group|partition.Whole) == partition.Group|partition.Whole {
			r.unwatched <- true
		}
	}
	r.fakeRouter.Submit(reqs)
}

// TestTransactionNotRun: the client is told, and nothing stays watched.
func TestTransactionNotRun(t *testing.T) {
	r := &refusing{newFake(t, fakeLoop, 5), make(chan bool, 10)}
	r.front = New(Options{Router: r, Broker: newBroker(t), Table: fakeTable(), Version: "test"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.front.Serve(l, Standalone) }()
	c := dial(t, l.Addr().String())
	c.do("WATCH", "a", "b")
	c.do("MULTI")
	c.do("SET", "a", "1")
	if got := c.do("EXEC"); got != "-CLUSTERDOWN none\r\n" {
		t.Errorf("EXEC: %q", got)
	}
	if got := c.do("MSET", "a", "1", "b", "2"); got != "-CLUSTERDOWN none\r\n" {
		t.Errorf("MSET: %q", got)
	}
	for range 2 {
		<-r.unwatched
	}
}

// TestTransactionsOfClusterClients: a client is sent to the leader of the first
// key; if keys of several slots are allowed, the others may be anywhere.
func TestTransactionsOfClusterClients(t *testing.T) {
	nodes := []Node{{ID: 1, Name: fakeName(1), Cluster: "h1:1", Alive: true}, {ID: 2, Name: fakeName(2), Cluster: "h2:1", Alive: true}}
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%v", strict), func(t *testing.T) {
			r := newFake(t, fakeLoop, 4, nodes...)
			r.crossSlot = !strict
			_, addr := serveFake(t, r, Limits{})
			c := dial(t, addr)
			led := map[base.NodeID][]string{}
			for i := range 100 {
				key := fmt.Sprintf("key:%d", i)
				leader := r.Directory().BySlot(base.KeySlot([]byte(key))).Leader
				led[leader] = append(led[leader], key)
			}
			here, there := led[1], led[2]
			want := func(prefix string, args ...string) {
				t.Helper()
				if got := c.do(args...); !strings.HasPrefix(got, prefix) {
					t.Errorf("%s: %q, want %s", args, got, prefix)
				}
			}
			ifStrict := func(text, otherwise string) string {
				if strict {
					return text
				}
				return otherwise
			}
			want("-MOVED", "SET", there[0], "1")
			want("-MOVED", "MSET", there[0], "1", there[0], "2")
			want(ifStrict("-CROSSSLOT", "+OK"), "MSET", here[0], "1", there[1], "2")
			want(ifStrict("-CROSSSLOT", "+OK"), "RENAME", here[0], there[2])
			want(ifStrict("-CROSSSLOT", "-MOVED"), "MSET", there[0], "1", here[1], "2")
			want("+OK", "MULTI")
			want("+QUEUED", "SET", here[0], "1")
			want(ifStrict("-CROSSSLOT", "+QUEUED"), "SET", here[1], "1")
			want(ifStrict("-MOVED", "+QUEUED"), "SET", there[0], "1")
			want(ifStrict("-EXECABORT", "*3\r\n+OK\r\n+OK"), "EXEC")
			want("+OK", "MULTI")
			want("-MOVED", "SET", there[0], "1")
			want("-EXECABORT", "EXEC")
		})
	}
}
