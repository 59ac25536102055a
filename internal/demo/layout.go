package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// MaxNodes bounds a demo: it is one machine.
const MaxNodes = 99

// The ports of a demo lie in one block. Its first port is held by the demo
// itself while it runs, so that no other demo takes the block, also not while
// one of its nodes is down. Node n has the n-th port of each part.
const (
	blockSize   = 400
	clusterPart = 100
	peerPart    = 200
	httpPart    = 300
	firstBlock  = 7000
	lastBlock   = 31000 // below the ports that systems use for outgoing connections
)

// place is where one node of the demo lives.
type place struct {
	number int // 1…
	dir    string
	base   int
}

func (p place) addr(part int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.base+part+p.number))
}
func (p place) redis() string   { return p.addr(0) }
func (p place) cluster() string { return p.addr(clusterPart) }
func (p place) peer() string    { return p.addr(peerPart) }
func (p place) http() string    { return p.addr(httpPart) }
func (p place) port(part int) int {
	return p.base + part + p.number
}
func (p place) data() string { return filepath.Join(p.dir, "data") }
func (p place) log() string  { return filepath.Join(p.dir, "log") }

// args are the arguments that start the node. Only the first start needs to
// join.
func (p place) args(join string, more []string) []string {
	args := []string{"start", "--data-dir", p.data(), "--listen", p.redis(), "--cluster-listen", p.cluster(),
		"--peer-listen", p.peer(), "--http-listen", p.http()}
	if join != "" {
		args = append(args, "--join", join)
	}
	return append(args, more...)
}

// fresh says whether the node has never run.
func (p place) fresh() bool {
	entries, err := os.ReadDir(p.data())
	return err != nil || len(entries) == 0
}

// saved is the file demo.json in a kept directory: what a later demo needs to
// come back on the same ports.
type saved struct {
	Version  int `json:"version"`
	BasePort int `json:"base_port"`
	Nodes    int `json:"nodes"`
}

const savedVersion = 1

func savedPath(dir string) string { return filepath.Join(dir, "demo.json") }

// load reads what an earlier demo left in dir; nil if there was none.
func load(dir string) (*saved, error) {
	data, err := os.ReadFile(savedPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) > 0 {
			return nil, fmt.Errorf("%s is not empty and holds no demo; name an empty or new directory with --data-dir", dir)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the demo's settings: %w; name another directory with --data-dir", err)
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil || s.Version != savedVersion || s.Nodes < 1 || s.Nodes > MaxNodes || s.BasePort < 1 || s.BasePort > 65535-blockSize {
		return nil, fmt.Errorf("%s is damaged or of another version; name another directory with --data-dir", savedPath(dir))
	}
	return &s, nil
}

func (s saved) store(dir string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := savedPath(dir)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// claim takes the block of ports at base for this process. It fails if one of
// the ports that n nodes need is in use.
func claim(base, n int) (net.Listener, error) {
	guard, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base)))
	if err != nil {
		return nil, err
	}
	for i := 1; i <= n; i++ {
		for _, part := range []int{0, clusterPart, peerPart, httpPart} {
			ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+part+i)))
			if err != nil {
				_ = guard.Close()
				return nil, err
			}
			_ = ln.Close()
		}
	}
	return guard, nil
}

// claimAny takes the first block that is wholly free.
func claimAny(n int) (guard net.Listener, base int, err error) {
	for base = firstBlock; base <= lastBlock; base += blockSize {
		if guard, err = claim(base, n); err == nil {
			return guard, base, nil
		}
	}
	return nil, 0, fmt.Errorf("no block of free ports between %d and %d (%v); stop other demos, or name one with --base-port", firstBlock, lastBlock+blockSize, err)
}
