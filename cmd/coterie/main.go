// Command coterie founds, grows, serves and inspects a cluster. It holds
// flags and output only; everything that happens lives in the packages below
// it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1 // something went wrong while running
	exitUsage = 2 // the command line or the configuration is wrong
)

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}))
}

// streams is what a command has of the outside world.
type streams struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// run is the whole program but for the exit.
func run(args []string, s streams) int {
	ctx, stop := signals(context.Background())
	defer stop()
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if word, ok := unknownCommand(err); ok {
		err = usageError{fmt.Errorf("there is no command %q; %s", word, suggestion(root, word))}
	}
	fmt.Fprintln(s.err, "coterie: "+oneLine(err.Error()))
	if errors.As(err, &usageError{}) {
		return exitUsage
	}
	return exitError
}

// usageError is an error in what the user wrote.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// unknownCommand finds the word in cobra's error, which has no type and
// several lines.
func unknownCommand(err error) (word string, ok bool) {
	rest, ok := strings.CutPrefix(err.Error(), "unknown command \"")
	word, _, found := strings.Cut(rest, "\" for ")
	return word, ok && found
}

func suggestion(root *cobra.Command, word string) string {
	if near := root.SuggestionsFor(word); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return "`coterie --help` lists them"
}

// oneLine joins the lines of an error, so that scripts and logs keep it in
// one piece.
func oneLine(s string) string {
	var parts []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " ")
}

type hurryKey struct{}

// signals makes a context that the first SIGINT or SIGTERM cancels. The
// second closes the channel that hurry returns.
func signals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	second := make(chan struct{})
	ctx = context.WithValue(ctx, hurryKey{}, (<-chan struct{})(second))
	arrived := make(chan os.Signal, 2)
	done := make(chan struct{})
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM)
	go func() {
		for n := 1; n <= 2; n++ {
			select {
			case <-arrived:
			case <-done:
				return
			}
			if n == 1 {
				cancel()
			} else {
				close(second)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(arrived)
		close(done)
		cancel()
	}
}

// hurry is closed when the user does not want to wait for a graceful stop.
func hurry(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(hurryKey{}).(<-chan struct{})
	return c
}
