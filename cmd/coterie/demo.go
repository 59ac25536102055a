package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"coterie/internal/demo"
	"coterie/internal/version"
)

func newDemo(streams) *cobra.Command {
	cfg := demo.Config{}
	cmd := &cobra.Command{
		Use:   "demo [flags] [-- FLAG OF START ...]",
		Short: "Run a cluster on this machine to look at and to break",
		Long: `Run a cluster of real processes on free loopback ports of this machine, and say
what to try with it. Ctrl-C stops it and removes its data, unless --data-dir names
a directory to keep it in and to come back to. With --base-port B, node N has its
Redis port at B+N, the cluster port at B+100+N, peers at B+200+N and HTTP at B+300+N.
What stands behind -- is given to each node's start.`,
		Example: "  coterie demo\n  coterie demo --nodes 5 --data-dir /tmp/five -- --log-level debug",
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) > 0 && dash != 0 {
				return usageError{fmt.Errorf("coterie demo takes no argument such as %q; flags for the nodes stand behind --", args[0])}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&cfg.Nodes, "nodes", 0, "number of nodes (default 3, or as many as --data-dir has)")
	cmd.Flags().StringVar(&cfg.DataDir, "data-dir", "", "directory to keep the cluster in (default: a temporary one)")
	cmd.Flags().IntVar(&cfg.BasePort, "base-port", 0, "first of 400 ports (default: a free block)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program's own file: %w", err)
		}
		cfg.Executable, cfg.Command, cfg.Version = exe, command(), version.Current().Version
		cfg.StartArgs, cfg.Out, cfg.Hurry = args, cmd.OutOrStdout(), hurry(cmd.Context())
		return demo.Run(cmd.Context(), cfg)
	}
	return cmd
}
