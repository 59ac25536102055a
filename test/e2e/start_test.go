package e2e

import (
	"coterie/internal/datatype/redistest"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// listing is every file of a directory with its mode and digest: "untouched"
// means that it is equal before and after. What lies below but is left out.
func listing(t testing.TB, dir, but string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum := ""
		if d.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = fmt.Sprintf("%x", sha256.Sum256(content))
		}
		rel, _ := filepath.Rel(dir, path)
		if but != "" && strings.HasPrefix(rel, but) {
			return nil
		}
		fmt.Fprintln(&b, rel, info.Mode(), sum)
		return nil
	})
	if os.IsNotExist(err) {
		return "not there"
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// refuses starts a node that must not start, and checks that it says why in
// one line that contains all of words, and leaves its directory alone.
func refuses(t *testing.T, n *node, args []string, words ...string) {
	t.Helper()
	refusesBut(t, n, "", args, words...)
}

// refusesBut is refuses where a part of the directory may change.
func refusesBut(t *testing.T, n *node, but string, args []string, words ...string) {
	t.Helper()
	before := listing(t, n.data, but)
	started := time.Now()
	stdout, stderr, code := runBinary(t, 2*patience, n.args(args...)...)
	if code == 0 {
		t.Errorf("exit code 0\n%s%s", stdout, stderr)
	}
	var said []string
	scanLines(stderr, func(line string) {
		if !strings.HasPrefix(line, "time=") { // a log line
			said = append(said, line)
		}
	})
	if len(said) != 1 || stdout != "" {
		t.Errorf("not one clear line:\n%s%s", stdout, stderr)
		return
	}
	for _, w := range words {
		if !strings.Contains(said[0], w) {
			t.Errorf("%q does not say %q", said[0], w)
		}
	}
	if strings.Count(said[0], "; ") == 0 {
		t.Errorf("%q names no next step", said[0])
	}
	if after := listing(t, n.data, but); after != before {
		was := strings.Split(before, "\n")
		scanLines(after, func(line string) {
			if !slices.Contains(was, line) {
				t.Errorf("the data directory was touched: new or changed: %s", line)
			}
		})
		t.Errorf("the data directory was touched: %d files before, %d after", len(was)-1, strings.Count(after, "\n"))
	}
	t.Logf("%v: %s", time.Since(started).Round(time.Millisecond), said[0])
}

// used makes a data directory that a node has used and left.
func used(t *testing.T) *node {
	t.Helper()
	n := newNode(t, 1)
	n.start()
	cl := &client{addr: n.redis}
	defer cl.close()
	if v, err := cl.do("SET", "k", "v"); err != nil || v.Err() != nil {
		t.Fatal(v.Text(), err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBadStart: whatever is wrong at the start is said in one line with the
// cause and the next step, and nothing is touched.
func TestBadStart(t *testing.T) {
	host := newNode(t, 1) // a living cluster
	host.start()

	t.Run("another cluster", func(t *testing.T) {
		refuses(t, used(t), []string{"--join", host.peer}, "belongs to cluster", "--join")
	})
	t.Run("newer directory", func(t *testing.T) {
		n := used(t)
		editIdentity(t, n, "format", 99)
		refuses(t, n, nil, "newer version", "99", n.data)
	})
	t.Run("damaged identity", func(t *testing.T) {
		n := used(t)
		if err := os.WriteFile(filepath.Join(n.data, "node.json"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		refuses(t, n, nil, "node.json")
	})
	t.Run("foreign directory", func(t *testing.T) {
		n := newNode(t, 1)
		if err := os.MkdirAll(filepath.Join(n.data, "photos"), 0o755); err != nil {
			t.Fatal(err)
		}
		refuses(t, n, nil, "holds no Coterie node", "--data-dir")
	})
	t.Run("live process", func(t *testing.T) {
		n := newNode(t, 1)
		n.data = host.data
		started := time.Now()
		_, stderr, code := runBinary(t, patience, n.args()...)
		if code == 0 || !strings.Contains(stderr, "in use by another process") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		t.Logf("%v: %s", time.Since(started).Round(time.Millisecond), strings.TrimSpace(stderr))
		if v, err := (&client{addr: host.redis}).do("SET", "still", "there"); err != nil || v.Err() != nil {
			t.Errorf("the living node: %v %v", v.Text(), err)
		}
	})
	t.Run("port in use", func(t *testing.T) {
		for _, c := range []struct{ flag, addr string }{
			{"listen", host.redis}, {"cluster-listen", host.cluster}, {"peer-listen", host.peer}, {"http-listen", host.web},
		} {
			refuses(t, newNode(t, 1), []string{"--" + c.flag, c.addr}, c.addr, "in use", "--"+c.flag)
		}
	})
	t.Run("port in use, used directory", func(t *testing.T) {
		refuses(t, used(t), []string{"--listen", host.redis}, host.redis, "in use")
	})
	t.Run("off loopback", func(t *testing.T) {
		for _, flag := range []string{"listen", "cluster-listen", "peer-listen", "http-listen"} {
			refuses(t, newNode(t, 1), []string{"--" + flag, "0.0.0.0:" + strconv.Itoa(freePort(t))}, "--"+flag, "--insecure")
		}
	})
	t.Run("join", func(t *testing.T) { badJoins(t, host) })
	t.Run("newer stores", newerStores)
	t.Run("read-only", readOnly)
}

// badJoins tries addresses that are no node's.
func badJoins(t *testing.T, host *node) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	var held sync.Map
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			held.Store(c, c) // accepted, never answered
		}
	}()
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()}
	go srv.Serve(web) //nolint:errcheck // ends with Close
	t.Cleanup(func() { srv.Close() })

	joins := []struct{ name, addr, word string }{
		{"closed port", freeAddr(t), "refused"},
		{"HTTP server", web.Addr().String(), "not a Coterie node"},
		{"silent server", silent.Addr().String(), "no answer in time"},
		{"a node's Redis port", host.redis, "not a Coterie node"},
		{"a node's HTTP port", host.web, "not a Coterie node"},
		{"itself", "", ""},
		{"no such host", "no-such-host.invalid:7379", "no-such-host.invalid"},
		{"no port", "127.0.0.1", "--join"},
	}
	if redis := redisServer(t); redis != "" {
		joins = append(joins, struct{ name, addr, word string }{"redis-server", redis, "not a Coterie node"})
	}
	for _, j := range joins {
		t.Run(j.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, 1)
			if j.name == "itself" {
				j.addr = n.peer
			}
			refuses(t, n, []string{"--join", j.addr}, j.addr, j.word)
		})
	}
}

// editIdentity changes a field of node.json.
func editIdentity(t *testing.T, n *node, field string, value any) {
	t.Helper()
	path := filepath.Join(n.data, "node.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	m[field] = value
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// readOnly needs somebody whom permissions stop.
func readOnly(t *testing.T) {
	if os.Getuid() == 0 {
		readOnlyMount(t)
		return
	}
	n := used(t)
	files, err := filepath.Glob(filepath.Join(n.data, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, n.data) {
		if err := os.Chmod(f, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(n.data, 0o755) //nolint:errcheck // for the removal
	refuses(t, n, nil, "not writable", n.data)
}

// sorted names of a directory.
func names(t testing.TB, dir string) (out []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

// newerStores gives a used directory stores of a version to come.
func newerStores(t *testing.T) {
	t.Run("log", func(t *testing.T) {
		n := used(t)
		segments := 0
		for _, name := range names(t, filepath.Join(n.data, "log")) {
			path := filepath.Join(n.data, "log", name)
			b, err := os.ReadFile(path)
			if err != nil || len(b) < 16 || string(b[:6]) != "CTRLOG" {
				continue
			}
			binary.LittleEndian.PutUint32(b[8:], 99)
			binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], crc32.MakeTable(crc32.Castagnoli)))
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			segments++
		}
		if segments == 0 {
			t.Fatal("no log segment found")
		}
		refuses(t, n, nil, "newer version", filepath.Join(n.data, "log"))
	})
	t.Run("state", func(t *testing.T) {
		n := used(t)
		path := filepath.Join(n.data, "state", "FORMAT")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(b), "1", "99", 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		// The log is opened first, and begins a new segment.
		refusesBut(t, n, "log", nil, "newer version", filepath.Join(n.data, "state"))
	})
}

// redisServer starts a redis-server, if there is one, for the length of the
// test.
func redisServer(t *testing.T) (addr string) {
	t.Helper()
	if !redistest.Installed() {
		return ""
	}
	return redistest.Start(t)
}
