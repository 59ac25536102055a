package chaos

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

// process is one life of a node.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended; err is set before
	err  error

	begun  time.Time
	output string // file that it wrote to, from a position on
	from   int64
}

// starter starts processes from one operating system thread, which lives until
// stop is closed: Linux ties a child's "die with the parent" to the thread that
// made it.
type starter chan func()

func newStarter(stop <-chan struct{}) starter {
	s := make(starter)
	go func() {
		runtime.LockOSThread()
		for {
			select {
			case f := <-s:
				f()
			case <-stop:
				return
			}
		}
	}()
	return s
}

// start runs the program with args; its output is appended to a file.
func (s starter) start(executable, output string, args []string) (*process, error) {
	log, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open a node's log: %w", err)
	}
	defer log.Close()
	p := &process{cmd: exec.Command(executable, args...), done: make(chan struct{}), output: output, begun: time.Now()}
	if p.from, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("look at a node's log: %w", err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = childAttributes()
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "COTERIE_") {
			p.cmd.Env = append(p.cmd.Env, kv)
		}
	}
	started := make(chan error)
	s <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// lastWords is how much of a process's output is looked at when it has ended, in bytes.
const lastWords = 4 << 10

// foundNoRoom says whether the process, which has ended, said last that its disk was full,
// and left with the status of an error.
func (p *process) foundNoRoom() bool {
	var left *exec.ExitError
	if !errors.As(p.err, &left) || left.ExitCode() != 1 {
		return false
	}
	f, err := os.Open(p.output)
	if err != nil {
		return false
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false
	}
	b := make([]byte, min(max(end-p.from, 0), lastWords))
	n, _ := f.ReadAt(b, end-int64(len(b)))
	said := strings.TrimSpace(string(b[:n]))
	return strings.Contains(said[strings.LastIndexByte(said, '\n')+1:], syscall.ENOSPC.Error())
}

// infancy is how long a process may take until it minds SIGTERM.
const infancy = time.Second

// diedYoung says whether an error is that of a process which SIGTERM ended before it could
// mind that: asked is when it was.
func (p *process) diedYoung(err error, asked time.Time) bool {
	var left *exec.ExitError
	if !errors.As(err, &left) || asked.Sub(p.begun) > infancy {
		return false
	}
	s, ok := left.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && s.Signal() == syscall.SIGTERM
}

// kill is kill -9.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop ends the process politely, or by force when that takes too long. Its
// error is that of a process that did not end well by itself.
func (p *process) stop(patience time.Duration) error {
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.kill()
		return nil
	}
}
