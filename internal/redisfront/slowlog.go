package redisfront

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What an entry of the slow log keeps of a command, as in Redis.
const (
	slowArgs  = 32  // arguments
	slowBytes = 128 // bytes of each
)

// slowLog remembers the last commands that took long, from having been read
// to having their reply. Replication is part of that time.
type slowLog struct {
	threshold atomic.Int64 // nanoseconds; negative switches the log off
	mu        struct {
		sync.Mutex
		limit   int // entries
		nextID  int64
		entries []slowEntry // oldest first
	}
}

type slowEntry struct {
	id     int64
	at     time.Time
	took   int64 // nanoseconds
	args   []string
	client string
	name   string
}

func (l *slowLog) init() {
	l.threshold.Store(int64(100 * time.Millisecond))
	l.mu.limit = 128
}

func (l *slowLog) add(s *session, cmd *entry, args [][]byte, took int64) {
	e := slowEntry{at: time.Now(), took: took, client: s.remote}
	args = redacted(cmd, args)
	for i, a := range args {
		if i == slowArgs-1 && len(args) > slowArgs {
			e.args = append(e.args, fmt.Sprintf("... (%d more arguments)", len(args)-i))
			break
		}
		if extra := len(a) - slowBytes; extra > 0 {
			e.args = append(e.args, fmt.Sprintf("%s... (%d more bytes)", a[:slowBytes], extra))
			continue
		}
		e.args = append(e.args, string(a))
	}
	s.mu.Lock()
	e.name = s.mu.name
	s.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.mu.nextID
	l.mu.nextID++
	l.mu.entries = append(l.mu.entries, e)
	l.trim()
}

// trim drops the oldest entries above the limit. The caller holds l.mu.
func (l *slowLog) trim() {
	if extra := len(l.mu.entries) - l.mu.limit; extra > 0 {
		l.mu.entries = append(l.mu.entries[:0:0], l.mu.entries[extra:]...)
	}
}

func (l *slowLog) setLimit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.limit = n
	l.trim()
}

// newest returns up to n entries, newest first; all if n is negative.
func (l *slowLog) newest(n int) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > len(l.mu.entries) {
		n = len(l.mu.entries)
	}
	out := make([]slowEntry, 0, n)
	for i := range n {
		out = append(out, l.mu.entries[len(l.mu.entries)-1-i])
	}
	return out
}

func slowlogGet(s *session, args [][]byte) {
	n := 10
	if len(args) > 3 {
		s.rw.Error("ERR wrong number of arguments for 'slowlog|get' command")
		return
	}
	if len(args) == 3 {
		v, ok := parseInt(args[2])
		if !ok || v < -1 {
			s.rw.Error("ERR count should be greater than or equal to -1")
			return
		}
		n = int(min(v, 1<<20))
	}
	list := s.f.slow.newest(n)
	s.rw.Array(len(list))
	for _, e := range list {
		s.rw.Array(6)
		s.rw.Int(e.id)
		s.rw.Int(e.at.Unix())
		s.rw.Int(e.took / 1000)
		s.rw.Array(len(e.args))
		for _, a := range e.args {
			s.rw.BulkString(a)
		}
		s.rw.BulkString(e.client)
		s.rw.BulkString(e.name)
	}
}

func slowlogLen(s *session, _ [][]byte) { s.rw.Int(int64(len(s.f.slow.newest(-1)))) }

func slowlogReset(s *session, _ [][]byte) {
	s.f.slow.mu.Lock()
	s.f.slow.mu.entries = nil
	s.f.slow.mu.Unlock()
	s.rw.Simple("OK")
}

// latencyHistogram is LATENCY HISTOGRAM: calls and cumulative counts by
// powers of two of microseconds.
func latencyHistogram(s *session, args [][]byte) {
	var list []*cmdStats
	if len(args) == 2 {
		list = s.f.table.stats
	}
	for _, a := range args[2:] {
		if e := s.f.table.byName[strings.ToLower(string(a))]; e != nil {
			for _, leaf := range e.leaves() {
				list = append(list, leaf.stats)
			}
			continue
		}
		for _, c := range s.f.table.stats {
			if strings.EqualFold(c.name, string(a)) {
				list = append(list, c)
			}
		}
	}
	called := list[:0:0]
	for _, c := range list {
		if c.calls.Load() > 0 {
			called = append(called, c)
		}
	}
	s.rw.Map(len(called))
	for _, c := range called {
		type line struct{ micros, count uint64 }
		var lines []line
		sum := uint64(0)
		for i := range c.buckets {
			if n := c.buckets[i].Load(); n > 0 {
				sum += n
				lines = append(lines, line{1 << i, sum})
			}
		}
		s.rw.BulkString(c.name)
		s.rw.Map(2)
		s.rw.BulkString("calls")
		s.rw.Int(int64(c.calls.Load()))
		s.rw.BulkString("histogram_usec")
		s.rw.Map(len(lines))
		for _, l := range lines {
			s.rw.Int(int64(l.micros))
			s.rw.Int(int64(l.count))
		}
	}
}
