package redisfront

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"coterie/internal/command/glob"
	"coterie/internal/keyspace"
)

// setting is one parameter of CONFIG GET.
type setting struct {
	value string
	// set changes it; nil if it cannot be changed. It returns an error text.
	set func(value string) string
	// cluster says that the parameter is the whole cluster's: it is set through
	// the router, which gives it back with Front.Settings. Then set checks, and
	// returns the value to be stored.
	cluster func(value string) (stored, text string)
}

// settings are what CONFIG knows: parameters that tools read, answered with
// what is true here, and parameters that only choose between encodings, which
// do not exist here and may be set to anything.
type settings struct {
	mu struct {
		sync.Mutex
		byName map[string]*setting
	}
}

// fixedSettings are true here and cannot be changed.
var fixedSettings = map[string]string{
	"save": "", "appendonly": "yes", "appendfsync": "always", "dir": ".", "dbfilename": "",
	"maxmemory": "0", "maxmemory-policy": "noeviction", "maxmemory-clients": "0",
	"databases": "16", "timeout": "0", "tcp-keepalive": "15", "requirepass": "",
	"activedefrag": "no", "lazyfree-lazy-user-del": "yes", "lazyfree-lazy-user-flush": "yes", "lazyfree-lazy-expire": "yes",
	"replica-read-only": "no", "repl-diskless-sync": "yes", "min-replicas-to-write": "0",
	"latency-tracking": "yes", "latency-tracking-info-percentiles": "50 99 99.9", "io-threads": "1",
	"protected-mode": "no", "supervised": "no", "daemonize": "no", "loglevel": "notice", "logfile": "",
	"stop-writes-on-bgsave-error": "yes", "rdbcompression": "yes", "rdbchecksum": "yes",
	"cluster-require-full-coverage": "no", "cluster-node-timeout": "1000", "cluster-allow-reads-when-down": "no",
	"unixsocket": "", "maxmemory-samples": "5", "latency-monitor-threshold": "0", "hz": "10",
}

// freeSettings change nothing that a client could see here, so that they may
// be set: scripts and test suites set them without need.
var freeSettings = map[string]string{
	"hash-max-listpack-entries": "128", "hash-max-listpack-value": "64",
	"hash-max-ziplist-entries": "128", "hash-max-ziplist-value": "64",
	"list-max-listpack-size": "-2", "list-max-ziplist-size": "-2", "list-compress-depth": "0",
	"set-max-intset-entries": "512", "set-max-listpack-entries": "128", "set-max-listpack-value": "64",
	"zset-max-listpack-entries": "128", "zset-max-listpack-value": "64",
	"zset-max-ziplist-entries": "128", "zset-max-ziplist-value": "64",
	"hll-sparse-max-bytes": "3000", "stream-node-max-bytes": "4096", "stream-node-max-entries": "100",
	"activerehashing": "yes", "lua-time-limit": "5000", "busy-reply-threshold": "5000",
	"active-expire-effort": "1", "lfu-log-factor": "10", "lfu-decay-time": "1",
}

func (c *settings) init(f *Front) {
	c.mu.byName = make(map[string]*setting)
	fixed := func(name, value string) { c.mu.byName[name] = &setting{value: value} }
	for name, value := range fixedSettings {
		fixed(name, value)
	}
	for name, value := range freeSettings {
		c.mu.byName[name] = &setting{value: value, set: func(string) string { return "" }}
	}
	limits := &f.opts.Limits
	fixed("maxclients", strconv.Itoa(limits.Connections))
	bulk := limits.Request.MaxBulk
	if bulk <= 0 {
		bulk = 512 << 20
	}
	fixed("proto-max-bulk-len", strconv.Itoa(bulk))
	c.mu.byName["client-output-buffer-limit"] = f.bufferLimits()
	fixed("max-request-memory", strconv.FormatInt(limits.RequestMemory, 10))
	for name, value := range f.opts.Settings {
		fixed(strings.ToLower(name), value)
	}
	c.mu.byName["slowlog-log-slower-than"] = &setting{
		value: strconv.FormatInt(f.slow.threshold.Load()/1000, 10),
		set: func(value string) string {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < -1 || n > int64(time.Hour/time.Microsecond) {
				return "argument must be between -1 and 3600000000 inclusive"
			}
			f.slow.threshold.Store(n * 1000)
			return ""
		},
	}
	c.mu.byName[settingEvents] = &setting{cluster: func(value string) (string, string) {
		if _, ok := keyspace.ParseClasses(value); !ok || len(value) > quoteMax {
			return "", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
		}
		return value, ""
	}}
	c.mu.byName["slowlog-max-len"] = &setting{
		value: "128",
		set: func(value string) string {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 10_000 {
				return "argument must be between 0 and 10000 inclusive"
			}
			f.slow.setLimit(n)
			return ""
		},
	}
}

func configGet(s *session, args [][]byte) {
	c := &s.f.settings
	c.mu.Lock()
	found := make(map[string]string)
	for _, a := range args[2:] {
		pattern := strings.ToLower(string(a))
		if p := c.mu.byName[pattern]; p != nil {
			found[pattern] = p.value
			continue
		}
		for name, p := range c.mu.byName {
			if glob.Match([]byte(pattern), []byte(name)) {
				found[name] = p.value
			}
		}
	}
	c.mu.Unlock()
	names := make([]string, 0, len(found))
	for n := range found {
		names = append(names, n)
	}
	sort.Strings(names)
	s.rw.Map(len(names))
	for _, n := range names {
		s.rw.BulkString(n)
		s.rw.BulkString(found[n])
	}
}

func configSet(s *session, args [][]byte) {
	if len(args)%2 != 0 {
		s.rw.Error(errSyntax)
		return
	}
	c := &s.f.settings
	if !s.setCluster(args) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(clip(args[i])))
		p := c.mu.byName[name]
		if p == nil {
			s.rw.Error("ERR Unknown option or number of arguments for CONFIG SET - '" + name + "'")
			return
		}
		if value := string(args[i+1]); p.set == nil && p.cluster == nil && value != p.value {
			s.rw.Error("ERR CONFIG SET failed (possibly related to argument '" + name + "') - can't be set here: see the node's own configuration")
			return
		}
	}
	for i := 2; i < len(args); i += 2 {
		name, value := strings.ToLower(string(args[i])), string(args[i+1])
		p := c.mu.byName[name]
		if p.set == nil || len(value) > quoteMax {
			continue
		}
		if text := p.set(value); text != "" {
			s.rw.Error("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + text)
			return
		}
		if name != "client-output-buffer-limit" { // which shows all classes
			p.value = value
		}
	}
	s.rw.Simple("OK")
}

func configResetstat(s *session, _ [][]byte) {
	s.f.resetStats()
	s.rw.Simple("OK")
}

func configRewrite(s *session, _ [][]byte) {
	s.rw.Error("ERR The server is running without a config file")
}

// settingEvents is the parameter with the keyspace events that are told.
const settingEvents = "notify-keyspace-events"

// setCluster sets those of the parameters that are the whole cluster's. It is
// false when it has replied with an error.
func (s *session) setCluster(args [][]byte) bool {
	c := &s.f.settings
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(clip(args[i])))
		c.mu.Lock()
		p := c.mu.byName[name]
		c.mu.Unlock()
		if p == nil || p.cluster == nil {
			continue
		}
		failed := "ERR CONFIG SET failed (possibly related to argument '" + name + "') - "
		stored, text := p.cluster(string(args[i+1]))
		if text != "" {
			s.rw.Error(failed + text)
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), settingWait)
		err := s.f.router.Set(ctx, name, stored)
		cancel()
		if err != nil {
			s.rw.Error(failed + err.Error())
			return false
		}
		s.f.Settings(map[string]string{name: stored})
	}
	return true
}

// settingWait is how long CONFIG SET waits for the cluster.
const settingWait = 10 * time.Second

// Settings makes parameters of the whole cluster known.
func (f *Front) Settings(values map[string]string) {
	c := &f.settings
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, ok := values[settingEvents]; ok {
		events, _ := keyspace.ParseClasses(value)
		c.mu.byName[settingEvents].value = events.String() // as Redis shows it
		f.events.Store(uint32(events))
	}
}
