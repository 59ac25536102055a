package redisfront

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// knob is a parameter that has no effect beyond being read back, with its
// value at start; of several names all mean the same.
type knob struct {
	names string
	value string
	check check
}

// knobs are the parameters of Redis that are known here. Those with
// notHere or immutable say what is the case, the others may be set: they
// choose encodings, files and processes that do not exist here, or promise less
// than is promised anyway.
var knobs = []knob{
	// What is true here.
	{"requirepass", "", notHere("")},
	{"masterauth", "", notHere("")},
	{"masteruser primaryuser", "", notHere("")},
	{"port", "0", notHere("0")},
	{"bind", "", notHere("")},
	{"replicaof slaveof", "", immutable("")},
	{"databases", "16", immutable("16")},
	{"daemonize", "no", immutable("no")},
	{"supervised", "no", immutable("no")},
	{"io-threads", "1", immutable("1")},
	{"unixsocket", "", immutable("")},
	{"rdbchecksum", "yes", immutable("yes")},
	{"logfile", "", immutable("")},
	{"aclfile", "", immutable("")},
	{"appendfilename", "appendonly.aof", immutable("appendonly.aof")},
	{"appenddirname", "appendonlydir", immutable("appendonlydir")},
	{"dir", ".", notHere(".")},
	{"dbfilename", "dump.rdb", notHere("dump.rdb")},

	// Encodings.
	{"hash-max-listpack-entries hash-max-ziplist-entries", "128", between(0, math.MaxInt64)},
	{"hash-max-listpack-value hash-max-ziplist-value", "64", bytesIn(0)},
	{"list-max-listpack-size list-max-ziplist-size", "-2", between(math.MinInt32, math.MaxInt32)},
	{"list-compress-depth", "0", between(0, math.MaxInt32)},
	{"set-max-intset-entries", "512", between(0, math.MaxInt64)},
	{"set-max-listpack-entries", "128", between(0, math.MaxInt64)},
	{"set-max-listpack-value", "64", bytesIn(0)},
	{"zset-max-listpack-entries zset-max-ziplist-entries", "128", between(0, math.MaxInt64)},
	{"zset-max-listpack-value zset-max-ziplist-value", "64", bytesIn(0)},
	{"hll-sparse-max-bytes", "3000", bytesIn(0)},
	{"stream-node-max-bytes", "4096", bytesIn(0)},
	{"stream-node-max-entries", "100", between(0, math.MaxInt64)},
	{"activerehashing", "yes", yesNo},
	{"activedefrag", "no", yesNo},
	{"sanitize-dump-payload", "no", oneOf("no", "yes", "clients")},

	// Persistence and replication: a write is on disk, at a majority, when it is
	// answered.
	{"save", "", savePoints},
	{"appendonly", "yes", yesNo},
	{"appendfsync", "always", oneOf("everysec", "always", "no")},
	{"no-appendfsync-on-rewrite", "no", yesNo},
	{"auto-aof-rewrite-percentage", "100", between(0, math.MaxInt32)},
	{"auto-aof-rewrite-min-size", "67108864", bytesIn(0)},
	{"aof-use-rdb-preamble", "yes", yesNo},
	{"aof-load-truncated", "yes", yesNo},
	{"aof-rewrite-incremental-fsync", "yes", yesNo},
	{"rdb-save-incremental-fsync", "yes", yesNo},
	{"rdb-key-save-delay", "0", between(math.MinInt32, math.MaxInt32)},
	{"key-load-delay", "0", between(math.MinInt32, math.MaxInt32)},
	{"rdbcompression", "yes", yesNo},
	{"rdb-del-sync-files", "no", yesNo},
	{"stop-writes-on-bgsave-error", "yes", yesNo},
	{"min-replicas-to-write min-slaves-to-write", "0", between(0, math.MaxInt32)},
	{"min-replicas-max-lag min-slaves-max-lag", "10", between(0, math.MaxInt32)},
	{"replica-read-only slave-read-only", "no", yesNo},
	{"replica-serve-stale-data slave-serve-stale-data", "yes", yesNo},
	{"replica-priority slave-priority", "100", between(0, math.MaxInt32)},
	{"replica-ignore-maxmemory slave-ignore-maxmemory", "yes", yesNo},
	{"replica-lazy-flush slave-lazy-flush", "no", yesNo},
	{"repl-diskless-sync", "yes", yesNo},
	{"repl-diskless-sync-delay", "5", between(0, math.MaxInt32)},
	{"repl-diskless-load", "disabled", oneOf("disabled", "on-empty-db", "swapdb")},
	{"repl-disable-tcp-nodelay", "no", yesNo},
	{"repl-timeout", "60", between(1, math.MaxInt32)},
	{"repl-ping-replica-period repl-ping-slave-period", "10", between(1, math.MaxInt32)},
	{"repl-backlog-size", "1048576", bytesIn(1)},
	{"repl-backlog-ttl", "3600", between(0, math.MaxInt64)},

	// Memory: nothing is evicted.
	{"maxmemory-samples", "5", between(1, math.MaxInt32)},
	{"maxmemory-eviction-tenacity", "10", between(0, 100)},
	{"maxmemory-clients", "0", bytesOrPercent},
	{"lfu-log-factor", "10", between(0, math.MaxInt32)},
	{"lfu-decay-time", "1", between(0, math.MaxInt32)},
	{"active-expire-effort", "1", between(1, 10)},
	{"lazyfree-lazy-eviction", "no", yesNo},
	{"lazyfree-lazy-expire", "yes", yesNo},
	{"lazyfree-lazy-server-del", "no", yesNo},
	{"lazyfree-lazy-user-del", "yes", yesNo},
	{"lazyfree-lazy-user-flush", "yes", yesNo},

	// The process and its connections.
	{"hz", "10", between(1, 500)},
	{"dynamic-hz", "yes", yesNo},
	{"timeout", "0", between(0, math.MaxInt32)},
	{"tcp-keepalive", "15", between(0, math.MaxInt32)},
	{"client-query-buffer-limit", "1073741824", bytesIn(1 << 20)},
	{"proto-max-bulk-len", "536870912", bytesIn(1 << 20)},
	{"lua-time-limit busy-reply-threshold", "5000", between(0, math.MaxInt64)},
	{"protected-mode", "no", yesNo},
	{"loglevel", "notice", oneOf("debug", "verbose", "notice", "warning", "nothing")},
	{"shutdown-timeout", "10", between(0, math.MaxInt32)},
	{"shutdown-on-sigterm", "default", anyText},
	{"shutdown-on-sigint", "default", anyText},
	{"acllog-max-len", "128", between(0, math.MaxInt32)},
	{"acl-pubsub-default", "resetchannels", oneOf("allchannels", "resetchannels")},
	{"oom-score-adj", "no", oneOf("no", "yes", "relative", "absolute")},
	{"oom-score-adj-values", "0 200 800", anyText},
	{"crash-log-enabled", "yes", yesNo},
	{"jemalloc-bg-thread", "yes", yesNo},
	{"latency-tracking", "yes", yesNo},
	{"cluster-require-full-coverage", "no", yesNo},
	{"cluster-node-timeout", "1000", between(0, math.MaxInt64)},
	{"cluster-allow-reads-when-down", "no", yesNo},
	{"cluster-allow-pubsubshard-when-down", "yes", yesNo},
	{"cluster-migration-barrier", "1", between(0, math.MaxInt32)},
}

// notHere refuses every value but one that is so.
func notHere(value string) check {
	return func(v string) (string, string) {
		if v != value {
			return "", "can't be set here: see the node's own configuration"
		}
		return v, ""
	}
}

func immutable(value string) check {
	return func(v string) (string, string) {
		if v != value {
			return "", "can't set immutable config"
		}
		return v, ""
	}
}

func anyText(v string) (string, string) { return v, "" }

func yesNo(v string) (string, string) {
	if v = strings.ToLower(v); v != "yes" && v != "no" {
		return "", "argument must be 'yes' or 'no'"
	}
	return v, ""
}

func oneOf(words ...string) check {
	return func(v string) (string, string) {
		if v = strings.ToLower(v); !slices.Contains(words, v) {
			return "", "argument(s) must be one of the following: " + strings.Join(words, ", ")
		}
		return v, ""
	}
}

func between(least, most int64) check {
	return func(v string) (string, string) {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil:
			return "", "argument couldn't be parsed into an integer"
		case n < least || n > most:
			return "", fmt.Sprintf("argument must be between %d and %d inclusive", least, most)
		}
		return strconv.FormatInt(n, 10), ""
	}
}

// bytesIn takes a size with Redis's units.
func bytesIn(least int64) check {
	return func(v string) (string, string) {
		n, ok := memorySize(v)
		switch {
		case !ok:
			return "", "argument must be a memory value"
		case n < least:
			return "", fmt.Sprintf("argument must be between %d and %d inclusive", least, int64(math.MaxInt64))
		}
		return strconv.FormatInt(n, 10), ""
	}
}

func bytesOrPercent(v string) (string, string) {
	p, ok := strings.CutSuffix(v, "%")
	if !ok {
		if n, ok := memorySize(v); ok {
			return strconv.FormatInt(n, 10), ""
		}
		return "", "argument must be a memory or percent value"
	}
	n, err := strconv.ParseInt(p, 10, 64)
	switch {
	case err != nil || n < 0:
		return "", "argument must be a memory or percent value"
	case n > 100:
		return "", "percentage argument must be less or equal to 100"
	}
	return strconv.FormatInt(n, 10) + "%", ""
}

// savePoints takes pairs of seconds and changes.
func savePoints(v string) (string, string) {
	words := strings.Fields(v)
	if len(words)%2 != 0 {
		return "", "Invalid save parameters"
	}
	for i, w := range words {
		if n, err := strconv.ParseInt(w, 10, 64); err != nil || n < 0 || i%2 == 0 && n < 1 {
			return "", "Invalid save parameters"
		}
	}
	return strings.Join(words, " "), ""
}

// percentiles takes numbers from 0 to 100.
func percentiles(v string) (string, string) {
	words := strings.Fields(v)
	for i, w := range words {
		f, err := strconv.ParseFloat(w, 64)
		if err != nil || f < 0 || f > 100 || math.IsNaN(f) {
			return "", "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
		}
		words[i] = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strings.Join(words, " "), ""
}
