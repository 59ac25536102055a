package main

import (
	"context"
	"log/slog"

	"coterie/internal/config"
	nodes "coterie/internal/node"
	"coterie/internal/version"
)

// startNode is where the command line meets the node.
func startNode(ctx context.Context, cfg *config.Node, log *slog.Logger) (*node, error) {
	n, err := nodes.Start(ctx, cfg, version.Current().Version, log)
	if err != nil {
		return nil, err
	}
	id, cluster, how, bound, told := n.Info()
	return &node{
		ID: uint64(id), ClusterID: cluster, How: how, Bound: bound, Told: told,
		Done: n.Done(), Stop: n.Close,
		// A node ends by itself only after Close; a fault leaves it up to say why.
		Err: func() error { return nil },
	}, nil
}
