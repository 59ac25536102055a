package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is one node's process.
type child struct {
	place place
	cmd   *exec.Cmd
	done  chan struct{} // closed when it ended; err is set before
	err   error
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// starter starts processes from one operating system thread, which lives
// until stop is closed: Linux ties a child's "die with the parent" to the
// thread that made it.
type starter struct {
	requests chan func()
}

func newStarter(stop <-chan struct{}) *starter {
	s := &starter{requests: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for {
			select {
			case f := <-s.requests:
				f()
			case <-stop:
				return
			}
		}
	}()
	return s
}

// start runs the program with args; its output is appended to the place's
// log.
func (s *starter) start(executable string, p place, args []string) (*child, error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for node %d: %w; check the directory's permissions", p.number, err)
	}
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of node %d: %w; check the directory's permissions", p.number, err)
	}
	defer log.Close()
	c := &child{place: p, cmd: exec.Command(executable, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Env = withoutSettings(os.Environ())
	c.cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	s.requests <- func() { started <- c.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start node %d: %w", p.number, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// withoutSettings drops the environment's settings for nodes: the demo's
// nodes get theirs as flags, and one COTERIE_JOIN would spoil all of them.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "COTERIE_") {
			kept = append(kept, kv)
		}
	}
	return kept
}

// ending says in words how the process ended, and whether somebody ended it
// on purpose.
func (c *child) ending() (how string, byUser bool) {
	var exit *exec.ExitError
	if c.err == nil {
		return "stopped", true
	}
	if errors.As(c.err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			sig := ws.Signal()
			return "ended by signal: " + sig.String(), sig == syscall.SIGKILL || sig == syscall.SIGTERM || sig == syscall.SIGINT
		}
	}
	return "ended with " + c.err.Error(), false
}

// stopAll ends processes: politely first, by force after grace or when hurry
// is closed.
func stopAll(children []*child, grace time.Duration, hurry <-chan struct{}) {
	for _, c := range children {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	timeout := time.NewTimer(grace)
	defer timeout.Stop()
	for _, c := range children {
		select {
		case <-c.done:
			continue
		case <-timeout.C:
		case <-hurry:
		}
		for _, c := range children {
			_ = c.cmd.Process.Kill() // fails for those that ended, which is fine
		}
		for _, c := range children {
			<-c.done
		}
		return
	}
}

// tail is the end of a file: at most n lines and tailBytes bytes.
func tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-tailBytes), io.SeekStart)
	}
	data, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[max(0, len(lines)-n):]
}

const tailBytes = 4096
