package redisfront

import (
	"context"
	"math"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"coterie/internal/command/glob"
	"coterie/internal/keyspace"
)

// setting is one parameter of CONFIG.
type setting struct {
	value  string
	hidden bool // shown only to who asks for it by its full name
	// check says what a value becomes, or why it is none.
	check check
	// apply, if set, makes a checked value take effect. It may return what is to
	// be shown instead.
	apply func(value string) (shown string)
	// cluster says that the parameter is the whole cluster's: it is set through
	// the router, which gives it back with Front.Settings.
	cluster bool
}

// check normalizes a parameter's value, or says why it is refused.
type check func(value string) (normal, why string)

// settings are what CONFIG knows: parameters that tools read, answered with
// what is true here, and parameters that change nothing that a client could
// see, which may be set to anything that Redis takes.
type settings struct {
	mu struct {
		sync.Mutex
		byName map[string]*setting
	}
}

func (c *settings) init(f *Front) {
	all := make(map[string]*setting)
	c.mu.byName = all
	for _, k := range knobs {
		for _, name := range strings.Fields(k.names) {
			all[name] = &setting{value: k.value, check: k.check}
		}
	}
	all["key-load-delay"].hidden = true
	limits := &f.opts.Limits
	fixed := func(name, value string) { all[name] = &setting{value: value, check: notHere(value)} }
	fixed("maxclients", strconv.Itoa(limits.Connections))
	fixed("max-request-memory", strconv.FormatInt(limits.RequestMemory, 10))
	bulk := limits.Request.MaxBulk
	if bulk <= 0 {
		bulk = 512 << 20
	}
	all["proto-max-bulk-len"].value = strconv.Itoa(bulk)
	all["client-output-buffer-limit"] = f.bufferLimits()
	for name, value := range f.opts.Settings {
		fixed(strings.ToLower(name), value)
	}
	all[settingEvents] = &setting{cluster: true, check: func(value string) (string, string) {
		if _, ok := keyspace.ParseClasses(value); !ok || len(value) > quoteMax {
			return "", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
		}
		return value, ""
	}}
	f.limits.Store(&keyspace.NamespaceLimits{})
	for db := range Databases {
		all[keyspace.LimitSetting(keyspace.SettingMemory, db)] = &setting{value: "0", cluster: true, check: bytesIn(0)}
		all[keyspace.LimitSetting(keyspace.SettingPolicy, db)] = &setting{value: keyspace.NoEviction.String(), cluster: true, check: policy}
	}
	live := func(name, value string, check check, apply func(string)) {
		all[name] = &setting{value: value, check: check, apply: func(v string) string { apply(v); return v }}
	}
	live("slowlog-log-slower-than", strconv.FormatInt(f.slow.threshold.Load()/1000, 10), between(-1, int64(time.Hour/time.Microsecond)),
		func(v string) { f.slow.threshold.Store(atoi(v) * 1000) })
	live("client-default-resp", "2", between(2, 3), func(v string) { f.proto.Store(uint32(atoi(v))) })
	f.proto.Store(2)
	all["client-default-resp"].hidden = true
	live("slowlog-max-len", "128", between(0, 10_000), func(v string) { f.slow.setLimit(int(atoi(v))) })
	live("latency-monitor-threshold", "0", between(0, int64(time.Hour/time.Millisecond)),
		func(v string) { f.latency.threshold.Store(atoi(v) * int64(time.Millisecond)) })
	live("tracking-table-max-keys", strconv.Itoa(trackedKeys), between(0, math.MaxInt64), func(v string) {
		f.tracking.maxKeys.Store(atoi(v))
		f.tracking.mu.Lock()
		evicted := f.tracking.trim()
		f.tracking.mu.Unlock()
		deliver(evicted)
	})
	live("latency-tracking", "yes", yesNo, func(v string) { f.counters.untracked.Store(v == "no") })
	live("latency-tracking-info-percentiles", "50 99 99.9", percentiles, func(v string) { f.counters.setPercentiles(v) })
	f.counters.setPercentiles("50 99 99.9")
}

// atoi reads a number that was checked.
func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
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
			if !p.hidden && glob.Match([]byte(pattern), []byte(name)) {
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

// settingMax bounds a parameter's value, in bytes.
const settingMax = 1 << 10

// configSet sets all parameters, or none.
func configSet(s *session, args [][]byte) {
	if len(args)%2 != 0 {
		s.rw.Error(errSyntax)
		return
	}
	c := &s.f.settings
	values, cluster, why := c.checked(args[2:])
	for _, name := range cluster {
		if why == "" {
			why = s.setCluster(name, values[name])
			delete(values, name)
		}
	}
	if why != "" {
		s.rw.Error(why)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, value := range values {
		if p := c.mu.byName[name]; p.apply != nil {
			value = p.apply(value)
		}
		for _, same := range namesOf(name) {
			c.mu.byName[same].value = value
		}
	}
	s.rw.Simple("OK")
}

// checked are the values to be set, by name, and which of them are the whole
// cluster's; or the error to reply with.
func (c *settings) checked(args [][]byte) (values map[string]string, cluster []string, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	values = make(map[string]string)
	seen := make(map[string]bool)
	for i := 0; i < len(args); i += 2 {
		name := strings.ToLower(string(clip(args[i])))
		if seen[name] && c.mu.byName[name] != nil {
			return nil, nil, setFailed(name, "duplicate parameter")
		}
		seen[name] = true
	}
	for i := 0; i < len(args); i += 2 {
		name := strings.ToLower(string(clip(args[i])))
		p := c.mu.byName[name]
		if p == nil {
			return nil, nil, "ERR Unknown option or number of arguments for CONFIG SET - '" + name + "'"
		}
		value := string(args[i+1])
		if value, why = p.check(value); len(value) > settingMax {
			why = "argument is too long"
		}
		if why != "" {
			return nil, nil, setFailed(name, why)
		}
		values[name] = value
		if p.cluster {
			cluster = append(cluster, name)
		}
	}
	return values, cluster, ""
}

func setFailed(name, why string) string {
	return "ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why
}

// namesOf are a parameter's names: some have been renamed.
func namesOf(name string) []string {
	for _, k := range knobs {
		names := strings.Fields(k.names)
		for _, n := range names {
			if n == name {
				return names
			}
		}
	}
	return []string{name}
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

// setCluster sets a parameter that is the whole cluster's. It returns an error,
// or "".
func (s *session) setCluster(name, value string) string {
	if strings.HasPrefix(name, keyspace.SettingMemory) {
		return s.setLimit(name, value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), settingWait)
	defer cancel()
	if err := s.f.router.Set(ctx, name, value); err != nil {
		return setFailed(name, err.Error())
	}
	s.f.Settings(map[string]string{name: value})
	return ""
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
