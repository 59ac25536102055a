package redisfront

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"coterie/internal/base"
	"coterie/internal/resp"
)

const errNoCluster = "ERR This instance has cluster support disabled"

const errSlot = "ERR Invalid slot"

// clusterOnly refuses CLUSTER on the standalone listener: a client that is
// answered takes the server for a cluster.
func clusterOnly(answer localFunc) localFunc {
	return func(s *session, args [][]byte) {
		if !s.cluster {
			s.rw.Error(errNoCluster)
			return
		}
		answer(s, args)
	}
}

// masters are the nodes with a cluster listener that lead slots, each with
// its slots. A node is listed once, and never as a replica: any node answers
// for any slot, and some clients keep only one role of a node.
func (d *Directory) masters() (nodes []*Node, spans [][]base.Span) {
	for i := range d.nodes {
		n := &d.nodes[i]
		if sp := d.spansLedBy(n.ID); len(sp) > 0 && n.Cluster != "" {
			nodes, spans = append(nodes, n), append(spans, sp)
		}
	}
	return nodes, spans
}

func hostPort(addr string) (host string, port int) {
	h, p, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	n, _ := strconv.Atoi(p)
	return h, n
}

func clusterSlots(s *session, _ [][]byte) {
	nodes, spans := s.directory().masters()
	total := 0
	for _, sp := range spans {
		total += len(sp)
	}
	s.rw.Array(total)
	for i, n := range nodes {
		host, port := hostPort(n.Cluster)
		for _, sp := range spans[i] {
			s.rw.Array(3)
			s.rw.Int(int64(sp.Lo))
			s.rw.Int(int64(sp.Hi) - 1)
			s.rw.Array(4)
			s.rw.BulkString(host)
			s.rw.Int(int64(port))
			s.rw.BulkString(n.Name)
			s.rw.Array(0)
		}
	}
}

func clusterShards(s *session, _ [][]byte) {
	nodes, spans := s.directory().masters()
	w := &s.rw
	offset := int64(s.f.router.Stats().Applied)
	w.Array(len(nodes))
	for i, n := range nodes {
		host, port := hostPort(n.Cluster)
		w.Map(2)
		w.BulkString("slots")
		w.Array(2 * len(spans[i]))
		for _, sp := range spans[i] {
			w.Int(int64(sp.Lo))
			w.Int(int64(sp.Hi) - 1)
		}
		w.BulkString("nodes")
		w.Array(1)
		w.Map(7)
		text := func(k, v string) {
			w.BulkString(k)
			w.BulkString(v)
		}
		text("id", n.Name)
		w.BulkString("port")
		w.Int(int64(port))
		text("ip", host)
		text("endpoint", host)
		text("role", "master")
		w.BulkString("replication-offset")
		w.Int(offset)
		health := "online"
		if !n.Alive {
			health = "fail"
		}
		text("health", health)
	}
}

// clusterNodes lists every node that has a cluster listener, those that lead
// no slots too: they answer like any other.
func clusterNodes(s *session, _ [][]byte) {
	var b strings.Builder
	d := s.directory()
	for i := range d.nodes {
		n := &d.nodes[i]
		if n.Cluster == "" {
			continue
		}
		host, port := hostPort(n.Cluster)
		flags, link := "master", "connected"
		if n.ID == d.Self {
			flags = "myself,master"
		}
		if !n.Alive {
			flags, link = flags+",fail", "disconnected"
		}
		fmt.Fprintf(&b, "%s %s:%d@%d %s - 0 0 %d %s", n.Name, host, port, port, flags, d.Epoch, link)
		for _, sp := range d.spansLedBy(n.ID) {
			if sp.Len() == 1 {
				fmt.Fprintf(&b, " %d", sp.Lo)
			} else {
				fmt.Fprintf(&b, " %s", sp)
			}
		}
		b.WriteByte('\n')
	}
	s.rw.Verbatim("txt", b.String())
}

func clusterInfo(s *session, _ [][]byte) {
	d := s.directory()
	assigned, led := 0, 0
	leaders := make(map[base.NodeID]bool)
	for _, p := range d.partitions {
		assigned += p.Span.Len()
		if n := d.Node(p.Leader); n != nil && n.Alive {
			led += p.Span.Len()
			leaders[p.Leader] = true
		}
	}
	state := "ok"
	if led < base.NumSlots {
		state = "fail"
	}
	var b strings.Builder
	line := func(k string, v any) { fmt.Fprintf(&b, "%s:%v\r\n", k, v) }
	line("cluster_enabled", 1)
	line("cluster_state", state)
	line("cluster_slots_assigned", assigned)
	line("cluster_slots_ok", led)
	line("cluster_slots_pfail", 0)
	line("cluster_slots_fail", assigned-led)
	line("cluster_known_nodes", len(d.nodes))
	line("cluster_size", len(leaders))
	line("cluster_current_epoch", d.Epoch)
	line("cluster_my_epoch", d.Epoch)
	line("cluster_stats_messages_sent", 0)
	line("cluster_stats_messages_received", 0)
	line("total_cluster_links_buffer_limit_exceeded", 0)
	s.rw.Verbatim("txt", b.String())
}

func clusterMyid(s *session, _ [][]byte) {
	d := s.directory()
	if n := d.Node(d.Self); n != nil {
		s.rw.BulkString(n.Name)
		return
	}
	s.rw.BulkString(strings.Repeat("0", 40))
}

func clusterKeyslot(s *session, args [][]byte) { s.rw.Int(int64(base.KeySlot(args[2]))) }

func clusterLinks(s *session, _ [][]byte) { s.rw.Array(0) }

// slotArg reads a slot; it replies when it is none.
func slotArg(s *session, e *entry, arg []byte) (base.Slot, bool) {
	n, ok := parseInt(arg)
	if !ok || n < 0 || n >= base.NumSlots {
		s.refuse(e, errSlot)
		return 0, false
	}
	return base.Slot(n), true
}

// clusterSlotKeys is CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT: the slot's
// partition answers, wherever it is led.
func clusterSlotKeys(s *session, o *op) {
	if !s.cluster {
		s.refuse(o.cmd, errNoCluster)
		return
	}
	slot, ok := slotArg(s, o.cmd, o.args[2])
	if !ok {
		return
	}
	if len(o.args) > 3 {
		if n, ok := parseInt(o.args[3]); !ok || n < 0 {
			s.refuse(o.cmd, "ERR Invalid number of keys")
			return
		}
	}
	p := s.directory().BySlot(slot)
	if p == nil {
		s.launch(o, &fan{merge: func(w *resp.Writer, _ *fan) {
			if len(o.args) > 3 {
				w.Array(0)
			} else {
				w.Int(0)
			}
		}})
		return
	}
	s.request(o, p.ID, slot)
}

func clusterReset(s *session, _ [][]byte) {
	s.rw.Error("ERR CLUSTER RESET is not possible here")
}
