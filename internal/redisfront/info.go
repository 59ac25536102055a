package redisfront

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"coterie/internal/base"
	"coterie/internal/pubsub"
)

// infoDefault and infoAll are the sections of INFO, in order.
var (
	infoDefault = []string{"server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "errorstats", "cluster", "keyspace"}
	infoAll     = []string{"server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats", "errorstats", "latencystats", "cluster", "keyspace"}
)

// wantedSections resolves what a client asked for to sections, in order.
func wantedSections(args [][]byte) []string {
	if len(args) == 0 {
		return infoDefault
	}
	want := make(map[string]bool)
	add := func(list []string) {
		for _, l := range list {
			want[l] = true
		}
	}
	for _, a := range args {
		switch word := strings.ToLower(string(clip(a))); word {
		case "default":
			add(infoDefault)
		case "all", "everything":
			add(infoAll)
		default:
			want[word] = true
		}
	}
	var list []string
	for _, name := range infoAll {
		if want[name] {
			list = append(list, name)
		}
	}
	return list
}

// infoText writes INFO sections, lines ended as Redis does.
type infoText struct{ strings.Builder }

func (b *infoText) section(name string) {
	if b.Len() > 0 {
		b.WriteString("\r\n")
	}
	b.WriteString("# " + name + "\r\n")
}

func (b *infoText) line(key string, value any) { fmt.Fprintf(b, "%s:%v\r\n", key, value) }

// infoSection writes one section; keyspace is not among them.
func (s *session) infoSection(b *infoText, name string) {
	switch name {
	case "server":
		s.infoServer(b)
	case "clients":
		s.infoClients(b)
	case "memory":
		s.infoMemory(b)
	case "persistence":
		s.infoPersistence(b)
	case "stats":
		s.infoStats(b)
	case "replication":
		s.infoReplication(b)
	case "cpu":
		b.section("CPU")
		user, sys := cpuSeconds()
		b.line("used_cpu_sys", fmt.Sprintf("%.6f", sys))
		b.line("used_cpu_user", fmt.Sprintf("%.6f", user))
	case "modules":
		b.section("Modules")
	case "commandstats":
		s.infoCommandstats(b)
	case "errorstats":
		b.section("Errorstats")
		kinds, counts := s.f.counters.errorKinds()
		for _, k := range kinds {
			b.line("errorstat_"+k, fmt.Sprintf("count=%d", counts[k]))
		}
	case "latencystats":
		b.section("Latencystats")
		for _, c := range s.f.table.stats {
			s.infoLatency(b, c)
		}
	case "cluster":
		b.section("Cluster")
		b.line("cluster_enabled", s.clusterEnabled())
	}
}

func (s *session) clusterEnabled() int {
	if s.cluster {
		return 1
	}
	return 0
}

func (s *session) infoServer(b *infoText) {
	st := s.f.router.Stats()
	started := st.Started
	if started.IsZero() {
		started = s.f.started
	}
	up := time.Since(started)
	p := Standalone
	if s.cluster {
		p = Cluster
	}
	s.f.mu.Lock()
	port := s.f.mu.ports[p]
	s.f.mu.Unlock()
	exe, _ := os.Executable()
	b.section("Server")
	b.line("redis_version", RedisVersion)
	b.line("coterie_version", s.f.opts.Version)
	b.line("coterie_cluster_id", st.ClusterID)
	b.line("redis_git_sha1", "00000000")
	b.line("redis_git_dirty", 0)
	b.line("redis_build_id", "0")
	b.line("redis_mode", s.mode())
	b.line("os", runtime.GOOS+" "+runtime.GOARCH)
	b.line("arch_bits", 32<<(^uint(0)>>63))
	b.line("multiplexing_api", "go")
	b.line("process_id", os.Getpid())
	b.line("process_supervised", "no")
	b.line("run_id", s.f.runID)
	b.line("tcp_port", port)
	b.line("server_time_usec", time.Now().UnixMicro())
	b.line("uptime_in_seconds", int64(up.Seconds()))
	b.line("uptime_in_days", int64(up.Hours()/24))
	b.line("hz", 10)
	b.line("configured_hz", 10)
	b.line("lru_clock", 0)
	b.line("executable", exe)
	b.line("config_file", "")
	b.line("io_threads_active", 0)
}

func (s *session) infoClients(b *infoText) {
	b.section("Clients")
	b.line("connected_clients", s.f.Connections())
	b.line("cluster_connections", 0)
	b.line("maxclients", s.f.opts.Limits.Connections)
	b.line("client_recent_max_input_buffer", 0)
	b.line("client_recent_max_output_buffer", 0)
	keys, gone := s.f.blockingKeys()
	b.line("blocked_clients", s.f.blocked.clients.Load())
	b.line("total_blocking_keys", keys)
	b.line("total_blocking_keys_on_nokey", gone)
	b.line("tracking_clients", s.f.tracking.clients.Load())
	b.line("clients_in_timeout_table", 0)
}

func (s *session) infoMemory(b *infoText) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	used, total := samples[0].Value.Uint64(), samples[1].Value.Uint64()
	rss := residentBytes()
	if rss == 0 {
		rss = total
	}
	b.section("Memory")
	b.line("used_memory", used)
	b.line("used_memory_human", human(used))
	b.line("used_memory_rss", rss)
	b.line("used_memory_rss_human", human(rss))
	b.line("used_memory_peak", total)
	b.line("used_memory_peak_human", human(total))
	b.line("used_memory_peak_perc", fmt.Sprintf("%.2f%%", 100*float64(used)/float64(max(total, 1))))
	b.line("used_memory_overhead", s.f.budget.inUse())
	b.line("used_memory_dataset", used)
	b.line("used_memory_dataset_perc", "100.00%")
	b.line("total_system_memory", 0)
	b.line("total_system_memory_human", "0B")
	b.line("used_memory_lua", 0)
	b.line("used_memory_lua_human", "0B")
	cached, bytes := s.f.scripts.store.Cached()
	libraries := s.f.scripts.store.Libraries()
	functions := 0
	for _, l := range libraries {
		functions += len(l.Functions)
	}
	b.line("used_memory_scripts", bytes)
	b.line("used_memory_scripts_human", human(uint64(bytes)))
	b.line("number_of_cached_scripts", cached)
	b.line("number_of_functions", functions)
	b.line("number_of_libraries", len(libraries))
	limit := s.f.limits.Load()[0]
	b.line("maxmemory", limit.Bytes)
	b.line("maxmemory_human", human(limit.Bytes))
	b.line("maxmemory_policy", limit.Policy)
	b.line("mem_fragmentation_ratio", fmt.Sprintf("%.2f", float64(rss)/float64(max(used, 1))))
	b.line("mem_clients_normal", s.f.budget.inUse())
	b.line("mem_allocator", "go")
	b.line("active_defrag_running", 0)
	b.line("lazyfree_pending_objects", 0)
}

func human(n uint64) string {
	v, units := float64(n), []string{"B", "K", "M", "G", "T"}
	i := 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.2f%s", v, units[i])
}

// infoPersistence says what Redis would of a server that has everything on
// disk before it answers.
func (s *session) infoPersistence(b *infoText) {
	b.section("Persistence")
	b.line("loading", 0)
	b.line("async_loading", 0)
	b.line("rdb_changes_since_last_save", s.f.router.Stats().Changes) // counted, though all are saved
	b.line("rdb_bgsave_in_progress", 0)
	b.line("rdb_last_save_time", time.Now().Unix())
	b.line("rdb_last_bgsave_status", "ok")
	b.line("aof_enabled", 1)
	b.line("aof_rewrite_in_progress", 0)
	b.line("aof_last_bgrewrite_status", "ok")
	b.line("aof_last_write_status", "ok")
	b.line("coterie_disk_bytes", s.f.router.Stats().DiskBytes)
}

func (s *session) infoStats(b *infoText) {
	c := &s.f.counters
	ops, in, out := s.f.rates()
	b.section("Stats")
	b.line("total_connections_received", c.connections.Load())
	b.line("total_commands_processed", s.f.CommandsRun())
	b.line("instantaneous_ops_per_sec", int64(ops))
	b.line("total_net_input_bytes", c.bytesIn.Load())
	b.line("total_net_output_bytes", c.bytesOut.Load())
	b.line("instantaneous_input_kbps", fmt.Sprintf("%.2f", in/1024))
	b.line("instantaneous_output_kbps", fmt.Sprintf("%.2f", out/1024))
	b.line("rejected_connections", c.rejectedConnections.Load())
	for _, zero := range []string{"sync_full", "sync_partial_ok", "sync_partial_err", "evicted_clients", "latest_fork_usec", "total_forks"} {
		b.line(zero, 0)
	}
	now, then := s.f.router.Stats(), s.f.statsThen()
	b.line("expired_keys", now.Expired-then.Expired)
	b.line("evicted_keys", now.Evicted-then.Evicted)
	b.line("keyspace_hits", now.Hits-then.Hits)
	b.line("keyspace_misses", now.Misses-then.Misses)
	b.line("pubsub_channels", s.f.broker.Len(pubsub.Channel))
	b.line("pubsub_patterns", s.f.broker.Len(pubsub.Pattern))
	b.line("pubsubshard_channels", s.f.broker.Len(pubsub.Shard))
	keys, items, prefixes := s.f.tracking.size()
	b.line("tracking_total_keys", keys)
	b.line("tracking_total_items", items)
	b.line("tracking_total_prefixes", prefixes)
	b.line("total_error_replies", c.errors.Load())
	b.line("acl_access_denied_auth", 0)
	b.line("coterie_protocol_errors", c.protocolErrors.Load())
}

func (s *session) infoReplication(b *infoText) {
	st := s.f.router.Stats()
	d := s.directory()
	b.section("Replication")
	b.line("role", "master")
	b.line("connected_slaves", 0)
	b.line("master_failover_state", "no-failover")
	b.line("master_replid", s.f.runID)
	b.line("master_replid2", strings.Repeat("0", 40))
	b.line("master_repl_offset", st.Applied)
	b.line("second_repl_offset", -1)
	b.line("repl_backlog_active", 0)
	b.line("coterie_replicas", st.Replicas)
	b.line("coterie_partitions", len(d.partitions))
	b.line("coterie_partitions_led", len(d.ledBy(d.Self)))
	b.line("coterie_partitions_unavailable", st.Unavailable)
}

func (s *session) infoCommandstats(b *infoText) {
	b.section("Commandstats")
	for _, c := range s.f.table.stats {
		calls, rejected := c.calls.Load(), c.rejected.Load()
		if calls+rejected == 0 {
			continue
		}
		micros := c.nanos.Load() / 1000
		per := float64(0)
		if calls > 0 {
			per = float64(c.nanos.Load()) / 1000 / float64(calls)
		}
		b.line("cmdstat_"+c.name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, micros, per, rejected, c.failed.Load()))
	}
}

// infoLatency writes one command's latencies, if any were recorded.
func (s *session) infoLatency(b *infoText, c *cmdStats) {
	if s.f.counters.untracked.Load() {
		return
	}
	var list []string
	for _, p := range *s.f.counters.shares.Load() {
		if micros, ok := c.percentile(p.share); ok {
			list = append(list, fmt.Sprintf("p%s=%.3f", p.name, micros))
		}
	}
	if len(list) > 0 {
		b.line("latency_percentiles_usec_"+c.name, strings.Join(list, ","))
	}
}

// ledNow are the partitions of the scope that have a leader now, so that INFO
// does not wait for an election.
func (s *session) ledNow() []base.PartitionID {
	var ids []base.PartitionID
	d := s.directory()
	for _, p := range s.scope() {
		if n := d.Node(p.Leader); n != nil && n.Alive {
			ids = append(ids, p.ID)
		}
	}
	return ids
}
