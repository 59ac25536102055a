package chaos

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"coterie/internal/status"
	"coterie/internal/workload"
)

// TestForeignDirectory: what carries no mark is refused, in one line, and not
// touched.
func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := newCluster(dir, "/bin/false", 3, nil)
	if err == nil || !strings.Contains(err.Error(), "was not made by coterie chaos") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%v", entries)
	}
	if err := os.WriteFile(filepath.Join(dir, markName), []byte(`{"version":99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := newCluster(dir, "/bin/false", 3, nil); err == nil || !strings.Contains(err.Error(), "of another version") {
		t.Errorf("%v", err)
	}
}

// TestMarkedDirectory: a cluster that was made for chaos is gone on with, as it
// was, and only when it is not running.
func TestMarkedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	c, err := newCluster(dir, "/bin/false", 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	redis := c.nodes[3].Redis
	c.close()
	if _, err := newCluster(dir, "/bin/false", 3, nil); err == nil || !strings.Contains(err.Error(), "has 4 nodes") {
		t.Errorf("%v", err)
	}
	again, err := newCluster(dir, "/bin/false", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.nodes) != 4 || again.nodes[3].Redis != redis {
		t.Errorf("%d nodes, the last at %s, not %s", len(again.nodes), again.nodes[3].Redis, redis)
	}
	again.close()
	ln, err := net.Listen("tcp", redis)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := newCluster(dir, "/bin/false", 0, nil); err == nil || !strings.Contains(err.Error(), "still runs") {
		t.Errorf("%v", err)
	}
}

// TestNoRoomToStart: a node that cannot start since a fault has filled its disk is
// started again until it can; any other end by itself is told.
func TestNoRoomToStart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		script string // of the first lives
		full   time.Duration
		told   string
	}{
		{"a full disk", "echo 'error: cannot open the log: no space left on device'; exit 1", time.Hour, ""},
		{"one that was full just now", "echo 'error: cannot open the log: no space left on device'; exit 1", 0, ""},
		{"a disk that is not full", "echo 'error: cannot open the log: no space left on device'; exit 1", -1, "node 1 ended by itself: exit status 1"},
		{"something else", "echo 'no space left on device'; echo 'error: a bug'; exit 1", time.Hour, "node 1 ended by itself: exit status 1"},
		{"a panic", "echo 'panic: no space left on device'; exit 2", time.Hour, "node 1 ended by itself: exit status 2"},
		{"nothing said", "exit 1", time.Hour, "node 1 ended by itself: exit status 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			lives := filepath.Join(dir, "lives")
			program := filepath.Join(dir, "program")
			fails := 2
			if tc.full == 0 { // for a second
				fails = 1
			}
			text := "#!/bin/sh\necho >>" + lives + "\nif [ $(wc -l <" + lives + ") -gt " + strconv.Itoa(fails) + " ]; then exec sleep 60; fi\n" + tc.script + "\n"
			if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Parallel() // not before: a process that begins meanwhile holds the file open, and it could not be run
			c, err := newCluster(filepath.Join(dir, "nodes"), program, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			n := c.nodes[0]
			if tc.full >= 0 {
				n.filled()
			}
			if tc.full == 0 {
				n.emptied()
			}
			if err := n.launch(); err != nil {
				t.Fatal(err)
			}
			told := func() string {
				n.mu.Lock()
				defer n.mu.Unlock()
				return strings.Join(n.unexplained, "; ")
			}
			born := func() int {
				b, _ := os.ReadFile(lives)
				return len(b)
			}
			for limit := time.Now().Add(20 * time.Second); told() == "" && born() <= fails && time.Now().Before(limit); {
				time.Sleep(5 * time.Millisecond)
			}
			if got := told(); got != tc.told || tc.told == "" && born() != fails+1 {
				t.Errorf("told %q after %d lives, want %q", got, born(), tc.told)
			}
			n.kill()
			c.close()
		})
	}
}

// TestStoppedYoung: a node that is stopped before it can mind the signal has done nothing
// wrong; later it has.
func TestStoppedYoung(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(filepath.Join(dir, "nodes"), program, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	n := c.nodes[0]
	for _, age := range []time.Duration{-time.Hour, 2 * infancy} {
		if err := n.launch(); err != nil {
			t.Fatal(err)
		}
		n.proc.begun = time.Now().Add(-age)
		n.stop()
		if told := len(n.unexplained) > 0; told != (age > 0) {
			t.Errorf("at the age of %v: %v", age, n.unexplained)
		}
	}
}

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	return ln.Addr().String()
}

// through opens a connection from node 0 through a proxy before node 1.
func through(t *testing.T, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	hello := make([]byte, helloSize)
	binary.BigEndian.PutUint64(hello[helloNodeAt:], 1)
	if _, err := c.Write(hello); err != nil {
		t.Fatal(err)
	}
	return c
}

// answers says whether a byte comes back, and how late.
func answers(c net.Conn, patience time.Duration) (time.Duration, bool) {
	begun := time.Now()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte{7}); err != nil {
		return 0, false
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return time.Since(begun), err == nil
}

func TestProxy(t *testing.T) {
	w := newWeb(2)
	defer w.close()
	addr, err := w.open(1, echo(t), func(id uint64) int { return int(id) - 1 })
	if err != nil {
		t.Fatal(err)
	}
	c := through(t, addr)
	if _, err := io.ReadFull(c, make([]byte, helloSize)); err != nil {
		t.Fatal(err)
	}
	if _, ok := answers(c, 5*time.Second); !ok {
		t.Fatal("nothing comes through")
	}
	t.Run("a delay", func(t *testing.T) {
		w.flows[1][0].delay.Store(int64(60 * time.Millisecond))
		if d, ok := answers(c, 5*time.Second); !ok || d < 60*time.Millisecond {
			t.Errorf("%v %v", d, ok)
		}
		w.flows[1][0].delay.Store(0)
	})
	t.Run("a stall in one direction", func(t *testing.T) {
		w.flows[0][1].stalled.Store(true)
		if d, ok := answers(c, 100*time.Millisecond); ok {
			t.Errorf("it came after %v", d)
		}
		w.flows[0][1].stalled.Store(false)
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("what was held up is lost: %v", err)
		}
	})
	t.Run("half-open", func(t *testing.T) {
		w.hollowOut(0, 1)
		if d, ok := answers(c, 100*time.Millisecond); ok {
			t.Errorf("it came after %v", d)
		}
		_ = c.SetDeadline(time.Time{})
		if _, err := c.Write([]byte{1}); err != nil {
			t.Errorf("the dialing side noticed: %v", err)
		}
		w.fill()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("still open")
		}
	})
	t.Run("a reset", func(t *testing.T) {
		c := through(t, addr)
		_, _ = io.ReadFull(c, make([]byte, helloSize))
		w.reset(0, 1)
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%v", err)
		}
	})
}

// TestPlan: which faults come is a function of the seed.
func TestPlan(t *testing.T) {
	plan := func(seed uint64) string {
		d := &driver{faults: faultTable(), rand: rand.New(rand.NewPCG(seed, 0))}
		var b strings.Builder
		for range 50 {
			b.WriteString(d.pick().name + " ")
		}
		return b.String()
	}
	if one := plan(1); one != plan(1) || one == plan(2) {
		t.Error("the plan does not follow the seed")
	}
	if some, err := parseFaults("kill, pause"); err != nil || len(some) != 2 {
		t.Error(some, err)
	}
	if _, err := parseFaults("kill,earthquake"); err == nil || !strings.Contains(err.Error(), "half-open") {
		t.Error(err)
	}
}

func TestGaps(t *testing.T) {
	g := &gaps{}
	key := "k" // slot 7629
	g.acknowledged(key, 1_000_000)
	parts := []status.Partition{{ID: 1, Slots: "0-8191", Leader: 2}, {ID: 2, Slots: "8192-16383", Leader: 2}, {ID: 0, Leader: 2}}
	g.killed(parts, 2, 1_100_000)
	g.acknowledged(key, 1_900_000)
	g.acknowledged(key, 2_000_000)
	if s := g.summary(); s.Count != 0 {
		t.Errorf("too early: %+v", s)
	}
	g.acknowledged(key, 3_200_000)
	g.acknowledged(key, 3_210_000)
	if s := g.summary(); s.Count != 1 || s.Max != 1200 {
		t.Errorf("%+v", s)
	}
	g.killed(parts, 2, 3_300_000)
	g.disturbed()
	g.acknowledged(key, 6_300_000)
	if s := g.summary(); s.Count != 1 {
		t.Errorf("disturbed, and counted: %+v", s)
	}
}

// TestArchive: a kept history can be judged again.
func TestArchive(t *testing.T) {
	k, _ := workload.Find("register")
	a := &archive{dir: filepath.Join(t.TempDir(), "h"), all: true, seed: 5}
	op := func(call, ret int64, reply string, cmd ...string) *workload.Op {
		return &workload.Op{Client: workload.Client{ID: 1, Conn: 2}, Command: cmd, Call: call, Return: ret, Outcome: workload.Done, Reply: []byte(reply)}
	}
	h := &workload.History{Ops: []*workload.Op{op(1, 2, "+OK\r\n", "SET", "k", "1"), op(3, 4, "$1\r\n1\r\n", "GET", "k")}}
	for i, want := range []int{0, 1} {
		path, err := a.keep(&chapter{kind: k, number: i}, h, false)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Check(f)
		_ = f.Close()
		if err != nil || r.Checked != 2+i || len(r.Violations) != want {
			t.Errorf("%+v, %v", r, err)
		}
		h.Ops = append(h.Ops, op(5, 6, "$-1\r\n", "GET", "k"))
	}
	for _, bad := range []string{"", "x", `{"version":1,"workload":"none"}`, `{"version":1,"workload":"hash"}` + "\nx"} {
		if _, err := Check(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken for a history", bad)
		}
	}
}
