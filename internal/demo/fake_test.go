package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"coterie/internal/status"
)

// The test binary plays the program when its first argument is "start": a
// node with an HTTP front and a peer port where others announce themselves,
// and nothing behind them. With "demo" it runs a demo.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "start":
			fakeNode(os.Args[2:])
			return
		case "demo":
			if err := Run(context.Background(), Config{Executable: os.Args[0], Out: os.Stdout}); err != nil {
				fail(err)
			}
			return
		}
	}
	// Without it each race-detecting process lingers for a second.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		fail(err)
	}
	os.Exit(m.Run())
}

func fakeNode(args []string) {
	flags := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		flags[strings.TrimPrefix(args[i], "--")] = args[i+1]
	}
	if flags["zone"] == "broken" {
		fmt.Fprintln(os.Stderr, "coterie: the disk is on fire; buy another")
		os.Exit(1)
	}
	dir := flags["data-dir"]
	if err := os.MkdirAll(dir, 0o755); err != nil {
		fail(err)
	}
	self := status.Node{PID: os.Getpid(), State: status.NodeAlive, HTTP: flags["http-listen"], Redis: flags["listen"], Peer: flags["peer-listen"]}
	var mu sync.Mutex
	nodes := []status.Node{self}
	// The membership is a file in the first node's directory, so that a
	// restarted demo finds its nodes again; good enough for one machine.
	list := filepath.Join(filepath.Dir(filepath.Dir(dir)), "members")
	read := func() []status.Node {
		mu.Lock()
		defer mu.Unlock()
		if data, err := os.ReadFile(list); err == nil {
			_ = json.Unmarshal(data, &nodes)
		}
		i := slices.IndexFunc(nodes, func(n status.Node) bool { return n.HTTP == self.HTTP })
		if i < 0 {
			i = len(nodes)
			nodes = append(nodes, self)
		}
		nodes[i] = self
		for i := range nodes {
			nodes[i].ID = uint64(i + 1)
		}
		return slices.Clone(nodes)
	}
	if data, err := json.Marshal(read()); err == nil {
		if err := os.WriteFile(filepath.Join(dir, "new"), data, 0o600); err != nil {
			fail(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), list); err != nil {
			fail(err)
		}
		_ = os.WriteFile(filepath.Join(dir, "data"), nil, 0o600)
	}
	ln, err := net.Listen("tcp", self.HTTP)
	if err != nil {
		fail(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() { fail(http.Serve(ln, fakeStatus(self, read))) }()
	<-stop
}

func fakeStatus(self status.Node, read func() []status.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := status.Cluster{ID: "fake", ReplicasWanted: 3, Nodes: read()}
		var alive []uint64
		for i := range c.Nodes {
			n := &c.Nodes[i]
			if n.HTTP == self.HTTP {
				c.AnsweredBy = n.ID
			}
			if conn, err := net.Dial("tcp", n.HTTP); err == nil {
				_ = conn.Close()
				alive = append(alive, n.ID)
			} else {
				n.State = status.NodeDead
			}
		}
		for id := range 3 {
			p := status.Partition{ID: uint32(id), State: status.PartitionOK, Leader: alive[id%len(alive)]}
			for _, n := range c.Nodes {
				p.Replicas = append(p.Replicas, status.Replica{Node: n.ID, Role: status.Voter})
			}
			c.Partitions = append(c.Partitions, p)
		}
		c.Count()
		_ = json.NewEncoder(w).Encode(c)
	})
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
