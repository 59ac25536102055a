package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"coterie/internal/status"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// ports hands out free ports from a range that neither the system's outgoing
// connections nor `coterie demo` use, so that a node finds its ports free
// again when it restarts.
var ports struct {
	sync.Mutex
	next int
}

const (
	firstPort = 31500
	lastPort  = 32700
)

func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = firstPort + rand.IntN(lastPort-firstPort)
	}
	for range lastPort - firstPort {
		port := ports.next
		if ports.next++; ports.next > lastPort {
			ports.next = firstPort
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
	t.Fatalf("no free port between %d and %d", firstPort, lastPort)
	return 0
}

func freeAddr(t testing.TB) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
}

// starts runs the start of every process on one thread that never ends: on
// Linux a child dies with the thread that made it.
var starts = sync.OnceValue(func() chan<- func() {
	ch := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range ch {
			f()
		}
	}()
	return ch
})

// process is one running program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended; err is set before
	err  error
}

func startProcess(output io.Writer, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = attributes()
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "COTERIE_") {
			p.cmd.Env = append(p.cmd.Env, kv)
		}
	}
	p.cmd.Env = append(p.cmd.Env, "GORACE=halt_on_error=1")
	started := make(chan error)
	starts() <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// node is one node of a test's cluster: its place, and its process while it
// runs.
type node struct {
	t                         testing.TB
	number                    int
	redis, cluster, peer, web string
	data, log                 string
	extra                     []string // more flags

	mu   sync.Mutex
	proc *process
	want bool // it should be running
}

// cluster is the nodes of one test.
type cluster struct {
	t     testing.TB
	nodes []*node
}

// newCluster starts n nodes that serve, in order with all their copies.
func newCluster(t testing.TB, n int, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for range n {
		c.add(flags...)
	}
	c.awaitHealthy(n)
	return c
}

// add starts one more node; the first founds the cluster.
func (c *cluster) add(flags ...string) *node {
	c.t.Helper()
	n := newNode(c.t, len(c.nodes)+1, flags...)
	if len(c.nodes) > 0 {
		n.start("--join", c.nodes[0].peer)
	} else {
		n.start()
	}
	c.nodes = append(c.nodes, n)
	return n
}

// newNode gives a node its place. It is stopped when the test ends.
func newNode(t testing.TB, number int, flags ...string) *node {
	t.Helper()
	dir := t.TempDir()
	if *flagKeep {
		var err error
		if dir, err = os.MkdirTemp("", "coterie-e2e-node-"); err != nil {
			t.Fatal(err)
		}
		t.Logf("node %d: kept in %s", number, dir)
	}
	n := &node{
		t: t, number: number, extra: flags,
		redis: freeAddr(t), cluster: freeAddr(t), peer: freeAddr(t), web: freeAddr(t),
		data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log"),
	}
	t.Cleanup(func() {
		if t.Failed() && n.running() != nil {
			s, err := n.status()
			t.Logf("node %d, its status (%v): %s", n.number, err, mustJSON(s))
		}
		n.end()
		if t.Failed() {
			t.Logf("node %d, the end of %s:\n%s", n.number, n.log, n.tail(30))
		}
	})
	return n
}

func (n *node) args(more ...string) []string {
	args := []string{
		"start", "--data-dir", n.data, "--listen", n.redis, "--cluster-listen", n.cluster,
		"--peer-listen", n.peer, "--http-listen", n.web, "--min-free-disk", "16MiB",
	}
	return append(append(args, n.extra...), more...)
}

// start runs the node and waits until it serves Redis clients.
func (n *node) start(more ...string) {
	n.t.Helper()
	if err := n.launch(more...); err != nil {
		n.t.Fatal(err)
	}
}

// launch is start for goroutines, which may not end the test.
func (n *node) launch(more ...string) error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- %s start %s\n", time.Now().Format(time.StampMilli), strings.Join(more, " "))
	p, err := startProcess(log, program, n.args(more...)...)
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.number, err)
	}
	n.mu.Lock()
	n.proc, n.want = p, true
	n.mu.Unlock()
	deadline := time.Now().Add(patience * slow())
	for time.Now().Before(deadline) {
		if p.ended() {
			return fmt.Errorf("node %d ended at its start: %v\n%s", n.number, p.err, n.tail(5))
		}
		if conn, err := net.DialTimeout("tcp", n.redis, time.Second); err == nil {
			cl := &client{addr: n.redis, conn: conn}
			_, err = cl.do("PING")
			cl.close()
			if err == nil {
				return nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("node %d does not serve after %v", n.number, patience*slow())
}

// take returns the running process and marks the node as down on purpose.
func (n *node) take() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.proc
	n.proc, n.want = nil, false
	return p
}

// running returns the process, or nil.
func (n *node) running() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// kill is kill -9.
func (n *node) kill() {
	if p := n.take(); p != nil {
		p.kill()
	}
}

// stop is a polite end, as from a service manager.
func (n *node) stop() error {
	p := n.take()
	if p == nil {
		return nil
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("node %d did not stop within %v", n.number, patience)
	}
}

// pause stops the process for a while, as an overloaded host would.
func (n *node) pause(d time.Duration) {
	if p := n.running(); p != nil {
		p.signal(syscall.SIGSTOP)
		time.Sleep(d)
		p.signal(syscall.SIGCONT)
	}
}

// end makes sure that nothing is left, and that the node ran as long as it
// was meant to.
func (n *node) end() {
	n.mu.Lock()
	p, want := n.proc, n.want
	n.mu.Unlock()
	if p == nil {
		return
	}
	if want && p.ended() {
		n.t.Errorf("node %d ended by itself: %v", n.number, p.err)
	}
	n.take()
	p.kill()
}

// tail is the end of the node's log.
func (n *node) tail(lines int) string {
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// status asks the node over HTTP.
func (n *node) status() (*status.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return status.Fetch(ctx, n.web)
}

// get fetches a page of the HTTP front.
func (n *node) get(path string) (code int, body string, err error) {
	c := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + n.web + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return resp.StatusCode, string(b), err
}

// await polls until cond says "", and fails with what it said last.
func await(t testing.TB, limit time.Duration, cond func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		missing := cond()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", limit, missing)
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// awaitHealthy waits until all running nodes see n nodes alive, every
// partition with all its copies, and leaders spread evenly.
func (c *cluster) awaitHealthy(n int) {
	c.t.Helper()
	await(c.t, patience*slow(), func() string { return c.unhealthy(n) })
}

func (c *cluster) unhealthy(n int) string {
	for _, x := range c.nodes {
		if x.running() == nil {
			continue
		}
		s, err := x.status()
		if err != nil {
			return fmt.Sprintf("node %d: %v", x.number, err)
		}
		if m := s.Missing(n); m != "" {
			return fmt.Sprintf("node %d sees %s", x.number, m)
		}
		if m := uneven(s); m != "" {
			return fmt.Sprintf("node %d sees %s", x.number, m)
		}
	}
	return ""
}

// uneven says whether a node leads more than its share of the partitions with
// slots.
func uneven(s *status.Cluster) string {
	leads, parts := map[uint64]int{}, 0
	for _, p := range s.Partitions {
		if p.Slots != "" {
			leads[p.Leader]++
			parts++
		}
	}
	if len(s.Nodes) == 2 { // the second holds learners only
		return ""
	}
	for _, x := range s.Nodes {
		if share := (parts + len(s.Nodes) - 1) / len(s.Nodes); leads[x.ID] > share || leads[x.ID] < parts/len(s.Nodes) {
			return fmt.Sprintf("node %d leading %d of %d partitions", x.ID, leads[x.ID], parts)
		}
	}
	return ""
}

// runBinary runs a short command of the program under test.
func runBinary(t testing.TB, limit time.Duration, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("coterie %s still runs after %v\n%s%s", strings.Join(args, " "), limit, &out, &errs)
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

// mustJSON is for messages.
func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// seed is the seed of a test's random choices, said in its log.
func seed(t testing.TB) uint64 {
	s := *flagSeed
	if s == 0 {
		s = uint64(time.Now().UnixNano()) % 1_000_000
	}
	t.Logf("seed %d (repeat its choices with -e2e.seed %d)", s, s)
	return s
}
