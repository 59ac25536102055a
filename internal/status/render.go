package status

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Write prints the cluster as "table", "json" or "yaml".
func (c *Cluster) Write(w io.Writer, format string) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(c)
	case "yaml":
		return writeYAML(w, c)
	}
	_, err := io.WriteString(w, c.Table())
	return err
}

// writeYAML goes by way of JSON, so that both have the same names in the same
// order from one set of field tags. JSON is YAML; only its style is undone.
func writeYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return err
	}
	var plain func(*yaml.Node)
	plain = func(n *yaml.Node) {
		n.Style = 0
		for _, child := range n.Content {
			plain(child)
		}
	}
	plain(&doc)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return err
	}
	return enc.Close()
}

// Table is the cluster for a person's eyes, at most 100 columns wide as long
// as names and addresses are of usual length.
func (c *Cluster) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s   coterie %s   answered by node %d at %s\n",
		dash(c.ID), dash(c.Version), c.AnsweredBy, c.Time.Format(time.TimeOnly))
	b.WriteString(c.totalsLine())

	b.WriteByte('\n')
	b.WriteString(c.nodeTable().render(maxWidth))
	for _, n := range c.Nodes {
		if n.Problem != "" {
			fmt.Fprintf(&b, "! node %d: %s\n", n.ID, n.Problem)
		}
	}

	b.WriteByte('\n')
	b.WriteString(c.partitionTable().render(maxWidth))

	if len(c.Changes) > 0 {
		b.WriteString("\nunder way\n")
		for _, ch := range c.Changes {
			line := fmt.Sprintf("  partition %d: %s (%s)", ch.Partition, ch.What, ch.Reason)
			if ch.Progress != "" {
				line += ": " + ch.Progress
			}
			b.WriteString(line + "\n")
		}
	}
	if len(c.Unknown) > 0 {
		fmt.Fprintf(&b, "\nwhat node %d cannot know now\n", c.AnsweredBy)
		for _, u := range c.Unknown {
			b.WriteString("  ! " + u + "\n")
		}
	}
	return b.String()
}

func (c *Cluster) totalsLine() string {
	ok := 0
	unknown := 0
	for _, p := range c.Partitions {
		switch p.State {
		case PartitionOK:
			ok++
		case PartitionUnknown:
			unknown++
		}
	}
	parts := []string{
		grouped(int64(c.Totals.OpsPerSecond)) + " ops/s",
		fmt.Sprintf("%s: %d ok, %d under-replicated, %d unavailable",
			plural(len(c.Partitions), "partition"), ok, c.Totals.UnderReplicated, c.Totals.Unavailable),
	}
	if unknown > 0 {
		parts[1] += fmt.Sprintf(", %d unknown", unknown)
	}
	if c.Totals.Keys != nil {
		parts = append(parts, grouped(*c.Totals.Keys)+" keys")
	}
	return strings.Join(parts, " · ") + "\n"
}

func (c *Cluster) nodeTable() *table {
	t := &table{columns: []column{
		{title: "NODE"}, {title: "STATE"}, {title: "REDIS"}, {title: "CLUSTER", drop: 4}, {title: "PEER", drop: 3}, {title: "HTTP", drop: 5},
		{title: "ZONE"}, {title: "VERSION", drop: 6}, {title: "LEADS", right: true}, {title: "COPIES", right: true},
		{title: "USED", right: true}, {title: "FREE", right: true}, {title: "PID", right: true, drop: 1},
	}}
	zones, versions := false, false
	for _, n := range c.Nodes {
		zones = zones || n.Zone != ""
		versions = versions || (n.Version != "" && n.Version != c.Version)
		pid := "-"
		if n.PID != 0 {
			pid = strconv.Itoa(n.PID)
		}
		t.add(itoa(n.ID), nodeState(n), dash(n.Redis), near(n.Cluster, n.Redis), near(n.Peer, n.Redis), near(n.HTTP, n.Redis),
			dash(n.Zone), dash(n.Version), itoa(n.Leaders), itoa(n.Replicas), bytesOf(n.DiskUsed), bytesOf(n.DiskFree), pid)
	}
	if !zones {
		t.hide("ZONE")
	}
	if !versions { // all alike: the head line says it
		t.hide("VERSION")
	}
	return t
}

// nodeState adds for how long a node that is not alive was silent.
func nodeState(n Node) string {
	s := string(n.State)
	if n.State != NodeAlive && n.HeardMillis != nil {
		s += " " + age(time.Duration(*n.HeardMillis)*time.Millisecond)
	}
	return s
}

func (c *Cluster) partitionTable() *table {
	t := &table{columns: []column{
		{title: "PARTITION"}, {title: "SLOTS"}, {title: "STATE"}, {title: "LEADER"}, {title: "COPIES ON NODES"},
		{title: "TERM", right: true}, {title: "COMMIT", right: true}, {title: "APPLIED", right: true, drop: 1}, {title: "LAG", right: true},
	}}
	for _, p := range c.Partitions {
		slots, leader := p.Slots, "-"
		if slots == "" {
			slots = "-"
			if p.ID == 0 {
				slots = "catalog"
			}
		}
		if p.Leader != 0 {
			leader = "node " + itoa(p.Leader)
		}
		t.add(itoa(p.ID), slots, strings.ReplaceAll(string(p.State), "_", "-"), leader, copies(p), itoa(p.Term), itoa(p.Commit), itoa(p.Applied), lag(p))
	}
	return t
}

// copies lists a partition's nodes: voters as bare numbers, learners said so.
func copies(p Partition) string {
	var list []string
	for _, r := range p.Replicas {
		s := itoa(r.Node)
		switch {
		case r.Snapshot:
			s += " (snapshot)"
		case r.Role == Learner:
			s += " (learner)"
		}
		list = append(list, s)
	}
	return dash(strings.Join(list, ", "))
}

// lag is the largest lag of a replica.
func lag(p Partition) string {
	worst, known := uint64(0), false
	for _, r := range p.Replicas {
		if r.Lag != nil {
			worst, known = max(worst, *r.Lag), true
		}
	}
	if !known {
		return "-"
	}
	return itoa(worst)
}

// near shortens an address to ":7379" where its host is the one that the same
// row already shows.
func near(addr, beside string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return dash(addr)
	}
	if h, _, err := net.SplitHostPort(beside); err == nil && h == host {
		return ":" + port
	}
	return addr
}

func bytesOf(n *int64) string {
	if n == nil {
		return "-"
	}
	return Bytes(*n)
}

// Bytes writes a size with three digits at most: "512 B", "1.5 MiB", "40 GiB".
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), "KMGTPE"
	i := -1
	for f >= 1023.5 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %ciB", f, units[i])
	}
	return fmt.Sprintf("%.0f %ciB", f, units[i])
}

// age writes a duration in its largest unit: "850ms", "12s", "3m", "5h".
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func itoa[N int | uint32 | uint64](n N) string { return strconv.FormatUint(uint64(n), 10) }

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
