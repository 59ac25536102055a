// Package demo runs a whole cluster on one machine for somebody who wants to
// see one: real processes of the program itself, on free loopback ports, in a
// temporary directory or a kept one.
//
// Invariants: it ends what it started and removes what it made, and nothing
// else; its nodes die with it (on Linux); a node that somebody kills is
// reported and left down, because watching the cluster go on is the point.
//
// The command line calls Run; Run knows nodes only by their flags and their
// HTTP front.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coterie/internal/status"
)

// Times and limits of a demo.
const (
	startTimeout  = 30 * time.Second       // until the cluster is in order
	listedTimeout = 2 * time.Second        // until a joining node is seen, before the next one is started
	quietStart    = 3 * time.Second        // after which progress is shown
	stopGrace     = 8 * time.Second        // until a stopping node is killed
	pollInterval  = 15 * time.Millisecond  // while waiting for something soon
	watchInterval = 300 * time.Millisecond // while waiting for a person
	askTimeout    = 2 * time.Second        // for one question to a node
	defaultNodes  = 3
)

// Config says what to run.
type Config struct {
	Executable string   // the program; it understands `start`
	Command    string   // how to call it in printed commands
	Version    string   // shown
	Nodes      int      // 0: as many as the kept directory has, or 3
	DataDir    string   // kept; empty: a temporary one, removed at the end
	BasePort   int      // 0: a free block
	StartArgs  []string // further arguments for each node
	Out        io.Writer
	Hurry      <-chan struct{} // closed: stop at once, without grace
}

// Run starts the cluster, says what there is to see, and keeps it running
// until ctx is done. Then it stops it and returns nil. Its errors are one
// line with cause and next step.
func Run(ctx context.Context, cfg Config) error {
	d, err := prepare(cfg)
	if err != nil {
		return err
	}
	defer d.release()
	err = d.run(ctx)
	d.stop(err)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// demo is one running demo. Only Run's goroutine touches it.
type demo struct {
	cfg     Config
	dir     string
	temp    bool // dir is ours to remove
	guard   net.Listener
	starter *starter
	end     chan struct{}

	places   []place
	children map[int]*child // by node number; a node that went away has none
	begun    time.Time
	founding bool
}

func prepare(cfg Config) (*demo, error) {
	d := &demo{cfg: cfg, dir: cfg.DataDir, children: map[int]*child{}, begun: time.Now(), end: make(chan struct{})}
	if cfg.Nodes < 0 || cfg.Nodes > MaxNodes {
		return nil, fmt.Errorf("--nodes %d is out of range; choose 1 to %d", cfg.Nodes, MaxNodes)
	}
	if cfg.BasePort != 0 && (cfg.BasePort < 1024 || cfg.BasePort > 65535-blockSize) {
		return nil, fmt.Errorf("--base-port %d is out of range; choose 1024 to %d", cfg.BasePort, 65535-blockSize)
	}
	var old *saved
	if d.dir != "" {
		var err error
		if d.dir, err = filepath.Abs(d.dir); err != nil {
			return nil, err
		}
		if old, err = load(d.dir); err != nil {
			return nil, err
		}
	}
	want := saved{Version: savedVersion, BasePort: cfg.BasePort, Nodes: cfg.Nodes}
	if old != nil {
		if cfg.BasePort != 0 && cfg.BasePort != old.BasePort {
			return nil, fmt.Errorf("the demo in %s is on the ports from %d on; leave out --base-port, or name another directory", d.dir, old.BasePort)
		}
		if cfg.Nodes != 0 && cfg.Nodes < old.Nodes {
			return nil, fmt.Errorf("the demo in %s has %d nodes; leave out --nodes, or name another directory", d.dir, old.Nodes)
		}
		want.BasePort, want.Nodes = old.BasePort, max(old.Nodes, cfg.Nodes)
	}
	if want.Nodes == 0 {
		want.Nodes = defaultNodes
	}
	if err := d.claim(&want); err != nil {
		return nil, err
	}
	if err := d.makeDir(want); err != nil {
		_ = d.guard.Close()
		return nil, err
	}
	for i := 1; i <= want.Nodes; i++ {
		d.places = append(d.places, place{number: i, dir: filepath.Join(d.dir, fmt.Sprintf("node-%d", i)), base: want.BasePort})
	}
	d.founding = d.places[0].fresh()
	d.starter = newStarter(d.end)
	return d, nil
}

func (d *demo) claim(want *saved) (err error) {
	if want.BasePort == 0 {
		d.guard, want.BasePort, err = claimAny(want.Nodes)
		return err
	}
	if d.guard, err = claim(want.BasePort, want.Nodes); err != nil {
		return fmt.Errorf("a port of this demo is in use (%v); stop what runs there, perhaps another demo of the same directory", err)
	}
	return nil
}

func (d *demo) makeDir(want saved) (err error) {
	if d.dir == "" {
		d.temp = true
		if d.dir, err = os.MkdirTemp("", "coterie-demo-"); err != nil {
			return fmt.Errorf("make a temporary directory: %w; name one with --data-dir", err)
		}
	} else if err = os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w; name another directory with --data-dir", d.dir, err)
	}
	if err = want.store(d.dir); err != nil {
		if d.temp {
			_ = os.RemoveAll(d.dir)
		}
		return fmt.Errorf("write %s: %w; name another directory with --data-dir", savedPath(d.dir), err)
	}
	return nil
}

func (d *demo) release() {
	close(d.end)
	_ = d.guard.Close()
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.cfg.Out, format+"\n", args...) }

func (d *demo) run(ctx context.Context) error {
	if err := d.startNodes(ctx); err != nil {
		return err
	}
	c, err := d.waitUntilInOrder(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(d.cfg.Out, d.welcome(c))
	return d.watch(ctx)
}

// startNodes starts all nodes. When the first founds a cluster, the others
// are started one after another, so that node-2 becomes node 2; nodes that
// know each other need a majority to get anywhere, and are started together.
func (d *demo) startNodes(ctx context.Context) error {
	for i, p := range d.places {
		join := ""
		if i > 0 && p.fresh() {
			join = d.places[0].peer()
			if err := d.waitUntilListed(ctx, i); err != nil {
				return err
			}
		}
		c, err := d.starter.start(d.cfg.Executable, p, p.args(join, d.cfg.StartArgs))
		if err != nil {
			return err
		}
		d.children[p.number] = c
	}
	return nil
}

// waitUntilListed waits until the first node lists n nodes. For a node other
// than the first that is only for the sake of its number, and given up soon.
func (d *demo) waitUntilListed(ctx context.Context, n int) error {
	limit := startTimeout
	if n > 1 {
		limit = listedTimeout
	}
	for begun := time.Now(); time.Since(begun) < limit; {
		if c, err := d.ask(ctx, d.places[0]); err == nil && len(c.Nodes) >= n {
			return nil
		}
		if err := d.pause(ctx, pollInterval); err != nil {
			return err
		}
	}
	if n > 1 {
		return nil
	}
	return d.failed(d.places[0], fmt.Sprintf("did not answer within %v", limit))
}

// spreadPatience is how long the demo waits for the leaders to be spread: a
// nicer picture to begin with, no condition.
const spreadPatience = 2500 * time.Millisecond

// spread says whether every node leads something, where there is enough to
// lead.
func spread(c *status.Cluster) bool {
	for _, n := range c.Nodes {
		if n.Leaders == 0 && len(c.Partitions) > len(c.Nodes) {
			return false
		}
	}
	return true
}

func (d *demo) waitUntilInOrder(ctx context.Context) (*status.Cluster, error) {
	said := ""
	for begun := time.Now(); ; {
		missing := "no answer from node 1"
		c, err := d.ask(ctx, d.places[0])
		if err == nil {
			missing = c.Missing(len(d.places))
			if missing == "" && (spread(c) || time.Since(d.begun) > spreadPatience) {
				return c, nil
			}
		}
		if time.Since(begun) > startTimeout {
			return nil, d.failed(d.places[0], fmt.Sprintf("sees only this after %v: %s", startTimeout, missing))
		}
		if time.Since(d.begun) > quietStart && missing != said {
			d.say("waiting: %s", missing)
			said = missing
		}
		if err := d.pause(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

// pause waits, and notices a node that ends while the cluster is starting.
func (d *demo) pause(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(t):
	}
	for _, c := range d.running() {
		select {
		case <-c.done:
			how, _ := c.ending()
			delete(d.children, c.place.number)
			return d.failed(c.place, how)
		default:
		}
	}
	return nil
}

// failed is the error of a demo that did not come up. The last line of the
// node's log is where its own cause and next step are.
func (d *demo) failed(p place, what string) error {
	last := "its log is empty"
	if lines := tail(p.log(), 1); len(lines) > 0 && lines[0] != "" {
		last = lines[0]
	}
	return fmt.Errorf("node %d %s: %s; its log is %s", p.number, what, last, p.log())
}

func (d *demo) ask(ctx context.Context, p place) (*status.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return status.Fetch(ctx, p.http())
}

// running lists the nodes that this demo started and that have not gone, by
// number.
func (d *demo) running() []*child {
	var list []*child
	for _, p := range d.places {
		if c := d.children[p.number]; c != nil {
			list = append(list, c)
		}
	}
	return list
}

// stop ends the nodes and removes a temporary directory, unless it holds the
// log that explains a failure.
func (d *demo) stop(cause error) {
	if errors.Is(cause, context.Canceled) {
		d.say("\nstopping")
	}
	stopAll(d.running(), stopGrace, d.cfg.Hurry)
	stray := d.stopStrays()
	switch {
	case !d.temp && cause != nil && !errors.Is(cause, context.Canceled):
	case !d.temp:
		d.say("stopped; start it again with: %s demo --data-dir %s", d.cfg.Command, quote(d.dir))
	case stray:
		d.say("%s is kept: a node still runs in it", d.dir)
	case errors.Is(cause, context.Canceled):
		if err := os.RemoveAll(d.dir); err != nil {
			d.say("cannot remove %s: %v", d.dir, err)
			return
		}
		d.say("stopped; %s is removed", d.dir)
	}
}

// quote makes a path safe to paste into a shell.
func quote(s string) string {
	safe := func(r rune) bool {
		return strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
