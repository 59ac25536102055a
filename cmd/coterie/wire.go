package main

import (
	"context"
	"errors"
	"log/slog"

	"coterie/internal/config"
)

// startNode is where the command line meets the node.
func startNode(context.Context, *config.Node, *slog.Logger) (*node, error) {
	return nil, errors.New("this build cannot run a node; build one that can")
}
