package redisfront

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"coterie/internal/command"
)

// latencyKept is how many spikes of each event are kept, as in Redis.
const latencyKept = 160

// latencyMonitor remembers commands that took longer than a threshold, the
// worst of each second.
type latencyMonitor struct {
	threshold atomic.Int64 // nanoseconds; 0: off
	mu        struct {
		sync.Mutex
		events map[string]*latencyEvent
	}
}

type latencyEvent struct {
	worst  int64          // milliseconds
	spikes []latencySpike // oldest first
}

type latencySpike struct{ at, millis int64 }

// The events there are: commands, and those of them that never depend on a
// collection's size.
const (
	eventCommand = "command"
	eventFast    = "fast-command"
)

func (l *latencyMonitor) add(e *entry, took int64) {
	name := eventCommand
	if e.spec.Flags&command.Fast != 0 {
		name = eventFast
	}
	now, millis := time.Now().Unix(), took/int64(time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.events == nil {
		l.mu.events = map[string]*latencyEvent{}
	}
	x := l.mu.events[name]
	if x == nil {
		x = &latencyEvent{}
		l.mu.events[name] = x
	}
	x.worst = max(x.worst, millis)
	if n := len(x.spikes); n > 0 && x.spikes[n-1].at == now {
		x.spikes[n-1].millis = max(x.spikes[n-1].millis, millis)
		return
	}
	if len(x.spikes) == latencyKept {
		x.spikes = slices.Delete(x.spikes, 0, 1)
	}
	x.spikes = append(x.spikes, latencySpike{now, millis})
}

// event is a copy of an event's data.
func (l *latencyMonitor) event(name string) latencyEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.mu.events[name]; x != nil {
		return latencyEvent{x.worst, slices.Clone(x.spikes)}
	}
	return latencyEvent{}
}

// reset forgets events, all if none is named, and says how many.
func (l *latencyMonitor) reset(names [][]byte) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(names) == 0 {
		n = int64(len(l.mu.events))
		l.mu.events = nil
		return n
	}
	for _, name := range names {
		if _, ok := l.mu.events[string(lower(nil, name))]; ok {
			delete(l.mu.events, string(lower(nil, name)))
			n++
		}
	}
	return n
}

func latencyLatest(s *session, _ [][]byte) {
	var names []string
	for _, name := range []string{eventCommand, eventFast} {
		if len(s.f.latency.event(name).spikes) > 0 {
			names = append(names, name)
		}
	}
	s.rw.Array(len(names))
	for _, name := range names {
		x := s.f.latency.event(name)
		last := x.spikes[len(x.spikes)-1]
		s.rw.Array(4)
		s.rw.BulkString(name)
		s.rw.Int(last.at)
		s.rw.Int(last.millis)
		s.rw.Int(x.worst)
	}
}

func latencyHistory(s *session, args [][]byte) {
	x := s.f.latency.event(string(lower(nil, clip(args[2]))))
	s.rw.Array(len(x.spikes))
	for _, p := range x.spikes {
		s.rw.Array(2)
		s.rw.Int(p.at)
		s.rw.Int(p.millis)
	}
}

func latencyReset(s *session, args [][]byte) { s.rw.Int(s.f.latency.reset(args[2:])) }

func latencyGraph(s *session, args [][]byte) {
	name := string(lower(nil, clip(args[2])))
	x := s.f.latency.event(name)
	if len(x.spikes) == 0 {
		s.rw.Error("ERR No samples available for event '" + name + "'")
		return
	}
	s.rw.Verbatim("txt", x.graph(name, time.Now().Unix()))
}

// Size of a graph, in characters.
const (
	graphColumns = 80
	graphRows    = 4
)

// graph draws the last spikes as columns, with their age below.
func (x *latencyEvent) graph(name string, now int64) string {
	spikes := x.spikes[max(0, len(x.spikes)-graphColumns):]
	high, low := spikes[0].millis, spikes[0].millis
	for _, p := range spikes {
		high, low = max(high, p.millis), min(low, p.millis)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", name, high, low, x.worst, strings.Repeat("-", graphColumns))
	for row := graphRows; row > 0; row-- {
		for _, p := range spikes {
			switch height := 1 + (graphRows-1)*(p.millis-low)/max(high-low, 1); {
			case height > int64(row):
				b.WriteByte('|')
			case height == int64(row):
				b.WriteByte('#')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	ages := make([]string, len(spikes))
	for i, p := range spikes {
		ages[i] = age(now - p.at)
	}
	b.WriteByte('\n')
	for row := range 3 {
		for _, a := range ages {
			if row < len(a) {
				b.WriteByte(a[row])
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// age is a time in seconds in at most three characters.
func age(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	default:
		return fmt.Sprintf("%dd", min(seconds/(24*3600), 99))
	}
}

// latencyDoctor says what was seen, and where to look.
func latencyDoctor(s *session, _ [][]byte) {
	var b strings.Builder
	limit := s.f.latency.threshold.Load()
	if limit == 0 {
		b.WriteString("Spikes are not recorded: CONFIG SET latency-monitor-threshold <milliseconds> begins to.\n")
	}
	for _, name := range []string{eventCommand, eventFast} {
		x := s.f.latency.event(name)
		if len(x.spikes) == 0 {
			continue
		}
		sum := int64(0)
		for _, p := range x.spikes {
			sum += p.millis
		}
		fmt.Fprintf(&b, "%s: %d spikes, %d ms on average, the worst %d ms.\n", name, len(x.spikes), sum/int64(len(x.spikes)), x.worst)
	}
	if b.Len() == 0 {
		fmt.Fprintf(&b, "No command took longer than %d ms.\n", limit/int64(time.Millisecond))
	}
	b.WriteString("A write's latency contains its replication and the disks' fsync. See SLOWLOG, LATENCY HISTOGRAM, INFO latencystats and the node's /metrics.\n")
	s.rw.Verbatim("txt", b.String())
}
