package workload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestSound: what a sound server answers is accepted, whatever the clients see
// of it.
func TestSound(t *testing.T) {
	for _, k := range Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			for seed := range uint64(30) {
				h := simulate(k, seed, sound, 400)
				r := k.Judge(h)
				for _, v := range r.Violations {
					t.Errorf("seed %d: %v", seed, v)
				}
				if r.Checked < 400 || r.Inconclusive > 0 {
					t.Errorf("seed %d: %d checked, %d inconclusive", seed, r.Checked, r.Inconclusive)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// TestFlaws: a checker that accepts everything is no checker.
func TestFlaws(t *testing.T) {
	for _, x := range []struct {
		flaw  flaw
		name  string
		kinds string
	}{
		{loses, "an acknowledged write is lost", "register, hash, order, adds, expiry, scan"},
		{doubles, "a write is applied twice", "register, hash, order, adds"},
		{stale, "a read of an older state", "register, hash, adds, expiry, scan"},
		{runsRefused, "a refused write is run all the same", "register, hash, order, adds, scan"},
		{overtakes, "commands overtake each other", "order"},
		{revives, "an expired key comes back", "expiry"},
		{hastens, "keys expire early", "expiry"},
		{lingers, "keys expire late", "expiry"},
		{timeBack, "time goes backwards", "expiry"},
		{skips, "SCAN passes over keys", "scan"},
		{invents, "SCAN shows what is not there", "scan"},
		{miscounts, "DBSIZE counts wrongly", "scan"},
		{loses, "a transaction is lost", "bank, append, skew"},
		{doubles, "a transaction is applied twice", "bank, append"},
		{runsRefused, "a refused transaction is run all the same", "bank, append, skew"},
		{tears, "a transaction runs in two pieces", "bank, append"},
		{halves, "half of a transaction", "bank, append, skew"},
		{blind, "WATCH is not looked at", "skew"},
		{runsNull, "a transaction that came to nothing is run all the same", "skew"},
		{loses, "a push or a pop is lost", "queue"},
		{doubles, "a push or a pop is applied twice", "queue"},
		{runsRefused, "a refused push or pop is run all the same", "queue"},
		{disorders, "elements change places", "queue"},
		{loses, "a command over pots is lost", "tokens"},
		{doubles, "a command over pots is applied twice", "tokens"},
		{runsRefused, "a refused command is run all the same", "tokens"},
		{tears, "a transaction runs in two pieces", "tokens"},
		{halves, "half of a transaction", "tokens"},
		{loses, "a command on a stream is lost", "stream"},
		{doubles, "a command on a stream is applied twice", "stream"},
		{stale, "a read of an older stream", "stream"},
		{runsRefused, "a refused command is run all the same", "stream"},
		{disorders, "ids go backwards", "stream"},
		{skips, "an entry that was given out is forgotten", "stream"},
		{staleReads, "transactions read an older state", "bank, append, skew"},
		{runsRefused, "a refused write is run all the same", "cache, kept"},
		{stale, "a read of an older value", "cache, kept"},
		{revives, "an evicted key comes back", "cache, kept"},
		{evictsAny, "a key that is to be kept is evicted", "kept"},
		{loses, "an acknowledged write is lost", "cache, kept, fields"},
		{loses, "a push or a pop is lost", "lapse"},
		{runsRefused, "a refused push is run all the same", "lapse"},
		{revives, "an expired list comes back", "lapse"},
		{hastens, "lists expire early", "lapse"},
		{lingers, "lists expire late", "lapse"},
		{revives, "an expired field comes back", "fields"},
		{hastens, "fields expire early", "fields"},
		{lingers, "fields expire late", "fields"},
		{timeBack, "time goes backwards", "fields"},
		{loses, "a message is lost when all is quiet", "pubsub"},
		{doubles, "a message comes twice", "pubsub"},
		{runsRefused, "a message of what was refused", "pubsub"},
		{disorders, "messages change places", "pubsub"},
		{miscounts, "PUBLISH counts wrongly", "pubsub"},
		{halves, "a message of what was not written", "pubsub"},
		{loses, "a script is lost", "script"},
		{doubles, "a script runs twice", "script"},
		{stale, "a script reads an older state", "script"},
		{staleReads, "scripts read an older state", "script"},
		{runsRefused, "a refused script is run all the same", "script"},
		{tears, "a script runs in two pieces", "script"},
		{halves, "half of a script", "script"},
		{rollsBack, "what a script did before it failed is lost", "script"},
		{drawsAgain, "what a script answers is of another run", "script"},
	} {
		for name := range strings.SplitSeq(x.kinds, ", ") {
			t.Run(name+"/"+x.name, func(t *testing.T) {
				k, _ := Find(name)
				found := 0
				const seeds = 12
				for seed := range uint64(seeds) {
					r := k.Judge(simulate(k, seed, x.flaw, 500))
					if len(r.Violations) > 0 {
						if found++; found == 1 {
							t.Logf("seed %d: %.300s", seed, r.Violations[0])
						}
					}
				}
				if found < seeds/4 {
					t.Errorf("found with %d of %d seeds", found, seeds)
				}
			})
		}
	}
}

// history reads a history from lines such as "1 10-20 SET k 5 = +OK": client,
// call, return, command, and the reply, "unknown" or "refused". A word behind
// '$' is a bulk string, '*' an array of the words behind it, "null" an EXEC that came to nothing. The
// commands of a transaction stand between semicolons, its answers in brackets.
func history(t *testing.T, text string) *History {
	t.Helper()
	h := &History{Quiet: true}
	for line := range strings.Lines(text) {
		line, answer, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		words := strings.Fields(line)
		o := &Op{Command: words[2:], Outcome: Done}
		if words[2] == "MULTI" {
			o.Command = append(Command{"MULTI"}, strings.Split(strings.Join(words[3:], " "), " ; ")...)
		}
		if _, err := fmt.Sscanf(words[0]+" "+words[1], "%d %d-%d", &o.ID, &o.Call, &o.Return); err != nil {
			t.Fatal(line, err)
		}
		if words[2] == "EVAL" {
			o.Command[1] = map[string]string{"ticket": ticketBody, "book": bookBody}[words[3]]
		}
		switch {
		case answer == "unknown":
			o.Outcome = Unknown
		case answer == "refused":
			o.Outcome = Refused
		case answer == "$nil":
			o.Reply = []byte(nilReply)
		case answer == "null":
			o.Reply = []byte("*-1\r\n")
		case answer[0] == '[':
			items := strings.Fields(strings.Trim(answer, "[]"))
			nested := 0
			for _, x := range items {
				if n, array := strings.CutPrefix(x, "*"); array {
					size, _ := strconv.Atoi(n)
					nested += size
				}
			}
			o.Reply = fmt.Appendf(nil, "*%d\r\n", len(items)-nested)
			for _, x := range items {
				switch {
				case x == "$nil":
					x = nilReply
				case x[0] == '$':
					x = bulkReply(x[1:])
				default:
					x += "\r\n"
				}
				o.Reply = append(o.Reply, x...)
			}
		case answer[0] == '$':
			o.Reply = []byte(bulkReply(answer[1:]))
		case answer[0] == '*':
			o.Reply = []byte(arrayReply(strings.Fields(answer[1:])))
		default:
			o.Reply = []byte(answer + "\r\n")
		}
		h.Ops = append(h.Ops, o)
	}
	return h
}

// TestHistories: the hardest histories that a correct server can give, and the
// nearest that it cannot.
func TestHistories(t *testing.T) {
	for _, x := range []struct {
		kind, name, text, want string // want is in the violation; empty: accepted
	}{
		{"register", "one after the other", "1 0-10 SET k 1 = +OK\n2 20-30 GET k = $1", ""},
		{"register", "a stale read", "1 0-10 SET k 1 = +OK\n2 20-30 GET k = $nil", "not linearizable"},
		{"register", "a read beside the write", "1 0-25 SET k 1 = +OK\n2 20-30 GET k = $nil", ""},
		{"register", "back and forth", "1 0-100 SET k 1 = +OK\n2 10-20 GET k = $1\n2 30-40 GET k = $nil", "not linearizable"},
		{"register", "an increment counted twice", "1 0-10 INCR k = :1\n2 20-30 GET k = $2", "not linearizable"},
		{"register", "two increments with one answer", "1 0-10 INCR k = :1\n2 0-10 INCR k = :1", "not linearizable"},
		{"register", "unknown, seen late", "1 0-9 INCR k = unknown\n2 20-30 GET k = $nil\n2 40-50 GET k = $1", ""},
		{"register", "unknown, never seen", "1 0-9 INCR k = unknown\n2 20-30 GET k = $nil", ""},
		{"register", "unknown, seen and gone", "1 0-9 INCR k = unknown\n2 20-30 GET k = $1\n2 40-50 GET k = $nil", "not linearizable"},
		{"register", "unknown, twice", "1 0-9 INCR k = unknown\n2 20-30 GET k = $2", "not linearizable"},
		{"register", "never returned, seen", "1 0-0 SET k 7 = unknown\n2 20-30 GET k = $7", ""},
		{"register", "refused, and seen", "1 0-10 SET k 7 = refused\n2 20-30 GET k = $7", "not linearizable"},
		{"register", "both SETNX won", "1 0-1 SETNX k 1 = :1\n1 2-3 SETNX k 2 = :1", "not linearizable"},
		{"register", "taken twice", "1 0-1 SET k 5 = +OK\n1 2-6 GETDEL k = $5\n2 2-6 GETDEL k = $5", "not linearizable"},
		{"register", "a torn append", "1 0-1 SET k ab = +OK\n1 2-3 APPEND k cd = :4\n2 4-5 GET k = $abc", "not linearizable"},
		{"hash", "half of an HSET", "1 0-9 HSET k a 1 b 1 = :2\n2 2-3 HGETALL k = *a 1", "not linearizable"},
		{"hash", "in another order", "1 0-9 HSET k a 1 b 2 = :2\n2 12-13 HGETALL k = *b 2 a 1", ""},
		{"hash", "a field that came back", "1 0-1 HSET k a 1 = :1\n1 2-3 HDEL k a = :1\n2 4-5 HLEN k = :1", "not linearizable"},
		{"order", "in order", "1 0-9 SET o 1 GET = $nil\n1 1-10 SET o 2 GET = $1", ""},
		{"order", "an unknown one passed over", "1 0-9 SET o 1 GET = unknown\n1 1-10 SET o 2 GET = $nil", ""},
		{"order", "overtaken", "1 0-9 SET o 1 GET = $2\n1 1-10 SET o 2 GET = $nil", "out of order"},
		{"order", "lost", "1 0-9 SET o 1 GET = $nil\n1 11-20 SET o 2 GET = $nil", "lost or out of order"},
		{"order", "refused and found", "1 0-9 SET o 1 GET = refused\n1 11-20 SET o 2 GET = $1", "refused"},
		{"order", "lost at last", "1 0-9 SET o 1 GET = $nil\n2 11-20 GET o = $nil", "lost"},
		{"adds", "added once", "1 0-9 HSETNX s w000001 1 = :1\n2 10-19 HKEYS s = *w000001", ""},
		{"adds", "added before", "1 0-9 HSETNX s w000001 1 = :0", "already"},
		{"adds", "unknown, there or not", "1 0-9 HSETNX s w000001 1 = unknown\n2 10-19 HLEN s = :0\n2 20-29 HLEN s = :1", ""},
		{"adds", "lost", "1 0-9 HSETNX s w000001 1 = :1\n2 10-19 HKEYS s = *", "lost"},
		{"adds", "twice in a list", "1 0-9 APPEND l 0000001, = :8\n2 10-19 GET l = $0000001,0000001,", "twice"},
		{"adds", "two at one place", "1 0-9 APPEND l 0000001, = :8\n2 0-9 APPEND l 0000002, = :8", "two words at place 0"},
		{"adds", "in a wrong order", "1 0-9 APPEND l 0000001, = :8\n2 10-19 APPEND l 0000002, = :16\n1 30-39 GET l = $0000002,0000001,", "not what was appended"},
		{"adds", "refused and there", "1 0-9 APPEND l 0000001, = refused\n2 10-19 GET l = $0000001,", "refused"},
		{"adds", "forked reads", "1 0-90 APPEND l 0000001, = unknown\n2 0-90 APPEND l 0000002, = unknown\n3 91-92 GET l = $0000001,\n3 93-94 GET l = $0000002,0000001,", "neither continues"},
		{"expiry", "gone in time", "1 0-1000 SET e 5 PX 50 = +OK\n2 60000-61000 GET e = $nil", ""},
		{"expiry", "gone early", "1 0-1000 SET e 5 PX 50 = +OK\n2 20000-21000 GET e = $nil", "before its time"},
		{"expiry", "late", "1 0-1000 SET e 5 PX 50 = +OK\n2 90000-91000 GET e = $5", "should have expired"},
		{"expiry", "made longer", "1 0-1000 SET e 5 PX 50 = +OK\n1 2000-3000 PEXPIRE e 90 = :1\n2 90000-91000 GET e = $5", ""},
		{"expiry", "back again", "1 0-1000 SET e 5 PX 50 = +OK\n2 51000-52000 GET e = $nil\n2 52500-52600 PTTL e = :3", "came back"},
		{"expiry", "set again", "1 0-1000 SET e 5 PX 50 = +OK\n2 51000-52000 GET e = $nil\n1 52001-52100 SET e 6 = +OK\n2 52500-52600 PTTL e = :-1", ""},
		{"expiry", "lost", "1 0-1000 SET e 5 = +OK\n2 51000-52000 GET e = $nil", "before its time, or lost"},
		{"expiry", "unknown and gone", "1 0-1000 SET e 5 = unknown\n2 51000-52000 GET e = $nil", ""},
		{"expiry", "written over", "1 0-1000 SET e 5 = +OK\n1 2000-3000 SET e 6 = +OK\n2 4000-5000 GET e = $5", "written over"},
		{"expiry", "time goes back", "1 0-10 SET e 5 PX 900 = +OK\n2 20-30 PEXPIRETIME e = :5000\n1 40-50 SET e 6 PX 900 = +OK\n2 60-70 PEXPIRETIME e = :4990", "that of an earlier one"},
		{"bank", "one transfer", "1 0-9 MULTI DECRBY a 5 ; INCRBY b 5 ; GET a ; GET b = [:-5 :5 $-5 $5]\n2 10-19 MULTI GET a ; GET b = [$-5 $5]", ""},
		{"bank", "half of a transfer", "1 0-9 MULTI DECRBY a 5 ; INCRBY b 5 ; GET a ; GET b = unknown\n2 10-19 MULTI GET a ; GET b = [$-5 $nil]", "the total is -5"},
		{"bank", "a lost transfer", "1 0-9 MULTI DECRBY a 5 ; INCRBY b 5 ; GET a ; GET b = [:-5 :5 $-5 $5]\n2 10-19 MULTI GET a ; GET b = [$nil $nil]", "at least"},
		{"bank", "unknown, or not", "1 0-9 MULTI DECRBY a 5 ; INCRBY b 5 ; GET a ; GET b = unknown\n2 10-19 MULTI GET a ; GET b = [$nil $nil]\n2 20-29 MULTI GET a ; GET b = [$-5 $5]", ""},
		{"append", "one after another", "1 0-9 MULTI APPEND x 0000001, ; APPEND y 0000002, = [:8 :8]\n2 10-19 MULTI GET x ; GET y = [$0000001, $0000002,]", ""},
		{"append", "dirty writes", "1 0-90 MULTI APPEND x 0000001, ; APPEND y 0000002, = unknown\n2 0-90 MULTI APPEND x 0000003, ; APPEND y 0000004, = unknown\n3 91-92 GET x = $0000001,0000003,\n3 93-94 GET y = $0000004,0000002,", "G0"},
		{"append", "an aborted read", "1 0-9 MULTI APPEND x 0000001, = null\n2 10-19 GET x = $0000001,", "G1a"},
		{"append", "an intermediate read", "1 0-9 MULTI APPEND x 0000001, ; APPEND x 0000002, = [:8 :16]\n2 0-19 GET x = $0000001,", "G1b"},
		{"append", "each read the other", "1 0-9 MULTI APPEND x 0000001, ; GET y = [:8 $0000002,]\n2 0-9 MULTI APPEND y 0000002, ; GET x = [:8 $0000001,]", "G1c"},
		{"append", "read skew", "1 0-9 MULTI APPEND x 0000001, ; APPEND y 0000002, = [:8 :8]\n2 0-9 MULTI GET x ; GET y = [$0000001, $nil]\n3 20-29 MULTI GET x ; GET y = [$0000001, $0000002,]", "G-single"},
		{"append", "write skew", "1 0-9 MULTI GET x ; APPEND y 0000001, = [$nil :8]\n2 0-9 MULTI GET y ; APPEND x 0000002, = [$nil :8]\n3 20-29 MULTI GET x ; GET y = [$0000002, $0000001,]", "G2"},
		{"append", "a stale read", "1 0-9 MULTI APPEND x 0000001, = [:8]\n2 10-19 GET x = $nil\n3 20-29 GET x = $0000001,", "G-single, read skew, against real time"},
		{"append", "an old and a new world", "1 0-9 GET x = $0000001,\n1 10-19 MULTI APPEND x 0000001, = [:8]", "against real time"},
		{"append", "half of an unknown one", "1 0-9 MULTI APPEND x 0000001, ; APPEND y 0000002, = unknown\n2 10-19 MULTI GET x ; GET y = [$0000001, $nil]", "G-single"},
		{"append", "unknown, never seen", "1 0-9 MULTI APPEND x 0000001, ; APPEND y 0000002, = unknown\n2 10-19 MULTI GET x ; GET y = [$nil $nil]", ""},
		{"append", "lost", "1 0-9 MULTI APPEND x 0000001, = [:8]\n2 10-19 MULTI GET x = [$nil]", "against real time"},
		{"queue", "pushed and taken", "1 0-9 RPUSH {q}:a 1 = :1\n2 10-19 BLPOP {q}:a {q}:b 1 = *{q}:a 1\n3 30-31 LRANGE {q}:a 0 -1 = *", ""},
		{"queue", "taken twice", "1 0-9 RPUSH {q}:a 1 = :1\n2 10-19 BLPOP {q}:a 1 = *{q}:a 1\n3 10-19 BLPOP {q}:a 1 = *{q}:a 1", "taken twice"},
		{"queue", "never pushed", "2 10-19 BLPOP {q}:a 1 = *{q}:a 1", "never pushed"},
		{"queue", "refused", "1 0-9 RPUSH {q}:a 1 = refused\n2 10-19 BLPOP {q}:a 1 = *{q}:a 1", "refused"},
		{"queue", "later first", "1 0-9 RPUSH {q}:a 1 = :1\n1 10-19 RPUSH {q}:a 2 = :2\n2 20-29 BLPOP {q}:a 1 = *{q}:a 2\n2 30-39 BLPOP {q}:a 1 = *{q}:a 1", "left earlier"},
		{"queue", "both at once", "1 0-9 RPUSH {q}:a 1 = :1\n1 10-19 RPUSH {q}:a 2 = :2\n2 20-29 BLPOP {q}:a 1 = *{q}:a 2\n3 25-39 BLMOVE {q}:a {q}:b LEFT RIGHT 1 = $1", ""},
		{"queue", "waited, and it came too late", "1 0-900000 RPUSH {q}:a 1 = :1\n2 0-210000 BLPOP {q}:a 0.2 = null\n3 1000000-1100000 BLPOP {q}:a 1 = *{q}:a 1", ""},
		{"queue", "waited in vain", "1 5-90000 RPUSH {q}:a 1 = :1\n2 0-210000 BLPOP {q}:a 0.2 = null\n3 1000000-1100000 BLPOP {q}:a 1 = *{q}:a 1", "in vain"},
		{"queue", "another took it meanwhile", "1 5-90000 RPUSH {q}:a 1 = :1\n2 0-210000 BLPOP {q}:a 0.2 = null\n3 200000-1100000 BLPOP {q}:a 1 = *{q}:a 1", ""},
		{"queue", "unblocked early", "1 5-90 RPUSH {q}:a 1 = :1\n2 100-1100 BLPOP {q}:a 0.2 = null\n3 200000-1100000 BLPOP {q}:a 1 = *{q}:a 1", ""},
		{"tokens", "put and moved", "1 0-9 SADD p:s0 1 = :1\n1 10-19 SMOVE p:s0 p:s1 1 = :1\n2 0-19 MULTI SCARD p:s0 ; SMEMBERS p:s0 ; SCARD p:s1 ; SMEMBERS p:s1 = [:0 *0 :1 *1 $1]", ""},
		{"tokens", "in two places", "1 0-9 SADD p:s0 1 = :1\n1 10-19 SMOVE p:s0 p:s1 1 = :1\n2 0-19 MULTI SCARD p:s0 ; SMEMBERS p:s0 ; SCARD p:s1 ; SMEMBERS p:s1 = [:1 *1 $1 :1 *1 $1]", "and in"},
		{"tokens", "in none", "1 0-9 SADD p:s0 1 = :1\n2 10-19 MULTI SCARD p:s0 ; SMEMBERS p:s0 = [:0 *0]", "in no pot"},
		{"tokens", "wrong count", "1 0-9 SADD p:s0 1 = :1\n2 10-19 MULTI SCARD p:s0 ; SMEMBERS p:s0 = [:2 *1 $1]", "said to hold"},
		{"tokens", "wrong score", "1 0-9 ZADD p:z0 1 1 = :1\n2 10-19 MULTI SCARD p:s0 ; SMEMBERS p:s0 ; ZCARD p:z0 ; ZRANGE p:z0 0 -1 WITHSCORES = [:0 *0 :1 *2 $1 $2]", "has the score"},
		{"tokens", "never put", "2 10-19 MULTI SCARD p:s0 ; SMEMBERS p:s0 = [:1 *1 $1]", "never put"},
		{"script", "a ticket", "1 0-9 EVAL ticket 1 c b = $0000001000007,\n2 10-19 EVAL book 1 c b = [$1 $0000001000007,]", ""},
		{"script", "drawn twice", "1 0-9 EVAL ticket 1 c b = $0000001000007,\n2 10-19 EVAL ticket 1 c b = $0000001000008,", "drawn twice"},
		{"script", "counted twice", "1 0-9 EVAL ticket 1 c b = $0000001000007,\n2 10-19 EVAL book 1 c b = [$2 $0000001000007,0000002000008,]", "at most"},
		{"script", "unknown, or not", "1 0-9 EVAL ticket 1 c b = unknown\n2 10-19 EVAL book 1 c b = [$nil $nil]\n2 20-29 EVAL book 1 c b = [$1 $0000001000007,]", ""},
		{"script", "half of an unknown one", "1 0-9 EVAL ticket 1 c b = unknown\n2 10-19 EVAL book 1 c b = [$1 $nil]", "lines are missing"},
		{"script", "an unknown hole", "1 0-9 EVAL ticket 1 c b hole = unknown\n2 10-19 EVAL book 1 c b = [$1 $nil]", ""},
		{"script", "a hole with a line", "1 0-9 EVAL ticket 1 c b hole = -HOLE 1\n2 10-19 EVAL book 1 c b = [$1 $0000001000007,]", "failed before it"},
		{"script", "another answer", "1 0-9 EVAL ticket 1 c b = $0000001000007,\n2 10-19 EVAL book 1 c b = [$1 $0000001000008,]", "was answered as"},
		{"script", "numbers fall", "1 0-9 EVAL ticket 1 c b = $0000002000007,\n2 10-19 EVAL ticket 1 c b = $0000001000007,", "before a lower one"},
		{"script", "lost", "1 0-9 EVAL ticket 1 c b = $0000001000007,\n2 10-19 EVAL book 1 c b = [$nil $nil]", "stands at 0"},
		{"cache", "evicted", "1 0-9 SET k 1 = +OK\n2 10-19 GET k = $nil\n2 20-29 DEL k = :0", ""},
		{"cache", "evicted, and back", "1 0-9 SET k 1 = +OK\n2 10-19 GET k = $nil\n2 20-29 GET k = $1", "came back"},
		{"cache", "flushed", "1 0-9 SET k 1 = +OK\n2 10-19 FLUSHDB = +OK\n2 20-29 GET k = $nil\n2 30-39 SET k 2 = +OK\n2 40-49 GET k = $2", ""},
		{"cache", "flushed, and back", "1 0-9 SET k 1 = +OK\n2 10-19 FLUSHDB = +OK\n2 20-29 GET k = $1", "came back"},
		{"cache", "flushed in part", "1 0-9 SET k 1 = +OK\n1 5-9 SET l 1 = +OK\n2 10-19 FLUSHDB = refused\n2 20-29 GET k = $nil\n2 30-39 GET l = $1", ""},
		{"cache", "an older value", "1 0-9 SET k 1 = +OK\n1 10-19 SET k 2 = +OK\n2 20-29 GET k = $1", "older value"},
		{"cache", "in doubt", "1 0-9 SET k 1 = +OK\n1 10-19 SET k 2 = unknown\n2 20-29 GET k = $1\n2 30-39 GET k = $2", ""},
		{"cache", "refused for want of memory", "1 0-9 SET k 1 = +OK\n1 10-19 SET k 2 = -OOM no\n2 20-29 GET k = $1", ""},
		{"cache", "refused, and there", "1 0-9 SET k 1 = +OK\n1 10-19 SET k 2 = -OOM no\n2 20-29 GET k = $2", "older value"},
		{"cache", "one of two evicted", "1 0-9 MULTI SET k 1 ; SET l 2 = [+OK +OK]\n2 10-19 GET k = $nil\n2 20-29 GET l = $2", ""},
		{"kept", "evicted", "1 0-9 SET k 1 = +OK\n2 10-19 GET k = $nil", "is lost"},
		{"kept", "with a deadline", "1 0-9 SET k 1 PX 900 = +OK\n2 10-19 GET k = $nil", ""},
		{"kept", "without one any more", "1 0-9 SET k 1 PX 900 = +OK\n1 10-19 PERSIST k = :1\n2 20-29 EXISTS k = :0", "is lost"},
		{"kept", "perhaps without one", "1 0-9 SET k 1 PX 900 = +OK\n1 10-19 PERSIST k = unknown\n2 20-29 EXISTS k = :0", ""},
		{"pubsub", "a message", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 PUBLISH c 1 = :1\n9 15-15 MESSAGE s1 c 1 = +OK", ""},
		{"pubsub", "twice", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 PUBLISH c 1 = :1\n9 15-15 MESSAGE s1 c 1 = +OK\n9 16-16 MESSAGE s1 c 1 = +OK", "came 2 times"},
		{"pubsub", "twice, by channel and pattern", "1 0-9 SUBSCRIBE s1 c = +OK\n1 0-9 PSUBSCRIBE s2 c* = +OK\n2 10-19 PUBLISH c 1 = :1\n9 15-15 MESSAGE s1 c 1 = +OK\n9 16-16 MESSAGE s2 c 1 = +OK", ""},
		{"pubsub", "lost under faults", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 PUBLISH c 1 = :1", ""},
		{"pubsub", "in another order", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 PUBLISH c 1 = :1\n2 20-29 PUBLISH c 2 = :1\n9 30-30 MESSAGE s1 c 2 = +OK\n9 31-31 MESSAGE s1 c 1 = +OK", "changed places"},
		{"pubsub", "of two publishers", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 PUBLISH c 1 = :1\n3 20-29 PUBLISH c 2 = :1\n9 30-30 MESSAGE s1 c 2 = +OK\n9 31-31 MESSAGE s1 c 1 = +OK", ""},
		{"pubsub", "of a transaction that was not run", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 MULTI SET k 1 ; PUBLISH c 1 ; SET kb 1 = null\n9 30-30 MESSAGE s1 c 1 = +OK", "not run"},
		{"pubsub", "committed after it was looked for", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 MULTI SET k 1 ; PUBLISH c 1 ; SET kb 1 = unknown\n3 20-29 GET k = $nil\n9 30-30 MESSAGE s1 c 1 = +OK", ""},
		{"pubsub", "of what was not committed", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 MULTI SET k 1 ; PUBLISH c 1 ; SET kb 1 = unknown\n9 30-30 MESSAGE s1 c 1 = +OK\n3 40-49 GET k = $nil", "not committed"},
		{"pubsub", "of an unknown one", "1 0-9 SUBSCRIBE s1 c = +OK\n2 10-19 MULTI SET k 1 ; PUBLISH c 1 ; SET kb 1 = unknown\n9 30-30 MESSAGE s1 c 1 = +OK\n3 40-49 GET k = $1", ""},
		{"pubsub", "told of a write", "1 0-9 PSUBSCRIBE s1 __keyspace@5__:k* = +OK\n2 10-19 SET k1 1 = +OK\n9 30-30 MESSAGE s1 __keyspace@5__:k1 set = +OK", ""},
		{"pubsub", "told of a write that was refused", "1 0-9 PSUBSCRIBE s1 __keyspace@5__:k* = +OK\n2 10-19 SET k1 1 = refused\n9 30-30 MESSAGE s1 __keyspace@5__:k1 set = +OK", "not run"},
		{"fields", "gone in time", "1 0-1000 MULTI HSET p:h0 e1 5 ; HPEXPIRE p:h0 50 FIELDS 1 e1 = [:1 *1 :1]\n2 60000-61000 HGET p:h0 e1 = $nil", ""},
		{"fields", "late", "1 0-1000 MULTI HSET p:h0 e1 5 ; HPEXPIRE p:h0 50 FIELDS 1 e1 = [:1 *1 :1]\n2 90000-91000 HGET p:h0 e1 = $5", "should have expired"},
		{"fields", "lost with another", "1 0-1000 MULTI HSET p:h0 e1 5 = [:1]\n1 0-1000 MULTI HSET p:h0 e3 5 ; HPEXPIRE p:h0 50 FIELDS 1 e3 = [:1 *1 :1]\n2 60000-61000 HGET p:h0 e1 = $nil", "before its time, or lost"},
		{"fields", "back again", "1 0-1000 MULTI HSET p:h0 e1 5 ; HPEXPIRE p:h0 50 FIELDS 1 e1 = [:1 *1 :1]\n2 51000-52000 HGET p:h0 e1 = $nil\n2 52500-52600 HGET p:h0 e1 = $5", "came back"},
		{"lapse", "taken in time", "1 0-1000 MULTI RPUSH {p}:t1 1.0 1.1 1.2 ; PEXPIRE {p}:t1 50 = [:3 :1]\n2 20000-21000 LPOP {p}:t1 = $1.0\n2 60000-61000 LLEN {p}:t1 = :0", ""},
		{"lapse", "too late", "1 0-1000 MULTI RPUSH {p}:t1 1.0 1.1 1.2 ; PEXPIRE {p}:t1 50 = [:3 :1]\n2 60000-61000 BLPOP {p}:t1 {p}:t2 1 = *{p}:t1 1.0", "should have expired"},
		{"lapse", "waited from before", "1 0-1000 MULTI RPUSH {p}:t1 1.0 1.1 1.2 ; PEXPIRE {p}:t1 50 = [:3 :1]\n2 0-61000 BLPOP {p}:t1 {p}:t2 1 = *{p}:t1 1.0", ""},
		{"lapse", "twice", "1 0-1000 MULTI RPUSH {p}:t1 1.0 1.1 1.2 ; PEXPIRE {p}:t1 50 = [:3 :1]\n2 2000-3000 LPOP {p}:t1 = $1.0\n2 4000-5000 LPOP {p}:t1 = $1.0", "taken twice"},
		{"lapse", "back", "1 0-1000 MULTI RPUSH {p}:t1 1.0 1.1 1.2 ; PEXPIRE {p}:t1 50 = [:3 :1]\n2 49000-49500 LLEN {p}:t1 = :0\n2 49600-49700 LPOP {p}:t1 = $1.0", "came back"},
		{"lapse", "gone early", "1 0-1000 MULTI RPUSH {p}:t1 1.0 1.1 1.2 ; PEXPIRE {p}:t1 50 = [:3 :1]\n2 4000-5000 LLEN {p}:t1 = :0", "before its time"},
		{"lapse", "taken by somebody", "1 0-1000 MULTI RPUSH {p}:t1 1.0 1.1 1.2 ; PEXPIRE {p}:t1 50 = [:3 :1]\n2 2000-3000 LPOP {p}:t1 = $1.0\n2 2000-3000 LPOP {p}:t1 = unknown\n3 2000-9000 LPOP {p}:t1 = $1.2\n2 4000-5000 LLEN {p}:t1 = :0", ""},
		{"skew", "one is set", "1 0-9 WATCH p:a p:b = +OK\n1 1-9 MULTI WATCH p:a p:b ; GET p:a ; GET p:b ; SET p:a 1 = [$nil $nil +OK]\n2 10-19 MULTI GET p:a ; GET p:b = [$1 $nil]", ""},
		{"skew", "both are set", "1 1-9 MULTI WATCH p:a p:b ; GET p:a ; GET p:b ; SET p:a 1 = [$nil $nil +OK]\n2 1-9 MULTI WATCH p:a p:b ; GET p:a ; GET p:b ; SET p:b 2 = [$nil $nil +OK]\n2 10-19 MULTI GET p:a ; GET p:b = [$1 $2]", "both"},
		{"skew", "changed, and the old value again", "1 0-9 WATCH p:a p:b = +OK\n2 10-19 MULTI GET p:a ; GET p:b ; SET p:a 1 = [$nil $nil +OK]\n2 20-29 MULTI GET p:a ; GET p:b ; DEL p:a = [$1 $nil :1]\n1 30-39 MULTI WATCH p:a p:b ; GET p:a ; GET p:b ; SET p:b 2 = [$nil $nil +OK]", "had been changed"},
		{"skew", "perhaps changed before it was watched", "1 0-11 WATCH p:a p:b = +OK\n2 10-19 MULTI GET p:a ; GET p:b ; SET p:a 1 = [$nil $nil +OK]\n1 30-39 MULTI WATCH p:a p:b ; GET p:a ; GET p:b ; DEL p:a = [$1 $nil :1]", ""},
		{"skew", "null, and set", "1 1-9 MULTI WATCH p:a p:b ; GET p:a ; GET p:b ; SET p:a 1 = null\n2 10-19 MULTI GET p:a ; GET p:b = [$1 $nil]", "not linearizable"},
	} {
		t.Run(x.kind+"/"+x.name, func(t *testing.T) {
			k, _ := Find(x.kind)
			r := k.Judge(history(t, x.text))
			switch {
			case x.want == "" && len(r.Violations) > 0:
				t.Errorf("refused: %v", r.Violations)
			case x.want != "" && len(r.Violations) == 0:
				t.Error("accepted")
			case x.want != "" && !strings.Contains(r.Violations[0].What, x.want):
				t.Errorf("%v; want %q", r.Violations[0], x.want)
			}
		})
	}
}

// TestShortest: a violation shows the history no further than needed.
func TestShortest(t *testing.T) {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "1 %d-%d SET k %d = +OK\n2 %d-%d GET k = $%d\n", i*10, i*10+2, i, i*10+3, i*10+4, i-i/30)
	}
	k, _ := Find("register")
	r := k.Judge(history(t, b.String()))
	if len(r.Violations) != 1 || len(r.Violations[0].Ops) != 62 {
		t.Errorf("%v", r.Violations)
	}
}

// TestOpsOnPaper: a history can be kept and read again.
func TestOpsOnPaper(t *testing.T) {
	for _, k := range Kinds() {
		h := simulate(k, 5, sound, 200)
		for _, o := range h.Ops {
			line := AppendOp(nil, o)
			back, err := ParseOp(line)
			if err != nil {
				t.Fatal(err)
			}
			if again := AppendOp(nil, back); !bytes.Equal(line, again) || back.String() != o.String() {
				t.Errorf("%s%s", line, again)
			}
		}
	}
	for _, bad := range []string{"", "{}", `{"a":["GET"],"o":"gone"}`, `{"a":["GET"],"o":"done","v":"+OK"}`} {
		if _, err := ParseOp([]byte(bad)); err == nil {
			t.Errorf("%q is taken for an operation", bad)
		}
	}
}

func TestParse(t *testing.T) {
	all, err := Parse("")
	if err != nil || len(all) != len(Kinds()) {
		t.Error(len(all), err)
	}
	two, err := Parse("scan, order,scan")
	if err != nil || len(two) != 2 || two[0].Name != "scan" || two[1].Name != "order" {
		t.Error(two, err)
	}
	if _, err := Parse("order,nothing"); err == nil || !strings.Contains(err.Error(), "register") {
		t.Error(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		if len(Draw(r)) == 0 {
			t.Error("an empty mix")
		}
	}
}

func TestJudge(t *testing.T) {
	for reply, want := range map[string]Outcome{
		"+OK\r\n": Done, "-ERR no\r\n": Done, "-UNKNOWNOUTCOME x\r\n": Unknown, "-CLUSTERDOWN x\r\n": Refused,
		"-MISCONF disk\r\n": Refused, "-EXECABORT x\r\n": Refused, "-CROSSSLOT x\r\n": Refused, "-TRYAGAIN x\r\n": Refused, "-NOSCRIPT x\r\n": Refused, "$2\r\nUN\r\n": Done,
	} {
		if got := Judge([]byte(reply)); got != want {
			t.Errorf("%s: %v, want %v", strconv.Quote(reply), got, want)
		}
	}
}
