package demo

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// screen is what the demo printed so far.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// wait waits until the screen matches the pattern and returns the groups.
func (s *screen) wait(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m
		}
	}
	t.Fatalf("the demo did not print %q; it printed:\n%s", pattern, s.String())
	return nil
}

// begin runs a demo; the function it returns ends it and gives its error.
func begin(t *testing.T, cfg Config) (*screen, func() error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := &screen{}
	cfg.Executable, cfg.Command, cfg.Version, cfg.Out = exe, "coterie", "1.2.3", out
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	var once sync.Once
	end := func() (err error) {
		once.Do(func() {
			cancel()
			select {
			case err = <-done:
			case <-time.After(10 * time.Second):
				t.Error("the demo does not stop")
			}
		})
		return err
	}
	t.Cleanup(func() { _ = end() })
	return out, end
}

// running says whether a process is there and not just waiting to be reaped.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestDemo(t *testing.T) {
	t.Setenv("COTERIE_JOIN", "127.0.0.1:1") // must not reach the nodes
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	out, end := begin(t, Config{})
	out.wait(t, "Coterie 1.2.3: 3 nodes, 3 partitions, up in ")
	text := out.wait(t, `(?s).*Ctrl-C stops the nodes and removes their data\.\n`)[0]
	for _, want := range []string{"redis-cli -p 7", "redis-cli -c -p 7", "coterie status --http 127.0.0.1:7", "coterie bench --addr 127.0.0.1:7", "node-N/{data,log}", "leads 1 partition)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the welcome lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 120 {
			t.Errorf("a long line: %s", line)
		}
	}

	// Somebody follows the advice.
	victim, _ := strconv.Atoi(out.wait(t, `kill -9 (\d+)`)[1])
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	out.wait(t, fmt.Sprintf(`node 2 \(pid %d\) is gone, ended by signal: killed\n`, victim))
	out.wait(t, `the cluster goes on without it: every partition has a leader`)
	again := strings.Fields(out.wait(t, `start it again with:\n  coterie (start .*)\n`)[1])

	// … and starts it again by hand.
	exe, _ := os.Executable()
	byHand, err := os.StartProcess(exe, append([]string{exe}, again...), &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	go func() { _, _ = byHand.Wait(); close(reaped) }()
	out.wait(t, fmt.Sprintf(`node 2 is back \(pid %d\)`, byHand.Pid))

	if err := end(); err != nil {
		t.Fatal(err)
	}
	out.wait(t, "stopped; .* is removed")
	select {
	case <-reaped:
	case <-time.After(5 * time.Second):
		t.Error("the node that was started by hand still runs")
		_ = byHand.Kill()
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
	for _, m := range regexp.MustCompile(`(?m)^\d +(\d+)`).FindAllStringSubmatch(text, -1) {
		if pid, _ := strconv.Atoi(m[1]); running(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

func TestKeptDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space")
	out, end := begin(t, Config{DataDir: dir, Nodes: 2})
	port := out.wait(t, `redis-cli -p (\d+)`)[1]
	if err := end(); err != nil {
		t.Fatal(err)
	}
	out.wait(t, `start it again with: coterie demo --data-dir '`+dir+`'`)

	// The same nodes on the same ports, without being told; one more is fine.
	out, end = begin(t, Config{DataDir: dir, Nodes: 3})
	out.wait(t, `3 nodes, 3 partitions, started again in`)
	if got := out.wait(t, `redis-cli -p (\d+)`)[1]; got != port {
		t.Errorf("came back on port %s, was %s", got, port)
	}
	_, second := begin(t, Config{DataDir: dir})
	if err := second(); err == nil || !strings.Contains(err.Error(), "perhaps another demo of the same directory") {
		t.Errorf("a second demo of one directory: %v", err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{DataDir: dir, Nodes: 1}, "has 3 nodes; leave out --nodes"},
		{Config{DataDir: dir, BasePort: 2000}, "leave out --base-port"},
		{Config{Nodes: 100}, "--nodes 100 is out of range"},
		{Config{BasePort: 80}, "--base-port 80 is out of range"},
		{Config{DataDir: "."}, "is not empty and holds no demo"},
	} {
		if _, err := prepare(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.cfg, err, tc.want)
		}
	}
	if err := os.WriteFile(savedPath(dir), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare(Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestNodeThatDoesNotStart(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, end := begin(t, Config{StartArgs: []string{"--zone", "broken"}})
	time.Sleep(300 * time.Millisecond)
	err := end()
	if err == nil || !strings.Contains(err.Error(), "node 1 ended with exit status 1: coterie: the disk is on fire; buy another; its log is ") {
		t.Errorf("got %v", err)
	}
}

func TestClaim(t *testing.T) {
	guard, base, err := claimAny(3)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	if other, err := claim(base, 3); err == nil {
		_ = other.Close()
		t.Error("one block was claimed twice")
	}
	other, next, err := claimAny(3)
	if err != nil {
		t.Fatal(err)
	}
	_ = other.Close()
	busy, err := net.Listen("tcp", place{number: 2, base: next}.http())
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if other, err := claim(next, 3); err == nil {
		_ = other.Close()
		t.Error("a block with a busy port was claimed")
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/tmp/a-b_1": "/tmp/a-b_1", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'"} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
