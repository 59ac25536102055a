package redistest

import (
	"net"
	"os/exec"
	"testing"
	"time"

	"coterie/internal/resp"
)

// Conn is a connection to a redis-server, or to who should answer like one.
type Conn struct {
	conn net.Conn
	buf  []byte
}

// Installed says whether there is a redis-server to compare with.
func Installed() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil
}

// Start starts a redis-server for the length of the test, with more settings
// if any are given, or skips the test when there is none.
func Start(t testing.TB, settings ...string) (addr string) {
	t.Helper()
	if !Installed() {
		t.Skip("no redis-server is installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	cmd := exec.Command("redis-server", append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, settings...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 250 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("redis-server does not start")
	return ""
}

// Dial connects for the length of the test.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Conn{conn: conn}
}

// Run runs commands in one pipeline and returns their raw replies.
func (r *Conn) Run(t testing.TB, commands ...[]string) [][]byte {
	t.Helper()
	var out []byte
	for _, args := range commands {
		out = resp.AppendCommand(out, args...)
	}
	if _, err := r.conn.Write(out); err != nil {
		t.Fatal(err)
	}
	_ = r.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	replies := make([][]byte, 0, len(commands))
	chunk := make([]byte, 64<<10)
	for len(replies) < len(commands) {
		n, err := resp.SkipReply(r.buf)
		if err != nil {
			t.Fatalf("redis replied %q: %v", r.buf, err)
		}
		if n > 0 {
			replies = append(replies, r.buf[:n:n])
			r.buf = r.buf[n:]
			continue
		}
		m, err := r.conn.Read(chunk)
		if err != nil {
			t.Fatalf("reading redis's reply to %q: %v", commands[len(replies)], err)
		}
		r.buf = append(r.buf[:len(r.buf):len(r.buf)], chunk[:m]...)
	}
	return replies
}

// Close ends the connection.
func (r *Conn) Close() { _ = r.conn.Close() }
