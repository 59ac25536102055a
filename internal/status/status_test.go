package status

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ptr[T any](v T) *T { return &v }

func node(id uint64, port string) Node {
	return Node{
		ID: id, State: NodeAlive, Version: "1.2.3", PID: 40000 + int(id),
		Redis: "127.0.0.1:7" + port, Cluster: "127.0.0.1:71" + port[1:], Peer: "127.0.0.1:72" + port[1:], HTTP: "127.0.0.1:73" + port[1:],
		DiskUsed: ptr(int64(12 << 20)), DiskFree: ptr(int64(40 << 30)), HeardMillis: ptr(int64(20)),
	}
}

func healthy() *Cluster {
	c := &Cluster{
		ID: "3f9c2a7be1d04c55", Version: "1.2.3", AnsweredBy: 1, Time: time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC), ReplicasWanted: 3,
		Nodes:  []Node{node(1, "001"), node(2, "002"), node(3, "003")},
		Totals: Totals{OpsPerSecond: 48213.7, Keys: ptr(int64(1234567))},
	}
	spans := []string{"", "0-5460", "5461-10922", "10923-16383"}
	for i, span := range spans {
		id := uint64(i)
		c.Partitions = append(c.Partitions, Partition{
			ID: uint32(i), Slots: span, State: PartitionOK, Leader: id%3 + 1, Term: 2, Commit: 1000 * id, Applied: 1000 * id,
			Replicas: []Replica{
				{Node: 1, Replica: 3*id + 1, Role: Voter, Match: ptr(1000 * id), Lag: ptr(uint64(0))},
				{Node: 2, Replica: 3*id + 2, Role: Voter, Match: ptr(1000*id - id), Lag: ptr(id)},
				{Node: 3, Replica: 3*id + 3, Role: Voter, Match: ptr(1000 * id), Lag: ptr(uint64(0))},
			},
		})
	}
	c.Count()
	return c
}

// broken is a cluster of nodes on several machines that lost its majority in
// one partition and repairs another.
func broken() *Cluster {
	c := healthy()
	hosts := []string{"db1.example.net", "db2.example.net", "db3.example.net"}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.Zone = "rack-" + string(rune('a'+i))
		for _, a := range []*string{&n.Redis, &n.Cluster, &n.Peer, &n.HTTP} {
			_, port, _ := net.SplitHostPort(*a)
			*a = net.JoinHostPort(hosts[i], port)
		}
	}
	c.Nodes[0].Problem = "takes no writes: 200 MiB free on its disk, less than min-free-disk 256MiB"
	c.Nodes[1].Version = "1.3.0"
	c.Nodes[2].State, c.Nodes[2].HeardMillis, c.Nodes[2].DiskUsed, c.Nodes[2].DiskFree = NodeSuspect, ptr(int64(12_400)), nil, nil
	c.Partitions[1].State, c.Partitions[1].Replicas[2].Role = PartitionUnderReplicated, Learner
	c.Partitions[2].State, c.Partitions[2].Leader, c.Partitions[2].Replicas = PartitionUnavailable, 0, []Replica{{Node: 1, Role: Voter}, {Node: 3, Role: Voter}}
	c.Partitions[3].State = PartitionUnknown
	c.Partitions[3].Replicas[0].Snapshot = true
	c.Totals.Keys = nil
	c.Changes = []Change{{Partition: 1, What: "add a voter on node 3", Reason: "2 of 3 copies", Progress: "snapshot 40 of 96 MiB"}}
	c.Unknown = []string{"no quorum for partition 2: its leader and newest entries", "figures of node 3 are 12 s old"}
	c.Count()
	return c
}

func TestGolden(t *testing.T) {
	long := healthy()
	long.ID, long.Nodes = "", long.Nodes[:1]
	long.Nodes[0] = Node{ID: 1, State: NodeJoining, Redis: "a-rather-long-host-name.internal.example.net:6379", Peer: "10.11.12.13:7379", HTTP: "another-long-host-name.internal.example.net:8379"}
	for name, c := range map[string]*Cluster{
		"healthy": healthy(), "broken": broken(), "long": long, "empty": {},
	} {
		for _, format := range []string{"table", "json", "yaml"} {
			if format != "table" && name != "broken" {
				continue
			}
			var got bytes.Buffer
			if err := c.Write(&got, format); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+"."+format)
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s is not as in %s (%v); got:\n%s", name, path, err, got.String())
			}
			for line := range strings.Lines(got.String()) {
				if format == "table" && len([]rune(line)) > maxWidth+1 {
					t.Errorf("%s: wider than %d: %s", name, maxWidth, line)
				}
			}
		}
	}
}

// YAML and JSON say the same.
func TestYAMLIsJSON(t *testing.T) {
	var ya, js bytes.Buffer
	if err := broken().Write(&ya, "yaml"); err != nil {
		t.Fatal(err)
	}
	if err := broken().Write(&js, "json"); err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := yaml.Unmarshal(ya.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(js.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("they differ:\n%v\n%v", a, b)
	}
}

func TestMissing(t *testing.T) {
	c := healthy()
	if got := c.Missing(3); got != "" {
		t.Errorf("healthy: %q", got)
	}
	if got := c.Missing(4); got != "3 nodes of 4" {
		t.Errorf("one more node: %q", got)
	}
	c.Partitions[1].Replicas[2].Role = Learner
	if got := c.Missing(3); got != "3 partitions of 4 in order" {
		t.Errorf("a learner: %q", got)
	}
	if got := (&Cluster{Nodes: []Node{{State: NodeAlive}}}).Missing(1); got != "no partitions yet" {
		t.Errorf("no partitions: %q", got)
	}
	// Two nodes are one voter and one learner: that is all they can have, and
	// the partitions stay marked as under-replicated.
	two := healthy()
	two.Nodes = two.Nodes[:2]
	for i := range two.Partitions {
		p := &two.Partitions[i]
		p.Replicas, p.State = p.Replicas[:2], PartitionUnderReplicated
		p.Replicas[1].Role = Learner
	}
	if got := two.Missing(2); got != "" {
		t.Errorf("two nodes: %q", got)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 40 << 30: "40 GiB", 1023 << 10: "1023 KiB", 1<<20 - 1: "1.0 MiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{850 * time.Millisecond: "850ms", 12 * time.Second: "12s", 3 * time.Minute: "3m", 5 * time.Hour: "5h", 80 * time.Hour: "3d"} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc(Path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(healthy()) })
	good := httptest.NewServer(mux)
	defer good.Close()
	addr := strings.TrimPrefix(good.URL, "http://")
	c, err := Fetch(t.Context(), addr)
	if err != nil || !reflect.DeepEqual(c, healthy()) {
		t.Fatalf("got %+v, %v", c, err)
	}
	if _, err := Fetch(t.Context(), good.URL+"/"); err != nil {
		t.Errorf("a URL instead of an address: %v", err)
	}

	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(`{"hello":1}`)) }))
	defer other.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	redis := listen(t, "-ERR unknown command\r\n")
	silent := listen(t, "")
	closed := listen(t, "")
	_ = closed.Close()
	for _, tc := range []struct{ name, addr, want string }{
		{"another server", strings.TrimPrefix(other.URL, "http://"), "answers HTTP but is no Coterie node; name a node's HTTP address"},
		{"not found", strings.TrimPrefix(missing.URL, "http://"), "404"},
		{"a Redis port", redis.Addr().String(), "does not speak HTTP"},
		{"nothing there", closed.Addr().String(), "nothing listens at"},
		{"hangs", silent.Addr().String(), "did not answer in time"},
		{"no address", "not an address", "no HOST:PORT"},
		{"no such host", "nowhere.invalid:1", "cannot ask nowhere.invalid:1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := Fetch(ctx, tc.addr)
		cancel()
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q in one line", tc.name, err, tc.want)
		}
	}
}

// listen answers every connection with text, or never if that is empty.
func listen(t *testing.T, text string) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			if text != "" {
				_, _ = conn.Read(make([]byte, 1024)) // else net/http complains of an early answer
				_, _ = conn.Write([]byte(text))
			}
		}
	}()
	return ln
}
