package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"coterie/internal/status"
)

// welcome is what a person sees when the cluster is up.
func (d *demo) welcome(c *status.Cluster) string {
	var b strings.Builder
	verb := "started again"
	if d.founding {
		verb = "up"
	}
	fmt.Fprintf(&b, "Coterie %s: %d nodes, %d partitions, %s in %.1f s\n\n",
		d.cfg.Version, len(d.places), len(c.Partitions), verb, time.Since(d.begun).Seconds())

	leads := map[int]int{}
	var table bytes.Buffer
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "NODE\tPID\tREDIS\tCLUSTER\tHTTP\tLEADS")
	for _, p := range d.places {
		for _, n := range c.Nodes {
			if n.HTTP == p.http() {
				leads[p.number] = n.Leaders
			}
		}
		fmt.Fprintf(tw, "%d\t%d\t%s\t%s\t%s\t%s\n", p.number, d.children[p.number].pid(), p.redis(), p.cluster(), p.http(), partitions(leads[p.number]))
	}
	_ = tw.Flush()
	b.Write(table.Bytes())

	first := d.places[0]
	b.WriteByte('\n')
	hint := func(what, how string) { fmt.Fprintf(&b, "%-14s %s\n", what, how) }
	hint("talk to it", fmt.Sprintf("redis-cli -p %d", first.port(0)))
	hint("", fmt.Sprintf("redis-cli -c -p %d   (as a cluster-aware client)", first.port(clusterPart)))
	hint("look at it", fmt.Sprintf("%s status --http %s", d.cfg.Command, first.http()))
	if len(d.places) > 2 {
		victim := d.places[1]
		for _, p := range d.places[1:] {
			if leads[p.number] > leads[victim.number] {
				victim = p
			}
		}
		hint("break it", fmt.Sprintf("kill -9 %d   (node %d, leads %s), and keep writing to node 1",
			d.children[victim.number].pid(), victim.number, partitions(leads[victim.number])))
	}
	hint("measure it", fmt.Sprintf("%s bench --addr %s", d.cfg.Command, d.redisList()))
	hint("data and logs", quote(d.dir)+"/node-N/{data,log}")
	if d.temp {
		b.WriteString("\nCtrl-C stops the nodes and removes their data.\n")
	} else {
		b.WriteString("\nCtrl-C stops the nodes and keeps their data.\n")
	}
	return b.String()
}

func (d *demo) redisList() string {
	var list []string
	for _, p := range d.places[:min(3, len(d.places))] {
		list = append(list, p.redis())
	}
	return strings.Join(list, ",")
}

func partitions(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

// watch reports what happens to the nodes until ctx is done.
func (d *demo) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	ended := make(chan *child, len(d.places)) // each child ends once
	for _, c := range d.running() {
		go func() {
			<-c.done
			ended <- c
		}()
	}
	back := map[int]bool{} // nodes somebody started again: no children of ours
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			delete(d.children, c.place.number)
			d.reportEnd(ctx, c)
		case <-ticker.C:
			for _, p := range d.places {
				if d.children[p.number] != nil {
					continue
				}
				switch pid, up := d.answers(ctx, p); {
				case up && pid != 0 && !back[p.number]: // one that knows itself
					d.say("node %d is back (pid %d)", p.number, pid)
					back[p.number] = true
				case !up && back[p.number] && ctx.Err() == nil:
					d.say("node %d is gone again", p.number)
					back[p.number] = false
				}
			}
		}
	}
}

// reportEnd says that a node ended, and what becomes of the cluster.
func (d *demo) reportEnd(ctx context.Context, c *child) {
	p := c.place
	how, byUser := c.ending()
	d.say("\nnode %d (pid %d) is gone, %s", p.number, c.pid(), how)
	if !byUser {
		for _, line := range tail(p.log(), 5) {
			d.say("  | %s", line)
		}
	}
	d.reportLeaders(ctx, p)
	d.say("start it again with:\n  %s %s", d.cfg.Command, quoteAll(p.args("", d.cfg.StartArgs)))
}

// reportLeaders waits a little until partitions that the gone node led have
// another leader, and says so.
func (d *demo) reportLeaders(ctx context.Context, gone place) {
	running := d.running()
	if len(running) == 0 {
		d.say("no node is left")
		return
	}
	if 2*len(running) <= len(d.places) {
		d.say("%d of %d nodes are left: partitions without a majority answer nothing until nodes come back", len(running), len(d.places))
		return
	}
	begun := time.Now()
	for time.Since(begun) < 5*time.Second && ctx.Err() == nil {
		if c, err := d.ask(ctx, running[0].place); err == nil && ledWithout(c, gone) {
			d.say("the cluster goes on without it: every partition has a leader, seen %d ms later", time.Since(begun).Milliseconds())
			return
		}
		time.Sleep(pollInterval)
	}
	if ctx.Err() == nil {
		d.say("some partitions have no leader yet: see %s status --http %s", d.cfg.Command, running[0].place.http())
	}
}

// ledWithout says whether every partition has a leader other than the node at
// the given place.
func ledWithout(c *status.Cluster, gone place) bool {
	var id uint64
	for _, n := range c.Nodes {
		if n.HTTP == gone.http() {
			id = n.ID
		}
	}
	for _, p := range c.Partitions {
		if p.Leader == 0 || p.Leader == id || p.State == status.PartitionUnavailable {
			return false
		}
	}
	return true
}

// answers asks a node whether it is up, and for its process id.
func (d *demo) answers(ctx context.Context, p place) (pid int, up bool) {
	c, err := d.ask(ctx, p)
	if err != nil {
		return 0, false
	}
	for _, n := range c.Nodes {
		if n.ID == c.AnsweredBy {
			return n.PID, true
		}
	}
	return 0, true
}

// stopStrays ends nodes of this demo that somebody started again by hand. A
// process is touched only if its command line names the node's directory. It
// says whether one is left.
func (d *demo) stopStrays() (left bool) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	for _, p := range d.places {
		if d.children[p.number] != nil {
			continue
		}
		pid, up := d.answers(ctx, p)
		if !up {
			continue
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || pid <= 1 || !bytes.Contains(cmdline, []byte(p.data())) {
			left = true
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGTERM)
		for up && ctx.Err() == nil {
			time.Sleep(pollInterval)
			// Gone, or at least not that process any more.
			now, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			up = err == nil && bytes.Equal(now, cmdline)
		}
		if up {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return left
}

func quoteAll(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = quote(a)
	}
	return strings.Join(quoted, " ")
}
