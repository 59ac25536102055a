package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"coterie/internal/chaos"
	"coterie/internal/workload"
)

func newChaos() *cobra.Command {
	cfg := chaos.Config{}
	var report string
	cmd := &cobra.Command{
		Use:   "chaos [flags] [-- FLAG OF START ...]",
		Short: "Let faults loose on a cluster of its own, and judge it",
		Long: `Start a cluster of real processes on this machine, let clients work on it, let
faults happen, and judge what the clients saw: kill -9, stopped processes, links
between nodes that stall, crawl, break and end on one side only, full disks; one at
a time and several at once, by a plan that is a function of --seed.

It touches only nodes that it started itself, in a directory that it made: a
directory that does not carry its mark is refused. With --data-dir the cluster stays
there, and a later run goes on with it.

The exit code is 0 if nothing was wrong, 1 if something was. What stands behind -- is
given to each node's start.

Faults: ` + chaos.FaultNames() + `.
Workloads: ` + workload.Names() + `.`,
		Example: "  coterie chaos --for 5m\n  coterie chaos --nodes 5 --faults kill,pause,isolate --workload register,order --report report.json\n" +
			"  coterie chaos check history/register-12.jsonl",
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) > 0 && dash != 0 {
				return usageError{fmt.Errorf("coterie chaos takes no argument such as %q; flags for the nodes stand behind --", args[0])}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&cfg.For, "for", time.Minute, "how long faults happen")
	f.IntVar(&cfg.Nodes, "nodes", 0, "number of nodes (default 3, or as many as --data-dir has)")
	f.Uint64Var(&cfg.Seed, "seed", 0, "of the plan of faults and of what clients do (default: from the clock)")
	f.StringVar(&cfg.Faults, "faults", "", "which faults, with commas between (default: all)")
	f.StringVar(&cfg.Workload, "workload", "", "which workloads, with commas between (default: all)")
	f.StringVar(&cfg.DataDir, "data-dir", "", "directory to keep the cluster in (default: a temporary one)")
	f.StringVar(&cfg.HistoryDir, "history", "", "directory to keep all histories in (default: only those with a violation)")
	f.DurationVar(&cfg.Pace, "pace", 0, "mean pause of a client between two bursts (default 10ms)")
	f.StringVar(&report, "report", "", "file to write the report to, as JSON")
	format := addOutput(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program's own file: %w", err)
		}
		cfg.Executable, cfg.StartArgs, cfg.Progress = exe, args, cmd.ErrOrStderr()
		if !cmd.Flags().Changed("seed") {
			cfg.Seed = uint64(time.Now().UnixNano()) % 1_000_000
		}
		r, err := chaos.Run(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		return deliver(r, report, format.format, cmd.OutOrStdout())
	}
	cmd.AddCommand(newChaosCheck())
	return cmd
}

// deliver writes a report; its error is the verdict.
func deliver(r *chaos.Report, file, format string, out io.Writer) error {
	if file != "" {
		f, err := os.Create(file)
		if err == nil {
			err = errors.Join(r.WriteJSON(f), f.Close())
		}
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if format == "json" {
		if err := r.WriteJSON(out); err != nil {
			return err
		}
	} else {
		r.WriteText(out)
	}
	if n := len(r.Violations); n > 0 {
		return fmt.Errorf("%d violations; the first: %s", n, r.Violations[0].What)
	}
	return nil
}

func newChaosCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE ...",
		Short: "Judge kept histories again",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			bad := 0
			for _, name := range files {
				f, err := os.Open(name)
				if err != nil {
					return err
				}
				r, err := chaos.Check(f)
				_ = f.Close()
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d operations, %d violations\n", name, r.Checked, len(r.Violations))
				for _, v := range r.Violations {
					fmt.Fprintf(cmd.OutOrStdout(), "%v\n", v)
				}
				bad += len(r.Violations)
			}
			if bad > 0 {
				return fmt.Errorf("%d violations", bad)
			}
			return nil
		},
	}
}
