// Command coterie-sim runs simulated clusters of the production code from
// seeds, under faults, and checks them. It holds flags and output only; the
// simulator is package sim, which no production binary contains.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes.
const (
	exitOK        = 0
	exitViolation = 1 // a run met a violation, or a campaign missed what it should meet
	exitUsage     = 2 // the command line is wrong
	exitNothing   = 3 // it was stopped before the first run ended
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errViolation says that what was found is printed already.
var errViolation = errors.New("violation")

// errNoRun says that it was stopped before anything was found out.
var errNoRun = errors.New("stopped before the first run ended")

// run is the whole program but for the exit.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	root := newRoot(out, progress)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errViolation):
		return exitViolation
	}
	fmt.Fprintln(progress, "coterie-sim:", err)
	if errors.Is(err, errNoRun) {
		return exitNothing
	}
	return exitUsage
}
