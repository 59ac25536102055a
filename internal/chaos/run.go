package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"coterie/internal/workload"
)

// MaxNodes bounds a cluster under test: it is one machine.
const MaxNodes = 9

const defaultNodes = 3

// Config says what to do.
type Config struct {
	Executable string        // the program; it understands `start`
	DataDir    string        // empty: a temporary one, removed at the end
	Nodes      int           // 0: as many as the directory has, or 3
	For        time.Duration // how long faults happen
	Seed       uint64        // of the plan of faults and of what clients do
	Faults     string        // names with commas between; empty: all
	Workload   string        // the same
	Pace       time.Duration // mean pause of a client between two bursts; 0: defaultPace
	HistoryDir string        // where all histories are kept; empty: only those with a violation
	StartArgs  []string      // further arguments for each node
	Progress   io.Writer     // what happens, line by line; may be nil
}

const defaultPace = 10 * time.Millisecond

// Run lets faults loose on a cluster and judges it. Its error is about the
// test itself; what is wrong with the cluster is in the report.
func Run(ctx context.Context, cfg Config) (r *Report, err error) {
	kinds, err := workload.Parse(cfg.Workload)
	if err != nil {
		return nil, err
	}
	faults, err := parseFaults(cfg.Faults)
	if err != nil {
		return nil, err
	}
	if cfg.Nodes < 0 || cfg.Nodes > MaxNodes {
		return nil, fmt.Errorf("--nodes %d is out of range; choose 1 to %d", cfg.Nodes, MaxNodes)
	}
	dir, temp := cfg.DataDir, cfg.DataDir == ""
	if temp {
		if dir, err = os.MkdirTemp("", "coterie-chaos-"); err != nil {
			return nil, fmt.Errorf("make a temporary directory: %w; name one with --data-dir", err)
		}
		defer func() {
			if err == nil && len(r.Violations) == 0 {
				_ = os.RemoveAll(dir)
			} else {
				err = errors.Join(err, noteKept(cfg.Progress, dir))
			}
		}()
	}
	c, err := newCluster(dir, cfg.Executable, cfg.Nodes, cfg.StartArgs)
	if err != nil {
		return nil, err
	}
	defer c.close()
	t := &test{cfg: cfg, c: c, kinds: kinds, faults: faults, temp: temp, begun: time.Now()}
	return t.run(ctx)
}

// noteKept says where things are that explain what happened.
func noteKept(w io.Writer, dir string) error {
	if w == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "kept: %s/node-N/log, and the histories of violations in %s\n", dir, filepath.Join(dir, "history"))
	return err
}

// test is one run.
type test struct {
	cfg    Config
	c      *cluster
	kinds  []workload.Kind
	faults []fault
	temp   bool
	begun  time.Time
}

func (t *test) say(format string, args ...any) {
	if t.cfg.Progress != nil {
		fmt.Fprintf(t.cfg.Progress, "%8.2f  "+format+"\n", append([]any{time.Since(t.begun).Seconds()}, args...)...)
	}
}

func (t *test) run(ctx context.Context) (*Report, error) {
	r := &Report{
		Seed: t.cfg.Seed, Nodes: len(t.c.nodes), Begun: t.begun, Faults: map[string]int{}, Skipped: t.smallDisk(),
		Violations: []Violation{},
	}
	for _, k := range t.kinds {
		r.Workloads = append(r.Workloads, k.Name)
	}
	if len(t.faults) == 0 {
		return nil, fmt.Errorf("no fault is left: %v", r.Skipped)
	}
	if err := t.c.found(ctx); err != nil {
		return nil, err
	}
	t.say("%d nodes serve, in %s", len(t.c.nodes), t.c.dir)
	pace := t.cfg.Pace
	if pace == 0 {
		pace = defaultPace
	}
	l := newLoad(t.c, t.kinds, t.cfg.Seed, pace, t.archive())
	d := &driver{
		c: t.c, l: l, rand: rand.New(rand.NewPCG(t.cfg.Seed, 0xfa17)), faults: t.faults, busy: map[int]bool{},
		counts: r.Faults, say: t.say,
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	worked := make(chan struct{})
	go func() { l.run(work); close(worked) }()

	trouble, over := context.WithTimeout(ctx, t.cfg.For)
	d.run(trouble)
	over()
	err := errors.Join(d.fatal, d.heal())
	t.say("all faults end")
	healed := time.Now()
	if err == nil {
		if oerr := t.c.order(context.WithoutCancel(ctx)); oerr != nil {
			l.violate(Violation{What: "after the faults: " + oerr.Error()})
		}
	}
	r.InOrder = time.Since(healed).Seconds()
	t.say("in order; the last readings")
	sleep(work, time.Second)
	stop()
	<-worked
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalPatience)
	defer cancel()
	l.finishAll(last)
	t.conclude(r, l)
	return r, err
}

// conclude fills the report in.
func (t *test) conclude(r *Report, l *load) {
	for _, n := range t.c.nodes {
		n.mu.Lock()
		for _, u := range n.unexplained {
			l.violate(Violation{What: u + "; its log is " + n.log()})
		}
		n.mu.Unlock()
	}
	r.Operations = Operations{
		Done: l.done.Load(), Refused: l.refused.Load(), Unknown: l.unknown.Load(),
		Checked: l.checked.Load(), Inconclusive: l.inconclusive.Load(),
	}
	r.Gaps, r.Elapsed = l.gaps.summary(), time.Since(t.begun).Seconds()
	l.mu.Lock()
	r.Violations = append(r.Violations, l.mu.violations...)
	l.mu.Unlock()
	if r.Verdict = VerdictOK; len(r.Violations) > 0 {
		r.Verdict = VerdictViolation
	}
}

func (t *test) archive() *archive {
	a := &archive{dir: t.cfg.HistoryDir, all: t.cfg.HistoryDir != "", seed: t.cfg.Seed}
	if !a.all {
		a.dir = filepath.Join(t.c.dir, "history")
	}
	return a
}

// smallDisk gives the last node a file system that can be filled. It says
// which faults cannot be.
func (t *test) smallDisk() map[string]string {
	n := t.c.nodes[len(t.c.nodes)-1]
	for i, f := range t.faults {
		if f.name != "disk-full" {
			continue
		}
		err := error(nil)
		if !t.temp {
			err = errors.New("only in a temporary directory, as a small disk in memory does not last")
		} else if err = mountSmall(n.disk(), diskSize); err == nil {
			n.mounted = true
			return nil
		}
		rest := append([]fault{}, t.faults[:i]...)
		t.faults = append(rest, t.faults[i+1:]...)
		t.say("%s is skipped: %v", f.name, err)
		return map[string]string{f.name: err.Error()}
	}
	return nil
}
