package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDiskFull: a node whose disk is almost full takes no writes and says
// why, and goes on when there is space; one that really runs out of disk in
// the middle of a write stops. The others serve on, and what was acknowledged
// is there.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Run("floor", diskFloor)
	t.Run("ENOSPC", diskGone)
}

// onTmpfs starts a cluster whose last node lives on a small file system.
func onTmpfs(t *testing.T, bytes int, flags ...string) (c *cluster, small *node, dir string) {
	t.Helper()
	dir = mountTmpfs(t, bytes)
	c = &cluster{t: t}
	c.add("--request-timeout", "2s")
	c.add("--request-timeout", "2s")
	small = newNode(t, 3, append([]string{"--request-timeout", "2s"}, flags...)...)
	small.data = filepath.Join(dir, "data")
	small.start("--join", c.nodes[0].peer)
	c.nodes = append(c.nodes, small)
	c.awaitHealthy(3)
	return c, small, dir
}

// fill writes a file until the file system has only the given number of bytes
// left.
func fill(t *testing.T, path string, bytes int) {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, bytes), 0o644); err != nil {
		t.Fatal(err)
	}
}

func diskFloor(t *testing.T) {
	c, small, dir := onTmpfs(t, 128<<20, "--min-free-disk", "64MiB")
	cl := &client{addr: small.redis}
	defer cl.close()
	keys := onePerPartition(t, small)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast, 90<<20)

	await(t, patience, func() string {
		code, body, err := small.get("/readyz")
		if err != nil || code != 503 || !strings.Contains(body, "disk almost full") || !strings.Contains(body, "--min-free-disk") {
			return fmt.Sprintf("/readyz: %d %q %v", code, body, err)
		}
		s, err := c.nodes[0].status()
		if err != nil {
			return err.Error()
		}
		for _, n := range s.Nodes {
			if n.ID == 3 && (!strings.Contains(n.Problem, "disk almost full") || n.Leaders > 0) {
				return fmt.Sprintf("node 1 sees node 3 with problem %q, leading %d", n.Problem, n.Leaders)
			}
		}
		return ""
	})
	// Leadership went to nodes that can write: through this one too.
	for _, k := range keys {
		if v, err := cl.do("SET", k, "while full"); err != nil || v.Err() != nil {
			t.Errorf("SET %s through the full node: %q %v", k, v.Text(), err)
		}
		if v, err := cl.do("GET", k); err != nil || v.Text() != "while full" {
			t.Errorf("GET %s through the full node: %q %v", k, v.Text(), err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c.awaitHealthy(3)

	// A node on its own has nobody to hand over to: its clients are told.
	alone := newNode(t, 1, "--min-free-disk", "64MiB")
	alone.data = filepath.Join(dir, "alone")
	alone.start()
	acl := &client{addr: alone.redis}
	defer acl.close()
	fill(t, ballast, 70<<20)
	await(t, patience, func() string {
		v, err := acl.do("SET", "k", "v")
		if err != nil || v.Err() == nil || !strings.HasPrefix(v.Text(), "MISCONF") || !strings.Contains(v.Text(), "disk almost full") {
			return fmt.Sprintf("SET answers %q %v", v.Text(), err)
		}
		return ""
	})
	if v, err := acl.do("GET", "k"); err != nil || v.Err() != nil {
		t.Errorf("GET on a full node: %q %v", v.Text(), err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(t, patience, func() string {
		if v, err := acl.do("SET", "k", "v"); err != nil || v.Err() != nil {
			return fmt.Sprintf("SET answers %q %v", v.Text(), err)
		}
		return ""
	})
}

func diskGone(t *testing.T) {
	const size = 48 << 20
	c, small, dir := onTmpfs(t, size, "--min-free-disk", "0")
	acked := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	stop := make(chan struct{})
	big := strings.Repeat("x", 32<<10)
	for w := range 6 {
		n := c.nodes[w%3]
		cl := &client{addr: n.redis}
		wg.Go(func() {
			defer cl.close()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key, value := fmt.Sprintf("d:%d:%d", w, i), fmt.Sprintf("%d-%d-%s", w, i, big)
				v, err := cl.do("SET", key, value)
				switch {
				case err == nil && v.Err() == nil:
					mu.Lock()
					acked[key] = value
					mu.Unlock()
				case n == small && err == nil && strings.HasPrefix(v.Text(), "MISCONF"):
					return // it says so: that is what is wanted
				case err != nil || !unknownOutcome(v) && n != small:
					t.Errorf("client of node %d: %q %v", n.number, v.Text(), err)
					return
				}
			}
		})
	}
	await(t, 2*patience*slow(), func() string {
		code, body, err := small.get("/readyz")
		if err != nil || code != 503 || !strings.Contains(body, "no space left") {
			return fmt.Sprintf("/readyz: %d %q %v", code, body, err)
		}
		return ""
	})
	time.Sleep(time.Second) // the others serve on
	close(stop)
	wg.Wait()
	cl := &client{addr: small.redis}
	if v, err := cl.do("SET", "d", "v"); err != nil || !strings.HasPrefix(v.Text(), "MISCONF") {
		t.Errorf("a client of the stopped node is told %q %v", v.Text(), err)
	}
	cl.close()
	if small.running().ended() {
		t.Error("the process ended; it should say what is wrong")
	}
	for _, n := range c.nodes[:2] {
		if code, body, err := n.get("/readyz"); code != 200 {
			t.Errorf("node %d, /readyz: %d %q %v", n.number, code, body, err)
		}
	}
	if err := small.stop(); err != nil {
		t.Errorf("stopping the full node: %v", err)
	}
	remountTmpfs(t, dir, 1<<30)
	small.start()
	c.awaitHealthy(3)
	checkAll(t, small, acked)
	t.Logf("%d acknowledged writes of 32 KiB are there", len(acked))
}
