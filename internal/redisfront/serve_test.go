package redisfront

import (
	"net"
	"os"
	"os/signal"
	"runtime/pprof"
	"testing"
)

// TestServe serves a front over a cluster in memory until it is interrupted,
// for measurements by hand:
//
//	COTERIE_FRONT_LISTEN=127.0.0.1:7000 go test -run TestServe -timeout 0 ./internal/redisfront
//
// COTERIE_FRONT_PROFILE names a file for a CPU profile.
func TestServe(t *testing.T) {
	addr := os.Getenv("COTERIE_FRONT_LISTEN")
	if addr == "" {
		t.Skip("COTERIE_FRONT_LISTEN is not set")
	}
	r := newFake(t, fakeLoop, 6)
	r.front = New(Options{Router: r, Broker: newBroker(t), Table: fakeTable(), Version: "test"})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if name := os.Getenv("COTERIE_FRONT_PROFILE"); name != "" {
		out, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := pprof.StartCPUProfile(out); err != nil {
			t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	go func() { _ = r.front.Serve(l, Standalone) }()
	<-stop
}
