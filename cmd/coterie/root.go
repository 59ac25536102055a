package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coterie/internal/config"
)

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "coterie",
		Short: "Many machines, one data server that speaks the Redis protocol",
		Long: `Coterie makes one durable data server out of one machine or many. Every write
is on a majority of disks before it is acknowledged; any node answers any
request; clients speak the Redis protocol.

To see it:   coterie demo
To use it:   coterie start --data-dir DIR`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newStart(s), newDemo(s), newStatus(), newBench(), newChaos(), newConfig(s), newVersion())
	for _, c := range root.Commands() {
		c.Args = noArguments(c.Args)
	}
	return root
}

// flagError adds the next step to what the flag parser says.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		var names []string
		for _, o := range config.Options() {
			if cmd.Flags().Lookup(o.Name) != nil {
				names = append(names, o.Name)
			}
		}
		names = append(names, ownFlags(cmd)...)
		if near, distance := config.Nearest(name, names); distance <= 2 {
			return usageError{fmt.Errorf("%s has no flag --%s; did you mean --%s?", cmd.CommandPath(), name, near)}
		}
		return usageError{fmt.Errorf("%s has no flag --%s; `%s --help` lists them", cmd.CommandPath(), name, cmd.CommandPath())}
	}
	return usageError{fmt.Errorf("%s; see `%s --help`", text, cmd.CommandPath())}
}

// ownFlags are the flags that commands have besides a node's settings.
func ownFlags(cmd *cobra.Command) []string {
	all := []string{
		"http", "output", "nodes", "base-port", "data-dir", "config", "watch", "timeout",
		"addr", "cluster", "connections", "pipeline", "workers", "command", "read-share", "value-size", "keys", "key-size",
		"distribution", "for", "faults", "workload", "report", "history", "pace", "duration", "requests", "rate", "warmup", "prefill", "seed", "pid",
	}
	return slices.DeleteFunc(all, func(name string) bool { return cmd.Flags().Lookup(name) == nil })
}

// noArguments refuses words behind a command that takes none, in one line.
func noArguments(allowed cobra.PositionalArgs) cobra.PositionalArgs {
	if allowed != nil {
		return allowed
	}
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || cmd.HasSubCommands() {
			return nil
		}
		return usageError{fmt.Errorf("%s takes no argument such as %q; see `%s --help`", cmd.CommandPath(), args[0], cmd.CommandPath())}
	}
}

// groupOnly is what a command that only groups others does: help, or an error
// for a word that is none of them.
func groupOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return usageError{fmt.Errorf("%s has no command %q; it has %s", cmd.CommandPath(), args[0], strings.Join(names, ", "))}
}

// output is the flag -o, with the formats it takes.
type output struct {
	format string
	takes  []string
}

func addOutput(cmd *cobra.Command, formats ...string) *output {
	o := &output{format: formats[0], takes: formats}
	cmd.Flags().VarP(o, "output", "o", "form of the output: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return o
}

func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "FORMAT" }
func (o *output) Set(s string) error {
	if !slices.Contains(o.takes, s) {
		return errors.New("choose " + strings.Join(o.takes, ", "))
	}
	o.format = s
	return nil
}

// command is how a user can call this program again from where they are: by
// its bare name where the shell would find it, else by a short path. A binary
// that "go run" made is gone when the program ends.
func command() string {
	exe, err := os.Executable()
	if err != nil {
		return "coterie"
	}
	if found, err := exec.LookPath("coterie"); err == nil && sameFile(found, exe) {
		return "coterie"
	}
	if _, err := os.Stat("cmd/coterie/main.go"); err == nil && strings.Contains(exe, "/go-build") {
		return "go run ./cmd/coterie"
	}
	if dir, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(dir, exe); err == nil && !strings.HasPrefix(rel, "..") {
			return "./" + rel
		}
	}
	return exe
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
