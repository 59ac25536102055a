package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"coterie/internal/status"
)

// Times of a cluster under test.
const (
	servePatience = 30 * time.Second // until a started node answers
	orderPatience = 90 * time.Second // until everything is in order without faults
	stopPatience  = 15 * time.Second
	askTimeout    = 2 * time.Second
	restartAfter  = 300 * time.Millisecond // as a supervisor would, of a node that found no room
	drained       = time.Second            // so long a disk counts as full after it was
)

// Ports lie below those that systems use for outgoing connections, so that a
// node finds its own free again.
const (
	firstPort = 21000
	lastPort  = 30999
)

// node is one node of the cluster, by its number from 0 on.
type node struct {
	c           *cluster
	number      int
	dir         string
	Redis       string `json:"redis"`
	HTTP        string `json:"http"`
	Peer        string `json:"peer"`
	proxy       string // what the others dial
	mounted     bool   // its data is on a small file system of its own
	mu          sync.Mutex
	proc        *process // nil: down on purpose
	id          uint64
	full        int       // faults that fill its disk
	freed       time.Time // when the last of them ended
	unexplained []string  // ends that nobody caused
}

// cluster is the nodes, and the proxies between them.
type cluster struct {
	dir        string
	executable string
	flags      []string
	nodes      []*node
	web        *web
	starter    starter
	end        chan struct{}
}

// mark is the file that says that a directory is for chaos.
type mark struct {
	Version int     `json:"version"`
	Nodes   []*node `json:"nodes"`
}

const (
	markName    = "chaos.json"
	markVersion = 1
)

// loadMark reads the mark of a directory; nil if it is new.
func loadMark(dir string) (*mark, error) {
	b, err := os.ReadFile(filepath.Join(dir, markName))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			return nil, fmt.Errorf("%s was not made by coterie chaos: it has no %s, so nothing in it is touched; name an empty or new directory with --data-dir", dir, markName)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the mark of %s: %w", dir, err)
	}
	var m mark
	if err := json.Unmarshal(b, &m); err != nil || m.Version != markVersion || len(m.Nodes) == 0 || len(m.Nodes) > MaxNodes {
		return nil, fmt.Errorf("%s is damaged or of another version; name another directory with --data-dir", filepath.Join(dir, markName))
	}
	return &m, nil
}

func (m *mark) store(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, markName), append(b, '\n'), 0o600)
}

// newCluster prepares a directory; n is how many nodes a new one gets, 0 for
// as many as there are, or three.
func newCluster(dir, executable string, n int, flags []string) (*cluster, error) {
	m, err := loadMark(dir)
	if err != nil {
		return nil, err
	}
	if m != nil && n != 0 && n != len(m.Nodes) {
		return nil, fmt.Errorf("the cluster in %s has %d nodes; leave out --nodes, or name another directory", dir, len(m.Nodes))
	}
	if m == nil {
		if n == 0 {
			n = defaultNodes
		}
		m = &mark{Version: markVersion}
		port := firstPort + rand.IntN(lastPort-firstPort)
		for range n {
			x := &node{}
			for _, addr := range []*string{&x.Redis, &x.HTTP, &x.Peer} {
				if *addr, err = freeAddr(&port); err != nil {
					return nil, err
				}
			}
			m.Nodes = append(m.Nodes, x)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w; name another directory with --data-dir", dir, err)
	}
	for _, x := range m.Nodes {
		if ln, err := net.Listen("tcp", x.Redis); err != nil {
			return nil, fmt.Errorf("%s is in use: a cluster of %s still runs, or something else took its port (%w)", x.Redis, dir, err)
		} else {
			_ = ln.Close()
		}
	}
	c := &cluster{dir: dir, executable: executable, flags: flags, web: newWeb(len(m.Nodes)), end: make(chan struct{})}
	c.starter = newStarter(c.end)
	for i, x := range m.Nodes {
		x.c, x.number, x.id, x.dir = c, i, uint64(i+1), filepath.Join(dir, fmt.Sprintf("node-%d", i+1))
		c.nodes = append(c.nodes, x)
		if err := os.MkdirAll(x.dir, 0o755); err != nil {
			return nil, err
		}
		if x.proxy, err = c.web.open(i, x.Peer, c.number); err != nil {
			return nil, fmt.Errorf("open a proxy: %w", err)
		}
	}
	return c, m.store(dir)
}

func freeAddr(port *int) (string, error) {
	for range lastPort - firstPort {
		if *port++; *port > lastPort {
			*port = firstPort
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(*port))
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

// number is the node that has an id, or -1.
func (c *cluster) number(id uint64) int {
	for _, n := range c.nodes {
		n.mu.Lock()
		mine := n.id == id && id != 0
		n.mu.Unlock()
		if mine {
			return n.number
		}
	}
	return -1
}

// disk is where a small file system is mounted.
func (n *node) disk() string { return filepath.Join(n.dir, "disk") }

func (n *node) data() string {
	if n.mounted {
		return filepath.Join(n.disk(), "data")
	}
	return filepath.Join(n.dir, "data")
}

func (n *node) log() string { return filepath.Join(n.dir, "log") }

func (n *node) args() []string {
	args := []string{
		"start", "--data-dir", n.data(), "--listen", n.Redis, "--http-listen", n.HTTP,
		"--peer-listen", n.Peer, "--advertise-peer", n.proxy, "--min-free-disk", minFree,
	}
	if entries, err := os.ReadDir(n.data()); n.number > 0 && (err != nil || len(entries) == 0) {
		args = append(args, "--join", n.c.nodes[0].proxy)
	}
	return append(args, n.c.flags...)
}

// launch starts the node's process.
func (n *node) launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil && !n.proc.ended() {
		return nil
	}
	return n.start()
}

// start is launch with the lock held.
func (n *node) start() error {
	p, err := n.c.starter.start(n.c.executable, n.log(), n.args())
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.number+1, err)
	}
	n.proc = p
	go n.watch(p)
	return nil
}

// watch notices a process that ends by itself. One that had no room on its disk to
// start is started again, as a supervisor would.
func (n *node) watch(p *process) {
	<-p.done
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.proc != p:
	case n.choked(p):
		time.AfterFunc(restartAfter, func() { n.again(p) })
	default:
		n.unexplained = append(n.unexplained, fmt.Sprintf("node %d ended by itself: %v", n.number+1, p.err))
	}
}

// again starts the node after a process that found no room, unless somebody else did,
// or took it down.
func (n *node) again(p *process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != p {
		return
	}
	if err := n.start(); err != nil {
		n.unexplained = append(n.unexplained, err.Error())
	}
}

// choked says, with the lock held, whether a process gave up because of a disk that was
// filled on purpose.
func (n *node) choked(p *process) bool {
	return (n.full > 0 || time.Since(n.freed) < drained) && p.foundNoRoom()
}

// filled says that a fault begins to fill the node's disk; emptied that it does no more.
func (n *node) filled() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.full++
}

func (n *node) emptied() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.full--
	n.freed = time.Now()
}

// take marks the node as down on purpose, and returns its process.
func (n *node) take() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.proc
	n.proc = nil
	if p != nil && p.ended() {
		return nil
	}
	return p
}

func (n *node) kill() {
	if p := n.take(); p != nil {
		p.kill()
	}
}

func (n *node) stop() {
	p := n.take()
	if p == nil {
		return
	}
	asked := time.Now()
	err := p.stop(stopPatience)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && !n.choked(p) && !p.diedYoung(err, asked) {
		n.unexplained = append(n.unexplained, fmt.Sprintf("node %d was asked to stop, and ended with: %v", n.number+1, err))
	}
}

func (n *node) signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil && !n.proc.ended() {
		n.proc.signal(s)
	}
}

func (n *node) running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc != nil && !n.proc.ended()
}

// ask is the node's view of the cluster.
func (n *node) ask(ctx context.Context) (*status.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s, err := status.Fetch(ctx, n.HTTP)
	if err == nil {
		n.mu.Lock()
		n.id = s.AnsweredBy
		n.mu.Unlock()
	}
	return s, err
}

// found starts all nodes, one after another, so that they are numbered as
// their ids are.
func (c *cluster) found(ctx context.Context) error {
	for _, n := range c.nodes {
		if err := n.launch(); err != nil {
			return err
		}
		if err := n.serves(ctx); err != nil {
			return err
		}
	}
	return c.order(ctx)
}

// serves waits until the node answers. Nodes of an old cluster may wait for
// each other.
func (n *node) serves(ctx context.Context) error {
	limit := time.Now().Add(servePatience)
	for {
		if _, err := n.ask(ctx); err == nil {
			return nil
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !n.running():
			return fmt.Errorf("node %d ended at its start; its log is %s", n.number+1, n.log())
		case time.Now().After(limit):
			return fmt.Errorf("node %d does not answer within %v; its log is %s", n.number+1, servePatience, n.log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// order waits until every node sees all nodes, and all partitions with leaders
// and copies.
func (c *cluster) order(ctx context.Context) error {
	limit := time.Now().Add(orderPatience)
	for {
		missing := ""
		for _, n := range c.nodes {
			if s, err := n.ask(ctx); err != nil {
				missing = fmt.Sprintf("node %d: %v", n.number+1, err)
			} else if m := s.Missing(len(c.nodes)); m != "" {
				missing = fmt.Sprintf("node %d sees %s", n.number+1, m)
			}
		}
		if missing == "" {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(limit) {
			return fmt.Errorf("not in order within %v: %s", orderPatience, missing)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// close ends everything that was started.
func (c *cluster) close() {
	var all sync.WaitGroup
	for _, n := range c.nodes {
		all.Go(n.stop)
	}
	all.Wait()
	c.web.close()
	for _, n := range c.nodes {
		if n.mounted {
			unmount(n.disk())
		}
	}
	close(c.end)
}
