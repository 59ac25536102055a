package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/resp"

	"github.com/redis/go-redis/v9"
)

// TestRealClients: what people really use, unmodified.
func TestRealClients(t *testing.T) {
	c := newCluster(t, 3)
	t.Run("go-redis", func(t *testing.T) {
		cl := redis.NewClient(&redis.Options{Addr: c.nodes[0].redis})
		defer cl.Close()
		everyday(t, cl, func(i int) string { return fmt.Sprintf("r:%d", i) })
		var cursor uint64
		seen := map[string]bool{}
		for {
			keys, next, err := cl.Scan(t.Context(), cursor, "r:*", 10).Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				seen[k] = true
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
		if len(seen) != clientKeys+2 {
			t.Errorf("SCAN found %d keys, not %d", len(seen), clientKeys+2)
		}
	})
	t.Run("go-redis, RESP2", func(t *testing.T) {
		cl := redis.NewClient(&redis.Options{Addr: c.nodes[1].redis, Protocol: 2, DB: 3})
		defer cl.Close()
		everyday(t, cl, func(i int) string { return fmt.Sprintf("r:%d", i) })
		if n, err := cl.DBSize(t.Context()).Result(); err != nil || n != clientKeys+2 {
			t.Errorf("DBSIZE of database 3: %d %v", n, err)
		}
	})
	t.Run("go-redis, cluster", func(t *testing.T) {
		cl := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.nodes[2].cluster}})
		defer cl.Close()
		everyday(t, cl, func(i int) string { return fmt.Sprintf("c:%d", i) })
		var masters atomic.Int32 // they are asked at the same time
		err := cl.ForEachMaster(t.Context(), func(ctx context.Context, m *redis.Client) error {
			masters.Add(1)
			return m.Ping(ctx).Err()
		})
		if err != nil || masters.Load() != 3 {
			t.Errorf("%d masters, %v", masters.Load(), err)
		}
	})
	t.Run("redis-cli", func(t *testing.T) { redisCLI(t, c) })
	t.Run("redis-benchmark", func(t *testing.T) { redisBenchmark(t, c) })
	for _, name := range []string{"ioredis", "node-redis"} {
		t.Run(name, func(t *testing.T) {
			runJS(t, patience*slow(), filepath.Join(modules(t, "nodejs"), name+".js"), c.nodes[1].redis, c.nodes[0].cluster)
		})
	}
	t.Run("redis-py's words", func(t *testing.T) { redisPy(t, c) })
}

// clientKeys is how many keys everyday writes, besides two.
const clientKeys = 60

// everyday is what an application does with a client all day.
func everyday(t *testing.T, cl redis.UniversalClient, key func(int) string) {
	t.Helper()
	ctx := t.Context()
	for i := range clientKeys / 2 {
		if err := cl.Set(ctx, key(i), i, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
	}
	pipe := cl.Pipeline()
	for i := range clientKeys / 2 {
		pipe.Set(ctx, key(clientKeys/2+i), clientKeys/2+i, 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range clientKeys {
		if got, err := cl.Get(ctx, key(i)).Int(); err != nil || got != i {
			t.Errorf("GET %s: %d %v", key(i), got, err)
		}
	}
	count, hash := key(clientKeys), key(clientKeys+1)
	for want := range int64(3) {
		if n, err := cl.Incr(ctx, count).Result(); err != nil || n != want+1 {
			t.Errorf("INCR: %d %v", n, err)
		}
	}
	if err := cl.HSet(ctx, hash, "name", "ann", "age", 7).Err(); err != nil {
		t.Error(err)
	}
	if m, err := cl.HGetAll(ctx, hash).Result(); err != nil || len(m) != 2 || m["name"] != "ann" {
		t.Errorf("HGETALL: %v %v", m, err)
	}
	if err := cl.Get(ctx, "no such key").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of nothing: %v", err)
	}
	if ttl, err := cl.TTL(ctx, key(0)).Result(); err != nil || ttl < 59*time.Minute {
		t.Errorf("TTL: %v %v", ttl, err)
	}
	if err := cl.LPush(ctx, key(0), "x").Err(); err == nil {
		t.Error("LPUSH on a string succeeded")
	}
}

// tool runs a client program and returns what it prints.
func tool(t *testing.T, stdin string, name string, args ...string) (out string, err error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience*slow())
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// port is the port of an address.
func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func redisCLI(t *testing.T, c *cluster) {
	at, cluster := port(c.nodes[1].redis), port(c.nodes[0].cluster)
	for _, x := range []struct {
		name, stdin string
		args        []string
		want        []string
	}{
		{"command", "", []string{"-p", at, "SET", "cli", "1"}, []string{"OK"}},
		{"RESP3", "", []string{"-p", at, "-3", "--no-raw", "HGETALL", "r:61"}, []string{`1# "name" => "ann"`}},
		{"unknown command", "", []string{"-p", at, "NOSUCH", "x"}, []string{"ERR unknown command 'NOSUCH', with args beginning with: 'x'"}},
		{"HELP @hash", "", []string{"-p", at, "HELP", "@hash"}, []string{"HGETALL", "key field value [field value ...]"}},
		{"several", "SET a 1\nINCR a\nGET a\n", []string{"-p", at}, []string{"OK\n2\n2"}},
		{"HELP", "", []string{"-p", at, "HELP", "SET"}, []string{"key value [NX|XX]", "summary"}},
		{"--bigkeys", "", []string{"-p", at, "--bigkeys"}, []string{"Biggest string found", "Biggest   hash found"}},
		{"--scan", "", []string{"-p", at, "--scan", "--pattern", "r:1?"}, []string{"r:10", "r:19"}},
		{"-c", "", []string{"-p", cluster, "-c", "GET", "c:5"}, []string{"5"}},
		{"--cluster check", "", []string{"--cluster", "check", "127.0.0.1:" + cluster}, []string{"All 16384 slots covered", "All nodes agree about slots configuration"}},
		{"--cluster info", "", []string{"--cluster", "info", "127.0.0.1:" + cluster}, []string{"3 masters"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			out, err := tool(t, x.stdin, "redis-cli", x.args...)
			for _, w := range x.want {
				if !strings.Contains(out, w) {
					t.Errorf("redis-cli %s does not print %q (%v):\n%s", strings.Join(x.args, " "), w, err, out)
				}
			}
		})
	}
	t.Run("tab completion", func(t *testing.T) { completion(t, at) })
	t.Run("--stat", func(t *testing.T) { // it never ends by itself
		for _, name := range []string{"redis-cli", "stdbuf"} {
			if _, err := exec.LookPath(name); err != nil {
				t.Skip(name + " is not installed")
			}
		}
		var out bytes.Buffer
		p, err := startProcess(&out, "stdbuf", "-oL", "redis-cli", "-p", at, "-i", "0.1", "--stat")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond * slow())
		p.kill()
		if !strings.Contains(out.String(), "keys") || strings.Count(out.String(), "\n") < 4 {
			t.Errorf("redis-cli --stat:\n%s", out.String())
		}
	})
}

func redisBenchmark(t *testing.T, c *cluster) {
	for _, args := range [][]string{
		{"-p", port(c.nodes[0].redis), "-n", "4000", "-c", "20", "-P", "8", "-r", "1000", "-t", "set,get,incr,hset", "-q"},
		{"-p", port(c.nodes[0].cluster), "--cluster", "-n", "4000", "-c", "20", "-P", "8", "-r", "1000", "-t", "set,get", "-q"},
	} {
		out, err := tool(t, "", "redis-benchmark", args...)
		if err != nil || strings.Contains(strings.ToLower(out), "error") || !strings.Contains(out, "requests per second") {
			t.Errorf("redis-benchmark %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// completion types into an interactive redis-cli, on a terminal.
func completion(t *testing.T, port string) {
	for _, name := range []string{"script", "redis-cli"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is not installed")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience*slow())
	defer cancel()
	cmd := exec.CommandContext(ctx, "script", "-qec", "stty cols 80; exec redis-cli -p "+port, filepath.Join(t.TempDir(), "typescript"))
	cmd.Env = append(os.Environ(), "TERM=xterm", "REDISCLI_HISTFILE=/dev/null")
	keys, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	for _, step := range []struct{ wait, keys string }{
		{"> ", "hgeta\t"},
		{"HGETALL", " r:61\r"},
		{`"name"`, "\x03"},
	} {
		await(t, patience, func() string {
			if text := out.String(); !strings.Contains(text, step.wait) {
				return fmt.Sprintf("redis-cli does not show %q: %q", step.wait, text)
			}
			return ""
		})
		if _, err := io.WriteString(keys, step.keys); err != nil {
			t.Fatal(err)
		}
	}
}

// lockedBuffer takes a program's output while it is looked at.
type lockedBuffer struct {
	mu struct {
		sync.Mutex
		b bytes.Buffer
	}
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.b.String()
}

// redisPy says what redis-py says at the beginning of a connection, and
// relies on of the answers what it relies on.
func redisPy(t *testing.T, c *cluster) {
	ask := func(cl *client, want byte, args ...string) resp.Value {
		t.Helper()
		v, err := cl.do(args...)
		if err != nil || v.Kind != want {
			t.Fatalf("%s: %q %v, not of kind %c", strings.Join(args, " "), v.Kind, err, want)
		}
		return v
	}
	one := &client{addr: c.nodes[2].redis}
	defer one.close()
	for _, args := range [][]string{
		{"CLIENT", "SETINFO", "LIB-NAME", "redis-py"}, {"CLIENT", "SETINFO", "LIB-VER", "5.2.1"},
		{"SELECT", "2"}, {"CLIENT", "SETNAME", "worker"}, {"SET", "py", "1", "PX", "60000"},
	} {
		ask(one, '+', args...)
	}
	ask(one, ':', "PTTL", "py")
	ask(one, '*', "MGET", "py", "none")
	ask(one, '-', "AUTH", "no", "such")
	ask(one, '%', "HELLO", "3", "SETNAME", "worker")
	ask(one, '%', "HGETALL", "none")
	many := &client{addr: c.nodes[2].cluster}
	defer many.close()
	slots := ask(many, '*', "CLUSTER", "SLOTS")
	covered := int64(0)
	for _, s := range slots.Elems {
		covered += s.Elems[1].Int - s.Elems[0].Int + 1
		if m := s.Elems[2]; m.Kind != '*' || len(m.Elems) < 3 || m.Elems[0].Text() == "" || m.Elems[1].Int == 0 || len(m.Elems[2].Text()) != 40 {
			t.Errorf("a master as %+v", m)
		}
	}
	if covered != 16384 {
		t.Errorf("CLUSTER SLOTS covers %d slots", covered)
	}
	ask(many, '+', "READONLY")
	for _, row := range ask(many, '*', "COMMAND").Elems {
		if n := len(row.Elems); n != 10 || row.Elems[1].Kind != ':' || row.Elems[3].Kind != ':' {
			t.Errorf("COMMAND has a row of %d elements: %+v", n, row.Elems)
		}
	}
	keys := ask(many, '*', "COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2").Elems
	if len(keys) != 2 || keys[0].Text() != "a" || keys[1].Text() != "b" {
		t.Errorf("COMMAND GETKEYS: %+v", keys)
	}
}
