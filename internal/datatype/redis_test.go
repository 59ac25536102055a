package datatype_test

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"coterie/internal/resp"
)

// redis is a connection to a redis-server of our own.
type redis struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
}

// startRedis starts a redis-server, or skips the test when there is none.
func startRedis(t testing.TB) (dial func() *redis) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server is installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command(path, "--port", fmt.Sprint(port), "--save", "", "--dir", t.TempDir(),
		"--proto-max-bulk-len", fmt.Sprint(maxString), "--hash-max-listpack-entries", "128", "--hash-max-listpack-value", "1024")
	if err := cmd.Start(); err != nil {
		t.Skipf("redis-server does not start: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 100 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return func() *redis {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Skipf("redis-server does not answer: %v", err)
		}
		t.Cleanup(func() { conn.Close() })
		return &redis{t: t, conn: conn}
	}
}

// run runs commands in one pipeline and returns their raw replies.
func (r *redis) run(commands ...[]string) [][]byte {
	r.t.Helper()
	var out []byte
	for _, args := range commands {
		out = resp.AppendCommand(out, args...)
	}
	if _, err := r.conn.Write(out); err != nil {
		r.t.Fatal(err)
	}
	_ = r.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	replies := make([][]byte, 0, len(commands))
	chunk := make([]byte, 64<<10)
	for len(replies) < len(commands) {
		n, err := resp.SkipReply(r.buf)
		if err != nil {
			r.t.Fatalf("redis replied %q: %v", r.buf, err)
		}
		if n > 0 {
			replies = append(replies, r.buf[:n:n])
			r.buf = r.buf[n:]
			continue
		}
		m, err := r.conn.Read(chunk)
		if err != nil {
			r.t.Fatalf("reading redis's reply to %q: %v", commands[len(replies)], err)
		}
		r.buf = append(r.buf[:len(r.buf):len(r.buf)], chunk[:m]...)
	}
	return replies
}
