package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coterie/internal/config"
	"coterie/internal/version"
)

// stopTimeout bounds a graceful stop: handing leadership over, finishing
// requests, writing down what is in memory.
const stopTimeout = 15 * time.Second

// node is a running node as `coterie start` sees it.
type node struct {
	ID        uint64
	ClusterID string
	How       string           // "founded", "joined" or "restarted"
	Bound     config.Addresses // where it really listens, with ports filled in
	Told      config.Addresses // what it tells others to dial

	Done <-chan struct{} // closed when the node stopped by itself
	Err  func() error    // why it did
	Stop func(context.Context) error
}

// startFunc starts a node and returns when it serves clients, or fails.
type startFunc func(context.Context, *config.Node, *slog.Logger) (*node, error)

func newStart(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start [flags]",
		Short: "Run a node",
		Long: `Run a node. In an empty data directory it founds a cluster of one node, or joins
the cluster of the nodes named by --join. In a directory that a node has used it
comes back as that node; it needs no --join then.`,
		Example: `  coterie start --data-dir a
  coterie start --data-dir b --listen 127.0.0.1:6380 --peer-listen 127.0.0.1:7380 \
    --http-listen 127.0.0.1:8380 --join 127.0.0.1:7379`,
	}
	load := addSettings(cmd, s)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := load(true)
		if err != nil {
			return err
		}
		log := newLogger(cmd.ErrOrStderr(), &settings.Node)
		for _, w := range settings.Warnings {
			log.Warn(w)
		}
		return runNode(cmd.Context(), startNode, &settings.Node, log, cmd.OutOrStdout())
	}
	return cmd
}

func newLogger(w io.Writer, cfg *config.Node) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// runNode runs a node until ctx is done or it stops by itself.
func runNode(ctx context.Context, start startFunc, cfg *config.Node, log *slog.Logger, out io.Writer) error {
	n, err := start(ctx, cfg, log)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			log.Info("stopped before the node was ready")
			return nil
		}
		return err
	}
	fmt.Fprint(out, banner(cfg, n))
	select {
	case <-n.Done:
		if err := n.Err(); err != nil {
			return fmt.Errorf("the node stopped: %w", err)
		}
		return nil
	case <-ctx.Done():
	}
	log.Info("stopping; a second signal stops at once")
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(limit) }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stop the node: %w", err)
		}
		log.Info("stopped")
		return nil
	case <-hurry(ctx):
		// Everything acknowledged is on disk already: leaving now costs the
		// others an election and this node a longer replay.
		return errors.New("stopped at once by a second signal; nothing acknowledged is lost")
	}
}

// banner is what a person wants to know of a node that has just started.
func banner(cfg *config.Node, n *node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Coterie %s: node %d of cluster %s (%s)\n\n", version.Current().Version, n.ID, n.ClusterID, n.How)
	line := func(what, addr, told, hint string) {
		if addr == "" || addr == config.Off {
			return
		}
		if told != "" && told != addr {
			hint = strings.TrimSpace(hint + "  (others use " + told + ")")
		}
		fmt.Fprintf(&b, "  %-8s %-21s %s\n", what, addr, hint)
	}
	line("redis", n.Bound.Redis, n.Told.Redis, redisCLI("", n.Bound.Redis))
	line("cluster", n.Bound.Cluster, n.Told.Cluster, redisCLI("-c ", n.Bound.Cluster))
	line("peers", n.Bound.Peer, n.Told.Peer, "")
	line("http", n.Bound.HTTP, n.Told.HTTP, command()+" status"+unlessDefault(" --http ", n.Bound.HTTP, "127.0.0.1:8379"))
	line("data", cfg.DataDir, "", "")
	fmt.Fprintf(&b, "\nTo add a node:\n  %s\n", joinLine(cfg, n))
	// Trailing blanks of lines without a hint.
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func unlessDefault(flag, value, def string) string {
	if value == def {
		return ""
	}
	return flag + value
}

func redisCLI(flags, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	if flags == "" && port == "6379" && (host == "127.0.0.1" || host == "::") {
		return "redis-cli"
	}
	if host != "127.0.0.1" && host != "" && host != "0.0.0.0" && host != "::" {
		flags += "-h " + host + " "
	}
	return "redis-cli " + flags + "-p " + port
}

// joinLine is the command that adds a node. On loopback that node runs on
// this machine and needs ports of its own: the next ones. Elsewhere the
// listeners need that machine's address, which only the user knows.
func joinLine(cfg *config.Node, n *node) string {
	host, _, _ := net.SplitHostPort(n.Told.Peer)
	step := freeStep(n.Bound.Redis, n.Bound.Cluster, n.Bound.Peer, n.Bound.HTTP)
	next := func(flag, addr string) string {
		h, port, err := net.SplitHostPort(addr)
		p, errPort := strconv.Atoi(port)
		if err != nil || errPort != nil {
			return ""
		}
		if !isLoopback(host) {
			return " --" + flag + " HOST:" + port
		}
		return " --" + flag + " " + net.JoinHostPort(h, strconv.Itoa(p+step))
	}
	line := command() + " start --data-dir DIR" + next("listen", n.Bound.Redis)
	if cfg.ClusterListen != config.Off {
		line += next("cluster-listen", n.Bound.Cluster)
	}
	line += next("peer-listen", n.Bound.Peer)
	if cfg.HTTPListen != config.Off {
		line += next("http-listen", n.Bound.HTTP)
	}
	if !isLoopback(host) {
		line += " --insecure"
	}
	return line + " --join " + n.Told.Peer
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// freeStep is the smallest distance at which the next node's ports are none
// of this one's.
func freeStep(addrs ...string) int {
	var ports []int
	for _, a := range addrs {
		if _, port, err := net.SplitHostPort(a); err == nil {
			if p, err := strconv.Atoi(port); err == nil {
				ports = append(ports, p)
			}
		}
	}
	for step := 1; ; step++ {
		if !slices.ContainsFunc(ports, func(p int) bool { return slices.Contains(ports, p+step) }) {
			return step
		}
	}
}
