package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The small disk of the last node, where there can be one.
const (
	diskSize = 512 << 20
	minFree  = "16MiB"
	diskLeft = 4 << 20 // what a disk that is almost full has left
)

// fault is a row of the table of faults. begin lets it happen and returns what
// ends it, or nil if there is nothing to do just now; the driver ends it after
// a time between min and max, mostly near min.
type fault struct {
	name     string
	what     string
	weight   int
	min, max time.Duration
	begin    func(d *driver, r *rand.Rand) (said string, end func() error)
	measured bool // alone, it is what a gap in writes is measured for
}

const (
	ms  = time.Millisecond
	sec = time.Second
)

// faultTable is what can go wrong.
func faultTable() []fault {
	return []fault{
		{"kill", "kill -9 of a node", 4, 50 * ms, 4 * sec, (*driver).killOne, false},
		{"kill-leader", "kill -9 of the node that leads most", 5, gapWindow, 6 * sec, (*driver).killLeader, true},
		{"kill-all", "kill -9 of all nodes at once", 1, 10 * ms, sec, (*driver).killAll, false},
		{"pause", "SIGSTOP of a node, and SIGCONT", 5, 100 * ms, 30 * sec, (*driver).pause, false},
		{"restart", "SIGTERM of a node, and a new start", 2, 10 * ms, sec, (*driver).restart, false},
		{"isolate", "nothing passes between a node and the others", 3, 200 * ms, 10 * sec, (*driver).isolate, false},
		{"one-way", "nothing passes from one node to another", 3, 200 * ms, 10 * sec, (*driver).oneWay, false},
		{"delay", "bytes between two nodes come late", 3, 500 * ms, 10 * sec, (*driver).delay, false},
		{"reset", "connections between two nodes are reset", 3, 10 * ms, 100 * ms, (*driver).reset, false},
		{"half-open", "connections between two nodes end on one side only", 2, 500 * ms, 10 * sec, (*driver).halfOpen, false},
		{"disk-full", "the disk of a node runs full", 2, 500 * ms, 6 * sec, (*driver).diskFull, false},
	}
}

// FaultNames lists the table, for help and errors.
func FaultNames() string {
	var names []string
	for _, f := range faultTable() {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// parseFaults finds the rows named in a list with commas between; an empty
// list is all.
func parseFaults(list string) ([]fault, error) {
	all := faultTable()
	if list == "" {
		return all, nil
	}
	var some []fault
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(f fault) bool { return f.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q; choose from %s", name, FaultNames())
		}
		some = append(some, all[i])
	}
	return some, nil
}

// driver lets faults happen, some at once, by a seeded plan.
type driver struct {
	c      *cluster
	l      *load
	rand   *rand.Rand
	faults []fault
	busy   map[int]bool // nodes that are down or stopped
	counts map[string]int
	say    func(format string, args ...any)
	active int // faults that have not ended
	fatal  error
}

// run lets faults happen until ctx is done, and ends all of them.
func (d *driver) run(ctx context.Context) {
	for ctx.Err() == nil && d.fatal == nil {
		if !sleep(ctx, time.Duration(300+d.rand.IntN(2200))*ms) {
			return
		}
		// One fault alone, two or three at once; now and then long peace before.
		n := 1
		switch x := d.rand.IntN(10); {
		case x < 3:
			n = 2
		case x < 5:
			n = 3
		}
		d.storm(ctx, n)
	}
}

// storm lets n faults happen within a moment, and ends each in its time.
func (d *driver) storm(ctx context.Context, n int) {
	type ending struct {
		at  time.Time
		end func() error
	}
	var ends []ending
	for range n {
		f := d.pick()
		said, end := f.begin(d, d.rand)
		if end == nil {
			continue
		}
		if d.active > 0 || !f.measured {
			d.l.gaps.disturbed()
		}
		long := f.min + time.Duration(float64(f.max-f.min)*skew(d.rand))
		d.counts[f.name]++
		d.say("%s: %s, for %v", f.name, said, long.Round(ms))
		ends = append(ends, ending{time.Now().Add(long), end})
		d.active++
		if !sleep(ctx, time.Duration(d.rand.IntN(700))*ms) {
			break
		}
	}
	slices.SortFunc(ends, func(a, b ending) int { return a.at.Compare(b.at) })
	for _, e := range ends {
		sleep(ctx, time.Until(e.at))
		if err := e.end(); err != nil && d.fatal == nil {
			d.fatal = err
		}
		d.active--
	}
}

// skew draws from 0 to 1, mostly near 0.
func skew(r *rand.Rand) float64 {
	f := r.Float64()
	return f * f * f
}

// sleep is false if ctx ended it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (d *driver) pick() fault {
	sum := 0
	for _, f := range d.faults {
		sum += f.weight
	}
	x := d.rand.IntN(sum)
	for _, f := range d.faults {
		if x -= f.weight; x < 0 {
			return f
		}
	}
	return d.faults[0]
}

// idle picks a node that is neither down nor stopped; -1 if there is none.
func (d *driver) idle(r *rand.Rand) int {
	i := r.IntN(len(d.c.nodes))
	for range d.c.nodes {
		if !d.busy[i] {
			return i
		}
		i = (i + 1) % len(d.c.nodes)
	}
	return -1
}

// pair picks two nodes; ok is false with one node.
func (d *driver) pair(r *rand.Rand) (a, b int, ok bool) {
	n := len(d.c.nodes)
	if n < 2 {
		return 0, 0, false
	}
	a = r.IntN(n)
	return a, (a + 1 + r.IntN(n-1)) % n, true
}

// down takes a node down, by force or not, until the fault ends.
func (d *driver) down(i int, take func(*node)) func() error {
	n := d.c.nodes[i]
	d.busy[i] = true
	take(n)
	return func() error {
		d.busy[i] = false
		return n.launch()
	}
}

func (d *driver) killOne(r *rand.Rand) (string, func() error) {
	i := d.idle(r)
	if i < 0 {
		return "", nil
	}
	return fmt.Sprintf("node %d", i+1), d.down(i, (*node).kill)
}

// killLeader kills the node that leads most partitions, as another one sees it,
// and has the gap in writes measured.
func (d *driver) killLeader(r *rand.Rand) (string, func() error) {
	i := d.idle(r)
	if i < 0 {
		return "", nil
	}
	s, err := d.c.nodes[i].ask(context.Background())
	if err != nil {
		return "", nil
	}
	most, victim := 0, -1
	for _, n := range s.Nodes {
		if j := d.c.number(n.ID); j >= 0 && !d.busy[j] && n.Leaders > most {
			most, victim = n.Leaders, j
		}
	}
	if victim < 0 {
		return "", nil
	}
	end := d.down(victim, (*node).kill)
	if d.active == 0 {
		d.l.gaps.killed(s.Partitions, d.c.nodes[victim].id, d.l.now())
	}
	return fmt.Sprintf("node %d, leading %d", victim+1, most), end
}

func (d *driver) killAll(*rand.Rand) (string, func() error) {
	for _, busy := range d.busy {
		if busy {
			return "", nil
		}
	}
	var ps []*process
	for i, n := range d.c.nodes {
		d.busy[i] = true
		if p := n.take(); p != nil {
			p.signal(syscall.SIGKILL)
			ps = append(ps, p)
		}
	}
	for _, p := range ps {
		<-p.done
	}
	return "all nodes", func() error {
		for i, n := range d.c.nodes {
			d.busy[i] = false
			if err := n.launch(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (d *driver) pause(r *rand.Rand) (string, func() error) {
	i := d.idle(r)
	if i < 0 {
		return "", nil
	}
	n := d.c.nodes[i]
	d.busy[i] = true
	n.signal(syscall.SIGSTOP)
	return fmt.Sprintf("node %d", i+1), func() error {
		d.busy[i] = false
		n.signal(syscall.SIGCONT)
		return nil
	}
}

func (d *driver) restart(r *rand.Rand) (string, func() error) {
	i := d.idle(r)
	if i < 0 {
		return "", nil
	}
	return fmt.Sprintf("node %d", i+1), d.down(i, (*node).stop)
}

// stall lets nothing pass in some directions.
func (d *driver) stall(pairs [][2]int) func() error {
	for _, p := range pairs {
		d.c.web.flows[p[0]][p[1]].stalled.Store(true)
	}
	return func() error {
		for _, p := range pairs {
			d.c.web.flows[p[0]][p[1]].stalled.Store(false)
		}
		return nil
	}
}

func (d *driver) isolate(r *rand.Rand) (string, func() error) {
	i := r.IntN(len(d.c.nodes))
	var pairs [][2]int
	for j := range d.c.nodes {
		if j != i {
			pairs = append(pairs, [2]int{i, j}, [2]int{j, i})
		}
	}
	if pairs == nil {
		return "", nil
	}
	return fmt.Sprintf("node %d", i+1), d.stall(pairs)
}

func (d *driver) oneWay(r *rand.Rand) (string, func() error) {
	a, b, ok := d.pair(r)
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("from node %d to node %d", a+1, b+1), d.stall([][2]int{{a, b}})
}

func (d *driver) delay(r *rand.Rand) (string, func() error) {
	a, b, ok := d.pair(r)
	if !ok {
		return "", nil
	}
	late := 2*ms + time.Duration(float64(300*ms)*skew(r))
	set := func(v time.Duration) {
		d.c.web.flows[a][b].delay.Store(int64(v))
		d.c.web.flows[b][a].delay.Store(int64(v))
	}
	set(late)
	return fmt.Sprintf("%v between node %d and node %d", late.Round(ms), a+1, b+1), func() error {
		set(0)
		return nil
	}
}

func (d *driver) reset(r *rand.Rand) (string, func() error) {
	a, b, ok := d.pair(r)
	if !ok {
		return "", nil
	}
	d.c.web.reset(a, b)
	return fmt.Sprintf("between node %d and node %d", a+1, b+1), func() error { return nil }
}

func (d *driver) halfOpen(r *rand.Rand) (string, func() error) {
	a, b, ok := d.pair(r)
	if !ok {
		return "", nil
	}
	d.c.web.hollowOut(a, b)
	return fmt.Sprintf("between node %d and node %d", a+1, b+1), func() error {
		d.c.web.fill()
		return nil
	}
}

// diskFull fills the small disk: almost, so that the node sees it coming, or
// wholly, so that it has to stop.
func (d *driver) diskFull(r *rand.Rand) (string, func() error) {
	i := len(d.c.nodes) - 1
	n := d.c.nodes[i]
	if !n.mounted || d.busy[i] {
		return "", nil
	}
	var room syscall.Statfs_t
	if err := syscall.Statfs(n.disk(), &room); err != nil {
		return "", nil
	}
	left, how := int64(diskLeft), "almost"
	if r.IntN(3) == 0 {
		left, how = 0, "wholly"
	}
	f, err := os.CreateTemp(n.disk(), "ballast") // one of several, perhaps
	if err != nil {
		return "", nil
	}
	ballast := f.Name()
	n.filled()
	block := make([]byte, 1<<20)
	for size := int64(room.Bavail)*int64(room.Bsize) - left; size > 0; size -= int64(len(block)) {
		if _, err := f.Write(block[:min(size, int64(len(block)))]); err != nil {
			break // full
		}
	}
	_ = f.Close()
	return fmt.Sprintf("node %d, %s", i+1, how), func() error {
		err := os.Remove(ballast)
		n.emptied()
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if how == "wholly" || n.stopped() {
			n.stop()
			if lerr := n.launch(); lerr != nil {
				return lerr
			}
		}
		return err
	}
}

// stopped says whether a node does no work any more, because it could not write.
func (n *node) stopped() bool {
	s, err := n.ask(context.Background())
	if err != nil {
		return true
	}
	for _, x := range s.Nodes {
		if x.ID == s.AnsweredBy && strings.Contains(x.Problem, "stopped") {
			return true
		}
	}
	return false
}

// heal ends what may be left: everything runs and reaches everything.
func (d *driver) heal() error {
	for _, row := range d.c.web.flows {
		for _, f := range row {
			f.stalled.Store(false)
			f.delay.Store(0)
		}
	}
	d.c.web.fill()
	for _, n := range d.c.nodes {
		n.signal(syscall.SIGCONT)
		if err := n.launch(); err != nil {
			return err
		}
	}
	return nil
}
