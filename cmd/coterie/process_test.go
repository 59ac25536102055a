package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running coterie whose output is kept.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	text strings.Builder
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// launch starts coterie with arguments; it is killed at the end of the test
// at the latest.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: coterie(t, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done })
	return p
}

// see waits until the output matches, and returns the groups.
func (p *process) see(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(p.output()); m != nil {
			return m
		}
	}
	t.Fatalf("no %q in:\n%s", pattern, p.output())
	return nil
}

// end sends a signal and returns the exit code.
func (p *process) end(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not stop:\n%s", p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// redis sends one command to a Redis address, until it is answered without an
// error or time is up.
func redis(t *testing.T, addr, command string) string {
	t.Helper()
	last := ""
	for begun := time.Now(); time.Since(begun) < 15*time.Second; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			last = err.Error()
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, command+"\r\n")
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if strings.HasPrefix(line, "$") && line != "$-1\r\n" {
			line, err = r.ReadString('\n')
		}
		_ = conn.Close()
		if last = strings.TrimSpace(line); err == nil && !strings.HasPrefix(last, "-") {
			return last
		}
	}
	t.Fatalf("%s at %s: %s", command, addr, last)
	return ""
}

// The first thing a newcomer does, with real nodes: start the demo, write,
// kill a node that leads, write on, stop.
func TestDemoWithRealNodes(t *testing.T) {
	d := launch(t, "demo")
	text := d.see(t, `(?s).*Ctrl-C stops the nodes and removes their data\.`)[0]
	nodes := regexp.MustCompile(`(?m)^\d +(\d+) +(127\S+) `).FindAllStringSubmatch(text, -1)
	if len(nodes) != 3 {
		t.Fatalf("no three nodes in:\n%s", text)
	}
	for i := range 20 {
		redis(t, nodes[i%3][2], fmt.Sprintf("SET key-%d %d", i, i))
	}
	victim, _ := strconv.Atoi(regexp.MustCompile(`kill -9 (\d+)`).FindStringSubmatch(text)[1])
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if got := redis(t, nodes[0][2], fmt.Sprintf("GET key-%d", i)); got != strconv.Itoa(i) {
			t.Errorf("key-%d is %q", i, got)
		}
		redis(t, nodes[0][2], fmt.Sprintf("SET key-%d again", i))
	}
	d.see(t, fmt.Sprintf(`(?s)\(pid %d\) is gone, ended by signal: killed.*start it again with`, victim))
	if code := d.end(t, os.Interrupt); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.output())
	}
	for _, n := range nodes {
		if pid, _ := strconv.Atoi(n[1]); syscall.Kill(pid, 0) == nil {
			t.Errorf("node %d still runs", pid)
		}
	}
}

// listeners are flags that let a node listen on free ports.
var listeners = []string{"--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"}

func startArgs(dir string, more ...string) []string {
	return append(append([]string{"start", "--data-dir", dir}, listeners...), more...)
}

func TestStartStopRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	a := launch(t, startArgs(dir)...)
	addr := a.see(t, `(?m)^  redis +(\S+)`)[1]
	a.see(t, `node 1 of cluster [0-9a-f]+ \(founded\)`)
	redis(t, addr, "SET k v")

	// Mistakes around a running node, each one line.
	peer, http := a.see(t, `(?m)^  peers +(\S+)`)[1], a.see(t, `(?m)^  http +(\S+)`)[1]
	foreign := filepath.Join(t.TempDir(), "foreign")
	if err := os.MkdirAll(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "letter.txt"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"the directory is in use", startArgs(dir), "data"},
		{"the port is in use", startArgs(filepath.Join(t.TempDir(), "b"), "--listen", addr), "cannot listen on " + addr},
		{"join the Redis port", startArgs(filepath.Join(t.TempDir(), "b"), "--join", addr), "--join"},
		{"join the HTTP port", startArgs(filepath.Join(t.TempDir(), "b"), "--join", http), "--join"},
		{"join nobody", startArgs(filepath.Join(t.TempDir(), "b"), "--join", nobody.Addr().String()), "--join"},
		{"a directory of something else", startArgs(foreign), foreign},
	} {
		r := finish(t, coterie(t, tc.args...))
		if r.code != exitError || !strings.Contains(r.err, tc.want) || strings.Count(lastBlock(r.err), "\n") != 1 || r.out != "" {
			t.Errorf("%s: code %d, %q lacks %q", tc.name, r.code, r.err, tc.want)
		}
	}
	if left, _ := os.ReadDir(foreign); len(left) != 1 {
		t.Errorf("something was left in a foreign directory: %v", left)
	}

	// A second node joins by the peer address; both stop and come back.
	dirB := filepath.Join(t.TempDir(), "b")
	b := launch(t, startArgs(dirB, "--join", peer)...)
	b.see(t, `node 2 of cluster [0-9a-f]+ \(joined\)`)
	if got := redis(t, b.see(t, `(?m)^  redis +(\S+)`)[1], "GET k"); got != "v" {
		t.Errorf("the second node answers %q", got)
	}
	if code := b.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("node 2 ended with %d:\n%s", code, b.output())
	}
	if code := a.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("node 1 ended with %d:\n%s", code, a.output())
	}
	a = launch(t, startArgs(dir, "--peer-listen", peer)...)
	a.see(t, `node 1 of cluster [0-9a-f]+ \(restarted\)`)
	b = launch(t, startArgs(dirB)...)
	b.see(t, `\(restarted\)`)
	if got := redis(t, a.see(t, `(?m)^  redis +(\S+)`)[1], "GET k"); got != "v" {
		t.Errorf("after the restart: %q", got)
	}
}

// lastBlock is what follows the log's lines on standard error.
func lastBlock(s string) string {
	if i := strings.LastIndex(s, "coterie: "); i >= 0 {
		return s[i:]
	}
	return s
}
