package redisfront

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"coterie/internal/base"
)

// twoNodes is a cluster of which only node 1 exists; node 2 is elsewhere.
func twoNodes() []Node {
	return []Node{
		{ID: 1, Name: fakeName(1), Redis: "127.0.0.1:1", Cluster: "127.0.0.1:1001", Alive: true},
		{ID: 2, Name: fakeName(2), Redis: "127.0.0.1:2", Cluster: "127.0.0.1:1002", Alive: true},
	}
}

func TestDividedCommands(t *testing.T) {
	for _, mode := range []fakeMode{fakeLoop, fakeDelays} {
		r := newFake(t, mode, 7)
		addr, _ := serveFake(t, r, Limits{})
		c := dial(t, addr)
		for _, tc := range []struct{ in, want string }{
			{"MSET a 1 b 2 c 3 d 4 e 5", "+OK\r\n"},
			{"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"},
			{"MGET e a nokey c", "*4\r\n$1\r\n5\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n"},
			{"EXISTS a b c a nokey", ":4\r\n"},
			{"DBSIZE", ":5\r\n"},
			{"RENAME a b", "+OK\r\n"},
			{"MGET a b", "*2\r\n$-1\r\n$1\r\n1\r\n"},
			{"COPY b a", ":1\r\n"},
			{"MSETNX new 1 a 2", ":0\r\n"},
			{"DEL a b nokey", ":2\r\n"},
			{"SELECT 3", "+OK\r\n"},
			{"DBSIZE", ":0\r\n"},
			{"RANDOMKEY", "$-1\r\n"},
			{"MSET x 1 y 2", "+OK\r\n"},
			{"FLUSHDB NOW", "-ERR syntax error\r\n"},
			{"FLUSHDB ASYNC", "+OK\r\n"},
			{"DBSIZE", ":0\r\n"},
			{"SELECT 0", "+OK\r\n"},
			{"DBSIZE", ":3\r\n"},
			{"SET onlyone 1", "+OK\r\n"},
			{"FLUSHALL", "+OK\r\n"},
			{"DBSIZE", ":0\r\n"},
			{"SET onlyone 1", "+OK\r\n"},
			{"RANDOMKEY", "$7\r\nonlyone\r\n"},
			{"KEYS *", "*1\r\n$7\r\nonlyone\r\n"},
			{"SET a 12345", "+OK\r\n"},
			{"MEMORY USAGE a", ":38\r\n"},
			{"MEMORY USAGE nokey", "$-1\r\n"},
			{"OBJECT HELP x", "-ERR wrong number of arguments for 'object|help' command\r\n"},
			{"SCAN x", "-ERR invalid cursor\r\n"},
		} {
			c.send(tc.in + "\r\n")
			if got := c.reply(); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.in, got, tc.want)
			}
		}
	}
}

func TestScanOverPartitions(t *testing.T) {
	r := newFake(t, fakeDelays, 4, twoNodes()...)
	addr, clusterAddr := serveFake(t, r, Limits{})
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	ctx := context.Background()
	want, led := map[string]bool{}, map[string]bool{}
	for i := range 300 {
		k := fmt.Sprintf("key:%d", i)
		want[k] = true
		if r.Directory().BySlot(base.KeySlot([]byte(k))).Leader == 1 {
			led[k] = true
		}
		if err := c.Set(ctx, k, i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		addr string
		want map[string]bool
	}{{addr, want}, {clusterAddr, led}} {
		one := redis.NewClient(&redis.Options{Addr: tc.addr})
		defer one.Close()
		got := map[string]bool{}
		it := one.Scan(ctx, 0, "*", 10).Iterator()
		for it.Next(ctx) {
			if got[it.Val()] {
				t.Errorf("%s came twice", it.Val())
			}
			got[it.Val()] = true
		}
		if it.Err() != nil || len(got) != len(tc.want) {
			t.Fatalf("%d of %d keys, %v", len(got), len(tc.want), it.Err())
		}
		for k := range got {
			if !tc.want[k] {
				t.Errorf("%s is not there", k)
			}
		}
		if n := one.DBSize(ctx).Val(); n != int64(len(tc.want)) {
			t.Errorf("DBSIZE %d", n)
		}
		if l := one.Keys(ctx, "*").Val(); len(l) != len(tc.want) {
			t.Errorf("KEYS answers %d", len(l))
		}
	}
}

func TestClusterListener(t *testing.T) {
	r := newFake(t, fakeLoop, 4, twoNodes()...)
	addr, clusterAddr := serveFake(t, r, Limits{})
	c := dial(t, clusterAddr)
	check := func(in, want string) {
		t.Helper()
		c.send(in + "\r\n")
		if got := c.reply(); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	// "bar" is in slot 5061, led by node 2; "foo" in 12182, led by node 1.
	check("SET bar 1", "-MOVED 5061 127.0.0.1:1002\r\n")
	check("GET {bar}x", "-MOVED 5061 127.0.0.1:1002\r\n")
	check("SET {b} 1", "+OK\r\n")
	check("MGET {b}1 {b}2", "*2\r\n$-1\r\n$-1\r\n")
	check("MGET foo bar", "-CROSSSLOT Keys in request don't hash to the same slot\r\n")
	check("WATCH foo bar", "-CROSSSLOT Keys in request don't hash to the same slot\r\n")
	check("SELECT 1", "-ERR SELECT is not allowed in cluster mode\r\n")
	check("SELECT 0", "+OK\r\n")
	check("SWAPDB 0 1", "-ERR SWAPDB is not allowed in cluster mode\r\n")
	check("MOVE {b} 1", "-ERR MOVE is not allowed in cluster mode\r\n")
	check("COPY {b} {b}2 DB 1", "-ERR Copying to another database is not allowed in cluster mode\r\n")
	check("COPY {b} {b}2 DB x", "-ERR value is not an integer or out of range\r\n")
	check("COPY {b} {b}2 DB 99", "-ERR DB index is out of range\r\n")
	check("COPY {b}3 {b}4 DB 0", ":0\r\n")
	check("READONLY", "+OK\r\n")
	check("CLUSTER KEYSLOT bar", ":5061\r\n")
	check("CLUSTER MYID", "$40\r\n"+fakeName(1)+"\r\n")
	check("CLUSTER COUNTKEYSINSLOT 99999", "-ERR Invalid slot\r\n")
	check("CLUSTER COUNTKEYSINSLOT 3300", ":1\r\n")
	check("CLUSTER COUNTKEYSINSLOT 3301", ":0\r\n")
	check("CLUSTER GETKEYSINSLOT 3300 10", "*1\r\n$3\r\n{b}\r\n")
	check("CLUSTER GETKEYSINSLOT 3300 x", "-ERR Invalid number of keys\r\n")
	check("CLUSTER NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.\r\n")
	slots := "*4\r\n"
	for _, s := range []struct{ lo, hi, node int }{{0, 4095, 1}, {8192, 12287, 1}, {4096, 8191, 2}, {12288, 16383, 2}} {
		slots += fmt.Sprintf("*3\r\n:%d\r\n:%d\r\n*4\r\n$9\r\n127.0.0.1\r\n:%d\r\n$40\r\n%s\r\n*0\r\n", s.lo, s.hi, 1000+s.node, fakeName(base.NodeID(s.node)))
	}
	check("CLUSTER SLOTS", slots)
	nodes := c.do("CLUSTER", "NODES")
	for _, l := range []string{
		fakeName(1) + " 127.0.0.1:1001@1001 myself,master - 0 0 7 connected 0-4095 8192-12287\n",
		fakeName(2) + " 127.0.0.1:1002@1002 master - 0 0 7 connected 4096-8191 12288-16383\n",
	} {
		if !strings.Contains(nodes, l) {
			t.Errorf("CLUSTER NODES lacks %q: %q", l, nodes)
		}
	}
	if info := c.do("CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok\r\n") || !strings.Contains(info, "cluster_size:2\r\n") {
		t.Errorf("CLUSTER INFO: %q", info)
	}
	s := dial(t, addr)
	for _, in := range []string{"INFO", "SLOTS", "NODES", "MYID", "COUNTKEYSINSLOT 1"} {
		s.send("CLUSTER " + in + "\r\n")
		if got := s.reply(); got != "-ERR This instance has cluster support disabled\r\n" {
			t.Errorf("CLUSTER %s: %q", in, got)
		}
	}
	if got := s.do("SET", "bar", "1"); got != "+OK\r\n" {
		t.Errorf("the standalone listener redirects: %q", got)
	}
}

// A leader that is not known, or that no cluster client could reach, is no
// reason to redirect: the node takes the request itself.
func TestNoRedirectionToNowhere(t *testing.T) {
	nodes := twoNodes()
	nodes[1].Cluster = ""
	r := newFake(t, fakeLoop, 4, nodes...)
	_, clusterAddr := serveFake(t, r, Limits{})
	if got := dial(t, clusterAddr).do("SET", "bar", "1"); got != "+OK\r\n" {
		t.Fatal(got)
	}
}

func TestGoRedis(t *testing.T) {
	ctx := context.Background()
	for _, proto := range []int{2, 3} {
		r := newFake(t, fakeDelays, 5)
		addr, _ := serveFake(t, r, Limits{})
		c := redis.NewClient(&redis.Options{Addr: addr, Protocol: proto, DB: 2, ClientName: "test"})
		defer c.Close()
		cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 1000 {
				p.Set(ctx, fmt.Sprint("k", i), i, 0)
				p.Get(ctx, fmt.Sprint("k", i))
				p.Incr(ctx, "n")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := cmds[2999].(*redis.IntCmd).Val(); got != 1000 {
			t.Errorf("the counter is %d", got)
		}
		for i := range 1000 {
			if got := cmds[3*i+1].(*redis.StringCmd).Val(); got != fmt.Sprint(i) {
				t.Fatalf("k%d = %q", i, got)
			}
		}
		if v, err := c.MGet(ctx, "k1", "nokey", "k999").Result(); err != nil || v[0] != "1" || v[1] != nil || v[2] != "999" {
			t.Errorf("MGET: %v, %v", v, err)
		}
		info, err := c.ClientInfo(ctx).Result()
		if err != nil || info.Name != "test" || info.DB != 2 || info.LibName == "" {
			t.Errorf("CLIENT INFO: %+v, %v", info, err)
		}
		all, err := c.Command(ctx).Result()
		if err != nil || all["set"] == nil || all["set"].FirstKeyPos != 1 || all["get"].ReadOnly != true {
			t.Errorf("COMMAND: %v, %v", all["set"], err)
		}
		text, err := c.Info(ctx, "everything").Result()
		for _, want := range []string{"redis_version:7.2.4", "coterie_version:test", "redis_mode:standalone", "maxmemory_policy:noeviction", "cmdstat_set:calls=1000,", "db2:keys=1001,", "cluster_enabled:0"} {
			if err != nil || !strings.Contains(text, want) {
				t.Errorf("INFO lacks %q (%v)", want, err)
			}
		}
		if conf, err := c.ConfigGet(ctx, "*max*").Result(); err != nil || conf["maxmemory"] != "0" || conf["maxclients"] != "10000" {
			t.Errorf("CONFIG GET: %v, %v", conf, err)
		}
		if err := c.ConfigSet(ctx, "databases", "32").Err(); err == nil {
			t.Error("CONFIG SET databases is accepted")
		}
		if log, err := c.SlowLogGet(ctx, 10).Result(); err != nil {
			t.Errorf("SLOWLOG: %v, %v", log, err)
		}
	}
}

func TestSlowLog(t *testing.T) {
	r := newFake(t, fakeLoop, 5)
	addr, _ := serveFake(t, r, Limits{})
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	ctx := context.Background()
	if err := c.ConfigSet(ctx, "slowlog-log-slower-than", "0").Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		c.Set(ctx, fmt.Sprint(i), strings.Repeat("x", 500), 0)
	}
	log, err := c.SlowLogGet(ctx, 2).Result()
	if err != nil || len(log) != 2 || log[0].ID != 200 || log[0].Args[1] != "199" || !strings.HasSuffix(log[0].Args[2], "... (372 more bytes)") {
		t.Fatalf("%+v, %v", log, err)
	}
	if n, err := c.Do(ctx, "SLOWLOG", "LEN").Int(); n != 128 || err != nil {
		t.Errorf("length %d, %v", n, err)
	}
	if h, err := c.Do(ctx, "LATENCY", "HISTOGRAM", "set").Result(); err != nil || fmt.Sprint(h) == "map[]" {
		t.Errorf("LATENCY HISTOGRAM: %v, %v", h, err)
	}
}

// Three fronts over one fake cluster, as cluster clients see them.
func TestClusterClient(t *testing.T) {
	var nodes []Node
	var listeners []net.Listener
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		id := base.NodeID(i + 1)
		nodes = append(nodes, Node{ID: id, Name: fakeName(id), Cluster: l.Addr().String(), Alive: true})
	}
	shared := newFake(t, fakeSync, 6, nodes...)
	for i, l := range listeners {
		own := &fakeRouter{mode: fakeSync, parts: shared.parts}
		d := shared.Directory()
		own.dir.Store(NewDirectory(7, nodes[i].ID, d.Partitions(), nodes))
		own.front = New(Options{Router: own, Broker: newBroker(t), Table: fakeTable(), Version: "test"})
		t.Cleanup(own.front.Close)
		go func() { _ = own.front.Serve(l, Cluster) }()
	}
	ctx := context.Background()
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].Cluster}})
	defer c.Close()
	for i := range 300 {
		if err := c.Set(ctx, fmt.Sprint("k", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var total atomic.Int64
	if err := c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error {
		n, err := m.DBSize(ctx).Result()
		if n == 0 {
			return fmt.Errorf("%s has no keys", m)
		}
		total.Add(n)
		return err
	}); err != nil || total.Load() < 300 {
		t.Fatal(total.Load(), err)
	}
	for i := range 300 {
		if v, err := c.Get(ctx, fmt.Sprint("k", i)).Result(); err != nil || v != fmt.Sprint(i) {
			t.Fatalf("k%d: %q, %v", i, v, err)
		}
	}
	out := tool(t, "redis-cli", "--cluster", "check", nodes[0].Cluster)
	if !strings.Contains(out, "All 16384 slots covered") || !strings.Contains(out, "agree about slots") {
		t.Errorf("redis-cli --cluster check:\n%s", out)
	}
	_, port, _ := net.SplitHostPort(nodes[1].Cluster)
	out = tool(t, "redis-benchmark", "--cluster", "-p", port, "-t", "set", "-n", "2000", "-q")
	if !strings.Contains(out, "requests per second") {
		t.Errorf("redis-benchmark --cluster:\n%s", out)
	}
	out = tool(t, "redis-cli", "-c", "-p", port, "GET", "k7")
	if strings.TrimSpace(out) != "7" {
		t.Errorf("redis-cli -c: %q", out)
	}
}

// tool runs a program of Redis's, if it is there.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestRedisCLI(t *testing.T) {
	r := newFake(t, fakeLoop, 5)
	addr, _ := serveFake(t, r, Limits{})
	_, port, _ := net.SplitHostPort(addr)
	cli := func(args ...string) string {
		return tool(t, "redis-cli", append([]string{"-p", port}, args...)...)
	}
	cli("MSET", "a", "1", "b", "2", "c", "3")
	if out := cli("--bigkeys"); !strings.Contains(out, "Sampled 3 keys") {
		t.Errorf("--bigkeys:\n%s", out)
	}
	scan := strings.Fields(cli("--scan"))
	sort.Strings(scan)
	if fmt.Sprint(scan) != "[a b c]" {
		t.Errorf("--scan: %v", scan)
	}
	if out := cli("-3", "HELLO"); !strings.Contains(out, "proto") {
		t.Errorf("-3: %s", out)
	}
	if out := cli("HELP", "GET"); !strings.Contains(out, "GET") {
		t.Errorf("HELP GET: %s", out)
	}
	if out := cli("COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2"); out != "a\nb\n" {
		t.Errorf("GETKEYS: %q", out)
	}
	out := tool(t, "redis-benchmark", "-p", port, "-n", "5000", "-P", "16", "-q", "-t", "set,get")
	if strings.Count(out, "requests per second") != 2 {
		t.Errorf("redis-benchmark:\n%s", out)
	}
}

func TestMetrics(t *testing.T) {
	r := newFake(t, fakeLoop, 5)
	addr, _ := serveFake(t, r, Limits{})
	c := dial(t, addr)
	c.do("SET", "a", "1")
	c.do("SET", "a")
	c.do("FOO")
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(r.front); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		seen[f.GetName()] = true
	}
	for _, name := range []string{"coterie_redis_command_duration_seconds", "coterie_redis_command_rejected_total", "coterie_redis_errors_total", "coterie_redis_connections"} {
		if !seen[name] {
			t.Errorf("%s is not collected", name)
		}
	}
}
