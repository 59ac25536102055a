package redisfront

import (
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"coterie/internal/datatype/redistest"
	"coterie/internal/resp"
)

// What job queues and caches of several languages say all day: their commands and
// scripts in shape, over keys without hash tags that lie in several partitions. Where
// redis-server is installed the expectations are tested on it, too.

// exchange is one command of one of two connections. With no command it takes an answer
// that was not waited for; with want "…" it does not wait.
type exchange struct {
	conn int
	args []string
	want string
}

// later marks an answer that a further step takes.
const later = "…"

// by makes the steps of a connection.
func by(conn int) func(want string, args ...string) exchange {
	return func(want string, args ...string) exchange { return exchange{conn, args, want} }
}

// bulkList is a reply of strings.
func bulkList(words ...string) string {
	w := resp.Writer{Proto: 2}
	w.Array(len(words))
	for _, x := range words {
		w.BulkString(x)
	}
	return string(w.Buf)
}

func bulk(word string) string { return strings.TrimPrefix(bulkList(word), "*1\r\n") }

func sum(script string) string {
	s := sha1.Sum([]byte(script))
	return hex.EncodeToString(s[:])
}

const (
	saysOK   = "+OK\r\n"
	saysNone = "$-1\r\n"
	saysOne  = ":1\r\n"
)

// batch is a MULTI of commands, with EXEC's reply.
func batch(conn int, want string, cmds ...string) []exchange {
	say := by(conn)
	steps := []exchange{say(saysOK, "MULTI")}
	for _, c := range cmds {
		steps = append(steps, say("+QUEUED\r\n", strings.Fields(c)...))
	}
	return append(steps, say(want, "EXEC"))
}

// perform runs the steps at an address.
func perform(t *testing.T, addr string, steps []exchange) {
	t.Helper()
	conns := []*rawClient{dial(t, addr), dial(t, addr)}
	for i, s := range steps {
		c := conns[s.conn]
		if len(s.args) > 0 {
			c.send(string(resp.AppendCommand(nil, s.args...)))
		}
		if s.want == later {
			continue
		}
		if got := c.reply(); got != s.want {
			t.Fatalf("step %d, %q:\n got %q\nwant %q", i, s.args, got, s.want)
		}
	}
}

func performEverywhere(t *testing.T, steps []exchange) {
	t.Run("Redis", func(t *testing.T) { perform(t, redistest.Start(t), steps) })
	for mode, name := range map[fakeMode]string{fakeLoop: "3 partitions", fakeDelays: "7 partitions that take their time"} {
		t.Run(name, func(t *testing.T) {
			addr, _ := serveFake(t, newFake(t, mode, 3+4*min(int(mode), 1)), Limits{})
			perform(t, addr, steps)
		})
	}
}

// TestLikeSidekiq: lists that several are waited for, sorted sets of what is due or
// failed, processes that say what they do.
func TestLikeSidekiq(t *testing.T) {
	a, b := by(0), by(1)
	const due = `local found = redis.call('zrange', KEYS[1], '-inf', ARGV[1], 'byscore', 'limit', 0, 1)
if found[1] then redis.call('zrem', KEYS[1], found[1]) return found[1] end`
	fetch := []string{"BRPOP", "queue:critical", "queue:default", "queue:low", "5"}
	performEverywhere(t, slices.Concat(
		batch(0, "*3\r\n:1\r\n:1\r\n:2\r\n", "SADD queues default", "LPUSH queue:default j1", "LPUSH queue:default j2"),
		[]exchange{
			a(bulkList("queue:default", "j1"), fetch...), a(bulkList("queue:default", "j2"), fetch...),
			a(later, fetch...), b(saysOne, "LPUSH", "queue:low", "j3"), a(bulkList("queue:low", "j3")),
			a(later, fetch...),
		},
		batch(1, "*2\r\n:1\r\n:1\r\n", "SADD queues critical", "LPUSH queue:critical j4"),
		[]exchange{
			a(bulkList("queue:critical", "j4")),
			a(":2\r\n", "ZADD", "schedule", "100", "s1", "200", "s2"),
			a("-NOSCRIPT No matching script. Please use EVAL.\r\n", "EVALSHA", sum(due), "1", "schedule", "150"),
			a(bulk(sum(due)), "SCRIPT", "LOAD", due),
			a(bulk("s1"), "EVALSHA", sum(due), "1", "schedule", "150"), a(saysNone, "EVALSHA", sum(due), "1", "schedule", "150"),
		},
		batch(0, "*5\r\n:1\r\n:0\r\n:3\r\n:1\r\n$-1\r\n", "SADD processes h:1", "EXISTS h:1", "HSET h:1 info {} busy 2 beat 5.5", "EXPIRE h:1 60", "RPOP h:1-signals"),
		batch(0, "*3\r\n:0\r\n:1\r\n:1\r\n", "UNLINK h:1:work", "HSET h:1:work t1 {}", "EXPIRE h:1:work 60"),
		batch(1, "*4\r\n:7\r\n:7\r\n:1\r\n:1\r\n", "INCRBY stat:processed 7", "INCRBY stat:processed:d 7", "EXPIRE stat:processed:d 99", "INCRBY stat:failed 1"),
		[]exchange{
			a("*2\r\n$1\r\n0\r\n"+bulkList("h:1"), "SSCAN", "processes", "0", "COUNT", "10"),
			a(":3\r\n", "ZADD", "retry", "1", "r1", "2", "r2", "3", "r3"),
			a(bulkList("r3", "3", "r2", "2"), "ZRANGE", "retry", "+inf", "-inf", "BYSCORE", "REV", "LIMIT", "0", "2", "WITHSCORES"),
			a(bulkList("r3", "r2"), "ZRANGE", "retry", "0", "1", "REV"),
			a(":2\r\n", "ZREMRANGEBYSCORE", "retry", "-inf", "(3"), a(bulk("4"), "ZINCRBY", "retry", "1", "r3"),
			a(bulkList("7", "1"), "MGET", "stat:processed", "stat:failed"),
		},
		batch(0, "*4\r\n:1\r\n:0\r\n:1\r\n:1\r\n", "SREM processes h:1", "UNLINK h:1-signals", "UNLINK h:1", "UNLINK h:1:work"),
	))
}

// TestLikeCelery: a broker whose consumers wait for several lists, keep what they took
// until it is acknowledged, and give back what others did not; results that are stored
// and told.
func TestLikeCelery(t *testing.T) {
	a, b := by(0), by(1)
	take := []string{"BRPOP", "celery", "celery\x06\x163", "celery\x06\x166", "celery\x06\x169", "5"}
	const release = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end`
	performEverywhere(t, slices.Concat(
		[]exchange{
			a(saysOne, "SADD", "_kombu.binding.celery", "celery\x06\x16\x06\x16celery"), a(bulkList("celery\x06\x16\x06\x16celery"), "SMEMBERS", "_kombu.binding.celery"),
			a(saysOne, "LPUSH", "celery\x06\x166", "m1"), a(saysOne, "LPUSH", "celery", "m2"),
			b(bulkList("celery", "m2"), take...), b(bulkList("celery\x06\x166", "m1"), take...),
			b(later, take...), a(saysOne, "LPUSH", "celery\x06\x169", "m3"), b(bulkList("celery\x06\x169", "m3")),
		},
		batch(1, "*2\r\n:1\r\n:1\r\n", "ZADD unacked_index 10 t1", "HSET unacked t1 m1"),
		batch(1, "*2\r\n:1\r\n:1\r\n", "ZADD unacked_index 20 t2", "HSET unacked t2 m2"),
		batch(1, "*2\r\n:1\r\n:1\r\n", "ZADD unacked_index 30 t3", "HSET unacked t3 m3"),
		batch(1, "*2\r\n:1\r\n:1\r\n", "ZREM unacked_index t2", "HDEL unacked t2"),
		[]exchange{ // who gives back has a lock, and sees if somebody else acknowledges meanwhile
			a(saysOK, "SET", "unacked_mutex", "me", "NX", "EX", "300"), b(saysNone, "SET", "unacked_mutex", "you", "NX", "EX", "300"),
			a(bulkList("t1", "10"), "ZREVRANGEBYSCORE", "unacked_index", "25", "0", "LIMIT", "0", "10", "WITHSCORES"),
			a(saysOK, "WATCH", "unacked"), a(bulk("m1"), "HGET", "unacked", "t1"),
		},
		batch(0, "*3\r\n:1\r\n:1\r\n:1\r\n", "ZREM unacked_index t1", "HDEL unacked t1", "RPUSH celery m1"),
		[]exchange{a(saysOK, "WATCH", "unacked"), a(bulk("m3"), "HGET", "unacked", "t3")},
		batch(1, "*2\r\n:1\r\n:1\r\n", "ZREM unacked_index t3", "HDEL unacked t3"),
		batch(0, "*-1\r\n", "ZREM unacked_index t3", "HDEL unacked t3", "RPUSH celery m3"),
		[]exchange{
			b(":0\r\n", "EVAL", release, "1", "unacked_mutex", "you"), a(saysOne, "EVALSHA", sum(release), "1", "unacked_mutex", "me"),
			a(bulkList("m1"), "LRANGE", "celery", "0", "-1"), a("*0\r\n", "HGETALL", "unacked"),
			// Results: one waits for a task's, and for the parts of a chord.
			b("*3\r\n"+bulk("subscribe")+bulk("celery-task-meta-id-1")+":1\r\n", "SUBSCRIBE", "celery-task-meta-id-1"),
			b("*3\r\n"+bulk("psubscribe")+bulk("/0.celeryev/worker.*")+":2\r\n", "PSUBSCRIBE", "/0.celeryev/worker.*"),
		},
		batch(0, "*2\r\n+OK\r\n:1\r\n", "SETEX celery-task-meta-id-1 86400 done", "PUBLISH celery-task-meta-id-1 done"),
		[]exchange{
			b(bulkList("message", "celery-task-meta-id-1", "done")),
			a(saysOne, "PUBLISH", "/0.celeryev/worker.beat", "x"),
			b(bulkList("pmessage", "/0.celeryev/worker.*", "/0.celeryev/worker.beat", "x")),
		},
		batch(0, "*5\r\n:1\r\n:1\r\n$-1\r\n:1\r\n:0\r\n", "ZADD chord-1.j 0 r0", "ZCOUNT chord-1.j -inf +inf", "GET chord-1.t", "EXPIRE chord-1.j 86400", "EXPIRE chord-1.t 86400"),
		[]exchange{a(bulkList("r0"), "ZRANGE", "chord-1.j", "0", "-1"), a(bulkList("done"), "MGET", "celery-task-meta-id-1")},
	))
}

// TestLikeLaravel: a queue that is all scripts, over keys of three kinds that are in
// different partitions; locks, tags and limiters of a cache.
func TestLikeLaravel(t *testing.T) {
	a, b := by(0), by(1)
	const (
		push = `redis.call('rpush', KEYS[1], ARGV[1]) redis.call('rpush', KEYS[2], 1)`
		pop  = `local job, taken = redis.call('lpop', KEYS[1]), false
if job ~= false then
  taken = cjson.decode(job)
  taken['attempts'] = taken['attempts'] + 1
  taken = cjson.encode(taken)
  redis.call('zadd', KEYS[2], ARGV[1], taken)
  redis.call('lpop', KEYS[3])
end
return {job, taken}`
		giveBack = `redis.call('zrem', KEYS[2], ARGV[1]) redis.call('zadd', KEYS[1], ARGV[2], ARGV[1]) return true`
		migrate  = `local due = redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[1], 'limit', 0, ARGV[2])
if next(due) ~= nil then
  redis.call('zremrangebyrank', KEYS[1], 0, #due - 1)
  for i = 1, #due, 100 do
    redis.call('rpush', KEYS[2], unpack(due, i, math.min(i + 99, #due)))
    for j = i, math.min(i + 99, #due) do redis.call('rpush', KEYS[3], 1) end
  end
end
return due`
		size  = `return redis.call('llen', KEYS[1]) + redis.call('zcard', KEYS[2]) + redis.call('zcard', KEYS[3])`
		clear = `local n = redis.call('llen', KEYS[1]) + redis.call('zcard', KEYS[2]) + redis.call('zcard', KEYS[3])
redis.call('del', KEYS[1], KEYS[2], KEYS[3], KEYS[4]) return n`
		funnel = `for i, taken in pairs(redis.call('mget', unpack(KEYS))) do
  if not taken then redis.call('set', KEYS[i], ARGV[2], 'EX', ARGV[1]) return ARGV[3] .. i end
end`
	)
	const q, delayed, reserved, notify = "queues:default", "queues:default:delayed", "queues:default:reserved", "queues:default:notify"
	var many []string
	for i := range 250 {
		many = append(many, "7", strings.Repeat("m", i+1))
	}
	performEverywhere(t, []exchange{
		a(saysNone, "EVAL", push, "2", q, notify, `{"attempts":0}`),
		a(bulkList(notify, "1"), "BLPOP", notify, "1"),
		a(bulkList(`{"attempts":0}`, `{"attempts":1}`), "EVAL", pop, "3", q, reserved, notify, "50"),
		a("*2\r\n$-1\r\n$-1\r\n", "EVAL", pop, "3", q, reserved, notify, "50"),
		a(saysOne, "EVAL", giveBack, "2", delayed, reserved, `{"attempts":1}`, "60"),
		a("*0\r\n", "EVAL", migrate, "3", delayed, q, notify, "59", "-1"),
		a(saysOne, "EVAL", size, "3", q, delayed, reserved),
		b(later, "BLPOP", notify, "5"),
		a(bulkList(`{"attempts":1}`), "EVAL", migrate, "3", delayed, q, notify, "60", "-1"),
		b(bulkList(notify, "1")),
		a(bulkList(`{"attempts":1}`, `{"attempts":2}`), "EVAL", pop, "3", q, reserved, notify, "90"),
		a(saysOne, "ZREM", reserved, `{"attempts":2}`),
		a(":250\r\n", append([]string{"ZADD", delayed}, many...)...),
		a(":250\r\n", "EVAL", strings.Replace(migrate, "return due", "return #due", 1), "3", delayed, q, notify, "7", "1000"),
		a(":250\r\n", "LLEN", q), a(":250\r\n", "LLEN", notify), a(bulkList("m", "mm"), "LRANGE", q, "0", "1"),
		a(":250\r\n", "EVAL", clear, "4", q, delayed, reserved, notify),
		a(":0\r\n", "EXISTS", q, delayed, reserved, notify),
		// A cache: locks, tags, limiters.
		a(saysOK, "SET", "cache:lock", "me", "EX", "10", "NX"), b(saysNone, "SET", "cache:lock", "you", "EX", "10", "NX"),
		a(saysOK, "SETEX", "cache:x", "60", "i:1;"), a(":2\r\n", "ZADD", "cache:tag:t:entries", "-1", "cache:x", "9", "cache:y"),
		a("*2\r\n$1\r\n0\r\n"+bulkList("cache:x", "-1", "cache:y", "9"), "ZSCAN", "cache:tag:t:entries", "0", "MATCH", "*", "COUNT", "1000"),
		a(saysOne, "ZREMRANGEBYSCORE", "cache:tag:t:entries", "0", "10"),
		a(saysOne, "DEL", "cache:x", "cache:y"),
		a(bulk("slot1"), "EVAL", funnel, "3", "limit:1", "limit:2", "limit:3", "60", "id-a", "slot"),
		a(bulk("slot2"), "EVAL", funnel, "3", "limit:1", "limit:2", "limit:3", "60", "id-b", "slot"),
		a(saysOne, "DEL", "limit:1"),
		a(bulk("slot1"), "EVAL", funnel, "3", "limit:1", "limit:2", "limit:3", "60", "id-c", "slot"),
		a(bulk("slot3"), "EVAL", funnel, "3", "limit:1", "limit:2", "limit:3", "60", "id-d", "slot"),
		a(saysNone, "EVAL", funnel, "3", "limit:1", "limit:2", "limit:3", "60", "id-e", "slot"),
		a(saysOne, "INCR", "throttle"), a(saysOne, "EXPIRE", "throttle", "60"),
	})
}
