package redisfront

import (
	"io"
	"strings"
	"testing"
	"time"

	"coterie/internal/command"
)

// TestScripts runs scripts in three partitions: what they touch may be anywhere.
func TestScripts(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dialFake(t, addr)
	sum := "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" // of "return 1"
	for _, step := range []struct{ line, want string }{
		{"EVALSHA " + sum + " 0", "-NOSCRIPT No matching script. Please use EVAL.\r\n"},
		{"SCRIPT EXISTS " + sum, "*1\r\n:0\r\n"},
		{"EVAL \"return 1\" 0", ":1\r\n"},
		{"EVALSHA " + sum + " 0", ":1\r\n"},
		{"SCRIPT EXISTS " + sum + " x", "*2\r\n:1\r\n:0\r\n"},
		{"SCRIPT FLUSH bad", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
		{"SCRIPT FLUSH ASYNC", "+OK\r\n"},
		{"EVALSHA " + sum + " 0", "-NOSCRIPT No matching script. Please use EVAL.\r\n"},
		{"SCRIPT LOAD \"return 1\"", "$40\r\n" + sum + "\r\n"},
		{"EVALSHA " + strings.ToUpper(sum) + " 0", ":1\r\n"},
		{"SCRIPT LOAD \"return +\"", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '+'\r\n"},
		{"SCRIPT DEBUG YES", "-ERR SCRIPT DEBUG is not supported\r\n"},
		{"SCRIPT KILL", "-NOTBUSY No scripts in execution right now.\r\n"},
		{"FUNCTION KILL", "-NOTBUSY No scripts in execution right now.\r\n"},
		// Keys of one partition, of several, and some that nobody named.
		{"EVAL \"return redis.call('set',KEYS[1],ARGV[1])\" 1 a 1", "+OK\r\n"},
		{"EVAL \"return redis.call('mset',KEYS[1],1,KEYS[2],2,KEYS[3],3)\" 3 a b c", "+OK\r\n"},
		{"EVAL \"for i = 1, 100 do redis.call('set','k'..i,i) end return 1\" 0", ":1\r\n"},
		{"EVAL \"local s = 0 for i = 1, 100 do s = s + redis.call('get','k'..i) end return s\" 0", ":5050\r\n"},
		{"EVAL \"redis.call('set','a','x') redis.call('set','b','y') return redis.call('nosuch')\" 1 a",
			"-ERR Unknown Redis command called from script script: 5b5bbe5fb4b6ef3c3b3ae3ac24e3b4a43dbbd3a0, on @user_script:1.\r\n"},
		{"MGET a b c", "*3\r\n$1\r\nx\r\n$1\r\ny\r\n$1\r\n3\r\n"}, // an error undoes nothing, as in Redis
		{"EVAL \"local s = 0 for i = 1, 3000000 do s = s + 1 end redis.call('set',KEYS[1],s) return 1\" 1 long", ":1\r\n"},
		{"EVAL \"local s = 0 for i = 1, 3000000 do s = s + 1 end return s\" 0", ":3000000\r\n"},
		{"GET long", "$7\r\n3000000\r\n"},
		{"EVAL_RO \"return redis.call('get','b')\" 0", "$1\r\ny\r\n"},
		{"EVAL \"return redis.call('dbsize')\" 0", "-ERR 'dbsize' asks all partitions and is not allowed from script script: 9ac8d6c5b46a6f6d9cd0ffcd8a6a9ddb4f9bd6c5, on @user_script:1.\r\n"},
		// In transactions.
		{"MULTI", "+OK\r\n"},
		{"EVAL \"return redis.call('incr','n')\" 0", "+QUEUED\r\n"},
		{"EVALSHA " + sum + " 0", "+QUEUED\r\n"},
		{"GET n", "+QUEUED\r\n"},
		{"EXEC", "*3\r\n:1\r\n:1\r\n$1\r\n1\r\n"},
		// What a script wrote is seen by those who watch.
		{"WATCH a", "+OK\r\n"},
		{"EVAL \"return redis.call('incrby','c',2)\" 1 a", ":5\r\n"},
		{"EVAL \"redis.call('set','a','z')\" 1 a", "$-1\r\n"},
		{"MULTI", "+OK\r\n"}, {"GET a", "+QUEUED\r\n"}, {"EXEC", "*-1\r\n"},
	} {
		got := c.ask(t, step.line)
		if i := strings.Index(step.want, " script: "); i > 0 { // the digest is not the point here
			if j := strings.Index(got, " script: "); j > 0 {
				got = got[:j] + step.want[i:]
			}
		}
		if got != step.want {
			t.Errorf("%s\n got %q\nwant %q", step.line, got, step.want)
		}
	}
}

// TestPipelinedScripts: nothing behind a script overtakes it, though it needs several
// attempts.
func TestPipelinedScripts(t *testing.T) {
	for _, mode := range []fakeMode{fakeLoop, fakeDelays} {
		r := newFake(t, mode, 3)
		addr, _ := serveFake(t, r, Limits{})
		c := dialFake(t, addr)
		var send, want strings.Builder
		for range 50 {
			send.WriteString("SET x 0\r\nEVAL \"redis.call('set','x','1') redis.call('set','y','1') return redis.call('get','x')\" 1 z\r\nGET x\r\nSET y 0\r\nGET y\r\n")
			want.WriteString("+OK\r\n$1\r\n1\r\n$1\r\n1\r\n+OK\r\n$1\r\n0\r\n")
		}
		if got := c.pipeline(t, send.String(), want.Len()); got != want.String() {
			t.Errorf("got %q", got)
		}
	}
}

const testLibrary = `"#!lua name=mylib\n local n = 0 redis.register_function('inc', function(keys, args) n = n + 1 return redis.call('incrby', keys[1], args[1]) end) ` +
	`redis.register_function{function_name='ro', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}, description='reads'}"`

func TestFunctions(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dialFake(t, addr)
	for _, step := range []struct{ line, want string }{
		{"FCALL inc 1 n 5", "-ERR Function not found\r\n"},
		{"FUNCTION LOAD " + testLibrary, "$5\r\nmylib\r\n"},
		{"FUNCTION LOAD " + testLibrary, "-ERR Library 'mylib' already exists\r\n"},
		{"FUNCTION LOAD REPLACE " + testLibrary, "$5\r\nmylib\r\n"},
		{"FUNCTION LOAD bad " + testLibrary, "-ERR Unknown option given: bad\r\n"},
		{"FUNCTION LOAD \"return 1\"", "-ERR Missing library metadata\r\n"},
		{"FUNCTION LOAD \"#!lua name=x\\nreturn\"", "-ERR No functions registered\r\n"},
		{"FUNCTION LOAD \"#!lua name=x\\nredis.call('get','x')\"", "-ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'\r\n"},
		{"FUNCTION LOAD \"#!lua name=x\\nx = 1\"", "-ERR Error registering functions: ERR user_function:2: Attempt to modify a readonly table\r\n"},
		{"FUNCTION LOAD \"#!lua name=y\\nredis.register_function('INC', function() end)\"", "-ERR Function INC already exists\r\n"},
		{"FUNCTION LOAD \"#!lua name=y\\nredis.register_function('a', 1)\"", "-ERR Error registering functions: ERR second argument to redis.register_function must be a function\r\n"},
		{"FCALL inc 1 n 5", ":5\r\n"},
		{"FCALL INC 1 n 5", ":10\r\n"},
		{"FCALL ro 1 n", "$2\r\n10\r\n"},
		{"FCALL_RO ro 1 n", "$2\r\n10\r\n"},
		{"FCALL_RO inc 1 n 1", "-ERR Can not execute a script with write flag using *_ro command.\r\n"},
		{"FCALL inc x n", "-ERR Bad number of keys provided\r\n"},
		{"FCALL inc 5 n", "-ERR Number of keys can't be greater than number of args\r\n"},
		{"FUNCTION LIST", "*1\r\n*6\r\n$12\r\nlibrary_name\r\n$5\r\nmylib\r\n$6\r\nengine\r\n$3\r\nLUA\r\n$9\r\nfunctions\r\n*2\r\n" +
			"*6\r\n$4\r\nname\r\n$3\r\ninc\r\n$11\r\ndescription\r\n$-1\r\n$5\r\nflags\r\n*0\r\n" +
			"*6\r\n$4\r\nname\r\n$2\r\nro\r\n$11\r\ndescription\r\n$5\r\nreads\r\n$5\r\nflags\r\n*1\r\n+no-writes\r\n"},
		{"FUNCTION LIST LIBRARYNAME nosuch*", "*0\r\n"},
		{"FUNCTION LIST LIBRARYNAME", "-ERR library name argument was not given\r\n"},
		{"FUNCTION STATS", "*4\r\n$14\r\nrunning_script\r\n$-1\r\n$7\r\nengines\r\n*2\r\n$3\r\nLUA\r\n*4\r\n$15\r\nlibraries_count\r\n:1\r\n$15\r\nfunctions_count\r\n:2\r\n"},
		{"FUNCTION DELETE nosuch", "-ERR Library not found\r\n"},
		{"FUNCTION DELETE mylib", "+OK\r\n"},
		{"FCALL inc 1 n 5", "-ERR Function not found\r\n"},
		{"FUNCTION RESTORE x", "-ERR DUMP payload version or checksum are wrong\r\n"},
	} {
		if got := c.ask(t, step.line); got != step.want {
			t.Errorf("%s\n got %q\nwant %q", step.line, got, step.want)
		}
	}
}

// TestScriptKill: a script that does not end is ended by hand, and has done
// nothing; within MULTI too.
func TestScriptKill(t *testing.T) {
	const endless = "EVAL \"redis.call('set','a',1) pcall(function() while true do end end) while true do end\" 1 a"
	for _, multi := range []bool{false, true} {
		r := newFake(t, fakeLoop, 3)
		addr, _ := serveFake(t, r, Limits{})
		c, other := dialFake(t, addr), dialFake(t, addr)
		done := make(chan string)
		go func() {
			if !multi {
				done <- c.ask(t, endless)
				return
			}
			c.ask(t, "MULTI")
			c.ask(t, endless)
			done <- c.ask(t, "EXEC")
		}()
		for {
			got := other.ask(t, "SCRIPT KILL")
			if got == "+OK\r\n" {
				break
			}
			if !strings.HasPrefix(got, "-NOTBUSY") {
				t.Fatal(got)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := <-done; !strings.HasPrefix(strings.TrimPrefix(got, "*1\r\n"), "-ERR Script killed by user with SCRIPT KILL.") {
			t.Errorf("multi %v: %s", multi, got)
		}
	}
}

// asker is a connection for commands as one would type them, quoted.
type asker struct{ *rawClient }

func dialFake(t testing.TB, addr string) *asker { return &asker{dial(t, addr)} }

func (c *asker) ask(t *testing.T, line string) string {
	c.send(line + "\r\n")
	return c.reply()
}

func (c *asker) pipeline(t *testing.T, text string, size int) string {
	c.send(text)
	b := make([]byte, size)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := io.ReadFull(c.r, b)
	if err != nil {
		t.Errorf("%d of %d bytes: %v", n, size, err)
	}
	return string(b[:n])
}

// TestWrappedScripts: FENCE runs a script over any keys, in a transaction too, and
// nothing about a whole database, nor itself; and no script has itself run twice.
func TestWrappedScripts(t *testing.T) {
	r := newFake(t, fakeLoop, 3)
	addr, _ := serveFake(t, r, Limits{})
	c := dialFake(t, addr)
	forged := `EVAL "redis.call('incr',KEYS[1]) return redis.error_reply('` + strings.ReplaceAll(strings.TrimSpace(command.DivertReply[1:]), "\n", `\\n`) + `')" 1 twice`
	c.ask(t, forged)
	c.ask(t, "SET lock me NX")
	token := strings.Trim(c.ask(t, "FENCETOKEN lock"), ":\r\n")
	fence := "FENCE lock " + token + " "
	far := `EVAL "for i = 1, 20 do redis.call('incr','far'..i) end return 7" 0`
	sum := "7f923f79fe76194c868d7e1d0820de36700eb649" // of "return 2"
	for _, step := range []struct{ line, want string }{
		{"GET twice", "$1\r\n1\r\n"},
		{fence + far, ":7\r\n"},
		{"FENCE lock 999 " + far, "-FENCED The lock is not held with token 999, it has token " + token + "; nothing was run\r\n"},
		{"MULTI", "+OK\r\n"}, {fence + far, "+QUEUED\r\n"}, {"EXEC", "*1\r\n:7\r\n"},
		{"GET far20", "$1\r\n2\r\n"},
		{"SCRIPT LOAD \"return 2\"", "$40\r\n" + sum + "\r\n"},
		{fence + "EVALSHA " + sum + " 0", ":2\r\n"},
		{fence + "EVAL", "-ERR wrong number of arguments for 'eval' command\r\n"},
		{fence + "FLUSHALL", "-ERR 'flushall' cannot be run by 'fence'\r\n"},
		{fence + "DBSIZE", "-ERR 'dbsize' cannot be run by 'fence'\r\n"},
		{fence + fence + "GET far1", "-ERR 'fence' cannot be run by 'fence'\r\n"},
		{"EVAL \"redis.pcall('fence',KEYS[1],ARGV[1],'eval','return 1','0') return redis.call('get',KEYS[1])\" 1 lock " + token, "$2\r\nme\r\n"},
		{"EVAL \"redis.call('set','far1','1') redis.pcall('fence',KEYS[1],ARGV[1],'eval','return 1','0') return redis.call('get',KEYS[1])\" 1 lock " + token, "$2\r\nme\r\n"},
	} {
		if got := c.ask(t, step.line); got != step.want {
			t.Errorf("%s\n got %q\nwant %q", step.line, got, step.want)
		}
	}
}

// TestCoded: what the catalog's partition says keeps its code, for clients go by it.
func TestCoded(t *testing.T) {
	for text, want := range map[string]string{
		"ERR no such library":            "ERR no such library",
		"MISCONF this node has stopped":  "MISCONF this node has stopped",
		"CLUSTERDOWN no majority":        "CLUSTERDOWN no majority",
		"the node is stopping":           "ERR the node is stopping",
		"A text that begins with a word": "ERR A text that begins with a word",
		"":                               "ERR ",
	} {
		if got := coded(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
