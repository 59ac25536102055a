package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"coterie/internal/sim"
	"coterie/internal/workload"

	"github.com/spf13/cobra"
)

// flags are the command line.
type flags struct {
	seed, seeds         uint64
	wall                time.Duration
	faults              string
	trace, profile      string
	output              string
	shrink              time.Duration
	keepGoing, coverage bool
	options             sim.Options
}

func newRoot(out, progress io.Writer) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "coterie-sim",
		Short: "Run simulated clusters from seeds, and check them",
		Long: `Run simulated clusters from seeds, and check them.

A run is a cluster of the production code in one process, under a virtual
clock, a simulated network and simulated disks. Its seed decides everything:
the same seed gives the same history. Without --seeds and --for, the one seed is
run; the last line is then its number and the hash of its history.

Kinds of faults: ` + strings.Join(sim.FaultKinds(), ", ") + `.`,
		Example: `  coterie-sim --seed 7 --trace /tmp/trace
  coterie-sim --seeds 2000
  coterie-sim --for 10m --nodes 3 --faults crash,split
  coterie-sim --seed 7 --faults swarm,-pause`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), out, progress)
		},
	}
	cmd.SetOut(out)
	cmd.SetErr(progress)
	f.define(cmd)
	return cmd
}

func (f *flags) define(cmd *cobra.Command) {
	fs, o := cmd.Flags(), &f.options
	fs.SortFlags = false
	fs.Uint64Var(&f.seed, "seed", 1, "the seed, or the first of several")
	fs.Uint64Var(&f.seeds, "seeds", 0, "how many seeds to run, one after the other")
	fs.DurationVar(&f.wall, "for", 0, "how long to go on with further seeds")
	fs.StringVar(&f.faults, "faults", sim.FaultsSwarm, "kinds of faults: names, or "+sim.FaultsSwarm+", "+sim.FaultsAll+", "+sim.FaultsNone+"; -name leaves one out")
	fs.Float64Var(&o.FaultRate, "rate", 0, "how many times as many faults as the seed says")
	fs.StringVar(&o.Workload, "workload", "", "what the clients do: one or several of "+workload.Names()+"; drawn from the seed if not set")
	fs.IntVar(&o.Nodes, "nodes", 0, fmt.Sprintf("nodes, 1 to %d; drawn from the seed if not set", sim.MaxNodes))
	fs.IntVar(&o.Partitions, "partitions", 0, "partitions; drawn from the seed if not set")
	fs.IntVar(&o.Sessions, "sessions", 0, "clients; drawn from the seed if not set")
	fs.DurationVar(&o.Duration, "duration", 0, "simulated time with faults; drawn from the seed if not set")
	fs.StringVar(&o.Store, "store", sim.StoreModel, sim.StoreModel+", "+sim.StorePebble+" or "+sim.StoreMixed+"; only the first replays byte by byte")
	fs.BoolVar(&o.Grow, "grow", false, "begin with one node, and let the others join")
	fs.BoolVar(&o.NoGrow, "no-grow", false, "begin with all nodes")
	fs.BoolVar(&o.Tame, "tame", false, "Raft's messages are lost, doubled and overtaken only as TCP lets it happen")
	fs.StringVar(&f.trace, "trace", "", "write the readable history of the last run to this file")
	fs.DurationVar(&f.shrink, "shrink", time.Minute, "how long to look for a smaller run with the same kind of violation; 0: not at all")
	fs.BoolVar(&f.keepGoing, "keep-going", false, "go on after a violation")
	fs.BoolVar(&f.coverage, "coverage", false, "list what was met and what was not")
	fs.StringVarP(&f.output, "output", "o", "text", "text or json")
	fs.StringVar(&f.profile, "profile", "", "write a CPU profile to this file")
	cmd.MarkFlagsMutuallyExclusive("grow", "no-grow")
}

func (f *flags) run(ctx context.Context, out, progress io.Writer) (err error) {
	o := f.options
	o.Seed = f.seed
	if o.Faults, err = sim.ParseFaults(f.faults); err != nil {
		return err
	}
	if err := o.Check(); err != nil {
		return err
	}
	if f.output != "text" && f.output != "json" {
		return fmt.Errorf("no output %q: there are text and json", f.output)
	}
	stop, err := f.profileCPU()
	if err != nil {
		return err
	}
	defer stop()
	single := f.seeds <= 1 && f.wall == 0
	c := sim.Campaign{Options: o, Seeds: f.seeds, For: f.wall, KeepGoing: f.keepGoing}
	if single {
		c.Seeds = 1
	}
	if f.trace != "" {
		file, err := os.Create(f.trace)
		if err != nil {
			return err
		}
		defer file.Close()
		w := bufio.NewWriterSize(file, 1<<20)
		defer w.Flush()
		if single {
			c.Trace = w
		} else {
			defer func() {
				if !errors.Is(err, errNoRun) {
					f.traceAgain(&c, w)
				}
			}()
		}
	}
	return f.carryOut(ctx, &c, single, out, progress)
}

// carryOut runs the campaign and says how it went.
func (f *flags) carryOut(ctx context.Context, c *sim.Campaign, single bool, out, progress io.Writer) error {
	p := &meter{out: progress, began: time.Now()}
	var last *sim.Result
	c.Progress = func(t *sim.Tally, r *sim.Result) {
		last = r
		if !single {
			p.show(t)
		}
		if len(r.Violations) > 0 && f.output == "text" {
			f.explain(ctx, out, progress, r)
		}
	}
	t := c.Run(ctx)
	p.end()
	if last == nil {
		return errNoRun
	}
	f.seed = last.Asked.Seed
	missed := t.Stats.Missed(int(t.Seeds))
	if c.Faults != nil || c.Nodes != 0 || c.Calm {
		missed = nil // not all of it can be met
	}
	if f.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(report{Tally: t, Pace: t.Pace(), Hash: fmt.Sprintf("%016x", last.Hash), Missed: missed}); err != nil {
			return err
		}
	} else {
		f.summary(out, t, missed)
		if single {
			fmt.Fprintf(out, "seed %d hash %016x\n", last.Asked.Seed, last.Hash)
		}
	}
	if len(t.Failures) > 0 || len(missed) > 0 {
		return errViolation
	}
	return nil
}

// traceAgain writes the history of the last run of several.
func (f *flags) traceAgain(c *sim.Campaign, w io.Writer) {
	o := c.Options
	o.Seed, o.Trace = f.seed, w
	sim.Run(o)
}

func (f *flags) profileCPU() (stop func(), err error) {
	if f.profile == "" {
		return func() {}, nil
	}
	file, err := os.Create(f.profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); _ = file.Close() }, nil
}
