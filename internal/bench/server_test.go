package bench

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"
)

// server is a small server of the Redis protocol. The hooks are set before
// the load begins.
type server struct {
	addr string
	ln   net.Listener

	// before may answer instead of the server; ok says that it did.
	before func(args []string, w *resp.Writer) (ok bool)
	// hangUp says whether to close the connection instead of answering.
	hangUp func(n int64) bool

	commands atomic.Int64
	mu       struct {
		sync.Mutex
		data   map[string]string
		counts map[string]int
		conns  map[net.Conn]bool
	}
}

func newServer(t *testing.T, adjust func(*server)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{ln: ln, addr: ln.Addr().String()}
	s.mu.data, s.mu.counts, s.mu.conns = map[string]string{}, map[string]int{}, map[net.Conn]bool{}
	if adjust != nil {
		adjust(s)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.mu.conns[c] = true
			s.mu.Unlock()
			serving.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		s.mu.Lock()
		for c := range s.mu.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		serving.Wait()
	})
	return s
}

func (s *server) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.mu.conns, c)
		s.mu.Unlock()
	}()
	p := resp.NewParser(resp.Limits{})
	var buf []byte
	var args [][]byte
	chunk := make([]byte, 4096)
	var w resp.Writer
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		w.Buf = w.Buf[:0]
		for {
			if args, n, err = p.Next(buf, args); n == 0 || err != nil {
				break
			}
			if s.hangUp != nil && s.hangUp(s.commands.Load()) {
				s.commands.Add(1)
				return
			}
			s.command(args, &w)
			buf = buf[n:]
		}
		if err != nil {
			return
		}
		if _, err := c.Write(w.Buf); err != nil {
			return
		}
	}
}

func (s *server) command(args [][]byte, w *resp.Writer) {
	text := make([]string, len(args))
	for i, a := range args {
		text[i] = string(a)
	}
	if s.before != nil && s.before(text, w) {
		return
	}
	s.commands.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(text) > 1 {
		s.mu.counts[text[1]]++
	}
	switch text[0] {
	case "SET":
		s.mu.data[text[1]] = text[2]
		w.Simple("OK")
	case "GET":
		if v, ok := s.mu.data[text[1]]; ok {
			w.BulkString(v)
		} else {
			w.Null()
		}
	case "INCR":
		n, _ := strconv.Atoi(s.mu.data[text[1]])
		s.mu.data[text[1]] = strconv.Itoa(n + 1)
		w.Int(int64(n + 1))
	default:
		w.Error("ERR unknown command '" + text[0] + "'")
	}
}

func (s *server) data() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := map[string]string{}
	for k, v := range s.mu.data {
		copied[k] = v
	}
	return copied
}

// slotsReply writes CLUSTER SLOTS for servers that share the slots evenly.
func slotsReply(w *resp.Writer, servers []*server) {
	w.Array(len(servers))
	for i, s := range servers {
		_, port, _ := net.SplitHostPort(s.addr)
		p, _ := strconv.Atoi(port)
		w.Array(3)
		w.Int(int64(i * base.NumSlots / len(servers)))
		w.Int(int64((i+1)*base.NumSlots/len(servers) - 1))
		w.Array(3)
		w.BulkString("") // the host that was asked
		w.Int(int64(p))
		w.BulkString(strings.Repeat("0", 40))
	}
}

// quick is a configuration for tests: small, and impatient.
func quick(addrs ...string) Config {
	return Config{Addrs: addrs, Connections: 4, Keys: 100, Timeout: 2 * time.Second, Seed: 1}
}
