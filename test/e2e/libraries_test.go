package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Programs around libraries that people build on, in test/clients.

// runJS runs a script to its end, which is the line ok.
func runJS(t *testing.T, limit time.Duration, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", append([]string{script}, args...)...).CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("it still runs after %v", limit)
	}
	if err != nil || !strings.HasSuffix(string(out), "ok\n") {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// modules is a directory with the scripts of dir and the packages they need.
func modules(t *testing.T, dir string) string {
	t.Helper()
	from := filepath.Join("../clients", dir)
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is not installed")
		}
	}
	if _, err := os.Stat(filepath.Join(from, "node_modules")); err == nil {
		return from
	}
	if !*flagNpm {
		t.Skipf("there are no packages in test/clients/%s: run npm install there, or give -e2e.npm", dir)
	}
	at := filepath.Join(t.TempDir(), dir)
	if err := os.CopyFS(at, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "", "npm", "install", "--prefix", at, "--no-audit", "--no-fund", "--silent"); err != nil {
		t.Skipf("npm does not install what test/clients/%s needs: %v\n%s", dir, err, out)
	}
	return at
}

// TestBullMQ: all its kinds of jobs, over keys of all partitions, while a leader is
// killed; and with a hash tag on the cluster listener.
func TestBullMQ(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	jobs := filepath.Join(modules(t, "bullmq"), "jobs.js") // skips before there is a cluster
	c := newCluster(t, 3)
	limit := 4 * time.Minute * slow()
	t.Run("cluster listener", func(t *testing.T) {
		runJS(t, limit, jobs, "cluster", c.nodes[0].cluster, "100", "many,prioritized,flows,dropped")
	})
	t.Run("standalone listener", func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(2 * time.Second)
			c.nodes[0].kill()
			time.Sleep(4 * time.Second)
			if err := c.nodes[0].launch(); err != nil {
				t.Error(err)
			}
		}()
		runJS(t, limit, jobs, "standalone", c.nodes[2].redis, "300")
		<-done
	})
}

// asynqResult is what the program test/clients/asynq says at its end.
type asynqResult struct {
	Tasks, Lost, Doubled, Left, Counted int
	Runs, Errors                        int64
	Seconds                             float64
}

// TestAsynq: a worker and its clients talk to one node, while others, which lead, are
// killed. No task is lost and none is run twice, though asynq may.
func TestAsynq(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	tasks, kills := *flagAsynq, 3
	build := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "asynq"), ".")
	build.Dir, build.Env = "../clients/asynq", os.Environ()
	if tasks == 0 {
		tasks, kills = 600, 1
		build.Env = append(build.Env, "GOPROXY=off")
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("asynq is not here (-e2e.asynq N fetches it): %v\n%s", err, out)
	}
	c := newCluster(t, 3)
	out, in := io.Pipe()
	p, err := startProcess(in, build.Args[3], "-addr", c.nodes[2].redis, "-tasks", strconv.Itoa(tasks), "-limit", "30m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go func() {
		<-p.done
		_ = in.CloseWithError(errors.Join(p.err, io.EOF))
	}()
	var r *asynqResult
	killed := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		done, err := strconv.Atoi(line)
		switch {
		case err != nil && strings.HasPrefix(line, "{"):
			r = new(asynqResult)
			if err := json.Unmarshal([]byte(line), r); err != nil {
				t.Fatal(err)
			}
		case err != nil:
			t.Log(line)
		case killed < kills && done >= tasks*(killed+1)/(kills+1): // it goes on meanwhile
			victim := c.nodes[killed%2]
			killed++
			t.Logf("%d tasks are done: node %d is killed", done, victim.number)
			victim.kill()
			time.Sleep(3 * time.Second)
			victim.start()
			c.awaitHealthy(3) // leadership is spread again: the next victim leads
		}
	}
	if <-p.done; p.err != nil || r == nil {
		t.Fatalf("the program ended with %v", p.err)
	}
	t.Logf("%+v", *r)
	if r.Lost+r.Doubled+r.Left > 0 || r.Runs != int64(tasks) || r.Counted != tasks || killed != kills {
		t.Errorf("of %d tasks %d were lost, %d run twice, %d are left, %d counted; %d leaders were killed",
			tasks, r.Lost, r.Doubled, r.Left, r.Counted, killed)
	}
}
