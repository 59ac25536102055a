package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"coterie/internal/bench"
	"coterie/internal/config"
)

func newBench() *cobra.Command {
	c := bench.Config{}
	valueSize := byteCount(64)
	cmd := &cobra.Command{
		Use:   "bench [flags]",
		Short: "Measure a server that speaks the Redis protocol",
		Long: `Measure a server that speaks the Redis protocol: this one or another. It sends
commands over many connections, and reports throughput and the latency that
clients would have felt. With --rate requests are due at fixed times, whatever
the server does, and latency counts from then; without, each client sends when
it has its answers.`,
		Example: `  coterie bench --addr 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003 --command set
  coterie bench --command get --prefill --pipeline 16 --duration 30s
  coterie bench --command 'HSET __key__ field __value__' --rate 20000 -o json`,
	}
	f := cmd.Flags()
	f.StringSliceVarP(&c.Addrs, "addr", "a", []string{"127.0.0.1:6379"}, "Redis addresses; clients are spread over them")
	f.BoolVar(&c.Cluster, "cluster", false, "ask for the slots' leaders and send each key to its own")
	f.IntVarP(&c.Connections, "connections", "c", 50, "clients")
	f.IntVarP(&c.Pipeline, "pipeline", "P", 1, "requests that a client has in flight")
	f.IntVar(&c.Workers, "workers", 0, "threads that drive the clients (default: a quarter of the processors)")
	f.StringVar(&c.Command, "command", "mixed", "get, set, mixed, incr, or words with __key__, __value__")
	f.Float64Var(&c.ReadShare, "read-share", 0.5, "share of reads in mixed, 0 to 1")
	f.VarP(&valueSize, "value-size", "d", "size of a value")
	f.IntVarP(&c.Keys, "keys", "k", 100_000, "number of keys")
	f.IntVar(&c.KeySize, "key-size", 16, "length of a key in bytes")
	f.StringVar(&c.Distribution, "distribution", "uniform", "how keys are drawn: uniform, zipfian, sequential")
	f.DurationVarP(&c.Duration, "duration", "t", 0, "how long to run (default 10s, unless --requests is set)")
	f.Int64VarP(&c.Requests, "requests", "n", 0, "how many requests to send, at most")
	f.Float64Var(&c.Rate, "rate", 0, "requests per second, for an open loop (default: no limit)")
	f.DurationVar(&c.Warmup, "warmup", 0, "load before the measurement")
	f.BoolVar(&c.Prefill, "prefill", false, "set every key once before")
	f.DurationVar(&c.Timeout, "timeout", 5*time.Second, "silence after which a connection is given up")
	f.Uint64Var(&c.Seed, "seed", 1, "seed of keys and values")
	f.IntSliceVar(&c.CPUPIDs, "pid", nil, "local processes whose CPU time is reported too")
	for name, words := range map[string][]string{
		"command": {"get", "set", "mixed", "incr"}, "distribution": {"uniform", "zipfian", "sequential"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	format := addOutput(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c.ValueSize = int(valueSize)
		c.Terminal = isTerminal(cmd.ErrOrStderr())
		r, err := bench.Run(cmd.Context(), c, cmd.ErrOrStderr())
		if err != nil {
			return fmt.Errorf("measure: %w; see `coterie bench --help`", err)
		}
		if format.format == "json" {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			err = enc.Encode(r)
		} else {
			err = r.WriteText(cmd.OutOrStdout())
		}
		if err == nil && r.Ops == 0 && r.Failed > 0 {
			return errors.New("every request failed; see the errors above")
		}
		return err
	}
	return cmd
}

// byteCount is a flag that takes "64" as well as "1KiB".
type byteCount int

func (b *byteCount) String() string { return config.Size(*b).String() }
func (b *byteCount) Type() string   { return "SIZE" }
func (b *byteCount) Set(s string) error {
	n, err := config.ParseSize(s)
	if err == nil && n > 1<<30 {
		err = errors.New("too large; choose 1GiB at most")
	}
	*b = byteCount(n)
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
