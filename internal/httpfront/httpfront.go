// Package httpfront serves a node's HTTP listener: health (/livez, /readyz),
// the cluster's state (/status), metrics (/metrics) and, on loopback only,
// profiles (/debug/pprof).
//
// Invariants: nothing here waits for a quorum or for another node longer than
// answerTimeout; nothing changes state; a request's body is never read; the
// number of connections, the size of headers and the time of every step are
// bounded. The node makes a Server, gives it a listener, and closes it last
// when it stops, so that its end can be watched.
package httpfront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"coterie/internal/status"
)

// The limits of this front.
const (
	MaxConnections = 256      // open at once; further ones wait to be accepted
	maxHeaderBytes = 16 << 10 // of one request
	readTimeout    = 5 * time.Second
	idleTimeout    = 60 * time.Second
	answerTimeout  = 3 * time.Second  // for a Source to answer
	writeTimeout   = 15 * time.Second // to send an answer, the Source's time included
	profileTimeout = 10 * time.Minute // the same for a profile
)

// Source is the node as this front sees it. Its methods may be called at the
// same time from many goroutines and return promptly, quorum or not.
type Source interface {
	// Live is nil while the node's own machinery turns, and else says what
	// stands still. A supervisor restarts a node that is not live.
	Live() error
	// Ready is nil while the node can serve clients, and else says why not,
	// such as "2 of 7 partitions have no leader".
	Ready() error
	// Status describes the cluster as far as the node knows it.
	Status(context.Context) (*status.Cluster, error)
}

// Config is what a Server needs.
type Config struct {
	Source     Source
	Version    string
	Collectors []prometheus.Collector // in addition to those of the Go runtime and the process
	Log        *slog.Logger
}

// Server is one HTTP front.
type Server struct {
	cfg  Config
	http *http.Server
}

// New makes a Server. It fails when two collectors describe the same metric.
func New(cfg Config) (*Server, error) {
	metrics, err := newMetrics(cfg)
	if err != nil {
		return nil, fmt.Errorf("collect metrics: %w", err)
	}
	s := &Server{cfg: cfg}
	s.http = &http.Server{
		Handler:           s.handler(metrics),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		// No WriteTimeout: guard sets one for each request.
	}
	return s, nil
}

// Serve answers requests until Shutdown or Close, and then returns nil. It
// closes the listener.
func (s *Server) Serve(ln net.Listener) error {
	err := s.http.Serve(limitListener(ln, MaxConnections))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP on %s: %w", ln.Addr(), err)
}

// Shutdown stops accepting and waits for the requests under way, at most
// until ctx is done; then it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// Handler is the front without a listener, for tests and for embedding.
func (s *Server) Handler() http.Handler { return s.http.Handler }

func (s *Server) handler(metrics http.Handler) http.Handler {
	pages := map[string]http.Handler{
		"/livez":    http.HandlerFunc(s.livez),
		"/readyz":   http.HandlerFunc(s.readyz),
		status.Path: http.HandlerFunc(s.status),
		"/metrics":  metrics,
	}
	mux := http.NewServeMux()
	for path, h := range pages {
		mux.Handle(path, s.guard(writeTimeout, h))
	}
	mux.Handle("/debug/pprof/", s.guard(profileTimeout, loopbackOnly(profiles())))
	mux.Handle("/", s.guard(writeTimeout, s.index(pages)))
	return mux
}

// guard puts the bounds that every page has around h.
func (s *Server) guard(timeout time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.cfg.Log.Error("HTTP handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			http.Error(w, "internal error; the node's log has the details", http.StatusInternalServerError)
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
			return
		}
		// Not every ResponseWriter has a deadline (those of tests have none).
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout))
		h.ServeHTTP(w, r)
	})
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	health(w, "live", s.cfg.Source.Live())
}
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	health(w, "ready", s.cfg.Source.Ready())
}

func health(w http.ResponseWriter, what string, err error) {
	if err != nil {
		http.Error(w, "not "+what+": "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, what)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	c, err := s.cfg.Source.Status(ctx)
	if err != nil {
		http.Error(w, "no status: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(c); err != nil {
		s.cfg.Log.Debug("send status", "remote", r.RemoteAddr, "error", err)
	}
}

func (s *Server) index(pages map[string]http.Handler) http.Handler {
	var paths []string
	for path := range pages {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	text := fmt.Sprintf("Coterie %s\n\n%s\n/debug/pprof/ (from this machine only)\n\nRedis clients use another port: see /status.\n",
		s.cfg.Version, strings.Join(paths, "\n"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, "there is no page %q here\n\n", r.URL.Path)
		}
		fmt.Fprint(w, text)
	})
}
