package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"coterie/internal/config"
	"coterie/internal/version"
)

func settings(t *testing.T, flags map[string]string) *config.Node {
	t.Helper()
	s, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return &s.Node
}

// fake makes a start function whose node listens where it is told to.
func fake(done chan struct{}, why error, stop func(context.Context) error) startFunc {
	return func(_ context.Context, cfg *config.Node, _ *slog.Logger) (*node, error) {
		bound := config.Addresses{Redis: cfg.Listen, Cluster: cfg.ClusterListen, Peer: cfg.PeerListen, HTTP: cfg.HTTPListen}
		return &node{ID: 2, ClusterID: "3f9c2a7b", How: "joined", Bound: bound, Told: cfg.Advertised(),
			Done: done, Err: func() error { return why }, Stop: stop}, nil
	}
}

func TestBanner(t *testing.T) {
	cmd := command()
	for _, tc := range []struct {
		name  string
		flags map[string]string
		want  string
	}{
		{"defaults", nil, `Coterie VERSION: node 2 of cluster 3f9c2a7b (joined)

  redis    127.0.0.1:6379        redis-cli
  peers    127.0.0.1:7379
  http     127.0.0.1:8379        CMD status
  data     coterie-data

To add a node:
  CMD start --data-dir DIR --listen 127.0.0.1:6380 --peer-listen 127.0.0.1:7380 --http-listen 127.0.0.1:8380 --join 127.0.0.1:7379
`},
		{"a network", map[string]string{"listen": "0.0.0.0:6379", "cluster-listen": "10.0.0.2:6380", "peer-listen": "10.0.0.2:7379", "http-listen": "127.0.0.1:9000", "insecure": "true"}, `Coterie VERSION: node 2 of cluster 3f9c2a7b (joined)

  redis    0.0.0.0:6379          redis-cli -p 6379  (others use 10.0.0.2:6379)
  cluster  10.0.0.2:6380         redis-cli -c -h 10.0.0.2 -p 6380
  peers    10.0.0.2:7379
  http     127.0.0.1:9000        CMD status --http 127.0.0.1:9000
  data     coterie-data

To add a node:
  CMD start --data-dir DIR --listen HOST:6379 --cluster-listen HOST:6380 --peer-listen HOST:7379 --http-listen HOST:9000 --insecure --join 10.0.0.2:7379
`},
	} {
		cfg := settings(t, tc.flags)
		n, err := fake(nil, nil, nil)(t.Context(), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.NewReplacer("VERSION", version.Current().Version, "CMD", cmd).Replace(tc.want)
		if got := banner(cfg, n); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, want)
		}
	}
}

func TestRunNode(t *testing.T) {
	log, cfg := slog.New(slog.DiscardHandler), settings(t, nil)
	running := func(start startFunc) (cancel, again func(), done <-chan error) {
		second := make(chan struct{})
		ctx, stop := context.WithCancel(context.WithValue(t.Context(), hurryKey{}, (<-chan struct{})(second)))
		result := make(chan error, 1)
		var out bytes.Buffer
		go func() { result <- runNode(ctx, start, cfg, log, &out) }()
		return stop, func() { close(second) }, result
	}
	wait := func(what string, done <-chan error) error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: still running", what)
			return nil
		}
	}
	stopping := make(chan struct{})
	graceful := func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded || ctx.Err() != nil {
			return errors.New("stop needs a deadline, and time left")
		}
		return nil
	}
	hangs := func(context.Context) error { close(stopping); select {} }

	cancel, _, done := running(fake(nil, nil, graceful))
	cancel()
	if err := wait("one signal", done); err != nil {
		t.Errorf("one signal: %v", err)
	}
	cancel, again, done := running(fake(nil, nil, hangs))
	cancel()
	<-stopping
	again()
	if err := wait("two signals", done); err == nil || !strings.Contains(err.Error(), "second signal") {
		t.Errorf("two signals: %v", err)
	}
	gone := make(chan struct{})
	close(gone)
	cancel, _, done = running(fake(gone, errors.New("write the log: no space left"), graceful))
	if err := wait("stops by itself", done); err == nil || !strings.Contains(err.Error(), "the node stopped: write the log: no space left") {
		t.Errorf("stops by itself: %v", err)
	}
	cancel()
	cancel, _, done = running(func(ctx context.Context, _ *config.Node, _ *slog.Logger) (*node, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	cancel()
	if err := wait("stopped while joining", done); err != nil {
		t.Errorf("stopped while joining: %v", err)
	}
	cancel, _, done = running(func(context.Context, *config.Node, *slog.Logger) (*node, error) {
		return nil, errors.New("port in use; choose another")
	})
	if err := wait("cannot start", done); err == nil || err.Error() != "port in use; choose another" {
		t.Errorf("cannot start: %v", err)
	}
	cancel()
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	newLogger(&b, settings(t, map[string]string{"log-format": "json", "log-level": "warn"})).Info("hidden")
	newLogger(&b, settings(t, map[string]string{"log-format": "json"})).Info("seen")
	if !strings.HasPrefix(b.String(), "{") || strings.Contains(b.String(), "hidden") || !strings.Contains(b.String(), "seen") {
		t.Errorf("%s", b.String())
	}
}
