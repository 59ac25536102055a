package datatype_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coterie/internal/datatype/redistest"
	"coterie/internal/resp"
)

// dumpConfigs are settings under which a redis-server packs collections, or
// does not.
var dumpConfigs = [][]string{
	nil,
	{"hash-max-listpack-entries", "0", "list-max-listpack-size", "-1", "set-max-intset-entries", "0", "zset-max-listpack-entries", "0", "rdbcompression", "no"},
	{"list-max-listpack-size", "4", "list-compress-depth", "1", "stream-node-max-entries", "3"},
}

// makeAll are the commands that make a value of every type and size.
func makeAll(g redistest.Generator) (commands [][]string, names []string) {
	long := strings.Repeat("compress me, please: ", 300)
	texts := func(n int) (list []string) {
		for i := range n {
			list = append(list, redistest.Pick(g, fmt.Sprint(i), fmt.Sprint("text", i), fmt.Sprint(i*123456789-700), "x"+strings.Repeat("y", i%97)+fmt.Sprint(i), fmt.Sprint(-i*4000), fmt.Sprint(i, g.Value())))
		}
		return list
	}
	add := func(name string, args ...string) {
		names = append(names, name)
		commands = append(commands, slices.Insert(args, 1, name))
	}
	for i, v := range []string{"", "x", "12", "-300", "70000", "-2147483648", "9223372036854775807", long, "\x00\xff", strings.Repeat("z", 100000)} {
		add(fmt.Sprint("string", i), "set", v)
	}
	for _, n := range []int{1, 5, 130, 700} {
		add(fmt.Sprint("list", n), redistest.Join("rpush", texts(n))...)
		add(fmt.Sprint("set", n), redistest.Join("sadd", texts(n))...)
		var ints, fields, scored []string
		for i, v := range texts(n) {
			ints = append(ints, fmt.Sprint((i-3)*redistest.Pick(g, 1, 1000, 1<<33)))
			fields = append(fields, fmt.Sprint("field", i), v)
			scored = append(scored, redistest.Pick(g, "inf", "-inf", "0.1", "-17", "3", fmt.Sprint(g.NormFloat64())), fmt.Sprint(i, v))
		}
		add(fmt.Sprint("ints", n), redistest.Join("sadd", ints)...)
		add(fmt.Sprint("hash", n), redistest.Join("hset", fields)...)
		add(fmt.Sprint("zset", n), redistest.Join("zadd", scored)...)
	}
	add("longlist", "rpush", long, "1", strings.Repeat("q", 9000), long)
	add("longhash", "hset", "f", long, "g", "2")
	commands = append(commands, makeStream("stream", 250)...)
	commands = append(commands, []string{"xgroup", "create", "empty", "g1", "$", "mkstream"})
	return commands, append(names, "stream", "empty")
}

func makeStream(key string, n int) (commands [][]string) {
	for i := range n {
		args := []string{"xadd", key, fmt.Sprintf("%d-%d", 1000+i/7, 1+i%7), "temperature", fmt.Sprint(i), "place", "p" + fmt.Sprint(i%3)}
		if i%10 == 3 {
			args = append(args, "more", "\x00 and more")
		}
		commands = append(commands, args)
	}
	for _, line := range []string{
		"xgroup create K g1 0", "xgroup create K g2 $ entriesread 11", "xgroup createconsumer K g1 idle",
		"xreadgroup group g1 alice count 20 streams K >", "xreadgroup group g1 bob count 5 streams K >", "xack K g1 1000-3 1001-1",
		"xdel K 1002-2 1020-3", "xtrim K maxlen 200",
	} {
		commands = append(commands, strings.Fields(strings.ReplaceAll(line, "K", key)))
	}
	return commands
}

// looks are what values of any type are looked at with.
func looks(key string) (commands [][]string) {
	for _, line := range []string{
		"type K", "get K", "lrange K 0 -1", "smembers K", "hgetall K", "zrange K 0 -1 withscores",
		"xrange K - +", "xinfo stream K", "xinfo groups K", "xpending K g1", "xpending K g1 - + 100 alice", "xpending K g1 - + 100 bob", "pttl K",
	} {
		var args []string
		for _, w := range strings.Fields(line) {
			args = append(args, strings.ReplaceAll(w, "K", key))
		}
		commands = append(commands, args)
	}
	return commands
}

func payloadOf(t *testing.T, reply []byte) string {
	t.Helper()
	v, _, err := resp.ParseReply(reply)
	if err != nil || v.Kind != '$' || v.Null {
		t.Fatalf("reply %q is no payload", reply)
	}
	return string(v.Str)
}

// TestDumpAgainstRedis moves values of every type there and back.
func TestDumpAgainstRedis(t *testing.T) {
	addr := startRedis(t)
	for i, config := range dumpConfigs {
		t.Run(fmt.Sprint("config", i), func(t *testing.T) {
			r := redistest.Dial(t, addr)
			r.Run(t, []string{"flushall"})
			if config != nil {
				if got := r.Run(t, append([]string{"config", "set"}, config...))[0]; string(got) != "+OK\r\n" {
					t.Fatalf("redis refuses the configuration: %q", got)
				}
			}
			s := newServer(t, uint64(i))
			g := redistest.NewGenerator(uint64(i), 7)
			commands, names := makeAll(g)
			for j, reply := range r.Run(t, commands...) {
				if reply[0] == '-' {
					t.Fatalf("redis, %.100q: %s", commands[j], reply)
				}
			}
			for _, name := range names {
				// There, here, and there again under another name.
				payload := payloadOf(t, r.Run(t, []string{"dump", name})[0])
				s.want("+OK\r\n", "restore", name, "0", payload)
				s.want("-BUSYKEY Target key name already exists.\r\n", "restore", name, "0", payload)
				s.want("+OK\r\n", "restore", name, "0", payload, "replace")
				back := payloadOf(t, s.run("dump", name))
				if got := r.Run(t, []string{"restore", "back:" + name, "0", back})[0]; string(got) != "+OK\r\n" {
					t.Errorf("%s: redis does not restore what was dumped here: %s", name, got)
					continue
				}
				s.want("+OK\r\n", "restore", "back:"+name, "0", back)
				for j, look := range looks(name) {
					there, again := r.Run(t, look)[0], r.Run(t, looks("back:" + name)[j])[0]
					for what, got := range map[string][]byte{"here": s.run(look...), "there again": again, "here again": s.run(looks("back:" + name)[j]...)} {
						if !sameLook(look, there, got) {
							t.Errorf("%q:\n  redis %q\n  %s %q", look, there, what, got)
						}
					}
				}
			}
			s.check()
		})
	}
}

// sameLook compares what two looks at a stream's nodes must not agree on, and
// everything else.
func sameLook(args []string, want, got []byte) bool {
	if args[0] == "xinfo" || args[0] == "xpending" {
		return fmt.Sprint(stable(want)) == fmt.Sprint(stable(got))
	}
	return redistest.Alike(args, want, got)
}

func stable(reply []byte) (list []string) {
	v, _, _ := resp.ParseReply(reply)
	var walk func(v resp.Value)
	skip := false
	walk = func(v resp.Value) {
		for i, e := range v.Elems {
			if len(v.Elems) == 4 && len(v.Elems[1].Str) > 0 && i == 2 && e.Kind == ':' {
				continue // idle time
			}
			walk(e)
		}
		if len(v.Elems) > 0 {
			return
		}
		if !skip {
			list = append(list, fmt.Sprint(v))
		}
		skip = bytes.HasPrefix(v.Str, []byte("radix-tree"))
	}
	walk(v)
	return list
}

func TestRestoreErrors(t *testing.T) {
	s := newServer(t, 1)
	s.run("set", "k", "value")
	payload := payloadOf(t, s.run("dump", "k"))
	broken := payload[:3] + "!" + payload[4:]
	unsummed := payload[:len(payload)-8] + strings.Repeat("\x00", 8)
	later := payload[:len(payload)-10] + "\x0c\x00" + payload[len(payload)-8:]
	for _, tc := range []struct {
		reply string
		args  []string
	}{
		{"$-1\r\n", redistest.List("dump", "none")},
		{"-ERR DUMP payload version or checksum are wrong\r\n", redistest.List("restore", "n", "0", broken)},
		{"-ERR DUMP payload version or checksum are wrong\r\n", redistest.List("restore", "n", "0", later)},
		{"-ERR DUMP payload version or checksum are wrong\r\n", redistest.List("restore", "n", "0", "short")},
		{"-ERR Bad data format\r\n", redistest.List("restore", "n", "0", "\x00\x05abc\x0a\x00"+strings.Repeat("\x00", 8))},
		{"+OK\r\n", redistest.List("restore", "n", "0", unsummed)},
		{"$5\r\nvalue\r\n", redistest.List("get", "n")},
		{":-1\r\n", redistest.List("ttl", "n")},
		{"-BUSYKEY Target key name already exists.\r\n", redistest.List("restore", "n", "0", payload)},
		{"-ERR Invalid TTL value, must be >= 0\r\n", redistest.List("restore", "m", "-1", payload)},
		{"-ERR value is not an integer or out of range\r\n", redistest.List("restore", "m", "x", payload)},
		{"-ERR Invalid IDLETIME value, must be >= 0\r\n", redistest.List("restore", "m", "0", payload, "idletime", "-1")},
		{"-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n", redistest.List("restore", "m", "0", payload, "FREQ", "256")},
		{"-ERR syntax error\r\n", redistest.List("restore", "m", "0", payload, "FREQ", "5", "idletime", "4")},
		{"-ERR syntax error\r\n", redistest.List("restore", "m", "0", payload, "foo")},
		{"+OK\r\n", redistest.List("restore", "m", "5000", payload, "freq", "3", "REPLACE")},
		{":5000\r\n", redistest.List("pttl", "m")},
		{"+OK\r\n", redistest.List("restore", "m", "5", payload, "REPLACE", "absttl", "idletime", "1")},
		{":0\r\n", redistest.List("exists", "m")},
		{"+OK\r\n", redistest.List("restore", "m", "5", payload, "absttl")},
		{":0\r\n", redistest.List("exists", "m")},
	} {
		s.want(tc.reply, tc.args...)
	}
	s.check()
}
