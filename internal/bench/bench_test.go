package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"
)

func run(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClosedLoop(t *testing.T) {
	s := newServer(t, nil)
	for _, pipeline := range []int{1, 7} {
		for _, workers := range []int{1, 3} {
			c := quick(s.addr)
			c.Pipeline, c.Workers, c.Requests, c.Command, c.ReadShare = pipeline, workers, 1000, "mixed", 0.5
			c.Prefill = true
			before := s.commands.Load()
			r := run(t, c)
			if r.Ops != 1000 || r.Failed != 0 || r.Missing != 0 || r.Latency.P50 <= 0 || r.Elapsed <= 0 {
				t.Errorf("pipeline %d, %d workers: %+v", pipeline, workers, r)
			}
			if n := s.commands.Load() - before; n != 1000+100 {
				t.Errorf("the server got %d commands", n)
			}
		}
	}
	data := s.data()
	if len(data) != 100 {
		t.Errorf("%d keys", len(data))
	}
	for k, v := range data {
		if len(k) != 16 || !strings.HasPrefix(k, "key:000") || len(v) != 64 {
			t.Errorf("%q = %q", k, v)
		}
	}
}

func TestCommands(t *testing.T) {
	for _, tc := range []struct{ command, want string }{
		{"get", "GET key:000000000000"},
		{"set", "SET key:000000000000 vvvv"},
		{"incr", "INCR cnt:000000000000"},
		{`HSET "a b:__key__" __key__ <__value__>`, "HSET a b:key:000000000000 key:000000000000 <vvvv>"},
		{"PING", "PING"},
	} {
		var mu sync.Mutex
		seen := map[string]int{}
		s := newServer(t, func(s *server) {
			s.before = func(args []string, w *resp.Writer) bool {
				mu.Lock()
				defer mu.Unlock()
				seen[strings.Join(args, " ")]++
				w.Simple("OK")
				return true
			}
		})
		c := quick(s.addr)
		c.Command, c.Requests, c.Keys, c.ValueSize, c.Connections = tc.command, 5, 1, 4, 1
		if r := run(t, c); r.Ops != 5 || r.Failed != 0 {
			t.Errorf("%s: %+v", tc.command, r)
		}
		mu.Lock()
		for got := range seen {
			if i := strings.Index(tc.want, "vvvv"); i >= 0 && len(got) == len(tc.want) {
				got = got[:i] + "vvvv" + got[i+4:]
			}
			if got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		}
		mu.Unlock()
	}
}

func TestErrorsAreCounted(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.before = func(args []string, w *resp.Writer) bool {
			if args[1] < "key:000000000050" {
				return false
			}
			w.Error("OOM no memory for " + args[1])
			return true
		}
	})
	c := quick(s.addr)
	c.Command, c.Requests, c.Distribution, c.Pipeline = "set", 100, "sequential", 3
	r := run(t, c)
	if r.Ops != 50 || r.Failed != 50 || len(r.Errors) != 1 || r.Errors[0].Kind != "OOM" || r.Errors[0].Count != 50 ||
		!strings.HasPrefix(r.Errors[0].First, "OOM no memory for key:0000000000") {
		t.Errorf("%+v", r)
	}
	c.Prefill = true
	if _, err := Run(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "50 of 100 sets failed: OOM") {
		t.Errorf("prefill: %v", err)
	}
}

func TestConnectionIsMadeAgain(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.hangUp = func(n int64) bool { return n == 50 || n == 80 }
	})
	c := quick(s.addr)
	c.Requests, c.Command, c.Pipeline = 1000, "set", 2
	r := run(t, c)
	if r.Ops+r.Failed != 1000 || r.Failed == 0 || r.Reconnects == 0 || r.Errors[0].Kind != "CONNECTION" {
		t.Errorf("%+v", r)
	}
}

func TestSilenceTimesOut(t *testing.T) {
	stuck := make(chan struct{})
	s := newServer(t, func(s *server) {
		s.before = func([]string, *resp.Writer) bool {
			if s.commands.Load() >= 20 {
				<-stuck
			}
			return false
		}
	})
	defer close(stuck)
	c := quick(s.addr)
	c.Requests, c.Command, c.Timeout = 30, "set", 50*time.Millisecond
	r := run(t, c)
	if r.Ops+r.Failed != 30 || r.Failed == 0 || r.Errors[0].Kind != "TIMEOUT" {
		t.Errorf("%+v", r)
	}
}

func TestServerThatSpeaksNoRedis(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.before = func(_ []string, w *resp.Writer) bool {
			w.Raw([]byte("HTTP/1.1 400 Bad Request\r\n"))
			return true
		}
	})
	c := quick(s.addr)
	c.Requests, c.Connections = 2, 2
	if r := run(t, c); r.Ops != 0 || r.Failed != 2 || r.Errors[0].Kind != "PROTOCOL" {
		t.Errorf("%+v", r)
	}
}

func TestOpenLoop(t *testing.T) {
	s := newServer(t, nil)
	c := quick(s.addr)
	c.Rate, c.Duration, c.Warmup, c.Workers = 2000, 300*time.Millisecond, 50*time.Millisecond, 2
	r := run(t, c)
	if want := int64(600); r.Ops+r.Unsent < want-2 || r.Ops+r.Unsent > want+2 || r.Failed != 0 {
		t.Errorf("%d requests and %d unsent, want %d", r.Ops, r.Unsent, want)
	}
}

// A stall is felt by every request that was due in it, not only by those few
// that were in flight.
func TestOpenLoopHasNoCoordinatedOmission(t *testing.T) {
	const stall = 200 * time.Millisecond
	var once sync.Once
	var gate sync.RWMutex
	s := newServer(t, func(s *server) {
		s.before = func([]string, *resp.Writer) bool {
			once.Do(func() {
				gate.Lock()
				time.Sleep(stall)
				gate.Unlock()
			})
			gate.RLock()
			defer gate.RUnlock()
			return false
		}
	})
	c := quick(s.addr)
	c.Rate, c.Duration = 1000, 400*time.Millisecond
	r := run(t, c)
	// Half of the requests were due in the stall, and waited for a quarter of
	// the whole time or more on average.
	if r.Latency.P90 < float64(stall.Microseconds())/2 || r.Latency.Mean < float64(stall.Microseconds())/8 {
		t.Errorf("%+v", r.Latency)
	}
	if got := r.Ops + r.Unsent; got < 398 || got > 402 {
		t.Errorf("%d requests and %d unsent, want 400", r.Ops, r.Unsent)
	}
}

func TestOpenLoopSaysWhatItCouldNotSend(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.before = func([]string, *resp.Writer) bool { time.Sleep(10 * time.Millisecond); return false }
	})
	c := quick(s.addr)
	c.Connections, c.Rate, c.Duration = 1, 1000, 200*time.Millisecond
	r := run(t, c)
	if got := r.Ops + r.Unsent; r.Unsent < 100 || got < 198 || got > 202 {
		t.Errorf("%d requests and %d unsent, want 200, most of them unsent", r.Ops, r.Unsent)
	}
}

// clusterOf starts servers that answer MOVED for keys of another, by the
// owner of the moment.
func clusterOf(t *testing.T, n int, owner func(slot base.Slot) int) []*server {
	t.Helper()
	servers := make([]*server, n)
	for i := range servers {
		servers[i] = newServer(t, func(s *server) {
			s.before = func(args []string, w *resp.Writer) bool {
				if args[0] == "CLUSTER" {
					slotsReply(w, servers)
					return true
				}
				slot := base.KeySlot([]byte(args[1]))
				if o := owner(slot); o != i {
					to := servers[o].addr
					if o == 0 { // without a host: the one that was asked
						to = to[strings.LastIndexByte(to, ':'):]
					}
					w.Error("MOVED " + strconv.Itoa(int(slot)) + " " + to)
					return true
				}
				return false
			}
		})
	}
	return servers
}

func TestCluster(t *testing.T) {
	even := func(s base.Slot) int { return int(s) * 3 / base.NumSlots }
	servers := clusterOf(t, 3, even)
	c := quick(servers[1].addr)
	c.Cluster, c.Requests, c.Command, c.Distribution, c.Pipeline = true, 500, "set", "sequential", 4
	r := run(t, c)
	if r.Ops != 500 || r.Failed != 0 || r.Redirects != 0 {
		t.Errorf("%+v", r)
	}
	keys := 0
	for i, s := range servers {
		for k := range s.data() {
			keys++
			if even(base.KeySlot([]byte(k))) != i {
				t.Errorf("%s is on server %d", k, i)
			}
		}
	}
	if keys != 100 {
		t.Errorf("%d keys", keys)
	}
}

func TestClusterFollowsMoved(t *testing.T) {
	servers := clusterOf(t, 3, func(s base.Slot) int { return int(s) % 3 }) // not what CLUSTER SLOTS says
	c := quick(servers[0].addr)
	c.Cluster, c.Requests, c.Command, c.Pipeline, c.Keys = true, 1000, "set", 4, 20
	r := run(t, c)
	// A slot's first MOVED teaches the worker; what was in flight may follow.
	if r.Ops != 1000 || r.Failed != 0 || r.Redirects == 0 || r.Redirects > 20*4*4 {
		t.Errorf("%+v", r)
	}
}

func TestClusterFollowsAsk(t *testing.T) {
	var servers [2]*server
	asked := false // under the lock of server 1's single connection
	servers[1] = newServer(t, func(s *server) {
		s.before = func(args []string, w *resp.Writer) bool {
			if args[0] == "ASKING" {
				asked = true
				w.Simple("OK")
				return true
			}
			if !asked {
				w.Error("ERR not asked")
				return true
			}
			asked = false
			return false
		}
	})
	servers[0] = newServer(t, func(s *server) {
		s.before = func(args []string, w *resp.Writer) bool {
			switch args[0] {
			case "CLUSTER":
				slotsReply(w, []*server{s})
			default:
				w.Error("ASK " + strconv.Itoa(int(base.KeySlot([]byte(args[1])))) + " " + servers[1].addr)
			}
			return true
		}
	})
	c := quick(servers[0].addr)
	c.Cluster, c.Requests, c.Command, c.Connections, c.Pipeline = true, 50, "set", 1, 3
	// What waits for the second connection to be made is asked for once more.
	if r := run(t, c); r.Ops != 50 || r.Failed != 0 || r.Redirects < 50 || r.Redirects > 60 {
		t.Errorf("%+v", r)
	}
}

func TestCancelEndsTheRun(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("load", func(t *testing.T) {
		s := newServer(t, nil)
		for _, rate := range []float64{0, 100} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			c := quick(s.addr)
			c.Duration, c.Rate = time.Minute, rate
			start := time.Now()
			r, err := Run(ctx, c, nil)
			if err != nil || !r.Interrupted || r.Ops == 0 || r.Failed != 0 || time.Since(start) > 2*time.Second {
				t.Errorf("after %v: %+v, %v", time.Since(start), r, err)
			}
		}
	})
	for range 100 { // the test server's goroutines end a moment later
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestNothingThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	if _, err := Run(t.Context(), quick(addr), nil); err == nil || !strings.Contains(err.Error(), "connect") {
		t.Errorf("%v", err)
	}
	c := quick(addr)
	c.Cluster = true
	if _, err := Run(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "CLUSTER SLOTS") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, quick(addr), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, adjust := range []func(*Config){
		func(c *Config) { c.Addrs = nil },
		func(c *Config) { c.Distribution = "normal" },
		func(c *Config) { c.ReadShare = 2 },
		func(c *Config) { c.Keys = 1_000_001; c.KeySize = 10 },
		func(c *Config) { c.Pipeline = -1 },
		func(c *Config) { c.Rate = -1 },
		func(c *Config) { c.Command = `GET "` },
	} {
		c := quick("127.0.0.1:1")
		adjust(&c)
		if _, err := Run(t.Context(), c, nil); err == nil || strings.Contains(err.Error(), "refused") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestProgressAndResult(t *testing.T) {
	s := newServer(t, nil)
	c := quick(s.addr)
	c.Duration, c.Rate, c.CPUPIDs = 1100*time.Millisecond, 500, []int{os.Getpid(), 1 << 30}
	for _, terminal := range []bool{false, true} {
		c.Terminal = terminal
		var progress bytes.Buffer
		r, err := Run(t.Context(), c, &progress)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(progress.String(), "   1 s  ") || strings.Contains(progress.String(), "\r") != terminal {
			t.Errorf("progress %q", &progress)
		}
		if len(r.Seconds) != 1 || r.Seconds[0].Ops < 300 || r.Seconds[0].Ops > r.Ops {
			t.Errorf("seconds %+v", r.Seconds)
		}
		if len(r.CPU) != 3 || r.CPU[0].MicrosPerOp <= 0 || r.CPU[1].Error != "" || r.CPU[2].Error == "" {
			t.Errorf("cpu %+v", r.CPU)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
		var text bytes.Buffer
		if err := r.WriteText(&text); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"open loop at 500 requests/s", "p99.9", "errors      0\n", "per request: "} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%q is not in\n%s", want, &text)
			}
		}
	}
}
