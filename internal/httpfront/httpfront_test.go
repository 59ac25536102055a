package httpfront

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"coterie/internal/status"
)

type fakeNode struct {
	live, ready, failure error
	panics               bool
}

var _ Source = (*fakeNode)(nil)

func (f *fakeNode) Live() error  { return f.live }
func (f *fakeNode) Ready() error { return f.ready }
func (f *fakeNode) Status(ctx context.Context) (*status.Cluster, error) {
	if f.panics {
		panic("a bug")
	}
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("no deadline")
	}
	return &status.Cluster{ID: "abc", AnsweredBy: 7}, f.failure
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newServer(t *testing.T, node *fakeNode, cs ...prometheus.Collector) *Server {
	t.Helper()
	s, err := New(Config{Source: node, Version: "1.2.3", Collectors: cs, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs s on a real loopback port, and returns its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestPages(t *testing.T) {
	ops := prometheus.NewCounter(prometheus.CounterOpts{Name: "coterie_test_total", Help: "Counts."})
	ops.Add(3)
	node := &fakeNode{}
	base := "http://" + serve(t, newServer(t, node, ops))
	check := func(path string, code int, want ...string) {
		t.Helper()
		got, body := get(t, base+path)
		if got != code {
			t.Errorf("%s: status %d, want %d", path, got, code)
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s: %q lacks %q", path, body, w)
			}
		}
	}
	check("/", 200, "Coterie 1.2.3", "/livez", "/metrics", "/readyz", "/status")
	check("/nope", 404, `there is no page "/nope"`, "/status")
	check("/livez", 200, "live")
	check("/readyz", 200, "ready")
	check("/metrics", 200, "coterie_test_total 3", "go_goroutines", "process_", `coterie_build_info{version="1.2.3"} 1`)
	check("/debug/pprof/", 200, "goroutine")
	check("/debug/pprof/goroutine?debug=1", 200, "goroutine profile")
	check("/debug/pprof/cmdline", 200)

	_, body := get(t, base+"/status")
	var c status.Cluster
	if err := json.Unmarshal([]byte(body), &c); err != nil || c.AnsweredBy != 7 {
		t.Errorf("/status: %v %q", err, body)
	}

	node.ready = errors.New("2 of 7 partitions have no leader")
	node.live = errors.New("the loop stands still for 12s")
	node.failure = errors.New("stopping")
	check("/readyz", 503, "not ready: 2 of 7 partitions have no leader")
	check("/livez", 503, "not live: the loop stands still for 12s")
	check("/status", 503, "no status: stopping")
	node.panics = true
	check("/status", 500, "internal error")
	check("/", 200)
}

func TestMethodsAndHeaders(t *testing.T) {
	h := newServer(t, &fakeNode{}).Handler()
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/status", strings.NewReader("x")))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	addr := serve(t, newServer(t, &fakeNode{}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("a", 4*maxHeaderBytes)+"\r\n\r\n")
	}()
	answer := make([]byte, 64)
	n, _ := conn.Read(answer)
	if !strings.Contains(string(answer[:n]), "431") {
		t.Errorf("a long header: %q", answer[:n])
	}
}

func TestProfilesOnLoopbackOnly(t *testing.T) {
	h := newServer(t, &fakeNode{}).Handler()
	for _, tc := range []struct {
		name, local, remote, host string
		code                      int
	}{
		{"this machine", "127.0.0.1:8379", "127.0.0.1:5000", "localhost:8379", 200},
		{"IPv6", "[::1]:8379", "[::1]:5000", "[::1]:8379", 200},
		{"from outside", "10.0.0.1:8379", "10.0.0.9:5000", "10.0.0.1:8379", 403},
		{"to an open listener", "10.0.0.1:8379", "127.0.0.1:5000", "localhost", 403},
		{"remote to loopback", "127.0.0.1:8379", "10.0.0.9:5000", "localhost", 403},
		{"another name for 127.0.0.1", "127.0.0.1:8379", "127.0.0.1:5000", "evil.example.net", 403},
	} {
		local, err := net.ResolveTCPAddr("tcp", tc.local)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/debug/pprof/", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
		r.RemoteAddr, r.Host = tc.remote, tc.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.code {
			t.Errorf("%s: %d, want %d", tc.name, w.Code, tc.code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/", nil)) // no local address known
	if w.Code != 403 {
		t.Errorf("unknown listener: %d", w.Code)
	}
}

func TestDuplicateCollectors(t *testing.T) {
	c := func() prometheus.Collector {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "coterie_twice_total", Help: "x"})
	}
	if _, err := New(Config{Source: &fakeNode{}, Collectors: []prometheus.Collector{c(), c()}, Log: quiet()}); err == nil {
		t.Error("accepted the same metric twice")
	}
}

func TestLimitListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := limitListener(inner, 1)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	dial()
	first := <-accepted
	dial()
	select {
	case <-accepted:
		t.Fatal("a second connection was accepted")
	case <-time.After(30 * time.Millisecond):
	}
	_ = first.Close()
	_ = first.Close() // closing twice frees one place only
	<-accepted
	_ = ln.Close()
	if _, ok := <-accepted; ok {
		t.Error("accepted after Close")
	}
}
