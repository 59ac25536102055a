package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func echoCalls(_ *Config, n *node) {
	n.onCall = func(kind uint8, payload []byte) ([]byte, error) {
		if kind == 9 {
			return nil, errors.New("no such question")
		}
		return append([]byte{kind}, payload...), nil
	}
}

func TestCall(t *testing.T) {
	tn := newNet(t)
	a, b := tn.node(1), tn.node(2, echoCalls)
	for _, n := range []int{0, 10, MaxFrame, 3 << 20} {
		payload := bytes.Repeat([]byte("x"), n)
		answer, err := Call(t.Context(), b.addr, &testCluster, 7, payload, nil)
		if err != nil || !bytes.Equal(answer[1:], payload) || answer[0] != 7 {
			t.Errorf("%d bytes: %d came back, %v", n, len(answer), err)
		}
	}
	if _, err := a.Transport.Call(t.Context(), b.addr, 7, nil); err != nil {
		t.Error(err)
	}
	var remote *RemoteError
	if _, err := Call(t.Context(), b.addr, nil, 9, nil, nil); !errors.As(err, &remote) || remote.Text != "no such question" {
		t.Errorf("the handler's error came as %v", err)
	}
	if len(b.told()) != 0 {
		t.Errorf("calls are no peers: %v", b.told())
	}
}

// serveRaw listens and has f serve each connection.
func serveRaw(t *testing.T, f func(net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				f(conn)
			}()
		}
	}()
	return ln.Addr().String()
}

func TestCallErrors(t *testing.T) {
	tn := newNet(t)
	b := tn.node(2, echoCalls)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	// The near end of a connection is a port that is taken, so that nobody else
	// gets it, and that nobody listens on.
	closed, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closed.Close() }()
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	newer := welcome{status: statusNoVersion, version: 1, minVersion: 2, maxVersion: 4}
	other := [16]byte{'o'}

	for _, tc := range []struct {
		name, addr string
		cluster    *[16]byte
		want       error
		text       string
	}{
		{"closed port", closed.LocalAddr().String(), nil, ErrRefused, "nothing listens"},
		{"HTTP server", web.Listener.Addr().String(), nil, ErrNotCoterie, "HTTP"},
		{"Redis server", serveRaw(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			_, _ = io.WriteString(c, "-ERR unknown command 'COTERIE'\r\n")
		}), nil, ErrNotCoterie, "Redis"},
		{"silent server", serveRaw(t, silent), nil, ErrTimeout, ""},
		{"echo server", serveRaw(t, func(c net.Conn) { _, _ = io.Copy(c, c) }), nil, ErrNotCoterie, "back"},
		{"closing server", serveRaw(t, func(net.Conn) {}), nil, ErrNotCoterie, ""},
		{"short answer", serveRaw(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			_, _ = io.WriteString(c, "?")
		}), nil, ErrNotCoterie, "?"},
		{"other cluster", b.addr, &other, ErrOtherCluster, ""},
		{"newer protocol", serveRaw(t, func(c net.Conn) {
			_, _ = readHello(c)
			_, _ = c.Write(newer.encode())
		}), nil, ErrNewerProtocol, "2 to 4"},
		{"dies after the question", serveRaw(t, func(c net.Conn) {
			_, _ = readHello(c)
			w := welcome{version: 1, minVersion: 1, maxVersion: 1}
			_, _ = c.Write(w.encode())
			_, _ = readMessage(c, 100)
		}), nil, errClosedByPeer, ""},
		{"answers no question", serveRaw(t, func(c net.Conn) {
			_, _ = readHello(c)
			w := welcome{version: 1, minVersion: 1, maxVersion: 1}
			_, _ = c.Write(w.encode())
			silent(c)
		}), nil, ErrTimeout, ""},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if tc.want == ErrTimeout {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		_, err := Call(ctx, tc.addr, tc.cluster, 1, nil, nil)
		cancel()
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), tc.addr) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestCallCancelled(t *testing.T) {
	addr := serveRaw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := Call(ctx, addr, nil, 1, nil, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestCallOutlivesClose: Close does not wait for a handler that hangs in Call.
func TestCallOutlivesClose(t *testing.T) {
	tn := newNet(t)
	began, hang := make(chan struct{}), make(chan struct{})
	defer close(hang)
	b := tn.node(2, func(_ *Config, n *node) {
		n.onCall = func(uint8, []byte) ([]byte, error) {
			close(began)
			<-hang
			return nil, nil
		}
	})
	failed := make(chan error)
	go func() {
		_, err := Call(context.Background(), b.addr, nil, 1, nil, nil)
		failed <- err
	}()
	<-began
	b.Close()
	if err := <-failed; !errors.Is(err, errClosedByPeer) {
		t.Error(err)
	}
}
