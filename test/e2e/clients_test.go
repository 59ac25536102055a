package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

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
		masters := 0
		err := cl.ForEachMaster(t.Context(), func(ctx context.Context, m *redis.Client) error {
			masters++
			return m.Ping(ctx).Err()
		})
		if err != nil || masters != 3 {
			t.Errorf("%d masters, %v", masters, err)
		}
	})
	t.Run("redis-cli", func(t *testing.T) { redisCLI(t, c) })
	t.Run("redis-benchmark", func(t *testing.T) { redisBenchmark(t, c) })
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
